//! What several wires have in common.

use serde_json::{Map, Value, json};
use teleprompt_core::{
    LmRequest, Media, MediaSource, ReasoningEffort, TokenLogprob, Tool, ToolChoice,
};

use super::Unsupported;

/// Adds a field that has a value.
pub(super) fn put(body: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        body.insert(name.to_owned(), value.into());
    }
}

/// 0.7 as 0.7, not as the 0.699999988… that widening the bits gives.
pub(super) fn decimal(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

/// The address of an image or a file: where it is, or its bytes as a `data:` URL. `None`: it is
/// known by an id only.
pub(super) fn address(media: &Media) -> Option<String> {
    match &media.source {
        MediaSource::Url(url) => Some(url.to_string()),
        _ => Some(format!("data:{};base64,{}", media.mime, media.base64()?)),
    }
}

/// OpenAI's form of a sound.
pub(super) fn input_audio(media: &Media) -> Result<Value, Unsupported> {
    let data = media.base64().ok_or_else(|| {
        Unsupported("sound that is not given as bytes; read it and give its bytes".into())
    })?;
    let format = match media.mime.rsplit('/').next().unwrap_or_default() {
        "mpeg" => "mp3",
        "wave" => "wav",
        other => other.trim_start_matches("x-"),
    };
    Ok(json!({"type": "input_audio", "input_audio": {"data": data, "format": format}}))
}

/// The name of a file, which OpenAI wants.
pub(super) fn file_name(media: &Media) -> &str {
    media.name.as_deref().unwrap_or("file")
}

/// OpenAI's word for a measure of reasoning; a number of tokens gets the nearest.
pub(super) fn effort(effort: ReasoningEffort) -> &'static str {
    match effort {
        ReasoningEffort::Off | ReasoningEffort::Tokens(0) => "none",
        ReasoningEffort::Minimal | ReasoningEffort::Tokens(..1024) => "minimal",
        ReasoningEffort::Low | ReasoningEffort::Tokens(..4096) => "low",
        ReasoningEffort::High | ReasoningEffort::Tokens(16_384..) => "high",
        _ => "medium",
    }
}

/// The choice of tools in OpenAI's words; `named` makes the form of a choice of one tool.
pub(super) fn tool_choice(request: &LmRequest, named: impl Fn(&str) -> Value) -> Option<Value> {
    let choice = request.tool_choice.as_ref().filter(|_| !request.tools.is_empty())?;
    Some(match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::Named(name) => named(name),
    })
}

/// The members of a function in OpenAI's tools.
pub(super) fn function(tool: &Tool) -> Map<String, Value> {
    let mut function = Map::new();
    put(&mut function, "name", Some(&*tool.name));
    put(&mut function, "description", (!tool.description.is_empty()).then_some(&*tool.description));
    put(&mut function, "parameters", Some((*tool.parameters).clone()));
    function
}

/// A name for the prompt that many calls begin with, so that they meet in one cache: a hash of the
/// tools and the first messages. `None` where nothing is shared.
pub(super) fn cache_key(model: &str, request: &LmRequest) -> Option<String> {
    let shared = request.messages.get(..request.shared_prefix).filter(|m| !m.is_empty())?;
    let text = serde_json::to_string(&(model, &*request.tools, shared)).ok()?;
    Some(blake3::hash(text.as_bytes()).to_hex().chars().take(32).collect())
}

/// A token in OpenAI's form.
pub(super) fn token(value: &Value) -> Option<TokenLogprob> {
    let pair = |value: &Value| {
        let token = value.get("token")?.as_str()?.to_owned();
        Some((token, value.get("logprob")?.as_f64()? as f32))
    };
    let (token, logprob) = pair(value)?;
    let rivals = value.get("top_logprobs").and_then(Value::as_array).into_iter().flatten();
    Some(TokenLogprob { token, logprob, top: rivals.filter_map(pair).collect() })
}

/// A text at this name that is not empty.
pub(super) fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name)?.as_str().filter(|text| !text.is_empty())
}

/// A number at this path.
pub(super) fn number(value: &Value, path: &str) -> Option<u64> {
    value.pointer(path)?.as_u64()
}

/// Whether the data of an event says nothing: gateways add such events to any protocol.
pub(super) fn is_empty(data: &str) -> bool {
    data.is_empty() || data == "[DONE]"
}

#[cfg(test)]
mod tests {
    use super::*;
    use teleprompt_core::Message;

    #[test]
    fn a_number_of_tokens_gets_the_nearest_level() {
        let levels = [0, 1, 1023, 1024, 4095, 4096, 16_383, 16_384, u32::MAX]
            .map(|tokens| effort(ReasoningEffort::Tokens(tokens)));
        let expected =
            ["none", "minimal", "minimal", "low", "low", "medium", "medium", "high", "high"];
        assert_eq!(levels, expected);
    }

    #[test]
    fn the_cache_key_depends_on_what_is_shared_only() {
        let key = |system: &str, user: &str, shared| {
            let mut request = LmRequest::new(vec![Message::system(system), Message::user(user)]);
            request.shared_prefix = shared;
            cache_key("m", &request)
        };
        assert_eq!(key("s", "a", 1), key("s", "b", 1));
        assert_ne!(key("s", "a", 1), key("t", "a", 1));
        assert_eq!(key("s", "a", 0), None);
        assert_eq!(key("s", "a", 9), None);
        assert_eq!(key("s", "a", 1).unwrap().len(), 32);
    }
}
