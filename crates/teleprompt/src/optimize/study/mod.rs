//! Studies: one compile run each, as an append-only journal.
//!
//! A [`Study`] knows what it is about by hash ([`Identity`]) and keeps every evaluation and every
//! bootstrapped trace as an event. State is replay: a study that was killed at any byte goes on,
//! and nothing that was journaled is paid again, because recipes ask the study before they run
//! anything. With the same replies it decides the same.
//!
//! An event is safe from a killed process when [`Study::record`] returns; a power cut can take the
//! last seconds of events with it, and leaves a journal that goes on. A long journal has a snapshot
//! beside it, which only saves time. [`Archive`] reads studies without running them.

mod archive;
mod command;
mod event;
mod identity;
mod inner;
mod journal;
mod known;
mod snapshot;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use teleprompt_core::{Error, Result};

pub use archive::{Archive, State};
pub use command::Command;
pub use event::{Asked, By, Calibration, Event, Judged, Run, Split};
pub use identity::{FORMAT, Identity, Source};
use inner::Inner;
use journal::Journal;
pub use known::{CandidateFacts, Part, Spend};

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
    inner: Mutex<Inner>,
}

impl Study {
    /// Opens the study of this name under `dir`, or starts it.
    ///
    /// # Errors
    /// [`Error::Study`]: it is about something else, is being run by another process, or its journal
    /// is none of this version. [`Error::Io`]: it cannot be read or written.
    pub fn open(dir: &Path, name: &str, identity: &Identity, on_change: OnChange) -> Result<Self> {
        check_name(name)?;
        let study = Self::at(dir, name)?;
        match study.changes(identity) {
            None => study.begun(identity),
            Some(changes) if changes.is_empty() => study.resumed(),
            Some(_) if on_change == OnChange::Fork => study.forked(dir, identity),
            Some(changes) => Err(Error::Study(format!(
                "the study `{name}` is about something else:\n  {}\n  run it under another name, or \
                 go on from it with --fork",
                changes.join("\n  ")
            ))),
        }
    }

    fn at(dir: &Path, name: &str) -> Result<Self> {
        let path = dir.join(name).join("journal.jsonl");
        let inner = Mutex::new(Inner::open(Journal::open(&path)?)?);
        Ok(Self { name: name.into(), path, inner })
    }

    /// What is not the same as it was; none for a study that has not begun.
    fn changes(&self, identity: &Identity) -> Option<Vec<String>> {
        self.inner().known.identity.as_ref().map(|old| old.differences(identity))
    }

    fn begun(self, identity: &Identity) -> Result<Self> {
        self.record(Event::Started { identity: Box::new(identity.clone()) })?;
        Ok(self)
    }

    fn resumed(self) -> Result<Self> {
        self.inner().known.try_outages_again();
        self.record(Event::Resumed {})?;
        Ok(self)
    }

    /// Goes on under a new name. Results are kept by what they are results of, so those that still
    /// hold are found again.
    fn forked(self, dir: &Path, identity: &Identity) -> Result<Self> {
        for n in 2.. {
            let fork = Self::at(dir, &format!("{}-{n}", self.name))?;
            match fork.changes(identity) {
                Some(changes) if changes.is_empty() => return fork.resumed(),
                Some(_) => {}
                None => return self.copied(dir, fork, identity),
            }
        }
        Err(Error::Study(format!("`{}` has too many forks", self.name)))
    }

    /// Begins an empty study with all results. They are written beside its journal, which they
    /// become when they are whole: a copy that was cut off would pass for all that was known.
    fn copied(&self, dir: &Path, fork: Self, identity: &Identity) -> Result<Self> {
        const PART: &str = ".copying";
        let folder = dir.join(&fork.name);
        let part = folder.join(PART);
        let clear = || match std::fs::remove_dir_all(&part) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(&part, &e)),
            _ => Ok(()),
        };
        clear()?;
        let copy = Self::at(&folder, PART)?.begun(identity)?;
        self.inner().journal.each(0, |event, _| match event.is_result() {
            true => copy.record(event.inherited()),
            false => Ok(()),
        })?;
        copy.inner().journal.sync()?;
        std::fs::rename(copy.path(), &fork.path).map_err(|e| Error::io(&fork.path, &e))?;
        drop(copy);
        clear()?;
        // The empty journal is locked until here, so that no other process copies at the same time.
        Self::at(dir, &fork.name)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its journal.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends an event; a killed process does not lose it once this returns. A proposal, decision or
    /// remark that the journal has is not written again: a study that goes on comes by it once more.
    ///
    /// # Errors
    /// The journal cannot be written. What was written before stays good.
    pub fn record(&self, event: Event) -> Result<()> {
        self.inner().record(event)
    }

    /// The run journaled under this key.
    pub fn run(&self, key: &str) -> Option<Run> {
        let mut inner = self.inner();
        let place = inner.known.run(key);
        match inner.event(place)? {
            Event::Ran { key: found, run, .. } if found == key => Some(run),
            _ => None,
        }
    }

    /// The answer journaled under this key.
    pub fn asked(&self, key: &str) -> Option<Asked> {
        let mut inner = self.inner();
        let place = inner.known.asked.get(key).copied();
        match inner.event(place)? {
            Event::Asked { key: found, asked, .. } if found == key => Some(asked),
            _ => None,
        }
    }

    /// The calibration journaled under this key.
    pub fn calibration(&self, key: &str) -> Option<Calibration> {
        let mut inner = self.inner();
        let place = inner.known.calibrations.get(key).copied();
        match inner.event(place)? {
            Event::Calibrated { key: found, calibration, .. } if found == key => Some(calibration),
            _ => None,
        }
    }

    /// The score of outputs that no run gave, journaled under this key.
    pub fn judged(&self, key: &str) -> Option<Judged> {
        let mut inner = self.inner();
        let place = inner.known.judged.get(key).copied();
        match inner.event(place)? {
            Event::Judged { key: found, judged, .. } if found == key => Some(judged),
            _ => None,
        }
    }

    /// What all sessions of the study used together, by what for.
    pub fn spent(&self) -> Spend {
        self.inner().known.spent
    }

    /// What is known of each candidate, in the order in which they were made.
    pub fn candidates(&self) -> Vec<CandidateFacts> {
        self.inner().known.candidates.clone()
    }

    /// The remarks of the recipe, each once.
    pub fn notes(&self) -> Vec<String> {
        self.inner().known.notes.clone()
    }

    /// Seconds that earlier sessions took.
    pub fn seconds(&self) -> f64 {
        self.inner().known.seconds
    }

    /// Number of events so far.
    pub fn events(&self) -> usize {
        self.inner().known.events
    }

    /// Keeps how the compile was started beside the journal, for `teleprompt studies resume`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep_command(&self, command: &Command) -> Result<()> {
        command.write(self.path.parent().unwrap_or(Path::new(".")))
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
