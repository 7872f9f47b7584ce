//! How compiles end: budgets that end with the last evaluation, ensembles that others build on, LMs
//! and metrics that changed, objectives without gain, forks.

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
use teleprompt::module::Tuned;
use teleprompt::optimize::compose::Vote;
use teleprompt::optimize::study::{
    By, Event, FORMAT, Identity, OnChange, Run, Source, Split, Study,
};
use teleprompt::optimize::teleprompter::{
    BootstrapFewShotWithRandomSearch, Ensemble, LabeledFewShot,
};
use teleprompt::optimize::text::{TextOptimizer, Texts};
use teleprompt::optimize::{
    Candidate, Compiler, Cost, Objective, Optimizer, OptimizerHandle, Report, Sizes, Task,
};
use teleprompt::prelude::*;
use teleprompt::{
    Capabilities, Completion, Limits, LmError, LmHandle, LmRequest, LmResponse, Metric, Module,
    Parameters, Program, ProgramState, Record, Role, Usage,
};

/// Without demonstrations it always says "a". With some it knows the label, but for one question in
/// four, which depends on the demonstrations.
#[derive(Clone, Default)]
struct Learner {
    paid: Arc<AtomicU64>,
    tokens: Arc<AtomicU64>,
    /// With demonstrations, its first reply to each question cannot be read.
    mumbles: bool,
    /// It learns nothing from demonstrations.
    deaf: bool,
    identity: &'static str,
    /// Of a thousand questions it errs on this many; 250 if not set.
    errs: Option<u64>,
}

/// FNV-1a.
fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

fn prompt_tokens(request: &LmRequest) -> u64 {
    request.messages.iter().map(|m| m.content.len() as u64 / 4 + 1).sum()
}

impl Learner {
    fn says(&self, request: &LmRequest) -> &'static str {
        let repaired = request.messages.iter().any(|m| m.content.contains("mumble"));
        let demos = request.messages.iter().filter(|m| m.role == Role::Assistant).count();
        if self.deaf || demos - usize::from(repaired) < 4 {
            return "[[ ## label ## ]]\na";
        }
        if self.mumbles && !repaired {
            return "mumble";
        }
        let asks = |m: &&teleprompt::Message| m.content.contains("number");
        let text = request.messages.iter().rev().find(asks).map_or("", |m| &m.content);
        let shown: String = request.messages.iter().take(5).map(|m| &*m.content).collect();
        let errs =
            hash(&format!("{}{}", hash(&shown), hash(text))) % 1000 < self.errs.unwrap_or(250);
        match text.contains("beta") != errs {
            true => "[[ ## label ## ]]\nb",
            false => "[[ ## label ## ]]\na",
        }
    }
}

impl Lm for Learner {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        self.paid.fetch_add(1, Ordering::SeqCst);
        let usage = Usage {
            prompt_tokens: prompt_tokens(request),
            completion_tokens: 2,
            ..Usage::one_call()
        };
        self.tokens.fetch_add(usage.prompt_tokens + 2, Ordering::SeqCst);
        let completions = vec![Completion::text(self.says(request))];
        Ok(LmResponse { completions, usage, ..LmResponse::default() })
    }
    fn name(&self) -> &str {
        "learner"
    }
    fn identity(&self) -> String {
        format!("learner{}", self.identity)
    }
    fn capabilities(&self) -> Capabilities {
        let mut able = Capabilities::none();
        able.max_output = Some(20);
        able
    }
    fn count_tokens(&self, request: &LmRequest) -> Option<u64> {
        Some(prompt_tokens(request))
    }
}

fn data(n: usize) -> Dataset {
    let words = ["ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine"];
    let example = |i: usize| {
        let (kind, label) = if i % 2 == 1 { ("beta", "b") } else { ("alpha", "a") };
        let text = format!("{} {kind} {} number {}", words[i % 10], words[i / 10 % 10], i * 7919);
        Example::new(record! { text: text, label: label }, ["text"])
    };
    Dataset::new("made up", (0..n).map(example).collect::<Vec<_>>())
}

fn program() -> Predict {
    Predict::of(r#"text -> label: enum["a", "b"]"#).unwrap()
}

fn context(lm: &Learner) -> Context {
    Context::new(LmHandle::new(lm.clone()), Arc::new(ChatAdapter))
}

fn exact(example: &Example, prediction: &Prediction) -> bool {
    example["label"] == prediction["label"]
}

fn search() -> BootstrapFewShotWithRandomSearch {
    BootstrapFewShotWithRandomSearch {
        max_labeled_demos: 6,
        num_candidate_programs: 6,
        ..BootstrapFewShotWithRandomSearch::default()
    }
}

fn compiler<O: Optimizer>(optimizer: O, dir: &tempfile::TempDir) -> Compiler<O> {
    optimizer.compiler(exact).studies_in(dir.path()).study("trial").concurrency(3)
}

fn calls(limit: u64) -> Limits {
    Limits { calls: Some(limit), ..Limits::default() }
}

/// Both sides are on the same examples, and what is said of them is of these.
fn is_paired(report: &Report) {
    let (baseline, winner) = (&report.baseline, &report.winner);
    assert_eq!(baseline.n, winner.n, "{report}");
    let difference = winner.score - baseline.score;
    assert!((report.difference - difference).abs() < 1e-9, "{report}");
}

#[tokio::test]
async fn a_budget_that_ends_in_the_last_evaluation_still_gives_a_report_and_can_be_completed() {
    let tokens = |n| Limits { tokens: Some(n), ..Limits::default() };
    let plain = |lm: &Learner| (lm.paid.load(Ordering::SeqCst), lm.tokens.load(Ordering::SeqCst));
    let labeled = || LabeledFewShot { k: 16, ..LabeledFewShot::default() };
    for (mumbles, limits) in [(false, tokens(6000)), (true, calls(45)), (true, calls(20))] {
        let dir = tempfile::tempdir().unwrap();
        let lm = Learner { mumbles, ..Learner::default() };
        let cut = compiler(labeled(), &dir).limits(limits);
        let cut = cut.compile(&context(&lm), &program(), &data(80)).await.unwrap().report;
        let (paid, used) = plain(&lm);
        assert!(limits.calls.is_none_or(|limit| paid <= limit), "{paid}: {cut}");
        assert!(limits.tokens.is_none_or(|limit| used <= limit), "{used}: {cut}");
        let none = limits.calls == Some(20);
        assert_eq!(cut.winner.n == 0, none, "{cut}");
        assert!(cut.winner.n < 20, "{cut}");
        let stopped = cut.stopped.clone().unwrap();
        let done = format!("measured on {} of 20 test examples: the budget", cut.winner.n);
        assert!(stopped.contains(&done) && stopped.contains("larger limit"), "{stopped}");
        assert!(cut.verdict.contains(&format!("{} of 20", cut.winner.n)), "{}", cut.verdict);
        if !none {
            is_paired(&cut);
        }

        let whole = compiler(labeled(), &dir);
        let whole = whole.compile(&context(&lm), &program(), &data(80)).await.unwrap().report;
        assert_eq!((whole.winner.n, whole.stopped.as_deref()), (20, None), "{whole}");
        assert!(whole.improved, "{whole}");
        is_paired(&whole);
        let once = if mumbles { 60 } else { 40 };
        // A run that the budget cut off between its calls is begun anew.
        let again = plain(&lm).0 - once;
        assert!(again <= if mumbles { 3 } else { 0 }, "{again} calls paid twice");
    }
}

#[tokio::test]
async fn a_winner_that_was_measured_in_the_search_has_what_its_last_evaluation_needs() {
    for mumbles in [false, true] {
        let ensemble =
            || Ensemble { of: OptimizerHandle::new(search()), size: 5, ..Ensemble::default() };
        let mut voted = 0;
        for limit in (200..2800).step_by(200) {
            let dir = tempfile::tempdir().unwrap();
            let lm = Learner { mumbles, ..Learner::default() };
            let compiler = compiler(ensemble(), &dir).limits(calls(limit));
            let done = compiler.compile(&context(&lm), &program(), &data(240)).await.unwrap();
            let paid = lm.paid.load(Ordering::SeqCst);
            assert!(paid <= limit, "{paid} of {limit}");
            assert_eq!(done.report.winner.n, 60, "{limit}: {}", done.report);
            voted += usize::from(done.report.winner.origin == "vote of 5");
        }
        assert!(voted > 0, "no limit let the ensemble win");
    }
}

/// Lays instructions over two sets of demonstrations that vote, and demonstrations over both.
struct OnTwo;

impl Optimizer for OnTwo {
    fn name(&self) -> &'static str {
        "on_two"
    }
    fn settings(&self) -> serde_json::Value {
        serde_json::Value::Null
    }
    fn validates(&self) -> bool {
        false
    }
    fn cost(&self, _: Sizes) -> Cost {
        Cost::default()
    }
    async fn search(&self, task: &Task<'_>) -> Result<Candidate> {
        let (path, _) = task.predictors[0].clone();
        let state = |parameters| {
            let mut state = ProgramState::default();
            state.insert(path.clone(), parameters);
            state
        };
        let demos = |from: usize| {
            let demos = task.train.iter().skip(from).take(6).map(|e| e.fields.clone()).collect();
            state(Parameters { demos: Some(demos), ..Parameters::default() })
        };
        let (one, two) = (task.propose("one", demos(0))?, task.propose("two", demos(6))?);
        let both = task.propose_ensemble("both", &[&one, &two], Vote::default())?;
        let flat = task.propose_ensemble("three", &[&both, &one], Vote::default())?;
        assert_eq!(flat.solution().members().len(), 3);
        let on_both = task.based_on(&both);
        let told =
            Parameters { instructions: Some("Tell the tree.".into()), ..Parameters::default() };
        let told = on_both.propose("told", state(told))?;
        let alike = on_both.propose("alike", demos(12))?;
        assert!(alike.solution().is_single(), "nothing is left to vote on");
        Ok(told)
    }
}

#[tokio::test]
async fn what_is_laid_over_an_ensemble_is_laid_over_every_member() {
    let dir = tempfile::tempdir().unwrap();
    let lm = Learner::default();
    let compiler = compiler(OnTwo, &dir);
    let done = compiler.compile(&context(&lm), &program(), &data(80)).await.unwrap();
    let changes = &done.report.changes;
    let members: Vec<_> = changes.iter().map(|change| change.member).collect();
    assert_eq!(members, [Some(0), Some(1)], "{}", done.report);
    assert_ne!(changes[0].demos, changes[1].demos);
    for change in changes {
        assert_eq!(change.instructions.as_deref(), Some("Tell the tree."));
    }
    assert_eq!(calls_of(&lm, &done.program).await, 2, "both are asked");
}

async fn calls_of(lm: &Learner, program: &impl Module<Input = Record>) -> u64 {
    let before = lm.paid.load(Ordering::SeqCst);
    let input = record! { text: "oak beta oak number 1" };
    program
        .call(&context(lm).with_named_lm("big", LmHandle::new(lm.clone())), input)
        .await
        .unwrap();
    lm.paid.load(Ordering::SeqCst) - before
}

#[tokio::test]
async fn an_ensemble_that_wins_keeps_its_members_when_lms_are_chosen() {
    let dir = tempfile::tempdir().unwrap();
    let lm = Learner::default();
    let big = LmHandle::new(Learner { errs: Some(0), identity: "-big", ..lm.clone() });
    let cx = context(&lm).with_named_lm("big", big);
    let ensemble = Ensemble { of: OptimizerHandle::new(search()), size: 5, ..Ensemble::default() };
    let compiler = compiler(ensemble, &dir).lms(["big"]);
    let done = compiler.compile(&cx, &program(), &data(240)).await.unwrap();
    assert!(done.report.winner.origin.ends_with(" on big"), "{}", done.report);
    assert_eq!(done.report.changes.len(), 5, "{}", done.report);
    for change in &done.report.changes {
        assert_eq!(change.parameters["lm"], "big");
    }
    assert_eq!(calls_of(&lm, &done.program).await, 5);
}

fn with_big(lm: &Learner, identity: &'static str) -> (Context, Learner) {
    let big = Learner { errs: Some(0), identity, ..Learner::default() };
    (context(lm).with_named_lm("big", LmHandle::new(big.clone())), big)
}

#[tokio::test]
async fn a_named_lm_that_changed_is_refused_with_the_difference() {
    let mut state = ProgramState::default();
    state.insert("predict", Parameters { lm: Some("big".into()), ..Parameters::default() });
    let on_big = Tuned::new(program(), state);
    let dir = tempfile::tempdir().unwrap();
    let compiler = || compiler(LabeledFewShot::default(), &dir);
    let (cx, _) = with_big(&Learner::default(), "-one");
    compiler().compile(&cx, &on_big, &data(80)).await.unwrap();
    let (cx, big) = with_big(&Learner::default(), "-two");
    let changed = compiler().compile(&cx, &on_big, &data(80)).await;
    let message = changed.err().unwrap().to_string();
    let difference = "lm.named.big: was `learner-one`, now `learner-two`";
    assert!(message.contains(difference), "{message}");
    let fork = compiler().on_change(OnChange::Fork);
    fork.compile(&cx, &on_big, &data(80)).await.unwrap();
    assert_eq!(big.paid.load(Ordering::SeqCst), 40, "nothing that the old one answered holds");
}

#[tokio::test]
async fn a_fork_over_another_lm_to_choose_keeps_the_runs_of_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let compiler = || compiler(LabeledFewShot::default(), &dir).lms(["big"]);
    let (cx, first) = with_big(&Learner::default(), "-one");
    compiler().compile(&cx, &program(), &data(80)).await.unwrap();
    let (small, paid) = (Learner::default(), |lm: &Learner| lm.paid.load(Ordering::SeqCst));
    let (cx, second) = with_big(&small, "-two");
    let fork = compiler().on_change(OnChange::Fork);
    fork.compile(&cx, &program(), &data(80)).await.unwrap();
    assert_eq!((paid(&small), paid(&second)), (0, paid(&first)));
    assert!(paid(&second) > 0);
}

#[tokio::test]
async fn a_metric_of_another_name_or_version_is_refused_with_the_difference() {
    let dir = tempfile::tempdir().unwrap();
    let run = async |version: &str| {
        let compiler = LabeledFewShot::default().compiler(metric::named(version, exact));
        let compiler = compiler.studies_in(dir.path()).study("trial");
        compiler.compile(&context(&Learner::default()), &program(), &data(80)).await
    };
    assert_eq!(run("exact 1").await.unwrap().report.metric, "exact 1");
    run("exact 1").await.unwrap();
    let message = run("exact 2").await.err().unwrap().to_string();
    let difference = "metric: was `exact 1 (metric)`, now `exact 2 (metric)`";
    assert!(message.contains(difference), "{message}");

    let judge = |instructions: &str| {
        let judge = Predict::of("text, label -> score: float").unwrap();
        let judge = judge.with_instructions(instructions);
        metric::Judge::new(Program::new(judge)).unwrap().named("tone")
    };
    assert_eq!(judge("Judge.").fingerprint(), judge("Judge.").fingerprint());
    assert_ne!(judge("Judge.").fingerprint(), judge("Be strict.").fingerprint());
}

#[tokio::test]
async fn a_text_is_improved_anew_when_the_version_of_the_evaluator_changes() {
    let dir = tempfile::tempdir().unwrap();
    let run = async |version: &str| {
        let studies = dir.path().to_owned();
        let evaluator = |texts: &Texts, _: &Example| texts["slogan"].len() > 99;
        let text = TextOptimizer::new([("slogan", "We sell bread")], evaluator).version(version);
        let text = text.recipe(LabeledFewShot::default());
        let text = text.with(|compiler| compiler.studies_in(studies).study("trial"));
        text.optimize(&context(&Learner::default())).await
    };
    assert_eq!(run("1").await.unwrap().report.metric, "evaluator 1");
    run("1").await.unwrap();
    let message = run("2").await.err().unwrap().to_string();
    assert!(message.contains("was `evaluator 1 (evaluator)`, now `evaluator 2"), "{message}");
}

/// Proposes these instructions.
struct Says(&'static str);

impl Optimizer for Says {
    fn name(&self) -> &'static str {
        "says"
    }
    fn settings(&self) -> serde_json::Value {
        self.0.into()
    }
    fn validates(&self) -> bool {
        false
    }
    fn cost(&self, _: Sizes) -> Cost {
        Cost::default()
    }
    async fn search(&self, task: &Task<'_>) -> Result<Candidate> {
        let mut state = ProgramState::default();
        let instructions = Some(self.0.into());
        state.insert("predict", Parameters { instructions, ..Parameters::default() });
        task.propose("other words", state)
    }
}

#[tokio::test]
async fn a_winner_by_cost_must_score_higher_or_be_cheaper() {
    let written = "Say whether the text is of the first kind, alpha, or of the second, beta.";
    let run = async |says: &'static str, objective: Objective| {
        let dir = tempfile::tempdir().unwrap();
        let lm = Learner { deaf: true, ..Learner::default() };
        let compiler = compiler(Says(says), &dir).objective(objective);
        let program = program().with_instructions(written);
        compiler.compile(&context(&lm), &program, &data(80)).await.unwrap().report
    };
    let by_cost = Objective::Cost { margin: 0.1 };
    let longer = "Say whether the text is of the first kind, that is alpha, or of the second kind, \
        that is beta, and nothing else whatever the text may be about.";
    let dearer = run(longer, by_cost).await;
    assert!(!dearer.improved && dearer.verdict.contains("no gain"), "{dearer}");
    let cheaper = run("Alpha a, beta b.", by_cost).await;
    assert!(cheaper.improved, "{cheaper}");
    assert!(cheaper.verdict.contains("tokens a run instead of"), "{cheaper}");
    assert!(!run("Alpha a, beta b.", Objective::Quality).await.improved);
}

/// A study of this many runs with a snapshot beside it, so that it opens without reading them all.
fn long_study(dir: &std::path::Path, identity: &Identity, runs: usize) {
    let study = Study::open(dir, "s", identity, OnChange::Refuse).unwrap();
    for example in 0..runs {
        let run = Run { score: 1.0, feedback: Some("as it is ".repeat(20)), ..Run::default() };
        let (key, candidate) = (format!("key {example}"), "c".to_owned());
        let (by, split) = (By::Student, Split::Val);
        let ran = Event::Ran {
            key,
            candidate,
            by,
            split,
            example,
            pooled: false,
            rollout: 0,
            run,
            inherited: false,
        };
        study.record(ran).unwrap();
    }
    study.record(Event::Stopped { why: "enough".into(), seconds: 1.0 }).unwrap();
}

#[test]
fn a_fork_that_was_cut_off_while_it_copied_is_copied_anew() {
    let source = |n: usize| Source { n, hash: format!("h{n}") };
    let identity = |seed: u64| Identity {
        format: FORMAT,
        program: serde_json::Value::Null,
        teacher: serde_json::Value::Null,
        train: source(60),
        val: source(20),
        test: source(20),
        metric: "exact".into(),
        lm: serde_json::Value::Null,
        optimizer: serde_json::Value::Null,
        seed,
    };
    let dir = tempfile::tempdir().unwrap();
    long_study(dir.path(), &identity(0), 6000);
    assert!(dir.path().join("s/snapshot.json").exists());
    let path = dir.path().join("s/journal.jsonl");
    let whole = std::fs::read(&path).unwrap();
    // A line in the middle that cannot be read ends the copying there, as a kill would.
    let mut broken = whole.clone();
    let middle = whole.len() / 2;
    let line = middle + whole[middle..].iter().position(|b| *b == b'\n').unwrap() + 1;
    broken[line] = b'!';
    std::fs::write(&path, broken).unwrap();
    let fork = || Study::open(dir.path(), "s", &identity(1), OnChange::Fork);
    let message = fork().unwrap_err().to_string();
    assert!(message.contains("is not one of a study"), "{message}");
    std::fs::write(&path, whole).unwrap();
    let fork = fork().unwrap();
    assert_eq!(fork.name(), "s-2");
    for place in [0, 2999, 5999] {
        assert!(fork.run(&format!("key {place}")).is_some(), "{place}");
    }
    let left: Vec<_> = std::fs::read_dir(dir.path().join("s-2")).unwrap().collect();
    let names: Vec<_> = left.iter().map(|entry| entry.as_ref().unwrap().file_name()).collect();
    assert!(names.iter().all(|n| n == "journal.jsonl" || n == "snapshot.json"), "{names:?}");
}
