//! Equality of structured answers.

use serde_json::Value;
use teleprompt_core::{Context, Example, Metric, MetricHandle, Prediction, Result, Score};

use super::fields::{label, output};
use super::normalize::same_number;

/// Whether answer and label are the same JSON value: texts to the letter, numbers by value, lists
/// in order, the keys of objects in any order. A text that is JSON stands for what it says.
pub fn json_equality(field: impl Into<String>) -> MetricHandle {
    MetricHandle::new(JsonEquality(field.into()))
}

struct JsonEquality(String);

impl Metric for JsonEquality {
    async fn score(&self, _: &Context, e: &Example, p: &Prediction) -> Result<Score> {
        let (label, output) = (label(&self.0, e, p)?, output(&self.0, e, p)?);
        Ok(equal(&read(label), &read(output)).into())
    }
    fn name(&self) -> String {
        format!("json_equality:{}", self.0)
    }
}

fn read(value: &Value) -> Value {
    let text = value.as_str().and_then(|text| serde_json::from_str(text).ok());
    text.unwrap_or_else(|| value.clone())
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => same_number(a, b),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| equal(v, w)))
        }
        _ => a == b,
    }
}
