//! Where a model's file lies in the store, whether it is there, and whether it is whole.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::StoreError;
use super::gguf::{self, GgufError};

/// The place of one model's file, and what is known of the file beforehand.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub name: String,
    pub path: PathBuf,
    pub size: Option<u64>,
    pub sha256: Option<String>,
}

/// What is at a place.
#[derive(Debug)]
pub(super) enum Found {
    Absent,
    Good,
    Changed { expected: String, found: String },
    Bad(GgufError),
}

/// How carefully to look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Look {
    /// Believe the mark of an earlier look if the file has not been written since.
    Quick,
    /// Read the whole file again.
    Thorough,
}

/// Kept beside a file that was found whole, so that it is not hashed at every use.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Mark {
    size: u64,
    /// Time of the last change, in nanoseconds since 1970.
    modified: u64,
    sha256: Option<String>,
}

impl Place {
    /// A file beside the model's, with this after its name.
    pub(super) fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(suffix);
        name.into()
    }

    pub(super) fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// Looks without reading the file: it is there and nothing speaks against it.
    pub(super) fn is_there(&self) -> bool {
        let Ok(meta) = self.path.metadata() else { return false };
        meta.is_file() && self.size.is_none_or(|size| size == meta.len())
    }

    /// Looks at the file, and marks a good one as such.
    pub(super) fn look(&self, how: Look) -> Result<Found, StoreError> {
        let io = |e| StoreError::io(&self.path, e);
        let meta = match self.path.metadata() {
            Ok(meta) => meta,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Found::Absent),
            Err(e) => return Err(io(e)),
        };
        let mark = self.read_mark();
        let expected = self.sha256.clone().or(mark.as_ref().and_then(|m| m.sha256.clone()));
        let now = Mark { size: meta.len(), modified: modified(&meta), sha256: expected.clone() };
        if how == Look::Quick && mark.as_ref() == Some(&now) {
            return Ok(Found::Good);
        }
        if let Some(expected) = expected {
            let found = hash_file(&self.path).map_err(io)?;
            if found != expected {
                return Ok(Found::Changed { expected, found });
            }
        } else if let Err(problem) = gguf::check_file(&self.path) {
            return Ok(Found::Bad(problem));
        }
        self.write_mark(&now);
        Ok(Found::Good)
    }

    /// Marks the file as whole; `sha256` was computed from its bytes.
    pub(super) fn mark(&self, sha256: &str) {
        if let Ok(meta) = self.path.metadata() {
            let sha256 = Some(sha256.to_owned());
            self.write_mark(&Mark { size: meta.len(), modified: modified(&meta), sha256 });
        }
    }

    fn read_mark(&self) -> Option<Mark> {
        let text = std::fs::read(self.beside(MARK)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// A store that cannot be written to works without marks, only slower.
    fn write_mark(&self, mark: &Mark) {
        if let Ok(text) = serde_json::to_vec(mark) {
            let _ = std::fs::write(self.beside(MARK), text);
        }
    }
}

const MARK: &str = ".verified";

fn modified(meta: &std::fs::Metadata) -> u64 {
    let since = meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
}

/// The SHA-256 of a file, in lower-case hexadecimal digits.
fn hash_file(path: &Path) -> std::io::Result<String> {
    let mut hasher = Sha256::new();
    hash_into(&mut File::open(path)?, &mut hasher)?;
    Ok(hex(hasher))
}

/// Hashes what is left of `source` and returns how many bytes that was.
pub(super) fn hash_into(source: &mut impl Read, hasher: &mut Sha256) -> std::io::Result<u64> {
    let mut buffer = vec![0; 1 << 18];
    let mut total = 0;
    loop {
        match source.read(&mut buffer)? {
            0 => return Ok(total),
            n => {
                hasher.update(buffer.get(..n).unwrap_or_default());
                total += n as u64;
            }
        }
    }
}

pub(super) fn hex(hasher: Sha256) -> String {
    use std::fmt::Write as _;
    hasher.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
