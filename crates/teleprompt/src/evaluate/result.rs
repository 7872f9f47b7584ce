//! What an evaluation gives.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};
use teleprompt_core::{Error, Money, Prediction, Result, TraceStep, Usage};

use super::stats::{self, Interval};
use crate::data::Dataset;

/// One example of an evaluation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Row {
    /// The place of the example in the data, from 0.
    pub index: usize,
    /// What the program gave; also there when only the metric failed.
    pub prediction: Option<Prediction>,
    /// The score, or the failure score.
    pub score: f64,
    /// What the metric said beside the score.
    pub feedback: Option<String>,
    /// What the metric said on single predictors, by path.
    pub by_predictor: BTreeMap<Arc<str>, String>,
    /// Further objectives of the metric, each higher is better.
    pub objectives: BTreeMap<Arc<str>, f64>,
    /// Why the program or the metric failed.
    pub error: Option<Error>,
    /// What the program's calls used, those of tasks that it spawned among them.
    pub usage: Usage,
    /// What the metric's calls used.
    pub metric_usage: Usage,
    /// How long the program ran.
    pub seconds: f64,
    /// The predictor calls, if the evaluation was to keep them.
    pub trace: Option<Vec<TraceStep>>,
}

/// The result of an evaluation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Evaluation {
    /// The mean score over all rows; failed ones count with the failure score.
    pub score: f64,
    /// How many rows failed.
    pub failed: usize,
    /// What the program's calls used, those of examples that did not finish among them.
    pub usage: Usage,
    /// What the metric's calls used, those of an LM judge.
    pub metric_usage: Usage,
    /// How long it took.
    pub seconds: f64,
    /// The finished examples, in the order of the data: all of them, unless it stopped.
    pub rows: Vec<Row>,
    /// What was evaluated on.
    pub data: Dataset,
    /// The metric's name.
    pub metric: String,
    /// Why it ended before its end, if it did.
    pub stopped: Option<Error>,
}

impl Evaluation {
    /// How many examples are finished.
    pub fn n(&self) -> usize {
        self.rows.len()
    }

    /// The scores in the order of the data.
    pub fn scores(&self) -> Vec<f64> {
        self.rows.iter().map(|r| r.score).collect()
    }

    /// The 95% confidence interval of the score: Wilson where all scores are 0 or 1, else a
    /// bootstrap ([`stats::interval`]). It is computed on every call.
    pub fn ci(&self) -> Interval {
        stats::interval(&self.scores())
    }

    /// The whole evaluation, or why there is none.
    ///
    /// # Errors
    /// What stopped it.
    pub fn complete(self) -> Result<Self> {
        match self.stopped {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }

    /// The key figures as one JSON object: `metric`, `score`, `ci` (two numbers), `n`, `failed`,
    /// `calls`, `cache_hits`, `prompt_tokens`, `completion_tokens`, `cost` in dollars, null where it
    /// is not known of all calls (of the program), `metric_calls`, `seconds`; `stopped` has the reason if it did not come to its end.
    pub fn summary(&self) -> Value {
        let ci = self.ci();
        let mut summary = json!({
            "metric": self.metric,
            "score": self.score,
            "ci": [ci.low, ci.high],
            "n": self.n(),
            "failed": self.failed,
            "calls": self.usage.calls,
            "cache_hits": self.usage.cache_hits,
            "prompt_tokens": self.usage.prompt_tokens,
            "completion_tokens": self.usage.completion_tokens,
            "cost": self.usage.total_cost(),
            "metric_calls": self.metric_usage.calls,
            "seconds": self.seconds,
        });
        if let (Some(error), Some(map)) = (&self.stopped, summary.as_object_mut()) {
            map.insert("stopped".into(), error.to_string().into());
        }
        summary
    }

    /// Whether all scores are within [0, 1], so that they are shown as percentages.
    pub(super) fn is_percent(&self) -> bool {
        self.rows.iter().all(|r| (0.0..=1.0).contains(&r.score))
    }
}

/// A score for people.
pub(super) fn points(score: f64, percent: bool) -> String {
    if percent { format!("{:.1}", 100.0 * score) } else { format!("{score:.3}") }
}

impl fmt::Display for Evaluation {
    /// One line: `exact_match:answer 44.5% (95% CI 37.8 to 51.4), n = 200, 3 failed`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = self.is_percent();
        let unit = if percent { "%" } else { "" };
        let ci = self.ci();
        write!(
            f,
            "{} {}{unit} (95% CI {} to {}), n = {}",
            self.metric,
            points(self.score, percent),
            points(ci.low, percent),
            points(ci.high, percent),
            self.n()
        )?;
        if self.failed > 0 {
            write!(f, ", {} failed", self.failed)?;
        }
        // What ran for nothing needs no price.
        if self.usage.total_cost() != Some(Money::ZERO) {
            write!(f, ", cost {}", self.usage.cost_text())?;
        }
        match &self.stopped {
            Some(why) => write!(f, " of {}; stopped: {why}", self.data.len()),
            None => Ok(()),
        }
    }
}
