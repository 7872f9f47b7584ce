//! Messages in the JSON form of OpenTelemetry's conventions.

use serde_json::{Value, json};
use teleprompt_core::{Completion, Content, Media, MediaSource, Message, Part, ToolCall};

use super::finish_reason;

/// What was asked.
pub(super) fn input(messages: &[Message]) -> String {
    let message = |m: &Message| json!({"role": m.role.as_str(), "parts": parts(&m.content)});
    Value::Array(messages.iter().map(message).collect()).to_string()
}

/// What was answered.
pub(super) fn output(completions: &[Completion]) -> String {
    Value::Array(completions.iter().map(completion).collect()).to_string()
}

fn completion(completion: &Completion) -> Value {
    let mut parts = Vec::new();
    if let Some(reasoning) = &completion.reasoning {
        parts.push(json!({"type": "reasoning", "content": reasoning.text}));
    }
    if !completion.text.is_empty() {
        parts.push(text(&completion.text));
    }
    parts.extend(completion.tool_calls.iter().map(tool_call));
    let finish = finish_reason(completion.finish);
    json!({"role": "assistant", "parts": parts, "finish_reason": finish})
}

fn parts(content: &Content) -> Vec<Value> {
    match content.parts() {
        None => vec![text(content)],
        Some(parts) => parts.iter().map(part).collect(),
    }
}

fn part(part: &Part) -> Value {
    match part {
        Part::Text(t) => text(t),
        Part::Image(m) => media("image", m),
        Part::Audio(m) => media("audio", m),
        Part::File(m) => media("file", m),
        Part::ToolCall(call) => tool_call(call),
        Part::ToolResult(result) => {
            json!({"type": "tool_call_response", "id": result.id, "response": &*result.content})
        }
        Part::Reasoning(reasoning) => json!({"type": "reasoning", "content": reasoning.text}),
        other => json!({"type": "other", "content": format!("{other:?}")}),
    }
}

fn text(text: &str) -> Value {
    json!({"type": "text", "content": text})
}

fn tool_call(call: &ToolCall) -> Value {
    // Arguments that are no JSON are told as the text that they are.
    let arguments = call.parsed().unwrap_or_else(|_| Value::from(call.arguments.as_str()));
    json!({"type": "tool_call", "id": call.id, "name": call.name, "arguments": arguments})
}

/// Bytes are left out: a span is no place for files.
fn media(modality: &str, media: &Media) -> Value {
    let mime = &*media.mime;
    match &media.source {
        MediaSource::Url(uri) => {
            json!({"type": "uri", "modality": modality, "mime_type": mime, "uri": &**uri})
        }
        MediaSource::Id(id) => {
            json!({"type": "file", "modality": modality, "mime_type": mime, "file_id": &**id})
        }
        MediaSource::Data(bytes) => {
            json!({"type": "blob", "modality": modality, "mime_type": mime, "bytes": bytes.len()})
        }
        _ => json!({"type": "blob", "modality": modality, "mime_type": mime}),
    }
}
