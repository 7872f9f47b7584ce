//! Pipelines: programs of several steps in a TOML file, without Rust.
//!
//! ```toml
//! inputs = ["question"]          # default: what steps read and no step gives
//! outputs = ["answer"]           # default: the outputs of the last step
//!
//! [[step]]
//! name = "query"                 # also its path in traces and saved programs
//! signature = "question, known: list[str] -> query, fact"
//! instructions = "Find what is missing."   # default: the signature's
//! module = "predict"             # or "cot", chain of thought; default: predict
//! lm = "openai:gpt-5-mini"       # default: the LM of the run
//! collect = { known = "fact" }   # each run adds its `fact` to the list `known`, empty at first
//! repeat = { times = 3, until = "fact == ''" }   # or `repeat = 3`; default: once
//!
//! [[step]]
//! name = "answer"
//! signature = "question, notes: list[str] -> answer, confidence: float(0..1)"
//! wire = { notes = "known" }     # default: the value of the same name
//!
//! [[step]]
//! name = "second_look"
//! signature = "question, answer -> better"
//! when = "confidence < 0.5"      # default: always
//! ```
//!
//! # Values
//! A run keeps values by name: its inputs, then the outputs of each step as it ends. A later value
//! takes the place of an earlier one of the same name; each is also kept under `step.field`. A step
//! reads each of its inputs under the input's own name, or from where `wire` says: a name, a
//! `step.field`, or a list of them, of which the first with a value is read
//! (`wire = { draft = ["improve.better", "write.draft"] }`). `outputs` takes names and `step.field`.
//!
//! # Order
//! Steps run in the order of the file. `when` is asked once, before the first round; `until` after
//! each round. A step with a list of steps, `[[step.step]]`, in place of a signature is a group: it
//! has only `name`, `when` and `repeat`, and its steps have paths and names as if it were not
//! there. In every round a step sees the latest values; a round whose inputs did not change is
//! answered anew, not from the cache. Conditions are described in `docs/pipeline.md`.
//!
//! A skipped step gives nothing, values of earlier rounds stay. Who then reads a value that is not
//! there gets nothing if the field is optional, else the run fails and names the skipped step. An
//! output that may be missing has an optional type in [`interface`](Module::interface).
//!
//! # What is checked when the file is read
//! Names, order and types, by following which values can reach which step, also around a loop. A
//! value fits a field if all its possible values do: `int` into `float`, anything into `any`,
//! `T` into `T?`; `T?` into `T` fails when it is null. Scalars and `any` go into `str` as JSON
//! text; lists and records do not. Limits (ranges, lengths, patterns) are not compared. A named
//! type (`where`) is the same in all steps. With `n` completions, only steps that the outputs can
//! come from are asked for `n`; the others for one.
//!
//! An LM that a step names must be given to the context by [`Context::with_named_lm`]; see
//! [`Pipeline::lm_names`].

mod check;
mod expr;
mod file;
mod fits;
mod flow;
mod lower;
mod mistake;
mod plan;
mod print;
mod run;
mod scope;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use teleprompt_core::{
    Context, Error, Module, Prediction, Predictors, Record, Result, Signature, Visit, bind,
};

use check::{Checked, Output};
use mistake::Mistake;
use plan::Block;
use run::Run;

/// A program read from a pipeline file: a [`Module`] over records.
///
/// ```
/// use teleprompt::Module;
/// use teleprompt::pipeline::Pipeline;
///
/// let pipeline = Pipeline::parse(r#"
///     [[step]]
///     name = "query"
///     signature = "question -> query"
///
///     [[step]]
///     name = "answer"
///     signature = "question, query -> answer: int"
///     module = "cot"
/// "#)?;
/// assert_eq!(pipeline.interface().unwrap().to_string(), "question -> answer: int");
/// # Ok::<(), teleprompt::Error>(())
/// ```
#[derive(Clone)]
pub struct Pipeline {
    blocks: Vec<Block>,
    interface: Signature,
    outputs: Vec<Output>,
    lists: Vec<Arc<str>>,
}

impl Pipeline {
    /// Reads the text of a pipeline file.
    ///
    /// # Errors
    /// [`Error::Config`] with the line, the step, carets under the mistake and what to do.
    pub fn parse(text: &str) -> Result<Self> {
        let pipeline = Self::lower(text).map_err(|mistake| mistake.error(text))?;
        bind(&pipeline);
        Ok(pipeline)
    }

    fn lower(text: &str) -> Result<Self, Mistake> {
        let file = file::read(text)?;
        let mut blocks = lower::blocks(text, &file.steps)?;
        let Checked { interface, outputs, answering, lists } = check::check(text, &file, &blocks)?;
        plan::each_step(&mut blocks, &mut |step| step.answers = answering.contains(&step.name));
        Ok(Self { blocks, interface, outputs, lists })
    }

    /// Reads a pipeline file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, else those of [`Pipeline::parse`], with the path.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, &e))?;
        Self::parse(&text).map_err(|e| match e {
            Error::Config(message) => Error::Config(format!("{}: {message}", path.display())),
            other => other,
        })
    }

    /// The LMs that steps name, each once, in the order of the file.
    pub fn lm_names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for name in plan::steps(&self.blocks).into_iter().filter_map(|step| step.lm.as_ref()) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }
}

impl Predictors for Pipeline {
    fn visit<'a>(&'a self, visit: &mut Visit<'a>) {
        for step in plan::steps(&self.blocks) {
            visit.field(&step.name, &step.module);
        }
    }
}

impl Module for Pipeline {
    type Input = Record;
    type Output = Record;

    async fn forward(&self, cx: &Context, input: Record) -> Result<Prediction> {
        crate::module::check_inputs("pipeline", &self.interface, &input)?;
        let mut run = Run::new(cx, input, &self.lists);
        run.blocks(&self.blocks).await?;
        Ok(run.finish(&self.outputs))
    }

    fn interface(&self) -> Option<Signature> {
        Some(self.interface.clone())
    }

    fn fingerprint(&self) -> String {
        self.to_string()
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pipeline({self})")
    }
}
