//! The places where a number of a rule makes a difference.

use std::sync::Arc;

use teleprompt_core::{Evidence, Labels, Rule};

/// Most values tried for one number.
const MOST: usize = 40;

/// Weights tried, whatever the evidence.
const WEIGHTS: (f64, f64) = (1e-3, 1e3);

/// How far beyond the outermost rows a weight is tried, as a factor.
const BEYOND: f64 = 4.0;

/// A value for one number of a rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spot {
    pub at: f64,
    /// How far it could be moved without a change: for weights, as a logarithm of a factor.
    pub gap: f64,
}

/// All rules that differ from this one in one number and decide some row otherwise: a threshold or
/// cut halfway between two neighbouring rows, or a label's weight halfway, by factors, between two
/// that make rows change sides. Of each number at most 40, taken at quantiles; values are short
/// decimals where the gap admits them. Cuts stay in order; weights from 1/1000 to 1000.
///
/// ```
/// use teleprompt::optimize::propose::decide::candidates;
/// use teleprompt::{Evidence, Kind, Labels, Rule};
/// let row = |p: f64| Evidence {
///     said: true.into(),
///     labels: [("true".into(), p), ("false".into(), 1.0 - p)].into(),
/// };
/// let labels = Labels::of(&Kind::Bool.into()).unwrap();
/// let found = candidates(&Rule::Threshold(0.5), &labels, &[row(0.25), row(0.75)]);
/// assert_eq!(found, [0.1, 0.5, 0.9].map(Rule::Threshold));
/// ```
pub fn candidates(rule: &Rule, labels: &Labels, rows: &[Evidence]) -> Vec<Rule> {
    let known: Vec<Vec<f64>> = rows.iter().filter_map(|e| labels.probabilities(e)).collect();
    let known: Vec<&[f64]> = known.iter().map(Vec::as_slice).collect();
    let at = |number: usize| {
        let spots = spots(rule, number, labels, &known);
        spots.into_iter().map(move |spot| with(rule, number, labels, spot.at))
    };
    (0..numbers(rule, labels)).flat_map(at).collect()
}

/// How many numbers a rule has.
pub(super) fn numbers(rule: &Rule, labels: &Labels) -> usize {
    match rule {
        Rule::Threshold(_) => 1,
        Rule::Weights(_) => labels.values().len(),
        Rule::Cuts(cuts) => cuts.len(),
    }
}

/// The rule with another value for one of its numbers.
pub(super) fn with(rule: &Rule, number: usize, labels: &Labels, at: f64) -> Rule {
    let mut rule = rule.clone();
    match &mut rule {
        Rule::Threshold(threshold) => *threshold = at,
        Rule::Weights(weights) => {
            weights.extend(labels.texts().get(number).map(|label| (label.clone(), at)));
        }
        Rule::Cuts(cuts) => cuts.iter_mut().skip(number).take(1).for_each(|cut| *cut = at),
    }
    rule
}

/// Values for one number that make a difference to these rows.
pub(super) fn spots(rule: &Rule, number: usize, labels: &Labels, rows: &[&[f64]]) -> Vec<Spot> {
    let spots = match rule {
        Rule::Threshold(_) => {
            between(rows.iter().filter_map(|p| p.get(1).copied()).collect(), 0.0, 1.0)
        }
        Rule::Cuts(cuts) => {
            let below = number.checked_sub(1).and_then(|i| cuts.get(i)).copied();
            let above = cuts.get(number + 1).copied();
            let highest = labels.values().len().saturating_sub(1) as f64;
            let expected = rows.iter().map(|p| expected(p)).collect();
            between(expected, below.unwrap_or(0.0), above.unwrap_or(highest))
        }
        Rule::Weights(weights) => {
            let of = |label: &Arc<str>| weights.get(label).copied().unwrap_or(1.0);
            let weights: Vec<f64> = labels.texts().iter().map(of).collect();
            let flips = rows.iter().filter_map(|p| {
                let (_, rival) = rival(p, &weights, number, None)?;
                Some(rival / p.get(number)?)
            });
            around(flips.filter(|f| f.is_finite() && *f > 0.0).collect())
        }
    };
    thinned(spots)
}

fn expected(p: &[f64]) -> f64 {
    p.iter().enumerate().map(|(i, p)| i as f64 * p).sum()
}

/// The label that would be chosen but for this one, with its product of probability and weight.
pub(super) fn rival(
    p: &[f64],
    weights: &[f64],
    number: usize,
    said: Option<usize>,
) -> Option<(usize, f64)> {
    let mut best: Option<(usize, f64)> = None;
    for (i, (p, weight)) in p.iter().zip(weights).enumerate().filter(|(i, _)| *i != number) {
        let product = p * weight;
        if best.is_none_or(|(_, b)| product > b || (product == b && said == Some(i))) {
            best = Some((i, product));
        }
    }
    best
}

/// Sorted, each once.
fn distinct(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values.dedup();
    values
}

/// One value in each gap between neighbours, and to the bounds.
fn between(values: Vec<f64>, low: f64, high: f64) -> Vec<Spot> {
    let inside: Vec<f64> = values.into_iter().filter(|v| (low..=high).contains(v)).collect();
    // What is at the bound itself is reached only by a value at the bound.
    let at_bound = inside.contains(&low).then_some(Spot { at: low, gap: 0.0 });
    let ends = [low, high].into_iter().filter(|_| low <= high);
    let points = distinct(inside.into_iter().chain(ends).collect());
    let gaps = points.iter().zip(points.iter().skip(1));
    let spot = |(a, b): (&f64, &f64)| Spot { at: short(*a, *b, (a + b) / 2.0), gap: b - a };
    at_bound.into_iter().chain(gaps.map(spot)).collect()
}

/// One weight in each gap between neighbours, and one beyond each end.
fn around(flips: Vec<f64>) -> Vec<Spot> {
    let flips = distinct(flips);
    let (Some(first), Some(last)) = (flips.first(), flips.last()) else { return Vec::new() };
    let end = |a: f64, b: f64| Spot { at: short(a, b, (a * b).sqrt()), gap: BEYOND.ln() };
    let far = BEYOND * BEYOND;
    let gaps = flips.iter().zip(flips.iter().skip(1));
    let inner = gaps.map(|(a, b)| {
        let middle = a.sqrt() * b.sqrt();
        Spot { at: short(*a, *b, middle), gap: (b / a).ln() }
    });
    let all = [end(first / far, *first)].into_iter().chain(inner).chain([end(*last, last * far)]);
    let mut spots: Vec<Spot> =
        all.map(|s| Spot { at: s.at.clamp(WEIGHTS.0, WEIGHTS.1), ..s }).collect();
    spots.dedup_by(|a, b| a.at == b.at);
    spots
}

/// The shortest decimal inside of the gap; between neighbouring floats, the upper one.
fn short(low: f64, high: f64, middle: f64) -> f64 {
    let rounded = |digits: usize| format!("{middle:.digits$}").parse::<f64>().ok();
    let inside = |x: &f64| low < *x && *x < high;
    let decimal = (0..18).filter_map(rounded).find(inside);
    decimal.or(Some(middle).filter(inside)).unwrap_or(high)
}

/// At most [`MOST`], at quantiles.
fn thinned(spots: Vec<Spot>) -> Vec<Spot> {
    if spots.len() <= MOST {
        return spots;
    }
    let last = (spots.len() - 1) as f64;
    let place = |i: usize| (i as f64 * last / (MOST - 1) as f64).round() as usize;
    (0..MOST).filter_map(|i| spots.get(place(i)).copied()).collect()
}
