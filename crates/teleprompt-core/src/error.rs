//! Typed errors. Each says what, where and what to do next; parse errors also have a rendering
//! written for the LM ([`ParseError::for_model`]).

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error as ThisError;

use crate::parse_error::ParseError;
use crate::signature::SignatureError;

/// The result of most calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Anything that can go wrong while a program runs.
#[derive(Clone, Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// The LM failed or refused.
    #[error(transparent)]
    Lm(#[from] LmError),
    /// A reply did not parse after all the attempts allowed.
    #[error("{path}: {error}")]
    Reply {
        /// The predictor's path.
        path: String,
        /// What was wrong with the last reply; the reply is in it.
        error: Box<ParseError>,
    },
    /// A reply was cut off by the token limit before it was complete.
    #[error(
        "{path}: the reply was cut off after {completion_tokens} tokens, before all fields were \
         there; raise max_tokens (now {limit})\n  reply: {}",
        beginning(reply)
    )]
    Truncated {
        /// The predictor's path.
        path: String,
        /// The reply as far as it came.
        reply: String,
        /// Its length in tokens (0 where the LM does not tell).
        completion_tokens: u64,
        /// The limit in force, as text: a number, or "the LM's default".
        limit: String,
    },
    /// Inputs do not fit the signature.
    #[error("{path}: {message}")]
    Input {
        /// The predictor or program that was called.
        path: String,
        /// Which field, what is wrong and what was expected.
        message: String,
    },
    /// A signature text or type is wrong.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// A saved program does not fit.
    #[error("{0}")]
    State(String),
    /// Data could not be read.
    #[error("{0}")]
    Data(String),
    /// A budget is used up.
    #[error("the budget of {limit} {what} is used up ({spent} spent); raise it to go on")]
    Budget {
        /// What was limited: `LM calls`, `tokens`, `seconds`.
        what: &'static str,
        /// The limit.
        limit: u64,
        /// What had been spent.
        spent: u64,
    },
    /// The context was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// A setting makes no sense or a name is not known.
    #[error("{0}")]
    Config(String),
    /// A study cannot go on.
    #[error("{0}")]
    Study(String),
    /// A file could not be read or written.
    #[error("{path}: {message}")]
    Io {
        /// The file.
        path: String,
        /// What happened and, where we know, what to do.
        message: String,
    },
    /// A user's own code failed.
    #[error("{0}")]
    Other(String),
}

/// Lets generic code convert the error of a conversion that cannot fail.
impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

impl Error {
    /// An [`Error::Input`] without a path yet.
    pub fn input(message: impl Into<String>) -> Self {
        Error::Input { path: "input".into(), message: message.into() }
    }

    /// An [`Error::Io`] from an operating-system error.
    pub fn io(path: impl AsRef<std::path::Path>, source: &std::io::Error) -> Self {
        let hint = match source.kind() {
            std::io::ErrorKind::StorageFull => "; free some disk space and run it again",
            std::io::ErrorKind::PermissionDenied => "; check the permissions",
            _ => "",
        };
        Error::Io { path: path.as_ref().display().to_string(), message: format!("{source}{hint}") }
    }

    /// Whether the whole run must stop: going on with other examples would fail the same way or
    /// spend what may not be spent.
    pub fn is_fatal(&self) -> bool {
        match self {
            Error::Cancelled | Error::Budget { .. } | Error::Config(_) | Error::Io { .. } => true,
            Error::Lm(e) => e.is_fatal(),
            _ => false,
        }
    }
}

/// As much of a reply as a person wants to see in an error.
pub(crate) fn beginning(reply: &str) -> String {
    let mut shown: String = reply.chars().take(400).collect();
    if shown.len() < reply.len() {
        shown.push('…');
    }
    shown
}

/// What kind of failure an [`LmError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LmErrorKind {
    /// The provider could not be reached, or the connection broke.
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
    /// The provider failed or is overloaded.
    Server,
    /// The answer was not what the protocol promises.
    Protocol,
    /// The LM cannot do what was asked.
    Unsupported,
    /// The model's file is missing, broken or not a model.
    Model,
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
    /// What happened and what to do next, one line.
    pub message: String,
    /// The HTTP status, if there was one.
    pub status: Option<u16>,
    /// The provider's id of the request.
    pub request_id: Option<String>,
    /// How long the provider asks us to wait.
    pub retry_after: Option<Duration>,
    /// The provider's raw answer.
    pub body: Option<Arc<str>>,
}

impl LmError {
    /// An error of this kind.
    pub fn new(kind: LmErrorKind, model: impl Into<Arc<str>>, message: impl Into<String>) -> Self {
        Self {
            kind,
            model: model.into(),
            message: message.into(),
            status: None,
            request_id: None,
            retry_after: None,
            body: None,
        }
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

    /// With the provider's request id.
    pub fn with_request_id(mut self, id: Option<String>) -> Self {
        self.request_id = id;
        self
    }

    /// Whether the same request can succeed later.
    pub fn is_retryable(&self) -> bool {
        use LmErrorKind as K;
        matches!(self.kind, K::Transport | K::Timeout | K::RateLimit | K::Server)
    }

    /// Whether every other request to this LM would fail too.
    pub fn is_fatal(&self) -> bool {
        use LmErrorKind as K;
        matches!(self.kind, K::Auth | K::Billing | K::NotFound | K::Model | K::Transport)
    }
}
