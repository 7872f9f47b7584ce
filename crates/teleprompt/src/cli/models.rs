//! `teleprompt models` and `teleprompt cache`.

use serde_json::json;
use teleprompt_core::{Error, Result};

use super::app::App;
use super::args::{CacheAction, CacheArgs, ModelsAction, ModelsArgs};
use super::output;
use crate::lm::cache;
use crate::store::{ModelInfo, ModelStore, TerminalObserver};

pub(super) async fn models(app: &App, args: &ModelsArgs) -> Result<()> {
    let store = ModelStore::open();
    match &args.action {
        ModelsAction::List => list(app, &store.list()?),
        ModelsAction::Path { name } => place(app, name, &store.path(name)?),
        ModelsAction::Pull { name } => {
            let observer = TerminalObserver::new(app.common.quiet);
            place(app, name, &store.pull(name, &observer).await?)
        }
    }
}

fn place(app: &App, name: &str, path: &std::path::Path) -> Result<()> {
    if app.common.json {
        return output::json(&json!({"name": name, "path": path}));
    }
    output::print(&path.display().to_string())
}

fn list(app: &App, models: &[ModelInfo]) -> Result<()> {
    if app.common.json {
        return output::json(&json!({ "models": models }));
    }
    let width = models.iter().map(|m| m.name.chars().count()).max().unwrap_or(0);
    let line = |m: &ModelInfo| {
        let size = m.size.map_or_else(|| "?".into(), |n| format!("{:.1} MB", n as f64 / 1e6));
        let licence = m.licence.as_deref().unwrap_or("licence unknown");
        let here = if m.present { m.path.display().to_string() } else { "not pulled yet".into() };
        format!("{:width$}  {size:>10}  {licence:<16}  {here}", m.name)
    };
    let mut lines: Vec<String> = models.iter().map(line).collect();
    lines.push("use one as --lm local:NAME; any GGUF file as --lm local:FILE.gguf".into());
    output::print(&lines.join("\n"))
}

pub(super) fn cache(app: &App, args: &CacheArgs) -> Result<()> {
    let dir = cache::default_dir();
    match args.action {
        CacheAction::Stats => {
            let stats = cache::stats(&dir).map_err(|e| Error::io(&dir, &e))?;
            if app.common.json {
                return output::json(&json!({
                    "dir": dir, "entries": stats.entries, "bytes": stats.bytes,
                }));
            }
            output::print(&format!(
                "{} replies, {:.1} MB in {}",
                stats.entries,
                stats.bytes as f64 / 1e6,
                dir.display()
            ))
        }
        CacheAction::Clear => {
            let cleared = cache::clear(&dir).map_err(|e| Error::io(&dir, &e))?;
            if app.common.json {
                return output::json(&json!({
                    "dir": dir, "entries": cleared.entries, "bytes": cleared.bytes,
                }));
            }
            output::print(&format!("{} replies deleted from {}", cleared.entries, dir.display()))
        }
    }
}
