//! Running the examples.

use std::time::Instant;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use teleprompt_core::{
    Context, Error, Example, Limits, Metric, MetricHandle, Module, Prediction, Record, Result,
    Score, TraceRecorder,
};

use super::progress::Progress;
use super::result::{Evaluation, Row};
use super::{Evaluate, stats};
use crate::data::Dataset;

/// One run of an evaluation.
pub(super) struct Run<'a> {
    settings: &'a Evaluate,
    data: Dataset,
    /// With a meter for all examples.
    cx: Context,
    /// For the metric, which is no part of the program; with a meter of its own.
    metric_cx: Context,
    progress: Progress,
    started: Instant,
    rows: Vec<Row>,
    failed: usize,
    stopped: Option<Error>,
}

impl<'a> Run<'a> {
    pub(super) fn new(settings: &'a Evaluate, data: Dataset, cx: &Context) -> Self {
        let progress = Progress::new(data.len(), settings.progress);
        let rows = Vec::with_capacity(data.len());
        Self {
            settings,
            data,
            cx: cx.with_limits(Limits::default()),
            metric_cx: cx.detached().with_limits(Limits::default()),
            progress,
            started: Instant::now(),
            rows,
            failed: 0,
            stopped: None,
        }
    }

    pub(super) async fn all<M: Module>(mut self, program: &M) -> Evaluation {
        let data = self.data.clone();
        let (settings, cx, metric_cx) = (self.settings, self.cx.clone(), self.metric_cx.clone());
        let task = |(index, example)| Task { settings, index, example, program };
        let mut waiting = data.iter().enumerate().map(task);
        let mut running = FuturesUnordered::new();
        loop {
            while self.may_start() && running.len() < settings.concurrency {
                let Some(task) = waiting.next() else { break };
                running.push(task.run(&cx, &metric_cx));
            }
            match running.next().await {
                Some(done) => self.take(done),
                None => break,
            }
            if self.must_drop() {
                break;
            }
        }
        self.finish()
    }

    fn may_start(&mut self) -> bool {
        if self.stopped.is_none() && self.cx.cancel().is_cancelled() {
            self.stopped = Some(Error::Cancelled);
        }
        self.stopped.is_none()
    }

    /// Whether what is in flight is given up: unless it is being paid for anyway.
    fn must_drop(&self) -> bool {
        self.stopped.as_ref().is_some_and(|e| !matches!(e, Error::Budget { .. }))
    }

    fn take(&mut self, done: Result<Row>) {
        let row = match done {
            Ok(row) => row,
            Err(fatal) => {
                self.stopped.get_or_insert(fatal);
                return;
            }
        };
        self.progress.add(row.score, self.failed);
        if let Some(error) = &row.error {
            self.failed += 1;
            if self.settings.max_failures.is_some_and(|limit| self.failed > limit) {
                self.stopped.get_or_insert_with(|| too_many(self.failed, &self.data, error));
            }
        }
        self.rows.push(row);
    }

    fn finish(mut self) -> Evaluation {
        self.rows.sort_unstable_by_key(|r| r.index);
        let scores: Vec<f64> = self.rows.iter().map(|r| r.score).collect();
        Evaluation {
            score: stats::mean(&scores),
            failed: self.failed,
            usage: self.cx.meter().usage(),
            metric_usage: self.metric_cx.meter().usage(),
            seconds: self.started.elapsed().as_secs_f64(),
            rows: self.rows,
            data: self.data,
            metric: self.settings.metric.name(),
            stopped: self.stopped,
        }
    }
}

fn too_many(failed: usize, data: &Dataset, last: &Error) -> Error {
    Error::Data(format!(
        "{}: stopped after {failed} of {} examples failed; the last one: {last}",
        data.name(),
        data.len()
    ))
}

/// One example.
struct Task<'a, M> {
    settings: &'a Evaluate,
    index: usize,
    example: &'a Example,
    program: &'a M,
}

impl<M: Module> Task<'_, M> {
    /// The row of the example.
    ///
    /// # Errors
    /// Only those that must stop the evaluation.
    async fn run(self, cx: &Context, metric_cx: &Context) -> Result<Row> {
        let recorder = self.settings.trace.then(TraceRecorder::new);
        let traced = recorder.as_ref().map(|recorder| cx.with_trace(recorder.clone()));
        let cx = traced.as_ref().unwrap_or(cx);
        let metric = &self.settings.metric;
        let mut row =
            score_example(cx, || metric_cx.clone(), self.program, metric, self.example).await;
        if row.error.as_ref().is_some_and(Error::is_fatal) {
            return Err(row.error.unwrap_or(Error::Cancelled));
        }
        row.index = self.index;
        if row.error.is_some() {
            row.score = self.settings.failure_score;
        }
        row.trace = recorder.map(|r| r.steps());
        Ok(row)
    }
}

/// Runs a program on one example and scores what it gives; failures are in the row, with score 0.
/// The metric's context is asked for when the program is done.
pub(crate) async fn score_example<M: Module>(
    cx: &Context,
    metric_cx: impl FnOnce() -> Context,
    program: &M,
    metric: &MetricHandle,
    example: &Example,
) -> Row {
    let cx = cx.with_limits(Limits::default());
    let started = Instant::now();
    let result = predict(&cx, program, example).await;
    let seconds = started.elapsed().as_secs_f64();
    let metric_cx = metric_cx().with_limits(Limits::default());
    let (prediction, scored) = match result {
        Ok(prediction) => {
            let scored = score(&metric_cx, metric, example, &prediction).await;
            (Some(prediction), scored)
        }
        Err(error) => (None, Err(error)),
    };
    let (score, error) = match scored {
        Ok(score) => (score, None),
        Err(error) => (Score::default(), Some(error)),
    };
    Row {
        index: 0,
        prediction,
        score: score.value,
        feedback: score.feedback,
        by_predictor: score.by_predictor,
        objectives: score.objectives,
        error,
        usage: cx.meter().usage(),
        metric_usage: metric_cx.meter().usage(),
        seconds,
        trace: None,
    }
}

async fn predict<M: Module>(cx: &Context, program: &M, example: &Example) -> Result<Prediction> {
    let input = example.inputs().into_typed()?;
    program.call(cx, input).await?.try_map(Record::from_typed)
}

async fn score(
    cx: &Context,
    metric: &MetricHandle,
    example: &Example,
    prediction: &Prediction,
) -> Result<Score> {
    let score = metric.score(cx, example, prediction).await?;
    if !score.value.is_finite() {
        return Err(Error::Other(format!(
            "the metric {} gave {}, which is no score",
            metric.name(),
            score.value
        )));
    }
    Ok(score)
}
