//! The part of the cache that is on disk: one readable file an entry.
//!
//! A file is written under another name and moved into place, so readers in any process see all of
//! it or nothing. Who is about to ask the LM holds the lock of a stripe file, so that another
//! process waits for the entry and does not ask too.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use teleprompt_core::{LmRequest, LmResponse, LmSettings, Message};

use super::key::Key;
use super::prune::{self, Bound};

/// The format of the files.
const VERSION: u32 = 1;
/// Stripe files; more of them make it rarer that calls of two processes wait for nothing.
const STRIPES: u16 = 1024;
/// Most characters of a message that an entry shows.
const SHOWN: usize = 200;
/// The longest time between two looks at a lock that another process holds.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Takes a warning; called at most a few times in the life of a cache.
pub type WarningSink = Arc<dyn Fn(&str) + Send + Sync>;

/// A file of the cache, as it is written.
#[derive(Serialize)]
struct EntryOut<'a> {
    teleprompt_lm_cache: u32,
    key: &'a str,
    lm: &'a str,
    request: RequestShown<'a>,
    response: &'a LmResponse,
}

/// What a person wants to know of the request; it is never read back.
#[derive(Serialize)]
struct RequestShown<'a> {
    messages: Vec<Message>,
    settings: &'a LmSettings,
    n: u32,
    rollout: u64,
}

/// A file of the cache, as it is read.
#[derive(Deserialize)]
struct EntryIn {
    teleprompt_lm_cache: u32,
    key: String,
    response: LmResponse,
}

pub(super) struct Disk {
    dir: PathBuf,
    warn: WarningSink,
    read_only: AtomicBool,
    no_locks: AtomicBool,
    longest_wait: Duration,
    bound: Arc<Bound>,
}

/// The stripes that this process holds. All caches share them: one inside another would otherwise
/// wait for the outer one's lock.
static HELD: Mutex<BTreeMap<PathBuf, Weak<Stripe>>> = Mutex::new(BTreeMap::new());

/// A stripe whose lock this process holds, until the last clone is dropped.
#[derive(Debug)]
pub(super) struct Stripe {
    _file: File,
}

impl Disk {
    pub(super) fn new(
        dir: PathBuf,
        warn: WarningSink,
        longest_wait: Duration,
        most_bytes: u64,
    ) -> Self {
        let bound = Bound::new(dir.clone(), most_bytes);
        bound.opened();
        Self {
            bound,
            dir,
            warn,
            read_only: AtomicBool::new(false),
            no_locks: AtomicBool::new(false),
            longest_wait,
        }
    }

    /// The entry of this key; what cannot be read or is of another kind counts as missing.
    pub(super) fn get(&self, key: &Key) -> Option<LmResponse> {
        let hex = key.hex();
        let mut file = File::open(self.path(&hex)).ok()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        let entry: EntryIn = serde_json::from_slice(&bytes).ok()?;
        let ours = entry.teleprompt_lm_cache == VERSION && entry.key == hex;
        let response = Some(entry.response).filter(|r| ours && !r.completions.is_empty())?;
        prune::touch(&file);
        Some(response)
    }

    /// Writes the entry. A failure is warned of once and ends the writing.
    pub(super) fn put(&self, key: &Key, identity: &str, request: &LmRequest, r: &LmResponse) {
        if self.read_only.load(Relaxed) {
            return;
        }
        let written = self.write(key, identity, request, r);
        if let Err(error) = written {
            self.give_up(&self.read_only, &error, "answers are kept in memory only");
        }
    }

    fn write(
        &self,
        key: &Key,
        identity: &str,
        request: &LmRequest,
        response: &LmResponse,
    ) -> io::Result<()> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let hex = key.hex();
        let entry = EntryOut {
            teleprompt_lm_cache: VERSION,
            key: &hex,
            lm: identity,
            request: RequestShown {
                messages: request.messages.iter().map(shown).collect(),
                settings: &request.settings,
                n: request.n,
                rollout: request.rollout,
            },
            response,
        };
        let mut text = serde_json::to_vec(&entry)?;
        text.push(b'\n');
        let path = self.path(&hex);
        let number = COUNTER.fetch_add(1, Relaxed);
        let temporary = path.with_extension(format!("{}-{number}.tmp", std::process::id()));
        fs::create_dir_all(path.parent().unwrap_or(&self.dir))?;
        let moved = fs::write(&temporary, &text).and_then(|()| fs::rename(&temporary, &path));
        match &moved {
            Ok(()) => self.bound.wrote(text.len() as u64),
            // The disk may be full: leave nothing half written.
            Err(_) => drop(fs::remove_file(&temporary)),
        }
        moved
    }

    /// Waits until no other process asks for this key (or one that shares its stripe), and keeps
    /// others waiting until the result is dropped. `Ok` is the lock, if there can be one; `Err` is
    /// the entry, if another process wrote it meanwhile.
    pub(super) async fn lock(&self, key: &Key) -> Result<Option<Arc<Stripe>>, LmResponse> {
        let mut pause = Duration::from_millis(1);
        let mut waited = Duration::ZERO;
        while !self.no_locks.load(Relaxed) && waited < self.longest_wait {
            match self.try_lock(key.small() % STRIPES) {
                Ok(Some(stripe)) => {
                    // The one before us may have written it between our look and our lock.
                    return self.get(key).map_or(Ok(Some(stripe)), Err);
                }
                Ok(None) => {}
                Err(error) => {
                    self.give_up(&self.no_locks, &error, "two processes may ask the same twice");
                    break;
                }
            }
            sleep(pause).await;
            waited += pause;
            pause = (pause * 2).min(LONGEST_PAUSE);
            if let Some(response) = self.get(key) {
                return Err(response);
            }
        }
        Ok(None)
    }

    /// The lock of the stripe, shared within this process; `None` if another process has it.
    fn try_lock(&self, index: u16) -> io::Result<Option<Arc<Stripe>>> {
        let dir = self.dir.join("locks");
        let path = dir.join(format!("{index:03x}.lock"));
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stripe) = held.get(&path).and_then(Weak::upgrade) {
            return Ok(Some(stripe));
        }
        let mut options = File::options();
        options.create(true).truncate(false).write(true);
        let opened = options.open(&path).or_else(|_| {
            fs::create_dir_all(&dir)?;
            options.open(&path)
        });
        let file = opened?;
        match file.try_lock() {
            Ok(()) => {
                let stripe = Arc::new(Stripe { _file: file });
                held.insert(path, Arc::downgrade(&stripe));
                Ok(Some(stripe))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn give_up(&self, on: &AtomicBool, error: &io::Error, consequence: &str) {
        if !on.swap(true, Relaxed) {
            let dir = self.dir.display();
            (self.warn)(&format!(
                "the LM cache in {dir} cannot be written ({error}): {consequence}"
            ));
        }
    }

    fn path(&self, hex: &str) -> PathBuf {
        let (folder, _) = hex.split_at(2);
        self.dir.join(folder).join(format!("{hex}.json"))
    }
}

fn shown(message: &Message) -> Message {
    match message.content.char_indices().nth(SHOWN) {
        None => Message::new(message.role, message.content.to_string()),
        Some((at, _)) => {
            let begin = message.content.get(..at).unwrap_or_default();
            Message::new(message.role, format!("{begin}…"))
        }
    }
}

/// On tokio's clock if there is one; a cache may be used under another executor.
async fn sleep(time: Duration) {
    if tokio::runtime::Handle::try_current().is_ok() {
        tokio::time::sleep(time).await;
    } else {
        std::thread::sleep(time);
    }
}

/// What is in a cache folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CacheUse {
    /// Answers.
    pub entries: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

/// Counts the entries in a cache folder; one that does not exist is empty.
///
/// # Errors
/// The folder cannot be read.
pub fn stats(dir: &Path) -> io::Result<CacheUse> {
    each_entry(dir, |_, _| Ok(()))
}

/// Removes all entries from a cache folder and tells what they were. Other files stay; processes
/// that use the cache meanwhile are not disturbed.
///
/// # Errors
/// The folder cannot be read, or a file cannot be removed.
pub fn clear(dir: &Path) -> io::Result<CacheUse> {
    each_entry(dir, |path, _| prune::remove(path))
}

/// Goes through all entries and half-written ones.
pub(super) fn each_entry(
    dir: &Path,
    mut act: impl FnMut(&Path, &fs::Metadata) -> io::Result<()>,
) -> io::Result<CacheUse> {
    let mut sum = CacheUse::default();
    for folder in list(dir)?.into_iter().filter(|f| name_is_hex(f, 2) && f.is_dir()) {
        for path in list(&folder)?.into_iter().filter(|p| name_is_hex(p, 64)) {
            let Ok(meta) = fs::metadata(&path) else { continue };
            act(&path, &meta)?;
            // A file that a killed process left half written is removed, but is no entry.
            if path.extension().is_some_and(|e| e == "json") {
                sum.entries += 1;
                sum.bytes += meta.len();
            }
        }
    }
    Ok(sum)
}

fn list(dir: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(dir) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn name_is_hex(path: &Path, digits: usize) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let stem = name.split('.').next().unwrap_or_default();
    stem.len() == digits && stem.bytes().all(|b| b.is_ascii_hexdigit())
}
