//! Every recipe on real data and a real model in the process: writes `benchmarks/recipes/RESULTS.md`.
//!
//! `benchmarks/recipes/run.sh` runs it. A row that was measured is kept in `rows.jsonl` and not
//! measured again; each compile is a study, so that a run that was stopped goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use teleprompt::data::{Dataset, Rng};
use teleprompt::lm::{CacheMode, ConnectOptions, Registry};
use teleprompt::optimize::teleprompter::{by_name, recipes};
use teleprompt::prelude::*;
use teleprompt::{Limits, adapter::ChatAdapter};

/// A task with the sizes of its parts. The test part is of the data's own dev split.
struct Task {
    name: &'static str,
    program: Program,
    metric: teleprompt::MetricHandle,
    train: Dataset,
    val: Dataset,
    test: Dataset,
    /// LM calls of a whole compile, both evaluations on the test part included.
    calls: u64,
}

/// A measured row.
#[derive(Clone, Serialize, Deserialize)]
struct Row {
    task: String,
    lm: String,
    recipe: String,
    settings: Value,
    baseline: f64,
    score: f64,
    ci: (f64, f64),
    difference: f64,
    difference_ci: (f64, f64),
    p_value: f64,
    n: usize,
    returned: String,
    candidates: usize,
    calls: u64,
    proposals: u64,
    tokens: u64,
    seconds: f64,
    stopped: Option<String>,
    /// Of what was returned, by test example.
    scores: Vec<f64>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let data = PathBuf::from(std::env::var("TELEPROMPT_DATA").unwrap_or("../shared/data".into()));
    let out = PathBuf::from(std::env::var("OUT").unwrap_or("benchmarks/recipes".into()));
    let name = std::env::var("TELEPROMPT_LM").unwrap_or("local:smollm2-135m".into());
    let label = std::env::var("LM_LABEL").unwrap_or(name.clone());
    let only = std::env::var("TASKS").unwrap_or_default();
    let threads = std::env::var("THREADS").ok().and_then(|n| n.parse().ok());
    let options = ConnectOptions { cache: CacheMode::Off, threads, ..ConnectOptions::default() };
    let lm = Registry::default().connect_with(&name, options).await?;
    let cx = Context::new(lm, std::sync::Arc::new(ChatAdapter));
    let cx = cx.with_settings(&teleprompt::LmSettings {
        max_tokens: Some(200),
        ..teleprompt::LmSettings::default()
    });
    let tasks = tasks(&data)?;
    known("TASKS", &only, tasks.iter().map(|t| t.name))?;
    let wanted = std::env::var("RECIPES").unwrap_or_default();
    known("RECIPES", &wanted, recipes().iter().map(|r| r.name))?;
    for task in tasks {
        if only.is_empty() || only.split(',').any(|t| t == task.name) {
            run_task(&cx, &task, &label, &out).await?;
        }
    }
    Ok(())
}

/// Whether a list has names of these alone.
fn known<'n>(
    variable: &str,
    list: &str,
    names: impl Iterator<Item = &'n str> + Clone,
) -> Result<()> {
    let given = list.split(',').filter(|name| !name.is_empty());
    match given.into_iter().find(|name| names.clone().all(|n| n != *name)) {
        None => Ok(()),
        Some(name) => Err(Error::Config(format!(
            "{variable} has `{name}`, which is none of {}",
            names.collect::<Vec<_>>().join(", ")
        ))),
    }
}

async fn run_task(cx: &Context, task: &Task, lm: &str, out: &Path) -> Result<()> {
    let only = std::env::var("RECIPES").unwrap_or_default();
    let named = |name: &str| only.is_empty() || only.split(',').any(|n| n == name);
    for recipe in recipes() {
        let rows = rows(out)?;
        let known = |r: &Row| r.task == task.name && r.lm == lm && r.recipe == recipe.name;
        if !named(recipe.name) || rows.iter().any(known) {
            continue;
        }
        eprintln!("{} by {}", task.name, recipe.name);
        match measure(cx, task, lm, recipe.name, out).await {
            Ok(row) => keep(out, &row)?,
            Err(error) => eprintln!("{} by {}: {error}", task.name, recipe.name),
        }
        write_results(out)?;
    }
    write_results(out)
}

fn write_results(out: &Path) -> Result<()> {
    std::fs::write(out.join("RESULTS.md"), results(&rows(out)?)).map_err(|e| Error::io(out, &e))
}

async fn measure(cx: &Context, task: &Task, lm: &str, recipe: &str, out: &Path) -> Result<Row> {
    let settings = settings(recipe);
    let compiled = by_name(recipe, &settings)?
        .compiler(task.metric.clone())
        .val(&task.val)
        .test(&task.test)
        .limits(Limits { calls: Some(task.calls), ..Limits::default() })
        .concurrency(1)
        .studies_in(out.join(".studies"))
        .study(format!("{}-{recipe}", task.name))
        .compile(cx, &task.program, &task.train)
        .await?;
    let report = compiled.report;
    println!("{report}\n");
    Ok(Row {
        task: task.name.into(),
        lm: lm.into(),
        recipe: recipe.into(),
        settings: Value::Object(settings),
        baseline: report.baseline.score,
        score: report.winner.score,
        ci: report.winner.ci,
        difference: report.difference,
        difference_ci: report.difference_ci,
        p_value: report.p_value,
        n: report.winner.n,
        returned: if report.improved { "winner" } else { "as written" }.into(),
        candidates: report.candidates.len(),
        calls: report.usage.calls,
        proposals: report.spent.proposals.calls,
        tokens: report.usage.prompt_tokens + report.usage.completion_tokens,
        seconds: report.seconds,
        stopped: report.stopped,
        scores: if report.improved { report.winner.scores } else { report.baseline.scores },
    })
}

/// Defaults but for sizes that a 135M model on two cores can pay.
fn settings(recipe: &str) -> Map<String, Value> {
    let few_shot = json!({"max_labeled_demos": 8, "calibration_examples": 24});
    let value = match recipe {
        "labeled_few_shot" => json!({"k": 8, "calibration_examples": 24}),
        "bootstrap_few_shot"
        | "bootstrap_few_shot_with_random_search"
        | "bootstrap_few_shot_with_tpe"
        | "auto" => few_shot,
        "ensemble" => json!({"of": {
            "name": "bootstrap_few_shot_with_random_search", "settings": few_shot,
        }}),
        _ => json!({}),
    };
    value.as_object().cloned().unwrap_or_default()
}

fn tasks(data: &Path) -> Result<Vec<Task>> {
    Ok(vec![
        banking(data, "banking77-10", Some(10), (150, 50, 150), 700)?,
        banking(data, "banking77", None, (300, 50, 150), 600)?,
        gsm(data, "gsm8k", (100, 40, 100), 500)?,
    ])
}

/// Banking77, or that many of its intents: every seventh of the sorted names, so that nobody chose
/// them.
fn banking(
    data: &Path,
    name: &'static str,
    intents: Option<usize>,
    (train, val, test): (usize, usize, usize),
    calls: u64,
) -> Result<Task> {
    let dir = data.join("banking77");
    let (all, dev) =
        (Dataset::load(dir.join("train.jsonl"))?, Dataset::load(dir.join("dev.jsonl"))?);
    let names: BTreeSet<String> =
        all.iter().map(|e| e["intent"].as_str().unwrap_or_default().to_owned()).collect();
    let chosen: Vec<String> = match intents {
        Some(n) => names.into_iter().step_by(7).take(n).collect(),
        None => names.into_iter().collect(),
    };
    let labels: Vec<String> = chosen.iter().map(|intent| format!("{intent:?}")).collect();
    let signature: Signature =
        format!("\"What does the customer want?\" text -> intent: enum[{}]", labels.join(", "))
            .parse()?;
    let of = |data: &Dataset| -> Result<Dataset> {
        let places: Vec<usize> = (0..data.len())
            .filter(|i| {
                data.get(*i).is_some_and(|e| {
                    chosen.iter().any(|intent| e["intent"].as_str() == Some(intent))
                })
            })
            .collect();
        data.select(&places).for_signature(&signature, &[])
    };
    let (train, val) = parts(&of(&all)?, train, val);
    Ok(Task {
        name,
        program: Program::new(Predict::of(signature.clone())?),
        metric: metric::exact_match("intent"),
        train,
        val,
        test: of(&dev)?.take(test),
        calls,
    })
}

/// GSM8K, the answer alone, without reasoning: for the time that it takes.
fn gsm(
    data: &Path,
    name: &'static str,
    (train, val, test): (usize, usize, usize),
    calls: u64,
) -> Result<Task> {
    let signature: Signature = "\"Solve the problem.\" question -> answer: int".parse()?;
    let load = |file: &str| -> Result<Dataset> {
        Dataset::load(data.join("gsm8k").join(file))?.for_signature(&signature, &[])
    };
    let (train, val) = parts(&load("train.jsonl")?, train, val);
    Ok(Task {
        name,
        program: Program::new(Predict::of(signature.clone())?),
        metric: metric::number_equality("answer"),
        train,
        val,
        test: load("dev.jsonl")?.take(test),
        calls,
    })
}

/// Train and validation examples, drawn by a fixed seed.
fn parts(data: &Dataset, train: usize, val: usize) -> (Dataset, Dataset) {
    let drawn = Rng::new(77).sample(data.len(), train + val);
    let (first, rest) = drawn.split_at(train.min(drawn.len()));
    (data.select(first), data.select(rest))
}

fn rows(out: &Path) -> Result<Vec<Row>> {
    let path = out.join("rows.jsonl");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let row = |line: &str| serde_json::from_str(line).map_err(|e| Error::Data(e.to_string()));
    text.lines().map(row).collect()
}

fn keep(out: &Path, row: &Row) -> Result<()> {
    let path = out.join("rows.jsonl");
    let mut text = std::fs::read_to_string(&path).unwrap_or_default();
    text.push_str(&serde_json::to_string(row).map_err(|e| Error::Other(e.to_string()))?);
    text.push('\n');
    std::fs::write(&path, text).map_err(|e| Error::io(&path, &e))
}

fn results(rows: &[Row]) -> String {
    let mut text = String::from(
        "# Recipes on real data and a real model\n\nWritten by the run itself \
         (`benchmarks/recipes/run.sh`). Each row is one compile with the same limit on LM calls a \
         task; what the limit cut off is marked. Scores are on examples of the dev split that no \
         compile sees, with 95% intervals; the difference is to the program as written on the same \
         examples, with the exact paired test. LM calls, tokens and seconds are of the whole \
         compile, both evaluations on the test examples included; nothing is cached.\n",
    );
    let mut tables: BTreeMap<(&str, &str), Vec<&Row>> = BTreeMap::new();
    for row in rows {
        tables.entry((&row.task, &row.lm)).or_default().push(row);
    }
    for ((task, lm), rows) in tables {
        let (n, baseline) = rows.first().map_or((0, 0.0), |r| (r.n, r.baseline));
        let _ = write!(
            text,
            "\n## {task}, {lm}\n\n{n} test examples; as written {:.1}%.\n\n| recipe | score | 95% CI | \
             difference | 95% CI | p | returned | candidates | LM calls | of them proposals | tokens | \
             seconds |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n",
            100.0 * baseline
        );
        for row in &rows {
            let _ = writeln!(text, "{}", line(row));
        }
        text.push_str(&beside_auto(&rows));
        let is_measured = |name: &str| rows.iter().any(|row| row.recipe == name);
        let names = recipes().iter().map(|r| r.name);
        let missing: Vec<&str> = names.filter(|name| !is_measured(name)).collect();
        if !missing.is_empty() {
            let _ = writeln!(text, "\nNot measured: {}.", missing.join(", "));
        }
    }
    text
}

/// `auto` beside the best single recipe, which was chosen after the fact.
fn beside_auto(rows: &[&Row]) -> String {
    let others = ["auto", "better_together", "ensemble", "calibrate_decisions"];
    let mean = |row: &Row| row.scores.iter().sum::<f64>() / row.scores.len().max(1) as f64;
    let single = rows.iter().filter(|row| !others.contains(&row.recipe.as_str()));
    let best = single.max_by(|a, b| mean(a).total_cmp(&mean(b)));
    let auto = rows.iter().find(|row| row.recipe == "auto");
    let (Some(auto), Some(best)) = (auto, best) else { return String::new() };
    let difference = teleprompt::evaluate::paired(&best.scores, &auto.scores);
    format!(
        "\n`auto` beside the best single recipe, {}: {:+.1} points (95% CI {:+.1} to {:+.1}).\n",
        best.recipe,
        100.0 * difference.difference,
        100.0 * difference.ci.low,
        100.0 * difference.ci.high,
    )
}

fn line(row: &Row) -> String {
    let percent = |x: f64| format!("{:.1}", 100.0 * x);
    let p = match row.p_value {
        p if p < 0.0001 => "< 0.0001".to_owned(),
        p => format!("{p:.4}"),
    };
    format!(
        "| {}{} | {} | {} to {} | {:+.1} | {:+.1} to {:+.1} | {p} | {} | {} | {} | {} | {} | {:.0} |",
        row.recipe,
        if row.stopped.is_some() { " (cut off)" } else { "" },
        percent(row.score),
        percent(row.ci.0),
        percent(row.ci.1),
        100.0 * row.difference,
        100.0 * row.difference_ci.0,
        100.0 * row.difference_ci.1,
        row.returned,
        row.candidates,
        row.calls,
        row.proposals,
        row.tokens,
        row.seconds,
    )
}
