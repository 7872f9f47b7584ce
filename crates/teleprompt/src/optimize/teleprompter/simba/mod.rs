//! SIMBA: stochastic mini-batch ascent by demonstrations and rules from the runs that vary most.

mod ascent;
mod bucket;
mod change;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use teleprompt_core::Result;

use self::ascent::Ascent;
use crate::optimize::{Candidate, Cost, Optimizer, Sizes, Task};

/// Improves candidates on one mini-batch after the other. Each example of a batch is run several
/// times; where the runs differ most there is most to learn: the best run becomes a demonstration,
/// or an LM compares the best with the worst and states a rule, which is added to the instructions
/// of the step it concerns.
///
/// The winners of evenly spaced batches are validated at the end. With a teacher, it does one of the
/// runs of each example; with a teacher context alone, the candidates do, by its LM. Cost, with `b` the smaller of `bsize` and the train examples:
/// `2 × max_steps × num_candidates × b` runs, `(num_candidates + 2) × validation examples`, and at
/// most `max_steps × num_candidates` questions. Use it when answers vary from run to run, which is
/// where it finds what to learn, and when there are evaluations to spend.
/// Source: SIMBA of DSPy 2.6. Unlike there, a change that does not apply costs no evaluation, train
/// sets smaller than a batch do, and the program as written enters with its validation score.
///
/// ```
/// use teleprompt::optimize::{Optimizer, teleprompter::Simba};
/// use teleprompt::prelude::*;
///
/// # async fn run(cx: Context, train: Dataset) -> Result<()> {
/// let program = Predict::of("question -> answer")?;
/// let recipe = Simba { max_steps: 4, ..Simba::default() };
/// let compiled = recipe.compiler(metric::exact_match("answer")).compile(&cx, &program, &train).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Simba {
    /// Train examples of a mini-batch; at least 1, and at most all there are. Default: 32.
    pub bsize: usize,
    /// Runs of each example, and new candidates of each step; at least 1. Default: 6.
    pub num_candidates: usize,
    /// Mini-batches. Default: 8.
    pub max_steps: usize,
    /// About as many demonstrations a predictor may have; 0 for rules alone. Default: 4.
    pub max_demos: usize,
    /// Characters of an input that a demonstration shows. Default: 100,000.
    pub demo_input_field_maxlen: usize,
    /// How evenly the candidates that run are drawn from the best, in units of the score; 0 always
    /// takes the best. Default: 0.2.
    pub temperature_for_sampling: f64,
    /// The same for the candidates that are changed. Default: 0.2.
    pub temperature_for_candidates: f64,
}

impl Default for Simba {
    fn default() -> Self {
        Self {
            bsize: 32,
            num_candidates: 6,
            max_steps: 8,
            max_demos: 4,
            demo_input_field_maxlen: 100_000,
            temperature_for_sampling: 0.2,
            temperature_for_candidates: 0.2,
        }
    }
}

impl Simba {
    fn count(&self) -> usize {
        self.num_candidates.max(1)
    }
}

impl Optimizer for Simba {
    fn name(&self) -> &'static str {
        "simba"
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
        let changes = (self.max_steps * self.count()) as u64;
        let batch = self.bsize.max(1).min(sizes.train) as u64;
        let validated = 1 + self.max_steps.min(self.count() + 1) as u64;
        let runs = 2 * changes * batch + validated * sizes.val as u64;
        Cost { runs, questions: changes }
    }
    async fn search(&self, task: &Task<'_>) -> Result<Candidate> {
        let base = task.validate(task.base()).await?;
        if task.train.is_empty() {
            task.note("there are no train examples to learn from")?;
            return Ok(task.winner());
        }
        let mut ascent = Ascent::new(task, self, base);
        for step in 0..self.max_steps {
            ascent.step(step).await?;
        }
        ascent.finish().await?;
        Ok(task.winner())
    }
}
