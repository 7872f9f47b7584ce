//! Running candidates on examples.

use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt;
use futures::stream::FuturesOrdered;
use teleprompt_core::{Error, Example, Limits, LmSettings, Result};

use super::bill::Bill;
use super::{RunCall, Task};
use crate::optimize::Candidate;
use crate::optimize::study::{By, Event, Part, Run, Split};

/// One run that is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Call<'c> {
    /// Whose parameters.
    pub candidate: &'c Candidate,
    /// Who runs. Default: the student.
    pub by: By,
    /// Which examples.
    pub split: Split,
    /// The example's place among them, from 0.
    pub place: usize,
    /// Which of several runs of the same, from 0.
    pub rollout: u64,
    /// The sampling temperature; none: as the program and the context say.
    pub temperature: Option<f64>,
}

impl<'c> Call<'c> {
    /// A run of the student as its settings are.
    pub fn new(candidate: &'c Candidate, split: Split, place: usize) -> Self {
        Self { candidate, by: By::Student, split, place, rollout: 0, temperature: None }
    }

    /// By the teacher.
    #[must_use]
    pub fn by_teacher(mut self) -> Self {
        self.by = By::Teacher;
        self
    }

    /// One of several runs of the same, sampled at this temperature.
    #[must_use]
    pub fn sampled(mut self, rollout: u64, temperature: f64) -> Self {
        (self.rollout, self.temperature) = (rollout, Some(temperature));
        self
    }
}

impl Task<'_> {
    /// Runs a program on an example, or gives what the study knows of it. A run that fails scores 0
    /// and says why.
    ///
    /// # Errors
    /// A fatal error of the LM, the budget or the journal, or a stop condition.
    pub async fn run(&self, call: &Call<'_>) -> Result<Run> {
        let Some(example) = self.examples(call.split).get(call.place) else {
            return Err(Error::Other(format!("there is no {} example {}", call.split, call.place)));
        };
        let key = self.run_key(call, example);
        self.standing.count_run(&key);
        let known = || self.study.run(&key);
        self.standing.flights.once(&key, known, self.run_anew(&key, call, example)).await
    }

    async fn run_anew(&self, key: &str, call: &Call<'_>, example: &Example) -> Result<Run> {
        self.standing.check()?;
        let (cx, program) = match call.by {
            By::Student => (&self.cx, self.program),
            By::Teacher => (&self.teacher_cx, self.teacher.unwrap_or(self.program)),
        };
        let mut cx = cx.with_rollout(call.rollout);
        if call.temperature.is_some() {
            let temperature = call.temperature.map(|t| t as f32);
            cx = cx.with_settings(&LmSettings { temperature, ..LmSettings::default() });
        }
        if self.holds_out(call.split) {
            cx = cx.with_held_out(example.clone());
        }
        let trace = call.split == Split::Train;
        let (candidate, metric) = (call.candidate, self.metric);
        let split = call.split;
        let metric_cx = &cx.detached().with_limits(Limits::default());
        let cx = &cx.with_limits(Limits::default());
        let meters = [
            (Part::of(call.by, call.split), cx.meter().clone()),
            (Part::Metric, metric_cx.meter().clone()),
        ];
        let bill = Bill::open(self.study, meters);
        let wanted = RunCall { cx, metric_cx, program, candidate, example, metric, split, trace };
        let run = self.runner.run(wanted).await?;
        self.progress.ran(call.by, call.split, &run);
        let place = self.places.place(call.split, example);
        self.study.record(Event::Ran {
            key: key.to_owned(),
            candidate: candidate.hash.clone(),
            by: call.by,
            split: call.split,
            example: place.unwrap_or(call.place),
            pooled: place.is_none(),
            rollout: call.rollout,
            run: run.clone(),
            inherited: false,
        })?;
        bill.settle();
        Ok(run)
    }

    /// Runs many, at most `concurrency` at a time, and gives them in the order of the calls. A run
    /// that failed has score 0 or, where the metric goes below 0, the worst score of the search so
    /// far.
    ///
    /// # Errors
    /// Those of [`Task::run`], of the first call that has one. When one fails, none is begun any
    /// more, and those in flight are waited for and journaled: they are being paid.
    pub async fn run_all(&self, calls: &[Call<'_>]) -> Result<Vec<Run>> {
        self.run_each(calls, |_| {}).await
    }

    /// The runs of a candidate on some examples of a split, told as an evaluation.
    ///
    /// # Errors
    /// Those of [`Task::run`].
    pub async fn runs(
        &self,
        candidate: &Candidate,
        split: Split,
        places: &[usize],
    ) -> Result<Vec<Run>> {
        let calls: Vec<Call<'_>> =
            places.iter().map(|place| Call::new(candidate, split, *place)).collect();
        self.run_told(&candidate.origin, split, &calls).await
    }

    /// As [`Task::run_all`], told as an evaluation of this name.
    ///
    /// # Errors
    /// Those of [`Task::run`].
    pub async fn run_told(&self, name: &str, split: Split, calls: &[Call<'_>]) -> Result<Vec<Run>> {
        let mut progress = self.progress.evaluation(name, split, calls.len());
        self.run_each(calls, |run| progress.row(run)).await
    }

    async fn run_each(&self, calls: &[Call<'_>], mut done: impl FnMut(&Run)) -> Result<Vec<Run>> {
        let mut waiting = calls.iter();
        let mut runs = Vec::with_capacity(calls.len());
        // Known at once, though the results before it are given first.
        let failed = AtomicBool::new(false);
        let run = async |call| {
            let run = self.run(call).await;
            failed.fetch_or(run.is_err(), Ordering::Relaxed);
            run
        };
        let mut running = FuturesOrdered::new();
        let mut error = None;
        loop {
            while running.len() < self.concurrency && !failed.load(Ordering::Relaxed) {
                let Some(call) = waiting.next() else { break };
                running.push_back(run(call));
            }
            match running.next().await {
                Some(Ok(run)) => {
                    done(&run);
                    runs.push(run);
                }
                Some(Err(this)) => error = error.or(Some(this)),
                None => break,
            }
        }
        self.standing.level(&mut runs);
        error.map_or(Ok(runs), Err)
    }
}
