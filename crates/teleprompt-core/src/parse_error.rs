//! Why a reply could not be read, told twice: for people and for the LM.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// What is wrong with one field of a reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The field, with a path inside it where the mistake is deeper: `people[1].age`.
    pub field: String,
    /// What is wrong, in one clause.
    pub problem: String,
    /// What the type asks for, in the words of the prompt.
    pub expected: String,
}

/// A reply that does not fit the signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ParseError {
    /// What is wrong, field by field; never empty.
    pub fields: Vec<FieldError>,
    /// The reply.
    pub reply: Arc<str>,
}

impl ParseError {
    /// An error of these fields.
    pub fn new(fields: Vec<FieldError>, reply: impl Into<Arc<str>>) -> Self {
        Self { fields, reply: reply.into() }
    }

    /// The error as a message to the LM: what to mend, in few words. The adapter adds the form.
    pub fn for_model(&self) -> String {
        let line =
            |e: &FieldError| format!("- {}: {}. Expected {}.", e.field, e.problem, e.expected);
        let lines: Vec<_> = self.fields.iter().map(line).collect();
        format!("Your reply could not be used:\n{}", lines.join("\n"))
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the reply does not fit the signature")?;
        for e in &self.fields {
            write!(f, "\n  {}: {} (expected {})", e.field, e.problem, e.expected)?;
        }
        write!(f, "\n  reply: {}", crate::error::beginning(&self.reply))
    }
}

impl std::error::Error for ParseError {}
