//! InferRules: rules induced from examples, appended to the instructions.

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use teleprompt_core::{Parameters, Record, Result, Signature};

use super::BootstrapFewShot;
use super::demo_sets::{BOOTSTRAP, DemoSets};
use super::trials::{race_runs, times_made};
use crate::optimize::propose::{induce_rules, labeled_demos};
use crate::optimize::race::Race;
use crate::optimize::search::RandomSearch;
use crate::optimize::{Candidate, Cost, Make, Optimizer, Sizes, Task, explore};

/// Has an LM say which rules decide the outputs of train examples, several times from different
/// examples, appends them to the instructions of each predictor over bootstrapped demonstrations,
/// and keeps what does best on the validation examples. The program as written and the
/// demonstrations without rules are candidates, too.
///
/// Rules come from labelled examples of the predictor's fields, or, for steps without labels, from
/// the bootstrapped demonstrations.
///
/// Cost: `(num_candidates + 2) × validation examples`, one bootstrap, and one question a predictor
/// and candidate; a question that fails is asked up to three times more with fewer examples. Use it
/// where labels follow rules that examples alone do not show to the LM, such as house rules.
/// Source: InferRules of DSPy, without its fault of changing the program's own signature.
///
/// ```
/// use teleprompt::optimize::race::Race;
/// use teleprompt::optimize::teleprompter::InferRules;
/// let recipe: InferRules = serde_json::from_str(r#"{"num_rules": 5, "race": "wilcoxon"}"#)?;
/// assert_eq!((recipe.num_rules, recipe.race), (5, Race::wilcoxon()));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InferRules {
    /// Candidates with rules. Default: 10.
    pub num_candidates: usize,
    /// The most rules of a predictor. Default: 10.
    pub num_rules: usize,
    /// Examples that rules are induced from, drawn anew for each candidate. Default: 40.
    pub num_examples: usize,
    /// The sampling temperature of rules. Default: 1.
    pub temperature: f64,
    /// Accepted runs wanted. Default: 4.
    pub max_bootstrapped_demos: usize,
    /// Demonstrations a predictor in all. Default: 16.
    pub max_labeled_demos: usize,
    /// Attempts an example; from the second on the teacher samples at temperature 1. Default: 1.
    pub max_rounds: u64,
    /// A run is accepted at this score or above. Default: any score above 0.
    pub metric_threshold: Option<f64>,
    /// Train inputs, without their labels, over which the LM's liking for single labels is measured
    /// and taken off; 0 for none. Only where an output is an enum and the LM tells
    /// log-probabilities. Default: 48.
    pub calibration_examples: usize,
    /// How much evaluation a candidate earns. Default: all of it.
    pub race: Race,
}

impl Default for InferRules {
    fn default() -> Self {
        let bootstrap = BootstrapFewShot::default();
        Self {
            num_candidates: 10,
            num_rules: 10,
            num_examples: 40,
            temperature: 1.0,
            max_bootstrapped_demos: bootstrap.max_bootstrapped_demos,
            max_labeled_demos: bootstrap.max_labeled_demos,
            max_rounds: bootstrap.max_rounds,
            metric_threshold: bootstrap.metric_threshold,
            calibration_examples: bootstrap.calibration_examples,
            race: Race::Full,
        }
    }
}

impl InferRules {
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

struct Maker<'r> {
    recipe: &'r InferRules,
    demos: DemoSets,
}

impl Maker<'_> {
    /// The demonstrations alone, or, for numbers from 1, with rules.
    async fn candidate(&self, task: &Task<'_>, number: usize) -> Result<Candidate> {
        let demos = self.demos.set(task, BOOTSTRAP).await?;
        if number == 0 {
            return task.propose("bootstrapped demos", (*demos).clone());
        }
        let mut state = (*demos).clone();
        for (predictor, (path, signature)) in task.predictors.iter().enumerate() {
            let laid = demos.get(path).map(|p| (**p).clone()).unwrap_or_default();
            let examples = self.examples(task, path, signature, &laid, number);
            let InferRules { num_rules, temperature, .. } = *self.recipe;
            let rules =
                induce_rules(task, predictor, &examples, num_rules, number as u64, temperature);
            if let Some(rules) = rules.await? {
                let told = ruled(signature.instructions(), &rules);
                let instructions = Some(told.into());
                state.insert(path.clone(), Parameters { instructions, ..laid });
            }
        }
        task.propose(format!("rules {number}"), state)
    }

    fn examples(
        &self,
        task: &Task<'_>,
        path: &str,
        signature: &Signature,
        laid: &Parameters,
        number: usize,
    ) -> Vec<Record> {
        let mut rng = task.rng(&format!("rules {number}")).derive(path);
        let labeled = labeled_demos(signature, &task.train, self.recipe.num_examples, &mut rng);
        if labeled.is_empty() {
            let shown = laid.demos().iter().take(self.recipe.num_examples);
            return shown.cloned().collect();
        }
        labeled.into_iter().map(|(_, demo)| demo).collect()
    }
}

pub(super) fn ruled(instructions: &str, rules: &str) -> String {
    format!("{instructions}\n\nKeep to these rules:\n{rules}").trim_start().to_owned()
}

impl Make<usize> for Maker<'_> {
    fn make<'a>(
        &'a self,
        task: &'a Task<'_>,
        number: &'a usize,
    ) -> BoxFuture<'a, Result<Candidate>> {
        Box::pin(self.candidate(task, *number))
    }
}

impl Optimizer for InferRules {
    fn name(&self) -> &'static str {
        "infer_rules"
    }
    fn settings(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
    fn validates(&self) -> bool {
        true
    }
    fn writes(&self) -> bool {
        true
    }
    fn cost(&self, sizes: Sizes) -> Cost {
        let entrants = self.num_candidates as u64 + 2;
        let made = times_made(&self.race);
        let bootstrap = self.demos().bootstrap_runs(sizes);
        let candidates = self.num_candidates as u64;
        Cost {
            runs: race_runs(&self.race, entrants, sizes) + made * bootstrap,
            questions: 4 * candidates * made * sizes.predictors as u64,
        }
    }
    async fn search(&self, task: &Task<'_>) -> Result<Candidate> {
        let mut search = RandomSearch::new(0..=self.num_candidates);
        let maker = Maker { recipe: self, demos: self.demos() };
        explore(task, &mut search, None, &self.race, &maker).await
    }
}
