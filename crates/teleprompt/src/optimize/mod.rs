//! Optimizers (teleprompters): a program, examples and a metric to a better program.
//!
//! The folders are the paper's three stages: [`propose`] makes candidates, [`search`] and [`race`]
//! choose among them, [`study`] remembers everything. The recipes in [`teleprompter`] put these
//! pieces together, and [`Compiler`] runs any of them: it holds the budget, keeps the study, and
//! evaluates the program as written beside the winner on examples that the search never saw.
//!
//! ```
//! use teleprompt::optimize::{Optimizer, teleprompter::LabeledFewShot};
//! use teleprompt::prelude::*;
//!
//! # async fn run(cx: Context, train: Dataset) -> Result<()> {
//! let program = Predict::of(r#"message -> intent: enum["refund", "parcel"]"#)?;
//! let compiled = LabeledFewShot { k: 8, ..Default::default() }
//!     .compiler(metric::exact_match("intent"))
//!     .compile(&cx, &program, &train)
//!     .await?;
//! println!("{}", compiled.report);
//! compiled.program.save("intent.json")?;
//! # Ok(())
//! # }
//! ```

mod compiler;
pub mod compose;
mod drive;
mod estimate;
mod explore;
mod handle;
mod progress;
pub mod propose;
pub mod race;
mod report;
pub mod search;
mod splits;
pub mod study;
mod task;
pub mod teleprompter;
pub mod text;

use std::future::Future;
use std::ops::{Add, Mul};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use teleprompt_core::{Metric, ProgramState, Result};

pub use compiler::{Compiled, Compiler};
use compose::Solution;
pub use drive::{Drive, Trial};
pub use estimate::Estimate;
pub use explore::{Make, Racing, explore};
pub use handle::OptimizerHandle;
pub use progress::{Progress, RowProgress, Silent};
pub use report::{Change, Report, Side};
pub use task::{Call, Objective, Question, RunCall, Runner, Stops, Task, mean_score};

/// Parameters for a program, with their hash and a word on where they come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Hash of the parameters.
    pub hash: String,
    /// How it was made, in a few words.
    pub origin: String,
    solution: Solution,
}

impl Candidate {
    /// A candidate of these parameters, or of several that vote. Recipes make theirs by
    /// [`Task::propose`], which journals them.
    pub fn new(origin: impl Into<String>, solution: impl Into<Solution>) -> Self {
        let solution = solution.into();
        Self { hash: solution.hash(), origin: origin.into(), solution }
    }

    /// The program as written.
    pub fn baseline() -> Self {
        Self::new("as written", ProgramState::default())
    }

    /// What is laid over the program; of several that vote the first.
    pub fn state(&self) -> &Arc<ProgramState> {
        self.solution.first()
    }

    /// All that is laid over the program, and how it votes.
    pub fn solution(&self) -> &Solution {
        &self.solution
    }
}

/// Numbers of examples and predictors that a cost depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Train examples.
    pub train: usize,
    /// Validation examples.
    pub val: usize,
    /// Predictors of the program.
    pub predictors: usize,
}

/// The most that a search can take, without the evaluation of its result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Runs of the program or the teacher on an example.
    pub runs: u64,
    /// Questions to the LM that writes instructions.
    pub questions: u64,
}

impl Cost {
    /// This many runs of the program and no questions.
    pub fn runs(runs: u64) -> Self {
        Self { runs, questions: 0 }
    }
}

impl Add for Cost {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            runs: self.runs.saturating_add(other.runs),
            questions: self.questions.saturating_add(other.questions),
        }
    }
}

impl Mul<u64> for Cost {
    type Output = Self;
    fn mul(self, n: u64) -> Self {
        Self { runs: self.runs.saturating_mul(n), questions: self.questions.saturating_mul(n) }
    }
}

/// A teleprompter: searches better parameters for a program.
///
/// Write `search`; [`Compiler`] does the rest (budget, study, baseline, report). The recipes in
/// [`teleprompter`] are the examples to follow.
pub trait Optimizer: Send + Sync {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// Its settings, as shown in reports and compared when a study goes on.
    fn settings(&self) -> Value;

    /// Whether it chooses by validation examples, so that some have to be set aside.
    fn validates(&self) -> bool;

    /// Whether it asks the LM that writes instructions, rules or feedback. Default: no.
    fn writes(&self) -> bool {
        false
    }

    /// The most that a search can take.
    fn cost(&self, sizes: Sizes) -> Cost;

    /// Searches. All randomness comes from the task's seed, all results go through its study.
    ///
    /// # Errors
    /// Fatal errors of the LM, budget or journal.
    fn search(&self, task: &Task<'_>) -> impl Future<Output = Result<Candidate>> + Send;

    /// A compiler that runs it for this metric.
    fn compiler(self, metric: impl Metric) -> Compiler<Self>
    where
        Self: Sized,
    {
        Compiler::new(self, metric)
    }
}

/// The guide's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../../docs/optimizers.md")]
struct Guide;
