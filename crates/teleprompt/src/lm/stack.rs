//! The usual layers in the usual order.

use std::sync::Arc;

use teleprompt_core::{LmHandle, Result};

use super::balance::Balanced;
use super::cache::{CacheConfig, Cached};
use super::fallback::{Fallback, FallbackConfig};
use super::history::History;
use super::limit::{RateLimitConfig, RateLimited};
use super::price::{PriceTable, Priced};
use super::registry::ProviderLimits;
use super::retry::{Retry, RetryConfig};
use super::timeout::{Timed, TimeoutConfig};
use super::traced::Traced;

/// Which layers a [`Stack`] has; `None` or `false` leaves one out.
#[derive(Clone, Debug)]
pub struct StackOptions {
    /// A span for each call ([`Traced`]). Default: `true`.
    pub trace: bool,
    /// Where the last calls are kept; needs `trace`. Default: `None`.
    pub history: Option<History>,
    /// Answers to what was asked before ([`Cached`]). Default: in memory.
    pub cache: Option<CacheConfig>,
    /// When to go on to the next LM of a [`Stack::fallback`].
    pub fallback: FallbackConfig,
    /// Repeats what failed in passing ([`Retry`]). Default: [`RetryConfig::default`].
    pub retry: Option<RetryConfig>,
    /// Keeps to rate limits ([`RateLimited`]). Default: to those that the provider tells.
    pub limit: Option<RateLimitConfig>,
    /// Ends what takes too long ([`Timed`]). Default: [`TimeoutConfig::default`].
    pub timeout: Option<TimeoutConfig>,
    /// What calls cost ([`Priced`]). Default: the table of this version.
    pub prices: Option<Arc<PriceTable>>,
}

impl Default for StackOptions {
    fn default() -> Self {
        Self {
            trace: true,
            history: None,
            cache: Some(CacheConfig::default()),
            fallback: FallbackConfig::default(),
            retry: Some(RetryConfig::default()),
            limit: Some(RateLimitConfig::default()),
            timeout: Some(TimeoutConfig::default()),
            prices: Some(Arc::new(PriceTable::builtin().clone())),
        }
    }
}

impl StackOptions {
    /// No layer at all, to switch single ones on.
    pub fn bare() -> Self {
        Self {
            trace: false,
            cache: None,
            retry: None,
            limit: None,
            timeout: None,
            prices: None,
            ..Self::default()
        }
    }
}

/// Puts the usual layers around LMs, in this order:
///
/// ```text
///           one LM          LMs to fall back on         servers of one model
///
///           Traced               Traced                       Traced
///             ↓                    ↓                            ↓
///           Cached               Cached                       Cached
///             ↓                    ↓                            ↓
///             ↓                 Fallback                      Retry
///             ↓                 ↙      ↘                        ↓
///           Retry          Retry        Retry                Balanced
///             ↓              ↓            ↓                  ↙      ↘
///        RateLimited    RateLimited  RateLimited    RateLimited    RateLimited
///             ↓              ↓            ↓              ↓              ↓
///           Timed          Timed        Timed          Timed          Timed
///             ↓              ↓            ↓              ↓              ↓
///           Priced         Priced       Priced         Priced         Priced
///             ↓              ↓            ↓              ↓              ↓
///          provider      provider A   provider B     server 1       server 2
/// ```
///
/// Why so: a span shows whether the cache answered. What the cache answers costs nothing, waits for
/// no limit and cannot fail. A failure is repeated where it happened before another LM is asked; but
/// another server of the same model is as good as the first and is there at once, so a balance stands
/// inside the retry. Each repetition keeps to the limits. The time a call waits for its turn is not
/// the provider's, so the time-out begins after that.
///
/// ```
/// use teleprompt::lm::{Stack, StackOptions};
/// use teleprompt::{Lm, LmHandle};
/// use teleprompt_testkit::ScriptedLm;
///
/// let options = StackOptions { timeout: None, ..StackOptions::default() };
/// let lm = Stack::new(options).wrap(LmHandle::new(ScriptedLm::new(|_| "ok")));
/// assert_eq!(
///     lm.describe(),
///     "trace → cache(memory) → retry(3) → limit(as told) → price(unknown) → scripted"
/// );
/// ```
#[derive(Clone, Debug)]
pub struct Stack {
    options: StackOptions,
}

impl Stack {
    /// A stack of these layers.
    pub fn new(options: StackOptions) -> Self {
        Self { options }
    }

    /// Around one LM.
    pub fn wrap(&self, provider: LmHandle) -> LmHandle {
        self.outer(self.retry(self.inner(provider)))
    }

    /// Around LMs of which the next is asked where one fails, as [`Fallback`] does.
    pub fn fallback(
        &self,
        first: LmHandle,
        others: impl IntoIterator<Item = LmHandle>,
    ) -> LmHandle {
        let link = |lm| self.retry(self.inner(lm));
        self.around(link(first), others.into_iter().map(link).collect())
    }

    /// Around servers of one model, as [`Balanced`] does.
    ///
    /// # Errors
    /// As [`Balanced::new`].
    pub fn balance(&self, servers: impl IntoIterator<Item = LmHandle>) -> Result<LmHandle> {
        Ok(self.outer(self.servers(servers)?))
    }

    /// The same stack with these limits in place of its own; where a layer is left out, it stays so.
    pub(crate) fn with_limits(&self, limits: &ProviderLimits) -> Self {
        let mut options = self.options.clone();
        options.limit = options.limit.map(|ours| RateLimitConfig {
            requests_per_minute: limits.requests_per_minute.or(ours.requests_per_minute),
            tokens_per_minute: limits.tokens_per_minute.or(ours.tokens_per_minute),
            max_in_flight: limits.max_in_flight.or(ours.max_in_flight),
            ..ours
        });
        if let (Some(retry), Some(retries)) = (&mut options.retry, limits.retries) {
            retry.retries = retries;
        }
        Self { options }
    }

    /// The rules of its [`Retry`]; without that layer nothing is repeated.
    pub(crate) fn retry_rules(&self) -> RetryConfig {
        let none = || RetryConfig { retries: 0, ..RetryConfig::default() };
        self.options.retry.clone().unwrap_or_else(none)
    }

    /// A link of a chain: one server, or several of one model, with the layers of their own.
    pub(crate) fn servers(&self, servers: impl IntoIterator<Item = LmHandle>) -> Result<LmHandle> {
        let mut servers: Vec<LmHandle> = servers.into_iter().map(|lm| self.inner(lm)).collect();
        let lm = match servers.pop() {
            Some(only) if servers.is_empty() => only,
            last => LmHandle::new(Balanced::new(servers.into_iter().chain(last))?),
        };
        Ok(self.retry(lm))
    }

    /// A link of a chain that is no server: nothing to repeat and no limits to keep to.
    pub(crate) fn in_process(&self, lm: LmHandle) -> LmHandle {
        self.priced(lm)
    }

    /// What all links share; several of them are a [`Fallback`].
    pub(crate) fn around(&self, first: LmHandle, others: Vec<LmHandle>) -> LmHandle {
        if others.is_empty() {
            return self.outer(first);
        }
        self.outer(LmHandle::new(Fallback::new(first, others).with_config(self.options.fallback)))
    }

    fn priced(&self, lm: LmHandle) -> LmHandle {
        match &self.options.prices {
            Some(table) => LmHandle::new(Priced::with_table(lm, table)),
            None => lm,
        }
    }

    /// What each provider has of its own.
    fn inner(&self, mut lm: LmHandle) -> LmHandle {
        let StackOptions { timeout, limit, .. } = &self.options;
        lm = self.priced(lm);
        if let Some(config) = timeout {
            lm = LmHandle::new(Timed::new(lm, *config));
        }
        if let Some(config) = limit {
            lm = LmHandle::new(RateLimited::new(lm, *config));
        }
        lm
    }

    fn retry(&self, lm: LmHandle) -> LmHandle {
        match &self.options.retry {
            Some(config) => LmHandle::new(Retry::with_config(lm, config.clone())),
            None => lm,
        }
    }

    /// What all share.
    fn outer(&self, mut lm: LmHandle) -> LmHandle {
        let StackOptions { trace, history, cache, .. } = &self.options;
        if let Some(config) = cache {
            lm = LmHandle::new(Cached::new(lm, config.clone()));
        }
        if *trace {
            let traced = Traced::new(lm);
            lm = LmHandle::new(match history {
                Some(history) => traced.with_history(history.clone()),
                None => traced,
            });
        }
        lm
    }
}
