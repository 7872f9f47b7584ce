//! The chat-completions wire: the body of a request, the form of a reply.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use teleprompt_core::{Completion, FinishReason, LmRequest, TokenLogprob, Usage};

/// What a server was found to understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    /// `response_format` with a JSON schema.
    pub schema: bool,
    /// The limit is called `max_completion_tokens`, not `max_tokens`.
    pub new_limit_name: bool,
    /// `stream_options`, which ask for the usage of a streamed reply.
    pub stream_options: bool,
}

/// The body of a request.
pub(super) fn body(model: &str, request: &LmRequest, dialect: Dialect, stream: bool) -> Value {
    let messages = request.messages.iter();
    let messages: Vec<Value> =
        messages.map(|m| json!({"role": m.role.as_str(), "content": &*m.content})).collect();
    let mut body = Map::new();
    body.insert("model".into(), model.into());
    body.insert("messages".into(), messages.into());
    if request.n > 1 {
        body.insert("n".into(), request.n.into());
    }
    add_settings(&mut body, request, dialect);
    let schema = request.constraint.as_ref().and_then(|c| c.json_schema.as_ref());
    if let Some(schema) = schema.filter(|_| dialect.schema) {
        let format = json!({"name": "reply", "strict": true, "schema": &**schema});
        body.insert(
            "response_format".into(),
            json!({"type": "json_schema", "json_schema": format}),
        );
    }
    if stream {
        body.insert("stream".into(), true.into());
        if dialect.stream_options {
            body.insert("stream_options".into(), json!({"include_usage": true}));
        }
    }
    Value::Object(body)
}

fn add_settings(body: &mut Map<String, Value>, request: &LmRequest, dialect: Dialect) {
    let settings = &request.settings;
    let limit = if dialect.new_limit_name { "max_completion_tokens" } else { "max_tokens" };
    let mut add = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.into(), value);
        }
    };
    add("temperature", settings.temperature.map(decimal));
    add("top_p", settings.top_p.map(decimal));
    add(limit, settings.max_tokens.map(Value::from));
    // The wire's integers are signed.
    add("seed", settings.seed.map(|seed| (seed & i64::MAX as u64).into()));
    add("stop", (!settings.stop.is_empty()).then(|| json!(settings.stop)));
    add("logprobs", settings.logprobs.map(|_| true.into()));
    add("top_logprobs", settings.logprobs.filter(|k| *k > 0).map(Value::from));
}

/// 0.7 as 0.7, not as the 0.699999988… that widening the bits gives.
fn decimal(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

/// A reply, or one event of a streamed reply.
#[derive(Debug, Deserialize)]
pub(super) struct Reply {
    #[serde(default)]
    pub choices: Vec<Choice>,
    #[serde(default)]
    pub usage: Option<WireUsage>,
    #[serde(default)]
    pub model: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Choice {
    #[serde(default)]
    pub index: usize,
    #[serde(alias = "delta", default)]
    message: WireMessage,
    #[serde(default)]
    finish_reason: Option<String>,
    #[serde(default)]
    logprobs: Option<WireLogprobs>,
}

#[derive(Debug, Default, Deserialize)]
struct WireMessage {
    #[serde(default)]
    content: Value,
    #[serde(default)]
    refusal: Option<String>,
}

#[derive(Debug, Deserialize)]
struct WireLogprobs {
    #[serde(default)]
    content: Option<Vec<WireToken>>,
}

#[derive(Debug, Deserialize)]
struct WireToken {
    token: String,
    logprob: f32,
    #[serde(default)]
    top_logprobs: Vec<WireRival>,
}

#[derive(Debug, Deserialize)]
struct WireRival {
    token: String,
    logprob: f32,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct WireUsage {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
    /// DeepSeek's name for the tokens that its cache gave.
    #[serde(default)]
    prompt_cache_hit_tokens: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Option<u64>,
}

impl WireUsage {
    /// As usage of one call.
    pub(super) fn usage(&self) -> Usage {
        let details = self.prompt_tokens_details.as_ref().and_then(|d| d.cached_tokens);
        Usage {
            prompt_tokens: self.prompt_tokens.unwrap_or_default(),
            completion_tokens: self.completion_tokens.unwrap_or_default(),
            cached_prompt_tokens: details.or(self.prompt_cache_hit_tokens).unwrap_or_default(),
            ..Usage::one_call()
        }
    }
}

impl Choice {
    /// Whether this choice says that it is at its end.
    pub(super) fn is_finished(&self) -> bool {
        self.finish_reason.is_some()
    }

    /// Adds what this choice brings and returns the new text.
    pub(super) fn add_to(self, completion: &mut Completion) -> String {
        let mut text = content_text(self.message.content);
        if let Some(reason) = self.finish_reason.as_deref() {
            completion.finish = finish(reason);
        }
        if let Some(refusal) = self.message.refusal.filter(|r| !r.is_empty()) {
            completion.finish = FinishReason::ContentFilter;
            text.push_str(&refusal);
        }
        if let Some(tokens) = self.logprobs.and_then(|l| l.content) {
            let tokens = tokens.into_iter().map(WireToken::logprob);
            completion.logprobs.get_or_insert_default().extend(tokens);
        }
        completion.text.push_str(&text);
        text
    }
}

impl WireToken {
    fn logprob(self) -> TokenLogprob {
        let top = self.top_logprobs.into_iter().map(|rival| (rival.token, rival.logprob));
        TokenLogprob { token: self.token, logprob: self.logprob, top: top.collect() }
    }
}

/// The text of a content, which some servers give as a list of parts.
fn content_text(content: Value) -> String {
    match content {
        Value::String(text) => text,
        Value::Array(parts) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
        _ => String::new(),
    }
}

fn finish(reason: &str) -> FinishReason {
    match reason {
        "stop" | "eos" | "eos_token" | "end_turn" | "" => FinishReason::Stop,
        "length" | "max_tokens" => FinishReason::Length,
        "content_filter" => FinishReason::ContentFilter,
        _ => FinishReason::Other,
    }
}
