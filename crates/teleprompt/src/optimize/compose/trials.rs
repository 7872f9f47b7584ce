//! Runs of which one will count.

use std::future::Future;

use futures::StreamExt;
use futures::stream::FuturesOrdered;
use teleprompt_core::{
    Context, Error, Limits, Module, Prediction, Result, TraceRecorder, TraceStep,
};

/// One run: what it gave and its predictor calls, if they were recorded.
pub(super) struct Trial<O> {
    pub outcome: Result<Prediction<O>>,
    pub steps: Vec<TraceStep>,
}

/// Counts what all runs use together, and keeps their traces apart from the one of the whole
/// program until it is known which of them counts.
pub(super) struct Trials<'a> {
    outer: &'a Context,
    cx: Context,
    record: bool,
}

impl<'a> Trials<'a> {
    /// Runs under this context; recorded if it records.
    pub fn new(outer: &'a Context) -> Self {
        let cx = outer.with_limits(Limits::default()).without_trace();
        Self { outer, cx, record: outer.trace().is_some() }
    }

    /// Always recorded: for those who read the steps themselves.
    pub fn recorded(outer: &'a Context) -> Self {
        Self { record: true, ..Self::new(outer) }
    }

    /// What runs are made under.
    pub fn cx(&self) -> &Context {
        &self.cx
    }

    /// Runs a module once, under a context made from [`Trials::cx`].
    pub async fn run<M: Module>(
        &self,
        cx: &Context,
        module: &M,
        input: M::Input,
    ) -> Trial<M::Output> {
        if !self.record {
            return Trial { outcome: module.call(cx, input).await, steps: Vec::new() };
        }
        let trace = TraceRecorder::new();
        let outcome = module.call(&cx.with_trace(trace.clone()), input).await;
        Trial { outcome, steps: trace.steps() }
    }

    /// This run counts.
    pub fn accept<O>(&self, trial: Trial<O>) -> Result<Prediction<O>> {
        if let Some(trace) = self.outer.trace() {
            for step in trial.steps {
                trace.push(TraceStep { order: trace.begin(), ..step });
            }
        }
        let mut prediction = trial.outcome?;
        prediction.usage = self.cx.meter().usage();
        Ok(prediction)
    }

    /// The one of several concurrent runs that `choose` points at, given the predictions of those
    /// that did not fail. All failed: the first error.
    pub async fn elect<O, F>(
        &self,
        runs: impl IntoIterator<Item = F>,
        choose: impl FnOnce(&[Prediction<O>]) -> Result<usize>,
    ) -> Result<Prediction<O>>
    where
        F: Future<Output = Trial<O>>,
    {
        let mut runs: FuturesOrdered<F> = runs.into_iter().collect();
        let (mut predictions, mut traces, mut failed) = (Vec::new(), Vec::new(), None);
        while let Some(Trial { outcome, steps }) = runs.next().await {
            match outcome {
                Ok(prediction) => {
                    predictions.push(prediction);
                    traces.push(steps);
                }
                Err(error) if error.is_fatal() => return Err(error),
                Err(error) => failed = failed.or(Some(Trial { outcome: Err(error), steps })),
            }
        }
        if let (Some(failed), true) = (failed, predictions.is_empty()) {
            return self.accept(failed);
        }
        let winner = choose(&predictions)?;
        if winner >= predictions.len() {
            let n = predictions.len();
            return Err(Error::Other(format!("the vote chose number {winner} (from 0) of {n}")));
        }
        let (prediction, steps) = (predictions.swap_remove(winner), traces.swap_remove(winner));
        self.accept(Trial { outcome: Ok(prediction), steps })
    }
}
