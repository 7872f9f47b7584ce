//! `teleprompt lm`: which language models there are, and what stands behind a name.

use serde_json::{Value, json};
use teleprompt_core::{Capabilities, Lm, Result};

use super::app::App;
use super::args::{LmAction, LmArgs};
use super::output;
use crate::lm::{ConnectOptions, KeySource, ProviderInfo, Registry, Remote};

pub(super) async fn lm(app: &App, args: &LmArgs) -> Result<()> {
    let registry = app.registry()?;
    match &args.action {
        LmAction::List => list(app, &registry),
        LmAction::Show { name } => {
            let name = match name {
                Some(name) => name.clone(),
                None => app.lm_name()?.0,
            };
            show(app, &registry, &name).await
        }
    }
}

fn list(app: &App, registry: &Registry) -> Result<()> {
    let providers = registry.providers();
    if app.common.json {
        let providers: Vec<Value> = providers.iter().map(provider_json).collect();
        return output::json(&json!({ "providers": providers }));
    }
    let width = providers.iter().map(|p| p.scheme.len()).max().unwrap_or(0).max("local".len());
    let place = providers.iter().filter_map(|p| p.url.as_ref().map(String::len)).max().unwrap_or(0);
    let line = |p: &ProviderInfo| {
        let url = p.url.as_deref().unwrap_or("(set by environment variables)");
        let key = key_text(&p.key, p.key_is_set);
        format!("{:width$}  {url:place$}  {:16}  {key:32}  {}", p.scheme, p.wire, p.origin)
    };
    let mut lines =
        vec![format!("{:width$}  the embedded engine: local:NAME, local:FILE.gguf", "local")];
    lines.extend(providers.iter().map(line).map(|line| line.trim_end().to_owned()));
    lines.push("use one as --lm SCHEME:MODEL, another address as --lm SCHEME:MODEL@URL".into());
    output::print(&lines.join("\n"))
}

fn provider_json(provider: &ProviderInfo) -> Value {
    json!({
        "scheme": provider.scheme, "name": provider.name, "wire": provider.wire,
        "url": provider.url, "key": provider.key.to_string(), "key_is_set": provider.key_is_set,
        "origin": provider.origin.to_string(),
    })
}

fn key_text(key: &KeySource, is_set: Option<bool>) -> String {
    match is_set {
        Some(true) => format!("{key} (set)"),
        Some(false) => format!("{key} (not set)"),
        None => key.to_string(),
    }
}

/// Sends nothing; an embedded model is not loaded.
async fn show(app: &App, registry: &Registry, name: &str) -> Result<()> {
    let remotes = registry.remotes(name)?;
    if remotes.is_empty() {
        let stack = format!("{name} (loaded when it is first called)");
        return match app.common.json {
            true => output::json(&json!({"lm": name, "stack": name, "servers": []})),
            false => output::print(&stack),
        };
    }
    let options = ConnectOptions { quiet: true, ..app.connect_options() };
    let lm = registry.connect_with(name, options).await?;
    let able = lm.capabilities();
    if app.common.json {
        let servers: Vec<Value> = remotes.iter().map(server_json).collect();
        return output::json(&json!({
            "lm": name, "stack": lm.describe(), "servers": servers,
            "capabilities": capabilities_json(able),
        }));
    }
    let mut lines = vec![format!("stack         {}", lm.describe())];
    for remote in &remotes {
        let endpoint = remote.endpoint();
        let key = key_text(endpoint.key(), endpoint.key().is_set());
        lines.push(format!("server        {} ({})", endpoint.base_url(), endpoint.wire()));
        lines.push(format!("key           {key}"));
    }
    lines.push(format!("capabilities  {}", capabilities_text(able)));
    output::print(&lines.join("\n"))
}

fn server_json(remote: &Remote) -> Value {
    let endpoint = remote.endpoint();
    json!({
        "provider": endpoint.provider(), "wire": endpoint.wire(), "url": endpoint.base_url(),
        "key": endpoint.key().to_string(), "key_is_set": endpoint.key().is_set(),
    })
}

fn capabilities_json(able: Capabilities) -> Value {
    json!({
        "json_schema": able.json_schema, "lark": able.lark, "logprobs": able.logprobs,
        "label_bias": able.label_bias, "tools": able.tools, "media": able.media,
        "context_window": able.context_window, "max_output": able.max_output,
    })
}

fn capabilities_text(able: Capabilities) -> String {
    let flags = [
        (able.json_schema, "JSON schemas"),
        (able.lark, "grammars"),
        (able.logprobs, "log-probabilities"),
        (able.label_bias, "label bias"),
        (able.tools, "tools"),
        (able.media, "images, sound and files"),
    ];
    let mut words: Vec<String> =
        flags.into_iter().filter(|(yes, _)| *yes).map(|(_, word)| word.to_owned()).collect();
    words.extend(able.context_window.map(|n| format!("a window of {n} tokens")));
    words.extend(able.max_output.map(|n| format!("{n} tokens a reply by default")));
    if words.is_empty() { "text".to_owned() } else { words.join(", ") }
}
