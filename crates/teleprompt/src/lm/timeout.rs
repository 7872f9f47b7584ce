//! An end to waiting.

use std::time::Duration;

use futures::stream::{self, StreamExt};
use teleprompt_core::{Lm, LmChunk, LmError, LmErrorKind, LmRequest, LmResponse, LmStream};
use tokio::time::{Instant, timeout_at};

use super::forward::forward;

/// How long a [`Timed`] waits; `None` is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeoutConfig {
    /// Until the first piece of a stream. Default: 5 min, since an LM may think that long before it
    /// writes.
    pub first_piece: Option<Duration>,
    /// Until the end of the answer, streamed or not. Default: 15 min.
    pub whole: Option<Duration>,
}

impl Default for TimeoutConfig {
    fn default() -> Self {
        Self { first_piece: Some(Duration::from_secs(300)), whole: Some(Duration::from_secs(900)) }
    }
}

/// Ends calls that take too long, with an error of the kind [`LmErrorKind::Timeout`], which can be
/// retried. The call below is dropped, which closes its connection. Needs tokio's clock.
///
/// ```
/// use std::time::Duration;
///
/// use teleprompt::lm::{Timed, TimeoutConfig};
/// use teleprompt::{Lm, LmErrorKind, LmRequest, Message};
/// use teleprompt_testkit::ScriptedLm;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let slow = ScriptedLm::new(|_| "at last").with_delay(Duration::from_secs(60));
/// let config = TimeoutConfig { whole: Some(Duration::from_secs(30)), ..TimeoutConfig::default() };
/// let lm = Timed::new(slow, config);
/// let error = lm.generate(&LmRequest::new(vec![Message::user("hi")])).await.unwrap_err();
/// assert_eq!(error.kind, LmErrorKind::Timeout);
/// # }
/// ```
#[derive(Debug)]
pub struct Timed<L> {
    inner: L,
    config: TimeoutConfig,
}

/// A point in time and what it bounds.
#[derive(Clone, Copy)]
struct Deadline {
    at: Instant,
    time: Duration,
    what: &'static str,
}

impl<L: Lm> Timed<L> {
    /// Wraps an LM.
    pub fn new(inner: L, config: TimeoutConfig) -> Self {
        Self { inner, config }
    }

    fn whole(&self) -> Option<Deadline> {
        Some(deadline(self.config.whole?, "whole answer", Instant::now()))
    }

    /// The earlier of both.
    fn first(&self) -> Option<Deadline> {
        let first =
            self.config.first_piece.map(|time| deadline(time, "first piece", Instant::now()));
        [first, self.whole()].into_iter().flatten().min_by_key(|d| d.at)
    }

    async fn within<T>(
        &self,
        deadline: Option<Deadline>,
        work: impl Future<Output = T>,
    ) -> Result<T, LmError> {
        match deadline {
            None => Ok(work.await),
            Some(deadline) => {
                timeout_at(deadline.at, work).await.map_err(|_| self.too_late(deadline))
            }
        }
    }

    fn too_late(&self, Deadline { time, what, .. }: Deadline) -> LmError {
        let message = format!(
            "no {what} within {} s; ask for less, or raise the limit (TimeoutConfig)",
            time.as_secs_f64()
        );
        LmError::new(LmErrorKind::Timeout, self.name(), message)
    }
}

fn deadline(time: Duration, what: &'static str, now: Instant) -> Deadline {
    // Tokio's clock ends some time after that.
    const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);
    Deadline { at: now + time.min(FAR), time, what }
}

/// A stream under way.
struct Running<'a> {
    chunks: LmStream<'a>,
    next: Option<Deadline>,
    whole: Option<Deadline>,
    over: bool,
}

impl<L: Lm> Lm for Timed<L> {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        self.within(self.whole(), self.inner.generate(request)).await?
    }

    fn stream<'a>(&'a self, request: &'a LmRequest) -> LmStream<'a> {
        let begin = move || Running {
            chunks: self.inner.stream(request),
            next: self.first(),
            whole: self.whole(),
            over: false,
        };
        // Time runs from the first poll on.
        let state: Option<Running<'a>> = None;
        stream::unfold(state, move |state| async move {
            let mut running = state.unwrap_or_else(begin);
            if running.over {
                return None;
            }
            let chunk: Result<LmChunk, LmError> =
                match self.within(running.next, running.chunks.next()).await {
                    Ok(chunk) => chunk?,
                    Err(late) => {
                        running.over = true;
                        // Closes the connection now, not when the caller lets go of this stream.
                        running.chunks = stream::empty().boxed();
                        Err(late)
                    }
                };
            running.next = running.whole;
            Some((chunk, Some(running)))
        })
        .boxed()
    }

    forward!(inner);

    fn describe(&self) -> String {
        let seconds = |time: Option<Duration>, what: &str| {
            time.map(|time| format!("{what} {} s", time.as_secs_f64()))
        };
        let TimeoutConfig { first_piece, whole } = self.config;
        let parts = [seconds(first_piece, "first"), seconds(whole, "whole")];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let limits = if parts.is_empty() { "none".into() } else { parts.join(", ") };
        format!("timeout({limits}) → {}", self.inner.describe())
    }
}
