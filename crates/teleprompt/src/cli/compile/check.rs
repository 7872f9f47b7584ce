//! What can be known to fail before anything is spent.

use std::fs::File;
use std::path::Path;

use teleprompt_core::{Context, Error, LmRequest, Message, Need, Result};

use super::job::Job;
use crate::cli::usage;

/// That a file can be written here: what a long compile found is to be saved in it.
pub(super) fn writable(path: &Path) -> Result<()> {
    let refused = |why: &str| Err(usage(format!("-o {}: {why}", path.display())));
    if path.is_dir() || path.file_name().is_none() {
        return refused("it is a folder; give the name of a file");
    }
    // Folders that are missing are made when the file is written.
    let above = path.ancestors().skip(1).map(|p| match p.as_os_str().is_empty() {
        true => Path::new("."),
        false => p,
    });
    let Some(there) = above.into_iter().find(|p| p.exists()) else { return Ok(()) };
    if !there.is_dir() {
        return refused(&format!("{} is no folder", there.display()));
    }
    let trial = there.join(format!(".teleprompt.{}.tmp", std::process::id()));
    match File::create_new(&trial).and_then(|_| std::fs::remove_file(&trial)) {
        Ok(()) => Ok(()),
        Err(error) => refused(&format!("nothing can be written in {}: {error}", there.display())),
    }
}

/// That calls are bounded by what is limited: a limit of tokens or money needs to know the most that
/// a call can use.
pub(super) fn bounded(cx: &Context, job: &Job) -> Result<()> {
    let bound = job.loaded.program.bound();
    let own = bound.predictors.iter().any(|(path, predictor)| {
        let parameters = bound.parameters.get(path).unwrap_or(predictor.parameters());
        parameters.settings.max_tokens.is_some()
    });
    if own {
        return Ok(());
    }
    let mut request = LmRequest::new(vec![Message::user("a")]);
    request.settings = cx.settings().clone();
    let need = Need::of(cx.lm(), &request);
    // That a limit is too low for anything is for the compile to say.
    match cx.with_limits(job.limits).meter().try_reserve(&need) {
        Err(error @ Error::Config(_)) => Err(error),
        _ => Ok(()),
    }
}
