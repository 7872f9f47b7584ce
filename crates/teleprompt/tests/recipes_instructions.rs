//! The recipes that write instructions or choose demonstrations: gains, costs, resume, bad LMs, odd
//! data.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod recipes_support;

use std::collections::HashSet;

use recipes_support::{Pupil, TwoSteps, data, events, exact, program, runs, sizes, two_steps};
use serde_json::Value;
use teleprompt::data::Dataset;
use teleprompt::optimize::race::Race;
use teleprompt::optimize::teleprompter::{
    BootstrapFewShotWithTpe, Copro, InferRules, KnnFewShot, MiproV2,
};
use teleprompt::optimize::{Compiled, Compiler, Optimizer, OptimizerHandle};
use teleprompt::prelude::*;

fn copro() -> Copro {
    Copro { breadth: 4, depth: 3, ..Copro::default() }
}

fn mipro() -> MiproV2 {
    MiproV2 { num_trials: Some(8), calibration_examples: 0, ..MiproV2::default() }
}

fn rules() -> InferRules {
    InferRules { num_candidates: 3, ..InferRules::default() }
}

fn tpe() -> BootstrapFewShotWithTpe {
    BootstrapFewShotWithTpe { num_candidate_programs: 6, ..BootstrapFewShotWithTpe::default() }
}

/// The recipes that choose by validation, with this race.
fn choosing(race: Race) -> Vec<OptimizerHandle> {
    vec![
        OptimizerHandle::new(Copro { race, ..copro() }),
        OptimizerHandle::new(MiproV2 { race, ..mipro() }),
        OptimizerHandle::new(InferRules { race, ..rules() }),
        OptimizerHandle::new(BootstrapFewShotWithTpe { race, ..tpe() }),
    ]
}

fn all() -> Vec<OptimizerHandle> {
    let mut all = choosing(Race::Full);
    all.push(OptimizerHandle::new(KnnFewShot::default()));
    all
}

fn compiler<O: Optimizer>(recipe: O, dir: &tempfile::TempDir) -> Compiler<O> {
    recipe.compiler(exact).studies_in(dir.path()).study("trial").concurrency(3)
}

async fn compile<O: Optimizer>(recipe: O, pupil: &Pupil, data: &Dataset) -> Compiled<Predict> {
    let dir = tempfile::tempdir().unwrap();
    compiler(recipe, &dir).compile(&pupil.context(), &program(), data).await.unwrap()
}

async fn compile_two<O: Optimizer>(recipe: O, pupil: &Pupil, n: usize) -> Compiled<TwoSteps> {
    let dir = tempfile::tempdir().unwrap();
    compiler(recipe, &dir).compile(&pupil.context(), &two_steps(), &data(n)).await.unwrap()
}

#[tokio::test]
async fn every_recipe_gains_on_examples_it_never_saw_and_its_ledger_is_right() {
    for recipe in all() {
        let pupil = Pupil::default();
        let name = recipe.name();
        let done = compile(recipe.clone(), &pupil, &data(160)).await;
        let report = &done.report;
        assert!(report.difference >= 0.2 && report.p_value < 0.05, "{name}: {report}");
        assert!(report.improved, "{name}");
        assert_eq!(report.usage.calls, pupil.counts.calls(), "{name}");
        assert_eq!(report.spent.proposals.calls, pupil.counts.written(), "{name}");
        assert_eq!(recipe.writes(), pupil.counts.written() > 0, "{name}");
        let cost = recipe.cost(sizes(report, 1, 160, recipe.validates()));
        let runs = runs(report);
        assert!(runs <= cost.runs, "{name}: {runs} runs, promised {}", cost.runs);
        let asked = report.spent.proposals.calls;
        assert!(asked <= cost.questions, "{name}: {asked}, promised {}", cost.questions);
        for candidate in report.candidates.iter().filter(|_| recipe.validates()) {
            let word = candidate.accepted.is_some() && !candidate.why.is_empty();
            let teacher = candidate.scores.is_empty();
            assert!(word || teacher, "{name}: nothing is said of {candidate:?}");
        }
    }
}

#[tokio::test]
async fn a_program_of_two_steps_gains_too_and_costs_no_more_than_was_said() {
    for recipe in all() {
        let pupil = Pupil::default();
        let name = recipe.name();
        let done = compile_two(recipe.clone(), &pupil, 160).await;
        let report = &done.report;
        assert!(report.difference >= 0.2 && report.improved, "{name}: {report}");
        assert_eq!(report.usage.calls, pupil.counts.calls(), "{name}");
        let cost = recipe.cost(sizes(report, 2, 160, recipe.validates()));
        let runs = runs(report);
        assert!(runs <= 2 * cost.runs, "{name}: {runs} calls, promised {} runs", cost.runs);
        assert!(report.spent.proposals.calls <= cost.questions, "{name}");
    }
}

#[tokio::test]
async fn every_recipe_gains_with_at_least_18_of_20_seeds() {
    for recipe in all() {
        let mut gains = 0;
        for seed in 0..20 {
            let dir = tempfile::tempdir().unwrap();
            let compiler = compiler(recipe.clone(), &dir).seed(seed);
            let cx = Pupil::default().context();
            let done = compiler.compile(&cx, &program(), &data(120)).await.unwrap();
            gains += u32::from(done.report.improved && done.report.difference >= 0.15);
        }
        assert!(gains >= 18, "{}: {gains} of 20", recipe.name());
    }
}

#[tokio::test]
async fn the_program_itself_is_not_touched() {
    for recipe in all() {
        let dir = tempfile::tempdir().unwrap();
        let pupil = Pupil::default();
        let (plain, cx) = (two_steps(), pupil.context());
        let before = Program::new(plain.clone()).state();
        let input = record! { text: "letter beta number 3" };
        let said = plain.call(&cx, input.clone()).await.unwrap();
        compiler(recipe, &dir).compile(&cx, &plain, &data(80)).await.unwrap();
        assert_eq!(Program::new(plain.clone()).state(), before);
        assert_eq!(plain.call(&cx, input).await.unwrap().output, said.output);
    }
}

#[tokio::test]
async fn a_killed_study_goes_on_decides_the_same_and_asks_nothing_twice() {
    for recipe in all() {
        let name = recipe.name();
        let study = async |dir: &tempfile::TempDir, pupil: &Pupil| {
            let compiler = compiler(recipe.clone(), dir);
            compiler.compile(&pupil.context(), &program(), &data(80)).await
        };
        let dir = tempfile::tempdir().unwrap();
        let pupil = Pupil::default();
        let whole = study(&dir, &pupil).await.unwrap();
        let calls = pupil.counts.calls();
        for part in 0..8 {
            let dies_at = 1 + part * (calls - 1) / 7;
            let dir = tempfile::tempdir().unwrap();
            let first = Pupil { dies_at, ..Pupil::default() };
            assert!(study(&dir, &first).await.is_err(), "{name} dies at {dies_at}");
            let second = Pupil::default();
            let done = study(&dir, &second).await.unwrap();
            assert_eq!(done.report.winner, whole.report.winner, "{name} dies at {dies_at}");
            assert_eq!(done.program.state(), whole.program.state(), "{name} dies at {dies_at}");
            // Answers in flight when it died are lost, of which there are as many as run at once.
            let both = dies_at - 1 + second.counts.calls();
            assert!(both <= calls + 3, "{name}: {both} calls instead of {calls}");
            let mut keys = HashSet::new();
            for event in events(&dir).iter().filter(|e| e["key"].is_string()) {
                assert!(keys.insert(event["key"].to_string()), "{name}: twice {event}");
            }
        }
    }
}

#[tokio::test]
async fn the_same_seed_decides_the_same_and_another_seed_draws_otherwise() {
    for recipe in choosing(Race::Full) {
        let journal = async |seed: u64| {
            let dir = tempfile::tempdir().unwrap();
            let cx = Pupil::default().context();
            let compiler = compiler(recipe.clone(), &dir).concurrency(1).seed(seed);
            compiler.compile(&cx, &program(), &data(60)).await.unwrap();
            let proposed =
                |e: &Value| (e["event"] == "proposed").then(|| e["candidate"].to_string());
            events(&dir).iter().filter_map(proposed).collect::<Vec<_>>()
        };
        assert_eq!(journal(1).await, journal(1).await, "{}", recipe.name());
        assert_ne!(journal(1).await, journal(2).await, "{}", recipe.name());
    }
}

#[tokio::test]
async fn the_journal_holds_what_the_writer_was_asked_and_what_it_said() {
    let dir = tempfile::tempdir().unwrap();
    let cx = Pupil::default().context();
    compiler(copro(), &dir).compile(&cx, &program(), &data(60)).await.unwrap();
    let asked: Vec<Value> = events(&dir).into_iter().filter(|e| e["event"] == "asked").collect();
    assert_eq!(asked.len(), 3 + 4 + 4);
    for event in &asked {
        assert_eq!(event["what"], "instructions for predict");
        let system = event["asked"]["prompt"][0][1].as_str().unwrap();
        assert!(system.contains("Write the instructions and nothing else"), "{system}");
        assert!(event["asked"]["reply"].as_str().unwrap().contains("[q"), "{event}");
        assert!(event["asked"]["outputs"]["instructions"].is_string(), "{event}");
    }
    // From the second round on it sees what was tried, the best last.
    let user = asked[7]["asked"]["prompt"][1][1].as_str().unwrap();
    let scores: Vec<f64> = user
        .lines()
        .filter_map(|line| line.split("score ").nth(1)?.split(':').next()?.parse().ok())
        .collect();
    assert!(scores.len() >= 3 && scores.is_sorted(), "{user}");
}

#[tokio::test]
async fn the_data_are_looked_at_until_nothing_new_comes_and_facts_are_asked_once() {
    let dir = tempfile::tempdir().unwrap();
    let cx = Pupil::default().context();
    compiler(mipro(), &dir).compile(&cx, &two_steps(), &data(160)).await.unwrap();
    let events = events(&dir);
    let asked = |what: &str| events.iter().filter(|e| e["what"] == what).count();
    assert_eq!(asked("look at examples"), 3, "the first, and two without news");
    assert_eq!(asked("summary of the data"), 0, "there is one observation");
    assert_eq!(asked("purpose of the program"), 1);
    assert_eq!((asked("role of repeat"), asked("role of judge")), (1, 1));
    assert_eq!((asked("instructions for repeat"), asked("instructions for judge")), (2, 2));
    let proposal = events.iter().find(|e| e["what"] == "instructions for judge").unwrap();
    let shown = proposal["asked"]["prompt"][1][1].as_str().unwrap();
    for fact in ["Example 1", "[seen]", "judge: something about role", "repeat: text -> echo"] {
        assert!(shown.contains(fact), "no {fact} in {shown}");
    }
}

#[tokio::test]
async fn what_the_writer_is_shown_is_what_makes_its_instructions_good() {
    let mut seen = mipro();
    (seen.max_bootstrapped_demos, seen.max_labeled_demos) = (0, 0);
    let mut blind = seen;
    blind.proposer.data = false;
    let with = compile(seen, &Pupil::default(), &data(160)).await.report;
    let without = compile(blind, &Pupil::default(), &data(160)).await.report;
    assert!(with.winner.score > without.winner.score, "{with}\n{without}");
    // Without demonstrations in the candidates, there are none in the winner either.
    assert!(with.changes.iter().all(|change| change.demos.is_empty()));
    assert!(with.spent.teacher.calls > 0, "demonstrations are still shown to the writer");
}

#[tokio::test]
async fn every_race_chooses_and_those_that_drop_candidates_cost_less() {
    let mut full = 0;
    for race in [Race::Full, Race::minibatch(), Race::halving(), Race::wilcoxon(), Race::k_fold()] {
        let mut spent = 0;
        for recipe in choosing(race) {
            let pupil = Pupil::default();
            let name = recipe.name();
            let report = compile(recipe.clone(), &pupil, &data(240)).await.report;
            assert!(report.difference >= 0.1, "{name}, {race:?}: {report}");
            assert_eq!(report.usage.calls, pupil.counts.calls(), "{name}, {race:?}");
            let cost = recipe.cost(sizes(&report, 1, 240, true));
            let (runs, asked) = (runs(&report), report.spent.proposals.calls);
            assert!(runs <= cost.runs, "{name}, {race:?}: {runs} of {}", cost.runs);
            assert!(asked <= cost.questions, "{name}, {race:?}: {asked} of {}", cost.questions);
            spent += report.spent.evaluation.calls;
        }
        match race {
            Race::Full => full = spent,
            Race::KFold { .. } => assert!(spent > full, "it evaluates on train examples, too"),
            _ => assert!(spent < full, "{race:?}: {spent} calls, {full} without"),
        }
    }
}

#[tokio::test]
async fn few_examples_none_at_all_and_zero_settings_are_no_trouble() {
    let nothing: Vec<OptimizerHandle> = vec![
        OptimizerHandle::new(Copro { breadth: 0, ..copro() }),
        OptimizerHandle::new(Copro { breadth: 1, depth: 1, ..copro() }),
        OptimizerHandle::new(Copro { depth: 0, ..copro() }),
        OptimizerHandle::new(MiproV2 { num_trials: Some(0), ..mipro() }),
        OptimizerHandle::new(MiproV2 {
            num_instructions: Some(0),
            num_demo_sets: Some(0),
            ..mipro()
        }),
        OptimizerHandle::new(MiproV2 { max_bootstrapped_demos: 0, ..mipro() }),
        OptimizerHandle::new(MiproV2 { max_labeled_demos: 0, ..mipro() }),
        OptimizerHandle::new(InferRules { num_candidates: 0, ..rules() }),
        OptimizerHandle::new(InferRules { num_rules: 0, ..rules() }),
        OptimizerHandle::new(InferRules {
            num_examples: 0,
            max_bootstrapped_demos: 0,
            max_labeled_demos: 0,
            ..rules()
        }),
        OptimizerHandle::new(BootstrapFewShotWithTpe {
            max_bootstrapped_demos: 0,
            max_labeled_demos: 0,
            ..tpe()
        }),
        OptimizerHandle::new(BootstrapFewShotWithTpe { num_demo_sets: Some(0), ..tpe() }),
        OptimizerHandle::new(KnnFewShot { k: 0, ..KnnFewShot::default() }),
    ];
    for recipe in all().into_iter().chain(nothing) {
        for n in [0, 1, 2, 20] {
            let pupil = Pupil::default();
            let report = compile(recipe.clone(), &pupil, &data(n)).await.report;
            let name = recipe.name();
            assert_eq!(report.usage.calls, pupil.counts.calls(), "{name}, {n} examples");
            assert!(report.winner.score >= 0.0, "{name}, {n} examples");
        }
    }
}

#[tokio::test]
async fn examples_without_labels_still_give_instructions() {
    let bare = |e: &Example| Example::new(record! { text: e["text"].clone() }, ["text"]);
    let unlabelled: Vec<Example> = data(40).iter().map(bare).collect();
    let unlabelled = Dataset::new("unlabelled", unlabelled);
    for recipe in all() {
        let dir = tempfile::tempdir().unwrap();
        let pupil = Pupil::default();
        let done = compiler(recipe, &dir).val(&data(40)).test(&data(40));
        let report = done.compile(&pupil.context(), &program(), &unlabelled).await.unwrap().report;
        assert_eq!(report.usage.calls, pupil.counts.calls());
        if report.optimizer == "copro" {
            assert!(report.improved, "{report}");
        }
    }
}

#[tokio::test]
async fn a_writer_that_fails_or_mumbles_is_remarked_on_and_the_rest_goes_on() {
    for recipe in choosing(Race::Full).into_iter().filter(Optimizer::writes) {
        let name = recipe.name();
        let unsure = Pupil { writer_fails: 3, ..Pupil::default() };
        let dir = tempfile::tempdir().unwrap();
        let compiler = compiler(recipe.clone(), &dir);
        let done = compiler.compile(&unsure.context(), &program(), &data(160)).await.unwrap();
        assert!(done.report.difference >= 0.1, "{name}: {}", done.report);
        let failed = events(&dir).iter().filter(|e| e["asked"]["error"].is_string()).count();
        assert_eq!(failed as u64, unsure.counts.failed(), "{name}");
        assert!(failed > 0, "{name}: nothing failed");

        let mumbler = Pupil { mumbles: true, ..Pupil::default() };
        let report = compile(recipe, &mumbler, &data(80)).await.report;
        assert!(report.notes.iter().any(|n| n.starts_with("no ")), "{name}: {:?}", report.notes);
        let rewritten = report.changes.iter().any(|change| change.instructions.is_some());
        assert!(!rewritten, "{name} has instructions that nobody wrote");
        assert_eq!(report.usage.calls, mumbler.counts.calls(), "{name}");
    }
}

#[tokio::test]
async fn a_writer_with_a_small_window_is_shown_fewer_examples() {
    let small = Pupil { window: 1500, ..Pupil::default() };
    let recipe = InferRules { max_labeled_demos: 4, max_bootstrapped_demos: 2, ..rules() };
    let report = compile(recipe, &small, &data(160)).await.report;
    assert!(small.counts.failed() > 0, "everything fitted");
    assert!(report.candidates.iter().any(|c| c.origin == "rules 1" && c.score > Some(0.8)));
    let told = report.changes[0].instructions.clone().unwrap();
    assert!(told.contains("- [q4] beta is b\n"), "{told}");
}

#[tokio::test]
async fn nearest_demonstrations_are_chosen_at_the_call_and_cost_no_further_call() {
    let pupil = Pupil::default();
    let done = compile(KnnFewShot { k: 3, ..KnnFewShot::default() }, &pupil, &data(80)).await;
    assert_eq!(pupil.counts.calls(), 2 * 20, "baseline and winner on the test split only");
    let state = done.program.state();
    let nearest = state.get("predict").unwrap().nearest.clone().unwrap();
    assert_eq!((nearest.k, nearest.pool.len()), (3, 60));
    let before = pupil.counts.calls();
    done.program.call(&pupil.context(), record! { text: "letter beta number 5" }).await.unwrap();
    assert_eq!(pupil.counts.calls(), before + 1);
}

#[tokio::test]
async fn steps_without_labels_get_a_pool_from_accepted_runs_made_once() {
    let pupil = Pupil::default();
    let done = compile_two(KnnFewShot::default(), &pupil, 80).await;
    let state = done.program.state();
    let pool = |path: &str| state.get(path).unwrap().nearest.clone().unwrap().pool.clone();
    assert!(!pool("repeat").is_empty() && pool("repeat").iter().all(|d| d.contains("echo")));
    assert!(pool("judge").iter().all(|demo| demo.contains("echo") && demo.contains("label")));
    assert_eq!(done.report.spent.teacher.calls, 2 * 60);
}
