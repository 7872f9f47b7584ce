//! Inputs from `name=value` arguments or from JSON on stdin.

use std::io::{IsTerminal, Read};

use serde_json::Value;
use teleprompt_core::names::suggestion;
use teleprompt_core::{Error, Record, Result, Signature};

use super::usage;
use crate::parse::coerce_text;

/// The inputs of a call. Values are read as the program's types where it tells them.
pub(super) fn inputs(args: &[String], interface: Option<&Signature>) -> Result<Record> {
    let mut record =
        if args.is_empty() && needs_some(interface) { stdin()? } else { Record::new() };
    for arg in args {
        let Some((name, value)) = arg.split_once('=') else {
            return Err(usage(format!("`{arg}` is no input: write name=value")));
        };
        if record.contains(name) {
            return Err(usage(format!("the input `{name}` is given twice")));
        }
        record.insert(name, typed(name, value_of(value)?, interface)?);
    }
    Ok(record)
}

fn needs_some(interface: Option<&Signature>) -> bool {
    interface.is_none_or(|s| !s.inputs().is_empty())
}

fn stdin() -> Result<Record> {
    if std::io::stdin().is_terminal() {
        return Err(usage("no inputs: give name=value arguments or a JSON object on stdin"));
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|e| Error::io("stdin", &e))?;
    if text.trim().is_empty() {
        return Err(usage("no inputs: give name=value arguments or a JSON object on stdin"));
    }
    match serde_json::from_str(&text) {
        Ok(Value::Object(map)) => Ok(map.into()),
        Ok(_) => Err(usage("stdin: the inputs must be one JSON object, {\"name\": value}")),
        Err(e) => Err(usage(format!("stdin: no JSON: {e}"))),
    }
}

fn value_of(text: &str) -> Result<String> {
    match text.strip_prefix('@') {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, &e))?;
            Ok(text.trim_end_matches(['\n', '\r']).to_owned())
        }
        None => Ok(text.to_owned()),
    }
}

/// Text as the input's type: `'["a", "b"]'` is a list where a list is wanted.
fn typed(name: &str, text: String, interface: Option<&Signature>) -> Result<Value> {
    let Some(signature) = interface else { return Ok(Value::String(text)) };
    let Some(field) = signature.input(name) else {
        let hint = suggestion(name, signature.inputs().iter().map(|f| &*f.name));
        return Err(Error::input(format!("there is no input `{name}`{hint}")));
    };
    if field.ty.is_plain_str() {
        return Ok(Value::String(text));
    }
    match coerce_text(&text, &field.ty, signature.defs()) {
        Ok(coerced) => Ok(coerced.value),
        Err(errors) => {
            let why = errors
                .first()
                .map_or(String::new(), |e| format!("{} (expected {})", e.problem, e.expected));
            Err(Error::input(format!("the input `{name}`: {why}")))
        }
    }
}
