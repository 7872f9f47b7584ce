//! Texts of any kind, improved by a user's evaluator.

use teleprompt::optimize::teleprompter::{Avatar, Gepa, GepaBudget};
use teleprompt::optimize::text::{OptimizedText, TextOptimizer, Texts, optimize_text, waiting};
use teleprompt::prelude::*;

use crate::world::{KINDS, World, Writer, data, rule};

/// The share of the rules that a text has; says which one is missing.
fn all_rules(texts: &Texts, _: &Example) -> Score {
    let missing = KINDS.iter().find(|kind| !texts["config"].contains(&rule("config", kind)));
    let found = KINDS.iter().filter(|kind| texts["config"].contains(&rule("config", kind))).count();
    let score = Score::from(found as f64 / KINDS.len() as f64);
    match missing {
        Some(kind) => score.with_feedback(format!("It lacks {}.", rule("config", kind))),
        None => score,
    }
}

async fn optimized(optimizer: TextOptimizer, world: &World) -> Result<OptimizedText> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let optimizer = optimizer.with(move |c| c.studies_in(path).study("text").seed(2));
    optimizer.optimize(&world.context()).await
}

#[tokio::test]
async fn a_text_without_examples_is_improved_by_notes_and_not_without_them() {
    let world = World::new(Writer::Collects);
    let found =
        optimized(optimize_text([("config", "nothing yet")], all_rules), &world).await.unwrap();
    assert!(found.report.improved, "{}", found.report);
    assert_eq!((found.report.baseline.score, found.report.winner.score), (0.0, 1.0));
    assert!(KINDS.iter().all(|kind| found.texts["config"].contains(&rule("config", kind))));
    assert_eq!(found.report.usage.calls, world.questions(), "the texts themselves call no LM");
    let mute = |texts: &Texts, example: &Example| all_rules(texts, example).value;
    let found = optimized(optimize_text([("config", "nothing yet")], mute), &world).await.unwrap();
    assert!(!found.report.improved);
    assert_eq!(&found.texts["config"], "nothing yet");
}

/// Each example needs its rule in the text that is asked for it.
fn by_example(texts: &Texts, example: &Example) -> Score {
    let kind = example["label"].as_str().unwrap();
    let even = example["text"].as_str().unwrap().len().is_multiple_of(2);
    let output = if even { "first" } else { "second" };
    let right = texts[output].contains(&rule(output, kind));
    Score::from(right).with_feedback_on(output, format!("It needs {}.", rule(output, kind)))
}

fn over_examples(optimizer: TextOptimizer) -> TextOptimizer {
    let optimizer = optimizer.examples(&data("train", 24));
    optimizer.with(|c| c.val(&data("val", 18)).test(&data("test", 24)))
}

#[tokio::test]
async fn several_texts_are_improved_over_examples_by_notes_on_each() {
    let world = World::new(Writer::Collects);
    let texts = [("first", "a"), ("second", "b")];
    let recipe = Gepa { budget: GepaBudget::MaxMetricCalls(600), ..Gepa::default() };
    let optimizer = over_examples(TextOptimizer::new(texts, by_example)).recipe(recipe);
    let found = optimized(optimizer, &world).await.unwrap();
    assert_eq!((&*found.report.split, found.report.winner.n), ("test", 24));
    assert!(found.report.winner.score > 0.7, "{}", found.report);
    assert!(found.texts["first"].contains("first:") && !found.texts["first"].contains("second:"));
    assert!(found.texts["second"].contains("second:"));
    assert_eq!(found.texts.iter().count(), 2);
}

#[tokio::test]
async fn evaluators_may_wait_and_fail_and_any_recipe_will_do() {
    let world = World::new(Writer::Collects);
    let waits = waiting(|texts, example| async move {
        tokio::task::yield_now().await;
        let score = by_example(&texts, &example);
        if score.value == 0.0 {
            let said = score.by_predictor.values().next().unwrap();
            return Err(Error::Other(format!("broken: {said}")));
        }
        Ok(score)
    });
    let recipe = Avatar { max_iters: 4, ..Avatar::default() };
    let texts = [("first", ""), ("second", "")];
    let optimizer = over_examples(TextOptimizer::new(texts, waits)).recipe(recipe);
    let found = optimized(optimizer, &world).await.unwrap();
    assert!(found.report.winner.score > 0.7, "{}", found.report);
    assert_eq!(found.report.baseline.failed, found.report.baseline.n);
}

#[tokio::test]
async fn the_purpose_is_told_and_options_of_the_compile_hold() {
    let world = World::new(Writer::Collects);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let optimizer = optimize_text([("config", "")], all_rules)
        .purpose("It configures a mixer.")
        .with(move |c| c.studies_in(path).study("mixer"))
        .with(|c| c.stop_at_score(0.3));
    let found = optimizer.optimize(&world.context()).await.unwrap();
    assert!(found.report.stopped.unwrap().contains("0.3"));
    let journal = std::fs::read_to_string(dir.path().join("mixer/journal.jsonl")).unwrap();
    assert!(journal.contains("as it stands") && journal.contains("It configures a mixer."));
}

#[tokio::test]
async fn no_text_and_equal_names_are_refused() {
    let world = World::new(Writer::Collects);
    let none: [(&str, &str); 0] = [];
    let error = optimized(optimize_text(none, all_rules), &world).await.unwrap_err();
    assert!(error.to_string().contains("at least one"), "{error}");
    let twice = optimize_text([("a", "x"), ("a", "y")], all_rules);
    let error = optimized(twice, &world).await.unwrap_err();
    assert!(error.to_string().contains("`a`"), "{error}");
}
