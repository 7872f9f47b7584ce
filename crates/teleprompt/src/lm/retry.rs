//! Repeating calls that failed in passing.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use teleprompt_core::{Lm, LmChunk, LmError, LmRequest, LmResponse, LmStream};
use tokio::time::{Instant, sleep};

use super::forward::{begin_later, forward, with_lost};

/// How often and how long to try again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryConfig {
    /// Most further attempts. Default: 3.
    pub retries: u32,
    /// The wait before the first further attempt; each later one is twice as long. A random part,
    /// up to half, is taken off, so that many callers do not come back at once. Default: 0.5 s.
    pub first_wait: Duration,
    /// The longest such wait. Default: 30 s.
    pub longest_wait: Duration,
    /// No attempt begins later than this after the first one. Default: 5 min.
    pub total: Duration,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            retries: 3,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(30),
            total: Duration::from_secs(300),
        }
    }
}

impl RetryConfig {
    /// The result of the first attempt that does not fail in passing, or the last failure.
    pub(crate) async fn run<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T, LmError>
    where
        F: Future<Output = Result<T, LmError>>,
    {
        let mut attempts = Attempts::new(self);
        loop {
            match attempt().await {
                Ok(found) => return Ok(found),
                Err(error) => attempts.after(error).await?,
            }
        }
    }

    /// The same for calls: the answer tells of the attempts that were lost before it.
    pub(crate) async fn call<F>(
        &self,
        mut attempt: impl FnMut() -> F,
    ) -> Result<LmResponse, LmError>
    where
        F: Future<Output = Result<LmResponse, LmError>>,
    {
        let mut attempts = Attempts::new(self);
        loop {
            match attempt().await {
                Ok(mut response) => {
                    response.usage.lost_attempts += attempts.lost;
                    return Ok(response);
                }
                Err(error) => attempts.after(error).await?,
            }
        }
    }
}

/// Repeats what can succeed later ([`LmError::is_retryable`]): broken connections, time-outs, rate
/// limits, failures and overload of the server, unless the server says that this is of no use
/// ([`LmError::no_retry`]). All else, such as a refused key, is tried once. A
/// reply that came whole is never asked for again, whatever is in it.
///
/// Where the server says how long to wait, exactly that is waited (if it says 0, as long as if it had
/// said nothing); if that goes beyond [`RetryConfig::total`], the call fails at once. A stream is repeated only before its first piece.
/// Needs tokio's clock.
///
/// ```
/// use teleprompt::lm::Retry;
/// use teleprompt::{Lm, LmErrorKind, LmRequest, Message};
/// use teleprompt_testkit::{Reply, ScriptedLm};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let lm = Retry::new(ScriptedLm::replies([Reply::error(LmErrorKind::Server), "ok".into()]));
/// let reply = lm.generate(&LmRequest::new(vec![Message::user("hi")])).await.unwrap();
/// assert_eq!(reply.completions[0].text, "ok");
/// # }
/// ```
#[derive(Debug)]
pub struct Retry<L> {
    inner: L,
    config: RetryConfig,
}

impl<L: Lm> Retry<L> {
    /// Wraps an LM, with the defaults of [`RetryConfig`].
    pub fn new(inner: L) -> Self {
        Self::with_config(inner, RetryConfig::default())
    }

    /// Wraps an LM.
    pub fn with_config(inner: L, config: RetryConfig) -> Self {
        Self { inner, config }
    }

    /// The first piece and the rest of a stream that has begun.
    async fn begin<'a>(
        &'a self,
        request: &'a LmRequest,
    ) -> Result<(Option<LmChunk>, LmStream<'a>), LmError> {
        let mut attempts = Attempts::new(&self.config);
        loop {
            let mut stream = self.inner.stream(request);
            match stream.next().await.transpose() {
                Ok(first) => return Ok((first, with_lost(stream, attempts.lost))),
                Err(error) => attempts.after(error).await?,
            }
        }
    }
}

/// The attempts of one call.
struct Attempts<'a> {
    config: &'a RetryConfig,
    begin: Instant,
    failed: u32,
    /// Those that may have been charged.
    lost: u64,
}

impl<'a> Attempts<'a> {
    fn new(config: &'a RetryConfig) -> Self {
        Self { config, begin: Instant::now(), failed: 0, lost: 0 }
    }

    /// Waits for the next attempt, or gives the error back if there is to be none.
    async fn after(&mut self, mut error: LmError) -> Result<(), LmError> {
        self.failed += 1;
        error.lost_attempts += self.lost;
        self.lost = error.lost();
        if !error.is_retryable() || error.no_retry {
            return Err(error);
        }
        if self.failed > self.config.retries {
            return Err(self.given_up(error, ""));
        }
        let asked = error.retry_after.filter(|wait| !wait.is_zero());
        let wait = asked.unwrap_or_else(|| {
            backoff(self.config.first_wait, self.config.longest_wait, self.failed, random_part())
        });
        if self.begin.elapsed().saturating_add(wait) > self.config.total {
            let reason = format!(
                ": another would begin later than {} s after the first",
                self.config.total.as_secs()
            );
            return Err(self.given_up(error, &reason));
        }
        sleep(wait).await;
        Ok(())
    }

    fn given_up(&self, mut error: LmError, reason: &str) -> LmError {
        if self.failed > 1 || !reason.is_empty() {
            let times = if self.failed == 1 { "attempt" } else { "attempts" };
            error.message += &format!(" (given up after {} {times}{reason})", self.failed);
        }
        error
    }
}

/// The wait after this many attempts, counted from 1: doubled each time, up to the longest; `part`
/// in [0, 1] says how much of a half is taken off.
pub(crate) fn backoff(first: Duration, longest: Duration, attempts: u32, part: f64) -> Duration {
    let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1));
    first.saturating_mul(doubled).min(longest).mul_f64(1.0 - part / 2.0)
}

/// A number in [0, 1), another one each time: the standard library seeds each hasher at random.
pub(crate) fn random_part() -> f64 {
    let bits = RandomState::new().hash_one(Instant::now());
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

impl<L: Lm> Lm for Retry<L> {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        self.config.call(|| self.inner.generate(request)).await
    }

    fn stream<'a>(&'a self, request: &'a LmRequest) -> LmStream<'a> {
        begin_later(async move {
            let (first, rest) = self.begin(request).await?;
            Ok(stream::iter(first.map(Ok)).chain(rest).boxed())
        })
    }

    forward!(inner);

    fn describe(&self) -> String {
        format!("retry({}) → {}", self.config.retries, self.inner.describe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_lose_up_to_half() {
        let config = RetryConfig::default();
        let wait = |failed, part| {
            backoff(config.first_wait, config.longest_wait, failed, part).as_millis()
        };
        assert_eq!([1, 2, 3].map(|failed| wait(failed, 0.0)), [500, 1000, 2000]);
        assert_eq!(wait(2, 1.0), 500);
        assert_eq!(wait(40, 0.0), 30_000);
    }

    #[test]
    fn the_random_part_varies_within_its_bounds() {
        let parts: Vec<f64> = (0..100).map(|_| random_part()).collect();
        assert!(parts.iter().all(|p| (0.0..1.0).contains(p)));
        assert!(parts.iter().any(|p| *p < 0.5) && parts.iter().any(|p| *p >= 0.5));
    }
}
