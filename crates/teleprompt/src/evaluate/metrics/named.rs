//! A name for a metric that has none.

use teleprompt_core::{Context, Example, Metric, MetricHandle, Prediction, Result, Score};

/// A metric under a name of its own: for closures, which have none. The name stands in reports, and
/// studies know the metric by it: a closure that changes is not noticed, a name that changes is. So
/// change the name with the closure.
///
/// ```
/// use teleprompt::prelude::*;
///
/// let polite = metric::named("polite, version 2", |_: &Example, prediction: &Prediction| {
///     prediction.str("answer").is_some_and(|answer| answer.contains("please"))
/// });
/// # use teleprompt::Metric;
/// assert_eq!(polite.name(), "polite, version 2");
/// ```
pub fn named(name: impl Into<String>, metric: impl Metric) -> MetricHandle {
    MetricHandle::new(Named { name: name.into(), metric })
}

struct Named<M> {
    name: String,
    metric: M,
}

impl<M: Metric> Metric for Named<M> {
    async fn score(&self, cx: &Context, e: &Example, p: &Prediction) -> Result<Score> {
        self.metric.score(cx, e, p).await
    }
    fn name(&self) -> String {
        self.name.clone()
    }
    fn fingerprint(&self) -> String {
        format!("{} ({})", self.name, self.metric.fingerprint())
    }
}
