//! Studies: one compile run each, as an append-only journal.
//!
//! A [`Study`] knows what it is about by hash ([`Identity`]) and keeps every evaluation and every
//! bootstrapped trace as an event. State is replay: a study that was killed at any byte goes on,
//! and nothing that was journaled is paid again, because recipes ask the study before they run
//! anything. With the same replies it decides the same.

mod event;
mod identity;
mod journal;
mod known;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use teleprompt_core::{Error, Result};

pub use event::{Asked, By, Calibration, Event, Run, Split};
pub use identity::{Identity, Source};
use journal::Journal;
use known::Known;
pub use known::{CandidateFacts, Spend};

/// What to do when a study of this name is about something else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnChange {
    /// Refuse, showing what changed.
    #[default]
    Refuse,
    /// Go on under a new name, `NAME-2` and so on, keeping all that still holds.
    Fork,
}

/// One compile run.
#[derive(Debug)]
pub struct Study {
    name: String,
    path: PathBuf,
    journal: Mutex<Journal>,
    known: Mutex<Known>,
}

impl Study {
    /// Opens the study of this name under `dir`, or starts it.
    ///
    /// # Errors
    /// [`Error::Study`]: it is about something else, is being run by another process, or its journal
    /// is not one. [`Error::Io`]: it cannot be read or written.
    pub fn open(dir: &Path, name: &str, identity: &Identity, on_change: OnChange) -> Result<Self> {
        check_name(name)?;
        let path = dir.join(name).join("journal.jsonl");
        let (journal, events) = Journal::open(&path)?;
        let before = events.iter().find_map(Event::identity);
        match before.map(|old| old.differences(identity)) {
            None => Self::begin(name, path, journal, identity, Vec::new()),
            Some(changes) if changes.is_empty() => {
                let study = Self::with(name, path, journal, events);
                study.record(Event::Resumed {})?;
                Ok(study)
            }
            Some(_) if on_change == OnChange::Fork => Self::fork(dir, name, identity, &events),
            Some(changes) => Err(Error::Study(format!(
                "the study `{name}` is about something else:\n  {}\n  run it under another name, or \
                 go on from it with --fork",
                changes.join("\n  ")
            ))),
        }
    }

    fn begin(
        name: &str,
        path: PathBuf,
        journal: Journal,
        identity: &Identity,
        kept: Vec<Event>,
    ) -> Result<Self> {
        let study = Self::with(name, path, journal, Vec::new());
        study.record(Event::Started { identity: Box::new(identity.clone()) })?;
        for event in kept {
            study.record(event)?;
        }
        Ok(study)
    }

    /// Results are kept by what they are results of, so those that still hold are found again.
    fn fork(dir: &Path, name: &str, identity: &Identity, events: &[Event]) -> Result<Self> {
        for n in 2.. {
            let fork = format!("{name}-{n}");
            let path = dir.join(&fork).join("journal.jsonl");
            let (journal, old) = Journal::open(&path)?;
            match old.iter().find_map(Event::identity).map(|i| i.differences(identity).is_empty()) {
                Some(true) => return Ok(Self::with(&fork, path, journal, old)),
                Some(false) => {}
                None => {
                    let results = events.iter().filter(|e| e.is_result());
                    let kept = results.cloned().map(Event::without_usage);
                    return Self::begin(&fork, path, journal, identity, kept.collect());
                }
            }
        }
        Err(Error::Study(format!("`{name}` has too many forks")))
    }

    fn with(name: &str, path: PathBuf, journal: Journal, events: Vec<Event>) -> Self {
        let mut known = Known::default();
        for event in events {
            if event.is_derived() {
                known.is_news(&event);
            }
            known.take(event);
        }
        Self { name: name.into(), path, journal: Mutex::new(journal), known: Mutex::new(known) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its journal.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends an event; it is on disk when this returns. A proposal, decision or remark that the
    /// journal has is not written again: a study that goes on comes by it once more.
    ///
    /// # Errors
    /// The journal cannot be written. What was written before stays good.
    pub fn record(&self, event: Event) -> Result<()> {
        if event.is_derived() && !self.known().is_news(&event) {
            return Ok(());
        }
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).append(&event)?;
        self.known().take(event);
        Ok(())
    }

    /// The run journaled under this key.
    pub fn run(&self, key: &str) -> Option<Run> {
        self.known().runs.get(key).cloned()
    }

    /// The answer journaled under this key.
    pub fn asked(&self, key: &str) -> Option<Asked> {
        self.known().asked.get(key).cloned()
    }

    /// The calibration journaled under this key.
    pub fn calibration(&self, key: &str) -> Option<Calibration> {
        self.known().calibrations.get(key).cloned()
    }

    /// What all sessions of the study used together, by what for.
    pub fn spent(&self) -> Spend {
        self.known().spent
    }

    /// What is known of each candidate, in the order in which they were made.
    pub fn candidates(&self) -> Vec<CandidateFacts> {
        self.known().candidates.clone()
    }

    /// The remarks of the recipe, each once.
    pub fn notes(&self) -> Vec<String> {
        self.known().notes.clone()
    }

    /// Seconds that earlier sessions took.
    pub fn seconds(&self) -> f64 {
        self.known().seconds
    }

    /// Number of events so far.
    pub fn events(&self) -> usize {
        self.known().events
    }
}

fn check_name(name: &str) -> Result<()> {
    let good = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.is_empty() && !name.starts_with('.') && name.chars().all(good) {
        return Ok(());
    }
    Err(Error::Study(format!(
        "`{name}` is no name for a study: use letters, digits, `-`, `_`, `.`"
    )))
}

/// Where studies are kept unless told otherwise: `.teleprompt/studies` in the working directory, or
/// TELEPROMPT_STUDIES_DIR.
pub fn default_dir() -> PathBuf {
    std::env::var_os("TELEPROMPT_STUDIES_DIR")
        .map_or_else(|| PathBuf::from(".teleprompt").join("studies"), PathBuf::from)
}
