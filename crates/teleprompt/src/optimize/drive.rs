//! Ask and tell: a compile whose runs are done by somebody else's loop.

use std::sync::Mutex;

use futures::channel::{mpsc, oneshot};
use futures::future::{BoxFuture, Either, select};
use futures::{FutureExt, StreamExt};
use teleprompt_core::{Context, Error, Example, Module, Program, Result, Score};

use super::study::{Run, Split};
use super::{Candidate, Compiled, Compiler, Optimizer, RunCall, Runner};
use crate::data::Dataset;
use crate::module::Tuned;

/// One run that the search wants done: this candidate on this example.
///
/// Do it as you like, by [`Trial::program`] or by anything else, and [`tell`](Trial::tell) the
/// score. A trial that is dropped untold ends the compile with an error; the study keeps the rest.
#[derive(Debug)]
pub struct Trial {
    candidate: Candidate,
    example: Example,
    split: Split,
    answer: oneshot::Sender<Run>,
}

impl Trial {
    /// Whose parameters are to be tried.
    pub fn candidate(&self) -> &Candidate {
        &self.candidate
    }

    /// On what.
    pub fn example(&self) -> &Example {
        &self.example
    }

    /// Which examples it is one of.
    pub fn split(&self) -> Split {
        self.split
    }

    /// The program with the candidate's parameters laid over it.
    pub fn program<M: Module + Clone>(&self, program: &M) -> Tuned<M> {
        Tuned::of(program.clone(), self.candidate.solution().clone())
    }

    /// How good it was; higher is better.
    pub fn tell(self, score: impl Into<Score>) {
        let score = score.into();
        self.answer(Run {
            score: score.value,
            feedback: score.feedback,
            by_predictor: score.by_predictor,
            objectives: score.objectives,
            ..Run::default()
        });
    }

    /// The run failed; it scores 0 or, where scores go below 0, the worst one so far.
    pub fn tell_failure(self, why: impl Into<String>) {
        self.answer(Run { error: Some(why.into()), ..Run::default() });
    }

    /// All that is known of the run: its predictor calls for recipes that read traces, and what it
    /// used.
    pub fn tell_run(self, run: Run) {
        self.answer(run);
    }

    fn answer(self, mut run: Run) {
        if !run.score.is_finite() {
            run.error = Some(format!("{} is no score", run.score));
            run.score = 0.0;
        }
        // The search may have ended meanwhile; then nobody wants to know.
        let _ = self.answer.send(run);
    }
}

/// A compile that asks for runs and is told scores. Made by [`Compiler::drive`].
///
/// ```
/// use teleprompt::optimize::{Optimizer, teleprompter::LabeledFewShot};
/// use teleprompt::prelude::*;
///
/// # async fn run(cx: Context, train: Dataset) -> Result<()> {
/// let program = Predict::of(r#"message -> intent: enum["refund", "parcel"]"#)?;
/// let compiler = LabeledFewShot::default().compiler(metric::exact_match("intent"));
/// let mut drive = compiler.drive(&cx, &program, &train);
/// while let Some(trial) = drive.ask().await? {
///     let prediction = trial.program(&program).call(&cx, trial.example().inputs()).await?;
///     let right = prediction["intent"] == trial.example()["intent"];
///     trial.tell(right);
/// }
/// println!("{}", drive.finish()?.report);
/// # Ok(())
/// # }
/// ```
pub struct Drive<M> {
    compile: BoxFuture<'static, Result<Compiled<M>>>,
    trials: mpsc::UnboundedReceiver<Trial>,
    done: Option<Result<Compiled<M>>>,
}

impl<M> Drive<M> {
    /// The next run that is wanted; none when the compile is done. It asks for several runs, as many as
    /// the compiler's concurrency, before it needs an answer; then it waits for one, so tell what
    /// was asked before from another task or before you ask again.
    ///
    /// # Errors
    /// What ended the compile.
    pub async fn ask(&mut self) -> Result<Option<Trial>> {
        if self.done.is_some() {
            return Ok(None);
        }
        match select(self.trials.next(), &mut self.compile).await {
            Either::Left((Some(trial), _)) => Ok(Some(trial)),
            Either::Left((None, compile)) => {
                self.done = Some(compile.await);
                self.ended()
            }
            Either::Right((result, _)) => {
                self.done = Some(result);
                self.ended()
            }
        }
    }

    fn ended(&self) -> Result<Option<Trial>> {
        match &self.done {
            Some(Err(error)) => Err(error.clone()),
            _ => Ok(None),
        }
    }

    /// The result, when [`Drive::ask`] gave none.
    ///
    /// # Errors
    /// What ended the compile; that it is not done.
    pub fn finish(self) -> Result<Compiled<M>> {
        self.done.unwrap_or_else(|| {
            Err(Error::Study("the compile is not done: ask until there is no further trial".into()))
        })
    }
}

/// Hands runs out and waits for their scores.
pub(super) struct Outside {
    trials: Mutex<mpsc::UnboundedSender<Trial>>,
}

impl Runner for Outside {
    fn run<'a>(&'a self, call: RunCall<'a>) -> BoxFuture<'a, Result<Run>> {
        let (answer, told) = oneshot::channel();
        let trial = Trial {
            candidate: call.candidate.clone(),
            example: call.example.clone(),
            split: call.split,
            answer,
        };
        let sent = self
            .trials
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .unbounded_send(trial);
        async move {
            let untold = "a trial was dropped without telling its score";
            sent.map_err(|_| Error::Other(untold.into()))?;
            told.await.map_err(|_| Error::Config(untold.into()))
        }
        .boxed()
    }

    fn identity(&self) -> String {
        "ask and tell".into()
    }
}

impl<O: Optimizer + 'static> Compiler<O> {
    /// Compiles by ask and tell: every run of a candidate is asked of you. Questions to the LM that
    /// writes instructions still go through the context.
    pub fn drive<M: Module + Clone>(self, cx: &Context, program: &M, train: &Dataset) -> Drive<M> {
        let (sender, trials) = mpsc::unbounded();
        let compiler = self.runner(Outside { trials: Mutex::new(sender) });
        let (cx, program, train) = (cx.clone(), program.clone(), train.clone());
        let held = Program::new(program.clone());
        let compile = async move {
            let (found, report) = compiler.run(&cx, &held, &train).await?;
            Ok(Compiled { program: Tuned::of(program, found.solution().clone()), report })
        };
        Drive { compile: compile.boxed(), trials, done: None }
    }
}
