//! Responses of an OpenAI-compatible chat server.

use std::time::Duration;

use serde_json::{Value, json};

use super::response::{Part, Response};

impl Response {
    /// A chat completion of this text, 7 prompt tokens (2 of them cached) and 3 completion tokens.
    pub fn chat(text: &str) -> Self {
        Self::chat_n(&[text])
    }

    /// A chat completion with several choices.
    pub fn chat_n(texts: &[&str]) -> Self {
        let choices: Vec<Value> = texts
            .iter()
            .enumerate()
            .map(|(index, text)| {
                json!({
                    "index": index,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": "stop",
                })
            })
            .collect();
        Self::json(
            200,
            &json!({
                "id": "chatcmpl-1", "object": "chat.completion", "model": "fake-model",
                "choices": choices, "usage": usage(),
            }),
        )
    }

    /// An error in the form of OpenAI's API.
    pub fn api_error(status: u16, code: &str, message: &str) -> Self {
        let error = json!({"message": message, "type": "error", "code": code, "param": null});
        Self::json(status, &json!({ "error": error }))
    }

    /// A streamed chat completion: each text is one event, then the usage and the end mark. The
    /// bytes are cut into pieces of `split` bytes with `pause` between them (none if zero).
    pub fn chat_stream(texts: &[&str], split: usize, pause: Duration) -> Self {
        Self::event_stream(&chat_events(texts), split, pause)
    }

    /// A stream of server-sent events, given as its bytes.
    pub fn event_stream(bytes: &str, split: usize, pause: Duration) -> Self {
        let mut parts = Vec::new();
        for piece in bytes.as_bytes().chunks(split.max(1)) {
            parts.push(Part::Bytes(piece.to_vec()));
            if !pause.is_zero() {
                parts.push(Part::Wait(pause));
            }
        }
        Self::parts(parts).with_header("content-type", "text/event-stream")
    }
}

/// The events of [`Response::chat_stream`].
fn chat_events(texts: &[&str]) -> String {
    let event = |value: Value| format!("data: {value}\n\n");
    let choice = |delta: Value, finish: Value| {
        json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "fake-model",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        })
    };
    let mut out = event(choice(json!({"role": "assistant", "content": ""}), Value::Null));
    for text in texts {
        out.push_str(&event(choice(json!({ "content": text }), Value::Null)));
    }
    out.push_str(&event(choice(json!({}), json!("stop"))));
    out.push_str(&event(json!({"choices": [], "model": "fake-model", "usage": usage()})));
    out.push_str("data: [DONE]\n\n");
    out
}

fn usage() -> Value {
    json!({
        "prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10,
        "prompt_tokens_details": {"cached_tokens": 2},
    })
}
