//! The body of a request.

use serde_json::{Map, Value, json};
use teleprompt_core::{
    Content, LmRequest, Media, MediaSource, Part, Reasoning, ReasoningEffort, Role, ToolChoice,
    ToolResult,
};

use super::super::common::{decimal, put};
use super::super::turns::Turns;
use super::super::value::arguments;
use super::super::{Call, Dialect, Unsupported};
use super::{DEFAULT_MAX_TOKENS, schema};

pub(super) fn body(call: &Call<'_>) -> Result<Value, Unsupported> {
    let (request, settings) = (call.request, &call.request.settings);
    let limit = settings.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS);
    let (system, messages) = turns(request, call.dialect)?.into_parts("content");
    let effort = settings.reasoning.filter(|_| call.dialect.effort);
    let thinking = Thinking::of(call.model, effort, limit);
    let sampling = call.dialect.sampling && thinking == Thinking::Off;

    let mut body = Map::new();
    put(&mut body, "model", Some(call.model));
    put(&mut body, "max_tokens", Some(limit));
    put(&mut body, "system", (!system.is_empty()).then_some(system));
    put(&mut body, "messages", Some(messages));
    add_tools(&mut body, request);
    put(&mut body, "temperature", settings.temperature.filter(|_| sampling).map(decimal));
    put(&mut body, "top_p", settings.top_p.filter(|_| sampling).map(decimal));
    put(&mut body, "stop_sequences", (!settings.stop.is_empty()).then(|| json!(settings.stop)));
    put(&mut body, "thinking", thinking.said());
    put(&mut body, "output_config", output(call, thinking));
    put(&mut body, "stream", call.stream.then_some(true));
    Ok(body.into())
}

/// The conversation, with the mark of the shared prefix on its last block.
fn turns(request: &LmRequest, dialect: Dialect) -> Result<Turns, Unsupported> {
    let mut turns = Turns::default();
    for (index, message) in request.messages.iter().enumerate() {
        match message.role {
            Role::System => {
                blocks(&message.content, dialect)?.into_iter().for_each(|b| turns.instruct(b))
            }
            role => {
                let role = if role == Role::Assistant { "assistant" } else { "user" };
                blocks(&message.content, dialect)?.into_iter().for_each(|b| turns.say(role, b));
            }
        }
        if dialect.prompt_cache && index + 1 == request.shared_prefix.min(request.messages.len()) {
            mark(turns.last_mut());
        }
    }
    Ok(turns)
}

/// Thoughts cannot carry the mark.
fn mark(block: Option<&mut Value>) {
    let Some(Value::Object(block)) = block else { return };
    if !block.get("type").and_then(Value::as_str).is_some_and(|t| t.ends_with("thinking")) {
        block.insert("cache_control".into(), json!({"type": "ephemeral"}));
    }
}

fn blocks(content: &Content, dialect: Dialect) -> Result<Vec<Value>, Unsupported> {
    let Some(parts) = content.parts() else { return Ok(text_block(content).into_iter().collect()) };
    let mut blocks = Vec::new();
    for part in parts {
        match part {
            Part::Text(text) => blocks.extend(text_block(text)),
            Part::Image(media) => blocks.push(json!({"type": "image", "source": source(media)})),
            Part::File(media) => blocks.push(document(media)?),
            Part::ToolCall(call) => blocks.push(json!({
                "type": "tool_use", "id": call.id, "name": call.name, "input": arguments(call),
            })),
            Part::ToolResult(result) => blocks.push(tool_result(result, dialect)?),
            Part::Reasoning(told) if dialect.reasoning_back => blocks.extend(thoughts(told)),
            Part::Reasoning(_) => {}
            Part::Audio(_) => return Err(Unsupported("sound".into())),
            _ => return Err(Unsupported("this kind of content".into())),
        }
    }
    Ok(blocks)
}

/// The provider refuses empty blocks.
fn text_block(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| json!({"type": "text", "text": text}))
}

fn source(media: &Media) -> Value {
    match &media.source {
        MediaSource::Url(url) => json!({"type": "url", "url": url}),
        MediaSource::Id(id) => json!({"type": "file", "file_id": id}),
        _ => json!({"type": "base64", "media_type": media.mime, "data": media.base64()}),
    }
}

fn document(media: &Media) -> Result<Value, Unsupported> {
    let source = match (&media.source, &*media.mime) {
        (MediaSource::Data(bytes), mime) if mime.starts_with("text/") => {
            json!({"type": "text", "media_type": "text/plain", "data": String::from_utf8_lossy(bytes)})
        }
        (MediaSource::Data(_), mime) if mime != "application/pdf" => {
            return Err(Unsupported(format!("a file of the type {mime}; send PDF or text")));
        }
        _ => source(media),
    };
    let mut block = Map::new();
    put(&mut block, "type", Some("document"));
    put(&mut block, "source", Some(source));
    put(&mut block, "title", media.name.as_deref());
    Ok(block.into())
}

fn tool_result(result: &ToolResult, dialect: Dialect) -> Result<Value, Unsupported> {
    let mut block = Map::new();
    put(&mut block, "type", Some("tool_result"));
    put(&mut block, "tool_use_id", Some(result.id.as_str()));
    put(&mut block, "content", Some(blocks(&result.content, dialect)?));
    put(&mut block, "is_error", result.is_error.then_some(true));
    Ok(block.into())
}

/// The blocks of thought as they came; see [`super::reply`] for the form of the signature.
fn thoughts(reasoning: &Reasoning) -> Vec<Value> {
    let Some(signature) = &reasoning.signature else { return Vec::new() };
    match serde_json::from_str(signature) {
        Ok(Value::Array(blocks)) => blocks,
        _ => vec![json!({
            "type": "thinking", "thinking": reasoning.text, "signature": signature,
        })],
    }
}

fn add_tools(body: &mut Map<String, Value>, request: &LmRequest) {
    if request.tools.is_empty() {
        return;
    }
    let tool = |tool: &teleprompt_core::Tool| {
        json!({
            "name": tool.name, "description": tool.description, "input_schema": *tool.parameters,
        })
    };
    put(body, "tools", Some(request.tools.iter().map(tool).collect::<Vec<_>>()));
    put(body, "tool_choice", request.tool_choice.as_ref().map(choice));
}

fn choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => json!({"type": "auto"}),
        ToolChoice::None => json!({"type": "none"}),
        ToolChoice::Required => json!({"type": "any"}),
        ToolChoice::Named(name) => json!({"type": "tool", "name": name}),
    }
}

fn output(call: &Call<'_>, thinking: Thinking) -> Option<Value> {
    let mut config = Map::new();
    if let Thinking::Level(level) = thinking {
        put(&mut config, "effort", Some(level));
    }
    let schema = call.request.constraint.as_ref().and_then(|c| c.json_schema.as_deref());
    let schema = schema.filter(|_| call.dialect.schema).and_then(schema::accepted);
    let format = schema.map(|schema| json!({"type": "json_schema", "schema": schema}));
    put(&mut config, "format", format);
    (!config.is_empty()).then(|| config.into())
}

/// How much is to be thought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thinking {
    Off,
    /// Most tokens.
    Budget(u32),
    /// As much as the model sees fit for this level of effort.
    Level(&'static str),
}

impl Thinking {
    /// The provider takes no smaller budget.
    const LEAST: u32 = 1024;

    fn of(model: &str, effort: Option<ReasoningEffort>, limit: u32) -> Self {
        let Some(wanted) = effort.map(tokens).filter(|n| *n > 0) else { return Thinking::Off };
        match Thinker::of(model) {
            Thinker::Never => Thinking::Off,
            Thinker::Levels if wanted <= 2048 => Thinking::Level("low"),
            Thinker::Levels if wanted <= 8192 => Thinking::Level("medium"),
            Thinker::Levels => Thinking::Level("high"),
            // The budget is part of the limit, and something must be left for the answer.
            Thinker::Counts => match wanted.min(limit / 4 * 3) {
                budget if budget < Self::LEAST => Thinking::Off,
                budget => Thinking::Budget(budget),
            },
        }
    }

    fn said(self) -> Option<Value> {
        match self {
            Thinking::Off => None,
            Thinking::Budget(tokens) => Some(json!({"type": "enabled", "budget_tokens": tokens})),
            Thinking::Level(_) => Some(json!({"type": "adaptive", "display": "summarized"})),
        }
    }
}

fn tokens(effort: ReasoningEffort) -> u32 {
    match effort {
        ReasoningEffort::Tokens(tokens) => tokens,
        ReasoningEffort::Off => 0,
        ReasoningEffort::Minimal => Thinking::LEAST,
        ReasoningEffort::Low => 2048,
        ReasoningEffort::High => 16_384,
        _ => 8192,
    }
}

/// How a model can be told to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thinker {
    Never,
    Counts,
    Levels,
}

impl Thinker {
    /// Only old models count, so the list of them is closed.
    fn of(model: &str) -> Self {
        const COUNT: [&str; 9] = [
            "claude-3-7",
            "claude-opus-4-0",
            "claude-opus-4-1",
            "claude-opus-4-2",
            "claude-opus-4-5",
            "claude-sonnet-4-0",
            "claude-sonnet-4-2",
            "claude-sonnet-4-5",
            "claude-haiku-4-5",
        ];
        if COUNT.iter().any(|known| model.contains(known)) {
            Thinker::Counts
        } else if model.contains("claude-3") || model.contains("claude-2") {
            Thinker::Never
        } else {
            Thinker::Levels
        }
    }
}
