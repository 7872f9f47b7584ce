//! Typed signatures: what `#[derive(Signature)]` writes, and the types that go with it.
//!
//! ```
//! use teleprompt::{Signature, TypedSignature};
//!
//! /// Answer questions with short factoid answers.
//! #[derive(Signature)]
//! struct Answer {
//!     /// may contain relevant facts
//!     #[input]
//!     context: Vec<String>,
//!     #[input]
//!     question: String,
//!     /// often between 1 and 5 words
//!     #[output]
//!     answer: String,
//! }
//!
//! let text = r#""Answer questions with short factoid answers."
//!     context: list[str] "may contain relevant facts", question
//!     -> answer "often between 1 and 5 words""#;
//! assert_eq!(Answer::signature(), text.parse()?);
//! let input = AnswerInput { context: vec![], question: "Who wrote Emma?".into() };
//! # let _ = input;
//! # Ok::<(), teleprompt::SignatureError>(())
//! ```

mod date;
pub(crate) mod resolve;

use std::any::Any;
use std::ops::Deref;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use date::{Date, DateError};

use crate::{Record, Signature};

/// The types that a predictor takes and gives.
pub trait Io: Send + Sync + 'static {
    /// The inputs.
    type Input: Serialize + DeserializeOwned + Send + Any;
    /// The outputs.
    type Output: Serialize + DeserializeOwned + Send + Any;
    /// The outputs of chain of thought: those of [`Io::Output`] and the reasoning before them.
    type Reasoned: Serialize + DeserializeOwned + Send + Any;
}

/// A signature known when the program is compiled. `#[derive(Signature)]` writes it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no signature",
    label = "this type says neither inputs nor outputs",
    note = "put `#[derive(Signature)]` on a struct with `#[input]` and `#[output]` fields"
)]
pub trait TypedSignature: Io {
    /// The signature as a value; made at the first call, cheap afterwards.
    ///
    /// # Panics
    /// A derived one panics at its first call if a field has a type that no signature can say (a
    /// `()`, or schemars attributes such as a `regex` that is none); the message names the field.
    fn signature() -> Signature;
}

/// Inputs and outputs that are known when the program runs: [`Record`]s.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dynamic;

impl Io for Dynamic {
    type Input = Record;
    type Output = Record;
    type Reasoned = Record;
}

/// The outputs of a signature with the reasoning that led to them. Derefs to the outputs.
///
/// A signature that has a field `reasoning` itself needs none of this: chain of thought gives its
/// own outputs.
///
/// ```
/// use teleprompt::{Record, WithReasoning, record};
/// let reply = record! { reasoning: "6 × 7 is 42.", answer: 42 };
/// let typed: WithReasoning<Record> = reply.into_typed()?;
/// assert_eq!(typed.reasoning, "6 × 7 is 42.");
/// assert_eq!(typed["answer"], 42);
/// # Ok::<(), teleprompt::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WithReasoning<O> {
    /// Why the outputs are what they are.
    pub reasoning: String,
    /// The outputs.
    #[serde(flatten)]
    pub output: O,
}

impl<O> Deref for WithReasoning<O> {
    type Target = O;
    fn deref(&self) -> &O {
        &self.output
    }
}
