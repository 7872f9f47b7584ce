//! Looking at studies without running them.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;
use serde_json::Value;
use teleprompt_core::names::suggestion;

use crate::optimize::compose::Solution;
use teleprompt_core::{Error, Result};

use super::inner::Inner;
use super::journal::Journal;
use super::known::Last;
use super::{Asked, CandidateFacts, Command, Event, Identity, Spend, check_name};

/// Whether a study is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// A process is at it.
    Running,
    /// It has its report.
    Finished,
    /// It ended early, or was killed; the same compile goes on from there.
    Stopped,
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            State::Running => "running",
            State::Finished => "finished",
            State::Stopped => "stopped",
        })
    }
}

/// A study to look at. Opening it changes nothing, also while it is being run.
///
/// ```no_run
/// use teleprompt::optimize::study::{Archive, default_dir};
///
/// # fn run() -> teleprompt::Result<()> {
/// let study = Archive::open(&default_dir(), "mine")?;
/// for candidate in study.candidates() {
///     println!("{} {:?} {}", candidate.candidate, candidate.score, candidate.why);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Archive {
    name: String,
    folder: PathBuf,
    identity: Identity,
    state: State,
    changed: Option<SystemTime>,
    inner: Inner,
}

impl Archive {
    /// The study of this name under `dir`.
    ///
    /// # Errors
    /// [`Error::Config`]: there is none, with a guess. [`Error::Study`]: its journal is none of this
    /// version.
    pub fn open(dir: &Path, name: &str) -> Result<Self> {
        check_name(name)?;
        let folder = dir.join(name);
        let path = folder.join("journal.jsonl");
        if !path.exists() {
            let names = Self::names(dir)?;
            let hint = suggestion(name, names.iter().map(String::as_str));
            let dir = dir.display();
            return Err(Error::Config(format!("there is no study `{name}` in {dir}{hint}")));
        }
        let journal = Journal::read_only(&path)?;
        let running = journal.is_locked();
        let inner = Inner::read(journal)?;
        let identity =
            inner.known.identity.clone().ok_or_else(|| {
                Error::Study(format!("{}: the study has not begun", path.display()))
            })?;
        let state = match inner.known.last {
            _ if running => State::Running,
            Last::Finished => State::Finished,
            Last::Open | Last::Stopped(_) => State::Stopped,
        };
        let changed = path.metadata().and_then(|m| m.modified()).ok();
        Ok(Self { name: name.into(), folder, identity, state, changed, inner })
    }

    /// The names of all studies under `dir`, sorted; none if it is not there.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn names(dir: &Path) -> Result<Vec<String>> {
        let entries = match std::fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::io(dir, &e)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| Error::io(dir, &e))?;
            if entry.path().join("journal.jsonl").exists() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it is about.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether it is done.
    pub fn state(&self) -> State {
        self.state
    }

    /// When its journal was last written.
    pub fn changed(&self) -> Option<SystemTime> {
        self.changed
    }

    /// Why the last session ended early, if it says.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn why(&mut self) -> Result<Option<String>> {
        let Last::Stopped(place) = self.inner.known.last else { return Ok(None) };
        match self.inner.journal.event(place)? {
            Event::Stopped { why, .. } => Ok(Some(why)),
            _ => Ok(None),
        }
    }

    /// The last report, as an object; none until the study was finished for the first time.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn report(&mut self) -> Result<Option<Value>> {
        let Some(place) = self.inner.known.report else { return Ok(None) };
        match self.inner.journal.event(place)? {
            Event::Finished { report, .. } => Ok(Some(report)),
            _ => Ok(None),
        }
    }

    /// What is known of each candidate, in the order in which they were made.
    pub fn candidates(&self) -> &[CandidateFacts] {
        &self.inner.known.candidates
    }

    /// What was spent, by what for.
    pub fn spent(&self) -> Spend {
        self.inner.known.spent
    }

    /// The remarks of the recipe.
    pub fn notes(&self) -> &[String] {
        &self.inner.known.notes
    }

    /// Seconds that its sessions took, those that were killed not counted.
    pub fn seconds(&self) -> f64 {
        self.inner.known.seconds
    }

    /// Number of events.
    pub fn events(&self) -> usize {
        self.inner.known.events
    }

    /// How it was started; none if not by the command.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn command(&self) -> Result<Option<Command>> {
        Command::read(&self.folder)
    }

    /// The candidate whose hash begins so.
    ///
    /// # Errors
    /// [`Error::Config`]: there is none, or more than one.
    pub fn candidate(&self, hash: &str) -> Result<&CandidateFacts> {
        let mut found = self.candidates().iter().filter(|c| c.candidate.starts_with(hash));
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            (None, _) => {
                let hashes = self.candidates().iter().map(|c| c.candidate.as_str());
                let hint = suggestion(hash, hashes);
                Err(Error::Config(format!("no candidate's hash begins with `{hash}`{hint}")))
            }
            _ => Err(Error::Config(format!("several candidates' hashes begin with `{hash}`"))),
        }
    }

    /// The parameters of the candidate with this hash; empty for the program as written.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn solution(&mut self, hash: &str) -> Result<Solution> {
        let Some(place) = self.inner.known.proposed.get(hash).copied() else {
            return Ok(Solution::default());
        };
        match self.inner.journal.event(place)? {
            Event::Proposed { state, .. } => Ok(state),
            _ => Ok(Solution::default()),
        }
    }

    /// The questions that a candidate's instructions come from, each with what it was for: those whose
    /// answer holds an instruction of it word for word; else those asked between the proposal before
    /// it and its own.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn questions(&mut self, hash: &str) -> Result<Vec<(String, Asked)>> {
        let solution = self.solution(hash)?;
        let parameters = solution.members().iter().flat_map(|state| state.0.values());
        let instructions = parameters.filter_map(|p| p.instructions.as_deref());
        let texts: Vec<&str> = instructions.map(str::trim).filter(|t| !t.is_empty()).collect();
        let (mut said, mut before, mut just_before) = (Vec::new(), Vec::new(), Vec::new());
        self.inner.journal.each(0, |event, _| {
            match event {
                Event::Asked { what, asked, .. } => {
                    if texts.iter().any(|text| says(&asked, text)) {
                        said.push((what.clone(), asked.clone()));
                    }
                    before.push((what, asked));
                }
                Event::Proposed { candidate, .. } if candidate == hash => {
                    just_before = std::mem::take(&mut before);
                }
                Event::Proposed { .. } => before.clear(),
                _ => {}
            }
            Ok(())
        })?;
        Ok(if said.is_empty() { just_before } else { said })
    }

    /// Gives every event, in order.
    ///
    /// # Errors
    /// The journal cannot be read, or what `take` gives.
    pub fn each(&mut self, mut take: impl FnMut(Event) -> Result<()>) -> Result<()> {
        self.inner.journal.each(0, |event, _| take(event))
    }

    /// Deletes the study with all that is in its folder.
    ///
    /// # Errors
    /// [`Error::Study`]: it is being run. [`Error::Io`]: something cannot be deleted.
    pub fn remove(self) -> Result<()> {
        // Holding the lock, so that nobody begins to run it meanwhile.
        let _held = Journal::open(self.inner.journal.path())?;
        std::fs::remove_dir_all(&self.folder).map_err(|e| Error::io(&self.folder, &e))
    }
}

/// Whether an answer has this text in one of its fields.
fn says(asked: &Asked, text: &str) -> bool {
    let holds = |value: &Value| value.as_str().is_some_and(|s| s.contains(text));
    asked.outputs.iter().any(|(_, value)| match value {
        Value::Array(several) => several.iter().any(holds),
        value => holds(value),
    })
}
