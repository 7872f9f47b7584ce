//! `teleprompt studies`: compiles that were made.

mod export;
mod list;
mod resume;
mod show;

use std::io::{IsTerminal, stderr, stdin};

use serde_json::json;
use teleprompt_core::{Error, Result};

use super::app::App;
use super::args::{StudiesAction, StudiesArgs};
use super::{output, usage};
use crate::optimize::study::{Archive, State, default_dir};

pub(super) async fn studies(app: &App, args: &StudiesArgs) -> Result<()> {
    let dir = default_dir();
    match &args.action {
        StudiesAction::List => list::list(app, &dir),
        StudiesAction::Show { name, candidate: None } => {
            show::study(app, Archive::open(&dir, name)?)
        }
        StudiesAction::Show { name, candidate: Some(hash) } => {
            show::candidate(app, Archive::open(&dir, name)?, hash)
        }
        StudiesAction::Resume(args) => resume::resume(app, args, &dir).await,
        StudiesAction::Export(args) => export::export(app, args, Archive::open(&dir, &args.name)?),
        StudiesAction::Rm { name, yes } => remove(app, Archive::open(&dir, name)?, *yes),
    }
}

fn remove(app: &App, study: Archive, yes: bool) -> Result<()> {
    let name = study.name().to_owned();
    if study.state() == State::Running {
        return Err(Error::Study(format!("the study `{name}` is running; stop it first")));
    }
    if !yes {
        if !(stdin().is_terminal() && stderr().is_terminal()) {
            return Err(usage(format!("to remove `{name}` without asking, give --yes")));
        }
        let calls = study.spent().total().calls;
        eprint!("remove `{name}` with the results of {calls} LM calls? [y/N] ");
        let mut answer = String::new();
        stdin().read_line(&mut answer).map_err(|e| Error::io("stdin", &e))?;
        if !matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
            return Err(Error::Other(format!("`{name}` is kept")));
        }
    }
    study.remove()?;
    if app.common.json {
        return output::json(&json!({ "removed": name }));
    }
    output::print(&format!("removed {name}"))
}
