//! Requests as the providers' servers check them.

mod fields;
mod read;

use serde_json::{Map, Value, json};

use super::super::{Request, Response};
use super::{Wire, openai_error};

/// A message in words of no provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParsedMessage {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// Its texts, one after another.
    pub text: String,
    /// The kinds of its parts in order: `text`, `image`, `audio`, `file`, `tool_call`,
    /// `tool_result`, `reasoning`, or the provider's word for another one.
    pub parts: Vec<String>,
}

/// What a request asks for, in words of no provider.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ParsedRequest {
    /// The model.
    pub model: String,
    /// The messages; instructions that the API keeps apart come first, as `system`.
    pub messages: Vec<ParsedMessage>,
    /// Completions asked for. Default: 1.
    pub n: u64,
    /// Whether it asks for a stream.
    pub stream: bool,
    /// The JSON schema of the output.
    pub schema: Option<Value>,
    /// Names of the tools that are functions.
    pub tools: Vec<String>,
    /// Stop sequences.
    pub stop: Vec<String>,
    /// The bound on completion tokens.
    pub max_tokens: Option<u64>,
    /// Temperature.
    pub temperature: Option<f64>,
    /// Nucleus.
    pub top_p: Option<f64>,
    /// Seed.
    pub seed: Option<i64>,
    /// Alternatives asked for at each token; `Some(0)`: log-probabilities without any.
    pub top_logprobs: Option<u64>,
    /// Reasoning: an effort's word, or the budget in tokens as digits.
    pub effort: Option<String>,
    /// How many hints ask the provider to cache the prompt.
    pub cache_hints: usize,
}

impl ParsedRequest {
    /// The text of the last user message.
    pub fn last_user(&self) -> Option<&str> {
        self.messages.iter().rev().find(|m| m.role == "user").map(|m| m.text.as_str())
    }
}

type Checked<T> = Result<T, Box<Response>>;

pub(super) fn check(wire: Wire, request: &Request, model: &str) -> Result<ParsedRequest, Response> {
    checked(wire, request, model).map_err(|refusal| *refusal)
}

fn checked(wire: Wire, request: &Request, model: &str) -> Checked<ParsedRequest> {
    let stream_path = route(wire, request, model)?;
    authorised(wire, request)?;
    let body = match request.json() {
        Value::Object(body) => body,
        _ => return Err(refuse(wire, "", "We could not parse the JSON body of your request.")),
    };
    fields::known(wire, &body)?;
    let mut parsed = match wire {
        Wire::OpenAiChat => read::openai_chat(&body)?,
        Wire::OpenAiResponses => read::openai_responses(&body)?,
        Wire::Anthropic => read::anthropic(&body)?,
        Wire::Gemini => read::gemini(&body)?,
    };
    if wire == Wire::Gemini {
        parsed.stream = stream_path;
        model.clone_into(&mut parsed.model);
    } else if parsed.model != model {
        return Err(no_model(wire, &parsed.model));
    }
    Ok(parsed)
}

/// Whether the path is the one for streams.
fn route(wire: Wire, request: &Request, model: &str) -> Checked<bool> {
    let path = request.path.as_str();
    let stream = path == wire.path(model, true);
    if !stream && path != wire.path(model, false) {
        return Err(if wire == Wire::Gemini && path.starts_with("/v1beta/models/") {
            no_model(wire, path)
        } else {
            Box::new(wire.error(404, "", &format!("Invalid URL ({} {path})", request.method)))
        });
    }
    if request.method != "POST" {
        let message = format!("Not allowed to {} on {path}", request.method);
        return Err(Box::new(wire.error(405, "", &message)));
    }
    let json = request.header("content-type").is_some_and(|t| t.starts_with("application/json"));
    if !json {
        return Err(refuse(wire, "", "The content type has to be application/json"));
    }
    Ok(stream)
}

fn no_model(wire: Wire, name: &str) -> Box<Response> {
    let message = match wire {
        Wire::Anthropic => format!("model: {name}"),
        Wire::Gemini => format!("{name} is not found for API version v1beta"),
        _ => format!("The model `{name}` does not exist or you do not have access to it."),
    };
    Box::new(wire.error(404, "", &message))
}

fn authorised(wire: Wire, request: &Request) -> Checked<()> {
    let has = |name: &str| request.header(name).is_some_and(|value| !value.is_empty());
    match wire {
        Wire::OpenAiChat | Wire::OpenAiResponses => {
            let key = request.header("authorization").and_then(|v| v.strip_prefix("Bearer "));
            if key.is_none_or(str::is_empty) {
                return Err(Box::new(wire.error(401, "", "You didn't provide an API key.")));
            }
        }
        Wire::Anthropic => {
            if !has("x-api-key") {
                return Err(Box::new(wire.error(401, "", "x-api-key header is required")));
            }
            if request.header("anthropic-version") != Some("2023-06-01") {
                return Err(refuse(wire, "", "anthropic-version: header is required"));
            }
        }
        Wire::Gemini => {
            if !has("x-goog-api-key") {
                let message = "Method doesn't allow unregistered callers (callers without established identity).";
                return Err(Box::new(wire.error(403, "", message)));
            }
        }
    }
    Ok(())
}

/// A 400 over the member of this name (empty: over the whole request).
fn refuse(wire: Wire, param: &str, message: &str) -> Box<Response> {
    Box::new(match wire {
        Wire::OpenAiChat | Wire::OpenAiResponses => {
            let param = if param.is_empty() { Value::Null } else { json!(param) };
            Response::json(400, &openai_error("invalid_request_error", "", message, &param))
        }
        Wire::Anthropic if !param.is_empty() => wire.error(400, "", &format!("{param}: {message}")),
        Wire::Anthropic | Wire::Gemini => wire.error(400, "", message),
    })
}

/// The member of this name as an array, empty if it is not there.
fn list<'a>(body: &'a Map<String, Value>, name: &str) -> &'a [Value] {
    body.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The string at this place, empty if it is not there.
fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}
