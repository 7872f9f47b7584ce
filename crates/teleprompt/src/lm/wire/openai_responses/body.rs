//! The body of a Responses request.

use serde_json::{Map, Value, json};
use teleprompt_core::{
    Content, LmRequest, Media, MediaSource, Message, Part, Reasoning, Role, ToolResult,
};

use super::super::common::{
    address, cache_key, decimal, effort, file_name, function, input_audio, put, tool_choice,
};
use super::super::{Call, Unsupported};

pub(super) fn body(call: &Call<'_>) -> Result<Value, Unsupported> {
    let (request, dialect) = (call.request, call.dialect);
    let settings = &request.settings;
    let mut body = Map::new();
    body.insert("model".into(), call.model.into());
    body.insert("input".into(), input(request, dialect.reasoning_back)?.into());
    body.insert("store".into(), false.into());
    put(&mut body, "temperature", settings.temperature.filter(|_| dialect.sampling).map(decimal));
    put(&mut body, "top_p", settings.top_p.filter(|_| dialect.sampling).map(decimal));
    put(&mut body, "max_output_tokens", settings.max_tokens);
    put(&mut body, "top_logprobs", settings.logprobs.filter(|k| *k > 0));
    let reasoning = settings.reasoning.filter(|_| dialect.effort);
    put(&mut body, "reasoning", reasoning.map(|e| thought(effort(e), dialect.summary)));
    let mut include = Vec::new();
    include.extend(dialect.reasoning_back.then_some("reasoning.encrypted_content"));
    include.extend(settings.logprobs.map(|_| "message.output_text.logprobs"));
    put(&mut body, "include", (!include.is_empty()).then(|| json!(include)));
    let tools = request.tools.iter().map(|tool| {
        let mut tool = function(tool);
        tool.insert("type".into(), "function".into());
        tool.insert("strict".into(), false.into());
        Value::Object(tool)
    });
    let tools: Vec<Value> = tools.collect();
    put(&mut body, "tools", (!tools.is_empty()).then_some(tools));
    let named = |name: &str| json!({"type": "function", "name": name});
    put(&mut body, "tool_choice", tool_choice(request, named));
    let schema = request.constraint.as_ref().and_then(|c| c.json_schema.as_ref());
    if let Some(schema) = schema.filter(|_| dialect.schema) {
        let format =
            json!({"type": "json_schema", "name": "reply", "strict": true, "schema": &**schema});
        body.insert("text".into(), json!({"format": format}));
    }
    if dialect.prompt_cache {
        put(&mut body, "prompt_cache_key", cache_key(call.model, request));
    }
    put(&mut body, "stream", call.stream.then_some(true));
    Ok(Value::Object(body))
}

/// How to think. The thoughts are told only in summaries, and those only if they are asked for.
fn thought(effort: &str, summary: bool) -> Value {
    match effort {
        "none" => json!({"effort": effort}),
        _ if summary => json!({"effort": effort, "summary": "auto"}),
        _ => json!({"effort": effort}),
    }
}

fn input(request: &LmRequest, reasoning_back: bool) -> Result<Vec<Value>, Unsupported> {
    let mut items = Vec::with_capacity(request.messages.len());
    for message in &request.messages {
        match (message.role, message.content.parts()) {
            (Role::Tool, parts) => {
                let results = parts.unwrap_or_default().iter().map(tool_result);
                items.extend(results.collect::<Result<Vec<_>, _>>()?);
            }
            (Role::Assistant, Some(parts)) => {
                assistant(message, parts, reasoning_back, &mut items)?;
            }
            (role, _) => {
                let content = content(&message.content)?;
                items.push(json!({"role": role.as_str(), "content": content}));
            }
        }
    }
    Ok(items)
}

/// Thoughts, text and calls of an assistant turn, each an item of its own.
fn assistant(
    message: &Message,
    parts: &[Part],
    reasoning_back: bool,
    items: &mut Vec<Value>,
) -> Result<(), Unsupported> {
    let (mut calls, mut thoughts) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Part::Text(_) => {}
            Part::ToolCall(call) => calls.push(json!({
                "type": "function_call", "call_id": call.id, "name": call.name,
                "arguments": call.arguments,
            })),
            Part::Reasoning(told) if reasoning_back => thoughts.extend(reasoning(told)),
            Part::Reasoning(_) => {}
            _ => return Err(Unsupported("media in a turn of the assistant".into())),
        }
    }
    items.extend(thoughts);
    if !message.content.is_empty() {
        items.push(json!({"role": "assistant", "content": &*message.content}));
    }
    items.extend(calls);
    Ok(())
}

/// The sealed thoughts; without the seal they are of no use to the server. Several thoughts of one
/// turn are kept as a JSON list of seals.
fn reasoning(told: &Reasoning) -> Vec<Value> {
    let Some(signature) = &told.signature else { return Vec::new() };
    let several = serde_json::from_str::<Vec<String>>(signature);
    let seals = several.unwrap_or_else(|_| vec![signature.clone()]);
    let items = seals.into_iter();
    items
        .map(|seal| json!({"type": "reasoning", "summary": [], "encrypted_content": seal}))
        .collect()
}

fn tool_result(part: &Part) -> Result<Value, Unsupported> {
    match part {
        Part::ToolResult(ToolResult { id, content: told, .. }) => {
            let output = content(told)?;
            Ok(json!({"type": "function_call_output", "call_id": id, "output": output}))
        }
        _ => Err(Unsupported("anything but answers of tools in a tool's turn".into())),
    }
}

fn content(content: &Content) -> Result<Value, Unsupported> {
    match content.parts() {
        None => Ok((**content).into()),
        Some(parts) => parts.iter().map(part).collect(),
    }
}

fn part(part: &Part) -> Result<Value, Unsupported> {
    match part {
        Part::Text(text) => Ok(json!({"type": "input_text", "text": &**text})),
        Part::Image(media) => Ok(match &media.source {
            MediaSource::Id(id) => json!({"type": "input_image", "file_id": &**id}),
            _ => json!({"type": "input_image", "image_url": address(media)}),
        }),
        Part::Audio(media) => input_audio(media),
        Part::File(media) => Ok(file(media)),
        _ => Err(Unsupported("calls of tools or thoughts outside an assistant's turn".into())),
    }
}

fn file(media: &Media) -> Value {
    match &media.source {
        MediaSource::Id(id) => json!({"type": "input_file", "file_id": &**id}),
        MediaSource::Url(url) => json!({"type": "input_file", "file_url": &**url}),
        _ => json!({
            "type": "input_file", "filename": file_name(media), "file_data": address(media),
        }),
    }
}
