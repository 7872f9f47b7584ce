//! `auto` beside every single recipe at the same number of LM calls, on scripted models: pairs 1 to 6
//! of `benchmarks/auto/PAIRS.md`.

use std::fmt::Write as _;

use teleprompt::evaluate::paired;
use teleprompt::optimize::teleprompter::{by_name, recipes};

use super::run::{Setup, compile};
use super::toy::Toy;
use super::toys;

type Make = fn(u64) -> Toy;

const PAIRS: [(&str, Make); 6] = [
    ("coverage", toys::coverage),
    ("steps", toys::steps),
    ("noisy", toys::noisy),
    ("vocabulary", toys::vocabulary),
    ("vocabulary_in_steps", toys::vocabulary_in_steps),
    ("told_rules", toys::told_rules),
];

/// `auto` was worked on with seeds from 0; these are others.
const FIRST: u64 = 100;

const SEEDS: u64 = 20;

/// Recipes of recipes and those for another purpose are no single recipes.
const OTHERS: [&str; 4] = ["auto", "better_together", "ensemble", "calibrate_decisions"];

/// Full evaluations of a candidate that a search may pay.
const EVALUATIONS: u64 = 30;

/// The test scores of a recipe over all seeds, one after another, and its calls.
async fn scores(recipe: &str, toy: Make, seeds: u64) -> (Vec<f64>, u64) {
    let (mut scores, mut calls) = (Vec::new(), 0);
    for seed in FIRST..FIRST + seeds {
        let mut toy = toy(seed);
        toy.budget = EVALUATIONS;
        let setup = Setup { seed, calls: Some(toy.calls()), ..Setup::default() };
        let optimizer = by_name(recipe, &serde_json::Map::new()).unwrap();
        let done = compile(&optimizer, &toy, &setup).await.unwrap();
        assert!(done.count.answered <= toy.calls(), "{recipe}: {} calls", done.count.answered);
        let side = if done.report.improved { done.report.winner } else { done.report.baseline };
        scores.extend(side.scores);
        calls += done.count.answered;
    }
    (scores, calls / seeds)
}

fn mean(scores: &[f64]) -> f64 {
    scores.iter().sum::<f64>() / scores.len() as f64
}

/// A line of the table, and whether `auto` passes.
async fn pair(name: &str, toy: Make, seeds: u64) -> (String, bool) {
    let (auto, calls) = scores("auto", toy, seeds).await;
    let mut best: Option<(&str, Vec<f64>, u64)> = None;
    for recipe in recipes().iter().filter(|r| !OTHERS.contains(&r.name)) {
        let (found, calls) = scores(recipe.name, toy, seeds).await;
        println!("{name}: {} {:.3}, {calls} calls", recipe.name, mean(&found));
        if best.as_ref().is_none_or(|(_, b, _)| mean(&found) > mean(b)) {
            best = Some((recipe.name, found, calls));
        }
    }
    let (recipe, best, best_calls) = best.unwrap();
    let difference = paired(&best, &auto);
    let passes = difference.ci.low > -0.03;
    let line = format!(
        "| {name}, scripted | {:.1} | {calls} | {recipe} {:.1} | {best_calls} | {:+.1} | {:+.1} to {:+.1} | {} |",
        100.0 * mean(&auto),
        100.0 * mean(&best),
        100.0 * difference.difference,
        100.0 * difference.ci.low,
        100.0 * difference.ci.high,
        if passes { "yes" } else { "no" },
    );
    println!("{line}");
    (line, passes)
}

/// The table, and on how many of the pairs `auto` passes.
pub async fn all() -> (String, usize) {
    let mut table = String::from(
        "| pair | auto | LM calls | best single recipe | LM calls | difference | 95% CI | lower bound \
         above -3 |\n|---|---|---|---|---|---|---|---|\n",
    );
    let mut passed = 0;
    for (name, toy) in PAIRS {
        let (line, passes) = pair(name, toy, SEEDS).await;
        passed += usize::from(passes);
        let _ = writeln!(table, "{line}");
    }
    (table, passed)
}
