//! Every candidate on every example.

use futures::StreamExt;
use futures::stream::FuturesOrdered;
use teleprompt_core::{Context, Example, Result};

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
    let mut waiting = examples.iter().enumerate();
    let mut running = FuturesOrdered::new();
    let mut rows = Vec::with_capacity(examples.len());
    loop {
        while running.len() < task.concurrency {
            let Some((i, example)) = waiting.next() else { break };
            running.push_back(row(task, &cx, candidate, split, i, example));
        }
        let Some(row) = running.next().await else { return Ok(rows) };
        let row = row?;
        progress.row(&row);
        rows.push(row);
    }
}

/// The row that the study has, else a new one.
async fn row(
    task: &Task<'_>,
    cx: &Context,
    candidate: &Candidate,
    split: Split,
    place: usize,
    example: &Example,
) -> Result<ScoredRow> {
    let key = task.row_key(&candidate.hash, split, example);
    if let Some(row) = task.study.row(&key) {
        return Ok(row);
    }
    let row = run(task, cx, example).await?;
    let candidate = candidate.hash.clone();
    task.study.record(Event::Scored { key, candidate, split, example: place, row: row.clone() })?;
    Ok(row)
}

async fn run(task: &Task<'_>, cx: &Context, example: &Example) -> Result<ScoredRow> {
    let metric_cx = cx.detached();
    let row = score_example(cx, &metric_cx, task.program, task.metric, example).await;
    let mut usage = row.usage;
    usage += row.metric_usage;
    match row.error {
        Some(error) if error.is_fatal() => Err(error),
        error => Ok(ScoredRow { score: row.score, error: error.map(|e| e.to_string()), usage }),
    }
}
