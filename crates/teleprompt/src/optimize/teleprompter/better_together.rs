//! BetterTogether: a sequence of recipes, each from where the one before stopped.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use teleprompt_core::{Error, Result};

use super::{BootstrapFewShotWithRandomSearch, MiproV2};
use crate::data::Dataset;
use crate::optimize::{Candidate, Cost, Optimizer, OptimizerHandle, Sizes, Task};

/// Runs recipes one after another. Each starts from what the one before found, and every step is
/// scored on the validation examples, so that a step that does harm is not the result.
///
/// The next step starts from the last step's candidate also if that did worse: some steps only pay
/// together. A step that fails is a remark, and the steps after it go on from before.
///
/// Cost: the sum of the steps, and the validation examples once a step. Use it for instructions
/// and then demonstrations, or for prompts and then weights.
/// Source: Soylu et al. 2024, arXiv 2407.10930.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BetterTogether {
    /// The recipes, each a name or `{"name": …, "settings": {…}}`. Default: `mipro_v2` without
    /// demonstrations, then `bootstrap_few_shot_with_random_search`.
    pub steps: Vec<OptimizerHandle>,
    /// Whether the train examples are put into another order before each step. Default: yes.
    pub shuffle: bool,
}

impl Default for BetterTogether {
    fn default() -> Self {
        let instructions =
            MiproV2 { max_bootstrapped_demos: 0, max_labeled_demos: 0, ..MiproV2::default() };
        Self {
            steps: vec![
                OptimizerHandle::new(instructions),
                OptimizerHandle::new(BootstrapFewShotWithRandomSearch::default()),
            ],
            shuffle: true,
        }
    }
}

impl BetterTogether {
    fn shuffled(&self, task: &Task<'_>, step: usize) -> Dataset {
        let mut places: Vec<usize> = (0..task.train.len()).collect();
        if self.shuffle {
            task.rng(&format!("order of step {step}")).shuffle(&mut places);
        }
        task.train.select(&places)
    }

    /// What a step makes of the candidate before it, if it does not fail.
    async fn step(
        &self,
        task: &Task<'_>,
        number: usize,
        recipe: &OptimizerHandle,
        from: &Candidate,
    ) -> Result<Option<Candidate>> {
        let name = recipe.name();
        let seed = task.rng(&format!("step {number}")).seed();
        let own = task.based_on(from).with_seed(seed);
        let own = own.with_examples(self.shuffled(task, number), task.val.clone());
        match recipe.search(&own).await {
            Ok(found) => {
                let score = task.validate(&found).await?;
                task.note(format!("step {}: {name} gave {score:.4}", number + 1))?;
                Ok(Some(found))
            }
            Err(error @ (Error::Budget(_) | Error::Stopped(_) | Error::Cancelled)) => Err(error),
            Err(error) if matches!(&error, Error::Lm(e) if e.is_fatal()) => Err(error),
            Err(error) => {
                task.note(format!("step {}: {name} failed: {error}", number + 1))?;
                Ok(None)
            }
        }
    }
}

impl Optimizer for BetterTogether {
    fn name(&self) -> &'static str {
        "better_together"
    }
    fn settings(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
    fn validates(&self) -> bool {
        true
    }
    fn writes(&self) -> bool {
        self.steps.iter().any(Optimizer::writes)
    }
    fn cost(&self, sizes: Sizes) -> Cost {
        let step = |recipe: &OptimizerHandle| recipe.cost(sizes) + Cost::runs(sizes.val as u64);
        let start = Cost::runs(sizes.val as u64);
        self.steps.iter().map(step).fold(start, |sum, cost| sum + cost)
    }
    async fn search(&self, task: &Task<'_>) -> Result<Candidate> {
        let mut from = task.base().clone();
        task.validate(&from).await?;
        for (number, recipe) in self.steps.iter().enumerate() {
            if let Some(found) = self.step(task, number, recipe, &from).await? {
                from = found;
            }
        }
        Ok(task.winner())
    }
}
