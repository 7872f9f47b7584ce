//! BootstrapFewShotWithRandomSearch: the best of several bootstraps.

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use teleprompt_core::Result;

use super::{BootstrapFewShot, LabeledFewShot};
use crate::data::Rng;
use crate::optimize::race::Race;
use crate::optimize::search::RandomSearch;
use crate::optimize::{Candidate, Cost, Make, Optimizer, Sizes, Task, explore};

/// Bootstraps with several orders and sizes and keeps the candidate that does best on the
/// validation examples. The program as written and plain labelled demonstrations are candidates,
/// too, so that the result is never chosen for being the only one.
///
/// Cost: `(num_candidate_programs + 3) × validation examples`, and the bootstraps. Use it when
/// labels are good and evaluations affordable; it is the strongest recipe that writes no prompt.
/// Source: Khattab et al. 2023, arXiv 2310.03714, appendix E.2.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BootstrapFewShotWithRandomSearch {
    /// The most accepted runs of a candidate; each draws from 1 to this. Default: 4.
    pub max_bootstrapped_demos: usize,
    /// Demonstrations a predictor in all. Default: 16.
    pub max_labeled_demos: usize,
    /// Attempts an example. Default: 1.
    pub max_rounds: u64,
    /// Candidates besides the three fixed ones. Default: 16.
    pub num_candidate_programs: usize,
    /// A run is accepted at this score or above. Default: any score above 0.
    pub metric_threshold: Option<f64>,
    /// Train inputs, without their labels, over which the LM's liking for single labels is measured
    /// and taken off; 0 for none. Only where an output is an enum and the LM tells
    /// log-probabilities. Default: 48.
    pub calibration_examples: usize,
    /// Ends the search at this mean validation score. Default: never.
    pub stop_at_score: Option<f64>,
    /// How much evaluation a candidate earns. Default: all of it.
    pub race: Race,
}

impl Default for BootstrapFewShotWithRandomSearch {
    fn default() -> Self {
        Self {
            max_bootstrapped_demos: 4,
            max_labeled_demos: 16,
            max_rounds: 1,
            num_candidate_programs: 16,
            metric_threshold: None,
            calibration_examples: 48,
            stop_at_score: None,
            race: Race::Full,
        }
    }
}

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Point {
    Labeled,
    /// Bootstrapped from the examples as they come.
    Unshuffled,
    /// Bootstrapped from a shuffle of its own.
    Shuffled(usize),
}

impl BootstrapFewShotWithRandomSearch {
    fn points(&self) -> Vec<Point> {
        let mut points = vec![Point::Labeled, Point::Unshuffled];
        points.extend((0..self.num_candidate_programs).map(Point::Shuffled));
        points
    }

    fn bootstrap(&self, max_bootstrapped_demos: usize) -> BootstrapFewShot {
        BootstrapFewShot {
            max_bootstrapped_demos,
            max_labeled_demos: self.max_labeled_demos,
            max_rounds: self.max_rounds,
            metric_threshold: self.metric_threshold,
            calibration_examples: self.calibration_examples,
        }
    }

    async fn candidate(&self, task: &Task<'_>, point: Point) -> Result<Candidate> {
        let rng = Rng::new(task.seed);
        let mut order: Vec<usize> = (0..task.train.len()).collect();
        match point {
            Point::Labeled => {
                let labeled = LabeledFewShot {
                    k: self.max_labeled_demos,
                    calibration_examples: self.calibration_examples,
                };
                labeled.candidate(task, &rng.derive("labeled"), "labelled demos").await
            }
            Point::Unshuffled => {
                let recipe = self.bootstrap(self.max_bootstrapped_demos);
                recipe.candidate(task, &order, &rng.derive("bootstrap"), "bootstrap").await
            }
            Point::Shuffled(n) => {
                let mut rng = rng.derive(&format!("bootstrap {n}"));
                rng.shuffle(&mut order);
                let size = 1 + rng.below(self.max_bootstrapped_demos.max(1));
                let origin = format!("bootstrap {}", n + 1);
                self.bootstrap(size).candidate(task, &order, &rng, &origin).await
            }
        }
    }
}

impl Make<Point> for BootstrapFewShotWithRandomSearch {
    fn make<'a>(
        &'a self,
        task: &'a Task<'_>,
        point: &'a Point,
    ) -> BoxFuture<'a, Result<Candidate>> {
        Box::pin(self.candidate(task, *point))
    }
}

impl Optimizer for BootstrapFewShotWithRandomSearch {
    fn name(&self) -> &'static str {
        "bootstrap_few_shot_with_random_search"
    }
    fn settings(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
    fn validates(&self) -> bool {
        true
    }
    fn cost(&self, sizes: Sizes) -> Cost {
        let points = self.num_candidate_programs as u64 + 3;
        let bootstraps = points.saturating_sub(2) * sizes.train as u64 * self.max_rounds.max(1);
        let calibrations = (points - 1) * self.calibration_examples.min(sizes.train) as u64;
        Cost::runs(points * sizes.val as u64 + bootstraps + calibrations)
    }
    async fn search(&self, task: &Task<'_>) -> Result<Candidate> {
        let mut search = RandomSearch::new(self.points()).stop_at(self.stop_at_score);
        explore(task, &mut search, None, &self.race, self).await
    }
}
