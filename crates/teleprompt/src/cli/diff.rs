//! `teleprompt diff`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use teleprompt_core::{Parameters, Predictor, Record, Result, Signature};

use super::app::{App, Loaded};
use super::args::DiffArgs;
use super::output;

pub(super) fn diff(app: &App, args: &DiffArgs) -> Result<()> {
    let (a, b) = (app.program(&args.a)?, app.program(&args.b)?);
    let (a, b) = (sides(&a), sides(&b));
    let paths: BTreeSet<&String> = a.iter().chain(&b).map(|(path, _)| path).collect();
    let mut changes = Map::new();
    for path in paths {
        let find =
            |side: &[(String, Shown)]| side.iter().find(|(p, _)| p == path).map(|(_, s)| s.clone());
        let change = match (find(&a), find(&b)) {
            (Some(a), Some(b)) => between(&a, &b),
            (Some(_), None) => json!({"only": args.a}),
            _ => json!({"only": args.b}),
        };
        if change != json!({}) {
            changes.insert(path.clone(), change);
        }
    }
    if app.common.json {
        return output::json(&json!({ "changes": changes }));
    }
    output::print(&text(&changes))
}

#[derive(Clone)]
struct Shown {
    signature: Signature,
    parameters: Parameters,
}

fn sides(loaded: &Loaded) -> Vec<(String, Shown)> {
    let bound = loaded.program.bound();
    let shown = |(path, p): &(std::sync::Arc<str>, &dyn Predictor)| {
        let parameters = (**bound.parameters.get(path).unwrap_or(p.parameters())).clone();
        let signature = parameters.apply(p.signature());
        (path.to_string(), Shown { signature, parameters })
    };
    bound.predictors.iter().map(shown).collect()
}

fn between(a: &Shown, b: &Shown) -> Value {
    let mut change = Map::new();
    let mut note = |key: &str, a: Value, b: Value| {
        if a != b {
            change.insert(key.into(), json!({"before": a, "after": b}));
        }
    };
    let fields = |s: &Shown| json!(s.signature.with_instructions(""));
    note("signature", fields(a), fields(b));
    note("instructions", json!(a.signature.instructions()), json!(b.signature.instructions()));
    note("lm", json!(a.parameters.lm), json!(b.parameters.lm));
    note("settings", json!(a.parameters.settings), json!(b.parameters.settings));
    note("label_bias", json!(a.parameters.label_bias), json!(b.parameters.label_bias));
    note("decisions", json!(a.parameters.decisions), json!(b.parameters.decisions));
    let pool = |s: &Shown| s.parameters.nearest.as_ref().map(|n| n.pool.clone());
    let rest = |s: &Shown| s.parameters.nearest.as_ref().map(|n| json!({"k": n.k, "by": n.by}));
    note("nearest demos", json!(rest(a)), json!(rest(b)));
    let missing = |from: &[Record], to: &[Record]| -> Vec<Record> {
        from.iter().filter(|d| !to.contains(d)).cloned().collect()
    };
    let mut lists = |key: &str, a: &[Record], b: &[Record]| {
        let (removed, added) = (missing(a, b), missing(b, a));
        if !removed.is_empty() || !added.is_empty() {
            change.insert(key.into(), json!({"removed": removed, "added": added}));
        } else if a != b {
            change.insert(key.into(), json!("the same in another order"));
        }
    };
    lists("demos", a.parameters.demos(), b.parameters.demos());
    lists("pool", &pool(a).unwrap_or_default(), &pool(b).unwrap_or_default());
    Value::Object(change)
}

fn text(changes: &Map<String, Value>) -> String {
    if changes.is_empty() {
        return "no difference".into();
    }
    let mut out = String::new();
    for (path, change) in changes {
        out.push_str(&format!("{path}\n"));
        for (key, value) in change.as_object().into_iter().flatten() {
            out.push_str(&part(key, value));
        }
    }
    out.trim_end().to_owned()
}

fn part(key: &str, value: &Value) -> String {
    if let Some(text) = value.as_str() {
        return format!("  {key}: {text}\n");
    }
    let mut out = format!("  {key}\n");
    let mut line = |sign: char, value: &Value| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let indented = text.replace('\n', "\n      ");
        out.push_str(&format!("    {sign} {indented}\n"));
    };
    if key == "demos" || key == "pool" {
        let list = |name: &str| value[name].as_array().cloned().unwrap_or_default();
        list("removed").iter().for_each(|d| line('-', d));
        list("added").iter().for_each(|d| line('+', d));
    } else {
        line('-', value.get("before").unwrap_or(&Value::Null));
        line('+', value.get("after").unwrap_or(&Value::Null));
    }
    out
}
