//! How to connect.

use std::path::PathBuf;
use std::sync::Arc;

use teleprompt_core::Result;

use crate::lm::cache::{self, CacheConfig};
use crate::lm::fallback::FallbackConfig;
use crate::lm::history::History;

/// Where answers are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheMode {
    /// Nowhere: equal requests are asked again.
    Off,
    /// In memory, for as long as the LM is held.
    Memory,
    /// In memory and in [`cache::default_dir`].
    #[default]
    Disk,
    /// In memory and in this folder.
    Folder(PathBuf),
}

/// How to connect.
#[derive(Clone, Debug, Default)]
pub struct ConnectOptions {
    /// Where answers are kept. Default: [`CacheMode::Disk`].
    pub cache: CacheMode,
    /// Threads of an LM that runs in the process (`local:`); others have none. Default: as many as
    /// the engine sees fit.
    pub threads: Option<u32>,
    /// Where the last calls are kept to be looked at. Default: nowhere.
    pub history: Option<History>,
    /// How much is asked of each provider. What is not given here is as its table of the
    /// configuration says. Default: nothing given.
    pub limits: ProviderLimits,
    /// When to go on to the next LM of a chain (`A | B`).
    pub fallback: FallbackConfig,
    /// Nothing on standard error: no progress of a model's pull, no warning of the cache.
    /// Default: `false`.
    pub quiet: bool,
}

/// How much is asked of a provider: of each of its LMs, and where an LM has several servers, of each
/// of them.
///
/// ```
/// use teleprompt::lm::{ConnectOptions, ProviderLimits, Registry};
///
/// let limits = ProviderLimits { max_in_flight: Some(8), retries: Some(5), ..ProviderLimits::default() };
/// let options = ConnectOptions { limits, ..ConnectOptions::default() };
/// let stack = Registry::default().describe("openai:gpt-5-mini", &options).unwrap();
/// assert!(stack.contains("retry(5) → limit(8 at once)"), "{stack}");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProviderLimits {
    /// Calls that may begin within any 60 seconds. Default: as many as the provider lets through.
    pub requests_per_minute: Option<u32>,
    /// Tokens, of prompts and completions, of the calls that begin within any 60 seconds. Default:
    /// as many as the provider lets through.
    pub tokens_per_minute: Option<u64>,
    /// Calls at the same time, at least 1. Default: no limit.
    pub max_in_flight: Option<usize>,
    /// Most further attempts of a call that failed in passing. Default: that of
    /// [`RetryConfig::retries`](crate::lm::RetryConfig::retries).
    pub retries: Option<u32>,
}

impl ProviderLimits {
    /// These where given, else those of `base`.
    pub(super) fn or(self, base: Self) -> Self {
        Self {
            requests_per_minute: self.requests_per_minute.or(base.requests_per_minute),
            tokens_per_minute: self.tokens_per_minute.or(base.tokens_per_minute),
            max_in_flight: self.max_in_flight.or(base.max_in_flight),
            retries: self.retries.or(base.retries),
        }
    }
}

pub(super) fn cache_config(options: &ConnectOptions) -> Result<Option<CacheConfig>> {
    let dir = match &options.cache {
        CacheMode::Off => return Ok(None),
        CacheMode::Memory => None,
        CacheMode::Disk => Some(cache::default_dir()),
        CacheMode::Folder(dir) => Some(dir.clone()),
    };
    let disk_bytes = cache::disk_bytes_from_env()?;
    let mut config = CacheConfig { dir, disk_bytes, ..CacheConfig::default() };
    if options.quiet {
        config.warn = Arc::new(|_| {});
    }
    Ok(Some(config))
}
