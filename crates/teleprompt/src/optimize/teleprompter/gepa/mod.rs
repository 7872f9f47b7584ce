//! GEPA: instructions evolved by reflection on feedback.

mod evolve;
mod merge;
mod mutate;
mod options;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use teleprompt_core::Result;

use self::evolve::Evolution;
pub use self::options::{
    Acceptance, ComponentSelection, GepaBudget, Keep, MinibatchSampling, Parents, Proposals,
};
use crate::optimize::propose::Reflect;
use crate::optimize::race::Race;
use crate::optimize::search::{FrontKind, Selection};
use crate::optimize::{Candidate, Cost, Optimizer, Sizes, Task};

/// Evolves instructions: a candidate runs on a few train examples, an LM reads what was said of the
/// runs and rewrites the instructions, and a child that does better on the same examples is
/// validated. Every candidate that is best at anything stays a possible parent, and the strengths of
/// two are merged now and then.
///
/// Cost: at most `budget` runs (light, with one predictor: 280 + 6 × validation examples), and no
/// less than the validation examples; a question for each proposal. Use it when the metric can say in
/// words what was wrong (`Score::with_feedback`): that is what it learns from. Without such words it
/// has hardly more than scores to go by.
/// Source: GEPA (Agrawal et al. 2025, arXiv 2507.19457), algorithm 1.
///
/// ```
/// use teleprompt::optimize::teleprompter::{Gepa, GepaBudget};
/// use teleprompt::optimize::Optimizer;
/// use teleprompt::prelude::*;
///
/// # async fn run(cx: Context, train: Dataset) -> Result<()> {
/// let program = Predict::of(r#"message -> intent: enum["refund", "parcel"]"#)?;
/// let metric = |example: &Example, prediction: &Prediction| {
///     let right = example["intent"] == prediction["intent"];
///     Score::from(right).with_feedback(format!("It is about a {}.", example["intent"]))
/// };
/// let recipe = Gepa { budget: GepaBudget::MaxFullEvals(5), ..Gepa::default() };
/// let compiled = recipe.compiler(metric).compile(&cx, &program, &train).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gepa {
    /// How much the search may take. Default: light.
    pub budget: GepaBudget,
    /// How the next parent is chosen. Default: Pareto.
    pub candidate_selection: Selection,
    /// Which predictors a proposal rewrites. Default: round robin.
    pub component_selection: ComponentSelection,
    /// Which train examples a minibatch has. Default: epoch shuffled.
    pub minibatch_sampling: MinibatchSampling,
    /// Train examples of a minibatch; at least 1. Default: 3.
    pub minibatch_size: usize,
    /// When a child is validated. Default: when its sum of scores is above its parent's.
    pub acceptance: Acceptance,
    /// How many proposals an iteration makes, and from what. Default: one.
    pub proposals: Proposals,
    /// Whether a parent that is perfect on its minibatch is left alone. Default: yes.
    pub skip_perfect_score: bool,
    /// The score of a perfect run. Default: 1.
    pub perfect_score: f64,
    /// Whether strengths of two candidates are merged, where the program has several predictors.
    /// Default: yes.
    pub use_merge: bool,
    /// The most merges tried. Default: 5.
    pub max_merge_invocations: usize,
    /// Validation examples that a merge is tried on first; both candidates must have run on as many
    /// in common. Default: 5.
    pub merge_overlap_floor: usize,
    /// What candidates compete for. Default: the score on each validation example.
    pub frontier: FrontKind,
    /// The objectives, where the frontier compares any: `quality`, `tokens`, `latency`, or one of
    /// the metric's own. Default: quality.
    pub objectives: Vec<Arc<str>>,
    /// How many validation examples a candidate is run on. Default: all. Cross-validation is the same
    /// here, as instructions are not made of validation examples.
    pub validation: Race,
    /// What the LM that rewrites should know besides. Default: nothing.
    pub background: Option<String>,
    /// The most characters of a predictor's instructions; longer ones are shortened by a further
    /// question. Default: no limit.
    pub max_instruction_chars: Option<usize>,
    /// The sampling temperature of the proposals. Default: 1.
    pub temperature: Option<f64>,
}

impl Default for Gepa {
    fn default() -> Self {
        Self {
            budget: GepaBudget::default(),
            candidate_selection: Selection::default(),
            component_selection: ComponentSelection::default(),
            minibatch_sampling: MinibatchSampling::default(),
            minibatch_size: 3,
            acceptance: Acceptance::default(),
            proposals: Proposals::default(),
            skip_perfect_score: true,
            perfect_score: 1.0,
            use_merge: true,
            max_merge_invocations: 5,
            merge_overlap_floor: 5,
            frontier: FrontKind::default(),
            objectives: vec!["quality".into()],
            validation: Race::default(),
            background: None,
            max_instruction_chars: None,
            temperature: Some(1.0),
        }
    }
}

impl Gepa {
    fn reflect(&self) -> Reflect {
        Reflect {
            background: self.background.clone(),
            max_chars: self.max_instruction_chars,
            temperature: self.temperature,
        }
    }

    fn count(&self) -> usize {
        self.proposals.count.max(1)
    }

    /// Train examples of a minibatch.
    fn size(&self, train: usize) -> usize {
        self.minibatch_size.clamp(1, train.max(1))
    }

    /// The most iterations: no more than if each ran nothing but one parent on a minibatch. It ends
    /// a search whose proposals come to nothing, and so cost no runs.
    fn iterations(&self, runs: u64, train: usize) -> u64 {
        if train == 0 { 0 } else { runs / (self.size(train) * self.count()) as u64 }
    }
}

impl Optimizer for Gepa {
    fn name(&self) -> &'static str {
        "gepa"
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
        let runs = self.budget.runs(sizes.predictors, sizes.train, sizes.val);
        let rewritten = match self.component_selection {
            ComponentSelection::RoundRobin => 1,
            ComponentSelection::All => sizes.predictors as u64,
        };
        let texts = self.iterations(runs, sizes.train) * self.count() as u64 * rewritten;
        let questions = texts * (1 + u64::from(self.max_instruction_chars.is_some()));
        Cost { runs: runs.max(sizes.val as u64), questions }
    }
    async fn search(&self, task: &Task<'_>) -> Result<Candidate> {
        Evolution::new(task, self)?.run().await
    }
}
