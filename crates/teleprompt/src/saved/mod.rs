//! Saved programs: what a compiler found, as readable JSON.
//!
//! ```json
//! {
//!   "teleprompt": 1,
//!   "program": {"module": "predict"},
//!   "predictors": {
//!     "predict": {
//!       "signature": "question -> answer: int",
//!       "parameters": {"instructions": "…", "demos": [{"question": "…", "answer": 42}]}
//!     }
//!   },
//!   "compiled": {"optimizer": "…"}
//! }
//! ```
//! `program` says what the command needs to build the program again; a program written in Rust has
//! none. Where several parameters vote, `predictors` has the first ones, and `ensemble` the others
//! and the vote: `"ensemble": {"vote": {"majority": {"field": "answer"}}, "others": [{"predict":
//! {…}}]}`. A file never holds a secret, and loading one never runs code nor chooses where calls go.

pub(crate) mod check;
mod dspy;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use teleprompt_core::names::suggestion;
use teleprompt_core::{Bound, Error, Parameters, Program, ProgramState, Result, Signature};

use crate::module::{ChainOfThought, Predict, Tuned};
use crate::optimize::compose::{Solution, Vote};
use crate::pipeline::Pipeline;

/// The format that this version writes, and the newest it reads.
pub const FORMAT: u64 = 1;

/// How the command builds a program without Rust.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// One module over the signature of the only predictor: `predict` or `cot`.
    Module(String),
    /// The text of a pipeline file.
    Pipeline(String),
}

/// One predictor in a file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SavedPredictor {
    /// The signature as the program was written; DSPy's files have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
    /// What is laid over it.
    pub parameters: Parameters,
    /// DSPy's positional fields, to be matched with a signature's.
    #[serde(skip)]
    pub(crate) positional: Vec<dspy::PositionalField>,
}

/// Parameters that vote with those of [`SavedProgram::predictors`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedEnsemble {
    /// How they vote.
    pub vote: Vote,
    /// The parameters of all members but the first, by path.
    pub others: Vec<ProgramState>,
}

/// A saved program.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SavedProgram {
    /// The version of the format.
    #[serde(rename = "teleprompt")]
    pub format: u64,
    /// How to build the program; none for programs written in Rust.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<Source>,
    /// By path.
    pub predictors: BTreeMap<Arc<str>, SavedPredictor>,
    /// What else votes; none: nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ensemble: Option<SavedEnsemble>,
    /// How it was compiled, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compiled: Option<Value>,
}

impl SavedProgram {
    /// What is to be saved of a program: the parameters in force.
    pub fn of(bound: &Bound<'_>) -> Self {
        let entry = |path: &Arc<str>, p: &dyn teleprompt_core::Predictor| {
            let parameters = (**bound.parameters.get(path).unwrap_or(p.parameters())).clone();
            let signature = Some(p.signature().clone());
            (path.clone(), SavedPredictor { signature, parameters, positional: Vec::new() })
        };
        Self {
            format: FORMAT,
            program: None,
            predictors: bound.predictors.iter().map(|(path, p)| entry(path, *p)).collect(),
            ensemble: None,
            compiled: None,
        }
    }

    /// Reads a file of ours or of DSPy's.
    ///
    /// # Errors
    /// It cannot be read, is no saved program, or is of a newer format.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, &e))?;
        Self::parse(&text).map_err(|message| Error::State(format!("{}: {message}", path.display())))
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// A text that says what is wrong and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let json: Value = serde_json::from_str(text).map_err(|e| format!("is no JSON: {e}"))?;
        let Value::Object(mut map) = json else {
            return Err("is no saved program: it is not a JSON object".into());
        };
        let Some(format) = map.remove("teleprompt") else { return dspy::read(map) };
        match format.as_u64() {
            Some(FORMAT) => ours(map),
            Some(n) if n > FORMAT => Err(format!(
                "is in format {n}, written by a newer version; this version reads up to {FORMAT}: \
                 update teleprompt"
            )),
            _ => Err(format!("has the format {format}, which no version ever wrote")),
        }
    }

    /// Writes the file: to a temporary one first, so that an old file is never half overwritten.
    ///
    /// # Errors
    /// It cannot be written; the old file is untouched then.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut text =
            serde_json::to_string_pretty(self).map_err(|e| Error::State(e.to_string()))?;
        text.push('\n');
        crate::files::write_atomic(path, text.as_bytes())
    }

    /// The parameters for a program of these predictors; of an ensemble those of the first member.
    ///
    /// # Errors
    /// A predictor is missing or unknown, or its signature or a demo does not fit.
    pub fn state_for(&self, bound: &Bound<'_>) -> Result<ProgramState> {
        check::state_for(self, bound)
    }

    /// All that is saved for a program of these predictors.
    ///
    /// # Errors
    /// A predictor is missing or unknown, or its signature or a demo does not fit; of an ensemble, in
    /// any member.
    pub fn solution_for(&self, bound: &Bound<'_>) -> Result<Solution> {
        let first = self.state_for(bound)?;
        let Some(ensemble) = &self.ensemble else { return Ok(Solution::single(first)) };
        let mut members = vec![Arc::new(first)];
        for (i, state) in ensemble.others.iter().enumerate() {
            let state = self.with(state).and_then(|other| other.state_for(bound));
            members.push(Arc::new(state.map_err(|e| match e {
                Error::State(message) => Error::State(format!("ensemble.others[{i}]: {message}")),
                other => other,
            })?));
        }
        Solution::ensemble(members, ensemble.vote.clone())
    }

    /// The same program with the parameters of another member.
    fn with(&self, state: &ProgramState) -> Result<Self> {
        let entry = |(path, parameters): (&Arc<str>, &Arc<Parameters>)| {
            let Some(first) = self.predictors.get(path) else {
                let hint = suggestion(path, self.predictors.keys().map(|p| &**p));
                return Err(Error::State(format!("`predictors` has no `{path}`{hint}")));
            };
            let parameters = (**parameters).clone();
            Ok((path.clone(), SavedPredictor { parameters, ..first.clone() }))
        };
        let predictors = state.0.iter().map(entry).collect::<Result<_>>()?;
        Ok(Self { predictors, ensemble: None, ..self.clone() })
    }

    /// Builds the program that the file describes.
    ///
    /// `signature` supplies names and types where the file has none (DSPy's), or replaces the file's.
    ///
    /// # Errors
    /// The file does not say how to build it, or its parts do not fit.
    pub fn program(&self, signature: Option<&Signature>) -> Result<Program> {
        if let Some(Source::Pipeline(text)) = &self.program {
            let pipeline = Pipeline::parse(text)?;
            let solution = self.solution_for(&teleprompt_core::bind(&pipeline))?;
            return Ok(Program::new(Tuned::of(pipeline, solution)));
        }
        let (Some((_, only)), 1) = (self.predictors.first_key_value(), self.predictors.len())
        else {
            return Err(Error::State(format!(
                "this saved program has {} predictors ({}) and does not say how they are wired; \
                 load it from the Rust program it belongs to",
                self.predictors.len(),
                self.predictors.keys().map(|k| &**k).collect::<Vec<_>>().join(", ")
            )));
        };
        let own = match signature {
            Some(given) => given.clone(),
            None => only.guess_signature()?,
        };
        let cot = self.program == Some(Source::Module("cot".into()))
            || (self.program.is_none() && only.has_reasoning());
        if cot {
            let module = ChainOfThought::of(own)?;
            let solution = self.lone_solution(&teleprompt_core::bind(&module))?;
            return Ok(Program::new(Tuned::of(module, solution)));
        }
        let module = Predict::of(own)?;
        let solution = self.lone_solution(&teleprompt_core::bind(&module))?;
        Ok(Program::new(Tuned::of(module, solution)))
    }

    /// What is saved for a program with one predictor, whatever its path was in the file.
    fn lone_solution(&self, bound: &Bound<'_>) -> Result<Solution> {
        let mut renamed = self.clone();
        let path = bound.predictors.first().map(|(path, _)| path.clone()).unwrap_or_default();
        renamed.predictors = self.predictors.values().map(|p| (path.clone(), p.clone())).collect();
        for state in renamed.ensemble.iter_mut().flat_map(|e| &mut e.others) {
            let there = std::mem::take(&mut state.0).into_iter();
            let renamed = |(p, parameters)| match self.predictors.contains_key(&p) {
                true => (path.clone(), parameters),
                false => (p, parameters),
            };
            state.0 = there.map(renamed).collect();
        }
        renamed.solution_for(bound)
    }
}

impl SavedPredictor {
    fn guess_signature(&self) -> Result<Signature> {
        match &self.signature {
            Some(signature) => Ok(signature.clone()),
            None => dspy::guess_signature(self),
        }
    }

    fn has_reasoning(&self) -> bool {
        match &self.signature {
            Some(signature) => signature.output("reasoning").is_some(),
            None => self.positional.iter().any(|f| f.name == "reasoning"),
        }
    }
}

fn ours(mut map: Map<String, Value>) -> Result<SavedProgram, String> {
    let program = match map.remove("program") {
        None | Some(Value::Null) => None,
        Some(value) => Some(serde_json::from_value(value).map_err(|e| format!("`program`: {e}"))?),
    };
    let Some(Value::Object(entries)) = map.remove("predictors") else {
        return Err("has no `predictors`".into());
    };
    let ensemble = match map.remove("ensemble") {
        None | Some(Value::Null) => None,
        Some(value) => Some(serde_json::from_value(value).map_err(|e| format!("`ensemble`: {e}"))?),
    };
    let compiled = map.remove("compiled");
    if let Some((key, _)) = map.iter().next() {
        return Err(format!("has an entry `{key}`, which this format does not have"));
    }
    let read = |(path, entry): (String, Value)| {
        let predictor = predictor(entry).map_err(|e| format!("predictor `{path}`: {e}"))?;
        Ok((Arc::from(path), predictor))
    };
    let predictors = entries.into_iter().map(read).collect::<Result<_, String>>()?;
    Ok(SavedProgram { format: FORMAT, program, predictors, ensemble, compiled })
}

fn predictor(entry: Value) -> Result<SavedPredictor, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Entry {
        signature: String,
        #[serde(default)]
        parameters: Parameters,
    }
    let entry: Entry = serde_json::from_value(entry).map_err(|e| e.to_string())?;
    let signature = entry.signature.parse().map_err(|e| format!("`signature`: {e}"))?;
    Ok(SavedPredictor {
        signature: Some(signature),
        parameters: entry.parameters,
        positional: Vec::new(),
    })
}
