//! The file that a pull writes to until it is whole.

use std::fs::File;
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::{FetchError, Stop, StoreError};
use super::gguf;
use super::lock::PullLock;
use super::place::{Place, hash_into, hex};

/// What the bytes of a part belong to; kept beside it, so that a later pull can go on.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct Origin {
    pub url: String,
    /// The strong validator of the server that sent the bytes.
    pub etag: Option<String>,
    /// The checksum the hub gives for the file.
    pub sha256: Option<String>,
    pub size: Option<u64>,
}

/// A file being written, hashed as it grows.
#[derive(Debug)]
pub(super) struct Part {
    place: Place,
    path: PathBuf,
    file: File,
    hasher: Sha256,
    len: u64,
    origin: Origin,
    /// Work that outlives a dropped pull still holds the lock.
    _lock: Arc<PullLock>,
}

impl Part {
    /// Goes on with the part that an earlier pull of `url` left, or begins an empty one.
    pub(super) fn resume(
        place: &Place,
        url: &str,
        lock: Arc<PullLock>,
    ) -> Result<Self, StoreError> {
        let path = place.beside(PART);
        let saved: Option<Origin> = std::fs::read(place.beside(ORIGIN))
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .filter(|o: &Origin| o.url == url);
        let Some(origin) = saved else { return Self::fresh(place, url, lock) };
        let opened = File::options().read(true).write(true).open(&path);
        let mut file = match opened {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Self::fresh(place, url, lock),
            Err(e) => return Err(StoreError::io(&path, e)),
        };
        let mut hasher = Sha256::new();
        let len = hash_into(&mut file, &mut hasher).map_err(|e| StoreError::io(&path, e))?;
        Ok(Self { place: place.clone(), path, file, hasher, len, origin, _lock: lock })
    }

    /// Begins an empty part.
    pub(super) fn fresh(place: &Place, url: &str, lock: Arc<PullLock>) -> Result<Self, StoreError> {
        let path = place.beside(PART);
        remove(&place.beside(ORIGIN))?;
        let file = File::create(&path).map_err(|e| StoreError::io(&path, e))?;
        let origin = Origin { url: url.to_owned(), ..Origin::default() };
        let hasher = Sha256::new();
        Ok(Self { place: place.clone(), path, file, hasher, len: 0, origin, _lock: lock })
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The size of the whole file, if known.
    pub(super) fn total(&self) -> Option<u64> {
        self.place.size.or(self.origin.size)
    }

    /// Whether more bytes may be added to those that are there: only with a validator or a checksum
    /// it is sure that they will belong to the same file.
    pub(super) fn can_grow(&self) -> bool {
        let Origin { etag, sha256, .. } = &self.origin;
        self.len == 0 || etag.is_some() || sha256.is_some() || self.place.sha256.is_some()
    }

    pub(super) fn is_complete(&self) -> bool {
        self.len > 0 && self.total() == Some(self.len)
    }

    /// Notes what the bytes that follow belong to.
    pub(super) fn set_origin(&mut self, origin: Origin) -> Result<(), StoreError> {
        let path = self.place.beside(ORIGIN);
        let text = serde_json::to_vec(&origin).map_err(|e| StoreError::io(&path, e.into()))?;
        std::fs::write(&path, text).map_err(|e| self.write_error(e, 0))?;
        self.origin = origin;
        Ok(())
    }

    /// Throws all bytes away.
    pub(super) fn reset(&mut self) -> Result<(), StoreError> {
        let io = |e| StoreError::io(&self.path, e);
        self.file.set_len(0).map_err(io)?;
        self.file.seek(SeekFrom::Start(0)).map_err(io)?;
        self.hasher = Sha256::new();
        self.len = 0;
        Ok(())
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        let found = self.len + bytes.len() as u64;
        if let Some(expected) = self.total().filter(|total| found > *total) {
            self.discard()?;
            return Err(FetchError::WrongSize { expected, found }.into());
        }
        if let Err(e) = self.file.write_all(bytes) {
            let error = self.write_error(e, bytes.len() as u64);
            // A half-written piece is not in the hash; the next pull reads what is on the disk.
            return Err(error.into());
        }
        self.hasher.update(bytes);
        self.len = found;
        Ok(())
    }

    /// Checks the bytes and moves them to their place; wrong bytes are removed.
    pub(super) fn finish(&mut self) -> Result<(), Stop> {
        if let Err(problem) = self.check() {
            self.discard()?;
            return Err(problem.into());
        }
        self.file.sync_all().map_err(|e| self.write_error(e, 0))?;
        let found = hex(self.hasher.clone());
        let place = &self.place;
        std::fs::rename(&self.path, &place.path).map_err(|e| StoreError::io(&place.path, e))?;
        place.mark(&found);
        remove(&place.beside(ORIGIN))?;
        Ok(())
    }

    fn check(&self) -> Result<(), FetchError> {
        if let Some(expected) = self.total().filter(|total| *total != self.len) {
            return Err(FetchError::WrongSize { expected, found: self.len });
        }
        let found = hex(self.hasher.clone());
        let expected = self.place.sha256.as_ref().or(self.origin.sha256.as_ref());
        if let Some(expected) = expected.filter(|sha256| **sha256 != found) {
            return Err(FetchError::WrongChecksum { expected: expected.clone(), found });
        }
        // A pinned file is known to be a model; any other may be an error page.
        if self.place.sha256.is_none() {
            gguf::check_file(&self.path).map_err(FetchError::BadModel)?;
        }
        Ok(())
    }

    /// Removes the part.
    pub(super) fn discard(&mut self) -> Result<(), StoreError> {
        remove(&self.path)?;
        remove(&self.place.beside(ORIGIN))
    }

    /// Removes a part that holds nothing.
    pub(super) fn discard_empty(&mut self) -> Result<(), StoreError> {
        if self.len == 0 { self.discard() } else { Ok(()) }
    }

    fn write_error(&self, source: std::io::Error, at_least: u64) -> StoreError {
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StoreError::DiskFull {
                dir: self.place.dir().to_owned(),
                needed: self.total().map_or(at_least, |total| total.saturating_sub(self.len)),
            },
            _ => StoreError::io(&self.path, source),
        }
    }
}

const PART: &str = ".part";
const ORIGIN: &str = ".part.json";

fn remove(path: &std::path::Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(StoreError::io(path, e)),
        _ => Ok(()),
    }
}

/// A part that async code works on, each step on a thread that may block.
#[derive(Clone)]
pub(super) struct SharedPart(Arc<Mutex<Part>>);

impl SharedPart {
    /// Opens the part on a thread that may block.
    pub(super) async fn open(
        open: impl FnOnce() -> Result<Part, StoreError> + Send + 'static,
    ) -> Result<Self, StoreError> {
        let part = blocking(open).await??;
        Ok(Self(Arc::new(Mutex::new(part))))
    }

    /// Reads something small, at once.
    pub(super) fn peek<T>(&self, read: impl FnOnce(&Part) -> T) -> T {
        read(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Works on the part, on a thread that may block.
    pub(super) async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Part) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let part = Arc::clone(&self.0);
        blocking(move || work(&mut part.lock().unwrap_or_else(PoisonError::into_inner))).await
    }
}

/// Runs `work` on a thread that may block; a panic in it goes on here.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => Ok(value),
        Err(e) if e.is_panic() => std::panic::resume_unwind(e.into_panic()),
        Err(e) => Err(StoreError::io("the model store".as_ref(), std::io::Error::other(e))),
    }
}
