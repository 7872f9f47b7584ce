//! Other LMs for when one fails.

use std::fmt;

use futures::stream::{self, StreamExt};
use teleprompt_core::{
    Capabilities, Lm, LmChunk, LmError, LmErrorKind, LmHandle, LmRequest, LmResponse, LmStream,
    Price,
};

use super::forward::{begin_later, with_lost};
use super::members::{self, Failures};

/// When a [`Fallback`] goes on to the next LM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FallbackConfig {
    /// Also where the LM could not be used at all: the key is missing or refused, the account has no
    /// credit, there is no such model. Default: `false`, since that is a mistake that should be seen.
    pub also_unusable: bool,
}

/// Asks the first LM, and the next one if that fails in a way that may pass
/// ([`LmError::is_retryable`]), and so on in order.
///
/// All other errors are given back at once, and nothing is asked again after the first piece of a
/// stream was given. If all fail, the error is the last one's with a note of those before. Which one
/// answered tells [`LmResponse::model`].
///
/// Its identity holds those of all LMs, in order: a cache above it keeps whichever answer came.
///
/// ```
/// use teleprompt::lm::Fallback;
/// use teleprompt::{Lm, LmErrorKind, LmHandle, LmRequest, Message};
/// use teleprompt_testkit::{Reply, ScriptedLm};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let broken = ScriptedLm::new(|_| Reply::error(LmErrorKind::Server)).with_name("a");
/// let well = ScriptedLm::new(|_| "ok").with_name("b");
/// let lm = Fallback::new(LmHandle::new(broken), [LmHandle::new(well)]);
/// assert_eq!(lm.name(), "a | b");
/// let reply = lm.generate(&LmRequest::new(vec![Message::user("hi")])).await.unwrap();
/// assert_eq!(&*reply.model, "b");
/// # }
/// ```
pub struct Fallback {
    members: Vec<LmHandle>,
    name: String,
    config: FallbackConfig,
}

impl Fallback {
    /// A chain of LMs, with the defaults of [`FallbackConfig`].
    pub fn new(first: LmHandle, others: impl IntoIterator<Item = LmHandle>) -> Self {
        let members: Vec<LmHandle> = std::iter::once(first).chain(others).collect();
        let names: Vec<&str> = members.iter().map(Lm::name).collect();
        Self { name: names.join(" | "), members, config: FallbackConfig::default() }
    }

    /// With this configuration.
    #[must_use]
    pub fn with_config(mut self, config: FallbackConfig) -> Self {
        self.config = config;
        self
    }

    fn goes_on_after(&self, error: &LmError) -> bool {
        use LmErrorKind as K;
        let unusable = matches!(error.kind, K::Auth | K::Billing | K::NotFound);
        error.is_retryable() || (unusable && self.config.also_unusable)
    }

    /// The first piece and the rest of the first stream that begins.
    async fn begin<'a>(
        &'a self,
        request: &'a LmRequest,
    ) -> Result<(Option<LmChunk>, LmStream<'a>), LmError> {
        let mut failures = Failures::default();
        for lm in &self.members {
            let mut chunks = lm.stream(request);
            match chunks.next().await.transpose() {
                Ok(first) => return Ok((first, with_lost(chunks, failures.lost()))),
                Err(error) if self.goes_on_after(&error) => failures.push(error),
                Err(error) => return Err(failures.before(error)),
            }
        }
        Err(self.all_failed(failures))
    }

    fn all_failed(&self, failures: Failures) -> LmError {
        let none = || LmError::new(LmErrorKind::Unsupported, self.name.as_str(), "there is no LM");
        failures.into_error().unwrap_or_else(none)
    }
}

impl Lm for Fallback {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let mut failures = Failures::default();
        for lm in &self.members {
            match lm.generate(request).await {
                Ok(response) => return Ok(failures.told_in(response)),
                Err(error) if self.goes_on_after(&error) => failures.push(error),
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
        let all: Vec<String> = self.members.iter().map(Lm::identity).collect();
        all.join(" | ")
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
        format!("fallback({})", all.join(" | "))
    }
}

impl fmt::Debug for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fallback({})", self.describe())
    }
}
