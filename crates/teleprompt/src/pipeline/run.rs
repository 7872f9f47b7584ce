//! One run of a pipeline.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::Value;
use teleprompt_core::{Context, Error, Parsed, Prediction, Record, Result, Usage};

use super::check::Output;
use super::fits::to_text;
use super::plan::{Block, Body, Condition, Read, Step};

/// The values of a run and what has been done so far.
pub(super) struct Run<'p> {
    cx: &'p Context,
    /// By `name` and by `step.field`; the latest.
    values: HashMap<Arc<str>, Arc<Value>>,
    /// Steps that were skipped last time, with the block whose `when` did not hold.
    skipped: BTreeMap<&'p str, &'p Block>,
    /// How often each step ran.
    runs: HashMap<&'p str, u64>,
    usage: Usage,
    /// The step that ran last of those that the outputs may come from, with its completions.
    last: Option<(&'p Step, Arc<[Parsed]>)>,
}

impl<'p> Run<'p> {
    pub fn new(cx: &'p Context, inputs: Record, lists: &[Arc<str>]) -> Self {
        let given = inputs.into_iter().map(|(name, value)| (name, Arc::new(value)));
        let empty = || Arc::new(Value::Array(Vec::new()));
        Run {
            cx,
            values: given.chain(lists.iter().map(|list| (list.clone(), empty()))).collect(),
            skipped: BTreeMap::new(),
            runs: HashMap::new(),
            usage: Usage::default(),
            last: None,
        }
    }

    pub fn blocks<'a>(&'a mut self, blocks: &'p [Block]) -> BoxFuture<'a, Result<()>>
    where
        'p: 'a,
    {
        Box::pin(async move {
            for block in blocks {
                self.block(block).await?;
            }
            Ok(())
        })
    }

    async fn block(&mut self, block: &'p Block) -> Result<()> {
        if let Some(when) = &block.when
            && !self.holds(block, "when", when)?
        {
            self.skip(block, block);
            return Ok(());
        }
        for _ in 0..block.times {
            match &block.body {
                Body::Step(step) => self.step(step).await?,
                Body::Group(inner) => self.blocks(inner).await?,
            }
            if let Some(until) = &block.until
                && self.holds(block, "until", until)?
            {
                break;
            }
        }
        Ok(())
    }

    fn skip(&mut self, block: &'p Block, cause: &'p Block) {
        match &block.body {
            Body::Step(step) => {
                self.skipped.insert(&step.name, cause);
            }
            Body::Group(inner) => inner.iter().for_each(|block| self.skip(block, cause)),
        }
    }

    fn holds(&self, block: &Block, key: &str, condition: &Condition) -> Result<bool> {
        let look = |name: &str| self.values.get(name).map(|value| &**value);
        condition.expr.holds(&look).map_err(|problem| Error::Input {
            path: block.name.to_string(),
            message: format!("{key} = \"{}\": {problem}", condition.expr),
        })
    }

    async fn step(&mut self, step: &'p Step) -> Result<()> {
        let mut inputs = Record::with_capacity(step.reads.len());
        for read in &step.reads {
            if let Some(value) = self.read(step, read)? {
                inputs.insert(read.field.clone(), value);
            }
        }
        let cx = self.context(step);
        let prediction = step.module.call(cx.as_ref().unwrap_or(self.cx), inputs).await?;
        self.skipped.remove(&*step.name);
        self.usage += prediction.usage;
        self.give(step, prediction);
        Ok(())
    }

    /// The context of a step, where it is not that of the whole run.
    fn context(&mut self, step: &'p Step) -> Option<Context> {
        let runs = self.runs.entry(&step.name).or_default();
        let round = std::mem::replace(runs, *runs + 1);
        let mut own = None;
        if round > 0 {
            // Else a cache would answer a round whose inputs did not change with the last reply.
            own = Some(self.cx.with_rollout(self.cx.rollout().wrapping_add(round << 32)));
        }
        if !step.answers && self.cx.n() > 1 {
            own = Some(own.as_ref().unwrap_or(self.cx).with_n(1));
        }
        own
    }

    fn read(&self, step: &Step, read: &Read) -> Result<Option<Value>> {
        let found = read.sources.iter().find_map(|source| {
            let value = self.values.get(&source.key)?;
            (!value.is_null()).then(|| if read.text { to_text(value) } else { (**value).clone() })
        });
        if found.is_none() && !read.nullable {
            return Err(self.missing(step, read));
        }
        Ok(found)
    }

    fn missing(&self, step: &Step, read: &Read) -> Error {
        let keys: Vec<String> = read.sources.iter().map(|s| format!("`{}`", s.key)).collect();
        let why = read.sources.iter().find_map(|source| self.why_missing(&source.key));
        Error::Input {
            path: step.name.to_string(),
            message: format!(
                "the input `{}` has no value: it reads {}{}; make the field optional (`{}: {}?`) if \
                 it may be missing",
                read.field,
                keys.join(", "),
                why.unwrap_or_else(|| ", which is null".into()),
                read.field,
                read.ty
            ),
        }
    }

    fn why_missing(&self, key: &str) -> Option<String> {
        let (step, cause) =
            self.skipped.iter().find(|(step, cause)| match key.split_once('.') {
                Some((named, _)) => named == **step,
                None => gives(cause, step, key),
            })?;
        let when = cause.when.as_ref().map(|c| c.expr.to_string()).unwrap_or_default();
        let group = if *cause.name == **step {
            String::new()
        } else {
            format!(" with the group `{}`", cause.name)
        };
        Some(format!(", and step `{step}` was skipped{group} (when = \"{when}\")"))
    }

    fn give(&mut self, step: &'p Step, prediction: Prediction) {
        if step.answers {
            self.last = Some((step, prediction.completions.clone()));
        }
        let output = prediction.output;
        for collect in &step.collects {
            let (Some(list), Some(value)) =
                (self.values.get_mut(&collect.list), output.get(&collect.field))
            else {
                continue;
            };
            if let Value::Array(items) = Arc::make_mut(list) {
                items.push(value.clone());
            }
        }
        for (field, value) in output {
            let Some(give) = step.gives.iter().find(|give| give.field == field) else { continue };
            let value = Arc::new(value);
            self.values.insert(give.key.clone(), value.clone());
            self.values.insert(field, value);
        }
    }

    /// The pipeline's outputs; those of skipped steps are left out.
    pub fn finish(self, outputs: &[Output]) -> Prediction {
        let value = |output: &Output| self.values.get(&output.key).map(|value| (**value).clone());
        let fields: Record = outputs
            .iter()
            .filter_map(|output| Some((output.name.clone(), value(output)?)))
            .collect();
        let prediction = Prediction::new(fields);
        let Some((step, completions)) = self.last else {
            return prediction.with_completions(Vec::new(), self.usage);
        };
        let completed = |completion: &Parsed| Parsed {
            fields: complete(outputs, step, &completion.fields, &prediction.output),
            flags: completion.flags.clone(),
        };
        let completions: Vec<Parsed> = completions.iter().map(completed).collect();
        prediction.with_completions(completions, self.usage)
    }
}

/// Whether the step, a part of the block, gives a value of this name.
fn gives(block: &Block, name: &str, field: &str) -> bool {
    match &block.body {
        Body::Step(step) => *step.name == *name && step.gives.iter().any(|g| *g.field == *field),
        Body::Group(inner) => inner.iter().any(|block| gives(block, name, field)),
    }
}

/// The outputs with the fields of one completion of the step that answered last.
fn complete(outputs: &[Output], step: &Step, completion: &Record, base: &Record) -> Record {
    let value = |output: &Output| {
        let own = step.gives.iter().find(|g| g.key == output.key || g.field == output.key);
        let value = own.and_then(|give| completion.get(&give.field));
        Some((output.name.clone(), value.or_else(|| base.get(&output.name))?.clone()))
    };
    outputs.iter().filter_map(value).collect()
}
