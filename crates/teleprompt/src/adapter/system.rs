//! The system part: what the step must do, in as few words as a small model needs.

use std::fmt::Write;

use crate::parse::expected;
use crate::parse::sections::write_marker;
use crate::{Field, Kind, Signature, Type};

/// Instructions, what comes in and goes out, and what must be known about the fields. The adapter
/// adds its form below.
pub(super) fn task(signature: &Signature) -> String {
    let mut out = String::new();
    let instructions = signature.instructions().trim();
    if !instructions.is_empty() {
        out.push_str(instructions);
        out.push('\n');
    }
    match signature.inputs() {
        [] => out.push_str("Write "),
        inputs => {
            let _ = write!(out, "Given {}, write ", names(inputs));
        }
    }
    let _ = writeln!(out, "{}.", names(signature.outputs()));
    for field in signature.inputs().iter().filter(|f| !f.description.is_empty()) {
        let _ = writeln!(out, "{}: {}", field.name, field.description.trim());
    }
    for field in signature.outputs() {
        hint(&mut out, field);
    }
    for (name, ty) in signature.defs() {
        let _ = writeln!(out, "{name} is {ty}");
    }
    out
}

/// The sections to fill in, for the chat form.
pub(super) fn chat_form(signature: &Signature) -> String {
    if let [only] = signature.outputs() {
        let mut marker = String::new();
        write_marker(&mut marker, &only.name);
        return format!("Reply with {} and the {} below it.", marker.trim_end(), only.name);
    }
    let mut out = String::from("Reply in this form:");
    for field in signature.outputs() {
        out.push_str("\n\n");
        write_marker(&mut out, &field.name);
        let _ = write!(out, "<{}>", field.name);
    }
    out
}

/// The object to fill in, for the JSON form.
pub(super) fn json_form(signature: &Signature) -> String {
    let mut out = String::from("Reply with one JSON object and nothing else: {");
    for (i, field) in signature.outputs().iter().enumerate() {
        let comma = if i > 0 { ", " } else { "" };
        let value = if is_text(&field.ty) { "\"...\"" } else { "..." };
        let _ = write!(out, "{comma}\"{}\": {value}", field.name);
    }
    out.push('}');
    out
}

fn is_text(ty: &Type) -> bool {
    match &ty.kind {
        Kind::Str | Kind::Date => true,
        Kind::Enum(values) => values.iter().all(serde_json::Value::is_string),
        _ => false,
    }
}

fn names(fields: &[Field]) -> String {
    let names: Vec<&str> = fields.iter().map(|f| &*f.name).collect();
    match names.as_slice() {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => names.concat(),
    }
}

/// One line on an output, if there is anything to say about it.
fn hint(out: &mut String, field: &Field) {
    let description = field.description.trim();
    if field.ty.is_plain_str() {
        if !description.is_empty() {
            let _ = writeln!(out, "{}: {description}", field.name);
        }
        return;
    }
    let _ = write!(out, "{}: ", field.name);
    if !description.is_empty() {
        let stop = if description.ends_with(['.', '!', '?']) { "" } else { "." };
        let _ = write!(out, "{description}{stop} Must be ");
    }
    // The whole list of labels belongs here, however long; errors may refer to it.
    let _ = match field.ty.choices() {
        Some(values) if values.len() > 1 => {
            writeln!(out, "one of: {}", crate::parse::list_of(values))
        }
        _ => writeln!(out, "{}", expected(&field.ty)),
    };
}
