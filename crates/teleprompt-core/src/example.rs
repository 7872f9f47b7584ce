//! Examples: records of which some fields are inputs.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::Record;

/// A record with some fields marked as inputs; the others are labels.
///
/// ```
/// use teleprompt_core::{Example, record};
/// let example = Example::new(record! { question: "6 × 7?", answer: 42 }, ["question"]);
/// assert_eq!(example.inputs().len(), 1);
/// assert_eq!(example["answer"], 42);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// All fields.
    pub fields: Record,
    /// The names of those that a program gets.
    pub input_names: Arc<[Arc<str>]>,
}

impl Example {
    /// An example of which the named fields are inputs.
    pub fn new<N: Into<Arc<str>>>(fields: Record, inputs: impl IntoIterator<Item = N>) -> Self {
        Self { fields, input_names: inputs.into_iter().map(Into::into).collect() }
    }

    /// The inputs alone, in their order; those that are missing are left out.
    pub fn inputs(&self) -> Record {
        let value = |n: &Arc<str>| self.fields.get(n).map(|v| (n.clone(), v.clone()));
        self.input_names.iter().filter_map(value).collect()
    }

    /// The fields that are no inputs.
    pub fn labels(&self) -> Record {
        let is_label = |n: &Arc<str>| !self.input_names.contains(n);
        self.fields
            .iter()
            .filter(|(n, _)| is_label(n))
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect()
    }
}

impl std::ops::Index<&str> for Example {
    type Output = Value;
    /// The value of a field; `null` if it is not there.
    fn index(&self, name: &str) -> &Value {
        self.fields.get(name).unwrap_or(&Value::Null)
    }
}
