//! Compiles as studies: gains, resume after a kill, budgets, changed data, forks.

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
use teleprompt::optimize::study::OnChange;
use teleprompt::optimize::teleprompter::{
    BootstrapFewShot, BootstrapFewShotWithRandomSearch, LabeledFewShot,
};
use teleprompt::optimize::{Compiled, Compiler, Optimizer};
use teleprompt::prelude::*;
use teleprompt::{
    Cancel, Limits, LmError, LmErrorKind, LmHandle, LmRequest, LmResponse, Role, Usage,
};

/// Knows the label of the last message when enough demonstrations are shown; else always says "a".
/// Every paid call is counted.
struct Learner {
    paid: Arc<AtomicU64>,
    /// The call with this number fails for good.
    dies_at: u64,
}

impl Lm for Learner {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let call = self.paid.fetch_add(1, Ordering::SeqCst) + 1;
        if call >= self.dies_at {
            return Err(LmError::new(LmErrorKind::Auth, "learner", "the key was taken away"));
        }
        let demos = request.messages.iter().filter(|m| m.role == Role::Assistant).count();
        let text = request.messages.last().map_or("", |m| &m.content);
        let knows = demos >= 4 && !text.contains("hard");
        let label = if knows && text.contains("beta") { "b" } else { "a" };
        let mut response = LmResponse::text(format!("[[ ## label ## ]]\n{label}"));
        response.usage =
            Usage { calls: 1, prompt_tokens: 10, completion_tokens: 2, ..Usage::default() };
        Ok(response)
    }
    fn name(&self) -> &str {
        "learner"
    }
}

fn data(n: usize) -> Dataset {
    let words = ["ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine"];
    let example = |i: usize| {
        let beta = i % 2 == 1;
        let kind = if beta { "beta" } else { "alpha" };
        let text =
            format!("{} {kind} {} number {i} {}", words[i % 10], words[(i / 10) % 10], i * 7919);
        let label = if beta { "b" } else { "a" };
        Example::new(record! { text: text, label: label }, ["text"])
    };
    Dataset::new("made up", (0..n).map(example).collect::<Vec<_>>())
}

fn program() -> Predict {
    Predict::of(r#"text -> label: enum["a", "b"]"#).unwrap()
}

fn context(dies_at: u64) -> (Context, Arc<AtomicU64>) {
    let paid = Arc::new(AtomicU64::new(0));
    let lm = LmHandle::new(Learner { paid: paid.clone(), dies_at });
    (Context::new(lm, Arc::new(ChatAdapter)), paid)
}

fn exact(example: &Example, prediction: &Prediction) -> bool {
    example["label"] == prediction["label"]
}

fn search() -> BootstrapFewShotWithRandomSearch {
    BootstrapFewShotWithRandomSearch {
        max_labeled_demos: 6,
        num_candidate_programs: 2,
        ..BootstrapFewShotWithRandomSearch::default()
    }
}

#[tokio::test]
async fn any_race_finds_what_full_evaluation_finds() {
    use teleprompt::optimize::race::Race;
    let mut paid_by = Vec::new();
    for race in [Race::Full, Race::minibatch(), Race::k_fold(), Race::halving(), Race::wilcoxon()] {
        let dir = tempfile::tempdir().unwrap();
        let (cx, paid) = context(u64::MAX);
        let search =
            BootstrapFewShotWithRandomSearch { race, num_candidate_programs: 6, ..search() };
        let done = compiler(search, &dir).compile(&cx, &program(), &data(240)).await.unwrap();
        assert_eq!(done.report.winner.score, 1.0, "{race:?}: {}", done.report);
        paid_by.push((race, paid.load(Ordering::SeqCst)));
        for candidate in &done.report.candidates {
            assert!(candidate.accepted.is_none() || !candidate.why.is_empty(), "{candidate:?}");
        }
    }
    let full = paid_by[0].1;
    assert!(paid_by[1].1 < full && paid_by[3].1 < full, "{paid_by:?}");
}

fn compiler<O: Optimizer>(optimizer: O, dir: &tempfile::TempDir) -> Compiler<O> {
    optimizer.compiler(exact).studies_in(dir.path()).study("trial").concurrency(3)
}

async fn compile<O: Optimizer>(optimizer: O, dir: &tempfile::TempDir) -> Compiled<Predict> {
    let (cx, _) = context(u64::MAX);
    compiler(optimizer, dir).compile(&cx, &program(), &data(80)).await.unwrap()
}

#[tokio::test]
async fn every_optimizer_gains_on_examples_it_never_saw() {
    for n in 0..3 {
        let dir = tempfile::tempdir().unwrap();
        let compiled = match n {
            0 => compile(LabeledFewShot { k: 6, ..Default::default() }, &dir).await,
            1 => compile(BootstrapFewShot::default(), &dir).await,
            _ => compile(search(), &dir).await,
        };
        let report = &compiled.report;
        assert_eq!((report.baseline.score, report.winner.score), (0.5, 1.0), "{report}");
        assert!(report.p_value < 0.01, "{report}");
        assert_eq!(report.split, "held-back");
        assert_eq!(report.baseline.n, 20);
    }
}

#[tokio::test]
async fn the_compiled_program_answers_with_what_was_found_and_the_original_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let (cx, _) = context(u64::MAX);
    let plain = program();
    let compiled = compiler(search(), &dir).compile(&cx, &plain, &data(80)).await.unwrap();
    let input = record! { text: "some beta thing" };
    let answer = compiled.program.call(&cx, input.clone()).await.unwrap();
    assert_eq!(answer["label"], "b");
    assert_eq!(plain.call(&cx, input).await.unwrap()["label"], "a");
}

#[tokio::test]
async fn a_killed_study_goes_on_and_pays_nothing_twice() {
    let whole = {
        let dir = tempfile::tempdir().unwrap();
        let (cx, paid) = context(u64::MAX);
        let done = compiler(search(), &dir).compile(&cx, &program(), &data(80)).await.unwrap();
        (paid.load(Ordering::SeqCst), done.report.winner.clone(), done.program.state().clone())
    };
    for dies_at in [1, 2, 19, 23, 60, 75, whole.0] {
        let dir = tempfile::tempdir().unwrap();
        let (cx, paid) = context(dies_at);
        let failed = compiler(search(), &dir).compile(&cx, &program(), &data(80)).await;
        assert!(matches!(failed.err(), Some(Error::Lm(_))), "dies at {dies_at}");
        // Calls in flight when it died may have been answered and not journaled.
        let lost = paid.load(Ordering::SeqCst) - (dies_at - 1);
        let (cx, again) = context(u64::MAX);
        let done = compiler(search(), &dir).compile(&cx, &program(), &data(80)).await.unwrap();
        assert_eq!(done.report.winner, whole.1);
        assert_eq!(done.program.state(), &whole.2);
        let both = dies_at - 1 + again.load(Ordering::SeqCst);
        assert!(both <= whole.0 + 3, "{both} calls instead of {}; {lost} failed", whole.0);
        assert!(done.report.usage.calls <= whole.0);
    }
}

#[tokio::test]
async fn a_journal_cut_at_any_byte_is_good() {
    let dir = tempfile::tempdir().unwrap();
    let done = compile(search(), &dir).await;
    let journal = dir.path().join("trial").join("journal.jsonl");
    let bytes = std::fs::read(&journal).unwrap();
    for cut in (1..bytes.len()).step_by(bytes.len() / 23) {
        std::fs::write(&journal, &bytes[..cut]).unwrap();
        let again = compile(search(), &dir).await;
        assert_eq!(again.report.winner, done.report.winner, "cut at {cut}");
        let text = std::fs::read_to_string(&journal).unwrap();
        let all = text.lines().all(|l| serde_json::from_str::<serde_json::Value>(l).is_ok());
        assert!(all, "cut at {cut}");
    }
}

#[tokio::test]
async fn a_finished_study_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let first = compile(search(), &dir).await;
    let (cx, paid) = context(u64::MAX);
    let again = compiler(search(), &dir).compile(&cx, &program(), &data(80)).await.unwrap();
    assert_eq!(paid.load(Ordering::SeqCst), 0);
    assert_eq!(again.report.winner, first.report.winner);
    assert_eq!(again.report.usage.calls, first.report.usage.calls);
}

#[tokio::test]
async fn the_same_seed_gives_the_same_study_and_another_seed_another() {
    let journal = |seed: u64| async move {
        let dir = tempfile::tempdir().unwrap();
        let (cx, _) = context(u64::MAX);
        let compiler = compiler(search(), &dir).seed(seed).concurrency(1);
        compiler.compile(&cx, &program(), &data(80)).await.unwrap();
        let text = std::fs::read_to_string(dir.path().join("trial/journal.jsonl")).unwrap();
        // The last line holds seconds, and runs hold milliseconds.
        let lines = text.lines().filter(|l| !l.contains("\"finished\""));
        let untimed = |line: &str| {
            let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
            if let Some(run) = value.get_mut("run") {
                run["millis"] = 0.into();
            }
            value.to_string()
        };
        lines.map(untimed).collect::<Vec<_>>()
    };
    assert_eq!(journal(1).await, journal(1).await);
    assert_ne!(journal(1).await, journal(2).await);
}

#[tokio::test]
async fn changed_data_is_refused_with_the_difference_and_a_fork_keeps_what_holds() {
    let dir = tempfile::tempdir().unwrap();
    compile(LabeledFewShot { k: 6, ..Default::default() }, &dir).await;
    let (cx, paid) = context(u64::MAX);
    let changed = compiler(LabeledFewShot { k: 6, ..Default::default() }, &dir)
        .compile(&cx, &program(), &data(82))
        .await;
    let message = changed.err().unwrap().to_string();
    assert!(message.contains("train data: other examples (was 60 examples, now 62)"), "{message}");
    assert!(message.contains("--fork"), "{message}");
    assert_eq!(paid.load(Ordering::SeqCst), 0);
    let fork =
        compiler(LabeledFewShot { k: 4, ..Default::default() }, &dir).on_change(OnChange::Fork);
    let done = fork.compile(&cx, &program(), &data(80)).await.unwrap();
    assert_eq!(done.report.study, "trial-2");
    // The program as written was evaluated on the same test examples before.
    assert_eq!(paid.load(Ordering::SeqCst), 20);
}

#[tokio::test]
async fn a_budget_is_never_overspent_and_still_gives_a_result() {
    for limit in [45, 60, 90] {
        let dir = tempfile::tempdir().unwrap();
        let (cx, paid) = context(u64::MAX);
        let limits = Limits { calls: Some(limit), ..Limits::default() };
        let compiler = compiler(search(), &dir).limits(limits);
        let done = compiler.compile(&cx, &program(), &data(80)).await.unwrap();
        assert!(paid.load(Ordering::SeqCst) <= limit, "{} of {limit}", paid.load(Ordering::SeqCst));
        assert!(done.report.stopped.is_some());
    }
    let dir = tempfile::tempdir().unwrap();
    let (cx, _) = context(u64::MAX);
    let limits = Limits { calls: Some(5), ..Limits::default() };
    let failed = compiler(search(), &dir).limits(limits).compile(&cx, &program(), &data(80)).await;
    assert!(matches!(failed.err(), Some(Error::Budget { .. })));
}

#[tokio::test]
async fn cancelling_keeps_the_study() {
    let dir = tempfile::tempdir().unwrap();
    let (cx, _) = context(u64::MAX);
    let cancel = Cancel::default();
    cancel.cancel();
    let cancelled = cx.with_cancel(cancel);
    let failed = compiler(search(), &dir).compile(&cancelled, &program(), &data(80)).await;
    assert!(matches!(failed.err(), Some(Error::Cancelled)));
    compiler(search(), &dir).compile(&cx, &program(), &data(80)).await.unwrap();
}

#[tokio::test]
async fn a_study_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    compile(LabeledFewShot::default(), &dir).await;
    let path = dir.path().join("trial/journal.jsonl");
    let file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    file.lock().unwrap();
    let (cx, _) = context(u64::MAX);
    let failed =
        compiler(LabeledFewShot::default(), &dir).compile(&cx, &program(), &data(80)).await;
    let message = failed.err().unwrap().to_string();
    assert!(message.contains("another process"), "{message}");
}

#[tokio::test]
async fn too_little_data_gives_a_result_that_says_what_it_is_worth() {
    for n in [0, 1, 2, 6] {
        let (cx, _) = context(u64::MAX);
        let dir = tempfile::tempdir().unwrap();
        let done = compiler(search(), &dir).compile(&cx, &program(), &data(n)).await.unwrap();
        let report = done.report;
        assert_eq!(report.split, "used");
        assert_eq!(report.baseline.n, n);
        assert!(report.notes.iter().any(|n| n.contains("too few")), "{:?}", report.notes);
        let nothing = "no examples to measure";
        let says = if n == 0 { nothing } else { "proves nothing" };
        assert!(report.verdict.contains(says), "{}", report.verdict);
    }
}

#[tokio::test]
async fn a_mistyped_label_is_told_and_makes_no_demonstration() {
    let dir = tempfile::tempdir().unwrap();
    let mut examples: Vec<Example> = data(80).iter().cloned().collect();
    for i in [3, 7] {
        examples[i].fields.insert("label", "c");
    }
    let (cx, _) = context(u64::MAX);
    let recipe = LabeledFewShot { k: 60, ..Default::default() };
    let done = compiler(recipe, &dir)
        .test(&data(80))
        .compile(&cx, &program(), &Dataset::new("made up", examples))
        .await
        .unwrap();
    let told = done.report.notes.join("\n");
    assert!(told.contains("2 of 80 train examples do not fit"), "{told}");
    assert!(told.contains("train example 4"), "{told}");
    let path = dir.path().join("saved.json");
    done.program.save(&path).unwrap();
    Tuned::load(program(), &path).unwrap();
}

#[tokio::test]
async fn test_examples_that_were_trained_on_prove_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (cx, _) = context(u64::MAX);
    let compiler = compiler(LabeledFewShot::default(), &dir).test(&data(40));
    let report = compiler.compile(&cx, &program(), &data(80)).await.unwrap().report;
    assert_eq!(report.split, "used");
    assert!(report.notes.join("\n").contains("40 of 40 test examples"), "{:?}", report.notes);
}

/// A [`Learner`] whose server is out for its first calls.
struct Out {
    learner: Learner,
    until: u64,
}

impl Lm for Out {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        if self.learner.paid.load(Ordering::SeqCst) < self.until {
            self.learner.paid.fetch_add(1, Ordering::SeqCst);
            return Err(LmError::new(LmErrorKind::Server, "learner", "try again later"));
        }
        self.learner.generate(request).await
    }
    fn name(&self) -> &str {
        "learner"
    }
}

fn out_until(until: u64) -> Context {
    let learner = Learner { paid: Arc::default(), dies_at: u64::MAX };
    Context::new(LmHandle::new(Out { learner, until }), Arc::new(ChatAdapter))
}

#[tokio::test]
async fn an_lm_that_was_out_is_no_result_and_is_asked_again() {
    let recipe = || LabeledFewShot { k: 6, ..Default::default() };
    let dir = tempfile::tempdir().unwrap();
    let all_out = compiler(recipe(), &dir).compile(&out_until(20), &program(), &data(80)).await;
    let message = all_out.err().unwrap().to_string();
    assert!(message.contains("nothing to measure") && message.contains("try again later"));
    let again = compiler(recipe(), &dir).compile(&out_until(0), &program(), &data(80)).await;
    assert_eq!(again.unwrap().report.baseline.score, 0.5, "the outage was kept as a result");

    let dir = tempfile::tempdir().unwrap();
    let half = compiler(recipe(), &dir).compile(&out_until(10), &program(), &data(80)).await;
    let report = half.unwrap().report;
    assert_eq!(report.baseline.outages, 10);
    assert!(report.verdict.contains("the LM was out"), "{}", report.verdict);
    for _ in 0..2 {
        let (cx, paid) = context(u64::MAX);
        let again = compiler(recipe(), &dir).compile(&cx, &program(), &data(80)).await.unwrap();
        assert_eq!((again.report.baseline.outages, again.report.baseline.score), (0, 0.5));
        assert!([10, 0].contains(&paid.load(Ordering::SeqCst)));
    }
}

#[tokio::test]
async fn a_user_can_run_the_search_from_a_loop_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let (cx, paid) = context(u64::MAX);
    let mut drive = compiler(search(), &dir).drive(&cx, &program(), &data(80));
    let mut asked = 0;
    while let Some(trial) = drive.ask().await.unwrap() {
        asked += 1;
        let (cx, _) = context(u64::MAX);
        let input = trial.example().inputs();
        let prediction = trial.program(&program()).call(&cx, input).await.unwrap();
        let score = exact(trial.example(), &prediction);
        trial.tell(score);
    }
    let done = drive.finish().unwrap();
    assert_eq!((done.report.baseline.score, done.report.winner.score), (0.5, 1.0));
    assert_eq!(paid.load(Ordering::SeqCst), 0, "all runs were asked of the user");
    assert!(asked > 60, "{asked}");
    // The same study, driven again, asks nothing.
    let mut again = compiler(search(), &dir).drive(&cx, &program(), &data(80));
    assert!(again.ask().await.unwrap().is_none());
    assert_eq!(again.finish().unwrap().report.winner, done.report.winner);
}

#[tokio::test]
async fn a_trial_dropped_untold_ends_the_compile_and_the_study_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (cx, _) = context(u64::MAX);
    let mut drive = compiler(search(), &dir).drive(&cx, &program(), &data(80));
    drop(drive.ask().await.unwrap().unwrap());
    let message = loop {
        match drive.ask().await {
            Ok(Some(trial)) => trial.tell(0.5),
            Ok(None) => panic!("it ended as if all had been told"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(message.contains("dropped"), "{message}");
}

#[tokio::test]
async fn stop_conditions_end_the_search_with_what_it_found() {
    let stopped = |compiler: Compiler<BootstrapFewShotWithRandomSearch>| async move {
        let (cx, paid) = context(u64::MAX);
        let done = compiler.compile(&cx, &program(), &data(80)).await.unwrap();
        (done.report, paid.load(Ordering::SeqCst))
    };
    let dirs: Vec<_> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
    let (_, all) = stopped(compiler(search(), &dirs[0])).await;
    let (goal, n) = stopped(compiler(search(), &dirs[1]).stop_at_score(0.9)).await;
    assert!(goal.stopped.unwrap().contains("reached 0.9"));
    assert_eq!(goal.winner.score, 1.0);
    assert!(n < all, "{n} of {all}");
    let (bored, n) = stopped(compiler(search(), &dirs[2]).stop_without_improvement(1)).await;
    assert!(bored.stopped.unwrap().contains("no better"));
    assert!(n < all, "{n} of {all}");
    let file = dirs[3].path().join("stop");
    std::fs::write(&file, "").unwrap();
    let (told, n) = stopped(compiler(search(), &dirs[3]).stop_file(&file)).await;
    assert!(told.stopped.unwrap().contains("stop file"));
    assert!(!told.improved);
    assert_eq!(n, 20, "the program as written on the test split, and no more");
}

/// Accepts a run only by its trace.
struct ByTrace(Arc<AtomicU64>);

impl Metric for ByTrace {
    async fn score(
        &self,
        cx: &Context,
        example: &Example,
        prediction: &Prediction,
    ) -> Result<Score> {
        if let Some(trace) = cx.trace() {
            assert_eq!(trace.steps().len(), 1);
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        Ok(exact(example, prediction).into())
    }
}

#[tokio::test]
async fn a_metric_sees_the_trace_while_bootstrapping_and_none_in_evaluations() {
    let dir = tempfile::tempdir().unwrap();
    let (cx, _) = context(u64::MAX);
    let traced = Arc::new(AtomicU64::new(0));
    let compiler = BootstrapFewShot::default().compiler(ByTrace(traced.clone()));
    let compiler = compiler.studies_in(dir.path()).study("trial");
    compiler.compile(&cx, &program(), &data(80)).await.unwrap();
    let traced = traced.load(Ordering::SeqCst);
    assert!((4..=60).contains(&traced), "{traced}");
}
