//! Types in the words of the prompt.

use serde_json::Value;

use crate::{Constraints, Kind, Type};

/// Labels beyond this many are not listed again in an error.
const MOST_LABELS: usize = 60;

/// What a type asks for, as in `Expected a whole number from 0 to 10`.
pub(crate) fn expected(ty: &Type) -> String {
    if let Some(values) = ty.choices() {
        return match values {
            [only] => format!("exactly {}", plain(only)),
            _ if values.len() > MOST_LABELS => "one of the values listed above".into(),
            _ => format!("one of: {}", list_of(values)),
        };
    }
    match &ty.kind {
        Kind::Str => text(&ty.constraints),
        Kind::Int => ranged("a whole number", &ty.constraints),
        Kind::Float => ranged("a number", &ty.constraints),
        Kind::Bool => "true or false".into(),
        Kind::Date => "a date as YYYY-MM-DD".into(),
        Kind::Any => "any JSON value".into(),
        Kind::List(item) => sized(&list(item), "items", &ty.constraints),
        Kind::Dict(value) => {
            let what = format!("a JSON object from text to {}", short(value));
            sized(&what, "entries", &ty.constraints)
        }
        Kind::Optional(inner) => format!("{}, or null", expected(inner)),
        Kind::Union(arms) => {
            let arms: Vec<_> = arms.iter().map(expected).collect();
            arms.join(", or ")
        }
        Kind::Tuple(items) => {
            let items: Vec<_> = items.iter().map(short).collect();
            format!("a JSON list of {} values: {}", items.len(), items.join(", "))
        }
        _ => format!("JSON of the form {ty}"),
    }
}

fn list(item: &Type) -> String {
    let items = match (&item.kind, item.constraints.is_empty()) {
        (Kind::Str, true) => "texts".into(),
        (Kind::Int, true) => "whole numbers".into(),
        (Kind::Float, true) => "numbers".into(),
        (Kind::Enum(values), _) => format!("any of: {}", list_of(values)),
        _ => short(item),
    };
    format!("a JSON list of {items}")
}

/// The type in one or two words, or in the notation of signatures where words would be long.
fn short(ty: &Type) -> String {
    match (&ty.kind, ty.constraints.is_empty()) {
        (Kind::Str, true) => "text".into(),
        (Kind::Int | Kind::Float | Kind::Bool | Kind::Date | Kind::Any, true) => expected(ty),
        _ => ty.to_string(),
    }
}

fn text(limits: &Constraints) -> String {
    let base = sized("text", "characters", limits);
    match &limits.pattern {
        Some(pattern) => format!("{base} that matches {pattern}"),
        None => base,
    }
}

fn sized(what: &str, unit: &str, limits: &Constraints) -> String {
    match (limits.min_len, limits.max_len) {
        (None, None) => what.into(),
        (Some(a), Some(b)) if a == b => format!("{what} with {a} {unit}"),
        (Some(a), Some(b)) => format!("{what} with {a} to {b} {unit}"),
        (Some(a), None) => format!("{what} with at least {a} {unit}"),
        (None, Some(b)) => format!("{what} with at most {b} {unit}"),
    }
}

fn ranged(what: &str, limits: &Constraints) -> String {
    match (&limits.min, &limits.max) {
        (None, None) => what.into(),
        (Some(a), Some(b)) => format!("{what} from {a} to {b}"),
        (Some(a), None) => format!("{what}, at least {a}"),
        (None, Some(b)) => format!("{what}, at most {b}"),
    }
}

/// Values as the prompt lists them: `a, b, c`.
pub(crate) fn list_of(values: &[Value]) -> String {
    let words: Vec<_> = values.iter().map(plain).collect();
    words.join(", ")
}

/// A label without quotes, unless a list of labels would be hard to read without them.
fn plain(value: &Value) -> String {
    match value {
        Value::String(s) if !s.is_empty() && !s.contains([',', '\n', '"']) && s.trim() == s => {
            s.clone()
        }
        other => other.to_string(),
    }
}

/// A piece of a reply for an error message: short, on one line, in quotes.
pub(crate) fn shortened(text: &str) -> String {
    const MOST: usize = 40;
    // More words than characters are never shown, so a long reply is not copied.
    let mut short = text.split_whitespace().take(MOST).collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = short.char_indices().nth(MOST) {
        short.truncate(end);
        short.push('…');
    }
    format!("\"{short}\"")
}
