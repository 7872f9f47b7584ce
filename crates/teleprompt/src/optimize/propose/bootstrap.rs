//! Demonstrations from traces of a teacher, filtered by the metric.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesOrdered;
use teleprompt_core::{Example, Parameters, ProgramState, Record, Result};

use super::labeled_demos;
use crate::data::Rng;
use crate::module::is_made_of;
use crate::optimize::compose::fit;
use crate::optimize::study::{Run, Split};
use crate::optimize::task::over;
use crate::optimize::{Call, Candidate, Task};

/// Runs a teacher over train examples and keeps the traces of those runs that the metric accepts: a
/// demonstration for every predictor, also for steps that no label exists for.
///
/// Source: Khattab et al. 2023, arXiv 2310.03714, section 4 and algorithm 1.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    /// Accepted runs wanted.
    pub max_demos: usize,
    /// Attempts an example; from the second one on the teacher samples at temperature 1.
    pub max_rounds: u64,
    /// A run is accepted at this score or above; none: at any score above 0.
    pub metric_threshold: Option<f64>,
    /// Labelled demonstrations that the teacher gets, where no other teacher was given.
    pub teacher_demos: usize,
}

/// What a [`Bootstrap`] found.
#[derive(Clone, Debug, Default)]
pub struct Bootstrapped {
    /// Demonstrations by predictor path, in the order of the examples.
    pub demos: BTreeMap<Arc<str>, Vec<Record>>,
    /// The places of the examples they come from.
    pub examples: HashSet<usize>,
}

impl Bootstrap {
    /// Goes through the train examples in this order until enough runs were accepted.
    ///
    /// # Errors
    /// A fatal error of the LM, the budget or the journal; an example that fails is passed over.
    pub async fn run(&self, task: &Task<'_>, order: &[usize]) -> Result<Bootstrapped> {
        let mut found = Bootstrapped::default();
        let labeled = self.teacher_labels(task);
        let mut waiting = order.iter().copied();
        while found.examples.len() < self.max_demos {
            // As many at a time as are still wanted: no run is paid for that cannot be used.
            let missing = self.max_demos - found.examples.len();
            let wave: Vec<usize> = waiting.by_ref().take(missing.min(task.concurrency)).collect();
            if wave.is_empty() {
                break;
            }
            let mut runs = FuturesOrdered::new();
            for i in wave {
                runs.push_back(self.accepted(task, &labeled, i));
            }
            while let Some(run) = runs.next().await {
                if let (i, Some(run)) = run? {
                    found.examples.insert(i);
                    take_demos(task, &mut found.demos, run, task.seed ^ i as u64);
                }
            }
        }
        Ok(found)
    }

    /// Labelled demonstrations for the student as its own teacher.
    fn teacher_labels(&self, task: &Task<'_>) -> ProgramState {
        let mut state = ProgramState::default();
        if task.teacher.is_some() {
            return state;
        }
        let rng = Rng::new(task.seed).derive("teacher");
        for (path, signature) in &task.predictors {
            let demos =
                labeled_demos(signature, &task.train, self.teacher_demos, &mut rng.derive(path));
            if !demos.is_empty() {
                let demos = Some(demos.into_iter().map(|(_, demo)| demo).collect());
                state.insert(path.clone(), Parameters { demos, ..Parameters::default() });
            }
        }
        state
    }

    /// The example's place, and the first run on it that the metric accepts.
    async fn accepted(
        &self,
        task: &Task<'_>,
        labeled: &ProgramState,
        example: usize,
    ) -> Result<(usize, Option<Run>)> {
        for round in 0..self.max_rounds.max(1) {
            let run = self.attempt(task, labeled, example, round).await?;
            let good = |score: f64| self.metric_threshold.map_or(score > 0.0, |t| score >= t);
            if !run.failed() && good(run.score) {
                return Ok((example, Some(run)));
            }
        }
        Ok((example, None))
    }

    async fn attempt(
        &self,
        task: &Task<'_>,
        labeled: &ProgramState,
        example: usize,
        round: u64,
    ) -> Result<Run> {
        // Another program is a teacher of its own; the student teaches as it is now.
        let mut state = match task.teacher {
            Some(_) => ProgramState::default(),
            None => over(labeled, task.base().state()),
        };
        if let Some(example) = task.train.get(example) {
            hide(&mut state, task, example);
        }
        let teacher = Candidate::new("the teacher", state);
        let mut call = Call::new(&teacher, Split::Train, example).by_teacher();
        if round > 0 {
            call = call.sampled(round, 1.0);
        }
        task.run(&call).await
    }
}

/// Takes out the demonstrations that were made of the example, labelled or learnt before: the teacher
/// may not be told the answer, whoever runs it.
fn hide(state: &mut ProgramState, task: &Task<'_>, example: &Example) {
    for (path, signature) in &task.predictors {
        let Some(parameters) = state.get(path) else { continue };
        let made = |demo: &Record| is_made_of(demo, signature, example);
        if parameters.demos().iter().any(made) {
            let mut parameters = (**parameters).clone();
            parameters.demos.iter_mut().for_each(|demos| demos.retain(|demo| !made(demo)));
            state.insert(path.clone(), parameters);
        }
    }
}

/// At most one demonstration a predictor from one run: of several calls the last, or, one time in
/// two, any of those before.
fn take_demos(task: &Task<'_>, demos: &mut BTreeMap<Arc<str>, Vec<Record>>, run: Run, seed: u64) {
    let mut calls: BTreeMap<Arc<str>, Vec<Record>> = BTreeMap::new();
    for step in run.steps.into_iter().filter(|s| s.error.is_none()) {
        let path = task.taught.get(&step.path).cloned().unwrap_or(step.path);
        let signature = task.predictors.iter().find(|(p, _)| *p == path).map(|(_, s)| s);
        let fields: Record = step.inputs.into_iter().chain(step.outputs).collect();
        // A teacher's predictor may have fields that the student's lacks.
        if let Some(demo) = signature.and_then(|signature| fit(&fields, signature)) {
            calls.entry(path).or_default().push(demo);
        }
    }
    for (path, mut made) in calls {
        let mut rng = Rng::new(seed).derive(&path);
        let before = made.len().saturating_sub(1);
        let chosen = if before > 0 && rng.below(2) == 0 { rng.below(before) } else { before };
        demos.entry(path).or_default().push(made.swap_remove(chosen));
    }
}
