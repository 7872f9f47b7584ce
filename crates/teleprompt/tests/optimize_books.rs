//! The books of a search: what is paid is counted once, and what is counted is what was run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::BoxFuture;
use serde_json::Value;
use teleprompt::adapter::ChatAdapter;
use teleprompt::data::Dataset;
use teleprompt::optimize::study::{Archive, Event, OnChange, Split};
use teleprompt::optimize::{
    Call, Candidate, Compiler, Cost, Objective, Optimizer, Question, Sizes, Task, mean_score,
};
use teleprompt::prelude::*;
use teleprompt::{
    Limits, LmError, LmErrorKind, LmHandle, LmRequest, LmResponse, MetricHandle, Parameters,
    ProgramState, Usage, record,
};

/// Answers each output field by the words of the request, after a pause, and counts.
#[derive(Clone)]
struct Teller {
    answer: Arc<dyn Fn(&str) -> String + Send + Sync>,
    paid: Arc<AtomicU64>,
    tokens: Arc<AtomicU64>,
    /// The call with this number fails for good.
    dies_at: u64,
}

impl Teller {
    fn new(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let (paid, tokens) = (Arc::default(), Arc::default());
        Self { answer: Arc::new(answer), paid, tokens, dies_at: u64::MAX }
    }

    fn paid(&self) -> u64 {
        self.paid.load(Ordering::SeqCst)
    }

    fn cx(&self) -> Context {
        Context::new(LmHandle::new(self.clone()), Arc::new(ChatAdapter))
    }
}

impl Lm for Teller {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let text: Vec<String> = request.messages.iter().map(|m| m.content.to_string()).collect();
        let text = text.join("\n");
        // Calls end in another order than they began.
        for _ in 0..text.len() % 5 + 1 {
            tokio::task::yield_now().await;
        }
        let call = self.paid.fetch_add(1, Ordering::SeqCst) + 1;
        if call >= self.dies_at {
            self.paid.fetch_sub(1, Ordering::SeqCst);
            return Err(LmError::new(LmErrorKind::Auth, "teller", "the key was taken away"));
        }
        let tokens = text.split_whitespace().count() as u64;
        self.tokens.fetch_add(tokens + 1, Ordering::SeqCst);
        let mut response = LmResponse::text((self.answer)(&text));
        response.usage = Usage { prompt_tokens: tokens, completion_tokens: 1, ..Usage::one_call() };
        Ok(response)
    }
    fn name(&self) -> &str {
        "teller"
    }
}

type Search = for<'a, 'b> fn(&'a Task<'b>) -> BoxFuture<'a, Result<Candidate>>;

/// A recipe that is one function.
struct Recipe(Search);

impl Optimizer for Recipe {
    fn name(&self) -> &'static str {
        "recipe"
    }
    fn settings(&self) -> Value {
        Value::Null
    }
    fn validates(&self) -> bool {
        true
    }
    fn cost(&self, _: Sizes) -> Cost {
        Cost::default()
    }
    async fn search(&self, task: &Task<'_>) -> Result<Candidate> {
        (self.0)(task).await
    }
}

impl Recipe {
    fn on(self, metric: impl Metric, dir: &Path) -> Compiler<Self> {
        let compiler = self.compiler(metric).val(&data("v", 6)).test(&data("t", 6));
        compiler.studies_in(dir).study("books").concurrency(8)
    }
}

fn data(name: &str, n: usize) -> Dataset {
    let example = |i: usize| {
        let label = if i.is_multiple_of(2) { "a" } else { "b" };
        Example::new(record! { text: format!("{name} number {i}"), label: label }, ["text"])
    };
    Dataset::new(name, (0..n).map(example).collect::<Vec<_>>())
}

fn program() -> Predict {
    Predict::of("text -> label").unwrap()
}

fn label(text: &str) -> String {
    format!("[[ ## label ## ]]\n{text}")
}

fn exact(example: &Example, prediction: &Prediction) -> bool {
    example["label"] == prediction["label"]
}

/// A predictor of its own says whether the label is good; its path is the program's, too.
struct ByPredict(Predict);

impl ByPredict {
    fn new() -> Self {
        Self(Predict::of("claim -> good: bool").unwrap())
    }
}

impl Metric for ByPredict {
    async fn score(&self, cx: &Context, _: &Example, prediction: &Prediction) -> Result<Score> {
        let claim = prediction["label"].clone();
        if let Some(trace) = cx.trace() {
            assert!(!trace.steps().is_empty(), "the metric sees the program's calls");
        }
        let said = self.0.call(cx, record! { claim: claim }).await?;
        Ok(Score::from(said["good"] == true))
    }
}

fn says_good(text: &str) -> String {
    match text.contains("claim") {
        true => "[[ ## good ## ]]\ntrue".into(),
        false => label("a"),
    }
}

#[tokio::test]
async fn the_calls_of_a_judge_are_no_steps_of_the_program() {
    let recipe = Recipe(|task| {
        Box::pin(async move {
            let run = task.run(&Call::new(task.base(), Split::Train, 0)).await?;
            for step in &run.steps {
                task.note(format!("{} gave {}", step.path, step.outputs["label"]))?;
            }
            task.note(format!("{} and {} calls", run.usage.calls, run.judged.calls))?;
            Ok(task.base().clone())
        })
    });
    let (dir, lm) = (tempfile::tempdir().unwrap(), Teller::new(says_good));
    let compiler = recipe.on(MetricHandle::new(ByPredict::new()), dir.path());
    let done = compiler.compile(&lm.cx(), &program(), &data("x", 8)).await.unwrap();
    assert_eq!(done.report.notes, [r#"predict gave "a""#, "1 and 1 calls"]);
    assert_eq!(done.report.usage.calls, lm.paid());
}

/// Three different examples, each four times.
fn repeated() -> Dataset {
    let three = data("x", 3);
    Dataset::new("x", (0..12).map(|i| three[i / 4].clone()).collect::<Vec<_>>())
}

/// Answers the first calls with the right label and the others with a wrong one, so that what a
/// search decides by shows which calls it saw.
fn wavering() -> Teller {
    let calls = AtomicU64::new(0);
    Teller::new(move |text| {
        let n = calls.fetch_add(1, Ordering::SeqCst);
        if text.contains("rule") {
            return format!("[[ ## rule ## ]]\nrule {n}");
        }
        label(if n.is_multiple_of(3) { "a" } else { "b" })
    })
}

fn ran(dir: &Path) -> usize {
    events(dir).iter().filter(|e| matches!(e, Event::Ran { .. } | Event::Asked { .. })).count()
}

fn events(dir: &Path) -> Vec<Event> {
    let mut all = Vec::new();
    let mut archive = Archive::open(dir, "books").unwrap();
    archive
        .each(|event| {
            all.push(event);
            Ok(())
        })
        .unwrap();
    all
}

#[tokio::test]
async fn equal_runs_and_questions_at_the_same_time_are_paid_once_and_resume_alike() {
    let recipe = || {
        Recipe(|task| {
            Box::pin(async move {
                let places: Vec<usize> = (0..task.train.len()).collect();
                let runs = task.runs(task.base(), Split::Train, &places).await?;
                let scores: Vec<String> = runs.iter().map(|r| r.score.to_string()).collect();
                task.note(scores.join(" "))?;
                let writer = Program::new(Predict::of("text -> rule")?);
                let ask = || task.ask(Question::new("a rule", &writer, record! { text: "rule" }));
                let (one, two) = futures::join!(ask(), ask());
                task.note(format!("{} {}", one?.outputs["rule"], two?.outputs["rule"]))?;
                Ok(task.base().clone())
            })
        })
    };
    let (dir, lm) = (tempfile::tempdir().unwrap(), wavering());
    let compile = async || {
        let compiler = recipe().on(exact, dir.path());
        compiler.compile(&lm.cx(), &program(), &repeated()).await.unwrap().report
    };
    let first = compile().await;
    assert_eq!((lm.paid(), ran(dir.path())), (6 + 3 + 1, 10), "test, train, one question");
    let again = compile().await;
    assert_eq!((lm.paid(), ran(dir.path())), (10, 10));
    assert_eq!((&again.notes, again.notes.len()), (&first.notes, 2), "the same was decided");
    let scores: Vec<&str> = first.notes[0].split(' ').collect();
    assert!(scores.chunks(4).all(|same| same.iter().all(|s| *s == same[0])), "{scores:?}");
}

#[tokio::test]
async fn the_first_of_several_results_of_a_key_is_what_holds() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = || {
        Recipe(|task| {
            Box::pin(async move {
                let run = task.run(&Call::new(task.base(), Split::Val, 0)).await?;
                task.note(format!("score {}", run.score))?;
                Ok(task.base().clone())
            })
        })
    };
    let lm = Teller::new(|_| label("a"));
    let compiler = recipe().on(exact, dir.path());
    compiler.compile(&lm.cx(), &program(), &data("x", 4)).await.unwrap();
    // As sessions wrote it that paid equal examples each on its own.
    let path = dir.path().join("books/journal.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let line = text.lines().find(|l| l.contains(r#""split":"val""#)).unwrap();
    let other = line.replace(r#""score":1.0"#, r#""score":0.0"#);
    assert_ne!(line, other);
    std::fs::write(&path, format!("{text}{other}\n")).unwrap();
    let compiler = recipe().on(exact, dir.path());
    let done = compiler.compile(&lm.cx(), &program(), &data("x", 4)).await.unwrap();
    assert_eq!(done.report.notes, ["score 1"]);
    assert_eq!(done.report.candidates[0].scores[&0], 1.0);
}

/// Two predictors, one after the other.
#[derive(Module, Clone)]
struct TwoSteps {
    think: Predict,
    say: Predict,
}

impl TwoSteps {
    fn new() -> Self {
        let think = Predict::of("text -> thought").unwrap();
        Self { think, say: Predict::of("thought -> label").unwrap() }
    }
}

impl Module for TwoSteps {
    type Input = Record;
    type Output = Record;
    async fn forward(&self, cx: &Context, input: Record) -> Result<Prediction> {
        let thought = self.think.call(cx, input).await?;
        self.say.call(cx, record! { thought: thought["thought"].clone() }).await
    }
}

fn in_steps(text: &str) -> String {
    match text.contains("[[ ## thought ## ]]\n") {
        _ if text.contains("claim") => says_good(text),
        true => label("a"),
        false => "[[ ## thought ## ]]\nI think".into(),
    }
}

/// Asks, runs the teacher and evaluates.
fn busy() -> Recipe {
    Recipe(|task| {
        Box::pin(async move {
            let writer = Program::new(Predict::of("text -> thought")?);
            task.ask(Question::new("a thought", &writer, record! { text: "why" })).await?;
            let all: Vec<usize> = (0..task.train.len()).collect();
            let teacher: Vec<Call<'_>> =
                all.iter().map(|i| Call::new(task.base(), Split::Train, *i).by_teacher()).collect();
            task.run_all(&teacher).await?;
            task.runs(task.base(), Split::Train, &all).await?;
            task.validate(task.base()).await?;
            Ok(task.base().clone())
        })
    })
}

fn spent(dir: &Path) -> (u64, u64) {
    let total = Archive::open(dir, "books").unwrap().spent().total();
    (total.calls, total.prompt_tokens + total.completion_tokens)
}

#[tokio::test]
async fn the_ledger_is_what_the_lm_counts_over_sessions_with_call_limits() {
    let whole = {
        let (dir, lm) = (tempfile::tempdir().unwrap(), Teller::new(in_steps));
        let compiler = busy().on(MetricHandle::new(ByPredict::new()), dir.path());
        compiler.compile(&lm.cx(), &TwoSteps::new(), &data("x", 40)).await.unwrap();
        lm.paid()
    };
    let (dir, lm) = (tempfile::tempdir().unwrap(), Teller::new(in_steps));
    let mut finished = false;
    // Sessions with more to spend each, from too little for the program as written up to enough.
    for limit in [5, 17, 50, 83, 122, 160, 200, 251, 600] {
        let compiler = busy().on(MetricHandle::new(ByPredict::new()), dir.path());
        let compiler = compiler.limits(Limits { calls: Some(limit), ..Limits::default() });
        let done = compiler.compile(&lm.cx(), &TwoSteps::new(), &data("x", 40)).await;
        assert!(lm.paid() <= limit, "{} of {limit}", lm.paid());
        assert_eq!(spent(dir.path()), (lm.paid(), lm.tokens.load(Ordering::SeqCst)), "{limit}");
        finished = done.is_ok_and(|done| done.report.stopped.is_none());
    }
    assert!(finished);
    let lost = events(dir.path()).iter().filter(|e| matches!(e, Event::Lost { .. })).count();
    assert!(lost > 0, "some runs ended between their steps");
    assert!(lm.paid() >= whole, "what was lost is paid again: {} of {whole}", lm.paid());
}

#[tokio::test]
async fn when_one_run_fails_for_good_those_in_flight_are_kept_and_none_is_begun() {
    let (dir, mut lm) = (tempfile::tempdir().unwrap(), Teller::new(|_| label("a")));
    lm.dies_at = 14;
    let begun = Arc::new(AtomicU64::new(0));
    let recipe = Recipe(|task| {
        Box::pin(async move {
            let all: Vec<usize> = (0..task.train.len()).collect();
            task.runs(task.base(), Split::Train, &all).await?;
            Ok(task.base().clone())
        })
    });
    // The first call is answered last.
    let slow = Slow { inner: lm.clone(), begun: begun.clone() };
    let cx = Context::new(LmHandle::new(slow), Arc::new(ChatAdapter));
    let compiler = recipe.on(exact, dir.path());
    let failed = compiler.compile(&cx, &program(), &data("x", 60)).await;
    assert!(matches!(failed.err(), Some(Error::Lm(_))));
    assert_eq!((ran(dir.path()) as u64, spent(dir.path()).0), (lm.paid(), lm.paid()));
    let begun = begun.load(Ordering::SeqCst);
    assert!(begun <= 6 + 8 + 8, "{begun} calls were begun");
}

/// Lets every train example numbered 0 wait until all others in flight are done.
struct Slow {
    inner: Teller,
    begun: Arc<AtomicU64>,
}

impl Lm for Slow {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let first = request.messages.iter().any(|m| m.content.to_string().contains("x number 0"));
        for _ in 0..if first { 200 } else { 0 } {
            tokio::task::yield_now().await;
        }
        if first {
            // It was begun before the failure, so it is answered.
            return Teller { dies_at: u64::MAX, ..self.inner.clone() }.generate(request).await;
        }
        self.inner.generate(request).await
    }
    fn name(&self) -> &str {
        "slow"
    }
}

#[tokio::test]
async fn what_a_compile_used_that_was_given_up_is_in_the_ledger() {
    let (dir, lm) = (tempfile::tempdir().unwrap(), Teller::new(in_steps));
    let compiler = busy().on(MetricHandle::new(ByPredict::new()), dir.path());
    let (cx, plain, train) = (lm.cx(), TwoSteps::new(), data("x", 40));
    {
        let mut compile = Box::pin(compiler.compile(&cx, &plain, &train));
        while lm.paid() < 31 {
            assert!(futures::poll!(&mut compile).is_pending());
            tokio::task::yield_now().await;
        }
    }
    let (calls, _) = spent(dir.path());
    assert_eq!(calls, lm.paid());
    let lost: u64 = events(dir.path())
        .iter()
        .map(|e| if let Event::Lost { usage, .. } = e { usage.calls } else { 0 })
        .sum();
    assert!(lost > 0, "nothing was in flight");
}

#[tokio::test]
async fn a_fork_knows_what_its_results_used_and_does_not_count_it_as_spent() {
    let (dir, lm) = (tempfile::tempdir().unwrap(), Teller::new(in_steps));
    let compile = async |seed_of_data: &str| {
        let compiler = busy().on(exact, dir.path()).on_change(OnChange::Fork);
        let compiler = compiler.objective(Objective::Cost { margin: 0.0 });
        let train = data(seed_of_data, 8);
        compiler.compile(&lm.cx(), &TwoSteps::new(), &train).await.unwrap().report
    };
    let first = compile("x").await;
    let before = lm.paid();
    let fork = compile("y").await;
    assert_eq!(fork.study, "books-2");
    assert_eq!(fork.usage.calls, lm.paid() - before);
    assert!(fork.usage.calls < before, "something was kept");
    assert_eq!(fork.baseline.tokens, first.baseline.tokens, "what a run used is known");
    assert!(fork.baseline.tokens > 0.0);
    assert_eq!(fork.spent.report, Usage::default());
}

fn instructed(text: &str) -> ProgramState {
    let mut state = ProgramState::default();
    let instructions = Some(text.into());
    state.insert("predict", Parameters { instructions, ..Parameters::default() });
    state
}

/// Says "a", or what the instructions say: always "b", or what is right but for number 3.
fn by_instructions(text: &str) -> String {
    let odd = ["1", "3", "5"].iter().any(|n| text.contains(&format!("number {n}")));
    let b = text.contains("say b") || text.contains("mostly") && odd && !text.contains("number 3");
    label(if b { "b" } else { "a" })
}

#[tokio::test]
async fn scores_on_other_examples_are_no_match_and_facts_keep_the_places_of_the_splits() {
    let recipe = Recipe(|task| {
        Box::pin(async move {
            let small = task.with_examples(task.train.select(&[4, 2]), task.val.select(&[3, 5]));
            let says_b = task.propose("says b", instructed("say b"))?;
            let mostly = task.propose("mostly right", instructed("mostly"))?;
            assert_eq!(small.validate(&mostly).await?, 0.5);
            assert_eq!(small.validate(&says_b).await?, 1.0);
            assert_eq!((small.winner(), task.winner()), (says_b.clone(), says_b.clone()));
            small.run(&Call::new(&says_b, Split::Train, 0)).await?;
            assert_eq!(task.validate(task.base()).await?, 0.5);
            assert_eq!(task.winner(), *task.base(), "what was scored on fewer does not count");
            assert!(task.validate(&mostly).await? > 0.8);
            assert_eq!((small.winner(), task.winner()), (says_b, mostly.clone()));
            assert_eq!((small.scored().len(), task.scored().len()), (2, 2));
            let all: Vec<_> = task.train.iter().chain(task.val.iter()).cloned().collect();
            let all = Dataset::new("all", all);
            let pool = task.with_examples(all.clone(), all);
            pool.runs(&mostly, Split::Val, &[0, task.train.len() + 3]).await?;
            Ok(task.winner())
        })
    });
    let (dir, lm) = (tempfile::tempdir().unwrap(), Teller::new(by_instructions));
    let compiler = recipe.on(exact, dir.path());
    let done = compiler.compile(&lm.cx(), &program(), &data("x", 8)).await.unwrap();
    let facts = |origin: &str| {
        done.report.candidates.iter().find(|c| c.origin == origin).expect("it was made").clone()
    };
    let says_b = facts("says b");
    assert_eq!(says_b.scores.into_iter().collect::<Vec<_>>(), [(3, 1.0), (5, 1.0)]);
    assert_eq!(says_b.train_scores.into_iter().collect::<Vec<_>>(), [(4, 0.0)]);
    let mostly: Vec<f64> = facts("mostly right").scores.into_values().collect();
    assert_eq!(mostly, [1.0, 1.0, 1.0, 0.0, 1.0, 1.0], "no row of the pool is among them");
    let pooled = |e: &Event| matches!(e, Event::Ran { pooled: true, example: 0, .. });
    assert_eq!(events(dir.path()).iter().filter(|e| pooled(e)).count(), 1);
    assert_eq!(done.report.winner.origin, "mostly right");
}

/// Turns down three candidates on some examples, one of them twice, and goes on.
fn turns_down() -> Recipe {
    Recipe(|task| {
        Box::pin(async move {
            task.validate(task.base()).await?;
            for text in ["one", "two", "two", "three"] {
                let candidate = task.propose(text, instructed(text))?;
                task.run(&Call::new(&candidate, Split::Val, 0)).await?;
                task.decide(&candidate, false, Some(0.0), 1, "no better on a minibatch")?;
            }
            let last = task.propose("say b", instructed("say b"))?;
            task.validate(&last).await?;
            Ok(task.winner())
        })
    })
}

#[tokio::test]
async fn candidates_turned_down_on_some_examples_count_as_no_improvement_each_once() {
    let stopped = async |most: usize| {
        let (dir, lm) = (tempfile::tempdir().unwrap(), Teller::new(by_instructions));
        let compiler = turns_down().on(exact, dir.path()).stop_without_improvement(most);
        compiler.compile(&lm.cx(), &program(), &data("x", 8)).await.unwrap().report.stopped
    };
    assert!(stopped(3).await.unwrap().contains("3 candidates in a row were no better"));
    assert_eq!(stopped(4).await, None, "the one turned down twice is one");
}

#[tokio::test]
async fn failing_is_no_way_to_win_where_scores_are_negative() {
    let penalty = |example: &Example, _: &Prediction| {
        if example["label"] == "a" { -1.0 } else { -2.0 }
    };
    let recipe = Recipe(|task| {
        Box::pin(async move {
            let fails = task.propose("fails", instructed("be silent"))?;
            assert_eq!(task.validate(&fails).await?, 0.0, "nothing else was seen yet");
            assert_eq!(task.validate(task.base()).await?, -1.5);
            assert_eq!(task.winner(), *task.base());
            assert_eq!(task.scored()[0], (fails.clone(), -2.0));
            let runs = task.runs(&fails, Split::Train, &[0, 1]).await?;
            assert_eq!(mean_score(&runs), -2.0);
            Ok(task.winner())
        })
    });
    let lm = Teller::new(|text| match text.contains("be silent") {
        true => String::new(),
        false => label("a"),
    });
    let dir = tempfile::tempdir().unwrap();
    let done = recipe.on(penalty, dir.path()).compile(&lm.cx(), &program(), &data("x", 8)).await;
    assert_eq!(done.unwrap().report.winner.origin, "as written");
    // A recipe that insists gains nothing on the test examples, either.
    let insists =
        Recipe(|task| Box::pin(async move { task.propose("fails", instructed("be silent")) }));
    let dir = tempfile::tempdir().unwrap();
    let done = insists.on(penalty, dir.path()).compile(&lm.cx(), &program(), &data("x", 8)).await;
    let report = done.unwrap().report;
    assert_eq!((report.baseline.score, report.winner.score), (-1.5, -2.0));
    assert!(!report.improved && report.winner.failed == 6);
}
