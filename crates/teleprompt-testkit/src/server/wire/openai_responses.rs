//! OpenAI Responses.

use serde_json::{Map, Value, json};

use super::answer::{Answer, Finish, odd_pieces};
use super::named;

pub(super) fn reply(answer: &Answer) -> Value {
    let output = items(answer).iter().map(Item::done).collect();
    response(answer, status(answer), output, &usage(answer))
}

fn status(answer: &Answer) -> &'static str {
    match answer.finish {
        Finish::Stop | Finish::ToolCalls => "completed",
        Finish::Length | Finish::ContentFilter | Finish::Unknown(_) => "incomplete",
    }
}

fn response(answer: &Answer, status: &str, output: Value, usage: &Value) -> Value {
    let reason = match &answer.finish {
        Finish::Length => Some("max_output_tokens"),
        Finish::ContentFilter => Some("content_filter"),
        Finish::Unknown(word) => Some(word.as_str()),
        Finish::Stop | Finish::ToolCalls => None,
    };
    let incomplete = reason.filter(|_| status == "incomplete").map(|r| json!({ "reason": r }));
    json!({
        "id": format!("resp_{}", answer.id), "object": "response", "created_at": 1_750_000_000,
        "status": status, "background": false, "error": null, "incomplete_details": incomplete,
        "instructions": null, "max_output_tokens": null, "model": answer.model, "output": output,
        "parallel_tool_calls": true, "previous_response_id": null,
        "reasoning": {"effort": null, "summary": null}, "service_tier": "default", "store": true,
        "temperature": 1.0, "text": {"format": {"type": "text"}}, "tool_choice": "auto",
        "tools": [], "top_p": 1.0, "truncation": "disabled", "usage": usage, "user": null,
        "metadata": {},
    })
}

fn usage(answer: &Answer) -> Value {
    let t = &answer.tokens;
    json!({
        "input_tokens": t.prompt,
        "input_tokens_details": {"cached_tokens": t.cached, "cache_write_tokens": t.cache_write},
        "output_tokens": t.completion,
        "output_tokens_details": {"reasoning_tokens": t.reasoning},
        "total_tokens": t.prompt + t.completion,
    })
}

/// An output item in its two forms, and what comes between them in a stream.
enum Item<'a> {
    Reasoning { id: String, text: &'a str, signature: Option<&'a str> },
    Message { id: String, answer: &'a Answer },
    Call { id: String, call: &'a super::ToolCall },
}

fn items(answer: &Answer) -> Vec<Item<'_>> {
    let id = |kind: &str, place: usize| format!("{kind}_{}_{place}", answer.id);
    let mut items = Vec::new();
    if let Some(text) = &answer.reasoning {
        let signature = answer.signature.as_deref();
        items.push(Item::Reasoning { id: id("rs", 0), text, signature });
    }
    if answer.tool_calls.is_empty() || !answer.first().is_empty() {
        items.push(Item::Message { id: id("msg", 0), answer });
    }
    let calls = answer.tool_calls.iter().enumerate();
    items.extend(calls.map(|(place, call)| Item::Call { id: id("fc", place), call }));
    items
}

impl Item<'_> {
    fn id(&self) -> &str {
        match self {
            Item::Reasoning { id, .. } | Item::Message { id, .. } | Item::Call { id, .. } => id,
        }
    }

    fn done(&self) -> Value {
        match self {
            Item::Reasoning { id, text, signature } => json!({
                "id": id, "type": "reasoning",
                "summary": [{"type": "summary_text", "text": text}],
                "encrypted_content": signature,
            }),
            Item::Message { id, answer } => json!({
                "id": id, "type": "message", "status": status(answer), "role": "assistant",
                "content": [text_part(answer.first(), &logprobs(answer))],
            }),
            Item::Call { id, call } => json!({
                "id": id, "type": "function_call", "status": "completed",
                "arguments": call.arguments, "call_id": call.id, "name": call.name,
            }),
        }
    }

    fn added(&self) -> Value {
        match self {
            Item::Reasoning { id, .. } => json!({"id": id, "type": "reasoning", "summary": []}),
            Item::Message { id, .. } => json!({
                "id": id, "type": "message", "status": "in_progress", "role": "assistant",
                "content": [],
            }),
            Item::Call { id, call } => json!({
                "id": id, "type": "function_call", "status": "in_progress", "arguments": "",
                "call_id": call.id, "name": call.name,
            }),
        }
    }

    /// The events between the item's start and end, without the members that say where.
    fn inner(&self) -> Vec<Value> {
        match self {
            Item::Reasoning { text, .. } => summary_events(text),
            Item::Message { answer, .. } => text_events(answer),
            Item::Call { call, .. } => {
                let kind = "response.function_call_arguments";
                let pieces = odd_pieces(&call.arguments).into_iter();
                let deltas = pieces.map(|p| json!({"type": format!("{kind}.delta"), "delta": p}));
                let done = json!({
                    "type": format!("{kind}.done"), "arguments": call.arguments, "name": call.name,
                });
                deltas.chain([done]).collect()
            }
        }
    }
}

fn summary_events(text: &str) -> Vec<Value> {
    let kind = "response.reasoning_summary";
    let part = |text: &str| json!({"type": "summary_text", "text": text});
    let mut out =
        vec![json!({"type": format!("{kind}_part.added"), "summary_index": 0, "part": part("")})];
    out.extend(odd_pieces(text).into_iter().map(
        |piece| json!({"type": format!("{kind}_text.delta"), "summary_index": 0, "delta": piece}),
    ));
    out.push(json!({"type": format!("{kind}_text.done"), "summary_index": 0, "text": text}));
    out.push(json!({"type": format!("{kind}_part.done"), "summary_index": 0, "part": part(text)}));
    out
}

fn text_events(answer: &Answer) -> Vec<Value> {
    let delta = |text: &str, logprobs: Value| {
        json!({
            "type": "response.output_text.delta", "content_index": 0, "delta": text,
            "logprobs": logprobs,
        })
    };
    let (text, all) = (answer.first(), logprobs(answer));
    let mut out = vec![json!({
        "type": "response.content_part.added", "content_index": 0, "part": text_part("", &json!([])),
    })];
    match all.as_array() {
        Some(tokens) if !tokens.is_empty() => out.extend(
            answer.logprobs.iter().zip(tokens).map(|(t, entry)| delta(&t.token, json!([entry]))),
        ),
        _ => out.extend(answer.pieces_of(0).iter().map(|piece| delta(piece, json!([])))),
    }
    out.push(json!({
        "type": "response.output_text.done", "content_index": 0, "text": text, "logprobs": all,
    }));
    out.push(json!({
        "type": "response.content_part.done", "content_index": 0, "part": text_part(text, &all),
    }));
    out
}

fn text_part(text: &str, logprobs: &Value) -> Value {
    json!({"type": "output_text", "annotations": [], "logprobs": logprobs, "text": text})
}

fn logprobs(answer: &Answer) -> Value {
    let one = |token: &str, logprob: f64| json!({"token": token, "logprob": logprob, "bytes": token.as_bytes()});
    let tokens = answer.logprobs.iter().map(|t| {
        let mut entry = one(&t.token, t.logprob);
        if let Some(members) = entry.as_object_mut() {
            let top = t.top.iter().map(|(token, logprob)| one(token, *logprob)).collect();
            members.insert("top_logprobs".to_owned(), top);
        }
        entry
    });
    tokens.collect()
}

pub(super) fn events(answer: &Answer) -> String {
    let started = response(answer, "in_progress", json!([]), &Value::Null);
    let mut events = vec![
        json!({"type": "response.created", "response": started}),
        json!({"type": "response.in_progress", "response": started}),
    ];
    for (place, item) in items(answer).iter().enumerate() {
        let at = |event: &str, item: Value| {
            json!({
                "type": format!("response.output_item.{event}"), "output_index": place,
                "item": item,
            })
        };
        events.push(at("added", item.added()));
        events.extend(item.inner().into_iter().map(|event| located(event, item.id(), place)));
        events.push(at("done", item.done()));
    }
    events.push(json!({"type": format!("response.{}", status(answer)), "response": reply(answer)}));
    let numbered = events.into_iter().enumerate().map(|(number, mut event)| {
        if let Some(members) = event.as_object_mut() {
            members.insert("sequence_number".to_owned(), json!(number));
        }
        named(&event)
    });
    numbered.collect()
}

fn located(mut event: Value, id: &str, place: usize) -> Value {
    let here = [("item_id".to_owned(), json!(id)), ("output_index".to_owned(), json!(place))];
    if let Some(members) = event.as_object_mut() {
        members.extend(Map::from_iter(here));
    }
    event
}
