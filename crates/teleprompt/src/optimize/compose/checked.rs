//! `Checked`: assertions on outputs, with bounded backtracking.

use std::sync::Arc;

use teleprompt_core::{
    Context, Error, Module, Prediction, Predictors, ProgramState, Record, Result, Signature, Visit,
    bind,
};

use super::goal::run;
use super::part::{Part, added, shown};
use super::trials::{Trial, Trials};

type Rule = dyn Fn(&Record, &Record) -> Result<(), String> + Send + Sync;

#[derive(Clone)]
struct Check {
    name: Arc<str>,
    /// An output that fails it is an error.
    must: bool,
    rule: Arc<Rule>,
}

/// Checks the outputs of a module and, while a check fails, runs it again: the predictor that was
/// called last reads below its instructions what it had answered and what was wrong with it. So it
/// backtracks to the step that made the outputs; to check another step of a program, wrap that step.
///
/// After `max_backtracks` further runs, an output that fails an assertion is
/// [`Error::Check`]; one that fails suggestions only is given, and those who stream the run are told
/// which ([`Context::status`]). Among several, the attempt with the fewest failed assertions counts,
/// then the one with the fewest failed suggestions, then the first. An attempt that fails otherwise
/// ends the call, unless an earlier one passed all assertions. The predictors inside have the prefix
/// `inner`.
///
/// Source: Singhvi et al. 2023, arXiv 2312.13382.
///
/// ```
/// use teleprompt::optimize::compose::Checked;
/// use teleprompt::prelude::*;
///
/// let query = Checked::new(Predict::of("question -> query")?)
///     .assert("not empty", |_, outputs| match outputs.str("query").unwrap_or("").trim() {
///         "" => Err("the query must not be empty".into()),
///         _ => Ok(()),
///     })
///     .suggest("short", |_, outputs| match outputs.str("query").unwrap_or("").len() {
///         0..=100 => Ok(()),
///         n => Err(format!("the query has {n} characters; use at most 100")),
///     });
/// let program = Program::new(query);
/// assert_eq!(&*program.bound().predictors[0].0, "inner");
/// # Ok::<(), teleprompt::Error>(())
/// ```
#[derive(Clone)]
pub struct Checked<M> {
    inner: Part<M>,
    checks: Vec<Check>,
    max_backtracks: u32,
}

/// An attempt that gave outputs, and what it fails: the places of checks and what they say.
struct Attempt {
    trial: Trial<Record>,
    failed: Vec<(usize, String)>,
}

impl<M: Module> Checked<M> {
    /// Without checks yet.
    pub fn new(module: M) -> Self {
        let this = Self { inner: Part::new(module), checks: Vec::new(), max_backtracks: 2 };
        bind(&this);
        this
    }

    /// Outputs must pass this check. It gets inputs and outputs; its error is read by the LM, so it
    /// says what is wrong and what is wanted.
    #[must_use]
    pub fn assert(
        self,
        name: impl Into<Arc<str>>,
        rule: impl Fn(&Record, &Record) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.check(name.into(), true, Arc::new(rule))
    }

    /// Outputs should pass this check; see [`Checked::assert`].
    #[must_use]
    pub fn suggest(
        self,
        name: impl Into<Arc<str>>,
        rule: impl Fn(&Record, &Record) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.check(name.into(), false, Arc::new(rule))
    }

    fn check(mut self, name: Arc<str>, must: bool, rule: Arc<Rule>) -> Self {
        self.checks.push(Check { name, must, rule });
        self
    }

    /// At most this many further runs in one call. Default: 2.
    #[must_use]
    pub fn max_backtracks(mut self, n: u32) -> Self {
        self.max_backtracks = n;
        self
    }

    /// The module inside.
    pub fn inner(&self) -> &M {
        &self.inner.module
    }

    fn failures(&self, inputs: &Record, outputs: &Record) -> Vec<(usize, String)> {
        let all = self.checks.iter().enumerate();
        all.filter_map(|(i, check)| Some((i, (check.rule)(inputs, outputs).err()?))).collect()
    }

    /// How bad an attempt is: failed assertions, then failed suggestions.
    fn badness(&self, attempt: &Attempt) -> (usize, usize) {
        let must = |(i, _): &&(usize, String)| self.checks.get(*i).is_some_and(|c| c.must);
        let asserted = attempt.failed.iter().filter(must).count();
        (asserted, attempt.failed.len() - asserted)
    }

    /// What the last predictor reads in the next run.
    fn note(&self, cx: &Context, attempt: &Attempt) -> ProgramState {
        let Some(last) = attempt.trial.steps.last() else { return ProgramState::default() };
        let wrong: Vec<String> = attempt.failed.iter().map(|(_, m)| format!("- {m}")).collect();
        let note = format!(
            "An earlier answer was:\n{}\nIt was refused:\n{}\nAnswer anew, with this put right.",
            shown(&last.outputs),
            wrong.join("\n")
        );
        added(&self.inner.in_force(cx), &[(last.path.clone(), note)])
    }

    /// The outputs of the best attempt, or the error of the assertion that it fails.
    fn settle(
        &self,
        cx: &Context,
        trials: &Trials<'_>,
        best: Attempt,
        attempts: u32,
    ) -> Result<Prediction> {
        let failed = best.failed.iter().filter_map(|(i, m)| Some((self.checks.get(*i)?, m)));
        for (check, message) in failed.clone().filter(|(check, _)| !check.must) {
            cx.status(format!("not as suggested: {}: {message}", check.name));
        }
        let broken = failed.clone().find(|(check, _)| check.must);
        let broken = broken.map(|(check, message)| (check.name.to_string(), message.clone()));
        let prediction = trials.accept(best.trial)?;
        let Some((check, message)) = broken else { return Ok(prediction) };
        let (path, output) = (self.inner.place(), prediction.output.to_json().to_string());
        Err(Error::Check { path, check, message, attempts, output })
    }

    /// What is left when an attempt failed before it could be checked.
    fn give_up(
        &self,
        cx: &Context,
        trials: &Trials<'_>,
        best: Option<Attempt>,
        (failed, attempts): (Trial<Record>, u32),
    ) -> Result<Prediction> {
        let fatal = matches!(&failed.outcome, Err(error) if error.is_fatal());
        match best.filter(|best| !fatal && self.badness(best).0 == 0) {
            Some(best) => self.settle(cx, trials, best, attempts),
            None => trials.accept(failed),
        }
    }

    async fn attempts(&self, cx: &Context, inputs: &Record) -> Result<Prediction> {
        let trials = Trials::recorded(cx);
        let mut best: Option<Attempt> = None;
        let mut note = ProgramState::default();
        let mut made = 0;
        loop {
            let again = trials.cx().with_overlay(std::mem::take(&mut note));
            let trial = run(&trials, &again, &self.inner.module, inputs).await?;
            made += 1;
            let Ok(prediction) = &trial.outcome else {
                return self.give_up(cx, &trials, best, (trial, made));
            };
            let failed = self.failures(inputs, &prediction.output);
            let over = failed.is_empty() || made > self.max_backtracks;
            let attempt = Attempt { trial, failed };
            if !over {
                note = self.note(trials.cx(), &attempt);
            }
            let kept = match best.take() {
                Some(before) if self.badness(&before) <= self.badness(&attempt) => before,
                _ => attempt,
            };
            if over {
                return self.settle(cx, &trials, kept, made);
            }
            best = Some(kept);
        }
    }
}

impl<M: Module> Predictors for Checked<M> {
    fn visit<'a>(&'a self, visit: &mut Visit<'a>) {
        visit.field("inner", &self.inner);
    }
}

impl<M: Module> Module for Checked<M> {
    type Input = M::Input;
    type Output = M::Output;

    async fn forward(&self, cx: &Context, input: M::Input) -> Result<Prediction<M::Output>> {
        let inputs = Record::from_typed(input)?;
        self.attempts(cx, &inputs).await?.try_map(Record::into_typed)
    }

    fn interface(&self) -> Option<Signature> {
        self.inner.module.interface()
    }

    fn fingerprint(&self) -> String {
        let names: Vec<(&str, bool)> = self.checks.iter().map(|c| (&*c.name, c.must)).collect();
        let inner = self.inner.module.fingerprint();
        format!("checked {names:?} {} {inner}", self.max_backtracks)
    }
}
