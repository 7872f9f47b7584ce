//! The part of the cache that is on disk: one readable file an entry.
//!
//! A file is written under another name and moved into place, so readers in any process see all of
//! it or nothing.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use teleprompt_core::{Completion, FinishReason, LmRequest, LmResponse, LmSettings, Message};

use super::key::Key;
use super::lock::{self, Claim};
use super::prune::{self, Bound};
use crate::files;

/// The format of the files.
const VERSION: u32 = 1;
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
        let response = Some(entry.response).filter(|r| ours && is_worth_keeping(r))?;
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
        files::create_private_dir(path.parent().unwrap_or(&self.dir))?;
        let moved = write_private(&temporary, &text).and_then(|()| fs::rename(&temporary, &path));
        match &moved {
            Ok(()) => self.bound.wrote(text.len() as u64),
            // The disk may be full: leave nothing half written.
            Err(_) => drop(fs::remove_file(&temporary)),
        }
        moved
    }

    /// Waits until no other process asks for this key, and keeps others waiting until the result is
    /// dropped. `Ok` is the claim, if there can be one; `Err` is the entry, if another process wrote
    /// it meanwhile.
    pub(super) async fn claim(&self, key: &Key) -> Result<Option<Arc<Claim>>, LmResponse> {
        let (dir, hex) = (self.dir.join(lock::FOLDER), key.hex());
        let mut pause = Duration::from_millis(1);
        let mut waited = Duration::ZERO;
        while !self.no_locks.load(Relaxed) && waited < self.longest_wait {
            match lock::try_claim(&dir, &hex) {
                Ok(Some(claim)) => {
                    // The one before us may have written it between our look and our claim.
                    return self.get(key).map_or(Ok(Some(claim)), Err);
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

/// Whether the same request is to get this answer for good: not one that was cut off or withheld, or
/// in which there is nothing.
pub(super) fn is_worth_keeping(response: &LmResponse) -> bool {
    use FinishReason as F;
    let good = |c: &Completion| {
        let is_empty = c.text.is_empty() && c.tool_calls.is_empty() && c.reasoning.is_none();
        matches!(c.finish, F::Stop | F::Length | F::ToolCalls) && !is_empty
    };
    !response.completions.is_empty() && response.completions.iter().all(good)
}

fn write_private(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = files::private_options().create(true).truncate(true).write(true).open(path)?;
    file.write_all(text)
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

pub(super) fn list(dir: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(dir) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

pub(super) fn name_is_hex(path: &Path, digits: usize) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let stem = name.split('.').next().unwrap_or_default();
    stem.len() == digits && stem.bytes().all(|b| b.is_ascii_hexdigit())
}
