//! OpenAI chat completions.

use serde_json::{Map, Value, json};

use super::answer::{Answer, Finish, TokenLogprob, odd_pieces};
use super::data;

pub(super) fn reply(answer: &Answer) -> Value {
    let choices: Vec<Value> = (0..answer.texts.len()).map(|index| choice(answer, index)).collect();
    json!({
        "id": format!("chatcmpl-{}", answer.id), "object": "chat.completion",
        "created": 1_750_000_000, "model": answer.model, "choices": choices,
        "usage": usage(answer), "service_tier": "default", "system_fingerprint": null,
    })
}

fn choice(answer: &Answer, index: usize) -> Value {
    let text = answer.texts.get(index).map_or("", String::as_str);
    let first = index == 0;
    let silent = first && text.is_empty() && !answer.tool_calls.is_empty();
    let content = if silent { Value::Null } else { json!(text) };
    let mut message = json!({
        "role": "assistant", "content": content, "refusal": null, "annotations": [],
    });
    if let (true, Some(reasoning), Some(m)) = (first, &answer.reasoning, message.as_object_mut()) {
        m.insert("reasoning_content".to_owned(), json!(reasoning));
    }
    if let (true, false, Some(m)) = (first, answer.tool_calls.is_empty(), message.as_object_mut()) {
        let calls = answer.tool_calls.iter().map(|call| {
            json!({
                "id": call.id, "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            })
        });
        m.insert("tool_calls".to_owned(), calls.collect());
    }
    let logprobs = if first { logprobs(&answer.logprobs) } else { Value::Null };
    json!({
        "index": index, "message": message, "logprobs": logprobs, "finish_reason": finish(answer),
    })
}

fn finish(answer: &Answer) -> &str {
    match &answer.finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::ContentFilter => "content_filter",
        Finish::Unknown(word) => word,
    }
}

fn usage(answer: &Answer) -> Value {
    let t = &answer.tokens;
    let mut prompt = json!({"cached_tokens": t.cached, "audio_tokens": 0});
    if let (true, Some(details)) = (t.cache_write > 0, prompt.as_object_mut()) {
        details.insert("cache_write_tokens".to_owned(), json!(t.cache_write));
    }
    json!({
        "prompt_tokens": t.prompt, "completion_tokens": t.completion,
        "total_tokens": t.prompt + t.completion,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": {
            "reasoning_tokens": t.reasoning, "audio_tokens": 0,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        },
    })
}

fn logprobs(tokens: &[TokenLogprob]) -> Value {
    if tokens.is_empty() {
        return Value::Null;
    }
    let one = |token: &str, logprob: f64| json!({"token": token, "logprob": logprob, "bytes": token.as_bytes()});
    let content = tokens.iter().map(|t| {
        let mut entry = one(&t.token, t.logprob);
        if let Some(members) = entry.as_object_mut() {
            let top = t.top.iter().map(|(token, logprob)| one(token, *logprob)).collect();
            members.insert("top_logprobs".to_owned(), top);
        }
        entry
    });
    json!({"content": content.collect::<Vec<_>>(), "refusal": null})
}

/// The chunks, the usage (as for `stream_options.include_usage`) and the end mark. Several choices
/// come mixed, as from real servers: in turn, a chunk of each that has one left.
pub(super) fn events(answer: &Answer) -> String {
    let mut out = String::new();
    let mut push = |index: usize, delta: Value, logprobs: Value, finish: Value| {
        out.push_str(&data(&chunk(
            answer,
            json!([{"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}]),
            &Value::Null,
        )));
    };
    for index in 0..answer.texts.len() {
        let start = json!({"role": "assistant", "content": "", "refusal": null});
        push(index, start, Value::Null, Value::Null);
    }
    let mut left: Vec<_> =
        (0..answer.texts.len()).map(|index| deltas(answer, index).into_iter()).collect();
    while left.iter().any(|deltas| deltas.len() > 0) {
        for (index, deltas) in left.iter_mut().enumerate() {
            if let Some((delta, logprobs)) = deltas.next() {
                push(index, delta, logprobs, Value::Null);
            }
        }
    }
    for index in 0..answer.texts.len() {
        push(index, json!({}), Value::Null, json!(finish(answer)));
    }
    out.push_str(&data(&chunk(answer, json!([]), &usage(answer))));
    out.push_str("data: [DONE]\n\n");
    out
}

/// Reasoning, text and tool calls of a choice. With log-probabilities a piece is a token.
fn deltas(answer: &Answer, index: usize) -> Vec<(Value, Value)> {
    let plain = |name: &str, text: String| {
        (Value::Object(Map::from_iter([(name.to_owned(), Value::String(text))])), Value::Null)
    };
    if index > 0 {
        return answer.pieces_of(index).into_iter().map(|text| plain("content", text)).collect();
    }
    let reasoning = odd_pieces(answer.reasoning.as_deref().unwrap_or_default());
    let mut out: Vec<_> =
        reasoning.into_iter().map(|text| plain("reasoning_content", text)).collect();
    if answer.logprobs.is_empty() {
        out.extend(answer.pieces_of(0).into_iter().map(|text| plain("content", text)));
    } else {
        let tokens = answer.logprobs.iter();
        out.extend(
            tokens.map(|t| (json!({"content": t.token}), logprobs(std::slice::from_ref(t)))),
        );
    }
    for (place, call) in answer.tool_calls.iter().enumerate() {
        let start = json!({
            "index": place, "id": call.id, "type": "function",
            "function": {"name": call.name, "arguments": ""},
        });
        out.push((json!({"tool_calls": [start]}), Value::Null));
        for piece in odd_pieces(&call.arguments) {
            let more = json!({"index": place, "function": {"arguments": piece}});
            out.push((json!({"tool_calls": [more]}), Value::Null));
        }
    }
    out
}

fn chunk(answer: &Answer, choices: Value, usage: &Value) -> Value {
    json!({
        "id": format!("chatcmpl-{}", answer.id), "object": "chat.completion.chunk",
        "created": 1_750_000_000, "model": answer.model, "service_tier": "default",
        "system_fingerprint": null, "choices": choices, "usage": usage,
    })
}
