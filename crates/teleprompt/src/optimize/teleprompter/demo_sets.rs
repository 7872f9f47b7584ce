//! Several sets of demonstrations for each predictor, from which searches choose.

use teleprompt_core::{Parameters, Result};

use super::{BootstrapFewShot, LabeledFewShot};
use crate::optimize::Task;

/// Up to `n` different sets for each predictor, in the order of the predictors: none but those in
/// force, labelled ones, those of a bootstrap over the train examples as they come, and those of
/// bootstraps over shuffled examples and of different sizes. Each carries the label bias that was
/// measured with it.
///
/// The teacher's runs are the same in all bootstraps, so that each example is paid once.
pub(super) async fn demo_sets(
    task: &Task<'_>,
    n: usize,
    bootstrap: &BootstrapFewShot,
) -> Result<Vec<Vec<Parameters>>> {
    let mut sets = vec![vec![Parameters::default()]; task.predictors.len()];
    for i in 1..n.max(1) {
        let state = state(task, i, bootstrap).await?;
        for ((path, _), sets) in task.predictors.iter().zip(&mut sets) {
            if let Some(set) = state.get(path).filter(|set| !sets.contains(set)) {
                sets.push((**set).clone());
            }
        }
    }
    Ok(sets)
}

async fn state(
    task: &Task<'_>,
    i: usize,
    bootstrap: &BootstrapFewShot,
) -> Result<teleprompt_core::ProgramState> {
    let mut rng = task.rng(&format!("demos {i}"));
    let mut order: Vec<usize> = (0..task.train.len()).collect();
    match i {
        1 if bootstrap.max_labeled_demos > 0 => {
            let calibration_examples = bootstrap.calibration_examples;
            let labeled = LabeledFewShot { k: bootstrap.max_labeled_demos, calibration_examples };
            labeled.state(task, &rng).await
        }
        1 | 2 => bootstrap.state(task, &order, &rng).await,
        _ => {
            rng.shuffle(&mut order);
            let most = bootstrap.max_bootstrapped_demos;
            let max_bootstrapped_demos = most.min(1 + rng.below(most.max(1)));
            BootstrapFewShot { max_bootstrapped_demos, ..*bootstrap }.state(task, &order, &rng).await
        }
    }
}

/// The most runs that this many sets can take.
pub(super) fn runs(bootstrap: &BootstrapFewShot, n: usize, train: usize) -> u64 {
    let sets = n.saturating_sub(1) as u64;
    let rounds = if bootstrap.max_bootstrapped_demos > 0 { bootstrap.max_rounds.max(1) } else { 0 };
    let calibrations = sets * bootstrap.calibration_examples.min(train) as u64;
    if sets == 0 { 0 } else { train as u64 * rounds + calibrations }
}
