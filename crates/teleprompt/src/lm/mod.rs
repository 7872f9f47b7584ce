//! Language models: providers, the layers around them, and the names they go by.
//!
//! [`connect`] turns a name such as `openai:gpt-5-mini` into an LM with the usual layers around it:
//!
//! ```text
//! Cached      answers what was asked before, from memory or disk
//!   Retry     repeats what failed in passing
//!     OpenAi  speaks to the server
//! ```
//!
//! A layer is a type that wraps an [`Lm`](teleprompt_core::Lm) and is one; stack them as you like.
//! The stack prints itself through [`Lm::describe`](teleprompt_core::Lm::describe).

pub mod cache;
pub(crate) mod client;
mod embed;
mod endpoint;
pub(crate) mod http;
pub mod jobs;
mod key;
#[cfg(feature = "local")]
mod local;
pub mod openai;
mod rate;
mod refusal;
pub mod registry;
pub mod retry;
mod sse;
pub(crate) mod wire;

pub use cache::{CacheConfig, CacheUse, Cached};
pub use embed::{EmbedConfig, RemoteEmbedder};
pub use endpoint::{DialectOptions, Endpoint, Timeouts};
pub use key::KeySource;
pub use openai::{OpenAi, OpenAiConfig};
pub use registry::{CacheMode, ConnectOptions, DEFAULT_LM, LmTarget, Registry, connect};
pub use retry::{Retry, RetryConfig};
