//! State by replay: what a journal's events add up to.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use teleprompt_core::{ProgramState, Usage};

use super::{By, Event, Identity, Run, Split};

/// What usage was for: the parts of [`Spend`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Runs of candidates on train and validation examples.
    Evaluation,
    /// Runs of the teacher.
    Teacher,
    /// Instructions, rules and feedback asked for.
    Proposals,
    /// Calls of the metric itself.
    Metric,
    /// The program as written and the winner, on the test examples.
    Report,
}

impl Part {
    /// Of a run.
    pub(in crate::optimize) fn of(by: By, split: Split) -> Self {
        match (by, split) {
            (By::Teacher, _) => Self::Teacher,
            (By::Student, Split::Test) => Self::Report,
            (By::Student, _) => Self::Evaluation,
        }
    }
}

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

    fn part(&mut self, part: Part) -> &mut Usage {
        match part {
            Part::Evaluation => &mut self.evaluation,
            Part::Teacher => &mut self.teacher,
            Part::Proposals => &mut self.proposals,
            Part::Metric => &mut self.metric,
            Part::Report => &mut self.report,
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
    /// Scores on validation examples, by place in the whole split; first rollouts only.
    pub scores: std::collections::BTreeMap<usize, f64>,
    /// Scores on train examples, by place in the whole split; first rollouts only.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub train_scores: std::collections::BTreeMap<usize, f64>,
    /// What its runs used, the test examples not counted.
    pub usage: Usage,
}

/// Where a line stands in a journal: its first byte and its length without the line break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place(pub u64, pub u32);

/// How the last session stands, as far as the journal tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Last {
    /// It goes on, or was killed.
    #[default]
    Open,
    /// It ended early; the line says why.
    Stopped(Place),
    /// It is done.
    Finished,
}

/// Results are known by their place in the journal and read when they are wanted; what is small is
/// kept. So a long journal opens at once, and a snapshot of this is small.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Known {
    pub identity: Option<Identity>,
    pub runs: HashMap<String, Place>,
    pub asked: HashMap<String, Place>,
    pub calibrations: HashMap<String, Place>,
    pub judged: HashMap<String, Place>,
    /// The proposals, by the candidate's hash.
    pub proposed: HashMap<String, Place>,
    pub candidates: Vec<CandidateFacts>,
    pub notes: Vec<String>,
    pub spent: Spend,
    pub seconds: f64,
    pub events: usize,
    pub last: Last,
    /// The last report.
    pub report: Option<Place>,
    /// Hashes of the events that are not said twice.
    said: HashSet<String>,
    /// Keys of runs that failed because the LM was out.
    #[serde(default)]
    outages: HashSet<String>,
    /// Those of earlier sessions, which are tried again once in this one.
    #[serde(skip)]
    again: HashSet<String>,
    /// Index of [`Known::candidates`] by hash.
    #[serde(skip)]
    places: HashMap<String, usize>,
}

impl Known {
    /// After a snapshot was read.
    pub fn restored(mut self) -> Self {
        let candidates = self.candidates.iter().enumerate();
        self.places = candidates.map(|(i, facts)| (facts.candidate.clone(), i)).collect();
        self
    }

    /// A session begins: what failed only because the LM was out is no result.
    pub fn try_outages_again(&mut self) {
        self.again = self.outages.clone();
    }

    /// The place of a run that is a result.
    pub fn run(&self, key: &str) -> Option<Place> {
        self.runs.get(key).copied().filter(|_| !self.again.contains(key))
    }

    /// Whether this was not said before; only asked about what a session that goes on says again.
    pub fn is_news(&self, event: &Event) -> bool {
        !self.said.contains(&said(event))
    }

    /// Takes in what stands at this place.
    pub fn take(&mut self, event: Event, place: Place) {
        self.events += 1;
        if event.is_derived() {
            self.said.insert(said(&event));
        }
        match event {
            Event::Started { identity } => self.identity = Some(*identity),
            Event::Resumed {} => self.last = Last::Open,
            Event::Proposed { candidate, origin, parents, .. } => {
                let facts = self.candidate(&candidate);
                if facts.origin.is_empty() {
                    (facts.origin, facts.parents) = (origin, parents);
                }
                self.proposed.entry(candidate).or_insert(place);
            }
            Event::Ran { key, candidate, by, split, example, pooled, rollout, run, inherited } => {
                if !inherited {
                    *self.spent.part(Part::of(by, split)) += run.usage;
                    self.spent.metric += run.judged;
                }
                self.again.remove(&key);
                // What a search decided by was the first result of a key that is one.
                let was_out = self.outages.remove(&key);
                if run.outage {
                    self.outages.insert(key.clone());
                }
                let first = was_out || !self.runs.contains_key(&key);
                if first && by == By::Student && split != Split::Test {
                    let counts = rollout == 0 && !pooled;
                    self.scored(&candidate, split, example, counts, &run);
                }
                if first {
                    self.runs.insert(key, place);
                }
            }
            Event::Asked { key, asked, inherited, .. } => {
                if !inherited {
                    self.spent.proposals += asked.usage;
                }
                self.asked.entry(key).or_insert(place);
            }
            Event::Calibrated { key, calibration, inherited } => {
                if !inherited {
                    self.spent.evaluation += calibration.usage;
                }
                self.calibrations.entry(key).or_insert(place);
            }
            Event::Judged { key, judged, inherited } => {
                if !inherited {
                    self.spent.metric += judged.usage;
                }
                self.judged.insert(key, place);
            }
            Event::Lost { part, usage } => *self.spent.part(part) += usage,
            Event::Decided { candidate, accepted, score, n, why } => {
                let facts = self.candidate(&candidate);
                (facts.accepted, facts.score, facts.n, facts.why) = (Some(accepted), score, n, why);
            }
            Event::Noted { note } => self.notes.push(note),
            Event::Stopped { seconds, .. } => {
                self.seconds += seconds;
                self.last = Last::Stopped(place);
            }
            Event::Finished { seconds, .. } => {
                self.seconds += seconds;
                (self.last, self.report) = (Last::Finished, Some(place));
            }
        }
    }

    fn scored(&mut self, candidate: &str, split: Split, example: usize, counts: bool, run: &Run) {
        let facts = self.candidate(candidate);
        facts.usage += run.usage;
        if !counts {
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
            // The program as written is never proposed.
            let written = hash == ProgramState::default().hash();
            let origin = if written { "as written" } else { "" }.to_owned();
            let candidate = hash.to_owned();
            self.candidates.push(CandidateFacts { candidate, origin, ..Default::default() });
        }
        // The place was just made sure of.
        #[expect(clippy::indexing_slicing, reason = "places only holds indices of candidates")]
        &mut self.candidates[place]
    }
}

fn said(event: &Event) -> String {
    let json = serde_json::to_vec(event).unwrap_or_default();
    blake3::hash(&json).to_hex().get(..32).unwrap_or_default().to_owned()
}
