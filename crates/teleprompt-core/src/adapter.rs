//! The contract between signatures and chat messages.

use std::sync::Arc;

use serde_json::Value;

use crate::lm::{Constraint, Message};
use crate::parse_error::ParseError;
use crate::prediction::Parsed;
use crate::record::Record;
use crate::signature::Signature;

/// What is the same for all calls of a predictor under one set of parameters: rendered once.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Prompt {
    /// The system part and the demonstrations.
    pub messages: Arc<[Message]>,
    /// The form that replies must have, for LMs that can enforce it.
    pub constraint: Option<Arc<Constraint>>,
}

impl Prompt {
    /// A prompt from its parts.
    pub fn new(messages: Vec<Message>, constraint: Option<Constraint>) -> Self {
        Self { messages: messages.into(), constraint: constraint.map(Arc::new) }
    }
}

/// Something of an output field that has come in.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldPiece {
    /// More of its text.
    Text {
        /// The field.
        field: Arc<str>,
        /// The new text.
        text: String,
    },
    /// It is whole.
    Done {
        /// The field.
        field: Arc<str>,
        /// Its value.
        value: Value,
    },
}

/// Reads one reply while it comes in; see [`Adapter::reader`].
pub trait FieldReader: Send {
    /// Takes in the next text of the reply and tells what it brought.
    fn feed(&mut self, text: &str) -> Vec<FieldPiece>;

    /// The reply is at its end: tells what was held back.
    fn finish(&mut self) -> Vec<FieldPiece>;
}

/// Turns a signature, demonstrations and inputs into messages, and a reply into a record.
///
/// The law every adapter keeps (the conformance suite checks it): what [`Adapter::assistant`]
/// writes for a record of outputs, [`Adapter::parse`] reads back to the same record without a flag.
/// For a signature the system message is constant.
pub trait Adapter: Send + Sync + 'static {
    /// Its name on the command line, such as `chat`.
    fn name(&self) -> &'static str;

    /// The system message. The signature already carries the instructions in force.
    fn system(&self, signature: &Signature) -> String;

    /// A user turn with these inputs. Fields that are missing are left out; `null` is written.
    fn user(&self, signature: &Signature, inputs: &Record) -> String;

    /// The assistant turn that gives these outputs: in demonstrations and training data.
    fn assistant(&self, signature: &Signature, outputs: &Record) -> String;

    /// The form of all replies. Default: none.
    fn constraint(&self, signature: &Signature) -> Option<Constraint> {
        let _ = signature;
        None
    }

    /// Reads a reply.
    ///
    /// # Errors
    /// An output is missing or does not fit its type, even after all repairs.
    fn parse(&self, signature: &Signature, reply: &str) -> Result<Parsed, ParseError>;

    /// The message that asks the LM to mend a reply. Default: the error, then the form in short.
    fn complaint(&self, signature: &Signature, error: &ParseError) -> String {
        let _ = signature;
        format!("{}\nSend the whole reply again in the form shown above.", error.for_model())
    }

    /// A reader that tells the output fields of a reply while it comes in, for streaming. The law
    /// (the conformance suite checks it): however a reply is cut, if it parses without a flag then
    /// the reader gives each field's value, and the pieces of a `str` field are its value. Default:
    /// none; fields are then told when the reply is whole.
    fn reader<'a>(&'a self, signature: &'a Signature) -> Option<Box<dyn FieldReader + 'a>> {
        let _ = signature;
        None
    }

    /// The turns of a demonstration: a user's and an assistant's. They stand the same wherever the
    /// demonstration is shown, so that they can be written once and put behind any prompt; the law
    /// (the conformance suite checks it) is that [`Adapter::prompt`] shows its demonstrations so.
    fn demo(&self, signature: &Signature, demo: &Record) -> [Message; 2] {
        let user = Message::user(self.user(signature, demo));
        [user, Message::assistant(self.assistant(signature, demo))]
    }

    /// The messages before the current inputs: system part, then one pair of turns a demo.
    fn prompt(&self, signature: &Signature, demos: &[Record]) -> Prompt {
        let mut messages = Vec::with_capacity(1 + 2 * demos.len());
        messages.push(Message::system(self.system(signature)));
        messages.extend(demos.iter().flat_map(|demo| self.demo(signature, demo)));
        Prompt::new(messages, self.constraint(signature))
    }
}
