//! The names of a pipeline: its inputs, what its steps give, its lists, its named types.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use teleprompt_core::names::{closest, suggestion};
use teleprompt_core::{Signature, Type, TypeDefs};

use super::file::{PipelineFile, Text};
use super::mistake::Mistake;
use super::plan::{Block, Body, Collect, Source, Step, steps};

/// An input of the pipeline.
pub(super) struct Input {
    pub name: Arc<str>,
    /// If the file says so; else it is that of the steps that read it.
    pub ty: Option<Type>,
    pub description: Arc<str>,
    pub span: Range<usize>,
}

pub(super) struct Scope<'p> {
    pub steps: Vec<&'p Step>,
    pub inputs: Vec<Input>,
    /// The named types of all signatures.
    pub defs: TypeDefs,
    /// Whether the file says what the inputs are.
    declared: bool,
    groups: Vec<&'p str>,
    /// Names of steps' outputs.
    given: BTreeSet<&'p str>,
    lists: BTreeSet<&'p str>,
}

impl<'p> Scope<'p> {
    /// Collects the names; `text` is the file's.
    pub fn new(text: &str, file: &PipelineFile, blocks: &'p [Block]) -> Result<Self, Mistake> {
        let steps = steps(blocks);
        let mut scope = Scope {
            given: steps.iter().flat_map(|s| &s.gives).map(|g| &*g.field).collect(),
            lists: steps.iter().flat_map(|s| &s.collects).map(|c| &*c.list).collect(),
            groups: groups(blocks),
            defs: definitions(&steps)?,
            declared: file.inputs.is_some(),
            inputs: Vec::new(),
            steps,
        };
        scope.inputs = match &file.inputs {
            Some(declared) => scope.declared(text, declared)?,
            None => scope.derived(),
        };
        for step in &scope.steps {
            step.collects.iter().try_for_each(|c| scope.check_list(step, c))?;
        }
        Ok(scope)
    }

    fn declared(&self, text: &str, inputs: &[Text]) -> Result<Vec<Input>, Mistake> {
        let mut seen = BTreeSet::new();
        let mut read = |declared: &Text| {
            let input = input(text, declared).map_err(|m| m.within("inputs"))?;
            if !seen.insert(input.name.clone()) {
                let message = format!("inputs: `{}` is there twice", input.name);
                return Err(declared.mistake(message));
            }
            Ok(input)
        };
        inputs.iter().map(&mut read).collect()
    }

    /// What steps read and no step gives.
    fn derived(&self) -> Vec<Input> {
        let mut inputs: Vec<Input> = Vec::new();
        for source in self.steps.iter().flat_map(|s| &s.reads).flat_map(|r| &r.sources) {
            let key = &*source.key;
            let known = self.given.contains(key) || self.lists.contains(key) || key.contains('.');
            if !known && !inputs.iter().any(|input| input.name == source.key) {
                inputs.push(Input {
                    name: source.key.clone(),
                    ty: None,
                    description: Arc::from(""),
                    span: source.span.clone(),
                });
            }
        }
        inputs
    }

    fn check_list(&self, step: &Step, collect: &Collect) -> Result<(), Mistake> {
        let list = &*collect.list;
        let taken = self.given.contains(list) || self.inputs.iter().any(|i| *i.name == *list);
        if !taken {
            return Ok(());
        }
        let message = format!("step `{}`: collect: there is a value `{list}` already", step.name);
        Err(Mistake::new(collect.span.clone(), message).help("give the list another name"))
    }

    /// Whether some value can have this key at all.
    pub fn check(&self, source: &Source) -> Result<(), Mistake> {
        let key = &*source.key;
        let wrong = |message: String| Err(Mistake::new(source.span.clone(), message));
        let Some((step, field)) = key.split_once('.') else {
            return if self.is_plain(key) { Ok(()) } else { wrong(self.unknown(key)) };
        };
        if self.groups.contains(&step) {
            return wrong(format!("`{step}` is a group; name the step of it that gives `{field}`"));
        }
        let Some(giver) = self.steps.iter().find(|s| *s.name == *step) else {
            let hint = suggestion(step, self.steps.iter().map(|s| &*s.name));
            return wrong(format!("there is no step `{step}`{hint}"));
        };
        if giver.gives.iter().any(|give| *give.field == *field) {
            return Ok(());
        }
        let hint = suggestion(field, giver.gives.iter().map(|g| &*g.field));
        wrong(format!("step `{step}` has no output `{field}`{hint}"))
    }

    fn is_plain(&self, key: &str) -> bool {
        self.given.contains(key)
            || self.lists.contains(key)
            || self.inputs.iter().any(|input| *input.name == *key)
    }

    fn unknown(&self, key: &str) -> String {
        let inputs = self.inputs.iter().map(|input| &*input.name);
        let known = inputs.chain(self.given.iter().copied()).chain(self.lists.iter().copied());
        let hint = match closest(key, known) {
            Some(near) => format!("; did you mean `{near}`?"),
            None if self.declared => format!("; if it is an input, add `{key}` to `inputs`"),
            None => {
                "; if it is an input that no step reads, list all inputs: `inputs = [\"…\"]`".into()
            }
        };
        format!("there is no value `{key}`: it is no input, and no step gives it{hint}")
    }
}

fn groups(blocks: &[Block]) -> Vec<&str> {
    let mut found = Vec::new();
    for block in blocks {
        if let Body::Group(inner) = &block.body {
            found.push(&*block.name);
            found.extend(groups(inner));
        }
    }
    found
}

/// A name on its own, or a field as in signatures.
fn input(file: &str, text: &Text) -> Result<Input, Mistake> {
    const TAIL: &str = " -> _";
    let parsed: Result<Signature, _> = format!("{}{TAIL}", text.value).parse();
    let signature = parsed.map_err(|mut e| {
        e.span = e.span.start.min(text.value.len())..e.span.end.min(text.value.len());
        text.signature_error(file, e)
    })?;
    let [field] = signature.inputs() else {
        let help = "give each input a text of its own: `inputs = [\"question\", \"k: int\"]`";
        return Err(text.mistake("this is not one input").help(help));
    };
    let typed = text.value.trim_start().strip_prefix(&*field.name);
    let typed = typed.is_some_and(|rest| rest.trim_start().starts_with(':'));
    Ok(Input {
        name: field.name.clone(),
        ty: typed.then(|| field.ty.clone()),
        description: field.description.clone(),
        span: text.span.clone(),
    })
}

/// The named types of all steps. A name means the same in the whole file, so that values can go
/// from step to step.
fn definitions(steps: &[&Step]) -> Result<TypeDefs, Mistake> {
    let mut all: TypeDefs = TypeDefs::new();
    for step in steps {
        for (name, ty) in step.signature.defs() {
            match all.get(name) {
                Some(other) if other != ty => {
                    let message = format!(
                        "step `{}`: the type `{name}` is {ty} here and {other} in another step",
                        step.name
                    );
                    return Err(Mistake::new(step.span.clone(), message)
                        .help("rename one of the two types"));
                }
                _ => all.insert(name.clone(), ty.clone()),
            };
        }
    }
    Ok(all)
}
