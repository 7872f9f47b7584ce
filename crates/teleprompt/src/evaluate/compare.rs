//! Comparing two evaluations on the same examples.

use std::fmt;

use serde::Serialize;
use teleprompt_core::{Error, Example, Result};

use super::result::{Evaluation, points};
use super::stats::{self, Interval};
use crate::data::Dataset;

/// The test behind a p-value. Both are two-sided; the hypothesis they test is that for each example
/// the two programs could as well have swapped their scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// Exact McNemar, for scores of 0 and 1 ([`stats::mcnemar`]).
    McNemar,
    /// Paired permutation of the mean difference, for all others ([`stats::sign_flip`]).
    Permutation,
}

impl Test {
    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Test::McNemar => "exact McNemar test",
            Test::Permutation => "paired permutation test",
        }
    }
}

/// How a second program does against a first one on the same examples.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// Examples.
    pub n: usize,
    /// The mean score of the first program.
    pub first: f64,
    /// The mean score of the second program.
    pub second: f64,
    /// `second - first`: above 0 the second is better.
    pub difference: f64,
    /// The 95% interval of the difference: a bootstrap over examples ([`stats::bootstrap`]).
    pub ci: Interval,
    /// The chance of a difference at least as large, in either direction, if there is none.
    pub p_value: f64,
    /// How the p-value was found.
    pub test: Test,
    /// Examples on which the second program scores higher.
    pub wins: usize,
    /// Examples on which the second program scores lower.
    pub losses: usize,
    /// Examples on which both score the same.
    pub ties: usize,
    percent: bool,
}

/// Compares a second evaluation with a first one, example by example.
///
/// ```
/// use teleprompt::evaluate::stats::{mcnemar, sign_flip};
/// // The tests are there for plain numbers too: 9 examples better, 1 worse.
/// assert!(mcnemar(9, 1) < 0.03 && sign_flip(&[0.5, -0.5]) == 1.0);
/// ```
///
/// # Errors
/// [`Error::Data`]: the examples are not the same, or one evaluation stopped before its end.
/// Examples are the same when they hold the same values; the names may differ, as a mapping of
/// columns makes them.
pub fn compare(first: &Evaluation, second: &Evaluation) -> Result<Comparison> {
    check(first, second)?;
    let percent = first.is_percent() && second.is_percent();
    Ok(Comparison { percent, ..paired(&first.scores(), &second.scores()) })
}

/// Compares the scores of two programs on the same examples, in the same order. Scores beyond the
/// shorter list are left out.
pub fn paired(first: &[f64], second: &[f64]) -> Comparison {
    let pairs = || first.iter().zip(second).map(|(a, b)| (*a, *b));
    let differences: Vec<f64> = pairs().map(|(a, b)| b - a).collect();
    let wins = differences.iter().filter(|d| **d > 0.0).count();
    let losses = differences.iter().filter(|d| **d < 0.0).count();
    let all: Vec<f64> = pairs().flat_map(|(a, b)| [a, b]).collect();
    let (test, p_value) = if stats::is_binary(&all) {
        (Test::McNemar, stats::mcnemar(wins, losses))
    } else {
        (Test::Permutation, stats::sign_flip(&differences))
    };
    Comparison {
        n: differences.len(),
        first: stats::mean(first),
        second: stats::mean(second),
        difference: stats::mean(&differences),
        ci: stats::bootstrap(&differences),
        p_value,
        test,
        wins,
        losses,
        ties: differences.len() - wins - losses,
        percent: all.iter().all(|s| (0.0..=1.0).contains(s)),
    }
}

fn check(first: &Evaluation, second: &Evaluation) -> Result<()> {
    for evaluation in [first, second] {
        if let Some(why) = &evaluation.stopped {
            return Err(Error::Data(format!(
                "an evaluation that stopped after {} of {} examples ({why}) cannot be compared; \
                 run it to its end",
                evaluation.rows.len(),
                evaluation.data.len()
            )));
        }
    }
    let (a, b) = (&first.data, &second.data);
    if a.len() != b.len() {
        return Err(Error::Data(format!(
            "cannot compare: {} has {} examples and {} has {}; evaluate both on the same data",
            a.name(),
            a.len(),
            b.name(),
            b.len()
        )));
    }
    match difference(a, b) {
        None => Ok(()),
        Some(at) => Err(Error::Data(format!(
            "cannot compare: example {} of {} is not that of {}; evaluate both on the same data",
            at + 1,
            a.name(),
            b.name()
        ))),
    }
}

/// The first place where the examples differ.
fn difference(a: &Dataset, b: &Dataset) -> Option<usize> {
    let within = |a: &Example, b: &Example| {
        a.fields.iter().all(|(_, value)| b.fields.iter().any(|(_, other)| value == other))
    };
    let same = |a: &Example, b: &Example| a == b || (within(a, b) && within(b, a));
    a.iter().zip(b.iter()).position(|(a, b)| !same(a, b))
}

impl fmt::Display for Comparison {
    /// One line: `31.0% → 44.5% (+13.5, 95% CI +6.1 to +20.8), p = 0.002, …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = if self.percent { "%" } else { "" };
        let point = |v| points(v, self.percent);
        let signed = |v: f64| format!("{}{}", if v < 0.0 { "" } else { "+" }, point(v));
        let test = self.test.name();
        let p = if self.p_value < 0.001 {
            "p < 0.001".into()
        } else {
            format!("p = {:.3}", self.p_value)
        };
        write!(
            f,
            "{}{unit} → {}{unit} ({}, 95% CI {} to {}), {p} ({test}); {} better, {} worse, {} equal",
            point(self.first),
            point(self.second),
            signed(self.difference),
            signed(self.ci.low),
            signed(self.ci.high),
            self.wins,
            self.losses,
            self.ties
        )
    }
}
