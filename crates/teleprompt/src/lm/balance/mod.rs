//! One model on several servers.

mod health;

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::stream::{self, StreamExt};
use teleprompt_core::{
    Capabilities, Error, Lm, LmChunk, LmError, LmErrorKind, LmHandle, LmRequest, LmResponse,
    LmStream, Price, Result,
};
use tokio::time::Instant;

use super::forward::{End, begin_later, watch_call, watch_stream, with_lost};
use super::members::{self, Failures};
use super::price::split_address;
use health::Health;

/// Spreads calls over servers of the same model: each call goes to the one with the fewest calls in
/// flight.
///
/// - A server that fails is left alone, first for a second, then for twice as long each time, up to a
///   minute, or for as long as it asks; then one call tries it again. If all are resting, the one
///   whose rest ends first is asked, but none before the time that it asked for: if all did, the call
///   fails, and its error says when the first may be asked ([`LmError::retry_after`]).
/// - A call is sent to another server only after the first one failed in a way that may pass
///   ([`LmError::is_retryable`]), to each server once, and not after the first piece of a stream.
/// - Its name and identity are the first server's, so that a cache keeps its entries when servers
///   come and go; put the same one first.
///
/// Needs tokio's clock.
///
/// ```
/// use teleprompt::lm::Balanced;
/// use teleprompt::{Lm, LmHandle, LmRequest, Message};
/// use teleprompt_testkit::ScriptedLm;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> teleprompt::Result<()> {
/// let server = |name: &str| ScriptedLm::new(|_| "ok").with_name(name);
/// let (a, b) = (server("vllm:m@http://gpu1:8000/v1"), server("vllm:m@http://gpu2:8000/v1"));
/// let lm = Balanced::new([LmHandle::new(a.clone()), LmHandle::new(b.clone())])?;
/// for _ in 0..10 {
///     lm.generate(&LmRequest::new(vec![Message::user("hi")])).await?;
/// }
/// assert_eq!((a.calls(), b.calls()), (5, 5));
/// # Ok(())
/// # }
/// ```
pub struct Balanced {
    members: Vec<LmHandle>,
    name: String,
    health: Mutex<Health>,
}

impl Balanced {
    /// Over these LMs, which must be the same model: their names differ in nothing but the address
    /// (what stands behind `@http://` or `@https://`).
    ///
    /// # Errors
    /// [`Error::Config`]: there is none, or they are different models.
    pub fn new(members: impl IntoIterator<Item = LmHandle>) -> Result<Self> {
        let members: Vec<LmHandle> = members.into_iter().collect();
        let Some(first) = members.first() else {
            return Err(Error::Config("a balance needs at least one LM".into()));
        };
        let model = |lm: &LmHandle| split_address(lm.name()).0.to_owned();
        if let Some(other) = members.iter().find(|lm| model(lm) != model(first)) {
            return Err(Error::Config(format!(
                "a balance is over servers of one model, but `{}` and `{}` differ; use a fallback \
                 (A | B) for different models",
                first.name(),
                other.name()
            )));
        }
        let health = Mutex::new(Health::new(members.len()));
        Ok(Self { name: first.name().to_owned(), members, health })
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next member to ask.
    fn choose(&self, tried: &mut Vec<usize>) -> Option<(&LmHandle, Seat<'_>)> {
        let index = self.health().choose(Instant::now(), tried)?;
        tried.push(index);
        let seat = Seat { balance: self, index };
        Some((self.members.get(index)?, seat))
    }

    async fn begin<'a>(
        &'a self,
        request: &'a LmRequest,
    ) -> Result<(Option<LmChunk>, LmStream<'a>), LmError> {
        let (mut failures, mut tried) = (Failures::default(), Vec::new());
        while let Some((lm, seat)) = self.choose(&mut tried) {
            let mut chunks = watch_stream(lm.stream(request), move |end| seat.leave(&end));
            match chunks.next().await.transpose() {
                Ok(first) => return Ok((first, with_lost(chunks, failures.lost()))),
                Err(error) if error.is_retryable() => failures.push(error),
                Err(error) => return Err(failures.before(error)),
            }
        }
        Err(self.all_failed(failures))
    }

    fn all_failed(&self, failures: Failures) -> LmError {
        let all_rest = || {
            let message = "all servers asked to be left alone for now; try again later";
            LmError::new(LmErrorKind::RateLimit, self.name.as_str(), message)
        };
        let mut error = failures.into_error().unwrap_or_else(all_rest);
        // The last one's wait says nothing of the others.
        if let Some(rest) = self.health().shortest_rest(Instant::now()) {
            error.retry_after = Some(rest);
        }
        error
    }
}

/// A call in flight at a member.
struct Seat<'a> {
    balance: &'a Balanced,
    index: usize,
}

impl Seat<'_> {
    fn leave(self, end: &End<'_>) {
        use LmErrorKind as K;
        match end {
            End::Done(_) => self.balance.health().well(Instant::now(), self.index),
            End::Failed(error) => {
                let unusable = matches!(error.kind, K::Auth | K::Billing | K::NotFound);
                if error.is_retryable() || unusable {
                    let wait = error.retry_after;
                    self.balance.health().ill(Instant::now(), self.index, wait);
                }
            }
            End::Dropped => {}
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.balance.health().leave(self.index);
    }
}

impl Lm for Balanced {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let (mut failures, mut tried) = (Failures::default(), Vec::new());
        while let Some((lm, seat)) = self.choose(&mut tried) {
            match watch_call(lm.generate(request), |end| seat.leave(&end)).await {
                Ok(response) => return Ok(failures.told_in(response)),
                Err(error) if error.is_retryable() => failures.push(error),
                Err(error) => return Err(failures.before(error)),
            }
        }
        Err(self.all_failed(failures))
    }

    fn stream<'a>(&'a self, request: &'a LmRequest) -> LmStream<'a> {
        begin_later(async move {
            let (first, rest) = self.begin(request).await?;
            Ok(stream::iter(first.map(Ok)).chain(rest).boxed())
        })
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn identity(&self) -> String {
        self.members.first().map_or_else(|| self.name.clone(), Lm::identity)
    }

    fn capabilities(&self) -> Capabilities {
        members::capabilities(self.members.iter())
    }

    fn count_tokens(&self, request: &LmRequest) -> Option<u64> {
        members::count_tokens(self.members.iter(), request)
    }

    fn price(&self) -> Option<Price> {
        members::price(self.members.iter())
    }

    fn describe(&self) -> String {
        let all: Vec<String> = self.members.iter().map(Lm::describe).collect();
        format!("balance({})", all.join(", "))
    }
}

impl fmt::Debug for Balanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Balanced({})", self.describe())
    }
}
