//! One session of a study: baseline, search, winner, report.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use teleprompt_core::{Context, Error, Limits, Parameters, Program, ProgramState, Result, Usage};

use super::Compiler;
use super::reserve::{Needs, Reserve};
use crate::optimize::report::{Facts, Measured, Report};
use crate::optimize::splits::Splits;
use crate::optimize::study::{Event, Run, Split, Study};
use crate::optimize::task::{Keys, Places, Standing, Stops, predictors};
use crate::optimize::{Candidate, Optimizer, Task, race};

pub(super) struct Session<'a, O> {
    pub compiler: &'a Compiler<O>,
    pub study: &'a Study,
    pub splits: &'a Splits,
    pub program: &'a Program,
    pub taught: Arc<BTreeMap<Arc<str>, Arc<str>>>,
}

/// The contexts of a search.
struct Contexts {
    student: Context,
    teacher: Context,
    prompt: Context,
}

impl Contexts {
    /// All on the student's meter, so that one budget holds for all.
    fn new(student: Context, teacher: &Context, prompt: &Context) -> Self {
        let join = |cx: &Context| {
            cx.with_meter(student.meter().clone()).with_cancel(student.cancel().clone())
        };
        Self { teacher: join(teacher), prompt: join(prompt), student }
    }
}

impl<O: Optimizer> Session<'_, O> {
    pub async fn run(
        &self,
        cx: &Context,
        teacher_cx: &Context,
        prompt_cx: &Context,
    ) -> Result<(Candidate, Report)> {
        let started = Instant::now();
        let before = self.study.spent().total();
        let cx = cx.with_limits(self.remaining(before));
        let all = Contexts::new(cx, teacher_cx, prompt_cx);
        let result = self.phases(&all, before, started).await;
        if let Err(error) = &result {
            let seconds = started.elapsed().as_secs_f64();
            self.study.record(Event::Stopped { why: error.to_string(), seconds })?;
        }
        result
    }

    async fn phases(
        &self,
        all: &Contexts,
        before: Usage,
        started: Instant,
    ) -> Result<(Candidate, Report)> {
        let baseline = Candidate::baseline();
        // Stop conditions end the search alone: what it started from and what it found are measured.
        let task = self.task(all, Stops::default());
        for remark in &self.splits.remarks {
            task.note(remark)?;
        }
        self.compiler.progress.note("the program as written, on the test split");
        let plain = race::full(&task, &baseline, Split::Test).await?;
        reached(&plain)?;
        let guess = Needs::guessed(usage_of(&plain));
        let limits = self.for_the_search(&all.student, before);
        let share = all.student.with_limits(guess.taken_from(limits));
        let meter = share.meter().clone();
        let searching = self.searching(&Contexts::new(share, &all.teacher, &all.prompt), &plain);
        let reserve = Reserve::new(searching.clone(), meter, limits, guess);
        let searching = Task { runner: &reserve, ..searching };
        let (winner, stopped) = self.search(&searching).await?;
        let measured = self.measure(&task, &winner, plain, stopped).await?;
        let seconds = started.elapsed().as_secs_f64();
        let facts = Facts {
            optimizer: (self.compiler.optimizer.name(), self.compiler.optimizer.settings()),
            metric: self.compiler.metric.clone(),
            splits: self.splits,
            study: self.study,
            program: self.program,
            objective: self.compiler.objective,
            winner: &winner,
            measured,
            seconds: seconds + self.study.seconds(),
        };
        let report = facts.report();
        let value = serde_json::to_value(&report).map_err(|e| Error::Study(e.to_string()))?;
        self.study.record(Event::Finished { report: value, seconds })?;
        Ok((if report.improved { winner } else { baseline }, report))
    }

    /// The winner on the test examples beside the program as written. Where the budget ends on the
    /// way, both on those that were done; the study keeps them, so that a larger limit completes it.
    async fn measure(
        &self,
        task: &Task<'_>,
        winner: &Candidate,
        plain: Vec<Run>,
        stopped: Option<String>,
    ) -> Result<Measured> {
        self.compiler.progress.note("the winner, on the test split");
        let of = plain.len();
        let error = match race::full(task, winner, Split::Test).await {
            Ok(tuned) => return Ok(Measured { plain, tuned, of, stopped }),
            Err(error @ Error::Budget(_)) => error,
            Err(error) => return Err(error),
        };
        let done = task.known(winner, Split::Test);
        let pairs = plain.iter().zip(done).filter_map(|(plain, run)| Some((plain.clone(), run?)));
        let (both, tuned): (Vec<Run>, Vec<Run>) = pairs.unzip();
        let why = format!(
            "the winner was measured on {} of {of} test examples: {error}; compile again with a \
             larger limit to complete it",
            tuned.len()
        );
        let stopped = Some(stopped.map_or(why.clone(), |before| format!("{before}; then {why}")));
        let plain = if tuned.is_empty() { plain } else { both };
        Ok(Measured { plain, tuned, of, stopped })
    }

    /// The task of the search itself: with stop conditions, and told what it may use.
    fn searching(&self, share: &Contexts, plain: &[Run]) -> Task<'_> {
        let mut task = self.task(share, self.compiler.stops.clone());
        let reported = 2 * usage_of(plain).calls;
        task.allowance = self.compiler.limits.calls.map(|n| n.saturating_sub(reported));
        task
    }

    fn task(&self, all: &Contexts, stops: Stops) -> Task<'_> {
        let compiler = self.compiler;
        let (program, teacher) = (self.program, compiler.teacher.as_ref());
        let base = Candidate::baseline();
        let keys = Keys::new(
            [&all.student, &all.teacher, &all.prompt],
            program,
            teacher.unwrap_or(program),
            &compiler.metric,
            &compiler.runner.identity(),
        );
        Task {
            cx: all.student.clone(),
            program,
            predictors: predictors(program, &base),
            teacher,
            taught: self.taught.clone(),
            teacher_cx: all.teacher.clone(),
            prompt_cx: all.prompt.clone(),
            train: self.splits.train.clone(),
            val: self.splits.val.clone(),
            test: self.splits.test.clone(),
            metric: &compiler.metric,
            study: self.study,
            seed: compiler.seed,
            concurrency: compiler.concurrency,
            allowance: None,
            progress: &*compiler.progress,
            base,
            places: Places::whole(&self.splits.train, &self.splits.val, &self.splits.test),
            runner: &*compiler.runner,
            standing: Arc::new(Standing::new(stops, compiler.objective)),
            keys: Arc::new(keys),
            folded: false,
        }
    }

    /// The search's result, or, when it was stopped or its share of the budget is used up, the best
    /// so far.
    async fn search(&self, task: &Task<'_>) -> Result<(Candidate, Option<String>)> {
        let result = match self.compiler.optimizer.search(task).await {
            Ok(found) => self.choose_lms(task, &found).await.map(|()| found),
            Err(error) => Err(error),
        };
        let chosen = |found: Candidate| match task.scored().is_empty() {
            // Nothing was validated: the recipe's word is all there is.
            true => found,
            false => task.winner(),
        };
        match result {
            Ok(found) => Ok((chosen(found), None)),
            Err(error @ Error::Budget(_)) => {
                let why = format!(
                    "the search used up its share of the limits, which leaves room for the last \
                     evaluation: {error}"
                );
                Ok((task.winner(), Some(why)))
            }
            Err(Error::Stopped(why)) => Ok((task.winner(), Some(why))),
            Err(error) => Err(error),
        }
    }

    /// Tries each predictor of the candidate with each LM that it may use, one predictor at a time.
    async fn choose_lms(&self, task: &Task<'_>, found: &Candidate) -> Result<()> {
        if self.compiler.lms.is_empty() {
            return Ok(());
        }
        let mut start = if task.scored().is_empty() { found.clone() } else { task.winner() };
        task.validate(&start).await?;
        for (path, _) in &task.predictors {
            for lm in &self.compiler.lms {
                let mut state = ProgramState::default();
                let named = Parameters { lm: Some(lm.clone()), ..Parameters::default() };
                state.insert(path.clone(), named);
                let origin = format!("{}, {path} on {lm}", start.origin);
                let candidate = task.based_on(&start).propose(origin, state)?;
                task.validate(&candidate).await?;
            }
            start = task.winner();
        }
        Ok(())
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

    /// What is left for the search and the evaluation of its result, from now on.
    fn for_the_search(&self, cx: &Context, before: Usage) -> Limits {
        let limits = self.remaining(before);
        let now = cx.meter().usage();
        Limits {
            calls: limits.calls.map(|n| n.saturating_sub(now.calls - now.cache_hits)),
            tokens: limits
                .tokens
                .map(|n| n.saturating_sub(now.prompt_tokens + now.completion_tokens)),
            cost: limits.cost.map(|c| c.saturating_sub(now.cost)),
            time: limits.time.map(|t| t.mul_f64(0.8)),
        }
    }
}

fn usage_of(runs: &[Run]) -> Usage {
    let mut usage = Usage::default();
    for run in runs {
        usage += run.usage;
        usage += run.judged;
    }
    usage
}

/// An LM that was out for every example is no result to go on from.
fn reached(plain: &[Run]) -> Result<()> {
    let Some(first) = plain.first().filter(|_| plain.iter().all(|run| run.outage)) else {
        return Ok(());
    };
    let why = first.error.as_deref().unwrap_or_default();
    Err(Error::Other(format!(
        "the LM failed on all {} test examples, so there is nothing to measure: {why}; run the same \
         command again when the LM is there",
        plain.len()
    )))
}
