//! Every candidate on every example.

use teleprompt_core::Result;

use crate::optimize::study::{Run, Split};
use crate::optimize::{Candidate, Task};

/// The runs of a candidate on all the examples of a split, in their order. Those that the study
/// has are not run again.
///
/// # Errors
/// Those of [`Task::run`].
pub async fn full(task: &Task<'_>, candidate: &Candidate, split: Split) -> Result<Vec<Run>> {
    let places: Vec<usize> = (0..task.examples(split).len()).collect();
    task.runs(candidate, split, &places).await
}
