//! Anthropic Messages.

use serde_json::{Value, json};

use super::answer::{Answer, Finish, odd_pieces};
use super::{arguments, named};

pub(super) fn reply(answer: &Answer) -> Value {
    let content: Vec<Value> = blocks(answer).into_iter().map(|block| block.whole).collect();
    let (reason, sequence) = stop(answer);
    message(answer, &json!(content), &json!(reason), &sequence, answer.tokens.completion)
}

fn message(answer: &Answer, content: &Value, reason: &Value, sequence: &Value, out: u64) -> Value {
    json!({
        "model": answer.model, "id": format!("msg_{}", answer.id), "type": "message",
        "role": "assistant", "content": content, "stop_reason": reason,
        "stop_sequence": sequence, "usage": usage(answer, out),
    })
}

/// `input_tokens` are those neither read from the cache nor written to it.
fn usage(answer: &Answer, output: u64) -> Value {
    let t = &answer.tokens;
    json!({
        "input_tokens": t.prompt.saturating_sub(t.cached + t.cache_write),
        "cache_creation_input_tokens": t.cache_write, "cache_read_input_tokens": t.cached,
        "cache_creation": {
            "ephemeral_5m_input_tokens": t.cache_write, "ephemeral_1h_input_tokens": 0,
        },
        "output_tokens": output, "service_tier": "standard",
    })
}

fn stop(answer: &Answer) -> (&str, Value) {
    let reason = match &answer.finish {
        Finish::Stop => "end_turn",
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
        Finish::ContentFilter => "refusal",
        Finish::Unknown(word) => word,
    };
    (reason, Value::Null)
}

/// A content block, whole and as it is streamed.
struct Block {
    whole: Value,
    start: Value,
    deltas: Vec<Value>,
}

fn blocks(answer: &Answer) -> Vec<Block> {
    let mut blocks = Vec::new();
    if let Some(text) = &answer.reasoning {
        blocks.push(thinking(text, answer.signature.as_deref().unwrap_or_default()));
    }
    if answer.tool_calls.is_empty() || !answer.first().is_empty() {
        let deltas = answer.pieces_of(0).into_iter();
        blocks.push(Block {
            whole: json!({"type": "text", "text": answer.first()}),
            start: json!({"type": "text", "text": ""}),
            deltas: deltas.map(|text| json!({"type": "text_delta", "text": text})).collect(),
        });
    }
    for call in &answer.tool_calls {
        let block = |input: Value| json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input});
        let pieces = std::iter::once(String::new()).chain(odd_pieces(&call.arguments));
        blocks.push(Block {
            whole: block(arguments(call)),
            start: block(json!({})),
            deltas: pieces
                .map(|p| json!({"type": "input_json_delta", "partial_json": p}))
                .collect(),
        });
    }
    blocks
}

fn thinking(text: &str, signature: &str) -> Block {
    let deltas = odd_pieces(text).into_iter();
    let deltas = deltas.map(|piece| json!({"type": "thinking_delta", "thinking": piece}));
    Block {
        whole: json!({"type": "thinking", "thinking": text, "signature": signature}),
        start: json!({"type": "thinking", "thinking": "", "signature": ""}),
        deltas: deltas
            .chain([json!({"type": "signature_delta", "signature": signature})])
            .collect(),
    }
}

pub(super) fn events(answer: &Answer) -> String {
    let start = message(answer, &json!([]), &Value::Null, &Value::Null, 1);
    let mut events = vec![json!({"type": "message_start", "message": start})];
    for (index, block) in blocks(answer).into_iter().enumerate() {
        let start = json!({
            "type": "content_block_start", "index": index, "content_block": block.start,
        });
        events.push(start);
        if index == 0 {
            events.push(json!({"type": "ping"}));
        }
        events.extend(
            block.deltas.into_iter().map(
                |delta| json!({"type": "content_block_delta", "index": index, "delta": delta}),
            ),
        );
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    let (reason, sequence) = stop(answer);
    events.push(json!({
        "type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": sequence},
        "usage": usage(answer, answer.tokens.completion),
    }));
    events.push(json!({"type": "message_stop"}));
    events.iter().map(named).collect()
}

pub(super) fn kind(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}
