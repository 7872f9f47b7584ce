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
mod progress;
pub mod propose;
pub mod race;
mod report;
pub mod search;
mod splits;
pub mod study;
mod task;
pub mod teleprompter;

use std::future::Future;
use std::sync::Arc;

use serde_json::Value;
use teleprompt_core::{Metric, ProgramState, Result};

pub use compiler::{Compiled, Compiler};
pub use progress::{Progress, RowProgress, Silent};
pub use report::{Report, Side};
pub use task::Task;

/// Parameters for a program, with their hash and a word on where they come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Hash of the parameters.
    pub hash: String,
    /// How it was made, in a few words.
    pub origin: String,
    /// What is laid over the program.
    pub state: Arc<ProgramState>,
}

impl Candidate {
    /// A candidate of these parameters.
    pub fn new(origin: impl Into<String>, state: ProgramState) -> Self {
        Self { hash: state.hash(), origin: origin.into(), state: Arc::new(state) }
    }

    /// The program as written.
    pub fn baseline() -> Self {
        Self::new("as written", ProgramState::default())
    }
}

/// Numbers of examples and predictors that a cost depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Train examples.
    pub train: usize,
    /// Validation examples.
    pub val: usize,
}

/// A teleprompter: searches better parameters for a program.
///
/// Write `search`; [`Compiler`] does the rest (budget, study, baseline, report).
pub trait Optimizer: Send + Sync {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// Its settings, as shown in reports and compared when a study goes on.
    fn settings(&self) -> Value;

    /// Whether it chooses by validation examples, so that some have to be set aside.
    fn validates(&self) -> bool;

    /// The most program runs that a search can take, without the evaluation of the result.
    fn cost(&self, sizes: Sizes) -> u64;

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
