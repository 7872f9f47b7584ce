//! `Refine`: several attempts, with advice in between.

use std::fmt::Write;
use std::sync::Arc;

use futures::future::join_all;
use teleprompt_core::{
    Context, LmHandle, Module, Prediction, Predictors, ProgramState, Record, Result, Score,
    Signature, TraceStep, Visit, bind,
};

use super::goal::{Goal, Search, run};
use super::part::{InForce, Part, added, shown};
use super::trials::{Trial, Trials};
use crate::module::Predict;

/// A program ran and its result is not good enough. It will run once more on the same inputs. Advise
/// one of its steps: say in one to three sentences what the step should do differently, and what it
/// should avoid. The step reads the advice below its own instructions and sees nothing else of this
/// run. Do not write the output of the step yourself. If another step is at fault, tell this one to
/// keep on as it did.
#[derive(teleprompt_macros::Signature)]
struct Advise {
    /// the name of the step
    #[input]
    step: String,
    /// what the step is told to do
    #[input]
    task: String,
    /// all steps in order: what they got and what they gave
    #[input]
    run: String,
    /// what the program gave, or why it failed
    #[input]
    result: String,
    /// how good the result is, and how good it has to be
    #[input]
    reward: String,
    /// what else is known about the result
    #[input]
    feedback: Option<String>,
    #[output]
    advice: String,
}

/// Like [`BestOfN`](super::BestOfN), but learns between the attempts: after one that falls short, an
/// LM reads the run, its reward and the reward's feedback, and writes advice for each predictor that
/// was called; it is added to their instructions in the next attempt. The program is not changed,
/// and the next call starts without advice.
///
/// Costs up to `n` runs of the module, and one LM call for each predictor between two of them. An
/// adviser that fails leaves the next attempt without advice. The predictors inside have the prefix
/// `inner`; the adviser is not among them.
///
/// Source: the loop of Madaan et al. 2023, arXiv 2303.17651, with advice for each predictor.
///
/// ```
/// use teleprompt::optimize::compose::Refine;
/// use teleprompt::prelude::*;
///
/// let words = |_: &Record, p: &Prediction| match p.str("title").unwrap_or("").split(' ').count() {
///     0..=6 => Score::from(true),
///     n => Score::from(0.0).with_feedback(format!("{n} words; at most 6 are wanted")),
/// };
/// let program = Program::new(Refine::new(Predict::of("story -> title")?, 3, words));
/// assert_eq!(&*program.bound().predictors[0].0, "inner");
/// # Ok::<(), teleprompt::Error>(())
/// ```
#[derive(Clone)]
pub struct Refine<M> {
    inner: Part<M>,
    goal: Goal,
    adviser: Predict<Advise>,
    adviser_lm: Option<LmHandle>,
}

impl<M: Module> Refine<M> {
    /// At most `n` attempts (at least 1). The reward gets the inputs and a prediction and gives a
    /// number, a bool or a [`Score`], whose feedback the adviser reads; higher is better, and what is
    /// no number is worst.
    pub fn new<S: Into<Score>>(
        module: M,
        n: u32,
        reward: impl Fn(&Record, &Prediction) -> S + Send + Sync + 'static,
    ) -> Self {
        let (inner, goal) = (Part::new(module), Goal::new(n, reward));
        let this = Self { inner, goal, adviser: Predict::new(), adviser_lm: None };
        bind(&this);
        this
    }

    /// A reward of this or more ends the attempts. Default: 1.
    #[must_use]
    pub fn threshold(mut self, reward: f64) -> Self {
        self.goal.threshold = reward;
        self
    }

    /// After more failed attempts than this in one call, no further one is made: the best so far
    /// counts, or the first error if there is none. Default: all may fail.
    #[must_use]
    pub fn max_failures(mut self, n: u32) -> Self {
        self.goal.max_failures = n;
        self
    }

    /// The LM that writes advice. Default: the context's.
    #[must_use]
    pub fn adviser(mut self, lm: LmHandle) -> Self {
        self.adviser_lm = Some(lm);
        self
    }

    /// The module inside.
    pub fn inner(&self) -> &M {
        &self.inner.module
    }

    /// What is laid over the predictors of this run in the next attempt.
    async fn advice(
        &self,
        cx: &Context,
        trial: &Trial<Record>,
        score: Option<&Score>,
    ) -> Result<ProgramState> {
        let in_force = self.inner.in_force(cx);
        let mut adviser = cx.detached();
        if let Some(lm) = &self.adviser_lm {
            adviser = adviser.with_lm(lm.clone());
        }
        let called = in_force.iter().filter(|p| trial.steps.iter().any(|s| s.path == p.path));
        let calls = called.map(|predictor| {
            let input = self.question(predictor, trial, score);
            let adviser = &adviser;
            async move { (predictor.path.clone(), self.adviser.call(adviser, input).await) }
        });
        let mut notes: Vec<(Arc<str>, String)> = Vec::new();
        for (path, answer) in join_all(calls).await {
            match answer {
                Ok(prediction) => {
                    let advice = prediction.advice.trim();
                    notes
                        .push((path, format!("Advice, as an earlier answer fell short: {advice}")));
                }
                Err(error) if error.is_fatal() => return Err(error),
                Err(error) => cx.status(format!("no advice for {path}: {error}")),
            }
        }
        Ok(added(&in_force, &notes))
    }

    fn question(
        &self,
        predictor: &InForce,
        trial: &Trial<Record>,
        score: Option<&Score>,
    ) -> AdviseInput {
        let result = match &trial.outcome {
            Ok(prediction) => shown(&prediction.output),
            Err(error) => format!("it failed: {error}"),
        };
        let wanted = self.goal.threshold;
        AdviseInput {
            step: predictor.path.to_string(),
            task: predictor.signature.to_string(),
            run: told(&trial.steps),
            result,
            reward: match score {
                Some(score) => format!("{} (wanted: {wanted})", score.value),
                None => format!("none (wanted: {wanted})"),
            },
            feedback: score.and_then(|s| s.feedback.clone()),
        }
    }
}

/// The steps of a run as text.
fn told(steps: &[TraceStep]) -> String {
    let mut out = String::new();
    for step in steps {
        let _ = writeln!(out, "{} got:\n{}", step.path, shown(&step.inputs));
        let _ = match &step.error {
            None => writeln!(out, "{} gave:\n{}", step.path, shown(&step.outputs)),
            Some(error) => writeln!(out, "{} failed: {error}", step.path),
        };
    }
    out
}

impl<M: Module> Predictors for Refine<M> {
    fn visit<'a>(&'a self, visit: &mut Visit<'a>) {
        visit.field("inner", &self.inner);
    }
}

impl<M: Module> Module for Refine<M> {
    type Input = M::Input;
    type Output = M::Output;

    async fn forward(&self, cx: &Context, input: M::Input) -> Result<Prediction<M::Output>> {
        let inputs = Record::from_typed(input)?;
        let trials = Trials::recorded(cx);
        let mut search = Search::new(&self.goal);
        let mut advice = ProgramState::default();
        for i in 0..self.goal.n {
            let plain = self.inner.attempt(trials.cx(), i);
            let advised = plain.with_overlay(std::mem::take(&mut advice));
            let trial = run(&trials, &advised, &self.inner.module, &inputs).await?;
            let score = self.goal.judge(&inputs, &trial)?;
            let over = search.ends_with(score.as_ref()) || i + 1 == self.goal.n;
            if !over {
                cx.status(format!("attempt {} of {} fell short", i + 1, self.goal.n));
                // Advice is about the program as written, whatever earlier advice made of it.
                let adviser = trials.cx().with_rollout(plain.rollout());
                advice = self.advice(&adviser, &trial, score.as_ref()).await?;
            }
            search.keep(score, trial);
            if over {
                break;
            }
        }
        search.finish(&trials)?.try_map(Record::into_typed)
    }

    fn interface(&self) -> Option<Signature> {
        self.inner.module.interface()
    }

    fn fingerprint(&self) -> String {
        let adviser = self.adviser_lm.as_ref().map(teleprompt_core::Lm::identity);
        let (goal, inner) = (self.goal.fingerprint(), self.inner.module.fingerprint());
        format!("refine {goal} {adviser:?} {inner}")
    }
}
