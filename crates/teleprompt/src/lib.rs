//! Teleprompt, a compiler for language-model programs.

// The derives write `::teleprompt`, also in the modules of this crate.
extern crate self as teleprompt;

pub use schemars;
pub use serde;
pub use teleprompt_core::*;
pub use teleprompt_macros::{Module, Signature};
pub use typed::{Date, Dynamic, Io, TypedSignature, WithReasoning};

pub mod adapter;
pub mod data;
pub mod evaluate;
pub mod lm;
pub mod module;
pub mod optimize;
pub mod parse;
pub mod pipeline;
pub mod store;
pub mod typed;

#[doc(hidden)]
pub mod __private {
    pub use crate::typed::resolve::signature;
}
