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
    let failed = |e: std::io::Error| Error::io(&dir, &e);
    let most = cache::disk_bytes_from_env()?;
    let place = dir.display();
    let (found, line) = match &args.action {
        CacheAction::Stats => {
            let found = cache::stats(&dir).map_err(failed)?;
            let (now, most) = (megabytes(found.bytes), megabytes(most));
            (found, format!("{} replies, {now} of at most {most} in {place}", found.entries))
        }
        CacheAction::Clear => {
            let found = cache::clear(&dir).map_err(failed)?;
            (found, format!("{} replies deleted from {place}", found.entries))
        }
        CacheAction::Prune { to } => {
            let found = cache::prune(&dir, cache::parse_bytes(to)?).map_err(failed)?;
            let freed = megabytes(found.bytes);
            (found, format!("{} replies, {freed}, deleted from {place}", found.entries))
        }
    };
    if app.common.json {
        return output::json(&json!({
            "dir": dir, "entries": found.entries, "bytes": found.bytes, "most_bytes": most,
        }));
    }
    output::print(&line)
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
