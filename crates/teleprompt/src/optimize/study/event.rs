//! What a journal holds.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use teleprompt_core::{ProgramState, TraceStep, Usage};

use super::Identity;

/// Which examples a result is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// What demonstrations are made of.
    Train,
    /// What candidates are chosen by.
    Val,
    /// What the compiler never sees until it is done.
    Test,
}

impl std::fmt::Display for Split {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Split::Train => "train",
            Split::Val => "validation",
            Split::Test => "test",
        })
    }
}

/// How a candidate did on one example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoredRow {
    /// The metric's score; higher is better. A failed example has the failure score, 0.
    pub score: f64,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it used.
    #[serde(default)]
    pub usage: Usage,
}

/// A run of a teacher on one example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TracedRun {
    /// The predictor calls.
    pub steps: Vec<TraceStep>,
    /// The metric's score; none if the run failed.
    pub score: Option<f64>,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it used.
    #[serde(default)]
    pub usage: Usage,
}

/// What an LM liked to answer over some inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// By the hash of the reply's grammar: the likeliest first tokens with their log-probabilities.
    pub seen: Vec<(String, Vec<(String, f32)>)>,
    /// What it used.
    #[serde(default)]
    pub usage: Usage,
}

/// One line of a journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The study began.
    Started {
        /// What it is about.
        identity: Box<Identity>,
    },
    /// It goes on after a stop.
    Resumed {},
    /// A candidate was made.
    Proposed {
        /// Its hash.
        candidate: String,
        /// How it was made.
        origin: String,
        /// Its parameters.
        state: Arc<ProgramState>,
    },
    /// A candidate was run on an example.
    Scored {
        /// Hash of all that the result depends on.
        key: String,
        /// The candidate's hash.
        candidate: String,
        /// Which examples.
        split: Split,
        /// The example's place among them, from 0.
        example: usize,
        /// The result.
        row: ScoredRow,
    },
    /// A teacher was run on an example.
    Traced {
        /// Hash of all that the result depends on.
        key: String,
        /// The example's place in the train set, from 0.
        example: usize,
        /// The attempt, from 0.
        round: u64,
        /// The result.
        run: TracedRun,
    },
    /// A candidate's liking for labels was measured.
    Calibrated {
        /// Hash of all that the result depends on.
        key: String,
        /// The result.
        calibration: Calibration,
    },
    /// A candidate was taken or turned down.
    Decided {
        /// Its hash.
        candidate: String,
        /// Whether it is the best so far.
        accepted: bool,
        /// The reason, in words.
        why: String,
    },
    /// A session ended early.
    Stopped {
        /// The reason, in words.
        why: String,
        /// How long the session took.
        seconds: f64,
    },
    /// The study is done.
    Finished {
        /// The report.
        report: Value,
        /// How long the session took.
        seconds: f64,
    },
}

impl Event {
    pub(super) fn identity(&self) -> Option<&Identity> {
        match self {
            Event::Started { identity } => Some(identity),
            _ => None,
        }
    }

    /// The same result, paid for elsewhere.
    pub(super) fn without_usage(mut self) -> Self {
        match &mut self {
            Event::Scored { row, .. } => row.usage = Usage::default(),
            Event::Traced { run, .. } => run.usage = Usage::default(),
            Event::Calibrated { calibration, .. } => calibration.usage = Usage::default(),
            _ => {}
        }
        self
    }
}
