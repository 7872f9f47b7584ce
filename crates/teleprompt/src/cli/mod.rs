//! The command `teleprompt`, as a library: [`main`] gives a Rust program the whole command.
//!
//! ```no_run
//! use teleprompt::prelude::*;
//!
//! fn main() -> std::process::ExitCode {
//!     let program = Predict::of("question -> answer: int").expect("a signature");
//!     teleprompt::cli::main(program) // my-program eval dev.jsonl --metric exact_match
//! }
//! ```

mod app;
mod args;
mod compile;
mod diff;
mod eval;
mod history;
mod inputs;
mod lm;
mod log;
mod models;
mod offline;
mod output;
mod progress;
mod quickstart;
mod run;
mod show;
mod signature;
mod stream;
mod studies;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use teleprompt_core::{Cancel, Error, Module, Program, Result};

use app::App;
use args::{Cli, Command};

/// Commands whose first argument is a program.
const WITH_PROGRAM: [&str; 5] = ["run", "render", "eval", "compile", "show"];

/// The name under which a Rust program's own module goes as PROGRAM.
const OWN: &str = "self";

/// Runs the command for a program written in Rust: PROGRAM is left out everywhere and means this
/// one; `--state FILE.json` lays a saved state over it.
pub fn main(program: impl Module) -> ExitCode {
    let mut args: Vec<OsString> = std::env::args_os().collect();
    // Only the command itself: `studies show NAME` takes no program.
    let known = Cli::command();
    let is_command = |a: &OsString| known.get_subcommands().any(|c| c.get_name() == a);
    let at = args.iter().position(is_command);
    if let Some(at) =
        at.filter(|at| WITH_PROGRAM.iter().any(|c| args.get(*at).is_some_and(|a| a == c)))
    {
        args.insert(at + 1, OWN.into());
    }
    enter(args, Some(Program::new(program)))
}

/// Runs the command for programs given by signature, file or pipeline: what the binary does.
pub fn run() -> ExitCode {
    enter(std::env::args_os().collect(), None)
}

fn enter(args: Vec<OsString>, own: Option<Program>) -> ExitCode {
    let args = asks_for_optimizers(args);
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let texts = args.into_iter().skip(1).map(OsString::into_string);
    let args = texts.collect::<Result<Vec<String>, _>>().ok();
    let json = cli.common.json;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(dispatch(cli, own, args));
            // A call that is still in flight after Ctrl-C must not hold the process.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(Error::Other(format!("the runtime does not start: {error}"))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error, json);
            ExitCode::from(code(&error))
        }
    }
}

/// `compile --optimizer help`, with or without the rest of a compile, is `optimizers`.
fn asks_for_optimizers(args: Vec<OsString>) -> Vec<OsString> {
    let pairs = args.iter().zip(args.iter().skip(1));
    let asks = pairs.clone().any(|(a, b)| a == "--optimizer" && b == "help")
        || args.iter().any(|a| a == "--optimizer=help");
    if !asks || !args.iter().any(|a| a == "compile") {
        return args;
    }
    let flags = args.iter().filter(|a| *a == "--json").cloned();
    args.iter().take(1).cloned().chain(["optimizers".into()]).chain(flags).collect()
}

/// 2 where the command line, a signature or a name was wrong, else 1.
fn code(error: &Error) -> u8 {
    match error {
        Error::Signature(_) | Error::Config(_) | Error::Input { .. } => 2,
        _ => 1,
    }
}

async fn dispatch(cli: Cli, own: Option<Program>, args: Option<Vec<String>>) -> Result<()> {
    log::install()?;
    let app = App::new(cli.common, own)?.with_args(args);
    match cli.command {
        Some(Command::Signature(args)) => signature::signature(&app, &args),
        Some(Command::Run(args)) => run::run(&app, &args).await,
        Some(Command::Render(args)) => run::render(&app, &args).await,
        Some(Command::Parse(args)) => run::parse(&app, &args),
        Some(Command::Eval(args)) => eval::eval(&app, &args).await,
        Some(Command::Compile(args)) => compile::compile(&app, &args).await,
        Some(Command::Optimizers(args)) => compile::optimizers(&app, &args),
        Some(Command::Studies(args)) => studies::studies(&app, &args).await,
        Some(Command::Show(args)) => show::show(&app, &args),
        Some(Command::Diff(args)) => diff::diff(&app, &args),
        Some(Command::Lm(args)) => lm::lm(&app, &args).await,
        Some(Command::Models(args)) => models::models(&app, &args).await,
        Some(Command::Cache(args)) => models::cache(&app, &args),
        Some(Command::History(args)) => history::history(&app, &args),
        Some(Command::Quickstart(args)) => quickstart::quickstart(&app, &args).await,
        None => quickstart::quickstart(&app, &args::QuickstartArgs::default()).await,
    }
}

/// A cancellation that Ctrl-C sets: the calls in flight, which are paid for, go on to their end.
/// A second Ctrl-C ends the process at once.
fn cancel_on_ctrl_c() -> Cancel {
    let cancel = Cancel::default();
    let set = cancel.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            eprintln!("\nstopping after the calls in flight (again: at once)…");
            set.finish();
        }
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(130);
        }
    });
    cancel
}

/// A usage error, exit code 2.
fn usage(message: impl Into<String>) -> Error {
    Error::Config(message.into())
}
