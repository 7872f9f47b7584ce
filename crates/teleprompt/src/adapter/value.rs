//! Values as they stand in prompts.

use serde_json::Value;

use crate::parse::coerce_text;
use crate::parse::sections::{has_marker_line, write_marker};
use crate::parse::write::{write_text, write_value};
use crate::{Field, Record, Signature, Type, TypeDefs};

/// The sections of a turn: those fields that the record has, in the order of the signature.
pub(super) fn sections(
    fields: &[Field],
    record: &Record,
    mut write: impl FnMut(&mut String, &Value, &Field),
) -> String {
    let mut out = String::with_capacity(256);
    for field in fields {
        let Some(value) = record.get(&field.name) else { continue };
        if !out.is_empty() {
            out.push_str("\n\n");
        }
        write_marker(&mut out, &field.name);
        write(&mut out, value, field);
    }
    out
}

/// The user turn of both adapters.
pub(super) fn user_turn(signature: &Signature, inputs: &Record) -> String {
    sections(signature.inputs(), inputs, |out, value, _| write_input(out, value))
}

/// An input: text as it is, the rest as JSON. Text that holds a marker is written as a JSON text, so
/// that nobody's data can pose as a part of the prompt.
fn write_input(out: &mut String, value: &Value) {
    match value {
        Value::String(text) if !has_marker_line(text) => out.push_str(text),
        other => write_value(out, other),
    }
}

/// An output in a section: plainly if that is read back as the same value, else as JSON.
pub(super) fn write_output(out: &mut String, value: &Value, ty: &Type, defs: &TypeDefs) {
    match value {
        // An empty section is one that was left out.
        Value::String(text) if text.is_empty() || has_marker_line(text) => write_text(out, text),
        Value::String(text) => {
            let read = coerce_text(text, ty, defs);
            let is_same = |value: &Value| value.as_str() == Some(text);
            // A text that does not fit its type at all is no better off in quotes.
            let plain = match &read {
                Ok(read) => read.repairs.is_empty() && is_same(&read.value),
                Err(_) => quoted_fails(text, ty, defs),
            };
            if plain { out.push_str(text) } else { write_text(out, text) }
        }
        other => write_value(out, other),
    }
}

fn quoted_fails(text: &str, ty: &Type, defs: &TypeDefs) -> bool {
    let mut quoted = String::new();
    write_text(&mut quoted, text);
    coerce_text(&quoted, ty, defs).is_err()
}
