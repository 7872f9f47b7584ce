//! What is wrong with a signature text, shown with a caret.

use std::fmt::{self, Display, Formatter};
use std::ops::Range;

/// A mistake in a signature or type. Its `Display` shows the line with carets under the mistake.
///
/// ```
/// use teleprompt_core::Signature;
/// let error = "question -> answer: strr".parse::<Signature>().unwrap_err();
/// assert!(error.to_string().contains("^^^^"));
/// assert!(error.to_string().contains("did you mean `str`?"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureError {
    /// The text that was read; empty if the signature did not come from text.
    pub text: String,
    /// Where in it, in bytes.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What was expected instead or what to do; may be empty.
    pub help: String,
}

impl SignatureError {
    pub(super) fn new(message: impl Into<String>, span: Range<usize>) -> Self {
        Self { text: String::new(), span, message: message.into(), help: String::new() }
    }

    /// An error without a text to point at.
    pub(crate) fn plain(message: impl Into<String>) -> Self {
        Self::new(message, 0..0)
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    pub(super) fn of(mut self, text: &str) -> Self {
        self.text = text.to_owned();
        self
    }

    /// The line of the mistake, and the column range in it, in characters.
    fn place(&self) -> (&str, usize, usize) {
        let start = self.span.start.min(self.text.len());
        let head = self.text.get(..start).unwrap_or("");
        let line_start = head.rfind('\n').map_or(0, |i| i + 1);
        let rest = self.text.get(line_start..).unwrap_or("");
        let line = rest.lines().next().unwrap_or("");
        let column = self.text.get(line_start..start).unwrap_or("").chars().count();
        let marked = self.text.get(start..self.span.end.min(self.text.len())).unwrap_or("");
        let width = marked.lines().next().unwrap_or("").chars().count().max(1);
        (line, column, width)
    }
}

impl Display for SignatureError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        if !self.text.is_empty() {
            let (line, column, width) = self.place();
            // A tab stays a tab, so that the carets stand under the mistake.
            let pad: String =
                line.chars().take(column).map(|c| if c == '\t' { c } else { ' ' }).collect();
            write!(f, "\n  {line}\n  {pad}{}", "^".repeat(width))?;
        }
        if !self.help.is_empty() {
            write!(f, "\n  {}", self.help)?;
        }
        Ok(())
    }
}

impl std::error::Error for SignatureError {}
