//! `teleprompt compile` and `optimizers`.

mod check;
mod estimate;
mod job;
mod optimizers;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use teleprompt_core::{Context, Error, Program, Result};

use super::app::{App, Loaded, voters};
use super::args::CompileArgs;
use super::{cancel_on_ctrl_c, output, usage};
use crate::optimize::study::{Archive, Command, default_dir};
use crate::optimize::teleprompter::recipe_named;
use crate::optimize::{Compiled, Compiler, Estimate, Optimizer, OptimizerHandle, Report};

pub(super) use job::{Job, data, mapping, metric_for};
pub(super) use optimizers::optimizers;

/// What a compile gave.
pub(super) struct Done {
    pub report: Report,
    pub estimate: Estimate,
    /// The file that the program was saved in.
    pub path: PathBuf,
    /// What a call of it costs, where several vote.
    pub voters: Option<String>,
}

pub(super) async fn compile(app: &App, args: &CompileArgs) -> Result<()> {
    compile_in(app, args, default_dir()).await
}

/// Compiles with studies in this folder.
pub(super) async fn compile_in(app: &App, args: &CompileArgs, studies: PathBuf) -> Result<()> {
    let recipe = recipe_named(&args.optimizer)?;
    let optimizer = recipe.with(&settings(&args.settings)?).map_err(|error| match error {
        Error::Config(message) => usage(format!("--set: {message}")),
        other => other,
    })?;
    if let Some(lm) = args.prompt_lm.as_ref().filter(|_| !optimizer.writes()) {
        return Err(usage(format!(
            "--prompt-lm {lm}: `{}` writes no instructions, so it has no use for an LM that does",
            recipe.name
        )));
    }
    let teacher = [("--teacher", &args.teacher), ("--teacher-lm", &args.teacher_lm)];
    let given = teacher.into_iter().find_map(|(flag, value)| Some((flag, value.as_ref()?)));
    if let Some((flag, value)) = given.filter(|_| !recipe.teaches(&optimizer.settings())) {
        return Err(usage(format!(
            "{flag} {value}: `{}` makes no demonstrations of a teacher's runs, so it has no use for \
             a teacher",
            recipe.name
        )));
    }
    let out = args.output.as_ref().map(PathBuf::from);
    if let Some(out) = &out {
        check::writable(out)?;
    }
    let job = Job { studies, ..Job::of(app, args)? };
    tell(app, &run(app, job, optimizer, out).await?)
}

/// Compiles and saves.
pub(super) async fn run(
    app: &App,
    job: Job,
    optimizer: OptimizerHandle,
    out: Option<PathBuf>,
) -> Result<Done> {
    let cancel = cancel_on_ctrl_c();
    let (mut cx, lm) = app.context(&job.loaded, cancel).await?;
    for name in &job.lm_choice {
        cx = cx.with_named_lm(name.as_str(), app.connect(name).await?);
    }
    let mut compiler = job.compiler(app, optimizer, &lm);
    compiler = with_others(app, &job, &cx, compiler).await?;
    if let Some(args) = &app.args {
        compiler = compiler.command(started_by(args, app, &lm)?);
    }
    check::bounded(&cx, &job)?;
    let estimate = compiler.estimate(&cx, &job.loaded.program, &job.train)?;
    estimate::consent(app, &estimate, &job.limits, job.yes)?;
    let compiled = match compiler.compile(&cx, &job.loaded.program, &job.train).await {
        Err(Error::Cancelled) => return Err(stopped(&job.studies)),
        other => other?,
    };
    let path = save(&job, &compiled, out)?;
    let voters = voters(compiled.program.solution().members().len());
    Ok(Done { report: compiled.report, estimate, path, voters })
}

/// With the contexts of the teacher and of the LM that writes, where they are not the program's.
async fn with_others(
    app: &App,
    job: &Job,
    cx: &Context,
    mut compiler: Compiler<OptimizerHandle>,
) -> Result<Compiler<OptimizerHandle>> {
    if job.teacher.is_some() || job.teacher_lm.is_some() {
        let lms = job.teacher.as_ref().unwrap_or(&job.loaded).lms.clone();
        let mut own = other_context(app, cx, "teacher", job.teacher_lm.as_deref()).await?;
        for name in &lms {
            own = own.with_named_lm(name.as_str(), app.connect(name).await?);
        }
        compiler = compiler.teacher_context(own);
    }
    if let Some(teacher) = &job.teacher {
        compiler = compiler.teacher(teacher.program.clone());
    }
    if let Some(name) = &job.prompt_lm {
        compiler = compiler.prompt_context(other_context(app, cx, "prompt", Some(name)).await?);
    }
    Ok(compiler)
}

async fn other_context(app: &App, cx: &Context, what: &str, lm: Option<&str>) -> Result<Context> {
    let Some(name) = lm else { return Ok(cx.clone()) };
    app.note(&format!("{what} LM: {name}"));
    Ok(cx.with_lm(app.connect(name).await?))
}

/// The command line, with the LM that is in force here and now.
fn started_by(args: &[String], app: &App, lm: &str) -> Result<Command> {
    let dir = std::env::current_dir().map_err(|e| Error::io("the working directory", &e))?;
    let lm = if app.common.lm.is_none() { vec!["--lm".into(), lm.into()] } else { Vec::new() };
    Ok(Command::new(dir, args.iter().cloned().chain(lm)))
}

fn stopped(studies: &Path) -> Error {
    let name = latest(studies).unwrap_or_else(|| "NAME".into());
    Error::Study(format!(
        "stopped; what was done is kept: run the same command again to go on, or `teleprompt studies \
         resume {name}`"
    ))
}

/// The study that was written last: a fork and one without a name were named on the way.
fn latest(studies: &Path) -> Option<String> {
    let changed = |name: &String| {
        let journal = studies.join(name).join("journal.jsonl");
        journal.metadata().and_then(|m| m.modified()).ok()
    };
    Archive::names(studies).ok()?.into_iter().max_by_key(changed)
}

fn save(job: &Job, compiled: &Compiled<Program>, out: Option<PathBuf>) -> Result<PathBuf> {
    let report = &compiled.report;
    let path = out.unwrap_or_else(|| job.studies.join(&report.study).join("program.json"));
    let saved = write_program(&job.loaded, &compiled.program, &serde_json::to_value(report), &path);
    saved.map(|()| path).map_err(|error| {
        Error::Study(format!(
            "{error}; the result is kept in its study: `teleprompt studies export {} --program -o \
             OUT.json` saves it",
            report.study
        ))
    })
}

/// Saves a program with what its report says of how it was compiled.
pub(super) fn write_program(
    loaded: &Loaded,
    program: &crate::module::Tuned<Program>,
    report: &serde_json::Result<Value>,
    path: &Path,
) -> Result<()> {
    let mut saved = program.saved();
    saved.program = loaded.source.clone();
    let report = report.as_ref().map_err(|e| Error::Other(e.to_string()))?;
    let at = |pointer: &str| output::at(report, pointer);
    let improved = *at("/improved") == true;
    // The program as written has the score of the program as written.
    let score = at(if improved { "/winner/score" } else { "/baseline/score" });
    saved.compiled = Some(json!({
        "optimizer": at("/optimizer"), "settings": at("/settings"), "metric": at("/metric"),
        "improved": improved, "score": score, "baseline": at("/baseline/score"),
        "p_value": at("/p_value"), "n": at("/baseline/n"), "split": at("/split"),
        "study": at("/study"),
    }));
    saved.write(path)
}

fn tell(app: &App, done: &Done) -> Result<()> {
    let path = done.path.display();
    if app.common.json {
        return output::json(&with_output(done)?);
    }
    let what = if done.report.improved { "saved" } else { "as written" };
    let lms = lms_of(&done.report);
    if !lms.is_empty() {
        let flags: Vec<String> = lms.iter().map(|lm| format!("--also-lm {lm}")).collect();
        app.note(&format!("its predictors name other LMs: run it with {}", flags.join(" ")));
    }
    let (report, study) = (&done.report, &done.report.study);
    let voters = done.voters.as_ref().map(|text| format!("votes        {text}\n"));
    let voters = voters.unwrap_or_default();
    output::print(&format!("{report}\n{voters}study        {study}\n{what:<12} {path}"))
}

/// The LMs that the winner's predictors name.
fn lms_of(report: &Report) -> Vec<&str> {
    let changes = report.changes.iter().filter(|_| report.improved);
    let mut lms: Vec<&str> =
        changes.filter_map(|c| output::at(&c.parameters, "/lm").as_str()).collect();
    lms.sort_unstable();
    lms.dedup();
    lms
}

/// The report as an object, with the estimate and the file that was saved.
pub(super) fn with_output(done: &Done) -> Result<Value> {
    let failed = |e: serde_json::Error| Error::Other(e.to_string());
    let mut value = serde_json::to_value(&done.report).map_err(failed)?;
    if let Value::Object(map) = &mut value {
        map.insert("output".into(), done.path.display().to_string().into());
        map.insert("estimate".into(), serde_json::to_value(&done.estimate).map_err(failed)?);
    }
    Ok(value)
}

/// `key=value` pairs as a JSON object; values are JSON where they can be.
fn settings(pairs: &[String]) -> Result<Map<String, Value>> {
    let mut map = Map::new();
    for pair in pairs {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(usage(format!("--set {pair}: write key=value")));
        };
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.into()));
        if map.insert(key.to_owned(), value).is_some() {
            return Err(usage(format!("--set {key}: it is given twice")));
        }
    }
    Ok(map)
}
