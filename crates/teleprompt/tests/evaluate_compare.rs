//! Paired comparison.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod evaluate_support;

use evaluate_support::{block_on, context, echo, module, numbered};
use proptest::prelude::*;
use teleprompt::data::Dataset;
use teleprompt::evaluate::{Comparison, Evaluate, Evaluation, Test, compare};
use teleprompt::{Example, Prediction, record};

/// An evaluation with these scores.
fn scored(scores: &[f64]) -> Evaluation {
    scored_on(numbered(scores.len()), scores)
}

fn scored_on(data: Dataset, scores: &[f64]) -> Evaluation {
    let scores = scores.to_vec();
    let metric = move |e: &Example, _: &Prediction| {
        let place: usize = e["a"].as_str().unwrap().parse().unwrap();
        scores[place]
    };
    let evaluate = Evaluate::new(data, metric);
    block_on(evaluate.run(&context(), &module(echo))).unwrap()
}

fn compared(a: &[f64], b: &[f64]) -> Comparison {
    compare(&scored(a), &scored(b)).unwrap()
}

#[test]
fn binary_scores_are_compared_by_mcnemar() {
    // 9 better, 1 worse, 2 equal: p = 2 (1 + 10) / 2^10 = 0.02148.
    let a = [0., 0., 0., 0., 0., 0., 0., 0., 0., 1., 1., 0.];
    let b = [1., 1., 1., 1., 1., 1., 1., 1., 1., 0., 1., 0.];
    let c = compared(&a, &b);
    assert_eq!((c.test, c.wins, c.losses, c.ties, c.n), (Test::McNemar, 9, 1, 2, 12));
    assert!((c.p_value - 22.0 / 1024.0).abs() < 1e-12);
    assert!((c.difference - 8.0 / 12.0).abs() < 1e-12);
    assert!(c.ci.low > 0.0 && c.ci.low <= c.difference && c.difference <= c.ci.high);
    assert!(c.to_string().starts_with("16.7% → 83.3% (+66.7, 95% CI +"), "{c}");
    assert!(c.to_string().ends_with("p = 0.021 (exact McNemar test); 9 better, 1 worse, 2 equal"));
}

#[test]
fn other_scores_are_compared_by_permutation() {
    // Differences 0.5, 0.25, 0.25, 0: of the 8 sign patterns 2 reach |sum| = 1.
    let c = compared(&[0.0, 0.25, 0.5, 0.5], &[0.5, 0.5, 0.75, 0.5]);
    assert_eq!((c.test, c.wins, c.losses, c.ties), (Test::Permutation, 3, 0, 1));
    assert!((c.p_value - 0.25).abs() < 1e-12);
}

#[test]
fn a_large_effect_is_significant_and_noise_is_not() {
    let noise = |i: usize, salt: u64| (i as u64 * 7919 + salt) % 101;
    let score = |i: usize, salt: u64| noise(i, salt) as f64 / 100.0;
    let a: Vec<f64> = (0..200).map(|i| score(i, 3)).collect();
    let b: Vec<f64> = (0..200).map(|i| score(i, 50)).collect();
    assert!(compared(&a, &b).p_value > 0.05);
    let better: Vec<f64> = a.iter().map(|s| s + 0.2).collect();
    let c = compared(&a, &better);
    assert!(c.p_value < 0.001 && c.to_string().contains("p < 0.001"), "{c}");
}

#[test]
fn only_the_same_examples_are_compared() {
    let e = |a: &Evaluation, b: &Evaluation| compare(a, b).unwrap_err().to_string();
    let two = scored(&[0.0, 1.0]);
    let length = e(&two, &scored(&[0.0, 1.0, 1.0]));
    assert!(length.contains("has 2 examples and examples has 3"), "{length}");
    let swapped = scored_on(numbered(2).select(&[1, 0]), &[0.0, 1.0]);
    let order = e(&two, &swapped);
    assert!(order.contains("example 1 of examples is not that of examples"), "{order}");
    // Other names for the same values, as a mapping makes them, are the same examples.
    let renamed: Dataset = (0..2)
        .map(|i| Example::new(record! { a: i.to_string(), q: i.to_string() }, ["a"]))
        .collect();
    assert!(compare(&two, &scored_on(renamed, &[0.0, 1.0])).is_ok());
    let cx = context();
    cx.cancel().cancel();
    let evaluate = Evaluate::new(numbered(2), |_: &Example, _: &Prediction| true);
    let part = block_on(evaluate.run_partial(&cx, &module(echo))).unwrap();
    let stopped = e(&two, &part);
    assert!(stopped.contains("stopped after 0 of 2 examples (cancelled)"), "{stopped}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn comparison_is_symmetric(pairs in prop::collection::vec((0u8..5, 0u8..5), 1..30)) {
        let scores = |f: fn(&(u8, u8)) -> u8| -> Vec<f64> {
            pairs.iter().map(|p| f64::from(f(p)) / 4.0).collect()
        };
        let (a, b) = (scores(|p| p.0), scores(|p| p.1));
        let (there, back) = (compared(&a, &b), compared(&b, &a));
        prop_assert!(there.p_value > 0.0 && there.p_value <= 1.0);
        prop_assert!((there.p_value - back.p_value).abs() < 1e-12);
        prop_assert!((there.difference + back.difference).abs() < 1e-12);
        prop_assert!((there.ci.low + back.ci.high).abs() < 1e-12);
        prop_assert_eq!((there.wins, there.losses), (back.losses, back.wins));
        prop_assert!(there.ci.low <= there.difference && there.difference <= there.ci.high);
    }

    #[test]
    fn equal_runs_do_not_differ(scores in prop::collection::vec(0.0..1.0f64, 1..30)) {
        let c = compared(&scores, &scores);
        prop_assert_eq!((c.p_value, c.difference, c.ties), (1.0, 0.0, scores.len()));
        prop_assert_eq!((c.ci.low, c.ci.high), (0.0, 0.0));
    }
}
