//! Getting at the fields that a metric compares.

use serde_json::Value;
use teleprompt_core::{Error, Example, Prediction, Record, Result, names};

/// The field of the example that says what is right.
pub(super) fn label<'a>(field: &str, e: &'a Example, p: &Prediction) -> Result<&'a Value> {
    e.fields.get(field).ok_or_else(|| missing(field, "example", &e.fields, p.contains(field)))
}

/// The field of the prediction that is judged.
pub(super) fn output<'a>(field: &str, e: &Example, p: &'a Prediction) -> Result<&'a Value> {
    p.get(field).ok_or_else(|| missing(field, "prediction", &p.output, e.fields.contains(field)))
}

/// A field that stands on neither side is a slip of the pen and stops an evaluation at once; one
/// that an example or prediction lacks fails that example.
fn missing(field: &str, of: &str, record: &Record, elsewhere: bool) -> Error {
    let near = names::suggestion(field, record.names());
    let message = format!("the metric compares `{field}`, which the {of} does not have{near}");
    if elsewhere { Error::Data(message) } else { Error::Config(message) }
}

/// The answers that a label accepts: a list's items, or the label itself.
pub(super) fn answers(label: &Value) -> &[Value] {
    match label {
        Value::Array(items) => items,
        one => std::slice::from_ref(one),
    }
}

/// The label as texts.
pub(super) fn text_answers<'a>(field: &str, label: &'a Value) -> Result<Vec<&'a str>> {
    let text = |v: &'a Value| v.as_str().ok_or_else(|| wrong(field, v, "is no text"));
    answers(label).iter().map(text).collect()
}

/// An error about a value of the field; it fails the example.
pub(super) fn wrong(field: &str, value: &Value, what: &str) -> Error {
    let shown: String = value.to_string().chars().take(80).collect();
    Error::Data(format!("`{field}` {what}: {shown}"))
}
