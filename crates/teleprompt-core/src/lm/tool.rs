//! Tools as an LM sees them: what there is to call, the calls it makes, the answers it gets.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::message::Content;

/// A function that the LM may ask for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// Its name: letters, digits, `_` and `-`.
    pub name: Arc<str>,
    /// What it does and when to use it, for the LM.
    pub description: Arc<str>,
    /// JSON schema of its arguments, an object.
    pub parameters: Arc<Value>,
}

impl Tool {
    /// A tool with these parts.
    pub fn new(name: impl Into<Arc<str>>, description: impl Into<Arc<str>>, schema: Value) -> Self {
        Self { name: name.into(), description: description.into(), parameters: Arc::new(schema) }
    }
}

/// Whether the LM must use tools.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolChoice {
    /// As it sees fit.
    #[default]
    Auto,
    /// Not at all.
    None,
    /// At least one.
    Required,
    /// This one.
    Named(Arc<str>),
}

/// The LM's wish to call a tool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Tells the calls of a conversation apart; the answer carries it.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments as the LM wrote them: JSON, unless it made a mistake.
    pub arguments: String,
    /// The provider's seal over the thought behind the call, which it wants back unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

impl ToolCall {
    /// A call of this tool with arguments as JSON text.
    pub fn new(
        id: impl Into<String>,
        name: impl Into<String>,
        arguments: impl Into<String>,
    ) -> Self {
        Self { id: id.into(), name: name.into(), arguments: arguments.into(), signature: None }
    }

    /// The arguments, read; no text at all counts as no arguments.
    ///
    /// # Errors
    /// The LM wrote something that is not JSON.
    pub fn parsed(&self) -> serde_json::Result<Value> {
        match self.arguments.trim() {
            "" => Ok(Value::Object(serde_json::Map::new())),
            text => serde_json::from_str(text),
        }
    }
}

/// What a tool answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolResult {
    /// The [`ToolCall::id`] that it answers.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The answer, or what went wrong.
    pub content: Content,
    /// Whether it went wrong.
    #[serde(default)]
    pub is_error: bool,
}
