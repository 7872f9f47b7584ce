//! Answers to requests that were made before, from memory or disk.

mod disk;
mod flight;
mod key;
mod lock;
mod memory;
mod prune;

pub use disk::{CacheUse, WarningSink, clear, stats};
pub use prune::{disk_bytes_from_env, parse_bytes, prune};

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use teleprompt_core::{Lm, LmChunk, LmError, LmRequest, LmResponse, LmStream};

use super::forward::{begin_later, forward, pieces};
use disk::{Disk, is_worth_keeping};
use flight::{Flights, Joined, Leader};
pub(crate) use key::Key;
use lock::Claim;
use memory::Memory;

/// How much a [`Cached`] keeps, and where.
#[derive(Clone)]
pub struct CacheConfig {
    /// The folder of the entries on disk; `None` keeps them in memory alone. Default: `None`.
    pub dir: Option<PathBuf>,
    /// Most entries in memory. Default: 100,000.
    pub memory_entries: usize,
    /// Most bytes in memory, roughly. Default: 256 MiB.
    pub memory_bytes: usize,
    /// Most bytes on disk. Entries that were not used for the longest time (to within a day) are
    /// removed by a thread of its own: when a cache is opened, at most once an hour, and whenever a
    /// process has written a thirty-second part of this. Default: 10 GiB.
    pub disk_bytes: u64,
    /// How long to wait for another one that asks the same, in this process or another, before
    /// asking too. Default: 10 min.
    pub longest_wait: Duration,
    /// Gets the warning that the folder cannot be written. Default: a line on standard error.
    pub warn: WarningSink,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            dir: None,
            memory_entries: 100_000,
            memory_bytes: 256 << 20,
            disk_bytes: prune::DEFAULT_BYTES,
            longest_wait: Duration::from_secs(600),
            warn: Arc::new(|warning| eprintln!("warning: {warning}")),
        }
    }
}

impl CacheConfig {
    /// The defaults, with entries on disk too.
    pub fn on_disk(dir: impl Into<PathBuf>) -> Self {
        Self { dir: Some(dir.into()), ..Self::default() }
    }
}

impl fmt::Debug for CacheConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheConfig")
            .field("dir", &self.dir)
            .field("memory_entries", &self.memory_entries)
            .field("memory_bytes", &self.memory_bytes)
            .field("disk_bytes", &self.disk_bytes)
            .field("longest_wait", &self.longest_wait)
            .finish_non_exhaustive()
    }
}

/// The usual folder for entries: `lm` in [`cache_root`](crate::dirs::cache_root).
pub fn default_dir() -> PathBuf {
    crate::dirs::cache_root().join("lm")
}

/// Answers equal requests once: the LM gets the first, all others get its answer.
///
/// - Equal means: the same [`Lm::identity`] and the same request in every part, settings,
///   constraint and [`rollout`](LmRequest::rollout) included. That holds at any temperature: above 0
///   the first sample is kept and given again, so that a run can be repeated; who wants another
///   sample asks with another rollout.
/// - Equal requests at the same time make one call, among the tasks of this cache and, with a folder
///   on disk, among processes. If it fails, all who wait for it get the error; errors are not kept.
/// - Nor is an answer that was cut off by anything but the token limit, or withheld, or in which a
///   completion has neither text nor reasoning nor tool calls: those who wait for it get it, and who
///   comes later asks again.
/// - An answer from the cache has `usage.cache_hits` 1 and the tokens of the call that made it.
/// - An entry on disk is one JSON file that holds the answer, the identity and the begin of each
///   message; only its user can read it, where the system has such rights. One that cannot be read is overwritten. If the folder cannot be written, there is one
///   warning, and the cache goes on in memory.
///
/// ```
/// use teleprompt::lm::Cached;
/// use teleprompt::{Lm, LmRequest, Message};
/// use teleprompt_testkit::ScriptedLm;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let lm = Cached::in_memory(ScriptedLm::replies(["first", "second"]));
/// let mut request = LmRequest::new(vec![Message::user("hi")]);
/// assert_eq!(lm.generate(&request).await.unwrap().usage.cache_hits, 0);
/// assert_eq!(lm.generate(&request).await.unwrap().usage.cache_hits, 1);
/// request.rollout = 1;
/// assert_eq!(lm.generate(&request).await.unwrap().completions[0].text, "second");
/// # }
/// ```
pub struct Cached<L> {
    inner: L,
    identity: Arc<str>,
    memory: Memory,
    disk: Option<Arc<Disk>>,
    flights: Flights,
    longest_wait: Duration,
}

impl<L: Lm> Cached<L> {
    /// Wraps an LM, whose identity must not change afterwards.
    pub fn new(inner: L, config: CacheConfig) -> Self {
        let disk =
            |dir| Arc::new(Disk::new(dir, config.warn, config.longest_wait, config.disk_bytes));
        Self {
            identity: inner.identity().into(),
            inner,
            memory: Memory::new(config.memory_entries, config.memory_bytes),
            disk: config.dir.map(disk),
            flights: Flights::default(),
            longest_wait: config.longest_wait,
        }
    }

    /// Wraps an LM, with the defaults: nothing on disk.
    pub fn in_memory(inner: L) -> Self {
        Self::new(inner, CacheConfig::default())
    }

    /// The answer if there is one, else the duty to get it.
    async fn enter(&self, request: &LmRequest) -> Entry {
        let key = Key::of(&self.identity, request);
        if let Some(found) = self.memory.get(&key) {
            return Entry::Answer(Ok(hit(&found)));
        }
        let leader = match self.flights.join(key, self.longest_wait).await {
            Joined::Landed(outcome) => return Entry::Answer(outcome.map(|r| hit(&r))),
            Joined::TooLong => {
                return Entry::Duty(Duty { key, leader: None, claim: None });
            }
            Joined::Leader(leader) => leader,
        };
        // Another flight may have landed between our look and our joining.
        if let Some(found) = self.memory.get(&key) {
            leader.land(Ok(found.clone()));
            return Entry::Answer(Ok(hit(&found)));
        }
        let Some(disk) = &self.disk else {
            return Entry::Duty(Duty { key, leader: Some(leader), claim: None });
        };
        // A small file of a local disk takes less time than handing it to another thread.
        let found = match disk.get(&key) {
            Some(response) => Err(response),
            None => disk.claim(&key).await,
        };
        match found {
            Ok(claim) => Entry::Duty(Duty { key, leader: Some(leader), claim }),
            Err(response) => {
                let found = Arc::new(response);
                self.memory.put(key, found.clone());
                leader.land(Ok(found.clone()));
                Entry::Answer(Ok(hit(&found)))
            }
        }
    }

    /// Keeps a good answer and hands it, or the error, to all who wait.
    async fn settle(&self, duty: Duty, request: &LmRequest, outcome: &Result<LmResponse, LmError>) {
        let Duty { key, leader, claim } = duty;
        let land = |outcome| {
            if let Some(leader) = leader {
                leader.land(outcome);
            }
        };
        let response = match outcome {
            Ok(response) => Arc::new(response.clone()),
            Err(error) => return land(Err(error.clone())),
        };
        if !is_worth_keeping(&response) {
            return land(Ok(response));
        }
        self.memory.put(key, response.clone());
        if let Some(disk) = self.disk.clone() {
            let (identity, request) = (self.identity.clone(), request.clone());
            let response = response.clone();
            let write = move || {
                disk.put(&key, &identity, &request, &response);
                // Other processes wait for the file, so the claim is held until it is there.
                drop(claim);
            };
            run_blocking(write).await;
        }
        land(Ok(response));
    }

    fn kinds(&self) -> &'static str {
        if self.disk.is_some() { "memory+disk" } else { "memory" }
    }
}

enum Entry {
    Answer(Result<LmResponse, LmError>),
    Duty(Duty),
}

/// Who holds this asks the LM and settles. Dropping it leaves the duty to the next in line.
struct Duty {
    key: Key,
    /// `None`: someone else leads, for too long.
    leader: Option<Leader>,
    claim: Option<Arc<Claim>>,
}

/// The answer as one from the cache.
fn hit(kept: &LmResponse) -> LmResponse {
    let mut response = kept.clone();
    response.usage = kept.usage.as_cache_hit();
    response
}

/// Off the runtime's threads if there is a runtime. The work is done even if the caller goes away.
async fn run_blocking(work: impl FnOnce() + Send + 'static) {
    match tokio::runtime::Handle::try_current() {
        // It fails only if the runtime is shutting down; then the entry is not kept.
        Ok(runtime) => drop(runtime.spawn_blocking(work).await),
        Err(_) => work(),
    }
}

impl<L: Lm> Lm for Cached<L> {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        match self.enter(request).await {
            Entry::Answer(answer) => answer,
            Entry::Duty(duty) => {
                let outcome = self.inner.generate(request).await;
                self.settle(duty, request, &outcome).await;
                outcome
            }
        }
    }

    /// A kept answer comes in one piece.
    fn stream<'a>(&'a self, request: &'a LmRequest) -> LmStream<'a> {
        begin_later(async move {
            Ok(match self.enter(request).await {
                Entry::Answer(answer) => stream::iter(pieces(answer)).boxed(),
                Entry::Duty(duty) => self.watched(duty, request),
            })
        })
    }

    fn identity(&self) -> String {
        self.identity.to_string()
    }

    forward!(inner: name, capabilities, count_tokens, price);

    fn describe(&self) -> String {
        format!("cache({}) → {}", self.kinds(), self.inner.describe())
    }
}

impl<L: Lm> Cached<L> {
    /// The LM's stream, settled at its end.
    fn watched<'a>(&'a self, duty: Duty, request: &'a LmRequest) -> LmStream<'a> {
        let chunks = self.inner.stream(request);
        let state = (chunks, Some(duty));
        stream::unfold(state, move |(mut chunks, mut duty)| async move {
            let chunk = chunks.next().await?;
            let outcome = match &chunk {
                Ok(LmChunk::Done(response)) => Some(Ok(response.clone())),
                Ok(_) => None,
                Err(error) => Some(Err(error.clone())),
            };
            if let Some((outcome, duty)) = outcome.and_then(|o| Some((o, duty.take()?))) {
                self.settle(duty, request, &outcome).await;
            }
            Some((chunk, (chunks, duty)))
        })
        .boxed()
    }
}

impl<L: Lm> fmt::Debug for Cached<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cached({})", self.describe())
    }
}
