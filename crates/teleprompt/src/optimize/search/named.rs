//! Settings by name: an enum whose variants have defaults for all they hold.

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::{Value, json};

/// Reads an externally tagged enum so that a bare name stands for a variant with its defaults:
/// `"wilcoxon"` as well as `{"wilcoxon": {"alpha": 0.1}}`.
pub(in crate::optimize) fn named<'de, D, T>(
    deserializer: D,
    derived: fn(Value) -> Result<T, serde_json::Error>,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
{
    let value = Value::deserialize(deserializer)?;
    let read = derived(value.clone());
    let read = match (read, value) {
        // The first error names the variants there are.
        (Err(error), Value::String(name)) => derived(json!({ name: {} })).map_err(|_| error),
        (read, _) => read,
    };
    read.map_err(D::Error::custom)
}
