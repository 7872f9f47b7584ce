//! BootstrapFewShotWithTpe: demonstrations for each predictor, chosen by a model of what did well.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use teleprompt_core::Result;

use super::BootstrapFewShot;
use super::combine::{Choices, Combine};
use super::demo_sets::DemoSets;
use super::trials::{Limited, race_runs, times_made};
use crate::optimize::race::Race;
use crate::optimize::search::{Tpe, TpeSettings};
use crate::optimize::{Candidate, Cost, Optimizer, Sizes, Task, explore};

/// Makes several sets of demonstrations, lets every predictor have any of them, and searches the
/// combinations with TPE.
///
/// Cost: `(num_candidate_programs + 1) × validation examples`, and bootstraps that pay each train
/// example at most `max_rounds` times. Use it for programs of several steps: random search gives all
/// steps the demonstrations of the same bootstrap, this one finds that one step does best with many
/// and another with none. With one predictor it tries one set after the other.
/// Source: Khattab et al. 2023, arXiv 2310.03714, section 4; the search is DSPy's
/// BootstrapFewShotWithOptuna, with whole sets in place of a single demonstration.
///
/// ```
/// use teleprompt::optimize::race::Race;
/// use teleprompt::optimize::teleprompter::BootstrapFewShotWithTpe;
/// let recipe: BootstrapFewShotWithTpe = serde_json::from_str(r#"{"race": "minibatch"}"#)?;
/// assert_eq!((recipe.num_candidate_programs, recipe.race), (16, Race::minibatch()));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BootstrapFewShotWithTpe {
    /// Combinations tried, besides the program as written. Default: 16.
    pub num_candidate_programs: usize,
    /// Sets that each predictor can choose from, none included. Default: for one predictor as many
    /// as are tried, for more of them 6, so that the search can learn which sets are good.
    pub num_demo_sets: Option<usize>,
    /// The most accepted runs of a set; each shuffled one draws from 1 to this. Default: 4.
    pub max_bootstrapped_demos: usize,
    /// Demonstrations of a set in all. Default: 16.
    pub max_labeled_demos: usize,
    /// Attempts an example; from the second on the teacher samples at temperature 1. Default: 1.
    pub max_rounds: u64,
    /// A run is accepted at this score or above. Default: any score above 0.
    pub metric_threshold: Option<f64>,
    /// Train inputs, without their labels, over which the LM's liking for single labels is measured
    /// and taken off; 0 for none. Only where an output is an enum and the LM tells
    /// log-probabilities. Default: 48.
    pub calibration_examples: usize,
    /// Settings of the search.
    pub tpe: TpeSettings,
    /// How much evaluation a candidate earns. Default: all of it.
    pub race: Race,
}

impl Default for BootstrapFewShotWithTpe {
    fn default() -> Self {
        let bootstrap = BootstrapFewShot::default();
        Self {
            num_candidate_programs: 16,
            num_demo_sets: None,
            max_bootstrapped_demos: bootstrap.max_bootstrapped_demos,
            max_labeled_demos: bootstrap.max_labeled_demos,
            max_rounds: bootstrap.max_rounds,
            metric_threshold: bootstrap.metric_threshold,
            calibration_examples: bootstrap.calibration_examples,
            tpe: TpeSettings::default(),
            race: Race::Full,
        }
    }
}

impl BootstrapFewShotWithTpe {
    fn sets(&self, predictors: usize) -> usize {
        let usual = if predictors > 1 { 6 } else { self.num_candidate_programs + 1 };
        self.num_demo_sets.unwrap_or(usual).max(1)
    }

    fn demos(&self) -> DemoSets {
        DemoSets::new(BootstrapFewShot {
            max_bootstrapped_demos: self.max_bootstrapped_demos,
            max_labeled_demos: self.max_labeled_demos,
            max_rounds: self.max_rounds,
            metric_threshold: self.metric_threshold,
            calibration_examples: self.calibration_examples,
        })
    }
}

impl Optimizer for BootstrapFewShotWithTpe {
    fn name(&self) -> &'static str {
        "bootstrap_few_shot_with_tpe"
    }
    fn settings(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
    fn validates(&self) -> bool {
        true
    }
    fn cost(&self, sizes: Sizes) -> Cost {
        let sets = self.demos().runs(self.sets(sizes.predictors), sizes);
        let entrants = self.num_candidate_programs as u64 + 1;
        Cost::runs(race_runs(&self.race, entrants, sizes) + times_made(&self.race) * sets)
    }
    async fn search(&self, task: &Task<'_>) -> Result<Candidate> {
        let sets = self.demos();
        let numbers = sets.different(task, self.sets(task.predictors.len())).await?;
        let in_force = |(_, signature): &(_, teleprompt_core::Signature)| {
            vec![signature.instructions().into()]
        };
        let choices = task.predictors.iter().map(in_force).zip(numbers);
        let choices = choices.map(|(instructions, demos)| Choices { instructions, demos });
        let combine = Combine { choices: choices.collect(), sets };
        let space = combine.space()?;
        let start = vec![0; space.sizes().len()];
        let tpe = Tpe::new(space, task.rng("tpe").seed()).settings(self.tpe);
        let mut search = Limited { search: tpe, left: self.num_candidate_programs };
        explore(task, &mut search, Some(start), &self.race, &combine).await
    }
}
