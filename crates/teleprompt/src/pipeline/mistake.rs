//! Mistakes in a pipeline file, shown with the line and a caret.

use std::ops::Range;

use teleprompt_core::{Error, SignatureError};

/// What is wrong with a piece of text, and where in it.
#[derive(Debug)]
pub(super) struct Mistake {
    /// In bytes.
    pub span: Range<usize>,
    pub message: String,
    /// What to do instead; may be empty.
    pub help: String,
}

impl Mistake {
    pub fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: String::new() }
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    /// The mistake as it looks from outside of the piece.
    pub fn within(mut self, context: &str) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }

    /// The error for people: message, the line of `text` with carets, help.
    pub fn error(self, text: &str) -> Error {
        let before = text.get(..self.span.start.min(text.len())).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        Error::Config(format!("line {line}: {}", self.show(text)))
    }

    /// Message, carets and help, without the number of the line.
    pub fn show(self, text: &str) -> String {
        let Mistake { span, message, help } = self;
        SignatureError { text: text.to_owned(), span, message, help }.to_string()
    }
}

impl From<SignatureError> for Mistake {
    fn from(error: SignatureError) -> Self {
        Self { span: error.span, message: error.message, help: error.help }
    }
}
