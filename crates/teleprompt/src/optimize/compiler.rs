//! Running an optimizer: budget, study, baseline, report.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use teleprompt_core::{
    Context, Error, Limits, Lm, Metric, MetricHandle, Module, Program, Result, Usage, bind,
};

use super::progress::{Progress, Silent};
use super::report::{Report, Side};
use super::splits::Splits;
use super::study::{Event, Identity, OnChange, ScoredRow, Source, Split, Study, default_dir};
use super::{Candidate, Optimizer, Sizes, Task, race};
use crate::data::Dataset;
use crate::evaluate::paired;
use crate::module::Tuned;

/// A compiled program and the facts about it.
pub struct Compiled<M> {
    /// The program with the winner's parameters laid over it.
    pub program: Tuned<M>,
    /// The program as written beside the winner.
    pub report: Report,
}

/// Runs an [`Optimizer`]. See [`crate::optimize`] for an example.
pub struct Compiler<O> {
    optimizer: O,
    metric: MetricHandle,
    val: Option<Dataset>,
    test: Option<Dataset>,
    teacher: Option<Program>,
    teacher_cx: Option<Context>,
    limits: Limits,
    study: Option<String>,
    studies: PathBuf,
    on_change: OnChange,
    seed: u64,
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
            limits: Limits::default(),
            study: None,
            studies: default_dir(),
            on_change: OnChange::Refuse,
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
    /// [`Error::Cancelled`], a used-up budget before there is any result, a fatal error of the LM or
    /// the disk; the study keeps what was done, and the same call goes on from there.
    pub async fn compile<M: Module + Clone>(
        &self,
        cx: &Context,
        program: &M,
        train: &Dataset,
    ) -> Result<Compiled<M>> {
        let (winner, report) = self.run(cx, &Program::new(program.clone()), train).await?;
        Ok(Compiled { program: Tuned::new(program.clone(), (*winner.state).clone()), report })
    }

    async fn run(
        &self,
        cx: &Context,
        program: &Program,
        train: &Dataset,
    ) -> Result<(Candidate, Report)> {
        let validates = self.optimizer.validates();
        let (val, test) = (self.val.as_ref(), self.test.as_ref());
        let splits = Splits::new(train, val, test, validates, self.seed)?;
        self.check_teacher(program)?;
        let cx = &cx.with_seed(self.seed);
        let teacher_cx = self.teacher_cx.clone().unwrap_or_else(|| cx.clone()).with_seed(self.seed);
        let identity = self.identity(cx, &teacher_cx, program, &splits);
        let name = match &self.study {
            Some(name) => name.clone(),
            None => format!("{}-{}", self.optimizer.name(), identity.short_hash()),
        };
        let study = Study::open(&self.studies, &name, &identity, self.on_change)?;
        let session = Session { compiler: self, study: &study, splits: &splits, program };
        session.run(cx, &teacher_cx).await
    }

    fn check_teacher(&self, program: &Program) -> Result<()> {
        let Some(teacher) = &self.teacher else { return Ok(()) };
        let paths = |p: &Program| -> Vec<_> {
            p.bound().predictors.iter().map(|(path, _)| path.clone()).collect()
        };
        let (student, teacher) = (paths(program), paths(teacher));
        if student == teacher {
            return Ok(());
        }
        Err(Error::Config(format!(
            "the teacher's predictors ({}) are not the student's ({}); traces could not be matched",
            teacher.join(", "),
            student.join(", ")
        )))
    }

    fn identity(
        &self,
        cx: &Context,
        teacher: &Context,
        program: &Program,
        splits: &Splits,
    ) -> Identity {
        let source = |data: &Dataset| Source { n: data.len(), hash: data.hash() };
        let lm = |cx: &Context| json!({"lm": cx.lm().identity(), "settings": cx.settings()});
        Identity {
            format: 1,
            program: program_identity(program),
            teacher: self.teacher.as_ref().map_or(Value::Null, program_identity),
            train: source(&splits.train),
            val: source(&splits.val),
            test: source(&splits.test),
            metric: self.metric.name(),
            lm: json!({
                "student": lm(cx), "teacher": lm(teacher), "adapter": cx.adapter().name(),
            }),
            optimizer: json!({"name": self.optimizer.name(), "settings": self.optimizer.settings()}),
            seed: self.seed,
        }
    }
}

/// What a program is, for studies: predictors with signatures and parameters, and the wiring.
pub(super) fn program_identity(program: &Program) -> Value {
    let bound = bind(program);
    let predictors: serde_json::Map<String, Value> = bound
        .predictors
        .iter()
        .map(|(path, p)| {
            let parameters = bound.parameters.get(path).unwrap_or(p.parameters());
            let what = json!({"signature": p.signature(), "parameters": **parameters});
            (path.to_string(), what)
        })
        .collect();
    json!({"predictors": predictors, "wiring": program.fingerprint()})
}

/// One session of a study.
struct Session<'a, O> {
    compiler: &'a Compiler<O>,
    study: &'a Study,
    splits: &'a Splits,
    program: &'a Program,
}

impl<O: Optimizer> Session<'_, O> {
    async fn run(&self, cx: &Context, teacher_cx: &Context) -> Result<(Candidate, Report)> {
        let started = Instant::now();
        let result = self.phases(cx, teacher_cx, started).await;
        if let Err(error) = &result {
            let seconds = started.elapsed().as_secs_f64();
            self.study.record(Event::Stopped { why: error.to_string(), seconds })?;
        }
        result
    }

    async fn phases(
        &self,
        cx: &Context,
        teacher_cx: &Context,
        started: Instant,
    ) -> Result<(Candidate, Report)> {
        let before = self.study.usage();
        // One meter for all of this session: student and teacher, search and final evaluation.
        let cx = cx.with_limits(self.remaining(before));
        let teacher_cx = teacher_cx.with_meter(cx.meter().clone()).with_cancel(cx.cancel().clone());
        let baseline = Candidate::baseline();
        let task = self.task(cx.clone(), teacher_cx.clone());
        self.compiler.progress.note("the program as written, on the test split");
        let plain = race::full(&task, &baseline, Split::Test).await?;
        let reserve = usage_of(&plain);
        let search_cx = cx.with_limits(self.without_reserve(&cx, before, reserve));
        let teacher_cx = teacher_cx.with_meter(search_cx.meter().clone());
        let search = self.task(search_cx, teacher_cx);
        let (winner, stopped) = self.search(&search).await?;
        self.compiler.progress.note("the winner, on the test split");
        let tuned = race::full(&task, &winner, Split::Test).await?;
        let report = self.report(&winner, &plain, &tuned, stopped, started)?;
        Ok((winner, report))
    }

    fn task(&self, cx: Context, teacher_cx: Context) -> Task<'_> {
        let bound = self.program.bound();
        let signature = |(path, p): &(std::sync::Arc<str>, &dyn teleprompt_core::Predictor)| {
            (path.clone(), p.signature().clone())
        };
        Task {
            cx,
            program: self.program,
            predictors: bound.predictors.iter().map(signature).collect(),
            teacher: self.compiler.teacher.as_ref(),
            teacher_cx,
            train: &self.splits.train,
            val: &self.splits.val,
            test: &self.splits.test,
            metric: &self.compiler.metric,
            study: self.study,
            seed: self.compiler.seed,
            concurrency: self.compiler.concurrency,
            progress: &*self.compiler.progress,
            best: Mutex::new(None),
        }
    }

    /// The search's result, or, when its share of the budget is used up, the best so far.
    async fn search(&self, task: &Task<'_>) -> Result<(Candidate, Option<String>)> {
        let sizes = Sizes { train: self.splits.train.len(), val: self.splits.val.len() };
        let cost = self.compiler.optimizer.cost(sizes);
        let name = self.compiler.optimizer.name();
        self.compiler.progress.note(&format!("{name}: at most {cost} program runs"));
        match self.compiler.optimizer.search(task).await {
            Ok(winner) => Ok((winner, None)),
            Err(error @ Error::Budget { .. }) => {
                let best = task.best.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let winner = best.as_ref().map_or_else(Candidate::baseline, |(c, _)| c.clone());
                Ok((winner, Some(error.to_string())))
            }
            Err(error) => Err(error),
        }
    }

    /// What earlier sessions left of the limits.
    fn remaining(&self, spent: Usage) -> Limits {
        let limits = self.compiler.limits;
        let seconds = Duration::from_secs_f64(self.study.seconds().max(0.0));
        Limits {
            calls: limits.calls.map(|n| n.saturating_sub(spent.calls - spent.cache_hits)),
            tokens: limits
                .tokens
                .map(|n| n.saturating_sub(spent.prompt_tokens + spent.completion_tokens)),
            cost: limits.cost.map(|c| c.saturating_sub(spent.cost)),
            time: limits.time.map(|t| t.saturating_sub(seconds)),
        }
    }

    /// What the search may use: all that is left but the evaluation of its result.
    fn without_reserve(&self, cx: &Context, before: Usage, reserve: Usage) -> Limits {
        let limits = self.remaining(before);
        let now = cx.meter().usage();
        let calls = now.calls - now.cache_hits + reserve.calls;
        let tokens = now.prompt_tokens + now.completion_tokens;
        // A compiled prompt is longer than the plain one; how much is not known yet.
        let later = 3 * (reserve.prompt_tokens + reserve.completion_tokens);
        let cost = now.cost + reserve.cost.times(3);
        Limits {
            calls: limits.calls.map(|n| n.saturating_sub(calls)),
            tokens: limits.tokens.map(|n| n.saturating_sub(tokens + later)),
            cost: limits.cost.map(|c| c.saturating_sub(cost)),
            time: limits.time.map(|t| t.mul_f64(0.8)),
        }
    }

    fn report(
        &self,
        winner: &Candidate,
        plain: &[ScoredRow],
        tuned: &[ScoredRow],
        stopped: Option<String>,
        started: Instant,
    ) -> Result<Report> {
        let scores = |rows: &[ScoredRow]| rows.iter().map(|r| r.score).collect::<Vec<_>>();
        let test = paired(&scores(plain), &scores(tuned));
        let seconds = started.elapsed().as_secs_f64();
        let split = if self.splits.held_back { "held-back" } else { "test" };
        let report = Report {
            optimizer: self.compiler.optimizer.name().into(),
            settings: self.compiler.optimizer.settings(),
            metric: self.compiler.metric.name(),
            split: split.into(),
            baseline: Side::of("as written", plain),
            winner: Side::of(&winner.origin, tuned),
            difference: test.difference,
            difference_ci: (test.ci.low, test.ci.high),
            p_value: test.p_value,
            test: test.test.name().into(),
            usage: self.study.usage(),
            seconds: seconds + self.study.seconds(),
            study: self.study.name().into(),
            stopped,
        };
        let value = serde_json::to_value(&report).map_err(|e| Error::Study(e.to_string()))?;
        self.study.record(Event::Finished { report: value, seconds })?;
        Ok(report)
    }
}

fn usage_of(rows: &[ScoredRow]) -> Usage {
    let mut usage = Usage::default();
    rows.iter().for_each(|r| usage += r.usage);
    usage
}
