//! Values written so that they are read back as the same values.

use std::fmt::Write;

use serde_json::{Number, Value};

use super::coerce::is_null_word;
use super::read::newline_is_doubtful;
use super::sections::has_marker_line;

/// Whether a text is not read back as itself unless it is written as a JSON text: it is empty, has
/// white space at its ends or quotes around it, looks like a marker, or is a word for nothing.
pub(crate) fn needs_quotes(text: &str) -> bool {
    let trimmed = text.trim();
    let quotes = || (text.starts_with('"') && text.ends_with('"')) || text.starts_with('“');
    trimmed.is_empty()
        || trimmed.len() != text.len()
        || quotes()
        || is_null_word(text)
        || has_marker_line(text)
}

/// JSON on one line with a space behind commas and colons, as language models know it best.
pub(crate) fn compact(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value);
    out
}

/// Appends JSON in the form of [`compact`].
pub(crate) fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Number(n) => write_number(out, n),
        Value::String(s) => write_text(out, s),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                write_value(out, item);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            for (i, (key, value)) in map.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                write_text(out, key);
                out.push_str(": ");
                write_value(out, value);
            }
            out.push('}');
        }
    }
}

/// Numbers never have an exponent: it would not fit a grammar with a range, and small models write
/// it badly.
pub(crate) fn write_number(out: &mut String, n: &Number) {
    let written = match n.as_f64().filter(|_| n.is_f64()) {
        Some(x) if x.fract() == 0.0 => write!(out, "{x}.0"),
        Some(x) => write!(out, "{x}"),
        None => write!(out, "{n}"),
    };
    // Writing to a `String` cannot fail.
    let _ = written;
}

/// A JSON text. Control characters have their long form, except line breaks, and those too where
/// the short one could be mistaken for LaTeX (`\n` before `abla`).
pub(crate) fn write_text(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c < ' ' || c == '"' || c == '\\' || c == '\u{7f}') {
        let (plain, special) = rest.split_at(at);
        out.push_str(plain);
        let mut chars = special.chars();
        let c = chars.next().unwrap_or('"');
        rest = chars.as_str();
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' if !newline_is_doubtful(rest) => out.push_str("\\n"),
            _ => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
        }
    }
    out.push_str(rest);
    out.push('"');
}
