//! Typed errors. Each says what, where and what to do next; parse errors also have a rendering
//! written for the LM ([`ParseError::for_model`]).

use thiserror::Error as ThisError;

use crate::budget::Exhausted;
use crate::lm::LmError;
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
    /// An output does not pass a check that it must pass, after all the attempts allowed.
    #[error(
        "{path}: the output fails the check `{check}` in {attempts} attempts: {message}; allow more \
         attempts, or make it a suggestion\n  output: {}",
        beginning(output)
    )]
    Check {
        /// Where the checked module stands.
        path: String,
        /// The check's name.
        check: String,
        /// What the check said of the best attempt.
        message: String,
        /// How often the module was run.
        attempts: u32,
        /// The outputs of the best attempt, as JSON.
        output: String,
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
    /// A budget allows no further call.
    #[error(transparent)]
    Budget(#[from] Exhausted),
    /// The context was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// A search ended by a stop condition; what it found until then is its result.
    #[error("{0}")]
    Stopped(String),
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
            Error::Cancelled
            | Error::Stopped(_)
            | Error::Budget(_)
            | Error::Config(_)
            | Error::Io { .. } => true,
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
