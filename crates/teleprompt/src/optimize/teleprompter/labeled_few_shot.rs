//! LabeledFewShot: labelled examples as demonstrations.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use teleprompt_core::{Parameters, ProgramState, Result};

use crate::data::Rng;
use crate::optimize::propose::labeled_demos;
use crate::optimize::{Candidate, Optimizer, Sizes, Task};

/// Gives each predictor up to `k` labelled examples, balanced over the labels, in random order.
///
/// No LM call and no search. Use it first: for a classifier on a small LM it is most of the gain.
/// Source: the baseline of Khattab et al. 2023, arXiv 2310.03714, section 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LabeledFewShot {
    /// Demonstrations a predictor. Default: 16.
    pub k: usize,
}

impl Default for LabeledFewShot {
    fn default() -> Self {
        Self { k: 16 }
    }
}

impl LabeledFewShot {
    /// The candidate for a seed of its own.
    pub(super) fn candidate(&self, task: &Task<'_>, rng: &Rng, origin: &str) -> Result<Candidate> {
        let mut state = ProgramState::default();
        for (path, signature) in &task.predictors {
            let demos = labeled_demos(signature, task.train, self.k, &mut rng.derive(path));
            if !demos.is_empty() {
                let demos = demos.into_iter().map(|(_, demo)| demo).collect();
                state.insert(path.clone(), Parameters { demos, ..Parameters::default() });
            }
        }
        task.propose(origin, state)
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
    fn cost(&self, _: Sizes) -> u64 {
        0
    }
    async fn search(&self, task: &Task<'_>) -> Result<Candidate> {
        let rng = Rng::new(task.seed).derive("labeled");
        self.candidate(task, &rng, &format!("{} labelled demos", self.k))
    }
}
