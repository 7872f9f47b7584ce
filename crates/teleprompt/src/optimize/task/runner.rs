//! Who really runs a candidate: the program itself, or somebody outside.

use std::time::Instant;

use futures::future::BoxFuture;
use teleprompt_core::{
    Context, Error, Example, MetricHandle, Program, Result, TraceRecorder, TraceStep,
};

use crate::evaluate::score_example;
use crate::module::Tuned;
use crate::optimize::Candidate;
use crate::optimize::study::{Run, Split};

/// A run that the study does not know yet.
#[derive(Clone, Copy)]
pub struct RunCall<'a> {
    /// With rollout and temperature set.
    pub cx: &'a Context,
    /// For the metric, which is no part of the program: without candidate and trace.
    pub metric_cx: &'a Context,
    /// The student or the teacher.
    pub program: &'a Program,
    /// Whose parameters.
    pub candidate: &'a Candidate,
    /// The example.
    pub example: &'a Example,
    /// Higher is better.
    pub metric: &'a MetricHandle,
    /// Which examples it is one of.
    pub split: Split,
    /// Whether the run's predictor calls and outputs are wanted.
    pub trace: bool,
}

/// Runs candidates on examples. The usual one runs the program and asks the metric; others let a
/// user's own loop do it, or score a text.
pub trait Runner: Send + Sync {
    /// Runs once. What goes wrong with this example is in the run.
    ///
    /// # Errors
    /// What must stop the search.
    fn run<'a>(&'a self, call: RunCall<'a>) -> BoxFuture<'a, Result<Run>>;

    /// What its results depend on besides program, data, metric and LM. Default: nothing.
    fn identity(&self) -> String {
        String::new()
    }
}

/// Runs the program and asks the metric.
pub(in crate::optimize) struct ProgramRunner;

impl Runner for ProgramRunner {
    fn run<'a>(&'a self, call: RunCall<'a>) -> BoxFuture<'a, Result<Run>> {
        Box::pin(run(call))
    }
}

async fn run(call: RunCall<'_>) -> Result<Run> {
    let started = Instant::now();
    let recorder = call.trace.then(TraceRecorder::new);
    let solution = call.candidate.solution();
    let mut cx = call.cx.clone();
    if solution.is_single() {
        cx = cx.with_candidate(solution.first().clone());
    }
    if let Some(recorder) = &recorder {
        cx = cx.with_trace(recorder.clone());
    }
    let mut steps = Vec::new();
    // The steps are taken before the metric is asked: the calls of a judge are none of the program.
    let for_metric = || {
        let Some(recorder) = &recorder else { return call.metric_cx.clone() };
        steps = recorder.steps();
        call.metric_cx.with_trace(copied(&steps))
    };
    let row = if solution.is_single() {
        score_example(&cx, for_metric, call.program, call.metric, call.example).await
    } else {
        let voting = Tuned::of(call.program.clone(), solution.clone());
        score_example(&cx, for_metric, &voting, call.metric, call.example).await
    };
    let outage = matches!(&row.error, Some(Error::Lm(error)) if error.is_retryable());
    let error = match row.error {
        Some(error) if error.is_fatal() => return Err(error),
        error => error.map(|e| e.to_string()),
    };
    let outputs = row.prediction.filter(|_| call.trace).map(|p| p.output);
    Ok(Run {
        score: if error.is_some() { 0.0 } else { row.score },
        error,
        outage,
        feedback: row.feedback,
        by_predictor: row.by_predictor,
        objectives: row.objectives,
        steps,
        outputs: outputs.unwrap_or_default(),
        usage: row.usage,
        judged: row.metric_usage,
        millis: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

/// A recorder of its own for the metric, which may look at the steps (`cx.trace()`).
fn copied(steps: &[TraceStep]) -> TraceRecorder {
    let recorder = TraceRecorder::new();
    for step in steps {
        recorder.begin();
        recorder.push(step.clone());
    }
    recorder
}
