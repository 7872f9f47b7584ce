//! `teleprompt studies`: compiles that were made.

mod export;
mod list;
mod resume;
mod show;

use std::fs::{File, TryLockError};
use std::io::{IsTerminal, stderr, stdin};
use std::path::Path;

use serde_json::json;
use teleprompt_core::names::{closest, edit_distance};
use teleprompt_core::{Error, Result};

use super::app::App;
use super::args::{StudiesAction, StudiesArgs};
use super::{output, usage};
use crate::optimize::study::{Archive, State, default_dir};

pub(super) async fn studies(app: &App, args: &StudiesArgs) -> Result<()> {
    let dir = default_dir();
    match &args.action {
        StudiesAction::List => list::list(app, &dir),
        StudiesAction::Show { name, candidate: None } => show::study(app, open(&dir, name)?),
        StudiesAction::Show { name, candidate: Some(hash) } => {
            show::candidate(app, open(&dir, name)?, hash)
        }
        StudiesAction::Resume(args) => resume::resume(app, args, &dir).await,
        StudiesAction::Export(args) => export::export(app, args, open(&dir, &args.name)?),
        StudiesAction::Rm { name, yes } => remove(app, &dir, name, *yes),
    }
}

/// The study of this name; of a name that no study has, the nearest ones are told.
fn open(dir: &Path, name: &str) -> Result<Archive> {
    known(dir, name)?;
    Archive::open(dir, name)
}

fn known(dir: &Path, name: &str) -> Result<()> {
    let mut names = Archive::names(dir)?;
    if names.iter().any(|known| known == name) {
        return Ok(());
    }
    let hint = match closest(name, names.iter().map(String::as_str)) {
        Some(near) => format!("; did you mean `{near}`?"),
        None if names.is_empty() => String::new(),
        None => {
            let chars = |text: &str| text.to_lowercase().chars().collect::<Vec<char>>();
            names.sort_by_cached_key(|known| edit_distance(&chars(name), &chars(known)));
            names.truncate(NEAREST);
            format!("; the nearest: {}", names.join(", "))
        }
    };
    Err(usage(format!(
        "there is no study `{name}` in {}{hint} (`teleprompt studies list` shows all)",
        dir.display()
    )))
}

/// Names told where none is near.
const NEAREST: usize = 5;

fn remove(app: &App, dir: &Path, name: &str, yes: bool) -> Result<()> {
    known(dir, name)?;
    let study = Archive::open(dir, name);
    let running = match &study {
        Ok(study) => study.state() == State::Running,
        Err(_) => is_locked(&dir.join(name).join("journal.jsonl"))?,
    };
    if running {
        return Err(Error::Study(format!("the study `{name}` is running; stop it first")));
    }
    let holds = match &study {
        Ok(study) => {
            let calls = output::counted(study.spent().total().calls, "LM call");
            format!("the results of {calls}")
        }
        Err(error) => format!("a journal that cannot be read ({error})"),
    };
    if !yes {
        agreed(name, &holds)?;
    }
    match study {
        Ok(study) => study.remove()?,
        Err(_) => {
            let folder = dir.join(name);
            std::fs::remove_dir_all(&folder).map_err(|e| Error::io(&folder, &e))?;
        }
    }
    if app.common.json {
        return output::json(&json!({ "removed": name }));
    }
    output::print(&format!("removed {name}"))
}

/// Whether a process works on this journal, whatever is in it.
fn is_locked(journal: &Path) -> Result<bool> {
    let file = File::open(journal).map_err(|e| Error::io(journal, &e))?;
    Ok(matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn agreed(name: &str, holds: &str) -> Result<()> {
    if !(stdin().is_terminal() && stderr().is_terminal()) {
        return Err(usage(format!("to remove `{name}` without asking, give --yes")));
    }
    eprint!("remove `{name}` with {holds}? [y/N] ");
    let mut answer = String::new();
    stdin().read_line(&mut answer).map_err(|e| Error::io("stdin", &e))?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Error::Other(format!("`{name}` is kept"))),
    }
}
