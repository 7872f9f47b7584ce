//! Language models: providers, the layers around them, and the names they go by.
//!
//! [`connect`] turns a name such as `openai:gpt-5-mini` into an LM with layers around it.
//!
//! A layer is a type that wraps an [`Lm`](teleprompt_core::Lm) and is one; stack them as you like, or
//! let [`Stack`] put them in the usual order:
//!
//! | layer | what it does |
//! |---|---|
//! | [`Traced`] | a span for each call, and the last calls to look at ([`History`]) |
//! | [`Cached`] | answers what was asked before, from memory or disk |
//! | [`Fallback`] | asks the next LM where one fails |
//! | [`Balanced`] | spreads calls over servers of one model |
//! | [`Retry`] | repeats what failed in passing |
//! | [`RateLimited`] | keeps to the provider's rate limits |
//! | [`Timed`] | ends what takes too long |
//! | [`Priced`] | tells what a call cost |
//! | [`Metered`] | a budget of its own, for code that calls an LM directly |
//! | [`Recorder`], [`Replay`] | to a file and from it, for tests and demos without a model |
//! | [`from_fn`] | a layer of one's own |
//!
//! The stack prints itself through [`Lm::describe`](teleprompt_core::Lm::describe).

mod balance;
pub mod cache;
pub(crate) mod client;
pub mod config;
mod embed;
mod endpoint;
mod fallback;
pub(crate) mod forward;
mod from_fn;
#[cfg(feature = "genai")]
mod genai;
mod history;
pub(crate) mod http;
pub mod jobs;
mod key;
mod limit;
#[cfg(feature = "local")]
mod local;
mod members;
mod metered;
mod price;
mod providers;
mod rate;
mod refusal;
pub mod registry;
mod remote;
mod replay;
pub mod retry;
mod several;
mod sse;
mod stack;
mod timeout;
mod traced;
pub(crate) mod wire;

pub use balance::Balanced;
pub use cache::{CacheConfig, CacheUse, Cached};
pub use config::Config;
pub use embed::{EmbedConfig, RemoteEmbedder};
pub use endpoint::{DialectOptions, Endpoint, Timeouts};
pub use fallback::{Fallback, FallbackConfig};
pub use from_fn::{FromFn, from_fn};
#[cfg(feature = "genai")]
pub use genai::{Cloud, GenAi};
pub use history::{History, HistoryConfig, HistoryEntry, HistoryError};
pub use key::KeySource;
pub use limit::{RateLimitConfig, RateLimited};
pub use metered::Metered;
pub use price::{LongPrice, PricePerMillion, PriceTable, Priced, Tariff};
pub use providers::{Origin, ProviderInfo};
pub use registry::{
    CacheMode, ConnectOptions, DEFAULT_LM, LmTarget, ProviderLimits, Registry, connect,
};
pub use remote::Remote;
pub use replay::{Recorder, Replay};
pub use retry::{Retry, RetryConfig};
pub use stack::{Stack, StackOptions};
pub use timeout::{Timed, TimeoutConfig};
pub use traced::Traced;
