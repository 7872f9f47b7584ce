//! What leaks in a compile: answers into prompts, and calls past the ledger.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::BoxFuture;
use teleprompt::adapter::ChatAdapter;
use teleprompt::data::Dataset;
use teleprompt::optimize::propose::Bootstrap;
use teleprompt::optimize::race::Race;
use teleprompt::optimize::study::Split;
use teleprompt::optimize::teleprompter::{
    BetterTogether, CalibrateDecisions, Copro, KnnFewShot, LabeledFewShot, Simba,
};
use teleprompt::optimize::{
    Candidate, Compiler, Cost, Optimizer, OptimizerHandle, Racing, Sizes, Task,
};
use teleprompt::prelude::*;
use teleprompt::{
    Capabilities, Limits, LmError, LmErrorKind, LmHandle, LmRequest, LmResponse, LmSettings, Money,
    Price, Role,
};
use teleprompt_testkit::scripted::{Reply, ScriptedLm};

const WORDS: [&str; 12] = [
    "ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine", "rowan", "yew",
];

/// Texts with a number each; the label says whether it is odd.
fn data(n: usize) -> Dataset {
    let example = |i: usize| {
        let label = if i % 2 == 1 { "odd" } else { "even" };
        let (a, b) = (WORDS[i % 12], WORDS[(i / 12) % 12]);
        let text = format!("{a} {b} {} number {i}", i * 7919);
        Example::new(record! { text: text, label: label }, ["text"])
    };
    Dataset::new("made up", (0..n).map(example).collect::<Vec<_>>())
}

fn program() -> Predict {
    Predict::of(r#"text -> label: enum["even", "odd"]"#).unwrap()
}

fn exact(example: &Example, prediction: &Prediction) -> bool {
    example["label"] == prediction["label"]
}

fn context(lm: impl Lm) -> Context {
    Context::new(LmHandle::new(lm), Arc::new(ChatAdapter))
}

fn compiler<O: Optimizer>(optimizer: O, dir: &Path) -> Compiler<O> {
    optimizer.compiler(exact).studies_in(dir).study("trial").concurrency(1)
}

fn last(request: &LmRequest) -> String {
    request.messages.last().unwrap().content.to_string()
}

fn all(request: &LmRequest) -> String {
    request.messages.iter().map(|m| format!("{}\n", m.content)).collect()
}

fn number(text: &str) -> u64 {
    let digits = text.split("number ").last().unwrap();
    digits.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

fn events(dir: &Path, kind: &str) -> Vec<serde_json::Value> {
    let journal = std::fs::read_to_string(dir.join("trial").join("journal.jsonl")).unwrap();
    let lines = journal.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.filter(|event: &serde_json::Value| event["event"] == kind).collect()
}

/// A recipe that is a function.
struct Step(for<'t, 'a> fn(&'t Task<'a>) -> BoxFuture<'t, Result<Candidate>>);

impl Optimizer for Step {
    fn name(&self) -> &'static str {
        "step"
    }
    fn settings(&self) -> serde_json::Value {
        serde_json::Value::Null
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

// Calibration.

fn able() -> Capabilities {
    let mut able = Capabilities::none();
    (able.logprobs, able.label_bias) = (true, true);
    able
}

/// Likes `even`, the more the higher the number; right with the word `brisk` in its instructions or with
/// demonstrations.
fn liking(request: &LmRequest) -> Reply {
    let n = number(&last(request));
    let even = 0.6 + (n % 30) as f32 / 100.0;
    let knows = (all(request).contains("brisk") || request.messages.len() > 2) && n % 2 == 1;
    let said = if knows { "odd" } else { "even" };
    Reply::tokens(&[("[[ ## label ## ]]\n", &[]), (said, &[("even", even), ("odd", 1.0 - even)])])
}

fn biased() -> ScriptedLm {
    ScriptedLm::new(liking).with_capabilities(able()).recording()
}

/// The same, for money.
struct Priced(ScriptedLm);

impl Lm for Priced {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        self.0.generate(request).await
    }
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
    fn price(&self) -> Option<Price> {
        Some(Price::per_million(1.0, 1.0))
    }
}

#[tokio::test]
async fn calibration_keeps_to_a_limit_of_money() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { cost: Some(Money::dollars(100.0)), ..Limits::default() };
    let recipe = compiler(LabeledFewShot::default(), dir.path()).limits(limits);
    let settings = LmSettings { max_tokens: Some(20), ..LmSettings::default() };
    let cx = context(Priced(biased())).with_settings(&settings);
    let done = recipe.compile(&cx, &program(), &data(80)).await.unwrap();
    let bias = &done.program.state().get("predict").unwrap().label_bias;
    assert!(bias["odd"] > 0.5 && (bias["odd"] + bias["even"]).abs() < 1e-3, "{bias:?}");
}

fn brisk<'t>(task: &'t Task<'_>) -> BoxFuture<'t, Result<Candidate>> {
    let instructions = Some("Be brisk.".into());
    let parameters = teleprompt::Parameters { instructions, ..Default::default() };
    let mut state = teleprompt::ProgramState::default();
    state.insert("predict", parameters);
    Box::pin(async move { task.propose("brisk", state) })
}

#[tokio::test]
async fn calibration_measures_what_is_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let lm = biased();
    let steps = vec![
        OptimizerHandle::new(Step(brisk)),
        OptimizerHandle::new(LabeledFewShot { k: 4, calibration_examples: 12 }),
    ];
    let recipe = BetterTogether { steps, ..BetterTogether::default() };
    compiler(recipe, dir.path())
        .compile(&context(lm.clone()), &program(), &data(80))
        .await
        .unwrap();
    let requests = lm.requests();
    let probes: Vec<_> = requests.iter().filter(|r| r.settings.logprobs.is_some()).collect();
    assert_eq!(probes.len(), 12);
    assert!(probes.iter().all(|request| all(request).contains("Be brisk.")));
}

#[tokio::test]
async fn a_calibration_that_is_killed_keeps_what_was_paid() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = || compiler(LabeledFewShot { k: 4, calibration_examples: 20 }, dir.path());
    let answered = AtomicU64::new(0);
    let dying = ScriptedLm::new(move |request: &LmRequest| {
        let probed = u64::from(request.settings.logprobs.is_some());
        if answered.fetch_add(probed, Ordering::SeqCst) < 9 {
            return liking(request);
        }
        Reply::Error(LmError::new(LmErrorKind::Auth, "scripted", "no key"))
    });
    let cx = context(dying.with_capabilities(able()));
    assert!(recipe().compile(&cx, &program(), &data(80)).await.is_err());
    assert_eq!(events(dir.path(), "calibrated").len(), 9);
    let lm = biased();
    let resumed = recipe().compile(&context(lm.clone()), &program(), &data(80)).await.unwrap();
    let calibrated = events(dir.path(), "calibrated");
    assert_eq!(calibrated.len(), 20);
    assert!(calibrated.iter().all(|event| event["calibration"]["usage"]["calls"] == 1));
    let probes = lm.requests().iter().filter(|r| r.settings.logprobs.is_some()).count();
    assert_eq!(probes, 11, "what was paid is not paid again");
    let whole = tempfile::tempdir().unwrap();
    let recipe = compiler(LabeledFewShot { k: 4, calibration_examples: 20 }, whole.path());
    let at_once =
        recipe.concurrency(7).compile(&context(biased()), &program(), &data(80)).await.unwrap();
    assert_eq!(resumed.program.state(), at_once.program.state());
}

#[tokio::test]
async fn the_lm_that_a_predictor_names_is_calibrated() {
    let dir = tempfile::tempdir().unwrap();
    let lm = biased().with_name("big");
    let cx = context(ScriptedLm::new(|_| "[[ ## label ## ]]\neven"));
    let cx = cx.with_named_lm("big", LmHandle::new(lm.clone()));
    let named = teleprompt::Parameters { lm: Some("big".into()), ..Default::default() };
    let recipe = compiler(LabeledFewShot { k: 4, calibration_examples: 12 }, dir.path());
    let done = recipe.compile(&cx, &program().with_parameters(named), &data(80)).await.unwrap();
    assert!(!done.program.state().get("predict").unwrap().label_bias.is_empty());
    assert!(lm.requests().iter().any(|r| r.settings.logprobs.is_some()));
}

// Demonstrations of the example itself.

/// Knows nothing, and copies the answer of a demonstration with the same text.
fn copier() -> ScriptedLm {
    ScriptedLm::new(|request: &LmRequest| {
        let text = last(request);
        let shown = |pair: &[teleprompt::Message]| {
            let same = pair[0].role == Role::User && pair[0].content.to_string() == text;
            same.then(|| pair[1].content.to_string())
        };
        let copied = request.messages.windows(2).find_map(shown);
        copied.unwrap_or_else(|| "[[ ## label ## ]]\nI do not know".to_owned())
    })
}

async fn on_train(task: &Task<'_>, candidate: &Candidate) -> f64 {
    let places: Vec<usize> = (0..task.train.len()).collect();
    let runs = task.runs(candidate, Split::Train, &places).await.unwrap();
    teleprompt::optimize::mean_score(&runs)
}

fn few_shot(k: usize) -> LabeledFewShot {
    LabeledFewShot { k, calibration_examples: 0 }
}

fn looks_at_train<'t>(task: &'t Task<'_>) -> BoxFuture<'t, Result<Candidate>> {
    Box::pin(async move {
        let demos = few_shot(8).search(task).await?;
        assert_eq!(on_train(task, &demos).await, 0.0, "fixed demos");
        let near = KnnFewShot::default().search(task).await?;
        assert_eq!(on_train(task, &near).await, 0.0, "the nearest demos");
        // Ordinary calls are shown what is nearest, be it the same.
        let cx = task.cx.with_candidate(near.state().clone());
        let prediction = task.program.call(&cx, task.train[0].inputs()).await?;
        assert_eq!(prediction["label"], task.train[0]["label"]);
        let bootstrap = Bootstrap {
            max_demos: 50,
            max_rounds: 1,
            metric_threshold: None,
            teacher_demos: task.train.len(),
        };
        let order: Vec<usize> = (0..task.train.len()).collect();
        let base = task.based_on(&near);
        assert!(bootstrap.run(&base, &order).await?.examples.is_empty(), "a base with a pool");
        let base = task.based_on(&demos);
        let none = Bootstrap { teacher_demos: 0, ..bootstrap.clone() };
        assert!(none.run(&base, &order).await?.examples.is_empty(), "a base with demos");
        let twice: Vec<Example> = task.train.iter().chain(task.train.iter()).cloned().collect();
        let twice = task.with_examples(Dataset::new("twice", twice), task.val.clone());
        let order: Vec<usize> = (0..twice.train.len()).collect();
        let all = Bootstrap { teacher_demos: order.len(), ..bootstrap };
        assert!(
            all.run(&twice, &order).await?.examples.is_empty(),
            "examples that are there twice"
        );
        Ok(near)
    })
}

#[tokio::test]
async fn runs_on_train_examples_are_not_shown_their_own_answer() {
    let dir = tempfile::tempdir().unwrap();
    let lm = copier().recording();
    let cx = context(lm.clone()).with_reply_retries(0);
    compiler(Step(looks_at_train), dir.path()).compile(&cx, &program(), &data(60)).await.unwrap();
    // Without the demonstration of the example itself there still are as many.
    let mut whole = BTreeSet::new();
    for request in lm.requests() {
        let text = last(&request);
        let turns = request.messages.len();
        let own = request.messages[..turns - 1].iter().any(|m| m.content.to_string() == text);
        if turns == 2 + 2 * KnnFewShot::default().k && !own {
            whole.insert(text);
        }
    }
    let train = 60 * 3 / 4 * 2 / 3;
    assert!(whole.len() >= train, "{}", whole.len());
}

fn folds<'t>(task: &'t Task<'_>) -> BoxFuture<'t, Result<Candidate>> {
    Box::pin(async move {
        let demos = few_shot(1000).search(task).await?;
        let base = task.based_on(&demos);
        let mut racing = Racing::new(&base, &Race::KFold { folds: 3 });
        let entrant = racing.enter_base().await?;
        assert_eq!(racing.standing(entrant).mean, 0.0);
        let near = KnnFewShot::default().search(task).await?;
        let entrant = racing.enter_candidate(near);
        racing.run().await?;
        assert_eq!(racing.standing(entrant).n, task.train.len() + task.val.len());
        assert_eq!(racing.standing(entrant).mean, 0.0);
        Ok(demos)
    })
}

#[tokio::test]
async fn nor_are_those_of_folds() {
    let dir = tempfile::tempdir().unwrap();
    let cx = context(copier()).with_reply_retries(0);
    compiler(Step(folds), dir.path()).compile(&cx, &program(), &data(60)).await.unwrap();
}

// Scores of outputs that no run gave.

/// Says `false` whenever its probability of `true` is below 0.9; as a judge it compares.
fn shy() -> ScriptedLm {
    let script = |request: &LmRequest| {
        let text = last(request);
        if text.contains("[[ ## claimed ## ]]") {
            let same = text.matches("true").count() != 1;
            return Reply::from(format!("[[ ## right ## ]]\n{same}"));
        }
        let p = (number(&text) % 100) as f32 / 100.0;
        let said = if p >= 0.9 { "true" } else { "false" };
        let top = [("true", p.max(1e-6)), ("false", (1.0 - p).max(1e-6))];
        Reply::tokens(&[("[[ ## odd ## ]]\n", &[]), (said, &top)])
    };
    let mut able = Capabilities::none();
    able.logprobs = true;
    ScriptedLm::new(script).with_capabilities(able)
}

/// A metric that asks an LM.
struct Asks;

impl teleprompt::Metric for Asks {
    async fn score(
        &self,
        cx: &Context,
        example: &Example,
        prediction: &Prediction,
    ) -> Result<Score> {
        let judge = Predict::of("claimed, truth -> right: bool")?;
        let inputs = record! {
            claimed: prediction["odd"].to_string(), truth: example["odd"].to_string()
        };
        let said = judge.call(&cx.detached(), inputs).await?;
        Ok((said["right"] == true).into())
    }
}

#[tokio::test]
async fn hypothetical_scores_are_counted_and_paid_once() {
    let dir = tempfile::tempdir().unwrap();
    let lm = shy();
    let cx = context(lm.clone());
    let example = |i: usize| {
        let p = (i * 37) % 100;
        let text = format!("{} {} {} number {p}", WORDS[i % 12], WORDS[(i / 12) % 12], i * 7919);
        Example::new(record! { text: text, odd: p >= 30 }, ["text"])
    };
    let data = Dataset::new("made up", (0..120).map(example).collect::<Vec<_>>());
    let program = Predict::of("text -> odd: bool").unwrap();
    let recipe = || {
        let compiler = CalibrateDecisions::default().compiler(Asks);
        compiler.studies_in(dir.path()).study("trial").concurrency(5)
    };
    let done = recipe().compile(&cx, &program, &data).await.unwrap();
    assert!(done.report.improved, "{}", done.report);
    assert_eq!(done.report.usage.calls, lm.calls(), "every call is in the ledger");
    let judged = events(dir.path(), "judged");
    let train = events(dir.path(), "ran").iter().filter(|e| e["split"] == "train").count();
    assert_eq!(judged.len(), train, "of two labels one was scored by the run itself");
    let keys: BTreeSet<_> = judged.iter().map(|e| e["key"].as_str().unwrap()).collect();
    assert_eq!(keys.len(), judged.len());
    let before = lm.calls();
    let again = recipe().compile(&cx, &program, &data).await.unwrap();
    assert_eq!(lm.calls(), before, "a study that goes on asks nothing again");
    assert_eq!(again.program.state(), done.program.state());
}

// What recipes show and whom they ask.

/// Writes variants by number; answers rightly on a share of the texts that depends on the variant.
fn writer() -> ScriptedLm {
    ScriptedLm::new(|request: &LmRequest| {
        let all = all(request);
        if all.contains("[[ ## instructions ## ]]") {
            return format!("[[ ## instructions ## ]]\nvariant {}.", request.rollout);
        }
        let n = number(&last(request));
        let variant = all
            .split("variant ")
            .nth(1)
            .map_or(0, |rest| rest.split('.').next().unwrap().parse::<u64>().unwrap() + 1);
        let knows = (n * 31 + variant * 17) % 11 < 4 + variant % 4;
        let odd = (n % 2 == 1) == knows;
        format!("[[ ## label ## ]]\n{}", if odd { "odd" } else { "even" })
    })
    .recording()
}

#[tokio::test]
async fn copro_shows_no_scores_of_a_few_examples() {
    let dir = tempfile::tempdir().unwrap();
    let lm = writer();
    let race = Race::Minibatch { size: 7, promote_every: 3 };
    let recipe = Copro { breadth: 6, depth: 3, race, ..Copro::default() };
    let done = compiler(recipe, dir.path());
    let done = done.compile(&context(lm.clone()), &program(), &data(90)).await.unwrap();
    let full = done.report.candidates.iter().map(|c| c.n).max().unwrap();
    let scored = |c: &&teleprompt::optimize::study::CandidateFacts| c.n == full;
    let means: BTreeSet<String> = done
        .report
        .candidates
        .iter()
        .filter(scored)
        .map(|c| format!("{:.3}", c.score.unwrap()))
        .collect();
    assert!(done.report.candidates.iter().any(|c| c.n == 7), "some are dropped early");
    let requests = lm.requests();
    let shown: BTreeSet<String> = requests
        .iter()
        .map(last)
        .filter(|text| text.contains("[[ ## tried ## ]]"))
        .flat_map(|text| {
            text.split("score ").skip(1).map(|rest| rest[..5].to_owned()).collect::<Vec<_>>()
        })
        .collect();
    assert!(shown.len() > 1, "{shown:?}");
    assert!(shown.is_subset(&means), "{shown:?} of {means:?}");
}

#[tokio::test]
async fn simba_has_a_teacher_context_teach() {
    let dir = tempfile::tempdir().unwrap();
    let (student, teacher) = (
        copier(),
        ScriptedLm::new(|request: &LmRequest| {
            let odd = number(&last(request)) % 2 == 1;
            format!("[[ ## label ## ]]\n{}", if odd { "odd" } else { "even" })
        }),
    );
    let teacher = teacher.with_name("teacher");
    let recipe = Simba { bsize: 8, num_candidates: 3, max_steps: 2, ..Simba::default() };
    let done = compiler(recipe, dir.path()).teacher_context(context(teacher.clone()));
    let cx = context(student).with_reply_retries(0);
    let done = done.compile(&cx, &program(), &data(60)).await.unwrap();
    assert_eq!(teacher.calls(), 16, "one run of each example of a batch");
    assert_eq!(done.report.spent.teacher.calls, 16);
    let made = done.report.candidates.iter().any(|c| c.origin.contains("a demo from"));
    assert!(made, "{:?}", done.report.candidates);
}
