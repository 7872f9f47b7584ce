//! Every recipe against the conformance suite of optimizers, and the suite against recipes that are
//! wrong on purpose.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod optimizer_suite;

use optimizer_suite::cases::{CASES, Case, IN_STEPS, Kind};
use optimizer_suite::checks;
use optimizer_suite::odds::{SEEDS, blind_successes, fisher, successes};
use optimizer_suite::toy::Toy;
use optimizer_suite::toys::{self, Lesson};
use optimizer_suite::wrong::{self, Fault};
use teleprompt::optimize::{Optimizer, teleprompter};

/// Runs a check on every recipe and tells of all that do not pass.
async fn all(check: impl AsyncFn(&Case) -> Result<(), String>) {
    each(CASES, check).await;
}

async fn each(cases: &[Case], check: impl AsyncFn(&Case) -> Result<(), String>) {
    let mut findings = Vec::new();
    for case in cases {
        if let Err(finding) = check(case).await {
            findings.push(format!("{}: {finding}", case.name));
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_is_what_the_lm_counted() {
    all(checks::ledger).await;
}

#[tokio::test]
async fn decisions_have_reasons() {
    all(checks::reasons).await;
}

#[tokio::test]
async fn the_users_program_is_never_changed() {
    all(checks::untouched).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_seed_gives_the_same_report() {
    all(checks::same_seed).await;
}

#[tokio::test]
async fn a_finished_study_is_free_and_says_the_same() {
    all(checks::replay).await;
}

#[tokio::test]
async fn little_or_nothing_to_go_by_is_no_reason_to_crash() {
    all(checks::little).await;
}

#[tokio::test]
async fn metrics_that_say_nothing_give_no_gain() {
    all(checks::metrics).await;
}

#[tokio::test]
async fn broken_lms_give_an_honest_report() {
    all(checks::lms).await;
}

#[test]
fn every_recipe_has_a_case() {
    let names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
    let missing: Vec<&str> =
        teleprompter::names().map(|(name, _)| name).filter(|name| !names.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let other = CASES.iter().filter(|case| (case.make)().name() != case.name);
    assert!(other.count() == 0, "a case is named after another recipe");
}

type Make = fn(u64) -> Toy;

/// At least nine in ten, where blind search fails in at least eight of ten.
async fn succeeds(case: &Case) -> Result<(), String> {
    let toy = (case.toy)(0);
    let full = toy.budget as f64;
    if toy.space < 1000.0 || full >= 0.1 * toy.space {
        return Err(format!("{full} evaluations are too many for a space of {}", toy.space));
    }
    let wins = successes(&(case.make)(), case.toy).await?;
    println!("{}: {wins} of {SEEDS}", case.name);
    if wins * 10 < SEEDS * 9 { Err(format!("{wins} of {SEEDS} succeed")) } else { Ok(()) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recipes_succeed_on_tasks_of_their_kind() {
    all(succeeds).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recipes_succeed_where_one_of_two_steps_has_to_change() {
    each(IN_STEPS, succeeds).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blind_search_fails_on_all_tasks() {
    let tasks: [(&str, Make); 8] = [
        ("coverage", toys::coverage),
        ("noisy", toys::noisy),
        ("steps", toys::steps),
        ("vocabulary", toys::vocabulary),
        ("vocabulary in steps", toys::vocabulary_in_steps),
        ("vocabulary and demonstrations", toys::vocabulary_and_demos),
        ("rules", toys::told_rules),
        ("decisions", toys::decisions),
    ];
    for (name, toy) in tasks {
        let wins = blind_successes(toy).await.unwrap();
        println!("{name}: {wins} of {SEEDS}");
        assert!(wins * 10 <= SEEDS * 2, "{name}: blind search succeeds on {wins} of {SEEDS}");
    }
}

/// Without what it learns from, or with another example's, a recipe succeeds more seldom.
async fn learns(case: &Case) -> Result<(), String> {
    let Kind::Reflective(_) = case.kind else { return Ok(()) };
    let whole = successes(&(case.make)(), case.toy).await?;
    for lesson in [Lesson::Removed, Lesson::Shuffled] {
        let Some(spoilt) = case.spoilt(lesson) else { return Ok(()) };
        let without = successes(&(case.make)(), spoilt).await?;
        let p = fisher(without, whole, SEEDS);
        println!("{}: {whole} of {SEEDS}, {lesson:?} {without}, p = {p:.4}", case.name);
        if p >= 0.05 {
            return Err(format!("{lesson:?}: {without} instead of {whole}, p = {p}"));
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recipes_that_learn_need_their_lessons() {
    all(learns).await;
}

/// The check finds the fault, and what it says holds these words.
async fn caught(fault: Fault, check: impl AsyncFn(&Case) -> Result<(), String>, words: &str) {
    let finding = check(&wrong::case(fault)).await;
    let said = finding.expect_err(&format!("{fault:?} is not found"));
    assert!(said.contains(words), "{fault:?}: {said}");
}

#[tokio::test]
async fn wrong_recipes_are_found() {
    caught(Fault::Guesses, succeeds, "of 20 succeed").await;
    caught(Fault::Forgets, checks::ledger, "in the ledger").await;
    caught(Fault::Forgets, checks::replay, "paid again").await;
    caught(Fault::Smuggles, checks::ledger, "in the ledger").await;
    caught(Fault::Wavers, checks::same_seed, "differ in").await;
    caught(Fault::Panics, checks::little, "panicked").await;
    caught(Fault::Sulks, checks::reasons, "without a reason").await;
    caught(Fault::Invents, checks::reasons, "in no journal").await;
    caught(Fault::Dithers, checks::reasons, "neither taken nor turned down").await;
}

#[test]
fn fishers_test_gives_known_probabilities() {
    assert!((fisher(0, 20, 20) - 7.254e-12).abs() < 1e-14);
    assert!((fisher(10, 10, 20) - 0.624).abs() < 0.001);
    // Against 19 of 20, 14 are significantly fewer at 5%, and 15 are not.
    assert!(fisher(14, 19, 20) < 0.05 && fisher(15, 19, 20) > 0.05);
}
