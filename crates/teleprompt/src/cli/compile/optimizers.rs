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
    let texts: Result<Vec<String>> = chosen.iter().map(text).collect();
    let mut texts = texts?;
    if args.name.is_none() {
        texts.push("use one as --optimizer NAME, with --set KEY=VALUE for each setting".into());
    }
    output::print(&texts.join("\n\n"))
}

fn as_json(recipe: &Recipe) -> Result<Value> {
    let optimizer = recipe.with(&serde_json::Map::new())?;
    Ok(json!({
        "name": recipe.name, "aliases": recipe.aliases, "about": recipe.about,
        "settings": optimizer.settings(), "validates": optimizer.validates(),
        "writes": optimizer.writes(),
    }))
}

fn text(recipe: &Recipe) -> Result<String> {
    let optimizer = recipe.with(&serde_json::Map::new())?;
    let mut text = format!("{}\n  {}", recipe.name, recipe.about);
    if !recipe.aliases.is_empty() {
        text.push_str(&format!("\n  also: {}", recipe.aliases.join(", ")));
    }
    let setting = |(name, default): (&String, &Value)| match default {
        Value::Null => format!("{name}=(none)"),
        value => format!("{name}={value}"),
    };
    let defaults: Vec<String> = recipe.defaults().iter().map(setting).collect();
    text.push_str(&format!("\n  settings: {}", defaults.join(" ")));
    if optimizer.writes() {
        text.push_str("\n  asks an LM to write; --prompt-lm names it");
    }
    Ok(text)
}
