//! Running an optimizer: budget, study, baseline, report.

mod identity;
mod reserve;
mod session;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use teleprompt_core::{Context, Limits, Metric, MetricHandle, Module, Program, Result};

use self::session::Session;
use super::compose::match_teacher;
use super::progress::{Progress, Silent};
use super::report::Report;
use super::splits::Splits;
use super::study::{Command, OnChange, Study, default_dir};
use super::task::{Objective, ProgramRunner, Runner, Stops, predictors};
use super::{Candidate, Optimizer};
use crate::data::Dataset;
use crate::module::Tuned;

/// A compiled program and the facts about it.
pub struct Compiled<M> {
    /// The program with the winner's parameters laid over it.
    pub program: Tuned<M>,
    /// The program as written beside the winner.
    pub report: Report,
}

/// Runs an [`Optimizer`]. See [`crate::optimize`] for an example.
///
/// A study goes on only over the same: program, teacher, data, LMs (those that parameters name
/// included), metric, optimizer. What cannot be told apart is code: a closure as the metric, a
/// module's `forward`, a runner. A closure that has changed is not noticed, and the study goes on
/// with the scores of the old one; give it a name that you change with it
/// ([`metrics::named`](crate::evaluate::metrics::named)), or another study.
pub struct Compiler<O> {
    pub(super) optimizer: O,
    metric: MetricHandle,
    pub(super) val: Option<Dataset>,
    pub(super) test: Option<Dataset>,
    pub(super) teacher: Option<Program>,
    pub(super) teacher_cx: Option<Context>,
    pub(super) prompt_cx: Option<Context>,
    runner: Box<dyn Runner>,
    objective: Objective,
    pub(super) lms: Vec<Arc<str>>,
    stops: Stops,
    pub(super) limits: Limits,
    study: Option<String>,
    studies: PathBuf,
    on_change: OnChange,
    command: Option<Command>,
    pub(super) seed: u64,
    concurrency: usize,
    progress: Box<dyn Progress>,
}

impl<O: Optimizer> Compiler<O> {
    /// A compiler with defaults: no limits, seed 0, 8 examples at the same time, the student as its
    /// own teacher, studies in `.teleprompt/studies`.
    pub fn new(optimizer: O, metric: impl Metric) -> Self {
        Self {
            optimizer,
            metric: MetricHandle::new(metric),
            val: None,
            test: None,
            teacher: None,
            teacher_cx: None,
            prompt_cx: None,
            runner: Box::new(ProgramRunner),
            objective: Objective::Quality,
            lms: Vec::new(),
            stops: Stops::default(),
            limits: Limits::default(),
            study: None,
            studies: default_dir(),
            on_change: OnChange::Refuse,
            command: None,
            seed: 0,
            concurrency: 8,
            progress: Box::new(Silent),
        }
    }

    /// Examples to choose candidates by. Default: a third of the train examples, if the optimizer
    /// needs any.
    #[must_use]
    pub fn val(mut self, data: &Dataset) -> Self {
        self.val = Some(data.clone());
        self
    }

    /// Examples to measure the result on. Default: some are held back.
    #[must_use]
    pub fn test(mut self, data: &Dataset) -> Self {
        self.test = Some(data.clone());
        self
    }

    /// Another program as the teacher: compiled or not, of the same predictors.
    #[must_use]
    pub fn teacher(mut self, teacher: Program) -> Self {
        self.teacher = Some(teacher);
        self
    }

    /// Another context, with another LM, for the teacher.
    #[must_use]
    pub fn teacher_context(mut self, cx: Context) -> Self {
        self.teacher_cx = Some(cx);
        self
    }

    /// Another context, with another LM, for writing instructions, rules and feedback. Default: that
    /// of the program. A stronger LM pays here: it is asked seldom.
    #[must_use]
    pub fn prompt_context(mut self, cx: Context) -> Self {
        self.prompt_cx = Some(cx);
        self
    }

    /// Who runs candidates on examples. Default: the program, scored by the metric.
    #[must_use]
    pub fn runner(mut self, runner: impl Runner + 'static) -> Self {
        self.runner = Box::new(runner);
        self
    }

    /// What the winner is chosen by. Default: quality.
    #[must_use]
    pub fn objective(mut self, objective: Objective) -> Self {
        self.objective = objective;
        self
    }

    /// LMs that predictors may use, by names that the context knows: after the search, each predictor
    /// of the winner is tried with each of them, one predictor at a time. Default: none, so that all
    /// stay with the LM they have.
    #[must_use]
    pub fn lms<S: Into<Arc<str>>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.lms = names.into_iter().map(Into::into).collect();
        self
    }

    /// Ends the search at this mean validation score. Default: never.
    #[must_use]
    pub fn stop_at_score(mut self, score: f64) -> Self {
        self.stops.score = Some(score);
        self
    }

    /// Ends the search after so many candidates in a row of which none was better, those turned down
    /// on some examples among them. Default: never.
    #[must_use]
    pub fn stop_without_improvement(mut self, candidates: usize) -> Self {
        self.stops.no_improvement = Some(candidates);
        self
    }

    /// Ends the search when this file exists, so that another process can stop it. Default: none.
    #[must_use]
    pub fn stop_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.stops.file = Some(file.into());
        self
    }

    /// Limits of the whole study, all sessions together. The evaluation of the result is paid from
    /// them, too.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The study's name. Default: made from what the study is about, so that the same compile goes
    /// on where it stopped.
    #[must_use]
    pub fn study(mut self, name: impl Into<String>) -> Self {
        self.study = Some(name.into());
        self
    }

    /// The folder for studies.
    #[must_use]
    pub fn studies_in(mut self, dir: impl Into<PathBuf>) -> Self {
        self.studies = dir.into();
        self
    }

    /// What to do when the study of this name is about something else.
    #[must_use]
    pub fn on_change(mut self, on_change: OnChange) -> Self {
        self.on_change = on_change;
        self
    }

    /// How this compile was started, kept in the study's folder for `teleprompt studies resume`.
    /// Default: nothing is kept.
    #[must_use]
    pub fn command(mut self, command: Command) -> Self {
        self.command = Some(command);
        self
    }

    /// Seed of everything random.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Examples run at the same time.
    #[must_use]
    pub fn concurrency(mut self, n: usize) -> Self {
        self.concurrency = n.max(1);
        self
    }

    /// Who is told about what goes on.
    #[must_use]
    pub fn progress(mut self, progress: impl Progress + 'static) -> Self {
        self.progress = Box::new(progress);
        self
    }

    /// Compiles a program. The program itself is not changed.
    ///
    /// # Errors
    /// [`Error::Cancelled`](teleprompt_core::Error::Cancelled), a used-up budget before there is any result, a fatal error of the LM or
    /// the disk; the study keeps what was done, and the same call goes on from there.
    pub async fn compile<M: Module + Clone>(
        &self,
        cx: &Context,
        program: &M,
        train: &Dataset,
    ) -> Result<Compiled<M>> {
        let (winner, report) = self.run(cx, &Program::new(program.clone()), train).await?;
        Ok(Compiled { program: Tuned::of(program.clone(), winner.solution().clone()), report })
    }

    pub(super) async fn run(
        &self,
        cx: &Context,
        program: &Program,
        train: &Dataset,
    ) -> Result<(Candidate, Report)> {
        let validates = self.optimizer.validates() || !self.lms.is_empty();
        let (val, test) = (self.val.as_ref(), self.test.as_ref());
        let mut splits = Splits::new(train, val, test, validates, self.seed)?;
        if let Some(interface) = program.interface() {
            splits.look_for_misfits(&interface);
        }
        let taught = Arc::new(self.taught(program)?);
        for name in &self.lms {
            cx.lm_named(Some(name))?;
        }
        let cx = &cx.with_seed(self.seed);
        let own = |other: &Option<Context>| {
            other.clone().unwrap_or_else(|| cx.clone()).with_seed(self.seed)
        };
        let (teacher_cx, prompt_cx) = (own(&self.teacher_cx), own(&self.prompt_cx));
        let identity = self.identity([cx, &teacher_cx, &prompt_cx], program, &splits);
        let name = match &self.study {
            Some(name) => name.clone(),
            None => format!("{}-{}", self.optimizer.name(), identity.short_hash()),
        };
        let study = Study::open(&self.studies, &name, &identity, self.on_change)?;
        if let Some(command) = &self.command {
            study.keep_command(command)?;
        }
        let session = Session { compiler: self, study: &study, splits: &splits, program, taught };
        session.run(cx, &teacher_cx, &prompt_cx).await
    }

    /// Which of the teacher's predictors teaches which of the student's.
    fn taught(&self, program: &Program) -> Result<BTreeMap<Arc<str>, Arc<str>>> {
        let Some(teacher) = &self.teacher else { return Ok(BTreeMap::new()) };
        let baseline = Candidate::baseline();
        match_teacher(&predictors(program, &baseline), &predictors(teacher, &baseline))
    }
}
