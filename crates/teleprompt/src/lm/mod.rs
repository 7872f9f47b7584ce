//! Language models: providers, the layers around them, and the names they go by.
//!
//! [`connect`] turns a name such as `openai:gpt-5-mini` into an LM with the usual layers around it:
//!
//! ```text
//! Cached      answers what was asked before, from memory or disk
//!   Retry     repeats what failed in passing
//!     Remote  speaks to the server, in whichever protocol it has
//! ```
//!
//! A layer is a type that wraps an [`Lm`](teleprompt_core::Lm) and is one; stack them as you like.
//! The stack prints itself through [`Lm::describe`](teleprompt_core::Lm::describe).

pub mod cache;
pub(crate) mod client;
pub mod config;
mod embed;
mod endpoint;
#[cfg(feature = "genai")]
mod genai;
pub(crate) mod http;
pub mod jobs;
mod key;
#[cfg(feature = "local")]
mod local;
mod providers;
mod rate;
mod refusal;
pub mod registry;
mod remote;
pub mod retry;
mod sse;
pub(crate) mod wire;

pub use cache::{CacheConfig, CacheUse, Cached};
pub use config::Config;
pub use embed::{EmbedConfig, RemoteEmbedder};
pub use endpoint::{DialectOptions, Endpoint, Timeouts};
#[cfg(feature = "genai")]
pub use genai::{Cloud, GenAi};
pub use key::KeySource;
pub use providers::{Origin, ProviderInfo};
pub use registry::{CacheMode, ConnectOptions, DEFAULT_LM, LmTarget, Registry, connect};
pub use remote::Remote;
pub use retry::{Retry, RetryConfig};
