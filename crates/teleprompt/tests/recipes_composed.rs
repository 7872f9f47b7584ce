//! Recipes made of others, decisions, and auto.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use teleprompt::adapter::ChatAdapter;
use teleprompt::data::Dataset;
use teleprompt::optimize::teleprompter::{
    Auto, BetterTogether, CalibrateDecisions, Ensemble, by_name,
};
use teleprompt::optimize::{Compiler, Optimizer, OptimizerHandle};
use teleprompt::prelude::*;
use teleprompt::{
    Capabilities, Limits, LmError, LmHandle, LmRequest, LmResponse, Role, TokenLogprob, Usage,
};

/// The answer to "text N" is the parity of N. It knows with four demonstrations; with the word
/// "parity" in its instructions it knows half of the rest, too, and writes such instructions itself
/// when it is shown feedback that says so.
struct Student {
    calls: Arc<AtomicU64>,
}

fn number(text: &str) -> u64 {
    text.split("number ")
        .last()
        .unwrap()
        .chars()
        .take_while(char::is_ascii_digit)
        .collect::<String>()
        .parse()
        .unwrap()
}

impl Lm for Student {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let all: String = request.messages.iter().map(|m| m.content.to_string()).collect();
        let last = request.messages.last().unwrap().content.to_string();
        let text = if all.contains("new_instructions") {
            let said = if all.contains("look at the parity") {
                "Look at the parity."
            } else {
                "Try harder."
            };
            format!("[[ ## new_instructions ## ]]\n{said}")
        } else if all.contains("[[ ## label ## ]]") {
            let demos = request.messages.iter().filter(|m| m.role == Role::Assistant).count();
            let n = number(&last);
            let knows = if all.contains("parity") {
                n % 10 != 3
            } else {
                demos >= 4 && !n.is_multiple_of(3)
            };
            let label = if knows && n % 2 == 1 { "odd" } else { "even" };
            format!("[[ ## label ## ]]\n{label}")
        } else {
            "I have nothing to say.".to_owned()
        };
        let mut response = LmResponse::text(text);
        response.usage =
            Usage { calls: 1, prompt_tokens: 10, completion_tokens: 2, ..Usage::default() };
        Ok(response)
    }
    fn name(&self) -> &str {
        "student"
    }
}

fn student() -> (Context, Arc<AtomicU64>) {
    let calls = Arc::new(AtomicU64::new(0));
    let lm = LmHandle::new(Student { calls: calls.clone() });
    (Context::new(lm, Arc::new(ChatAdapter)), calls)
}

fn data(n: usize) -> Dataset {
    let words = ["ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine"];
    let example = |i: usize| {
        let label = if i % 2 == 1 { "odd" } else { "even" };
        let text = format!("{} {} {} number {i}", words[i % 10], words[(i / 10) % 10], i * 7919);
        Example::new(record! { text: text, label: label }, ["text"])
    };
    Dataset::new("made up", (0..n).map(example).collect::<Vec<_>>())
}

fn program() -> Predict {
    Predict::of(r#"text -> label: enum["even", "odd"]"#).unwrap()
}

fn exact(example: &Example, prediction: &Prediction) -> Score {
    let right = example["label"] == prediction["label"];
    let score = Score::from(right);
    if right { score } else { score.with_feedback("look at the parity of the number") }
}

fn compiler<O: Optimizer>(optimizer: O, dir: &tempfile::TempDir) -> Compiler<O> {
    optimizer.compiler(exact).studies_in(dir.path()).study("trial").concurrency(3)
}

#[tokio::test]
async fn auto_finds_what_pays_and_says_what_it_did() {
    let dir = tempfile::tempdir().unwrap();
    let (cx, calls) = student();
    let done = compiler(Auto::default(), &dir).compile(&cx, &program(), &data(240)).await.unwrap();
    let report = done.report;
    assert!(report.winner.score > 0.85, "{report}");
    assert_eq!(report.usage.calls, calls.load(Ordering::SeqCst));
    let notes = report.notes.join("\n");
    assert!(notes.contains("labelled demos") && notes.contains("reflection"), "{notes}");
    let instructions = report.changes[0].instructions.as_deref().unwrap();
    assert!(instructions.contains("parity"), "{instructions}");
    for candidate in report.candidates.iter().filter(|c| c.accepted == Some(false)) {
        assert!(!candidate.why.is_empty(), "{candidate:?}");
    }
}

#[tokio::test]
async fn auto_keeps_within_its_budget_and_goes_on_the_same_after_a_stop() {
    let whole = {
        let dir = tempfile::tempdir().unwrap();
        let (cx, calls) = student();
        let auto = Auto { budget: 400, ..Auto::default() };
        let done = compiler(auto, &dir).compile(&cx, &program(), &data(240)).await.unwrap();
        let search = done.report.spent.evaluation.calls + done.report.spent.teacher.calls;
        // The last move may go beyond it.
        assert!(search < 400 + 120, "{search}");
        (calls.load(Ordering::SeqCst), done.report.winner, done.report.notes)
    };
    for limit in [120, 200, 300] {
        let dir = tempfile::tempdir().unwrap();
        let (cx, first) = student();
        let auto = || Auto { budget: 400, ..Auto::default() };
        let small = Limits { calls: Some(1), ..Limits::default() };
        let failed =
            compiler(auto(), &dir).limits(small).compile(&cx, &program(), &data(240)).await;
        assert!(failed.is_err());
        let cancel = teleprompt::Cancel::default();
        let cancelled = cx.with_cancel(cancel.clone());
        let counted = first.clone();
        let stop = tokio::spawn(async move {
            while counted.load(Ordering::SeqCst) < limit {
                tokio::task::yield_now().await;
            }
            cancel.cancel();
        });
        let _ = compiler(auto(), &dir).compile(&cancelled, &program(), &data(240)).await;
        stop.abort();
        let done = compiler(auto(), &dir).compile(&cx, &program(), &data(240)).await.unwrap();
        assert_eq!(done.report.winner, whole.1);
        assert_eq!(done.report.notes, whole.2);
        assert!(first.load(Ordering::SeqCst) <= whole.0 + 8);
    }
}

#[tokio::test]
async fn steps_build_on_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let (cx, calls) = student();
    let settings = serde_json::json!({"steps": [
        {"name": "labeled_few_shot", "settings": {"k": 6}},
        "bootstrap_few_shot",
    ]});
    let recipe = by_name("better_together", settings.as_object().unwrap()).unwrap();
    let done = compiler(recipe, &dir).compile(&cx, &program(), &data(160)).await.unwrap();
    assert!(done.report.winner.score > done.report.baseline.score, "{}", done.report);
    assert_eq!(done.report.usage.calls, calls.load(Ordering::SeqCst));
    assert!(done.report.notes.iter().any(|n| n.starts_with("step 2: bootstrap_few_shot")));
}

#[tokio::test]
async fn a_step_that_fails_is_a_remark() {
    struct Broken;
    impl Optimizer for Broken {
        fn name(&self) -> &'static str {
            "broken"
        }
        fn settings(&self) -> serde_json::Value {
            serde_json::Value::Null
        }
        fn validates(&self) -> bool {
            true
        }
        fn cost(&self, _: teleprompt::optimize::Sizes) -> teleprompt::optimize::Cost {
            teleprompt::optimize::Cost::default()
        }
        async fn search(
            &self,
            _: &teleprompt::optimize::Task<'_>,
        ) -> Result<teleprompt::optimize::Candidate> {
            Err(Error::Other("it broke".into()))
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let (cx, _) = student();
    let few_shot = by_name("labeled_few_shot", &serde_json::Map::new()).unwrap();
    let steps = vec![OptimizerHandle::new(Broken), few_shot];
    let recipe = BetterTogether { steps, ..BetterTogether::default() };
    let done = compiler(recipe, &dir).compile(&cx, &program(), &data(160)).await.unwrap();
    assert!(done.report.notes.iter().any(|n| n.contains("it broke")), "{:?}", done.report.notes);
    assert!(done.report.improved, "{}", done.report);
}

/// Knows a third of the answers, another third for each seed, so that only a vote knows most.
struct Third;

impl Lm for Third {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let shown = request.messages.iter().filter(|m| m.role == Role::User).count();
        let n = number(&request.messages.last().unwrap().content.to_string());
        let demos: u64 = request
            .messages
            .iter()
            .filter(|m| m.role == Role::User)
            .take(shown - 1)
            .map(|m| number(&m.content.to_string()))
            .sum();
        let wrong = shown == 1 || (n / 2 + demos).is_multiple_of(3);
        let odd = (n % 2 == 1) != wrong;
        let label = if odd { "odd" } else { "even" };
        Ok(LmResponse::text(format!("[[ ## label ## ]]\n{label}")))
    }
}

#[tokio::test]
async fn a_vote_is_better_than_its_members() {
    let dir = tempfile::tempdir().unwrap();
    let cx = Context::new(LmHandle::new(Third), Arc::new(ChatAdapter));
    let settings =
        serde_json::json!({"of": {"name": "labeled_few_shot", "settings": {"k": 3}}, "size": 9});
    let recipe: Ensemble = serde_json::from_value(settings).unwrap();
    let done = compiler(recipe, &dir).compile(&cx, &program(), &data(240)).await.unwrap();
    assert!(done.report.winner.origin.starts_with("vote of"), "{}", done.report);
    assert!(done.report.winner.score > 0.8, "{}", done.report);
    assert!(done.program.solution().members().len() > 2);
    // It saves and loads.
    let path = dir.path().join("vote.json");
    done.program.save(&path).unwrap();
    let loaded = teleprompt::module::Tuned::load(program(), &path).unwrap();
    assert_eq!(loaded.solution(), done.program.solution());
}

/// Says `false` whenever its probability of `true` is below 0.9; right is: true from 0.3.
struct Shy;

impl Lm for Shy {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let n = number(&request.messages.last().unwrap().content.to_string());
        let p = (n % 100) as f64 / 100.0;
        let said = if p >= 0.9 { "true" } else { "false" };
        let mut response = LmResponse::text(format!("[[ ## odd ## ]]\n{said}"));
        let plain = |text: &str| TokenLogprob { token: text.into(), logprob: 0.0, top: Vec::new() };
        let likely = |p: f64| p.max(1e-9).ln() as f32;
        let top = vec![("true".to_owned(), likely(p)), ("false".to_owned(), likely(1.0 - p))];
        let logprob = if said == "true" { likely(p) } else { likely(1.0 - p) };
        let value = TokenLogprob { token: said.into(), logprob, top };
        response.completions[0].logprobs = Some(vec![plain("[[ ## odd ## ]]\n"), value]);
        Ok(response)
    }
    fn capabilities(&self) -> Capabilities {
        let mut able = Capabilities::none();
        able.logprobs = true;
        able
    }
}

#[tokio::test]
async fn a_threshold_is_fitted_without_another_call() {
    let dir = tempfile::tempdir().unwrap();
    let cx = Context::new(LmHandle::new(Shy), Arc::new(ChatAdapter));
    let example = |i: usize| {
        let p = (i * 37) % 100;
        let words = ["ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak"];
        let text = format!("{} {} {} number {p}", words[i % 9], words[(i / 9) % 9], i * 7919);
        Example::new(record! { text: text, odd: p >= 30 }, ["text"])
    };
    let data = Dataset::new("made up", (0..200).map(example).collect::<Vec<_>>());
    let metric = |e: &Example, p: &Prediction| e["odd"] == p["odd"];
    let program = Predict::of("text -> odd: bool").unwrap();
    let compiler = CalibrateDecisions::default().compiler(metric).studies_in(dir.path());
    let done = compiler.compile(&cx, &program, &data).await.unwrap();
    assert!(done.report.winner.score > 0.97, "{}", done.report);
    assert!(done.report.baseline.score < 0.5, "{}", done.report);
    let decisions = &done.program.state().get("predict").unwrap().decisions;
    let rule = serde_json::to_value(&decisions["odd"].rule).unwrap();
    let threshold = rule["threshold"].as_f64().unwrap();
    assert!((0.28..=0.31).contains(&threshold), "{rule}");
}

#[tokio::test]
async fn without_probabilities_there_is_nothing_to_fit_and_it_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (cx, _) = student();
    let recipe = CalibrateDecisions::default();
    let done = compiler(recipe, &dir).compile(&cx, &program(), &data(80)).await.unwrap();
    assert!(!done.report.improved);
    assert!(done.report.notes.iter().any(|n| n.contains("log-probabilities")));
}
