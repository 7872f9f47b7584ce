//! What a study is about, so that it never goes on over something else.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of the journal's format that this version writes, and the only one it goes on with.
pub const FORMAT: u32 = 2;

/// A data set in an [`Identity`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Number of examples.
    pub n: usize,
    /// Hash of their content, in order.
    pub hash: String,
}

/// Everything that the results of a study depend on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The version of the journal's format: [`FORMAT`].
    pub format: u32,
    /// The program: its predictors' signatures and parameters, and its wiring.
    pub program: Value,
    /// The teacher, where it is another program.
    pub teacher: Value,
    /// The train, validation and test examples.
    pub train: Source,
    /// What candidates are chosen by.
    pub val: Source,
    /// What the result is measured on.
    pub test: Source,
    /// The metric's fingerprint: its name, and what else it tells itself apart by.
    pub metric: String,
    /// The LMs, those that parameters name included, embedding models, adapter and sampling settings.
    pub lm: Value,
    /// The optimizer with its settings.
    pub optimizer: Value,
    /// The seed.
    pub seed: u64,
}

impl Identity {
    /// One line for each thing that is not the same, old and new.
    pub fn differences(&self, new: &Identity) -> Vec<String> {
        let mut out = Vec::new();
        let (Ok(Value::Object(old)), Ok(Value::Object(new))) =
            (serde_json::to_value(self), serde_json::to_value(new))
        else {
            return vec!["the identity cannot be compared".into()];
        };
        for (name, before) in &old {
            let after = new.get(name).unwrap_or(&Value::Null);
            differ(name, before, after, &mut out);
        }
        out
    }

    /// A short hash, for the name of a study that was given none.
    pub fn short_hash(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        blake3::hash(&json).to_hex().get(..10).unwrap_or_default().to_owned()
    }
}

/// Goes into objects, so that the line names the part that changed.
fn differ(name: &str, before: &Value, after: &Value, out: &mut Vec<String>) {
    if before == after {
        return;
    }
    let (Value::Object(a), Value::Object(b)) = (before, after) else {
        return out.push(format!("{name}: was {}, now {}", short(before), short(after)));
    };
    if let (Some(n), Some(m), true) = (a.get("n"), b.get("n"), a.contains_key("hash")) {
        let what = if n == m { "other content" } else { "other examples" };
        return out.push(format!("{name} data: {what} (was {n} examples, now {m})"));
    }
    let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let get =
            |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or(Value::Null);
        differ(&format!("{name}.{key}"), &get(a), &get(b), out);
    }
}

fn short(value: &Value) -> String {
    let text = match value {
        Value::Null => return "nothing".into(),
        Value::String(s) => format!("`{s}`"),
        other => other.to_string(),
    };
    let mut short: String = text.chars().take(160).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
