//! `teleprompt studies list`.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use teleprompt_core::Result;

use crate::cli::app::App;
use crate::cli::output::{self, at};
use crate::optimize::study::Archive;

pub(super) fn list(app: &App, dir: &Path) -> Result<()> {
    let rows: Vec<Value> = Archive::names(dir)?.iter().map(|name| row(dir, name)).collect();
    if app.common.json {
        return output::json(&json!({"dir": dir, "studies": rows}));
    }
    if rows.is_empty() {
        return output::print(&format!(
            "no studies in {} yet; `teleprompt compile` makes them",
            dir.display()
        ));
    }
    let width = |key: &str| {
        let texts = rows.iter().filter_map(|r| r.get(key)?.as_str());
        texts.map(|t| t.chars().count()).max().unwrap_or(0)
    };
    let (name, optimizer) = (width("name"), width("optimizer"));
    let line = |row: &Value| line(row, name, optimizer);
    output::print(&rows.iter().map(line).collect::<Vec<_>>().join("\n"))
}

/// What is known of a study; one that cannot be read says why.
fn row(dir: &Path, name: &str) -> Value {
    let read = || -> Result<Value> {
        let mut study = Archive::open(dir, name)?;
        let report = study.report()?.unwrap_or_default();
        let changed = study.changed().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
        Ok(json!({
            "name": name,
            "optimizer": at(&study.identity().optimizer, "/name"),
            "state": study.state(),
            "why": study.why()?,
            "baseline": at(&report, "/baseline/score"),
            "winner": at(&report, "/winner/score"),
            "improved": at(&report, "/improved"),
            "candidates": study.candidates().len(),
            "calls": study.spent().total().calls,
            "changed": changed.map(|t| t.as_secs()),
        }))
    };
    read().unwrap_or_else(|error| json!({"name": name, "error": error.to_string()}))
}

fn line(row: &Value, name: usize, optimizer: usize) -> String {
    let get = |key: &str| row.get(key).unwrap_or(&Value::Null);
    let text = |key: &str| get(key).as_str().unwrap_or_default().to_owned();
    if get("error").is_string() {
        return format!("{:name$}  {}", text("name"), text("error"));
    }
    let score = |key: &str| match get(key).as_f64() {
        Some(score) => format!("{:5.1}%", 100.0 * score),
        None => "     -".into(),
    };
    format!(
        "{:name$}  {:optimizer$}  {:8}  {} → {}  {:>7} calls  {}",
        text("name"),
        text("optimizer"),
        text("state"),
        score("baseline"),
        score("winner"),
        get("calls").to_string(),
        ago(get("changed").as_u64())
    )
}

/// How long ago, roughly.
fn ago(changed: Option<u64>) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map(|t| t.as_secs()).ok();
    let (Some(now), Some(then)) = (now, changed) else { return String::new() };
    let seconds = now.saturating_sub(then);
    match seconds {
        0..60 => "just now".into(),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86400 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86400),
    }
}
