//! `teleprompt optimizers`.

use serde_json::{Value, json};
use teleprompt_core::Result;

use crate::cli::app::App;
use crate::cli::args::OptimizersArgs;
use crate::cli::output;
use crate::optimize::Optimizer;
use crate::optimize::teleprompter::{Recipe, recipe_named, recipes};

pub(in crate::cli) fn optimizers(app: &App, args: &OptimizersArgs) -> Result<()> {
    let chosen = match &args.name {
        Some(name) => std::slice::from_ref(recipe_named(name)?),
        None => recipes(),
    };
    if app.common.json {
        let all: Result<Vec<Value>> = chosen.iter().map(as_json).collect();
        return output::json(&json!({ "optimizers": all? }));
    }
    let text = if args.name.is_some() { whole } else { text };
    let texts: Result<Vec<String>> = chosen.iter().map(text).collect();
    let mut texts = texts?;
    if args.name.is_none() {
        texts.push("use one as --optimizer NAME, with --set KEY=VALUE for each setting; `teleprompt optimizers NAME` explains them".into());
    }
    output::print(&texts.join("\n\n"))
}

fn as_json(recipe: &Recipe) -> Result<Value> {
    let optimizer = recipe.with(&serde_json::Map::new())?;
    let explained = |(name, _, about, values): (String, Value, &str, String)| {
        (name, json!({ "about": about, "values": values }))
    };
    let explained: serde_json::Map<String, Value> =
        recipe.explained().into_iter().map(explained).collect();
    Ok(json!({
        "name": recipe.name, "aliases": recipe.aliases, "about": recipe.about,
        "suits": recipe.suits, "cost": recipe.cost, "source": recipe.source,
        "settings": optimizer.settings(), "explained": explained,
        "validates": optimizer.validates(), "writes": optimizer.writes(),
        "teaches": recipe.teaches(&optimizer.settings()),
    }))
}

/// A recipe in a list of all.
fn text(recipe: &Recipe) -> Result<String> {
    let mut text = head(recipe);
    let setting = |(name, default): (&String, &Value)| format!("{name}={}", shown(default));
    let defaults: Vec<String> = recipe.defaults().iter().map(setting).collect();
    text.push_str(&format!("\n  settings: {}", defaults.join(" ")));
    text.push_str(&others(recipe)?);
    Ok(text)
}

/// All that is to be said of one recipe.
fn whole(recipe: &Recipe) -> Result<String> {
    let mut text = head(recipe);
    text.push_str(&format!(
        "\n  for: {}\n  cost: at most {} (program runs; n train examples, v validation examples, p \
         predictors)\n  source: {}",
        recipe.suits, recipe.cost, recipe.source
    ));
    text.push_str(&others(recipe)?);
    text.push_str("\n  settings, each by --set NAME=VALUE:");
    for (name, default, about, values) in recipe.explained() {
        text.push_str(&format!("\n    {name}={}\n      {about}\n      {values}", shown(&default)));
    }
    Ok(text)
}

fn head(recipe: &Recipe) -> String {
    let mut text = format!("{}\n  {}", recipe.name, recipe.about);
    if !recipe.aliases.is_empty() {
        text.push_str(&format!("\n  also: {}", recipe.aliases.join(", ")));
    }
    text
}

/// Whom it has a use for besides the program's LM.
fn others(recipe: &Recipe) -> Result<String> {
    let optimizer = recipe.with(&serde_json::Map::new())?;
    let mut text = String::new();
    if recipe.teaches(&optimizer.settings()) {
        text.push_str("\n  learns from a teacher's runs; --teacher and --teacher-lm name one");
    }
    if optimizer.writes() {
        text.push_str("\n  asks an LM to write; --prompt-lm names it");
    }
    Ok(text)
}

/// A default as it can be typed.
fn shown(default: &Value) -> String {
    match default {
        Value::Null => "(none)".into(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}
