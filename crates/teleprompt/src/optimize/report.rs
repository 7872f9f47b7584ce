//! What a compile found, as facts.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use teleprompt_core::Usage;

use super::study::ScoredRow;
use crate::evaluate::stats;

/// How one program did on the examples that the search never saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Side {
    /// Mean score; higher is better.
    pub score: f64,
    /// 95% confidence interval of the score.
    pub ci: (f64, f64),
    /// Number of examples.
    pub n: usize,
    /// Examples that failed (they score 0).
    pub failed: usize,
    /// The first failure, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_error: Option<String>,
    /// How the candidate was made.
    pub origin: String,
}

impl Side {
    pub(super) fn of(origin: &str, rows: &[ScoredRow]) -> Self {
        let scores: Vec<f64> = rows.iter().map(|r| r.score).collect();
        let mut errors = rows.iter().filter_map(|r| r.error.clone());
        let failed = errors.clone().count();
        let interval = stats::interval(&scores);
        Self {
            score: stats::mean(&scores),
            ci: (interval.low, interval.high),
            n: rows.len(),
            failed,
            first_error: errors.next(),
            origin: origin.to_owned(),
        }
    }
}

/// The result of a compile: the program as written beside the winner, on the same examples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// The optimizer's name.
    pub optimizer: String,
    /// Its settings.
    pub settings: Value,
    /// The metric's name.
    pub metric: String,
    /// `test`, or `held-back` where no test examples were given and some were set aside.
    pub split: String,
    /// The program as written.
    pub baseline: Side,
    /// The candidate that the search chose.
    pub winner: Side,
    /// Mean difference, winner minus baseline.
    pub difference: f64,
    /// 95% confidence interval of the difference.
    pub difference_ci: (f64, f64),
    /// Two-sided p-value of the paired test that both are equally good.
    pub p_value: f64,
    /// The test.
    pub test: String,
    /// What the whole study used, all sessions and both evaluations included.
    #[serde(flatten)]
    pub usage: Usage,
    /// Time of all sessions together.
    pub seconds: f64,
    /// The study's name.
    pub study: String,
    /// Why the search ended early, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

/// The cost in words.
fn price_text(usage: &Usage) -> String {
    match usage.total_cost() {
        None if usage.priced_calls == 0 => "price unknown".to_owned(),
        _ => usage.cost_text(),
    }
}

fn percent(x: f64) -> String {
    format!("{:5.1}", 100.0 * x)
}

fn side(f: &mut fmt::Formatter<'_>, name: &str, side: &Side) -> fmt::Result {
    let (low, high) = side.ci;
    let (score, low, high) = (percent(side.score), percent(low), percent(high));
    write!(f, "{name:<12} {score}%  95% CI {low} to {high}   n = {}", side.n)?;
    if side.failed > 0 {
        write!(f, "   {} failed", side.failed)?;
    }
    writeln!(f, "   ({})", side.origin)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} by {}, {} split", self.optimizer, self.metric, self.split)?;
        side(f, "as written", &self.baseline)?;
        side(f, "compiled", &self.winner)?;
        let (low, high) = self.difference_ci;
        writeln!(
            f,
            "difference  {:+6.1} points, 95% CI {:+.1} to {:+.1}   p = {}   ({})",
            100.0 * self.difference,
            100.0 * low,
            100.0 * high,
            p_text(self.p_value),
            self.test
        )?;
        write!(
            f,
            "cost         {} LM calls ({} from the cache), {} + {} tokens, {}, {:.0} s",
            self.usage.calls,
            self.usage.cache_hits,
            self.usage.prompt_tokens,
            self.usage.completion_tokens,
            price_text(&self.usage),
            self.seconds
        )?;
        if let Some(why) = &self.stopped {
            write!(f, "\nthe search ended early: {why}")?;
        }
        if let Some(error) = &self.winner.first_error {
            write!(f, "\nthe first failure: {}", error.lines().next().unwrap_or(""))?;
        }
        Ok(())
    }
}

fn p_text(p: f64) -> String {
    if p < 0.0001 { "below 0.0001".into() } else { format!("{p:.4}") }
}
