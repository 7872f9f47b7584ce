//! State by replay: what a journal's events add up to.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use teleprompt_core::Usage;

use super::{Asked, By, Calibration, Event, Run, Split};

/// What a study used, by what for. The parts are disjoint; their sum is all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Spend {
    /// Runs of candidates on train and validation examples.
    pub evaluation: Usage,
    /// Runs of the teacher.
    pub teacher: Usage,
    /// Instructions, rules and feedback asked for.
    pub proposals: Usage,
    /// Calls of the metric itself.
    pub metric: Usage,
    /// The program as written and the winner, on the test examples.
    pub report: Usage,
}

impl Spend {
    /// All of it.
    pub fn total(&self) -> Usage {
        let mut total = self.evaluation;
        for part in [self.teacher, self.proposals, self.metric, self.report] {
            total += part;
        }
        total
    }

    /// The parts that were used at all, by name.
    pub(crate) fn parts(&self) -> Vec<(&'static str, Usage)> {
        let all = [
            ("evaluation", self.evaluation),
            ("teacher", self.teacher),
            ("proposals", self.proposals),
            ("metric", self.metric),
            ("report", self.report),
        ];
        all.into_iter().filter(|(_, usage)| usage.calls > 0).collect()
    }

    fn part(&mut self, by: By, split: Split) -> &mut Usage {
        match (by, split) {
            (By::Teacher, _) => &mut self.teacher,
            (By::Student, Split::Test) => &mut self.report,
            (By::Student, _) => &mut self.evaluation,
        }
    }
}

/// A candidate as the journal tells of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CandidateFacts {
    /// Its hash.
    pub candidate: String,
    /// How it was made.
    pub origin: String,
    /// The hashes of the candidates that it was made from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<String>,
    /// Whether it was taken when it was last decided on; none: it never was.
    pub accepted: Option<bool>,
    /// The reason, in words.
    pub why: String,
    /// Its mean score when it was decided on.
    pub score: Option<f64>,
    /// The examples that the score rests on.
    pub n: usize,
    /// Scores on validation examples, by place; first rollouts only.
    pub scores: std::collections::BTreeMap<usize, f64>,
    /// Scores on train examples, by place; first rollouts only.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub train_scores: std::collections::BTreeMap<usize, f64>,
    /// What its runs used, the test examples not counted.
    pub usage: Usage,
}

#[derive(Debug, Default)]
pub(super) struct Known {
    pub runs: HashMap<String, Run>,
    pub asked: HashMap<String, Asked>,
    pub calibrations: HashMap<String, Calibration>,
    pub candidates: Vec<CandidateFacts>,
    places: HashMap<String, usize>,
    pub notes: Vec<String>,
    pub spent: Spend,
    pub seconds: f64,
    pub events: usize,
    /// Hashes of the events that are not said twice.
    said: HashSet<blake3::Hash>,
}

impl Known {
    /// Whether this was not said before; only asked about what a session that goes on says again.
    pub fn is_news(&mut self, event: &Event) -> bool {
        let json = serde_json::to_vec(event).unwrap_or_default();
        self.said.insert(blake3::hash(&json))
    }

    pub fn take(&mut self, event: Event) {
        self.events += 1;
        match event {
            Event::Proposed { candidate, origin, parents, .. } => {
                let facts = self.candidate(&candidate);
                if facts.origin.is_empty() {
                    (facts.origin, facts.parents) = (origin, parents);
                }
            }
            Event::Ran { key, candidate, by, split, example, rollout, run } => {
                *self.spent.part(by, split) += run.usage;
                self.spent.metric += run.judged;
                if by == By::Student && split != Split::Test {
                    self.scored(&candidate, split, example, rollout, &run);
                }
                self.runs.insert(key, run);
            }
            Event::Asked { key, asked, .. } => {
                self.spent.proposals += asked.usage;
                self.asked.insert(key, asked);
            }
            Event::Calibrated { key, calibration } => {
                self.spent.evaluation += calibration.usage;
                self.calibrations.insert(key, calibration);
            }
            Event::Decided { candidate, accepted, score, n, why } => {
                let facts = self.candidate(&candidate);
                (facts.accepted, facts.score, facts.n, facts.why) = (Some(accepted), score, n, why);
            }
            Event::Noted { note } => self.notes.push(note),
            Event::Stopped { seconds, .. } | Event::Finished { seconds, .. } => {
                self.seconds += seconds;
            }
            Event::Started { .. } | Event::Resumed {} => {}
        }
    }

    fn scored(&mut self, candidate: &str, split: Split, example: usize, rollout: u64, run: &Run) {
        let facts = self.candidate(candidate);
        facts.usage += run.usage;
        if rollout > 0 {
            return;
        }
        let scores = match split {
            Split::Train => &mut facts.train_scores,
            Split::Val | Split::Test => &mut facts.scores,
        };
        scores.insert(example, run.score);
    }

    /// The facts on a candidate, in the order in which candidates were first met.
    fn candidate(&mut self, hash: &str) -> &mut CandidateFacts {
        let next = self.candidates.len();
        let place = *self.places.entry(hash.to_owned()).or_insert(next);
        if place == next {
            self.candidates.push(CandidateFacts { candidate: hash.into(), ..Default::default() });
        }
        // The place was just made sure of.
        #[expect(clippy::indexing_slicing, reason = "places only holds indices of candidates")]
        &mut self.candidates[place]
    }
}
