//! Keeping the folder below its bound.
//!
//! Nothing looks at the whole folder while a call waits: it is gone through by a thread of its own,
//! when a cache is opened, at most once an hour, and then whenever this process has written some part of the bound. Of
//! several processes only one does it at a time. A stamp tells the others when it was done last.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, SystemTime};

use teleprompt_core::{Error, Result};

use super::disk::{CacheUse, each_entry};
use super::lock;
use crate::files;

/// Most bytes on disk where nothing else is said.
pub(super) const DEFAULT_BYTES: u64 = 10 << 30;
/// The part of the bound that a process writes before it looks at the folder again.
const PART: u64 = 32;
/// A stamp younger than this spares the look when a cache is opened.
const FRESH: Duration = Duration::from_secs(3600);
/// A hit sets the time of its file anew if that is older than this.
const TOUCHED_FOR: Duration = Duration::from_secs(24 * 3600);
/// Temporary files older than this were left by a process that was killed.
const ABANDONED: Duration = Duration::from_secs(3600);

/// The bound of a folder, as one cache sees it.
pub(super) struct Bound {
    dir: PathBuf,
    bytes: u64,
    /// Written by this cache since the last look.
    written: AtomicU64,
    /// A thread is at it.
    looking: AtomicBool,
}

impl Bound {
    pub(super) fn new(dir: PathBuf, bytes: u64) -> Arc<Self> {
        Arc::new(Self { dir, bytes, written: AtomicU64::new(0), looking: AtomicBool::new(false) })
    }

    /// Looks at the folder, unless another process did a short while ago and found it small enough.
    pub(super) fn opened(self: &Arc<Self>) {
        if !is_fresh(&self.dir, self.bytes) {
            self.look();
        }
    }

    /// Counts what was written, and looks at the folder from time to time.
    pub(super) fn wrote(self: &Arc<Self>, bytes: u64) {
        self.written.fetch_add(bytes, SeqCst);
        if self.is_due() {
            self.look();
        }
    }

    fn is_due(&self) -> bool {
        self.written.load(SeqCst) >= (self.bytes / PART).max(1)
    }

    fn look(self: &Arc<Self>) {
        if self.looking.swap(true, SeqCst) {
            return;
        }
        let bound = self.clone();
        let work = move || {
            loop {
                bound.written.store(0, SeqCst);
                // A folder that cannot be read is told of where an entry is written.
                let _ = keep_below(&bound.dir, bound.bytes);
                bound.looking.store(false, SeqCst);
                // What was written meanwhile may be too much again.
                if !bound.is_due() || bound.looking.swap(true, SeqCst) {
                    break;
                }
            }
        };
        let thread = std::thread::Builder::new().name("teleprompt-cache".into()).spawn(work);
        if thread.is_err() {
            // It is done at the next occasion.
            self.looking.store(false, SeqCst);
        }
    }
}

/// A hit: the file was used, so it is to stay. At most once a day, since it costs a write.
pub(super) fn touch(file: &File) {
    let now = SystemTime::now();
    let modified = file.metadata().and_then(|meta| meta.modified());
    let old = modified.is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age > TOUCHED_FOR));
    if old {
        // If the folder is not ours to write, the entry just looks older than it is.
        let _ = file.set_modified(now);
    }
}

/// Removes the entries that were not used for the longest time from a cache folder, until the rest
/// has at most this many bytes, and tells what was removed. Processes that use the cache meanwhile
/// are not disturbed; if one of them is doing the same, this waits for it.
///
/// # Errors
/// The folder cannot be read, or a file cannot be removed.
pub fn prune(dir: &Path, to_bytes: u64) -> io::Result<CacheUse> {
    if !dir.is_dir() {
        return Ok(CacheUse::default());
    }
    let stamp = Stamp::wait_for(dir)?;
    let (removed, left) = remove_oldest(dir, to_bytes, to_bytes)?;
    stamp.write(left)?;
    Ok(removed)
}

/// Where there is more than the bound, goes somewhat below it: else each look would remove a little.
fn keep_below(dir: &Path, bytes: u64) -> io::Result<()> {
    if !dir.is_dir() {
        return Ok(());
    }
    let Some(stamp) = Stamp::take(dir)? else { return Ok(()) };
    let (_, left) = remove_oldest(dir, bytes, bytes - bytes / 8)?;
    stamp.write(left)
}

struct Found {
    used: SystemTime,
    bytes: u64,
    path: PathBuf,
}

/// What was removed, and the bytes that are left.
fn remove_oldest(dir: &Path, bound: u64, target: u64) -> io::Result<(CacheUse, u64)> {
    let mut found = Vec::new();
    let now = SystemTime::now();
    let is_old = |used| now.duration_since(used).is_ok_and(|age| age > ABANDONED);
    lock::sweep(&dir.join(lock::FOLDER), |meta| meta.modified().is_ok_and(is_old))?;
    each_entry(dir, |path, meta| {
        let used = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        if path.extension().is_some_and(|e| e == "json") {
            found.push(Found { used, bytes: meta.len(), path: path.to_owned() });
        } else if is_old(used) {
            remove(path)?;
        }
        Ok(())
    })?;
    let mut left: u64 = found.iter().map(|f| f.bytes).sum();
    let mut removed = CacheUse::default();
    if left > bound {
        found.sort_by_key(|f| f.used);
        for entry in found {
            if left <= target {
                break;
            }
            remove(&entry.path)?;
            left -= entry.bytes;
            removed.entries += 1;
            removed.bytes += entry.bytes;
        }
    }
    Ok((removed, left))
}

pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// The right to go through the folder, and the file that tells when that was done.
struct Stamp(File);

impl Stamp {
    fn path(dir: &Path) -> PathBuf {
        dir.join(lock::FOLDER).join("prune.lock")
    }

    fn open(dir: &Path) -> io::Result<File> {
        let path = Self::path(dir);
        files::create_private_dir(path.parent().unwrap_or(dir))?;
        files::private_options().create(true).truncate(false).write(true).open(&path)
    }

    fn wait_for(dir: &Path) -> io::Result<Self> {
        let file = Self::open(dir)?;
        file.lock()?;
        Ok(Self(file))
    }

    /// `None` if another one has it.
    fn take(dir: &Path) -> io::Result<Option<Self>> {
        let file = Self::open(dir)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn write(mut self, left: u64) -> io::Result<()> {
        use io::Write as _;
        self.0.set_len(0)?;
        self.0.write_all(left.to_string().as_bytes())
    }
}

fn is_fresh(dir: &Path, bound: u64) -> bool {
    let path = Stamp::path(dir);
    let age = fs::metadata(&path).and_then(|meta| meta.modified());
    let young = age.is_ok_and(|at| at.elapsed().is_ok_and(|age| age < FRESH));
    let left = fs::read_to_string(&path).ok().and_then(|text| text.parse::<u64>().ok());
    young && left.is_some_and(|left| left <= bound)
}

/// The bound of the cache on disk: the environment variable `TELEPROMPT_CACHE_BYTES` (such as
/// `500MiB`, see [`parse_bytes`]), else 10 GiB.
///
/// # Errors
/// [`Error::Config`]: the variable is no size.
pub fn disk_bytes_from_env() -> Result<u64> {
    match std::env::var("TELEPROMPT_CACHE_BYTES") {
        Ok(text) if !text.is_empty() => parse_bytes(&text)
            .map_err(|error| Error::Config(format!("TELEPROMPT_CACHE_BYTES: {error}"))),
        _ => Ok(DEFAULT_BYTES),
    }
}

/// A size in bytes: a number, which may have a unit of thousands (`kB`, `MB`, `GB`, `TB`) or of 1024
/// (`KiB`, `MiB`, `GiB`, `TiB`).
///
/// ```
/// use teleprompt::lm::cache::parse_bytes;
/// assert_eq!(parse_bytes("1.5 GiB").unwrap(), 3 << 29);
/// assert_eq!(parse_bytes("20MB").unwrap(), 20_000_000);
/// assert!(parse_bytes("much").is_err());
/// ```
///
/// # Errors
/// [`Error::Config`]: it is something else.
pub fn parse_bytes(text: &str) -> Result<u64> {
    const UNITS: [(&str, f64); 10] = [
        ("", 1.0),
        ("b", 1.0),
        ("kb", 1e3),
        ("mb", 1e6),
        ("gb", 1e9),
        ("tb", 1e12),
        ("kib", 1024.0),
        ("mib", 1_048_576.0),
        ("gib", 1_073_741_824.0),
        ("tib", 1_099_511_627_776.0),
    ];
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let unit = unit.trim().to_ascii_lowercase();
    let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| factor);
    match (number.parse::<f64>(), factor) {
        // Floats that do not fit saturate.
        (Ok(number), Some(factor)) => Ok((number * factor).round() as u64),
        _ => Err(Error::Config(format!("`{text}` is no size; write one such as 500MB or 10GiB"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        let cases = [
            ("0", 0),
            ("1024", 1024),
            ("1 kB", 1000),
            ("1KiB", 1024),
            (" 2 MiB ", 2 << 20),
            ("0.5gib", 1 << 29),
            ("1TiB", 1 << 40),
            ("12b", 12),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_bytes(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "GiB", "-1", "1 XB", "1.2.3", "1 GiB more"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
