//! Teleprompt, a compiler for language-model programs.
//!
//! Declare *what* each step must do (a [`Signature`](struct@Signature)), compose steps in ordinary Rust
//! ([`module`]), give a few examples and a metric ([`evaluate`]), and let a compiler
//! ([`optimize`]) find the demonstrations that make the program good on the language model you
//! have ([`lm`]), which may be a small one inside your own binary.
//!
//! ```
//! use teleprompt::prelude::*;
//!
//! # async fn run() -> Result<()> {
//! let cx = teleprompt::connect("local:smollm2-135m").await?; // or "openai:gpt-5-mini"
//! let math = Predict::of("question -> answer: int")?;
//! let prediction = math.call(&cx, record! { question: "6 × 7?" }).await?;
//! println!("{}", prediction["answer"]);
//! # Ok(())
//! # }
//! ```

// The derives write `::teleprompt`, also in the modules of this crate.
extern crate self as teleprompt;

pub use schemars;
pub use serde;
pub use teleprompt_core::*;
pub use teleprompt_macros::{Module, Signature};
pub use typed::{Date, Dynamic, Io, TypedSignature, WithReasoning};

pub mod adapter;
#[cfg(feature = "cli")]
pub mod cli;
pub mod data;
pub mod dirs;
pub mod evaluate;
mod files;
pub mod lm;
pub mod module;
pub mod optimize;
pub mod parse;
pub mod pipeline;
pub mod saved;
pub mod store;
pub mod typed;

/// What most programs import.
pub mod prelude {
    pub use crate::data::Dataset;
    pub use crate::evaluate::{Evaluate, metrics as metric};
    pub use crate::module::{ChainOfThought, Predict, Tuned};
    pub use crate::optimize::Optimizer;
    pub use crate::typed::{Dynamic, TypedSignature, WithReasoning};
    pub use teleprompt_core::{
        Context, Error, Example, Lm, LmHandle, Metric, Module, Prediction, Predictors, Program,
        Record, Result, Score, Signature, record,
    };
    pub use teleprompt_macros::{Module, Signature};
}

/// A context for the LM of this name, with the chat adapter.
///
/// Names: `local:smollm2-135m`, `local:FILE.gguf` (feature `local`), `openai:MODEL`,
/// `anthropic:MODEL` and other providers, `vllm:MODEL@http://HOST:PORT/v1`, `A | B`; see
/// [`lm::Registry`].
///
/// # Errors
/// The name is wrong, or the model cannot be had.
pub async fn connect(name: &str) -> Result<Context> {
    let lm = lm::Registry::default().connect(name).await?;
    Ok(Context::new(lm, std::sync::Arc::new(adapter::ChatAdapter)))
}

#[doc(hidden)]
pub mod __private {
    pub use crate::typed::resolve::signature;
}
