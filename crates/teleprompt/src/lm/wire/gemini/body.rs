//! The body of a request.

use serde_json::{Map, Value, json};
use teleprompt_core::{
    Content, LmRequest, Media, MediaSource, Part, ReasoningEffort, Role, Tool, ToolCall,
    ToolChoice, ToolResult,
};

use super::super::common::{decimal, put};
use super::super::turns::Turns;
use super::super::value::arguments;
use super::super::{Call, Unsupported};
use super::OWN_ID;

pub(super) fn body(call: &Call<'_>) -> Result<Value, Unsupported> {
    let (system, contents) = turns(call)?.into_parts("parts");
    let mut body = Map::new();
    let system = (!system.is_empty()).then(|| json!({"parts": system}));
    put(&mut body, "systemInstruction", system);
    put(&mut body, "contents", Some(contents));
    add_tools(&mut body, call.request);
    let config = config(call);
    put(&mut body, "generationConfig", (!config.is_empty()).then_some(config));
    Ok(body.into())
}

fn turns(call: &Call<'_>) -> Result<Turns, Unsupported> {
    let mut turns = Turns::default();
    for message in &call.request.messages {
        let parts = parts(&message.content, call.dialect.reasoning_back)?.into_iter();
        match message.role {
            Role::System => parts.for_each(|part| turns.instruct(part)),
            Role::Assistant => parts.for_each(|part| turns.say("model", part)),
            _ => parts.for_each(|part| turns.say("user", part)),
        }
    }
    Ok(turns)
}

fn parts(content: &Content, reasoning_back: bool) -> Result<Vec<Value>, Unsupported> {
    let Some(parts) = content.parts() else { return Ok(vec![json!({"text": &**content})]) };
    let mut given = Vec::new();
    // The seal of a thought waits for the text that the thought led to.
    let mut seal: Option<&str> = None;
    for part in parts {
        given.push(match part {
            Part::Text(text) => sealed(json!({"text": text}), seal.take()),
            Part::Image(media) | Part::Audio(media) | Part::File(media) => self::media(media),
            Part::ToolCall(call) => sealed(function_call(call), call.signature.as_deref()),
            Part::ToolResult(result) => function_response(result)?,
            Part::Reasoning(reasoning) => {
                seal = reasoning.signature.as_deref().filter(|_| reasoning_back);
                continue;
            }
            _ => return Err(Unsupported("this kind of content".into())),
        });
    }
    given.extend(seal.map(|seal| sealed(json!({"text": ""}), Some(seal))));
    Ok(given)
}

fn sealed(mut part: Value, seal: Option<&str>) -> Value {
    if let (Value::Object(part), Some(seal)) = (&mut part, seal) {
        part.insert("thoughtSignature".into(), seal.into());
    }
    part
}

fn media(media: &Media) -> Value {
    match &media.source {
        MediaSource::Url(place) | MediaSource::Id(place) => {
            json!({"fileData": {"mimeType": media.mime, "fileUri": place}})
        }
        _ => json!({"inlineData": {"mimeType": media.mime, "data": media.base64()}}),
    }
}

fn function_call(call: &ToolCall) -> Value {
    json!({"functionCall": with_id(&call.id, json!({"name": call.name, "args": arguments(call)}))})
}

/// The protocol wants an object: what a tool answered in JSON is one, all else is put into one.
fn function_response(result: &ToolResult) -> Result<Value, Unsupported> {
    if !result.content.is_text() {
        return Err(Unsupported("the answer of a tool that is more than text".into()));
    }
    let response = match serde_json::from_str(&result.content) {
        Ok(object @ Value::Object(_)) if !result.is_error => object,
        _ if result.is_error => json!({"error": &*result.content}),
        _ => json!({"result": &*result.content}),
    };
    let said = with_id(&result.id, json!({"name": result.name, "response": response}));
    Ok(json!({"functionResponse": said}))
}

fn with_id(id: &str, mut object: Value) -> Value {
    if let (Value::Object(fields), false) = (&mut object, id.starts_with(OWN_ID)) {
        fields.insert("id".into(), id.into());
    }
    object
}

fn add_tools(body: &mut Map<String, Value>, request: &LmRequest) {
    if request.tools.is_empty() {
        return;
    }
    let declaration = |tool: &Tool| {
        json!({
            "name": tool.name,
            "description": tool.description,
            "parametersJsonSchema": *tool.parameters,
        })
    };
    let declarations: Vec<Value> = request.tools.iter().map(declaration).collect();
    put(body, "tools", Some(json!([{"functionDeclarations": declarations}])));
    let choice = request.tool_choice.as_ref().map(|choice| match choice {
        ToolChoice::Auto => json!({"mode": "AUTO"}),
        ToolChoice::None => json!({"mode": "NONE"}),
        ToolChoice::Required => json!({"mode": "ANY"}),
        ToolChoice::Named(name) => json!({"mode": "ANY", "allowedFunctionNames": [name]}),
    });
    put(body, "toolConfig", choice.map(|choice| json!({"functionCallingConfig": choice})));
}

fn config(call: &Call<'_>) -> Map<String, Value> {
    let (request, settings) = (call.request, &call.request.settings);
    let sampling = call.dialect.sampling;
    let effort = settings.reasoning.filter(|_| call.dialect.effort);
    let age = Age::of(call.model);
    let mut config = Map::new();
    let mut set = |name: &str, value: Option<Value>| put(&mut config, name, value);
    set("temperature", settings.temperature.filter(|_| sampling).map(decimal));
    set("topP", settings.top_p.filter(|_| sampling).map(decimal));
    set("maxOutputTokens", settings.max_tokens.map(Value::from));
    set("candidateCount", (request.n > 1).then(|| request.n.into()));
    set("stopSequences", (!settings.stop.is_empty()).then(|| json!(settings.stop)));
    set("seed", settings.seed.map(|seed| (seed & i32::MAX as u64).into()));
    set("responseLogprobs", settings.logprobs.map(|_| true.into()));
    set("logprobs", settings.logprobs.filter(|k| *k > 0).map(Value::from));
    set("thinkingConfig", effort.and_then(|effort| thinking(effort, age)));
    let schema = request.constraint.as_ref().and_then(|c| c.json_schema.as_deref());
    let takes_it = call.dialect.schema && (request.tools.is_empty() || age == Age::Levels);
    if let Some(schema) = schema.filter(|_| takes_it) {
        set("responseMimeType", Some("application/json".into()));
        set("responseJsonSchema", Some(schema.clone()));
    }
    config
}

/// How a model can be told to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    /// Before Gemini 2.5: it does not think.
    Never,
    /// Gemini 2.5: it counts tokens.
    Counts,
    /// Later.
    Levels,
}

impl Age {
    fn of(model: &str) -> Self {
        let has = |known: &str| model.contains(known);
        if has("gemini-2.5") {
            Age::Counts
        } else if has("gemini-1") || has("gemini-2") || has("gemma") {
            Age::Never
        } else {
            Age::Levels
        }
    }
}

fn thinking(effort: ReasoningEffort, age: Age) -> Option<Value> {
    use ReasoningEffort as Effort;
    let (tokens, level) = match effort {
        Effort::Off => (0, "MINIMAL"),
        Effort::Minimal => (1024, "MINIMAL"),
        Effort::Low => (1024, "LOW"),
        Effort::High => (24_576, "HIGH"),
        Effort::Tokens(tokens @ 0..=1024) => (tokens, "LOW"),
        Effort::Tokens(tokens @ 1025..=8192) => (tokens, "MEDIUM"),
        Effort::Tokens(tokens) => (tokens, "HIGH"),
        _ => (8192, "MEDIUM"),
    };
    match age {
        Age::Never => None,
        Age::Counts => Some(json!({"thinkingBudget": tokens, "includeThoughts": tokens > 0})),
        Age::Levels => Some(json!({"thinkingLevel": level, "includeThoughts": tokens > 0})),
    }
}
