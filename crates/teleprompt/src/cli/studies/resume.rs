//! `teleprompt studies resume`: the same compile again, without typing it again.

use std::path::Path;

use clap::Parser;
use teleprompt_core::{Error, Result};

use crate::cli::app::App;
use crate::cli::args::{Cli, Command, Common, CompileArgs, ResumeArgs};
use crate::cli::{OWN, compile, usage};

pub(super) async fn resume(app: &App, args: &ResumeArgs, dir: &Path) -> Result<()> {
    nothing_ignored(&app.common)?;
    let (folder, command) = {
        let study = super::open(dir, &args.name)?;
        let command = study.command()?.ok_or_else(|| not_kept(&args.name, "by a program"))?;
        (study.folder().to_owned(), command)
    };
    if command.hidden {
        return Err(not_kept(&args.name, "with a secret on its command line, which is not kept,"));
    }
    let (common, compile) = stored(&command.args)?;
    let here = |path: &Path| std::path::absolute(path).map_err(|e| Error::io(path, &e));
    let dir = here(dir)?;
    let output = args.output.as_ref().map(|o| here(Path::new(o))).transpose()?;
    let output = output.map(|path| path.display().to_string());
    // Paths on the stored command line are relative to where it was typed.
    std::env::set_current_dir(&command.dir).map_err(|e| {
        let (at, there) = (folder.display(), command.dir.display());
        Error::Study(format!("{at}: it was started in {there}, which cannot be entered: {e}"))
    })?;
    if compile.program == OWN && app.own.is_none() {
        return Err(not_kept(
            &args.name,
            "by a program of its own: let that one resume it, it was not",
        ));
    }
    app.note(&format!("in {}: teleprompt {}", command.dir.display(), command.line()));
    let again = App::new(merged(common, &app.common), app.own.clone())?;
    compile::compile_in(&again, &overridden(compile, args, output), dir).await
}

fn not_kept(name: &str, how: &str) -> Error {
    usage(format!(
        "the study `{name}` was started {how} and not by a command that is known: start it again in \
         the same way, it goes on where it stopped"
    ))
}

pub(super) fn stored(args: &[String]) -> Result<(Common, CompileArgs)> {
    let line = ["teleprompt"].into_iter().chain(args.iter().map(String::as_str));
    match Cli::try_parse_from(line) {
        Ok(Cli { common, command: Some(Command::Compile(args)) }) => Ok((common, *args)),
        Ok(_) => Err(Error::Study("the stored command is no compile".into())),
        Err(error) => Err(Error::Study(format!(
            "the stored command is not understood by this version: {error}"
        ))),
    }
}

/// What a study depends on is as it was, so flags for that would do nothing.
fn nothing_ignored(now: &Common) -> Result<()> {
    let given = [
        ("--lm", now.lm.is_some()),
        ("--module", now.module.is_some()),
        ("--adapter", now.adapter.is_some()),
        ("--instructions", now.instructions.is_some()),
        ("--signature", now.signature.is_some()),
        ("--temperature", now.temperature.is_some()),
        ("--max-tokens", now.max_tokens.is_some()),
        ("--seed", now.seed.is_some()),
        ("--also-lm", !now.also_lm.is_empty()),
        ("--state", now.state.is_some()),
    ];
    match given.into_iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((flag, _)) => Err(usage(format!(
            "{flag}: a study goes on with what it was started with; to change that, give the compile \
             again with {flag} and --fork"
        ))),
    }
}

/// What is about this session is as it is now; what the study depends on is as it was.
fn merged(stored: Common, now: &Common) -> Common {
    Common {
        json: now.json,
        quiet: now.quiet,
        concurrency: now.concurrency.or(stored.concurrency),
        ..stored
    }
}

fn overridden(compile: CompileArgs, args: &ResumeArgs, output: Option<String>) -> CompileArgs {
    CompileArgs {
        limits: args.limits.or(compile.limits),
        stops: args.stops.clone().or(compile.stops),
        yes: args.yes || compile.yes,
        output: output.or(compile.output),
        // A fork goes on as what it is.
        study: Some(args.name.clone()),
        fork: false,
        ..compile
    }
}
