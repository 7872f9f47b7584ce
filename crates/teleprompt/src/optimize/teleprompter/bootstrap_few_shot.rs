//! BootstrapFewShot: demonstrations from a teacher's accepted runs.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use teleprompt_core::{Parameters, ProgramState, Record, Result, Signature};

use crate::data::Rng;
use crate::optimize::propose::{Bootstrap, Bootstrapped, calibrate, labeled_demos};
use crate::optimize::{Candidate, Cost, Optimizer, Sizes, Task};

/// Runs a teacher over train examples, keeps what the metric accepts as demonstrations for every
/// predictor, and fills up with labelled examples.
///
/// The teacher is the student with labelled demonstrations unless another one is given. No
/// validation. Cost: at most `max_rounds` runs a train example, usually little more than
/// `max_bootstrapped_demos` divided by the teacher's score. Use it for programs of several steps,
/// where no labels exist for the steps between.
/// Source: Khattab et al. 2023, arXiv 2310.03714, section 4 and appendix E.1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BootstrapFewShot {
    /// Accepted runs wanted. Default: 4.
    pub max_bootstrapped_demos: usize,
    /// Demonstrations a predictor in all: what bootstrapping left is filled with labelled examples.
    /// Default: 16.
    pub max_labeled_demos: usize,
    /// Attempts an example; from the second on the teacher samples at temperature 1. Default: 1.
    pub max_rounds: u64,
    /// A run is accepted at this score or above. Default: any score above 0.
    pub metric_threshold: Option<f64>,
    /// Train inputs, without their labels, over which the LM's liking for single labels is measured
    /// and taken off; 0 for none. Only where an output is an enum and the LM tells
    /// log-probabilities. Default: 48.
    pub calibration_examples: usize,
}

impl Default for BootstrapFewShot {
    fn default() -> Self {
        Self {
            max_bootstrapped_demos: 4,
            max_labeled_demos: 16,
            max_rounds: 1,
            metric_threshold: None,
            calibration_examples: 48,
        }
    }
}

impl BootstrapFewShot {
    /// The candidate for an order of the train examples and a seed of its own.
    pub(super) async fn candidate(
        &self,
        task: &Task<'_>,
        order: &[usize],
        rng: &Rng,
        origin: &str,
    ) -> Result<Candidate> {
        task.propose(origin, self.state(task, order, rng).await?)
    }

    /// What the candidate is made of, for recipes that combine it with something else.
    pub(super) async fn state(
        &self,
        task: &Task<'_>,
        order: &[usize],
        rng: &Rng,
    ) -> Result<ProgramState> {
        let bootstrap = Bootstrap {
            max_demos: self.max_bootstrapped_demos,
            max_rounds: self.max_rounds,
            metric_threshold: self.metric_threshold,
            teacher_demos: self.max_labeled_demos,
        };
        let found = bootstrap.run(task, order).await?;
        let mut state = ProgramState::default();
        for (path, signature) in &task.predictors {
            let mut rng = rng.derive(path);
            let mut demos = found.demos.get(path).cloned().unwrap_or_default();
            demos.truncate(self.max_bootstrapped_demos);
            demos.extend(self.labels(task, signature, &found, demos.len(), &mut rng));
            // Bootstrapped ones first would always be the farthest from the question.
            rng.shuffle(&mut demos);
            if !demos.is_empty() {
                state.insert(
                    path.clone(),
                    Parameters { demos: Some(demos), ..Parameters::default() },
                );
            }
        }
        calibrate(task, state, self.calibration_examples).await
    }

    /// Labelled examples that were not bootstrapped, drawn anew for each predictor.
    fn labels(
        &self,
        task: &Task<'_>,
        signature: &Signature,
        found: &Bootstrapped,
        taken: usize,
        rng: &mut Rng,
    ) -> Vec<Record> {
        let wanted = self.max_labeled_demos.saturating_sub(taken);
        let drawn = labeled_demos(signature, &task.train, wanted + found.examples.len(), rng);
        let fresh = drawn.into_iter().filter(|(i, _)| !found.examples.contains(i));
        fresh.map(|(_, demo)| demo).take(wanted).collect()
    }
}

impl Optimizer for BootstrapFewShot {
    fn name(&self) -> &'static str {
        "bootstrap_few_shot"
    }
    fn settings(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
    fn validates(&self) -> bool {
        false
    }
    fn cost(&self, sizes: Sizes) -> Cost {
        let attempts = sizes.train as u64 * self.max_rounds.max(1);
        Cost::runs(attempts + self.calibration_examples.min(sizes.train) as u64)
    }
    async fn search(&self, task: &Task<'_>) -> Result<Candidate> {
        let order: Vec<usize> = (0..task.train.len()).collect();
        let rng = Rng::new(task.seed).derive("bootstrap");
        self.candidate(task, &order, &rng, "bootstrapped demos").await
    }
}
