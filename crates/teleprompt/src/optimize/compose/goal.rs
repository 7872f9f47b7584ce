//! Attempts until one is good enough.

use std::sync::Arc;

use teleprompt_core::{Error, Module, Prediction, Record, Result, Score};

use super::trials::{Trial, Trials};

type Reward = dyn Fn(&Record, &Prediction) -> Score + Send + Sync;

/// How good is good enough, and how long it is tried for.
#[derive(Clone)]
pub(super) struct Goal {
    pub n: u32,
    pub threshold: f64,
    pub max_failures: u32,
    pub reward: Arc<Reward>,
}

impl Goal {
    pub fn new<S: Into<Score>>(
        n: u32,
        reward: impl Fn(&Record, &Prediction) -> S + Send + Sync + 'static,
    ) -> Self {
        let reward = Arc::new(move |inputs: &Record, p: &Prediction| reward(inputs, p).into());
        Self { n: n.max(1), threshold: 1.0, max_failures: n.max(1), reward }
    }

    /// What decides, besides the reward, which has no name.
    pub fn fingerprint(&self) -> String {
        format!("n {} threshold {} failures {}", self.n, self.threshold, self.max_failures)
    }

    /// The score of a run; `None`: it failed.
    ///
    /// # Errors
    /// Those of the run that are fatal.
    pub fn judge(&self, inputs: &Record, trial: &Trial<Record>) -> Result<Option<Score>> {
        match &trial.outcome {
            Ok(prediction) => {
                let mut score = (self.reward)(inputs, prediction);
                if score.value.is_nan() {
                    score.value = f64::NEG_INFINITY;
                }
                Ok(Some(score))
            }
            Err(error) if error.is_fatal() => Err(error.clone()),
            Err(_) => Ok(None),
        }
    }
}

/// The attempts so far of one call.
pub(super) struct Search<'a> {
    goal: &'a Goal,
    best: Option<(f64, Trial<Record>)>,
    failed: Option<Trial<Record>>,
    failures: u32,
}

impl<'a> Search<'a> {
    pub fn new(goal: &'a Goal) -> Self {
        Self { goal, best: None, failed: None, failures: 0 }
    }

    /// Whether no further attempt is to be made after one of this score.
    pub fn ends_with(&self, score: Option<&Score>) -> bool {
        match score {
            Some(score) => score.value >= self.goal.threshold,
            None => self.failures >= self.goal.max_failures,
        }
    }

    /// Keeps the run if it is the best; of equal ones the first.
    pub fn keep(&mut self, score: Option<Score>, trial: Trial<Record>) {
        let Some(score) = score else {
            self.failures += 1;
            self.failed.get_or_insert(trial);
            return;
        };
        if self.best.as_ref().is_none_or(|(best, _)| score.value > *best) {
            self.best = Some((score.value, trial));
        }
    }

    /// The best run, or the first error if all failed.
    pub fn finish(self, trials: &Trials<'_>) -> Result<Prediction> {
        match self.best.map(|(_, trial)| trial).or(self.failed) {
            Some(trial) => trials.accept(trial),
            None => Err(Error::Config("no attempt was allowed".into())),
        }
    }
}

/// Runs a module on inputs that may be needed again; its output as a record.
pub(super) async fn run<M: Module>(
    trials: &Trials<'_>,
    cx: &teleprompt_core::Context,
    module: &M,
    inputs: &Record,
) -> Result<Trial<Record>> {
    let trial = trials.run(cx, module, inputs.clone().into_typed()?).await;
    let outcome = trial.outcome.and_then(|prediction| prediction.try_map(Record::from_typed));
    Ok(Trial { outcome, steps: trial.steps })
}
