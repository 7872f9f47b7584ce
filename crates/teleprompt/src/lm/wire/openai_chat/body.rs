//! The body of a chat-completions request.

use serde_json::{Map, Value, json};
use teleprompt_core::{LmRequest, Media, MediaSource, Message, Part, Role, ToolResult};

use super::super::common::{
    address, cache_key, decimal, effort, file_name, function, input_audio, put, tool_choice,
};
use super::super::{Call, Dialect, Unsupported};

pub(super) fn body(call: &Call<'_>) -> Result<Value, Unsupported> {
    let (request, dialect) = (call.request, call.dialect);
    let mut body = Map::new();
    body.insert("model".into(), call.model.into());
    body.insert("messages".into(), messages(request, dialect)?.into());
    put(&mut body, "n", (request.n > 1).then_some(request.n));
    add_settings(&mut body, request, dialect);
    add_tools(&mut body, request);
    let schema = request.constraint.as_ref().and_then(|c| c.json_schema.as_ref());
    if let Some(schema) = schema.filter(|_| dialect.schema) {
        let format = json!({"name": "reply", "strict": true, "schema": &**schema});
        let format = json!({"type": "json_schema", "json_schema": format});
        body.insert("response_format".into(), format);
    }
    if dialect.prompt_cache {
        put(&mut body, "prompt_cache_key", cache_key(call.model, request));
    }
    if call.stream {
        body.insert("stream".into(), true.into());
        if dialect.stream_options {
            body.insert("stream_options".into(), json!({"include_usage": true}));
        }
    }
    Ok(Value::Object(body))
}

fn add_settings(body: &mut Map<String, Value>, request: &LmRequest, dialect: Dialect) {
    let settings = &request.settings;
    let limit = if dialect.new_limit_name { "max_completion_tokens" } else { "max_tokens" };
    put(body, "temperature", settings.temperature.filter(|_| dialect.sampling).map(decimal));
    put(body, "top_p", settings.top_p.filter(|_| dialect.sampling).map(decimal));
    put(body, limit, settings.max_tokens);
    // The wire's integers are signed.
    let seed = if dialect.random_seed { "random_seed" } else { "seed" };
    put(body, seed, settings.seed.map(|seed| seed & i64::MAX as u64));
    put(body, "stop", (!settings.stop.is_empty()).then(|| json!(settings.stop)));
    put(body, "logprobs", settings.logprobs.map(|_| true));
    put(body, "top_logprobs", settings.logprobs.filter(|k| *k > 0));
    put(body, "reasoning_effort", settings.reasoning.filter(|_| dialect.effort).map(effort));
}

fn add_tools(body: &mut Map<String, Value>, request: &LmRequest) {
    let tools = request.tools.iter();
    let tools: Vec<Value> =
        tools.map(|tool| json!({"type": "function", "function": function(tool)})).collect();
    put(body, "tools", (!tools.is_empty()).then_some(tools));
    let named = |name: &str| json!({"type": "function", "function": {"name": name}});
    put(body, "tool_choice", tool_choice(request, named));
}

fn messages(request: &LmRequest, dialect: Dialect) -> Result<Vec<Value>, Unsupported> {
    let mut messages = Vec::with_capacity(request.messages.len());
    for message in &request.messages {
        match (message.role, message.content.parts()) {
            (Role::Tool, parts) => {
                let results = parts.unwrap_or_default().iter().map(tool_result);
                messages.extend(results.collect::<Result<Vec<_>, _>>()?);
            }
            (role, None) => {
                messages.push(json!({"role": role.as_str(), "content": &*message.content}));
            }
            (Role::Assistant, Some(parts)) => messages.push(assistant(message, parts, dialect)?),
            (role, Some(parts)) => {
                let parts = parts.iter().map(part).collect::<Result<Vec<_>, _>>()?;
                messages.push(json!({"role": role.as_str(), "content": parts}));
            }
        }
    }
    Ok(messages)
}

fn tool_result(part: &Part) -> Result<Value, Unsupported> {
    match part {
        Part::ToolResult(ToolResult { id, content, .. }) if content.is_text() => {
            Ok(json!({"role": "tool", "tool_call_id": id, "content": &**content}))
        }
        Part::ToolResult(_) => Err(Unsupported("media in the answer of a tool".into())),
        _ => Err(Unsupported("anything but answers of tools in a tool's turn".into())),
    }
}

/// An assistant turn with calls of tools or with thoughts.
fn assistant(message: &Message, parts: &[Part], dialect: Dialect) -> Result<Value, Unsupported> {
    let (mut calls, mut thoughts) = (Vec::new(), String::new());
    for part in parts {
        match part {
            Part::Text(_) => {}
            Part::ToolCall(call) => {
                let function = json!({"name": call.name, "arguments": call.arguments});
                calls.push(json!({"id": call.id, "type": "function", "function": function}));
            }
            Part::Reasoning(reasoning) => thoughts.push_str(&reasoning.text),
            _ => return Err(Unsupported("media in a turn of the assistant".into())),
        }
    }
    let mut turn = Map::new();
    turn.insert("role".into(), "assistant".into());
    let text: &str = &message.content;
    let content = if text.is_empty() && !calls.is_empty() { Value::Null } else { text.into() };
    turn.insert("content".into(), content);
    let thoughts = Some(thoughts).filter(|t| dialect.reasoning_back && !t.is_empty());
    put(&mut turn, "reasoning_content", thoughts);
    put(&mut turn, "tool_calls", (!calls.is_empty()).then_some(calls));
    Ok(Value::Object(turn))
}

/// A part of a system or user turn.
fn part(part: &Part) -> Result<Value, Unsupported> {
    match part {
        Part::Text(text) => Ok(json!({"type": "text", "text": &**text})),
        Part::Image(media) => {
            let url = address(media).ok_or_else(|| Unsupported("an image by its id".into()))?;
            Ok(json!({"type": "image_url", "image_url": {"url": url}}))
        }
        Part::Audio(media) => input_audio(media),
        Part::File(media) => file(media),
        _ => Err(Unsupported("calls of tools or thoughts outside an assistant's turn".into())),
    }
}

fn file(media: &Media) -> Result<Value, Unsupported> {
    let file = match &media.source {
        MediaSource::Id(id) => json!({"file_id": &**id}),
        MediaSource::Data(_) => json!({"filename": file_name(media), "file_data": address(media)}),
        _ => {
            return Err(Unsupported("a file at an address; read it and give its bytes".into()));
        }
    };
    Ok(json!({"type": "file", "file": file}))
}
