//! What a journal holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use teleprompt_core::{Record, TraceStep, Usage};

use super::{Identity, Part};
use crate::optimize::compose::Solution;

/// Which examples a result is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// What demonstrations, instructions and rules are made of.
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

/// Who ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// The program that is compiled, under a candidate.
    #[default]
    Student,
    /// The teacher.
    Teacher,
}

/// One run of a program on one example.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The metric's score; higher is better. A run that failed has 0 in the journal; a search counts
    /// it as the worst score it has seen, if that is below 0.
    pub score: f64,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether it failed because the LM could not be reached, was overloaded or took too long: no
    /// result, so that a later session tries it again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outage: bool,
    /// What the metric said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback: Option<String>,
    /// What the metric said on single predictors, by path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by_predictor: BTreeMap<Arc<str>, String>,
    /// Further objectives, each higher is better.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub objectives: BTreeMap<Arc<str>, f64>,
    /// The predictor calls; only of runs on train examples.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<TraceStep>,
    /// What the program gave; only of runs on train examples.
    #[serde(default, skip_serializing_if = "Record::is_empty")]
    pub outputs: Record,
    /// What the program used.
    #[serde(default)]
    pub usage: Usage,
    /// What the metric used, where it calls LMs itself.
    #[serde(default, skip_serializing_if = "is_unused")]
    pub judged: Usage,
    /// How long the run took, in milliseconds.
    #[serde(default)]
    pub millis: u64,
}

impl Run {
    /// Whether it failed, in the program or in the metric.
    pub fn failed(&self) -> bool {
        self.error.is_some()
    }
}

fn is_unused(usage: &Usage) -> bool {
    *usage == Usage::default()
}

/// A question to the LM that writes instructions, rules or feedback, and its answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// The messages of the last request: role and text.
    pub prompt: Vec<(String, String)>,
    /// The last reply as it came.
    pub reply: String,
    /// What was read from it; empty if the question failed.
    pub outputs: Record,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it used.
    #[serde(default)]
    pub usage: Usage,
}

/// What LMs liked to answer to the inputs of one example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// By the hash of the reply's grammar and the LM: the likeliest first tokens with their
    /// log-probabilities.
    pub seen: Vec<(String, Vec<(String, f32)>)>,
    /// What it used.
    #[serde(default)]
    pub usage: Usage,
}

/// What the metric said of outputs that no run gave.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Its score; higher is better. 0 if it failed.
    pub score: f64,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the metric used, where it calls LMs itself.
    #[serde(default, skip_serializing_if = "is_unused")]
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
        /// The hashes of the candidates that it was made from.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        parents: Vec<String>,
        /// Its parameters.
        state: Solution,
    },
    /// A program was run on an example.
    Ran {
        /// Hash of all that the result depends on.
        key: String,
        /// The candidate's hash.
        candidate: String,
        /// Who ran.
        #[serde(default)]
        by: By,
        /// Which examples.
        split: Split,
        /// The example's place among them, from 0.
        example: usize,
        /// Whether the example is none of the split itself, but of a set that the recipe made, such
        /// as train examples that take turns to choose by; its place is the one in that set.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pooled: bool,
        /// Which of several runs of the same, from 0.
        #[serde(default)]
        rollout: u64,
        /// The result.
        run: Run,
        /// Whether another study paid for it, of which this one is a fork.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        inherited: bool,
    },
    /// The LM that writes instructions was asked.
    Asked {
        /// Hash of all that the answer depends on.
        key: String,
        /// What for, in a few words.
        what: String,
        /// The answer.
        asked: Asked,
        /// Whether another study paid for it, of which this one is a fork.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        inherited: bool,
    },
    /// A candidate's liking for labels was measured on one example.
    Calibrated {
        /// Hash of all that the result depends on.
        key: String,
        /// The result.
        calibration: Calibration,
        /// Whether another study paid for it, of which this one is a fork.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        inherited: bool,
    },
    /// Calls were paid for a run or a question that came to no result: it failed for good on the way,
    /// such as at the end of the budget, or was given up.
    Lost {
        /// What it was for.
        part: Part,
        /// What it used.
        usage: Usage,
    },
    /// The metric was asked about outputs that no run gave.
    Judged {
        /// Hash of all that the score depends on.
        key: String,
        /// The score.
        judged: Judged,
        /// Whether another study paid for it, of which this one is a fork.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        inherited: bool,
    },
    /// A candidate was taken or turned down.
    Decided {
        /// Its hash.
        candidate: String,
        /// Whether it was taken.
        accepted: bool,
        /// Its mean score over `n` examples, where it was scored.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        score: Option<f64>,
        /// The examples that the score rests on.
        #[serde(default)]
        n: usize,
        /// The reason, in words.
        why: String,
    },
    /// A remark of the recipe on what it does and why.
    Noted {
        /// The remark.
        note: String,
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
    /// Whether it holds a result that was paid for.
    pub(super) fn is_result(&self) -> bool {
        matches!(
            self,
            Event::Ran { .. }
                | Event::Asked { .. }
                | Event::Calibrated { .. }
                | Event::Judged { .. }
        )
    }

    /// Whether a session begins or ends with it.
    pub(super) fn is_mark(&self) -> bool {
        matches!(
            self,
            Event::Started { .. }
                | Event::Resumed {}
                | Event::Stopped { .. }
                | Event::Finished { .. }
        )
    }

    /// Whether it follows from the results, so that a study that goes on makes it again.
    pub(super) fn is_derived(&self) -> bool {
        matches!(self, Event::Proposed { .. } | Event::Decided { .. } | Event::Noted { .. })
    }

    /// Without numbers that JSON cannot hold: they would be read back as none, and no later session
    /// could open the journal.
    pub(super) fn made_finite(mut self) -> Self {
        match &mut self {
            Event::Ran { run, .. } => {
                if !run.score.is_finite() {
                    run.error.get_or_insert_with(|| format!("{} is no score", run.score));
                    run.score = 0.0;
                }
                run.objectives.retain(|_, value| value.is_finite());
            }
            Event::Calibrated { calibration, .. } => {
                for (_, tops) in &mut calibration.seen {
                    tops.retain(|(_, logprob)| logprob.is_finite());
                }
            }
            Event::Judged { judged, .. } if !judged.score.is_finite() => {
                judged.error.get_or_insert_with(|| format!("{} is no score", judged.score));
                judged.score = 0.0;
            }
            Event::Decided { score, .. } => *score = score.filter(|s| s.is_finite()),
            _ => {}
        }
        self
    }

    /// The same result in a fork, which did not pay for it. What it used stays: winners are chosen
    /// and budgets planned by it.
    pub(super) fn inherited(mut self) -> Self {
        if let Event::Ran { inherited, .. }
        | Event::Asked { inherited, .. }
        | Event::Calibrated { inherited, .. }
        | Event::Judged { inherited, .. } = &mut self
        {
            *inherited = true;
        }
        self
    }
}
