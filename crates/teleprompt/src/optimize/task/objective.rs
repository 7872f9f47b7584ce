//! What a winner is chosen by.

use serde::{Deserialize, Serialize};

/// What a winner is chosen by, among the candidates that were scored on all validation examples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// The best mean score; of equal ones the first.
    #[default]
    Quality,
    /// The cheapest whose mean score is at most `margin` below the best one. Cheap is by money, where
    /// all prices are known, else by tokens.
    Cost {
        /// Score that may be given up, in the metric's units, such as 0.02.
        margin: f64,
    },
    /// The quickest whose mean score is at most `margin` below the best one, by the mean time of a
    /// run.
    Latency {
        /// Score that may be given up, in the metric's units, such as 0.02.
        margin: f64,
    },
}

/// A candidate's means over the validation examples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Means {
    /// The score; higher is better.
    pub score: f64,
    /// Dollars a run, where all calls have a price.
    pub dollars: Option<f64>,
    /// Tokens a run.
    pub tokens: f64,
    /// Milliseconds a run.
    pub millis: f64,
}

impl Objective {
    /// The place of the winner.
    pub(super) fn choose(&self, all: &[Means]) -> Option<usize> {
        let top = all.iter().map(|m| m.score).fold(f64::NEG_INFINITY, f64::max);
        let priced = all.iter().all(|m| m.dollars.is_some());
        let (margin, spent): (f64, &dyn Fn(&Means) -> f64) = match self {
            Objective::Quality => (0.0, &|_| 0.0),
            Objective::Cost { margin } if priced => {
                (*margin, &|m: &Means| m.dollars.unwrap_or(f64::MAX))
            }
            Objective::Cost { margin } => (*margin, &|m: &Means| m.tokens),
            Objective::Latency { margin } => (*margin, &|m: &Means| m.millis),
        };
        let good = all.iter().enumerate().filter(|(_, m)| m.score >= top - margin.max(0.0) - 1e-12);
        // `min_by` keeps the first of equal ones.
        let key = |m: &Means| (spent(m), -m.score);
        let least = good.min_by(|(_, a), (_, b)| {
            let ((a, x), (b, y)) = (key(a), key(b));
            a.total_cmp(&b).then(x.total_cmp(&y))
        });
        least.map(|(place, _)| place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn means(score: f64, dollars: Option<f64>, tokens: f64, millis: f64) -> Means {
        Means { score, dollars, tokens, millis }
    }

    #[test]
    fn quality_takes_the_best_and_of_equal_ones_the_first() {
        let all =
            [means(0.5, None, 1.0, 1.0), means(0.7, None, 9.0, 9.0), means(0.7, None, 1.0, 1.0)];
        assert_eq!(Objective::Quality.choose(&all), Some(1));
        assert_eq!(Objective::Quality.choose(&[]), None);
    }

    #[test]
    fn cost_and_latency_give_up_no_more_than_the_margin() {
        let all = [
            means(0.60, Some(0.1), 10.0, 5.0),
            means(0.69, Some(0.3), 30.0, 2.0),
            means(0.70, Some(0.9), 20.0, 9.0),
        ];
        assert_eq!(Objective::Cost { margin: 0.02 }.choose(&all), Some(1));
        assert_eq!(Objective::Cost { margin: 0.2 }.choose(&all), Some(0));
        assert_eq!(Objective::Cost { margin: 0.0 }.choose(&all), Some(2));
        assert_eq!(Objective::Latency { margin: 0.02 }.choose(&all), Some(1));
        let mut unpriced = all;
        unpriced[0].dollars = None;
        assert_eq!(Objective::Cost { margin: 0.02 }.choose(&unpriced), Some(2), "by tokens");
    }
}
