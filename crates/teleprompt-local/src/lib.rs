//! The embedded language-model engine of Teleprompt: llama.cpp in this process, behind the
//! [`Lm`](teleprompt_core::Lm) contract. For programs that run small models themselves, without a
//! server and without a network.
//!
//! One type does it: [`LocalLm`]. Load it once, clone the handle, ask from any task:
//!
//! 1. [`LocalLm::load`] checks and hashes the GGUF file and starts the engine thread.
//! 2. [`Lm::generate`](teleprompt_core::Lm::generate) and
//!    [`Lm::stream`](teleprompt_core::Lm::stream) queue requests; dropping the future or stream
//!    abandons them.
//! 3. Prompts that begin alike are computed once: [`EngineConfig::slots`] of them stay in memory.
//! 4. A [`Constraint`](teleprompt_core::Constraint) is enforced token by token by llguidance, and
//!    text that it leaves no choice about is not generated but read in one step.
//!
//! Messages cannot inject control tokens: the text `<|im_end|>` in a message reaches the model as
//! that text, not as the mark that ends a turn.
//!
//! This crate knows weights and tokens, nothing of signatures.
//!
//! llama.cpp writes no log unless the environment variable `TELEPROMPT_ENGINE_LOG` is set.

mod config;
mod draft;
mod engine;
mod grammar;
mod job;
mod kernels;
mod kv;
mod local;
mod plan;
mod prompt;
mod rng;
mod sampler;
mod slots;
mod template;
mod text;
mod weights;

pub use config::{EngineConfig, KvCache};
pub use kernels::kernel_warning;
pub use local::LocalLm;
