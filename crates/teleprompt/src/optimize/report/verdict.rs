//! Whether the winner is worth having, and in what.

use std::fmt;

use teleprompt_core::Usage;

use super::{Measured, Side, tokens};
use crate::optimize::Objective;
use crate::optimize::splits::MeasuredOn;
use crate::optimize::study::Run;

/// What the winner has over the program as written; none: nothing. It was chosen by validation
/// examples; these here only keep a candidate back that does no better.
pub(super) fn gain(
    objective: Objective,
    measured: &Measured,
    baseline: &Side,
    winner: &Side,
) -> Option<Gain> {
    let Measured { plain, tuned, .. } = measured;
    if winner.n == 0 {
        return Some(Gain::Unmeasured);
    }
    let (margin, what) = match objective {
        Objective::Quality => (None, None),
        Objective::Cost { margin } => (Some(margin), price(plain, tuned)),
        Objective::Latency { margin } => (Some(margin), Some(time(plain, tuned))),
    };
    let kept = margin.is_some_and(|margin| winner.score >= baseline.score - margin);
    match what {
        Some(what) if kept && what.after < what.before => Some(Gain::Less(what)),
        _ => (winner.score > baseline.score).then_some(Gain::Score),
    }
}

/// Why the winner is worth having.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Gain {
    /// It scores higher.
    Score,
    /// What was asked for is less, and the score is within the margin.
    Less(Spent),
    /// There is no run to tell by, only the search's word.
    Unmeasured,
}

/// What a run takes, before and after.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spent {
    before: f64,
    after: f64,
    unit: &'static str,
}

/// Dollars where all calls have a price and none came from a cache, which is free; else tokens.
fn price(plain: &[Run], tuned: &[Run]) -> Option<Spent> {
    let sum = |runs: &[Run]| {
        let mut usage = Usage::default();
        runs.iter().for_each(|run| usage += run.usage);
        (usage, runs.len().max(1) as f64)
    };
    let ((before, n), (after, m)) = (sum(plain), sum(tuned));
    let dollars = |usage: &Usage| usage.total_cost().filter(|_| usage.cache_hits == 0);
    let spent = match (dollars(&before), dollars(&after)) {
        (Some(a), Some(b)) => {
            Spent { before: a.as_dollars() / n, after: b.as_dollars() / m, unit: "dollars" }
        }
        _ => {
            let (a, b) = (tokens(&before) as f64, tokens(&after) as f64);
            Spent { before: a / n, after: b / m, unit: "tokens" }
        }
    };
    // What used nothing at all was run by somebody who does not tell.
    (spent.before > 0.0).then_some(spent)
}

fn time(plain: &[Run], tuned: &[Run]) -> Spent {
    let mean =
        |runs: &[Run]| runs.iter().map(|r| r.millis as f64).sum::<f64>() / runs.len().max(1) as f64;
    Spent { before: mean(plain), after: mean(tuned), unit: "ms" }
}

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = if self.unit == "dollars" { 6 } else { 1 };
        let Self { before, after, unit } = self;
        write!(f, "{after:.places$} {unit} a run instead of {before:.places$}")
    }
}

/// The result in a sentence.
pub(super) fn verdict(
    same: bool,
    gain: Option<Gain>,
    (measured_on, of): (MeasuredOn, usize),
    baseline: &Side,
    winner: &Side,
) -> String {
    let points = 100.0 * (winner.score - baseline.score);
    let text = match gain {
        None if same => {
            "nothing beat the program as written in the search; it is what you get".to_owned()
        }
        None => format!(
            "the winner of the search ({}) is {points:+.1} points on the program as written here, \
             which is no gain; you get the program as written",
            winner.origin
        ),
        Some(Gain::Unmeasured) if of > 0 => {
            "the winner is the best of the search, but the budget ended before it was measured \
             beside the program as written"
                .to_owned()
        }
        Some(Gain::Less(spent)) => {
            format!("the winner takes {spent}, at {points:+.1} points on the program as written")
        }
        Some(Gain::Score | Gain::Unmeasured) => {
            format!("the winner is {points:+.1} points on the program as written")
        }
    };
    match measured_on {
        _ if of == 0 => format!("{text}; there were no examples to measure it on"),
        _ if winner.n < of => format!("{text}; {} of {of} examples were measured", winner.n),
        MeasuredOn::Used => format!("{text}; on examples that were used, which proves nothing"),
        MeasuredOn::Test | MeasuredOn::HeldBack => text,
    }
}

/// The sentence with what has to be said of how much it is worth.
pub(super) fn qualified(
    verdict: String,
    p_value: f64,
    claims: bool,
    (baseline, winner): (&Side, &Side),
) -> String {
    let mut text = verdict;
    if claims && winner.n > 0 && p_value >= 0.05 {
        text.push_str(&format!(", which may be chance (p = {p_value:.2})"));
    }
    let out = baseline.outages + winner.outages;
    if out > 0 {
        text.push_str(&format!(
            "; {out} runs failed because the LM was out, which is no result: run the same command again"
        ));
    }
    text
}
