//! LabeledFewShot: labelled examples as demonstrations.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use teleprompt_core::{Parameters, ProgramState, Result};

use crate::data::Rng;
use crate::optimize::propose::{calibrate, labeled_demos};
use crate::optimize::{Candidate, Cost, Optimizer, Sizes, Task};

/// Gives each predictor up to `k` labelled examples, balanced over the labels, in random order.
///
/// No search, and no LM call but `calibration_examples`. Use it first: for a classifier on a small LM it is most of the gain.
/// Source: the baseline of Khattab et al. 2023, arXiv 2310.03714, section 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LabeledFewShot {
    /// Demonstrations a predictor. Default: 16.
    pub k: usize,
    /// Train inputs, without their labels, over which the LM's liking for single labels is measured
    /// and taken off; 0 for none. Only where an output is an enum and the LM tells
    /// log-probabilities. Default: 48.
    pub calibration_examples: usize,
}

impl Default for LabeledFewShot {
    fn default() -> Self {
        Self { k: 16, calibration_examples: 48 }
    }
}

impl LabeledFewShot {
    /// The candidate for a seed of its own.
    pub(super) async fn candidate(
        &self,
        task: &Task<'_>,
        rng: &Rng,
        origin: &str,
    ) -> Result<Candidate> {
        task.propose(origin, self.state(task, rng).await?)
    }

    /// What the candidate is made of, for recipes that combine it with something else.
    pub(super) async fn state(&self, task: &Task<'_>, rng: &Rng) -> Result<ProgramState> {
        let mut state = ProgramState::default();
        for (path, signature) in &task.predictors {
            let demos = labeled_demos(signature, &task.train, self.k, &mut rng.derive(path));
            if !demos.is_empty() {
                let demos = Some(demos.into_iter().map(|(_, demo)| demo).collect());
                state.insert(path.clone(), Parameters { demos, ..Parameters::default() });
            }
        }
        calibrate(task, state, self.calibration_examples).await
    }
}

impl Optimizer for LabeledFewShot {
    fn name(&self) -> &'static str {
        "labeled_few_shot"
    }
    fn settings(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
    fn validates(&self) -> bool {
        false
    }
    fn cost(&self, sizes: Sizes) -> Cost {
        Cost::runs(self.calibration_examples.min(sizes.train) as u64)
    }
    async fn search(&self, task: &Task<'_>) -> Result<Candidate> {
        let rng = Rng::new(task.seed).derive("labeled");
        self.candidate(task, &rng, &format!("{} labelled demos", self.k)).await
    }
}
