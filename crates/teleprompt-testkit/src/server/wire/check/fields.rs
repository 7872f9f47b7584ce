//! The top-level members that each API knows.

use serde_json::{Map, Value};

use super::{Checked, Wire, list, openai_error, refuse};
use crate::server::Response;

const OPENAI_CHAT: &[&str] = &[
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "modalities",
    "model",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];

const OPENAI_RESPONSES: &[&str] = &[
    "background",
    "context_management",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "moderation",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

const ANTHROPIC: &[&str] = &[
    "cache_control",
    "container",
    "context_management",
    "inference_geo",
    "max_tokens",
    "mcp_servers",
    "messages",
    "metadata",
    "model",
    "output_config",
    "output_format",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
];

/// In camel case; snake case is taken too.
const GEMINI: &[&str] = &[
    "cachedContent",
    "contents",
    "generationConfig",
    "labels",
    "safetySettings",
    "serviceTier",
    "systemInstruction",
    "toolConfig",
    "tools",
];

/// Members of Gemini's `generationConfig`.
const GEMINI_CONFIG: &[&str] = &[
    "_responseJsonSchema",
    "candidateCount",
    "enableEnhancedCivicAnswers",
    "frequencyPenalty",
    "imageConfig",
    "logprobs",
    "maxOutputTokens",
    "mediaResolution",
    "presencePenalty",
    "responseFormat",
    "responseJsonSchema",
    "responseLogprobs",
    "responseMimeType",
    "responseModalities",
    "responseSchema",
    "seed",
    "speechConfig",
    "stopSequences",
    "temperature",
    "thinkingConfig",
    "topK",
    "topP",
];

/// Refuses members that the API does not know, and the lack of those that it needs.
pub(super) fn known(wire: Wire, body: &Map<String, Value>) -> Checked<()> {
    let (known, needed): (&[&str], &[&str]) = match wire {
        Wire::OpenAiChat => (OPENAI_CHAT, &["model", "messages"]),
        Wire::OpenAiResponses => (OPENAI_RESPONSES, &["model", "input"]),
        Wire::Anthropic => (ANTHROPIC, &["model", "max_tokens", "messages"]),
        Wire::Gemini => (GEMINI, &["contents"]),
    };
    if let Some(name) = body.keys().find(|name| !known.contains(&camel(wire, name).as_str())) {
        return Err(unknown(wire, name, ""));
    }
    if let Some(name) = needed.iter().find(|&&name| !body.contains_key(name)) {
        return Err(missing(wire, name));
    }
    if wire == Wire::Gemini
        && let Some(config) = body.get("generationConfig").and_then(Value::as_object)
        && let Some(name) =
            config.keys().find(|n| !GEMINI_CONFIG.contains(&camel(wire, n).as_str()))
    {
        return Err(unknown(wire, name, " at 'generation_config'"));
    }
    Ok(())
}

fn camel(wire: Wire, name: &str) -> String {
    if wire != Wire::Gemini || name.starts_with('_') {
        return name.to_owned();
    }
    let mut words = name.split('_');
    let mut out = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        out.extend(letters.next().map(|c| c.to_ascii_uppercase()));
        out.push_str(letters.as_str());
    }
    out
}

fn unknown(wire: Wire, name: &str, place: &str) -> Box<Response> {
    match wire {
        Wire::OpenAiChat => {
            refuse(wire, "", &format!("Unrecognized request argument supplied: {name}"))
        }
        Wire::OpenAiResponses => {
            let message = format!("Unknown parameter: '{name}'.");
            let body =
                openai_error("invalid_request_error", "unknown_parameter", &message, &name.into());
            Box::new(Response::json(400, &body))
        }
        Wire::Anthropic => refuse(wire, name, "Extra inputs are not permitted"),
        Wire::Gemini => refuse(
            wire,
            name,
            &format!(
                "Invalid JSON payload received. Unknown name \"{name}\"{place}: Cannot find field."
            ),
        ),
    }
}

fn missing(wire: Wire, name: &str) -> Box<Response> {
    match wire {
        Wire::OpenAiChat | Wire::OpenAiResponses => {
            let message = format!("Missing required parameter: '{name}'.");
            let code = "missing_required_parameter";
            let body = openai_error("invalid_request_error", code, &message, &name.into());
            Box::new(Response::json(400, &body))
        }
        Wire::Anthropic => refuse(wire, name, "Field required"),
        Wire::Gemini => {
            refuse(wire, name, &format!("* GenerateContentRequest.{name}: {name} is not specified"))
        }
    }
}

/// The names of the functions among the tools; each needs one.
pub(super) fn tools(wire: Wire, body: &Map<String, Value>) -> Checked<Vec<String>> {
    let mut names = Vec::new();
    for tool in list(body, "tools") {
        let kind = super::text(tool, "type");
        let name = match wire {
            Wire::OpenAiChat if kind == "function" => tool.pointer("/function/name"),
            Wire::OpenAiResponses if kind == "function" => tool.get("name"),
            Wire::Anthropic if matches!(kind, "" | "custom") => tool.get("name"),
            Wire::Gemini => {
                let declared = tool.get("functionDeclarations").and_then(Value::as_array);
                let declared = declared.into_iter().flatten();
                names.extend(declared.map(|d| super::text(d, "name").to_owned()));
                continue;
            }
            _ => continue,
        };
        match name.and_then(Value::as_str) {
            Some(name) => names.push(name.to_owned()),
            None => return Err(missing(wire, "tools.0.name")),
        }
    }
    Ok(names)
}
