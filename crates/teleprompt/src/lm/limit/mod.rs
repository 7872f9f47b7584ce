//! Keeping to a provider's rate limits.

mod book;

use std::fmt;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::select;
use teleprompt_core::{Lm, LmError, LmErrorKind, LmRequest, LmResponse, LmStream};
use tokio::sync::{Mutex as AsyncMutex, Notify, Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

use super::forward::{End, begin_later, forward, watch_call, watch_stream};
use super::rate;
use super::retry::RetryConfig;
use book::{Book, Entry};

/// How much a [`RateLimited`] lets through; `None` is no limit of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimitConfig {
    /// Calls that may begin within any 60 seconds. Default: `None`.
    pub requests_per_minute: Option<u32>,
    /// Tokens, of prompts and completions, of the calls that begin within any 60 seconds. Default:
    /// `None`.
    pub tokens_per_minute: Option<u64>,
    /// Calls at the same time, at least 1. Default: `None`.
    pub max_in_flight: Option<usize>,
    /// The longest time that a call whose turn it is waits because the provider asks for it. One
    /// that had to wait longer fails at once. Default: that of [`RetryConfig::total`], 5 min.
    pub longest_wait: Duration,
}

impl Default for RateLimitConfig {
    fn default() -> Self {
        Self {
            requests_per_minute: None,
            tokens_per_minute: None,
            max_in_flight: None,
            longest_wait: RetryConfig::default().total,
        }
    }
}

/// Holds calls back, so that a provider need not refuse them.
///
/// - Within any 60 seconds no more calls begin, with no more tokens, than [`RateLimitConfig`] says.
/// - What the provider tells with its replies ([`LmResponse::rate`]) and how long it asks to wait
///   when it refuses a call ([`LmError::retry_after`]) are obeyed too: the other calls wait as
///   well, until that time is over or one that began later is answered. Without limits of its own,
///   the layer does only that. Where the wait is longer than [`RateLimitConfig::longest_wait`], they
///   fail: a rate limit that tells how long it lasts ([`LmError::retry_after`]).
/// - Calls begin in the order in which they came: small ones do not pass a large one that waits. A
///   call that is dropped leaves the queue.
/// - Before a call its tokens are an estimate: what [`Lm::count_tokens`] says, else a quarter of the
///   prompt's bytes, and as many output tokens as calls had on average, at most what
///   [`max_tokens`](teleprompt_core::LmSettings::max_tokens) allows. The reply's usage puts it right.
/// - A call with more tokens than a whole minute has begins when the minute is empty.
///
/// Put it below a retry: a call that is sent again counts again. Needs tokio's clock.
///
/// ```
/// use teleprompt::lm::{RateLimitConfig, RateLimited};
/// use teleprompt::{Lm, LmRequest, Message};
/// use teleprompt_testkit::ScriptedLm;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let config = RateLimitConfig { requests_per_minute: Some(2), ..RateLimitConfig::default() };
/// let lm = RateLimited::new(ScriptedLm::new(|_| "ok"), config);
/// assert_eq!(lm.describe(), "limit(2 req/min) → scripted");
/// let begin = tokio::time::Instant::now();
/// for _ in 0..3 {
///     lm.generate(&LmRequest::new(vec![Message::user("hi")])).await.unwrap();
/// }
/// assert_eq!(begin.elapsed().as_secs(), 60);
/// # }
/// ```
pub struct RateLimited<L> {
    inner: L,
    config: RateLimitConfig,
    /// Held by the call that is next. Tokio's mutex is first come, first served.
    queue: AsyncMutex<()>,
    in_flight: Option<Semaphore>,
    book: Mutex<Book>,
    /// Told whenever the one who is next may have to wait less.
    changed: Notify,
}

impl<L: Lm> RateLimited<L> {
    /// Wraps an LM.
    pub fn new(inner: L, config: RateLimitConfig) -> Self {
        let permits = |n: usize| Semaphore::new(n.clamp(1, Semaphore::MAX_PERMITS));
        Self {
            inner,
            config,
            queue: AsyncMutex::new(()),
            in_flight: config.max_in_flight.map(permits),
            book: Mutex::new(Book::new(config)),
            changed: Notify::new(),
        }
    }

    /// Waits for the turn of this call and lets it begin.
    async fn turn(&self, request: &LmRequest) -> Result<Turn<'_, L>, LmError> {
        let prompt = self.inner.count_tokens(request).unwrap_or_else(|| quarter_of_bytes(request));
        let _next = self.queue.lock().await;
        let permit = match &self.in_flight {
            // It is never closed.
            Some(semaphore) => semaphore.acquire().await.ok(),
            None => None,
        };
        let since = Instant::now();
        loop {
            let told = self.changed.notified();
            let now = Instant::now();
            let begun = self.book().begin(now, prompt, request);
            match begun {
                Ok(entry) => return Ok(Turn { layer: self, entry, _permit: permit }),
                Err(held) => {
                    let theirs = held.by_provider.saturating_duration_since(now);
                    if (now - since).saturating_add(theirs) > self.config.longest_wait {
                        return Err(self.too_long(theirs));
                    }
                    select(pin!(sleep_until(held.until)), pin!(told)).await;
                }
            }
        }
    }

    fn too_long(&self, wait: Duration) -> LmError {
        let message = format!(
            "the provider's rate limit lets no call begin for {} s, longer than the {} s that a \
             call waits; try again then, or use another LM",
            wait.as_secs_f64().ceil(),
            self.config.longest_wait.as_secs()
        );
        LmError::new(LmErrorKind::RateLimit, self.inner.name(), message)
            .with_retry_after(Some(wait))
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that has begun.
struct Turn<'a, L> {
    layer: &'a RateLimited<L>,
    entry: Entry,
    _permit: Option<SemaphorePermit<'a>>,
}

impl<L: Lm> Turn<'_, L> {
    fn end(self, end: &End<'_>) {
        let now = Instant::now();
        match end {
            End::Done(response) => self.layer.book().done(now, self.entry, response),
            End::Failed(error) => {
                if let Some(wait) = asks_to_wait(error) {
                    self.layer.book().pause(now + wait.min(rate::LONGEST), self.entry);
                }
            }
            // What a dropped call used is not known: its estimate stays.
            End::Dropped => {}
        }
        self.layer.changed.notify_one();
    }
}

fn asks_to_wait(error: &LmError) -> Option<Duration> {
    let busy = matches!(error.kind, LmErrorKind::RateLimit | LmErrorKind::Overloaded);
    error.retry_after.filter(|_| busy)
}

fn quarter_of_bytes(request: &LmRequest) -> u64 {
    let bytes: usize = request.messages.iter().map(|m| m.content.len()).sum();
    (bytes as u64).div_ceil(4)
}

impl<L: Lm> Lm for RateLimited<L> {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let turn = self.turn(request).await?;
        watch_call(self.inner.generate(request), |end| turn.end(&end)).await
    }

    fn stream<'a>(&'a self, request: &'a LmRequest) -> LmStream<'a> {
        begin_later(async move {
            let turn = self.turn(request).await?;
            Ok(watch_stream(self.inner.stream(request), move |end| turn.end(&end)))
        })
    }

    forward!(inner);

    fn describe(&self) -> String {
        let RateLimitConfig { requests_per_minute, tokens_per_minute, max_in_flight, .. } =
            self.config;
        let parts = [
            requests_per_minute.map(|n| format!("{n} req/min")),
            tokens_per_minute.map(|n| format!("{n} tok/min")),
            max_in_flight.map(|n| format!("{n} at once")),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let limits = if parts.is_empty() { "as told".into() } else { parts.join(", ") };
        format!("limit({limits}) → {}", self.inner.describe())
    }
}

impl<L: Lm> fmt::Debug for RateLimited<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RateLimited({})", self.describe())
    }
}
