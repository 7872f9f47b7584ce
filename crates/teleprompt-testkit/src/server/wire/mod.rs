//! The wire formats of four APIs, as their servers speak them.

mod answer;
mod anthropic;
mod check;
mod gemini;
mod openai_chat;
mod openai_responses;
#[cfg(test)]
mod tests;

pub use answer::{Answer, Finish, TokenLogprob, Tokens, ToolCall};
pub use check::{ParsedMessage, ParsedRequest};

use std::time::Duration;

use serde_json::{Value, json};

use super::{Request, Response};

/// An API of a provider. Replies, streams and errors have the members and the order that the real
/// server sends; [`Wire::check`] refuses what it would refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wire {
    /// OpenAI chat completions. Reasoning is sent as `reasoning_content`, which OpenAI itself keeps
    /// to itself but DeepSeek, vLLM and llama.cpp send.
    OpenAiChat,
    /// OpenAI Responses.
    OpenAiResponses,
    /// Anthropic Messages, version 2023-06-01.
    Anthropic,
    /// Gemini `generateContent`, v1beta.
    Gemini,
}

impl Wire {
    /// All four.
    pub const ALL: [Wire; 4] =
        [Wire::OpenAiChat, Wire::OpenAiResponses, Wire::Anthropic, Wire::Gemini];

    /// The whole reply, status 200.
    pub fn reply(self, answer: &Answer) -> Response {
        let mut body = match self {
            Wire::OpenAiChat => openai_chat::reply(answer),
            Wire::OpenAiResponses => openai_responses::reply(answer),
            Wire::Anthropic => anthropic::reply(answer),
            Wire::Gemini => gemini::reply(answer),
        };
        if let Some(members) = body.as_object_mut() {
            members.extend(answer.extra.clone());
        }
        self.with_id(Response::json(200, &body), &answer.id)
    }

    /// The reply as a stream of server-sent events. The bytes are cut into pieces of `split` bytes,
    /// also inside characters, with `pause` between them (none if zero).
    pub fn stream(self, answer: &Answer, split: usize, pause: Duration) -> Response {
        self.with_id(Response::event_stream(&self.events(answer), split, pause), &answer.id)
    }

    /// The bytes of [`Wire::stream`].
    pub fn events(self, answer: &Answer) -> String {
        match self {
            Wire::OpenAiChat => openai_chat::events(answer),
            Wire::OpenAiResponses => openai_responses::events(answer),
            Wire::Anthropic => anthropic::events(answer),
            Wire::Gemini => gemini::events(answer),
        }
    }

    /// An error in the provider's form. `kind` is the provider's own word: OpenAI's `code`,
    /// Anthropic's error `type`, Gemini's `status`; if empty, the one that goes with the status.
    pub fn error(self, status: u16, kind: &str, message: &str) -> Response {
        let kind = if kind.is_empty() { self.usual_kind(status) } else { kind };
        let body = match self {
            Wire::OpenAiChat | Wire::OpenAiResponses => {
                openai_error(openai_type(status), kind, message, &Value::Null)
            }
            Wire::Anthropic => json!({
                "type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1",
            }),
            Wire::Gemini => {
                json!({"error": {"code": status, "message": message, "status": kind}})
            }
        };
        self.with_id(Response::json(status, &body), "1")
    }

    /// The path of a request, from the root of the server.
    pub fn path(self, model: &str, stream: bool) -> String {
        match (self, stream) {
            (Wire::OpenAiChat, _) => "/v1/chat/completions".to_owned(),
            (Wire::OpenAiResponses, _) => "/v1/responses".to_owned(),
            (Wire::Anthropic, _) => "/v1/messages".to_owned(),
            (Wire::Gemini, false) => format!("/v1beta/models/{model}:generateContent"),
            (Wire::Gemini, true) => {
                format!("/v1beta/models/{model}:streamGenerateContent?alt=sse")
            }
        }
    }

    /// Checks the request as the provider does and says what it asks for: method, path, key,
    /// version, names of top-level members, required ones, roles and kinds of parts. Any key will
    /// do.
    ///
    /// # Errors
    /// The provider's refusal.
    pub fn check(self, request: &Request, model: &str) -> Result<ParsedRequest, Response> {
        check::check(self, request, model)
    }

    /// Checks the request and answers it, whole or as a stream, as it asks.
    pub fn serve(self, request: &Request, answer: &Answer) -> Response {
        match self.check(request, &answer.model) {
            Err(refusal) => refusal,
            Ok(parsed) if parsed.stream => self.stream(answer, usize::MAX, Duration::ZERO),
            Ok(_) => self.reply(answer),
        }
    }

    fn with_id(self, response: Response, id: &str) -> Response {
        match self {
            Wire::OpenAiChat | Wire::OpenAiResponses => {
                response.with_header("x-request-id", &format!("req_{id}"))
            }
            Wire::Anthropic => response.with_header("request-id", &format!("req_{id}")),
            Wire::Gemini => response,
        }
    }

    fn usual_kind(self, status: u16) -> &'static str {
        match self {
            Wire::OpenAiChat | Wire::OpenAiResponses => openai_code(status),
            Wire::Anthropic => anthropic::kind(status),
            Wire::Gemini => gemini::kind(status),
        }
    }
}

/// An error body of OpenAI's APIs; an empty code is sent as `null`.
fn openai_error(kind: &str, code: &str, message: &str, param: &Value) -> Value {
    let code = if code.is_empty() { Value::Null } else { json!(code) };
    json!({"error": {"message": message, "type": kind, "param": param, "code": code}})
}

fn openai_type(status: u16) -> &'static str {
    match status {
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}

fn openai_code(status: u16) -> &'static str {
    match status {
        401 => "invalid_api_key",
        404 => "model_not_found",
        429 => "rate_limit_exceeded",
        _ => "",
    }
}

/// A server-sent event without a name.
fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

/// A server-sent event named by its `type`.
fn named(value: &Value) -> String {
    let name = value.get("type").and_then(Value::as_str).unwrap_or_default();
    format!("event: {name}\ndata: {value}\n\n")
}

/// Arguments of a tool call as the value that Anthropic and Gemini send.
fn arguments(call: &ToolCall) -> Value {
    serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({}))
}
