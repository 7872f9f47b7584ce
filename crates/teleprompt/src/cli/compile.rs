//! `teleprompt compile`.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use teleprompt_core::names::suggestion;
use teleprompt_core::{Cancel, Error, Limits, MetricHandle, Module, Program, Result, Signature};

use super::app::{App, Loaded};
use super::args::CompileArgs;
use super::progress::Bars;
use super::{cancel_on_ctrl_c, output, usage};
use crate::data::Dataset;
use crate::evaluate::metrics;
use crate::optimize::study::{OnChange, default_dir};
use crate::optimize::teleprompter::{
    BootstrapFewShot, BootstrapFewShotWithRandomSearch, LabeledFewShot,
};
use crate::optimize::{Compiled, Optimizer, Report};
use crate::saved::SavedProgram;

const OPTIMIZERS: [&str; 3] =
    ["labeled_few_shot", "bootstrap_few_shot", "bootstrap_few_shot_with_random_search"];

/// What a compile works with, whatever the optimizer.
pub(super) struct Job {
    pub loaded: Loaded,
    pub train: Dataset,
    pub val: Option<Dataset>,
    pub test: Option<Dataset>,
    pub metric: MetricHandle,
    pub limits: Limits,
    pub study: Option<String>,
    pub on_change: OnChange,
    pub teacher: Option<Loaded>,
    pub teacher_lm: Option<String>,
}

pub(super) async fn compile(app: &App, args: &CompileArgs) -> Result<()> {
    let job = job(app, args)?;
    let settings = settings(&args.settings)?;
    if let Some(lm) = &args.prompt_lm {
        return Err(usage(format!(
            "--prompt-lm {lm}: `{}` writes no instructions, so it has no use for an LM that does",
            args.optimizer
        )));
    }
    let out = args.output.as_ref().map(PathBuf::from);
    let (report, path) = match optimizer(&args.optimizer)? {
        0 => run(app, job, configured::<LabeledFewShot>(&settings)?, out).await?,
        1 => run(app, job, configured::<BootstrapFewShot>(&settings)?, out).await?,
        _ => run(app, job, configured::<BootstrapFewShotWithRandomSearch>(&settings)?, out).await?,
    };
    tell(app, &report, &path)
}

fn job(app: &App, args: &CompileArgs) -> Result<Job> {
    let loaded = app.program(&args.program)?;
    let interface = loaded.program.interface();
    let mapping = mapping(&args.map)?;
    let load = |path: &String| data(path, interface.as_ref(), &mapping);
    let train = load(&args.train)?;
    let metric = metric_for(&args.metric, interface.as_ref(), &train)?;
    Ok(Job {
        val: args.val.as_ref().map(load).transpose()?,
        test: args.test.as_ref().map(load).transpose()?,
        train,
        metric,
        limits: args.limits.limits(),
        study: args.study.clone(),
        on_change: if args.fork { OnChange::Fork } else { OnChange::Refuse },
        teacher: args.teacher.as_ref().map(|t| app.program(t)).transpose()?,
        teacher_lm: args.teacher_lm.clone(),
        loaded,
    })
}

/// Compiles and saves; gives the report and the file.
pub(super) async fn run<O: Optimizer>(
    app: &App,
    job: Job,
    optimizer: O,
    out: Option<PathBuf>,
) -> Result<(Report, PathBuf)> {
    let cancel = cancel_on_ctrl_c();
    let (cx, lm) = app.context(&job.loaded, cancel.clone()).await?;
    let mut compiler = optimizer
        .compiler(job.metric.clone())
        .limits(job.limits)
        .on_change(job.on_change)
        .seed(app.seed())
        .concurrency(app.concurrency(&lm))
        .progress(Bars::new(app.common.quiet));
    if let Some(val) = &job.val {
        compiler = compiler.val(val);
    }
    if let Some(test) = &job.test {
        compiler = compiler.test(test);
    }
    if let Some(name) = &job.study {
        compiler = compiler.study(name);
    }
    if job.teacher.is_some() || job.teacher_lm.is_some() {
        let teacher = job.teacher.as_ref().unwrap_or(&job.loaded);
        compiler =
            compiler.teacher_context(teacher_context(app, &job, teacher, &cx, cancel).await?);
        if let Some(teacher) = &job.teacher {
            compiler = compiler.teacher(teacher.program.clone());
        }
    }
    let compiled = match compiler.compile(&cx, &job.loaded.program, &job.train).await {
        Err(Error::Cancelled) => return Err(stopped()),
        other => other?,
    };
    let path = save(&job.loaded, &compiled, out)?;
    Ok((compiled.report, path))
}

async fn teacher_context(
    app: &App,
    job: &Job,
    teacher: &Loaded,
    cx: &teleprompt_core::Context,
    cancel: Cancel,
) -> Result<teleprompt_core::Context> {
    let mut own = match &job.teacher_lm {
        Some(name) => {
            app.note(&format!("teacher LM: {name}"));
            cx.with_lm(app.connect(name).await?)
        }
        None => cx.clone(),
    };
    for name in &teacher.lms {
        own = own.with_named_lm(name.as_str(), app.connect(name).await?);
    }
    Ok(own.with_cancel(cancel))
}

fn stopped() -> Error {
    Error::Study("stopped; what was done is kept: run the same command again to go on".into())
}

fn save(loaded: &Loaded, compiled: &Compiled<Program>, out: Option<PathBuf>) -> Result<PathBuf> {
    let report = &compiled.report;
    let path = out.unwrap_or_else(|| default_dir().join(&report.study).join("program.json"));
    let mut saved = SavedProgram::of(&teleprompt_core::bind(&compiled.program));
    saved.program = loaded.source.clone();
    saved.compiled = Some(json!({
        "optimizer": report.optimizer, "settings": report.settings, "metric": report.metric,
        "score": report.winner.score, "baseline": report.baseline.score,
        "p_value": report.p_value, "n": report.winner.n, "split": report.split,
        "study": report.study,
    }));
    saved.write(&path)?;
    Ok(path)
}

fn tell(app: &App, report: &Report, path: &Path) -> Result<()> {
    if app.common.json {
        return output::json(&with_output(report, path)?);
    }
    output::print(&format!(
        "{report}\nstudy        {}\nsaved        {}",
        report.study,
        path.display()
    ))
}

/// The report as an object, with the file that was saved.
pub(super) fn with_output(report: &Report, path: &Path) -> Result<Value> {
    let mut value = serde_json::to_value(report).map_err(|e| Error::Other(e.to_string()))?;
    if let Value::Object(map) = &mut value {
        map.insert("output".into(), path.display().to_string().into());
    }
    Ok(value)
}

/// The place of an optimizer in [`OPTIMIZERS`], by any of its names.
fn optimizer(name: &str) -> Result<usize> {
    let plain: String = name.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    let place = match plain.as_str() {
        "labeledfewshot" | "labelledfewshot" | "labeled" => 0,
        "bootstrapfewshot" | "bootstrap" => 1,
        "bootstrapfewshotwithrandomsearch" | "bootstraprs" | "randomsearch" => 2,
        _ => {
            let hint = suggestion(name, OPTIMIZERS);
            return Err(usage(format!("there is no optimizer `{name}`{hint}")));
        }
    };
    Ok(place)
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

/// An optimizer with these settings; an unknown one is an error with a guess.
fn configured<O: Optimizer + Default + DeserializeOwned>(
    settings: &Map<String, Value>,
) -> Result<O> {
    let known = match O::default().settings() {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    let names = || known.keys().map(String::as_str);
    if let Some(key) = settings.keys().find(|k| !known.contains_key(*k)) {
        let hint = suggestion(key, names());
        return Err(usage(format!(
            "--set {key}: {} has no such setting{hint}",
            O::default().name()
        )));
    }
    serde_json::from_value(Value::Object(settings.clone())).map_err(|e| {
        usage(format!("--set: {e} (settings: {})", names().collect::<Vec<_>>().join(", ")))
    })
}

pub(super) fn mapping(pairs: &[String]) -> Result<Vec<(String, String)>> {
    let pair = |pair: &String| match pair.split_once('=') {
        Some((input, column)) => Ok((input.trim().to_owned(), column.trim().to_owned())),
        None => Err(usage(format!("--map {pair}: write input=column"))),
    };
    pairs.iter().map(pair).collect()
}

/// Data for a program: inputs are the columns named like its inputs; without an interface all
/// columns are inputs.
pub(super) fn data(
    path: &str,
    interface: Option<&Signature>,
    mapping: &[(String, String)],
) -> Result<Dataset> {
    let data = Dataset::load(path)?;
    match interface {
        Some(signature) => data.for_signature(signature, mapping),
        None => {
            let data = data.map_columns(mapping)?;
            let columns = data.columns();
            data.inputs(columns)
        }
    }
}

/// The metric of this name, checked against the program and the data.
pub(super) fn metric_for(
    spec: &str,
    interface: Option<&Signature>,
    data: &Dataset,
) -> Result<MetricHandle> {
    match interface {
        Some(signature) => metrics::by_name_on(spec, signature, data),
        None => metrics::by_name(spec),
    }
}
