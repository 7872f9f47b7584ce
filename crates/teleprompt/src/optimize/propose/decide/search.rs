//! The best value for each number of a rule in turn.

use serde_json::Value;
use teleprompt_core::{Decider, Evidence, Labels, Rule};

use super::candidates::{Spot, numbers, rival, spots, with};

/// Rounds over all numbers: later ones hardly find anything.
const ROUNDS: usize = 8;

/// Sums that differ by less differ only by rounding.
pub(super) const SAME: f64 = 1e-9;

/// What every rule would have scored: all values of all rows, scored once.
pub(super) struct Table<'l> {
    labels: &'l Labels,
    rows: Vec<Row>,
}

struct Row {
    /// In the labels' order; none where nothing is known.
    p: Option<Vec<f64>>,
    said: Option<usize>,
    /// By label.
    scores: Vec<f64>,
    /// Of what the LM said.
    as_said: f64,
}

impl<'l> Table<'l> {
    pub fn new(
        labels: &'l Labels,
        rows: &[Evidence],
        score: &dyn Fn(usize, &Value) -> f64,
    ) -> Self {
        let score = |row, value: &Value| Some(score(row, value)).filter(|s| s.is_finite());
        let row = |(i, evidence): (usize, &Evidence)| {
            let p = labels.probabilities(evidence);
            let said = labels.place(&evidence.said);
            let values = labels.values().iter().filter(|_| p.is_some());
            let scores: Vec<f64> = values.map(|v| score(i, v).unwrap_or(0.0)).collect();
            // Asked only where the table has no answer.
            let known = said.and_then(|s| scores.get(s)).copied();
            let needed = || if p.is_none() { score(i, &evidence.said) } else { None };
            let as_said = known.or_else(needed).unwrap_or(0.0);
            Row { p, said, scores, as_said }
        };
        Self { labels, rows: rows.iter().enumerate().map(row).collect() }
    }

    /// How many rows have evidence.
    pub fn known(&self) -> usize {
        self.rows.iter().filter(|row| row.p.is_some()).count()
    }

    /// The sum of scores of these rows under a rule.
    pub fn total(&self, rule: &Rule, rows: &[usize]) -> f64 {
        let Ok(decider) = Decider::new(self.labels.clone(), rule) else {
            return f64::NEG_INFINITY;
        };
        let of = |row: &Row| match &row.p {
            Some(p) => row.score(decider.choose(p, row.said)),
            None => row.as_said,
        };
        rows.iter().filter_map(|i| self.rows.get(*i)).map(of).sum()
    }

    fn known_of(&self, rows: &[usize]) -> Vec<&[f64]> {
        rows.iter().filter_map(|i| self.rows.get(*i)?.p.as_deref()).collect()
    }

    /// The totals for values of one number.
    fn totals(&self, rule: &Rule, number: usize, spots: &[Spot], rows: &[usize]) -> Vec<f64> {
        match rule {
            Rule::Weights(_) => self.weighed(rule, number, spots, rows),
            _ => {
                let at = |spot: &Spot| self.total(&with(rule, number, self.labels, spot.at), rows);
                spots.iter().map(at).collect()
            }
        }
    }

    /// The same for a label's weight, where all other labels of a row are as one: with many labels
    /// nothing else would end in time.
    fn weighed(&self, rule: &Rule, number: usize, spots: &[Spot], rows: &[usize]) -> Vec<f64> {
        let mut totals = vec![0.0; spots.len()];
        let Rule::Weights(weights) = rule else { return totals };
        let texts = self.labels.texts().iter();
        let weights: Vec<f64> = texts.map(|t| weights.get(t).copied().unwrap_or(1.0)).collect();
        for row in rows.iter().filter_map(|i| self.rows.get(*i)) {
            let best = row.p.as_ref().and_then(|p| {
                Some((rival(p, &weights, number, row.said)?, p.get(number).copied()?))
            });
            for (total, spot) in totals.iter_mut().zip(spots) {
                *total += match best {
                    None => row.as_said,
                    Some(((other, product), p)) => {
                        let ahead = p * spot.at > product;
                        row.score(if ahead { number } else { other })
                    }
                };
            }
        }
        totals
    }
}

impl Row {
    fn score(&self, place: usize) -> f64 {
        self.scores.get(place).copied().unwrap_or(0.0)
    }
}

/// The best rule on these rows and its total; `start` where none is better.
pub(super) fn best(table: &Table<'_>, rows: &[usize], start: &Rule) -> (Rule, f64) {
    let mut best = (start.clone(), table.total(start, rows));
    let known = table.known_of(rows);
    for _ in 0..ROUNDS {
        let before = best.1;
        for number in 0..numbers(start, table.labels) {
            let spots = spots(&best.0, number, table.labels, &known);
            let totals = table.totals(&best.0, number, &spots, rows);
            let Some(spot) = highest(&spots, &totals) else { continue };
            let rule = with(&best.0, number, table.labels, spot.at);
            let total = table.total(&rule, rows);
            if total > best.1 + SAME {
                best = (rule, total);
            }
        }
        if best.1 <= before {
            break;
        }
    }
    best
}

/// The spot with the highest total; of equal ones that with the widest gap, then the first.
fn highest(spots: &[Spot], totals: &[f64]) -> Option<Spot> {
    let mut best: Option<(Spot, f64)> = None;
    for (spot, total) in spots.iter().zip(totals) {
        let better = best.is_none_or(|(b, most)| {
            *total > most + SAME || (*total > most - SAME && spot.gap > b.gap)
        });
        if better {
            best = Some((*spot, *total));
        }
    }
    best.map(|(spot, _)| spot)
}
