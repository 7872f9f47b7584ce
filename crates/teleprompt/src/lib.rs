//! Teleprompt, a compiler for language-model programs.

pub use teleprompt_core::*;

pub mod adapter;
pub mod data;
pub mod evaluate;
pub mod lm;
pub mod module;
pub mod optimize;
pub mod parse;
pub mod pipeline;
pub mod store;
