//! What an optimizer works with.

use std::sync::{Arc, Mutex, PoisonError};

use teleprompt_core::{
    Context, Example, Lm, Metric, MetricHandle, Module, Program, ProgramState, Result, Signature,
};

use super::progress::Progress;
use super::study::{Event, Split, Study};
use super::{Candidate, race};
use crate::evaluate::stats;

/// One search: program, examples, metric and the study that remembers.
pub struct Task<'a> {
    /// The context under which candidates run; it carries the search's share of the budget.
    pub cx: Context,
    /// The student.
    pub program: &'a Program,
    /// Its predictors, each with the signature as written.
    pub predictors: Vec<(Arc<str>, Signature)>,
    /// The teacher, where it is not the student itself.
    pub teacher: Option<&'a Program>,
    /// The context under which the teacher runs.
    pub teacher_cx: Context,
    /// What demonstrations are made of.
    pub train: &'a [Example],
    /// What candidates are chosen by.
    pub val: &'a [Example],
    /// What only the compiler itself looks at, when the search is over.
    pub(super) test: &'a [Example],
    /// Higher is better.
    pub metric: &'a MetricHandle,
    /// Remembers every result.
    pub study: &'a Study,
    /// Seed of everything random.
    pub seed: u64,
    /// Examples run at the same time, at least 1.
    pub concurrency: usize,
    /// Told about what goes on.
    pub progress: &'a dyn Progress,
    pub(super) best: Mutex<Option<(Candidate, f64)>>,
}

impl Task<'_> {
    /// Journals a candidate and returns it with its hash.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub fn propose(&self, origin: impl Into<String>, state: ProgramState) -> Result<Candidate> {
        let candidate = Candidate::new(origin, state);
        self.study.record(Event::Proposed {
            candidate: candidate.hash.clone(),
            origin: candidate.origin.clone(),
            state: candidate.state.clone(),
        })?;
        Ok(candidate)
    }

    /// The mean score of a candidate on the validation examples, all of them. Remembers the best
    /// candidate, so that a search whose budget ends has a result.
    ///
    /// # Errors
    /// Those of [`race::full`].
    pub async fn validate(&self, candidate: &Candidate) -> Result<f64> {
        let rows = race::full(self, candidate, Split::Val).await?;
        let score = stats::mean(&rows.iter().map(|r| r.score).collect::<Vec<_>>());
        let mut best = self.best.lock().unwrap_or_else(PoisonError::into_inner);
        let before = best.as_ref().map(|(_, s)| *s);
        let accepted = before.is_none_or(|b| score > b);
        if accepted {
            *best = Some((candidate.clone(), score));
        }
        drop(best);
        let n = rows.len();
        let why = match before {
            None => format!("{score:.4} on {n} validation examples, the first"),
            Some(b) => format!("{score:.4} on {n} validation examples, best before {b:.4}"),
        };
        self.study.record(Event::Decided { candidate: candidate.hash.clone(), accepted, why })?;
        Ok(score)
    }

    /// The examples of a split.
    pub(super) fn examples(&self, split: Split) -> &[Example] {
        match split {
            Split::Train => self.train,
            Split::Val => self.val,
            Split::Test => self.test,
        }
    }

    /// Hash of all that the result of a candidate on an example depends on.
    pub(super) fn row_key(&self, candidate: &str, split: Split, example: &Example) -> String {
        let mut hasher = base(&self.cx, self.program, self.metric);
        hasher.update(candidate.as_bytes());
        hasher.update(split.to_string().as_bytes());
        finish(hasher, example)
    }

    /// Hash of all that a calibration over these examples depends on.
    pub(super) fn calibration_key(&self, state: &ProgramState, examples: &[&Example]) -> String {
        let mut hasher = base(&self.cx, self.program, self.metric);
        hasher.update(b"calibration");
        hasher.update(state.hash().as_bytes());
        for example in examples {
            hasher.update(&serde_json::to_vec(&example.inputs()).unwrap_or_default());
        }
        hasher.finalize().to_hex().get(..32).unwrap_or_default().to_owned()
    }

    /// Hash of all that a run of the teacher depends on.
    pub(super) fn teacher_key(
        &self,
        state: &ProgramState,
        example: &Example,
        round: u64,
    ) -> String {
        let mut hasher = base(&self.teacher_cx, self.teacher.unwrap_or(self.program), self.metric);
        hasher.update(state.hash().as_bytes());
        hasher.update(&round.to_le_bytes());
        finish(hasher, example)
    }
}

fn base(cx: &Context, program: &Program, metric: &MetricHandle) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(super::compiler::program_identity(program).to_string().as_bytes());
    part(cx.lm().identity().as_bytes());
    part(cx.adapter().name().as_bytes());
    part(&serde_json::to_vec(cx.settings()).unwrap_or_default());
    part(&cx.seed().to_le_bytes());
    part(metric.name().as_bytes());
    part(program.fingerprint().as_bytes());
    hasher
}

fn finish(mut hasher: blake3::Hasher, example: &Example) -> String {
    hasher.update(&serde_json::to_vec(example).unwrap_or_default());
    hasher.finalize().to_hex().get(..32).unwrap_or_default().to_owned()
}
