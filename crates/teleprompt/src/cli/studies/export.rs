//! `teleprompt studies export`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use teleprompt_core::{Error, Result};

use crate::cli::app::{App, Loaded};
use crate::cli::args::{ExportArgs, ScoreFormat};
use crate::cli::compile::write_program;
use crate::cli::studies::resume;
use crate::cli::{output, usage};
use crate::module::Tuned;
use crate::optimize::compose::Solution;
use crate::optimize::study::{Archive, Event};

pub(super) fn export(app: &App, args: &ExportArgs, mut study: Archive) -> Result<()> {
    if args.program {
        return program(app, args, study);
    }
    let text = match (args.matrix, format(args)?) {
        (true, _) => pretty(&matrix(&study))?,
        (_, ScoreFormat::Jsonl) => json_lines(&mut study)?,
        (_, ScoreFormat::Csv) => csv(&mut study)?,
    };
    write(app, args, text.trim_end())
}

fn format(args: &ExportArgs) -> Result<ScoreFormat> {
    let name = args.output.as_deref().map(Path::new).and_then(Path::extension);
    match (args.format, name.and_then(|e| e.to_str())) {
        (Some(format), _) => Ok(format),
        (None, Some("csv")) => Ok(ScoreFormat::Csv),
        (None, None | Some("jsonl")) => Ok(ScoreFormat::Jsonl),
        (None, Some(_)) if args.matrix => Ok(ScoreFormat::Jsonl),
        (None, Some(other)) => Err(usage(format!(
            "-o: `.{other}` is no form of scores: name the file .csv or .jsonl, or give --format"
        ))),
    }
}

fn write(app: &App, args: &ExportArgs, text: &str) -> Result<()> {
    let Some(path) = &args.output else { return output::print(text) };
    crate::files::write_atomic(Path::new(path), format!("{text}\n").as_bytes())?;
    told(app, path)
}

fn told(app: &App, path: &str) -> Result<()> {
    if app.common.json {
        return output::json(&json!({ "output": path }));
    }
    output::print(path)
}

fn pretty(value: &Value) -> Result<String> {
    serde_json::to_string_pretty(value).map_err(|e| Error::Other(e.to_string()))
}

/// The columns of a score, in order.
const COLUMNS: [&str; 15] = [
    "candidate",
    "origin",
    "by",
    "split",
    "example",
    "rollout",
    "score",
    "error",
    "calls",
    "cache_hits",
    "prompt_tokens",
    "completion_tokens",
    "cost",
    "metric_calls",
    "millis",
];

/// Gives each score, as an object of [`COLUMNS`].
fn each_score(study: &mut Archive, mut take: impl FnMut(Value) -> Result<()>) -> Result<()> {
    let origins: BTreeMap<String, String> =
        study.candidates().iter().map(|c| (c.candidate.clone(), c.origin.clone())).collect();
    study.each(|event| {
        let Event::Ran { candidate, by, split, example, rollout, run, .. } = event else {
            return Ok(());
        };
        let usage = &run.usage;
        take(json!({
            "candidate": candidate, "origin": origins.get(&candidate), "by": by, "split": split,
            "example": example, "rollout": rollout, "score": run.score, "error": run.error,
            "calls": usage.calls, "cache_hits": usage.cache_hits,
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens, "cost": usage.total_cost(),
            "metric_calls": run.judged.calls, "millis": run.millis,
        }))
    })
}

fn json_lines(study: &mut Archive) -> Result<String> {
    let mut text = String::new();
    each_score(study, |score| {
        text.push_str(&score.to_string());
        text.push('\n');
        Ok(())
    })?;
    Ok(text)
}

fn csv(study: &mut Archive) -> Result<String> {
    let failed = |e: csv::Error| Error::Other(format!("csv: {e}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS).map_err(failed)?;
    each_score(study, |score| {
        let cell = |column: &&str| match score.get(*column) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
        };
        writer.write_record(COLUMNS.iter().map(cell)).map_err(failed)
    })?;
    let bytes = writer.into_inner().map_err(|e| Error::Other(format!("csv: {e}")))?;
    String::from_utf8(bytes).map_err(|e| Error::Other(format!("csv: {e}")))
}

/// Candidates by validation examples; null where a candidate was not tried.
fn matrix(study: &Archive) -> Value {
    let examples = study.identity().val.n;
    let row = |scores: &BTreeMap<usize, f64>| -> Vec<Option<f64>> {
        (0..examples).map(|place| scores.get(&place).copied()).collect()
    };
    let tried = study.candidates().iter().filter(|c| !c.scores.is_empty());
    let (mut candidates, mut scores) = (Vec::new(), Vec::new());
    for facts in tried {
        candidates.push(json!({"candidate": facts.candidate, "origin": facts.origin}));
        scores.push(row(&facts.scores));
    }
    json!({
        "study": study.name(), "metric": study.identity().metric, "examples": examples,
        "candidates": candidates, "scores": scores,
    })
}

fn program(app: &App, args: &ExportArgs, mut study: Archive) -> Result<()> {
    let Some(path) = &args.output else {
        return Err(usage("--program: say where to save it with -o OUT.json"));
    };
    let report = study.report()?.unwrap_or_else(|| json!({ "study": study.name() }));
    let (solution, report) = match &args.candidate {
        Some(hash) => {
            let hash = study.candidate(hash)?.candidate.clone();
            let about = json!({"study": study.name(), "candidate": hash});
            (study.solution(&hash)?, about)
        }
        None => (winner(&mut study, &report)?, report),
    };
    let loaded = source(app, &study)?;
    let tuned = Tuned::of(loaded.program.clone(), solution);
    write_program(&loaded, &tuned, &Ok(report), Path::new(path))?;
    told(app, path)
}

/// What the report's winner sets, if it was better; of a study without a report, the best that was
/// taken so far.
fn winner(study: &mut Archive, report: &Value) -> Result<Solution> {
    if let Some(improved) = output::at(report, "/improved").as_bool() {
        let hash = output::at(report, "/candidate").as_str().filter(|_| improved);
        return hash.map_or_else(|| Ok(Solution::default()), |hash| study.solution(hash));
    }
    let taken = study.candidates().iter().filter(|c| c.accepted == Some(true));
    let better = taken.filter_map(|c| Some((c.score?, c.n, c.candidate.clone())));
    // Of those scored on the most examples: a minibatch's score is no match for a full one.
    let best = better.max_by(|a, b| a.1.cmp(&b.1).then(a.0.total_cmp(&b.0)));
    match best {
        Some((_, _, hash)) => study.solution(&hash),
        None => Err(usage(format!(
            "no candidate of `{}` was taken yet; choose one with --candidate",
            study.name()
        ))),
    }
}

/// The program that was compiled, as its command line names it.
fn source(app: &App, study: &Archive) -> Result<Loaded> {
    let Some(command) = study.command()? else {
        return Err(usage(format!(
            "the study `{}` was started by a program, which alone knows what it compiled; its \
             parameters are in `teleprompt studies show {} --candidate HASH --json`",
            study.name(),
            study.name()
        )));
    };
    let (common, compile) = resume::stored(&command.args)?;
    let its = App::new(common, app.own.clone())?;
    let given = Path::new(&compile.program);
    let file = command.dir.join(given);
    match given.extension().is_some() && given.is_relative() && file.exists() {
        true => its.program(&file.display().to_string()),
        false => its.program(&compile.program),
    }
}
