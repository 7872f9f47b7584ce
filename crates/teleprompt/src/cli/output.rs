//! What goes to stdout and stderr.

use serde::Serialize;
use serde_json::{Value, json};
use teleprompt_core::{Error, Record, Result};

/// One JSON object on stdout.
pub(super) fn json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::Other(e.to_string()))?;
    print(&text)
}

/// One JSON object on a line of its own.
pub(super) fn json_line(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(value).map_err(|e| Error::Other(e.to_string()))?;
    print(&text)
}

/// A line on stdout. A reader that has gone away (`| head`) is no failure.
pub(super) fn print(text: &str) -> Result<()> {
    use std::io::Write;
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::io("stdout", &e)),
        _ => Ok(()),
    }
}

/// `1 question`, `2 questions`.
pub(super) fn counted(n: u64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// What stands at this JSON pointer, `null` if nothing does.
pub(super) fn at<'v>(value: &'v Value, pointer: &str) -> &'v Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

/// The fields of a record, one a line; long or structured ones below their name.
pub(super) fn record(fields: &Record) -> String {
    let lines: Vec<String> = fields.iter().map(|(name, value)| field(name, value)).collect();
    lines.join("\n")
}

fn field(name: &str, value: &Value) -> String {
    match value {
        Value::String(text) if text.contains('\n') => format!("{name}:\n{text}"),
        Value::String(text) => format!("{name}: {text}"),
        other => format!("{name}: {other}"),
    }
}

/// An error: for people on stderr, and as an object on stdout with `--json`.
pub(super) fn error(error: &Error, as_json: bool) {
    eprintln!("error: {error}");
    if as_json {
        let mut object = json!({"kind": kind(error), "message": error.to_string()});
        if let Value::Object(map) = &mut object {
            match error {
                Error::Reply { error, .. } => {
                    map.insert("fields".into(), json!(error.fields));
                    map.insert("reply".into(), json!(error.reply));
                }
                Error::Truncated { reply, .. } => {
                    map.insert("reply".into(), json!(reply));
                }
                Error::Lm(error) => {
                    map.insert("code".into(), json!(error.kind.code()));
                    map.insert("model".into(), json!(error.model));
                    map.insert("provider".into(), json!(error.provider));
                    map.insert("status".into(), json!(error.status));
                    map.insert("request_id".into(), json!(error.request_id));
                    map.insert("retryable".into(), json!(error.is_retryable()));
                }
                Error::Budget(exhausted) => {
                    map.insert("left".into(), json!(exhausted.left()));
                    map.insert("limit".into(), json!(exhausted.limit));
                    map.insert("spent".into(), json!(exhausted.spent));
                }
                _ => {}
            }
        }
        let _ = json(&json!({ "error": object }));
    }
}

/// The stable name of a kind of error.
fn kind(error: &Error) -> &'static str {
    match error {
        Error::Lm(_) => "lm",
        Error::Reply { .. } => "reply",
        Error::Truncated { .. } => "truncated",
        Error::Input { .. } => "input",
        Error::Signature(_) => "signature",
        Error::State(_) => "state",
        Error::Data(_) => "data",
        Error::Budget { .. } => "budget",
        Error::Cancelled => "cancelled",
        Error::Stopped(_) => "stopped",
        Error::Check { .. } => "check",
        Error::Config(_) => "config",
        Error::Study(_) => "study",
        Error::Io { .. } => "io",
        _ => "other",
    }
}
