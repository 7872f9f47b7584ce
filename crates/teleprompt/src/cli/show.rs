//! `teleprompt show`.

use serde_json::{Value, json};
use teleprompt_core::{Module, Parameters, Predictor, ProgramState, Result};

use super::app::App;
use super::args::ShowArgs;
use super::output;
use crate::saved::SavedProgram;

pub(super) fn show(app: &App, args: &ShowArgs) -> Result<()> {
    let loaded = app.program(&args.program)?;
    let bound = loaded.program.bound();
    let mut saved = SavedProgram::of(&bound);
    saved.program = loaded.source.clone();
    if args.program.ends_with(".json") {
        let file = SavedProgram::read(args.program.as_ref())?;
        (saved.compiled, saved.ensemble) = (file.compiled, file.ensemble);
    }
    if app.common.json {
        return output::json(&saved);
    }
    let mut text = match loaded.program.interface() {
        Some(interface) => format!("program  {}\n", interface.with_instructions("")),
        None => String::new(),
    };
    for (path, predictor) in &bound.predictors {
        let parameters = bound.parameters.get(path).unwrap_or(predictor.parameters());
        text.push_str(&describe(path, *predictor, parameters));
    }
    for (alias, first) in &bound.aliases {
        text.push_str(&format!("{alias}  is {first}\n"));
    }
    if let Some(ensemble) = &saved.ensemble {
        text.push_str(&members(&saved, &ensemble.others));
        let how = json!(ensemble.vote);
        let voters = loaded.voters().unwrap_or_default();
        text.push_str(&format!("{voters}\nvote by {}\n", plain(&how)));
    }
    if let Some(Value::Object(compiled)) = &saved.compiled {
        text.push_str("compiled\n");
        for (key, value) in compiled {
            text.push_str(&format!("  {key}: {}\n", plain(value)));
        }
    }
    output::print(text.trim_end())
}

/// What sets the members of an ensemble apart: instructions, and how many demonstrations.
fn members(saved: &SavedProgram, others: &[ProgramState]) -> String {
    let mut first = ProgramState::default();
    for (path, predictor) in &saved.predictors {
        first.insert(path.clone(), predictor.parameters.clone());
    }
    let mut text = String::new();
    for (i, member) in std::iter::once(&first).chain(others).enumerate() {
        for (path, parameters) in &member.0 {
            let demos = parameters.demos().len();
            let written = parameters.instructions.as_deref().unwrap_or("(as written)");
            let written = written.replace('\n', "\n      ");
            text.push_str(&format!("member {}  {path}, {demos} demos\n      {written}\n", i + 1));
        }
    }
    text
}

fn describe(path: &str, predictor: &dyn Predictor, parameters: &Parameters) -> String {
    let signature = parameters.apply(predictor.signature());
    let mut text = format!("{path}\n  signature     {}\n", signature.with_instructions(""));
    if !signature.instructions().is_empty() {
        let indented = signature.instructions().replace('\n', "\n                ");
        text.push_str(&format!("  instructions  {indented}\n"));
    }
    if let Some(lm) = &parameters.lm {
        text.push_str(&format!("  lm            {lm}\n"));
    }
    let settings = json!(parameters.settings);
    if settings != json!({}) {
        text.push_str(&format!("  settings      {settings}\n"));
    }
    if !parameters.label_bias.is_empty() {
        text.push_str(&format!("  label bias    {}\n", json!(parameters.label_bias)));
    }
    text.push_str(&format!("  demos         {}\n", parameters.demos().len()));
    for demo in parameters.demos() {
        text.push_str(&format!("    {}\n", shortened(&demo.to_json().to_string())));
    }
    if let Some(nearest) = parameters.nearest.as_ref().filter(|n| n.k > 0) {
        let (k, pool, by) = (nearest.k, nearest.pool.len(), plain(&json!(nearest.by)));
        text.push_str(&format!("  nearest demos {k} of {pool}, by {by}\n"));
    }
    for (field, decision) in &parameters.decisions {
        let (from, rule) = (plain(&json!(decision.from)), json!(decision.rule));
        text.push_str(&format!("  decision      {field}: {rule} on {from}\n"));
    }
    text
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(160).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
