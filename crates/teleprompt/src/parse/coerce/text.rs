//! Plain text.

use serde_json::Value;

use super::{Cx, Outcome, problem, unfit};
use crate::parse::read::has_doubtful_escape;
use crate::parse::write;
use crate::{Repair, Type};

impl Cx<'_> {
    /// Text of a field for `str`: as it stands, less one pair of double quotes around it.
    ///
    /// A text that could not be read back if written plainly is written as a JSON text; for such a
    /// text the quotes are right and leave no flag.
    pub(super) fn plain_text(&mut self, text: &str, ty: &Type) -> Outcome {
        match text.as_bytes().first() {
            None => return Err(problem("it is empty", ty)),
            Some(b'"') => {}
            // The opening quotation mark of several scripts.
            Some(0xE2) if text.starts_with('“') => {}
            Some(_) => return Ok(Value::from(text)),
        }
        let Some(inside) = unquoted(text) else {
            return Ok(Value::from(text));
        };
        let value = Value::from(inside);
        if super::limits::check(&value, ty).is_err() {
            return Ok(Value::from(text));
        }
        if !value.as_str().is_some_and(write::needs_quotes) {
            self.flag(Repair::Quotes);
        }
        Ok(value)
    }

    pub(super) fn text_from_json(&mut self, node: &Value, ty: &Type) -> Outcome {
        let text = match node {
            Value::String(_) => return Ok(node.clone()),
            Value::Null => return Err(unfit(node, ty)),
            Value::Number(n) if n.as_f64().is_some_and(|x| n.is_f64() && x.abs() >= 1e15) => {
                return Err(problem("it is a number too long to keep its digits", ty));
            }
            other => write::compact(other),
        };
        self.flag(Repair::TextFromScalar);
        Ok(Value::String(text))
    }

    /// A scalar without the fence, emphasis and quotes around it.
    pub(super) fn undecorated<'t>(&mut self, text: &'t str) -> &'t str {
        let mut text = text.trim();
        if let Some(inside) = fenced(text) {
            self.flag(Repair::Fence);
            text = inside.trim();
        }
        // Each round takes off at least two characters; three pairs are more than models write.
        for _ in 0..3 {
            let Some(inside) = PAIRS.iter().find_map(|(a, b)| between(text, a, b)) else {
                break;
            };
            self.flag(Repair::Quotes);
            text = inside.trim();
        }
        text
    }
}

const PAIRS: [(&str, &str); 9] = [
    ("\"", "\""),
    ("'", "'"),
    ("`", "`"),
    ("“", "”"),
    ("‘", "’"),
    ("**", "**"),
    ("__", "__"),
    ("*", "*"),
    ("$", "$"),
];

fn between<'t>(text: &'t str, open: &str, close: &str) -> Option<&'t str> {
    let inside = text.strip_prefix(open)?.strip_suffix(close)?;
    (!inside.is_empty() && !inside.contains(close)).then_some(inside)
}

/// The content of a text that is one code fence.
fn fenced(text: &str) -> Option<&str> {
    let inside = text.strip_prefix("```")?.strip_suffix("```")?;
    match inside.split_once('\n') {
        Some((label, body)) if label.trim().chars().all(|c| c.is_alphanumeric()) => Some(body),
        _ => Some(inside),
    }
}

/// The text inside one pair of double quotes: a JSON text, or one without quotes inside.
fn unquoted(text: &str) -> Option<String> {
    if text.len() > 1 && text.starts_with('"') && text.ends_with('"') {
        let inside = text.get(1..text.len() - 1)?;
        let decoded = match has_doubtful_escape(text) {
            true => None,
            false => serde_json::from_str(text).ok(),
        };
        return decoded.or_else(|| (!inside.contains('"')).then(|| inside.to_owned()));
    }
    between(text, "“", "”").map(str::to_owned)
}
