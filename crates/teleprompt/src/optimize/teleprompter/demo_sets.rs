//! Several sets of demonstrations for each predictor, from which searches choose.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use teleprompt_core::{Parameters, ProgramState, Record, Result};

use super::{BootstrapFewShot, LabeledFewShot};
use crate::optimize::{Optimizer, Sizes, Task};

/// The number of the set that a bootstrap over the train examples as they come gives.
pub(super) const BOOTSTRAP: usize = 2;

/// Sets by number: 0 is what is in force, 1 are labelled examples, 2 those of a bootstrap over the
/// train examples as they come, and all further ones those of bootstraps over shuffled examples and
/// of different sizes. Each carries the label bias that was measured with it.
///
/// The teacher's runs are the same in all bootstraps, so that each example is paid once.
pub(super) struct DemoSets {
    bootstrap: BootstrapFewShot,
    /// By the hash of the train examples, which folds change, and by number.
    made: Mutex<BTreeMap<(String, usize), Arc<ProgramState>>>,
}

impl DemoSets {
    pub fn new(bootstrap: BootstrapFewShot) -> Self {
        Self { bootstrap, made: Mutex::default() }
    }

    /// The set of a number, for all predictors.
    pub async fn set(&self, task: &Task<'_>, number: usize) -> Result<Arc<ProgramState>> {
        let key = (task.train.hash(), number);
        let made = || self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(set) = made().get(&key).cloned() {
            return Ok(set);
        }
        let set = Arc::new(self.make(task, number).await?);
        made().insert(key, set.clone());
        Ok(set)
    }

    async fn make(&self, task: &Task<'_>, number: usize) -> Result<ProgramState> {
        let bootstrap = &self.bootstrap;
        let mut rng = task.rng(&format!("demos {number}"));
        let mut order: Vec<usize> = (0..task.train.len()).collect();
        match number {
            0 => Ok(ProgramState::default()),
            1 => {
                let calibration_examples = bootstrap.calibration_examples;
                let k = bootstrap.max_labeled_demos;
                LabeledFewShot { k, calibration_examples }.state(task, &rng).await
            }
            BOOTSTRAP => bootstrap.state(task, &order, &rng).await,
            _ => {
                rng.shuffle(&mut order);
                let most = bootstrap.max_bootstrapped_demos;
                let size = most.min(1 + rng.below(most.max(1)));
                let recipe = BootstrapFewShot { max_bootstrapped_demos: size, ..*bootstrap };
                recipe.state(task, &order, &rng).await
            }
        }
    }

    /// For each predictor, the numbers below `n` whose sets differ.
    pub async fn different(&self, task: &Task<'_>, n: usize) -> Result<Vec<Vec<usize>>> {
        let mut seen = vec![vec![Parameters::default()]; task.predictors.len()];
        let mut numbers = vec![vec![0]; task.predictors.len()];
        for number in 1..n {
            if number > BOOTSTRAP && costs_too_much(task) {
                task.note(format!(
                    "{} sets of demonstrations instead of {}: more would leave too few calls for trying them",
                    number - 1,
                    n - 1
                ))?;
                break;
            }
            let set = self.set(task, number).await?;
            let places = task.predictors.iter().zip(seen.iter_mut().zip(&mut numbers));
            for ((path, _), (seen, numbers)) in places {
                if let Some(new) = set.get(path).filter(|set| !seen.contains(set)) {
                    seen.push((**new).clone());
                    numbers.push(number);
                }
            }
        }
        Ok(numbers)
    }

    /// The demonstrations of these sets for a predictor.
    pub async fn demos(
        &self,
        task: &Task<'_>,
        path: &str,
        numbers: &[usize],
    ) -> Result<Vec<Vec<Record>>> {
        let mut demos = Vec::new();
        for number in numbers {
            let set = self.set(task, *number).await?;
            demos.push(set.get(path).map(|set| set.demos().to_vec()).unwrap_or_default());
        }
        Ok(demos)
    }

    /// The most runs that sets below the number `n` take.
    pub fn runs(&self, n: usize, sizes: Sizes) -> u64 {
        let bootstrap = &self.bootstrap;
        let sets = n.saturating_sub(1) as u64;
        let bootstraps = n > 2 && bootstrap.max_bootstrapped_demos > 0;
        let rounds = if bootstraps { bootstrap.max_rounds.max(1) } else { 0 };
        let calibrations = sets * bootstrap.calibration_examples.min(sizes.train) as u64;
        sizes.train as u64 * rounds + calibrations
    }

    /// The most runs that the set of the bootstrap over the train examples as they come takes.
    pub fn bootstrap_runs(&self, sizes: Sizes) -> u64 {
        self.bootstrap.cost(sizes).runs
    }
}

/// Whether the search has used a third of the calls that the search may use. What is
/// wanted counts, not what this session paid, so that a study that goes on decides the same.
fn costs_too_much(task: &Task<'_>) -> bool {
    let Some(allowed) = task.allowance else { return false };
    3 * task.used().runs * task.predictors.len().max(1) as u64 > allowed
}
