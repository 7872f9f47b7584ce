//! Scores of outputs that no run gave.

use teleprompt_core::{Example, Limits, Metric, Prediction, Record, Result};

use super::Task;
use crate::optimize::study::{Event, Judged};

impl Task<'_> {
    /// What the metric would say of these outputs for this example, as if a run had given them; higher
    /// is better. It is journaled, so that a metric that calls LMs itself is paid once, and counted as
    /// the metric's. What the metric cannot score has 0. The metric sees no trace.
    ///
    /// # Errors
    /// A fatal error of the metric, the budget or the journal, or a stop condition.
    pub async fn judge(&self, example: &Example, outputs: &Record) -> Result<f64> {
        let key = self.judge_key(example, outputs);
        if let Some(known) = self.study.judged(&key) {
            return Ok(known.score);
        }
        self.standing.check()?;
        let cx = self.cx.detached().with_limits(Limits::default());
        let scored = self.metric.score(&cx, example, &Prediction::new(outputs.clone())).await;
        let (score, error) = match scored {
            Ok(score) if score.value.is_finite() => (score.value, None),
            Ok(score) => (0.0, Some(format!("{} is no score", score.value))),
            Err(error) if error.is_fatal() => return Err(error),
            Err(error) => (0.0, Some(error.to_string())),
        };
        let judged = Judged { score, error, usage: cx.meter().usage() };
        self.study.record(Event::Judged { key, judged, inherited: false })?;
        Ok(score)
    }
}
