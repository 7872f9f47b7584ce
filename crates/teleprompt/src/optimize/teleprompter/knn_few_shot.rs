//! KNNFewShot: the demonstrations nearest to the call.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use teleprompt_core::{Likeness, Nearest, Parameters, ProgramState, Record, Result, Signature};

use crate::optimize::propose::{Bootstrap, Bootstrapped, labeled_demos};
use crate::optimize::{Candidate, Cost, Optimizer, Sizes, Task};

/// Gives each predictor a pool of demonstrations, of which every call shows the `k` whose inputs are
/// most like its own, the most similar one last.
///
/// The pool is made once, when compiling, of labelled train examples and, where a predictor has
/// outputs without labels, such as the reasoning of a chain of thought or a step between, of accepted
/// runs of the teacher. A call costs no further LM call; with [`Likeness::Embedder`] it embeds its
/// inputs. Demonstrations that the program has already are shown before them.
///
/// No validation. Cost: none, or at most `max_rounds` runs a train example. Use it with many train
/// examples of many kinds, such as questions on mixed topics or labels too many for one prompt.
/// Source: Liu et al. 2022, arXiv 2101.06804; the recipe is that of DSPy, which bootstraps anew at
/// every call.
///
/// ```
/// use teleprompt::Likeness;
/// use teleprompt::optimize::teleprompter::KnnFewShot;
/// let recipe: KnnFewShot = serde_json::from_str(r#"{"k": 8, "by": {"embedder": "mini"}}"#)?;
/// assert_eq!((recipe.k, recipe.by), (8, Likeness::Embedder("mini".into())));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KnnFewShot {
    /// Demonstrations shown at a call. Default: 4.
    pub k: usize,
    /// What likeness is. Default: words in common.
    pub by: Likeness,
    /// Accepted runs wanted for the pool. Default: as many as there are train examples, if a
    /// predictor has an output that no train example has; else 0.
    pub max_bootstrapped_demos: Option<usize>,
    /// Demonstrations of a predictor's pool in all: what bootstrapping left is filled with labelled
    /// examples. Default: 1,000.
    pub max_labeled_demos: usize,
    /// Labelled demonstrations that the teacher gets, where no other teacher was given. Default: 4.
    pub teacher_demos: usize,
    /// Attempts an example; from the second on the teacher samples at temperature 1. Default: 1.
    pub max_rounds: u64,
    /// A run is accepted at this score or above. Default: any score above 0.
    pub metric_threshold: Option<f64>,
}

impl Default for KnnFewShot {
    fn default() -> Self {
        Self {
            k: 4,
            by: Likeness::Lexical,
            max_bootstrapped_demos: None,
            max_labeled_demos: 1000,
            teacher_demos: 4,
            max_rounds: 1,
            metric_threshold: None,
        }
    }
}

impl KnnFewShot {
    fn wanted(&self, task: &Task<'_>) -> usize {
        let labelled = |name: &str| task.train.iter().any(|e| e.fields.contains(name));
        let lacks = |(_, s): &(_, Signature)| s.outputs().iter().any(|f| !labelled(&f.name));
        let usual = if task.predictors.iter().any(lacks) { task.train.len() } else { 0 };
        self.max_bootstrapped_demos.unwrap_or(usual)
    }

    /// Bootstrapped demonstrations, then labelled examples that were not bootstrapped.
    fn pool(
        &self,
        task: &Task<'_>,
        path: &str,
        signature: &Signature,
        found: &Bootstrapped,
    ) -> Vec<Record> {
        let mut pool = found.demos.get(path).cloned().unwrap_or_default();
        let mut rng = task.rng("pool").derive(path);
        let mut labeled = labeled_demos(signature, &task.train, task.train.len(), &mut rng);
        labeled.retain(|(i, _)| !found.examples.contains(i));
        labeled.truncate(self.max_labeled_demos.saturating_sub(pool.len()));
        labeled.sort_by_key(|(i, _)| *i);
        pool.extend(labeled.into_iter().map(|(_, demo)| demo));
        pool
    }
}

impl Optimizer for KnnFewShot {
    fn name(&self) -> &'static str {
        "knn_few_shot"
    }
    fn settings(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
    fn validates(&self) -> bool {
        false
    }
    fn cost(&self, sizes: Sizes) -> Cost {
        let rounds =
            if self.max_bootstrapped_demos == Some(0) { 0 } else { self.max_rounds.max(1) };
        Cost::runs(sizes.train as u64 * rounds)
    }
    async fn search(&self, task: &Task<'_>) -> Result<Candidate> {
        let bootstrap = Bootstrap {
            max_demos: self.wanted(task),
            max_rounds: self.max_rounds,
            metric_threshold: self.metric_threshold,
            teacher_demos: self.teacher_demos,
        };
        let order: Vec<usize> = (0..task.train.len()).collect();
        let found = bootstrap.run(task, &order).await?;
        let mut state = ProgramState::default();
        for (path, signature) in &task.predictors {
            let pool = self.pool(task, path, signature, &found);
            if !pool.is_empty() && self.k > 0 {
                let nearest = Nearest { k: self.k, pool, by: self.by.clone() };
                let nearest = Some(Arc::new(nearest));
                state.insert(path.clone(), Parameters { nearest, ..Parameters::default() });
            }
        }
        task.propose(format!("the {} nearest demos", self.k), state)
    }
}
