//! What a long journal adds up to, kept beside it so that it opens at once.
//!
//! Two lines of JSON: a header, and [`Known`]. The journal stays the truth: a snapshot that is torn,
//! of another version, or of another journal is passed over and made again. It holds places of
//! results, not results, so it is a small part of the journal's size and is read in one go.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use teleprompt_core::{Error, Result};

use super::journal::Journal;
use super::known::Known;

/// The version of this file's form. A change to [`Known`] takes the next number.
const VERSION: u32 = 1;

/// A snapshot is made when this many bytes of a journal are in none: reading them again takes
/// about as long as a person notices.
pub(super) const AFTER: u64 = 1 << 20;

/// Bytes of the journal's beginning and of the end of what is summed up, by which another journal
/// is told.
const HEAD: u64 = 1 << 12;
const TAIL: u64 = 1 << 16;

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    snapshot: u32,
    /// The bytes of the journal that are summed up.
    bytes: u64,
    /// Hash of the journal's beginning and end.
    journal: String,
    /// Hash of the second line.
    body: String,
}

/// The snapshot's file.
pub(super) fn path(journal: &Journal) -> PathBuf {
    journal.path().with_file_name("snapshot.json")
}

/// Writes it, to a temporary file first.
pub(super) fn write(journal: &mut Journal, known: &Known) -> Result<()> {
    let json = |e: serde_json::Error| Error::Study(e.to_string());
    let body = serde_json::to_vec(known).map_err(json)?;
    let bytes = journal.bytes();
    let header = Header {
        snapshot: VERSION,
        bytes,
        journal: fingerprint(journal, bytes)?,
        body: hash(&body),
    };
    let mut text = serde_json::to_vec(&header).map_err(json)?;
    text.push(b'\n');
    text.extend(body);
    crate::files::write_atomic(&path(journal), &text)
}

/// What it sums up, and the byte of the journal to read on from; none if it does not hold.
pub(super) fn read(journal: &mut Journal) -> Option<(Known, u64)> {
    let text = std::fs::read(path(journal)).ok()?;
    let at = text.iter().position(|b| *b == b'\n')?;
    let (header, body) = (text.get(..at)?, text.get(at + 1..)?);
    let header: Header = serde_json::from_slice(header).ok()?;
    let fits = header.snapshot == VERSION
        && header.bytes <= journal.bytes()
        && header.body == hash(body)
        && header.journal == fingerprint(journal, header.bytes).ok()?;
    let known: Known = if fits { serde_json::from_slice(body).ok()? } else { return None };
    Some((known.restored(), header.bytes))
}

/// Removes one that does not hold, so that it never comes to hold by chance.
pub(super) fn remove(path: &Path) {
    let _ = std::fs::remove_file(path);
}

fn fingerprint(journal: &mut Journal, bytes: u64) -> Result<String> {
    let (head, tail) = (bytes.min(HEAD), bytes.min(TAIL));
    let mut both = journal.slice(0, head as usize)?;
    both.extend(journal.slice(bytes - tail, tail as usize)?);
    Ok(hash(&both))
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}
