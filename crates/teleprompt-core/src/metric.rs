//! Metrics: example and prediction to a score.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::Result;
use crate::example::Example;
use crate::prediction::Prediction;

/// How good a prediction is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Higher is better; usually from 0 to 1.
    pub value: f64,
    /// What was good or bad, in words, for optimizers that reflect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback: Option<String>,
    /// Feedback on single predictors, by path, for metrics that look at the trace.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by_predictor: BTreeMap<Arc<str>, String>,
    /// Further objectives by name, each higher is better, for optimizers that keep a Pareto front.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub objectives: BTreeMap<Arc<str>, f64>,
}

impl Score {
    /// With feedback in words.
    #[must_use]
    pub fn with_feedback(mut self, feedback: impl Into<String>) -> Self {
        self.feedback = Some(feedback.into());
        self
    }

    /// With feedback on one predictor.
    #[must_use]
    pub fn with_feedback_on(
        mut self,
        path: impl Into<Arc<str>>,
        feedback: impl Into<String>,
    ) -> Self {
        self.by_predictor.insert(path.into(), feedback.into());
        self
    }

    /// With a further objective; higher is better.
    #[must_use]
    pub fn with_objective(mut self, name: impl Into<Arc<str>>, value: f64) -> Self {
        self.objectives.insert(name.into(), value);
        self
    }
}

impl From<f64> for Score {
    fn from(value: f64) -> Self {
        Self { value, ..Self::default() }
    }
}

impl From<bool> for Score {
    fn from(good: bool) -> Self {
        f64::from(u8::from(good)).into()
    }
}

/// Scores a prediction against an example.
///
/// Any `Fn(&Example, &Prediction) -> bool` (or `f64`, or [`Score`]) is a metric. Implement the
/// trait where a metric calls LMs itself: it gets the context, and its calls are counted.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a metric",
    note = "a metric is a closure `|example: &Example, prediction: &Prediction| …` that returns \
            bool, f64 or Score, or a type that implements `Metric`"
)]
pub trait Metric: Send + Sync + 'static {
    /// The score of one prediction; higher is better. In a compile's runs on train examples,
    /// `cx.trace()` holds the predictor calls of the run; in evaluations there is none.
    ///
    /// # Errors
    /// The prediction or the example is not what the metric can judge. An evaluation keeps the
    /// prediction and counts the example as failed.
    fn score(
        &self,
        cx: &Context,
        example: &Example,
        prediction: &Prediction,
    ) -> impl Future<Output = Result<Score>> + Send;

    /// Its name in reports and journals. Default: `metric`.
    fn name(&self) -> String {
        "metric".into()
    }

    /// What tells its scores from another metric's: a study of a compile goes on only while it stays
    /// the same. Tell here what the scores depend on besides example and prediction: settings, a
    /// version of the code. Default: the name.
    fn fingerprint(&self) -> String {
        self.name()
    }
}

impl<F, S> Metric for F
where
    F: Fn(&Example, &Prediction) -> S + Send + Sync + 'static,
    S: Into<Score>,
{
    async fn score(
        &self,
        _: &Context,
        example: &Example,
        prediction: &Prediction,
    ) -> Result<Score> {
        Ok(self(example, prediction).into())
    }
}

trait ErasedMetric: Send + Sync {
    fn score<'a>(
        &'a self,
        cx: &'a Context,
        example: &'a Example,
        prediction: &'a Prediction,
    ) -> BoxFuture<'a, Result<Score>>;
    fn name(&self) -> String;
    fn fingerprint(&self) -> String;
}

impl<M: Metric> ErasedMetric for M {
    fn score<'a>(
        &'a self,
        cx: &'a Context,
        example: &'a Example,
        prediction: &'a Prediction,
    ) -> BoxFuture<'a, Result<Score>> {
        Box::pin(Metric::score(self, cx, example, prediction))
    }
    fn name(&self) -> String {
        Metric::name(self)
    }
    fn fingerprint(&self) -> String {
        Metric::fingerprint(self)
    }
}

/// Any metric, shared. Cloning is cheap.
#[derive(Clone)]
pub struct MetricHandle(Arc<dyn ErasedMetric>);

impl MetricHandle {
    /// Holds a metric.
    pub fn new(metric: impl Metric) -> Self {
        Self(Arc::new(metric))
    }
}

impl Metric for MetricHandle {
    async fn score(
        &self,
        cx: &Context,
        example: &Example,
        prediction: &Prediction,
    ) -> Result<Score> {
        self.0.score(cx, example, prediction).await
    }
    fn name(&self) -> String {
        self.0.name()
    }
    fn fingerprint(&self) -> String {
        self.0.fingerprint()
    }
}
