//! Every candidate on every example.

use futures::{StreamExt, stream};
use teleprompt_core::{Error, Example, Result};

use crate::evaluate::score_example;
use crate::optimize::study::{Event, ScoredRow, Split};
use crate::optimize::{Candidate, Task};

/// The results of a candidate on all the examples of a split, in their order. Those that the study
/// has are not run again.
///
/// # Errors
/// A fatal error of the LM, the budget or the journal; what was journaled until then is kept. An
/// example that fails otherwise scores 0.
pub async fn full(task: &Task<'_>, candidate: &Candidate, split: Split) -> Result<Vec<ScoredRow>> {
    let examples = task.examples(split);
    let mut progress = task.progress.evaluation(&candidate.origin, split, examples.len());
    let cx = task.cx.with_candidate(candidate.state.clone());
    let runs = examples.iter().enumerate().map(|(i, example)| {
        let key = task.row_key(&candidate.hash, split, example);
        let cx = &cx;
        async move {
            if let Some(row) = task.study.row(&key) {
                return Ok(row);
            }
            let row = run(task, cx, example).await?;
            let candidate = candidate.hash.clone();
            task.study.record(Event::Scored { key, candidate, split, example: i, row: row.clone() })?;
            Ok::<_, Error>(row)
        }
    });
    let mut runs = stream::iter(runs).buffered(task.concurrency.max(1));
    let mut rows = Vec::with_capacity(examples.len());
    while let Some(row) = runs.next().await {
        let row = row?;
        progress.row(&row);
        rows.push(row);
    }
    Ok(rows)
}

async fn run(task: &Task<'_>, cx: &teleprompt_core::Context, example: &Example) -> Result<ScoredRow> {
    let row = score_example(cx, task.program, task.metric, example).await;
    match row.error {
        Some(error) if error.is_fatal() => Err(error),
        error => Ok(ScoredRow {
            score: if error.is_some() { 0.0 } else { row.score },
            error: error.map(|e| e.to_string()),
            usage: row.usage,
        }),
    }
}
