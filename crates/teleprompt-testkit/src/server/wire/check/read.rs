//! Requests into [`ParsedRequest`].

use serde_json::{Map, Value, json};

use super::{Checked, ParsedMessage, ParsedRequest, Wire, fields, list, refuse, text};

type Body = Map<String, Value>;

pub(super) fn openai_chat(body: &Body) -> Checked<ParsedRequest> {
    let wire = Wire::OpenAiChat;
    let mut parsed = common(wire, body)?;
    for message in list(body, "messages") {
        let role = match text(message, "role") {
            "developer" | "system" => "system",
            role @ ("user" | "assistant" | "tool") => role,
            role => return Err(invalid(wire, "messages.role", role)),
        };
        let mut read = ParsedMessage { role: role.to_owned(), ..ParsedMessage::default() };
        add_content(wire, &mut read, message.get("content"))?;
        let calls = message.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
        read.parts.extend(calls.map(|_| "tool_call".to_owned()));
        if role == "tool" {
            if text(message, "tool_call_id").is_empty() {
                return Err(refuse(wire, "messages", "Missing parameter 'tool_call_id'."));
            }
            read.parts = vec!["tool_result".to_owned()];
        }
        parsed.messages.push(read);
    }
    parsed.n = body.get("n").and_then(Value::as_u64).unwrap_or(1);
    parsed.stop = strings(body.get("stop"));
    let limit = body.get("max_completion_tokens").or_else(|| body.get("max_tokens"));
    parsed.max_tokens = limit.and_then(Value::as_u64);
    parsed.seed = body.get("seed").and_then(Value::as_i64);
    parsed.schema =
        body.get("response_format").and_then(|f| f.pointer("/json_schema/schema")).cloned();
    parsed.effort = word(body.get("reasoning_effort"));
    let top = body.get("top_logprobs").and_then(Value::as_u64);
    let wanted = body.get("logprobs").and_then(Value::as_bool) == Some(true);
    if top.is_some() && !wanted {
        let message = "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.";
        return Err(refuse(wire, "top_logprobs", message));
    }
    parsed.top_logprobs = wanted.then(|| top.unwrap_or(0));
    parsed.cache_hints = hints(body);
    Ok(parsed)
}

pub(super) fn openai_responses(body: &Body) -> Checked<ParsedRequest> {
    let wire = Wire::OpenAiResponses;
    let mut parsed = common(wire, body)?;
    if let Some(instructions) = word(body.get("instructions")) {
        parsed.messages.push(plain("system", &instructions));
    }
    if let Some(input) = word(body.get("input")) {
        parsed.messages.push(plain("user", &input));
    }
    for item in list(body, "input") {
        parsed.messages.push(input_item(item)?);
    }
    parsed.max_tokens = body.get("max_output_tokens").and_then(Value::as_u64);
    parsed.schema = body.get("text").and_then(|t| t.pointer("/format/schema")).cloned();
    parsed.effort = word(body.get("reasoning").and_then(|r| r.get("effort")));
    let wanted = strings(body.get("include")).iter().any(|i| i == "message.output_text.logprobs");
    let top = body.get("top_logprobs").and_then(Value::as_u64);
    parsed.top_logprobs = if wanted { Some(top.unwrap_or(0)) } else { top };
    parsed.cache_hints = hints(body);
    Ok(parsed)
}

fn input_item(item: &Value) -> Checked<ParsedMessage> {
    let wire = Wire::OpenAiResponses;
    let kind = text(item, "type");
    let whole = |role: &str, part: &str| {
        let parts = vec![part.to_owned()];
        Ok(ParsedMessage { role: role.to_owned(), parts, ..ParsedMessage::default() })
    };
    match kind {
        "" | "message" => {}
        "function_call" => return whole("assistant", "tool_call"),
        "function_call_output" => {
            let read = whole("tool", "tool_result")?;
            return Ok(ParsedMessage { text: text(item, "output").to_owned(), ..read });
        }
        "reasoning" => return whole("assistant", "reasoning"),
        other => return Err(invalid(wire, "input", other)),
    }
    let role = match text(item, "role") {
        "developer" | "system" => "system",
        role @ ("user" | "assistant") => role,
        role => return Err(invalid(wire, "input", role)),
    };
    let mut read = ParsedMessage { role: role.to_owned(), ..ParsedMessage::default() };
    add_content(wire, &mut read, item.get("content"))?;
    Ok(read)
}

pub(super) fn anthropic(body: &Body) -> Checked<ParsedRequest> {
    let wire = Wire::Anthropic;
    let mut parsed = common(wire, body)?;
    if parsed.temperature.is_some_and(|t| !(0.0..=1.0).contains(&t)) {
        return Err(refuse(wire, "temperature", "range: 0..1"));
    }
    if let Some(system) = body.get("system") {
        let mut read = plain("system", "");
        read.parts.clear();
        add_content(wire, &mut read, Some(system))?;
        parsed.messages.push(read);
    }
    if list(body, "messages").is_empty() {
        return Err(refuse(wire, "messages", "at least one message is required"));
    }
    for message in list(body, "messages") {
        let role = match text(message, "role") {
            role @ ("user" | "assistant") => role,
            role => return Err(invalid(wire, "messages.role", role)),
        };
        let mut read = ParsedMessage { role: role.to_owned(), ..ParsedMessage::default() };
        add_content(wire, &mut read, message.get("content"))?;
        parsed.messages.push(read);
    }
    parsed.stop = strings(body.get("stop_sequences"));
    parsed.max_tokens = body.get("max_tokens").and_then(Value::as_u64);
    if parsed.max_tokens.is_none_or(|max| max == 0) {
        return Err(refuse(wire, "max_tokens", "Input should be greater than or equal to 1"));
    }
    let format = body.get("output_config").and_then(|c| c.get("format"));
    let format = format.or_else(|| body.get("output_format"));
    parsed.schema = format.and_then(|f| f.get("schema")).cloned();
    parsed.effort = anthropic_effort(body, parsed.max_tokens.unwrap_or_default())?;
    parsed.cache_hints = hints(body);
    if parsed.cache_hints > 4 {
        let found = parsed.cache_hints;
        let message =
            format!("A maximum of 4 blocks with cache_control may be provided. Found {found}.");
        return Err(refuse(wire, "", &message));
    }
    Ok(parsed)
}

fn anthropic_effort(body: &Body, max_tokens: u64) -> Checked<Option<String>> {
    let thinking = body.get("thinking");
    let Some(budget) = thinking.and_then(|t| t.get("budget_tokens")).and_then(Value::as_u64) else {
        return Ok(word(body.get("output_config").and_then(|c| c.get("effort"))));
    };
    if budget < 1024 || budget >= max_tokens {
        let message = "`max_tokens` must be greater than `thinking.budget_tokens`, which must be at least 1024";
        return Err(refuse(Wire::Anthropic, "", message));
    }
    Ok(Some(budget.to_string()))
}

pub(super) fn gemini(body: &Body) -> Checked<ParsedRequest> {
    let wire = Wire::Gemini;
    let empty = Map::new();
    let config = either(body, "generationConfig", "generation_config");
    let config = config.and_then(Value::as_object).unwrap_or(&empty);
    let mut parsed = common(wire, config)?;
    parsed.tools = fields::tools(wire, body)?;
    if let Some(system) = either(body, "systemInstruction", "system_instruction") {
        let mut read = ParsedMessage { role: "system".to_owned(), ..ParsedMessage::default() };
        add_content(wire, &mut read, system.get("parts"))?;
        parsed.messages.push(read);
    }
    for content in list(body, "contents") {
        let role = match text(content, "role") {
            "" | "user" => "user",
            "model" => "assistant",
            role => {
                let message = format!("Please use a valid role: user, model. Got {role}.");
                return Err(refuse(wire, "contents", &message));
            }
        };
        let mut read = ParsedMessage { role: role.to_owned(), ..ParsedMessage::default() };
        add_content(wire, &mut read, content.get("parts"))?;
        if read.parts.iter().any(|part| part == "tool_result") {
            "tool".clone_into(&mut read.role);
        }
        parsed.messages.push(read);
    }
    parsed.n = config.get("candidateCount").and_then(Value::as_u64).unwrap_or(1);
    parsed.stop = strings(config.get("stopSequences"));
    parsed.max_tokens = config.get("maxOutputTokens").and_then(Value::as_u64);
    parsed.top_p = config.get("topP").and_then(Value::as_f64);
    parsed.seed = config.get("seed").and_then(Value::as_i64);
    let schema = ["responseJsonSchema", "_responseJsonSchema", "responseSchema"];
    parsed.schema = schema.iter().find_map(|name| config.get(*name)).cloned();
    gemini_logprobs(config, &mut parsed)?;
    let thinking = config.get("thinkingConfig");
    let budget = thinking.and_then(|t| t.get("thinkingBudget")).and_then(Value::as_i64);
    let level = || word(thinking.and_then(|t| t.get("thinkingLevel")));
    parsed.effort = budget.map(|b| b.to_string()).or_else(level);
    parsed.cache_hints = usize::from(body.contains_key("cachedContent"));
    Ok(parsed)
}

fn gemini_logprobs(config: &Body, parsed: &mut ParsedRequest) -> Checked<()> {
    let wanted = config.get("responseLogprobs").and_then(Value::as_bool) == Some(true);
    let top = config.get("logprobs").and_then(Value::as_u64);
    if top.is_some() && !wanted {
        let message = "logprobs is set but response_logprobs is not";
        return Err(refuse(Wire::Gemini, "", message));
    }
    parsed.top_logprobs = wanted.then(|| top.unwrap_or(0));
    Ok(())
}

/// Members that all APIs name alike.
fn common(wire: Wire, body: &Body) -> Checked<ParsedRequest> {
    Ok(ParsedRequest {
        model: word(body.get("model")).unwrap_or_default(),
        n: 1,
        stream: body.get("stream").and_then(Value::as_bool) == Some(true),
        temperature: body.get("temperature").and_then(Value::as_f64),
        top_p: body.get("top_p").and_then(Value::as_f64),
        tools: fields::tools(wire, body)?,
        ..ParsedRequest::default()
    })
}

/// Content as a string or as parts.
fn add_content(wire: Wire, read: &mut ParsedMessage, content: Option<&Value>) -> Checked<()> {
    match content {
        Some(Value::String(text)) => {
            read.text.push_str(text);
            read.parts.push("text".to_owned());
            Ok(())
        }
        Some(Value::Array(parts)) => parts.iter().try_for_each(|part| add_part(wire, read, part)),
        None | Some(Value::Null) if read.role == "assistant" => Ok(()),
        _ => Err(refuse(wire, "", "Invalid value for 'content': expected a string or an array.")),
    }
}

fn add_part(wire: Wire, read: &mut ParsedMessage, part: &Value) -> Checked<()> {
    let kind = if wire == Wire::Gemini { gemini_kind(part) } else { text(part, "type") };
    let Some(neutral) = neutral(wire, &read.role, kind) else {
        return Err(invalid(wire, "content.type", kind));
    };
    if neutral == "text" {
        let said = text(part, "text");
        if wire == Wire::Anthropic && said.is_empty() {
            return Err(refuse(wire, "messages", "text content blocks must be non-empty"));
        }
        read.text.push_str(said);
    }
    read.parts.push(neutral.to_owned());
    Ok(())
}

/// A part of Gemini is what its member says.
fn gemini_kind(part: &Value) -> &str {
    let thought = part.get("thought").and_then(Value::as_bool) == Some(true);
    let mime = part.pointer("/inlineData/mimeType").or_else(|| part.pointer("/fileData/mimeType"));
    match mime.and_then(Value::as_str).map(|m| m.split('/').next().unwrap_or(m)) {
        Some(kind @ ("image" | "audio")) => return kind,
        Some(_) => return "file",
        None => {}
    }
    let members = ["functionCall", "functionResponse", "text"];
    let found = members.into_iter().find(|name| part.get(*name).is_some());
    if thought { "thought" } else { found.unwrap_or_default() }
}

/// The neutral word for a kind of part, if a message of this role may have it.
fn neutral(wire: Wire, role: &str, kind: &str) -> Option<&'static str> {
    let user = role == "user";
    Some(match (wire, kind) {
        (Wire::OpenAiChat | Wire::Anthropic | Wire::Gemini, "text") => "text",
        (Wire::OpenAiChat, "image_url") if user => "image",
        (Wire::OpenAiChat, "input_audio") if user => "audio",
        (Wire::OpenAiChat, "file") if user => "file",
        (Wire::OpenAiChat, "refusal") if role == "assistant" => "refusal",
        (Wire::OpenAiResponses, "input_text") if role != "assistant" => "text",
        (Wire::OpenAiResponses, "output_text") if role == "assistant" => "text",
        (Wire::OpenAiResponses, "refusal") if role == "assistant" => "refusal",
        (Wire::OpenAiResponses, "input_image") if user => "image",
        (Wire::OpenAiResponses, "input_audio") if user => "audio",
        (Wire::OpenAiResponses, "input_file") if user => "file",
        (Wire::Anthropic, "image") if user => "image",
        (Wire::Anthropic, "document") if user => "file",
        (Wire::Anthropic, "tool_result") if user => "tool_result",
        (Wire::Anthropic, "tool_use") if role == "assistant" => "tool_call",
        (Wire::Anthropic, "thinking" | "redacted_thinking") if role == "assistant" => "reasoning",
        (Wire::Gemini, "image") => "image",
        (Wire::Gemini, "audio") => "audio",
        (Wire::Gemini, "file") => "file",
        (Wire::Gemini, "functionCall") if role == "assistant" => "tool_call",
        (Wire::Gemini, "functionResponse") if user => "tool_result",
        (Wire::Gemini, "thought") if role == "assistant" => "reasoning",
        _ => return None,
    })
}

fn invalid(wire: Wire, place: &str, found: &str) -> Box<crate::server::Response> {
    refuse(wire, place, &format!("Invalid value: '{found}' at {place}."))
}

fn plain(role: &str, text: &str) -> ParsedMessage {
    let (role, text) = (role.to_owned(), text.to_owned());
    ParsedMessage { role, text, parts: vec!["text".to_owned()] }
}

fn either<'a>(body: &'a Body, one: &str, other: &str) -> Option<&'a Value> {
    body.get(one).or_else(|| body.get(other))
}

fn word(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).map(str::to_owned)
}

/// A string or a list of strings.
fn strings(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) => {
            many.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

/// `cache_control` at any depth, and `prompt_cache_key`.
fn hints(body: &Body) -> usize {
    fn count(value: &Value) -> usize {
        match value {
            Value::Object(members) => {
                usize::from(members.contains_key("cache_control"))
                    + members.values().map(count).sum::<usize>()
            }
            Value::Array(items) => items.iter().map(count).sum(),
            _ => 0,
        }
    }
    count(&json!(body)) + usize::from(body.contains_key("prompt_cache_key"))
}
