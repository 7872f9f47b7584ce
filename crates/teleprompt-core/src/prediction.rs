//! Predictions: what a module returns.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::Serialize;

use crate::decision::EvidenceByField;
use crate::error::Result;
use crate::lm::Usage;
use crate::record::Record;
use crate::repair::Flag;

/// A parsed reply: fields, and what had to be repaired to get them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Parsed {
    /// The outputs in the signature's order.
    pub fields: Record,
    /// The repairs, if any.
    pub flags: Vec<Flag>,
}

/// The output of a module together with how it came about. Derefs to the output.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Prediction<O = Record> {
    /// The output: the first completion.
    pub output: O,
    /// All completions of the last predictor, the first among them.
    pub completions: Arc<[Parsed]>,
    /// What the calls used.
    pub usage: Usage,
    /// What the outputs that are decisions were decided from, in the first completion.
    pub evidence: EvidenceByField,
}

impl<O> Prediction<O> {
    /// A prediction made by code rather than by an LM.
    pub fn new(output: O) -> Self {
        Self {
            output,
            completions: Arc::from([]),
            usage: Usage::default(),
            evidence: EvidenceByField::new(),
        }
    }

    /// A prediction with the completions it comes from.
    pub fn with_completions(mut self, completions: impl Into<Arc<[Parsed]>>, usage: Usage) -> Self {
        self.completions = completions.into();
        self.usage = usage;
        self
    }

    /// A prediction with what its outputs were decided from.
    pub fn with_evidence(mut self, evidence: EvidenceByField) -> Self {
        self.evidence = evidence;
        self
    }

    /// The repairs that the first completion needed.
    pub fn flags(&self) -> &[Flag] {
        self.completions.first().map_or(&[], |c| &c.flags)
    }

    /// The same prediction with another output.
    pub fn map<P>(self, change: impl FnOnce(O) -> P) -> Prediction<P> {
        let Self { output, completions, usage, evidence } = self;
        Prediction { output: change(output), completions, usage, evidence }
    }

    /// Like [`Prediction::map`], where the change can fail.
    ///
    /// # Errors
    /// Those of `change`.
    pub fn try_map<P>(self, change: impl FnOnce(O) -> Result<P>) -> Result<Prediction<P>> {
        let Self { output, completions, usage, evidence } = self;
        Ok(Prediction { output: change(output)?, completions, usage, evidence })
    }
}

impl<O> Deref for Prediction<O> {
    type Target = O;
    fn deref(&self) -> &O {
        &self.output
    }
}

impl<O: fmt::Display> fmt::Display for Prediction<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.output.fmt(f)
    }
}
