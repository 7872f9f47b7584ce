//! The failures of language models.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error as ThisError;

/// What kind of failure an [`LmError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LmErrorKind {
    /// The provider could not be reached: nothing was sent.
    Unreachable,
    /// The connection broke before the answer was whole.
    Transport,
    /// No answer in time.
    Timeout,
    /// The key is missing or refused.
    Auth,
    /// The account has no credit.
    Billing,
    /// Too many requests.
    RateLimit,
    /// The provider calls the request wrong.
    InvalidRequest,
    /// No such model or endpoint.
    NotFound,
    /// Prompt and completion do not fit the model's window.
    ContextOverflow {
        /// Tokens of the prompt.
        needed: u64,
        /// Tokens of the window.
        limit: u64,
    },
    /// The provider failed.
    Server,
    /// The provider has too much to do just now.
    Overloaded,
    /// The provider will not answer this, for its content.
    ContentFilter,
    /// The answer was not what the protocol promises.
    Protocol,
    /// The LM cannot do what was asked.
    Unsupported,
    /// The model's file is missing, broken or not a model.
    Model,
    /// A budget of ours allows no further call.
    Budget,
    /// We ended the call ourselves.
    Cancelled,
    /// A recording has no answer to this request.
    NotRecorded,
}

impl LmErrorKind {
    /// A word for programs and logs that stays the same: `rate_limit`, `context_overflow`…
    pub const fn code(self) -> &'static str {
        match self {
            LmErrorKind::Unreachable => "unreachable",
            LmErrorKind::Transport => "transport",
            LmErrorKind::Timeout => "timeout",
            LmErrorKind::Auth => "auth",
            LmErrorKind::Billing => "billing",
            LmErrorKind::RateLimit => "rate_limit",
            LmErrorKind::InvalidRequest => "invalid_request",
            LmErrorKind::NotFound => "not_found",
            LmErrorKind::ContextOverflow { .. } => "context_overflow",
            LmErrorKind::Server => "server",
            LmErrorKind::Overloaded => "overloaded",
            LmErrorKind::ContentFilter => "content_filter",
            LmErrorKind::Protocol => "protocol",
            LmErrorKind::Unsupported => "unsupported",
            LmErrorKind::Model => "model",
            LmErrorKind::Budget => "budget",
            LmErrorKind::Cancelled => "cancelled",
            LmErrorKind::NotRecorded => "not_recorded",
        }
    }
}

/// A failure of a language model.
#[derive(Clone, Debug, ThisError)]
#[error("{model}: {message}")]
#[non_exhaustive]
pub struct LmError {
    /// What kind of failure.
    pub kind: LmErrorKind,
    /// The LM's name, such as `openai:gpt-5-mini`.
    pub model: Arc<str>,
    /// Who runs it, such as `openai`, where that is told.
    pub provider: Option<Arc<str>>,
    /// What happened and what to do next, one line.
    pub message: String,
    /// The HTTP status, if there was one.
    pub status: Option<u16>,
    /// The provider's id of the request.
    pub request_id: Option<String>,
    /// How long the provider asks us to wait.
    pub retry_after: Option<Duration>,
    /// Asking the same again is of no use: the provider says so, or part of the call was answered and
    /// the rest has been repeated in vain. Default: `false`.
    pub no_retry: bool,
    /// The provider's raw answer, our key taken out.
    pub body: Option<Arc<str>>,
    /// Earlier attempts of the same call that may have been charged.
    pub lost_attempts: u64,
    /// What caused it, such as the failure of a socket.
    #[source]
    pub source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl LmError {
    /// An error of this kind.
    pub fn new(kind: LmErrorKind, model: impl Into<Arc<str>>, message: impl Into<String>) -> Self {
        Self {
            kind,
            model: model.into(),
            provider: None,
            message: message.into(),
            status: None,
            request_id: None,
            retry_after: None,
            no_retry: false,
            body: None,
            lost_attempts: 0,
            source: None,
        }
    }

    /// With who runs the LM.
    pub fn with_provider(mut self, provider: impl Into<Arc<str>>) -> Self {
        self.provider = Some(provider.into());
        self
    }

    /// With its cause.
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// With the HTTP status and the raw body.
    pub fn with_response(mut self, status: u16, body: impl Into<Arc<str>>) -> Self {
        self.status = Some(status);
        self.body = Some(body.into());
        self
    }

    /// With the wait that the provider asked for.
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// With the provider's word that asking it the same again is of no use.
    pub fn with_no_retry(mut self, no_retry: bool) -> Self {
        self.no_retry = no_retry;
        self
    }

    /// With the provider's request id.
    pub fn with_request_id(mut self, id: Option<String>) -> Self {
        self.request_id = id;
        self
    }

    /// Whether the same request can succeed later.
    pub fn is_retryable(&self) -> bool {
        use LmErrorKind as K;
        matches!(
            self.kind,
            K::Unreachable | K::Transport | K::Timeout | K::RateLimit | K::Server | K::Overloaded
        )
    }

    /// Whether the provider may charge for the request all the same: it was sent, and how far it came
    /// is not known, or its answer could not be used.
    pub fn may_be_charged(&self) -> bool {
        use LmErrorKind as K;
        matches!(self.kind, K::Transport | K::Timeout | K::Server | K::Protocol)
    }

    /// Attempts that may have been charged, this one included.
    pub fn lost(&self) -> u64 {
        self.lost_attempts + u64::from(self.may_be_charged())
    }

    /// Whether every other request to this LM would fail too.
    pub fn is_fatal(&self) -> bool {
        use LmErrorKind as K;
        matches!(
            self.kind,
            K::Auth
                | K::Billing
                | K::NotFound
                | K::Model
                | K::Unreachable
                | K::Budget
                | K::Cancelled
        )
    }
}
