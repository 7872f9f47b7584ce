//! Gemini `generateContent`.

use serde_json::{Map, Value, json};

use super::answer::{Answer, Finish, odd_pieces};
use super::arguments;

pub(super) fn reply(answer: &Answer) -> Value {
    let candidates = (0..answer.texts.len()).map(|index| {
        let parts = if index == 0 { parts(answer) } else { vec![text_part(answer, index)] };
        last_candidate(answer, index, &parts)
    });
    body(answer, candidates.collect(), true)
}

fn last_candidate(answer: &Answer, index: usize, parts: &[Value]) -> Value {
    let mut candidate = candidate(index, parts, Some(finish(answer)));
    if let (0, false, Some(c)) = (index, answer.logprobs.is_empty(), candidate.as_object_mut()) {
        c.insert("logprobsResult".to_owned(), logprobs(answer));
        c.insert("avgLogprobs".to_owned(), json!(average(answer)));
    }
    candidate
}

fn body(answer: &Answer, candidates: Value, last: bool) -> Value {
    json!({
        "candidates": candidates, "usageMetadata": usage(answer, last),
        "modelVersion": answer.model, "responseId": format!("resp-{}", answer.id),
    })
}

fn candidate(index: usize, parts: &[Value], finish: Option<&str>) -> Value {
    let mut out = json!({"content": {"parts": parts, "role": "model"}});
    if let Some(members) = out.as_object_mut() {
        if let Some(reason) = finish {
            members.insert("finishReason".to_owned(), json!(reason));
        }
        members.insert("index".to_owned(), json!(index));
    }
    out
}

fn text_part(answer: &Answer, index: usize) -> Value {
    json!({"text": answer.texts.get(index).map_or("", String::as_str)})
}

/// The parts of the first candidate. The signature stands on the first part after the thoughts.
fn parts(answer: &Answer) -> Vec<Value> {
    let mut parts = Vec::new();
    if answer.tool_calls.is_empty() || !answer.first().is_empty() {
        parts.push(text_part(answer, 0));
    }
    parts.extend(calls(answer));
    sign(answer, parts.first_mut());
    let thought = answer.reasoning.iter().map(|text| json!({"text": text, "thought": true}));
    thought.chain(parts).collect()
}

/// A call has an `id` only if the answer gives one: the API itself sends none.
fn calls(answer: &Answer) -> Vec<Value> {
    let calls = answer.tool_calls.iter().map(|call| {
        let mut members = Map::new();
        if !call.id.is_empty() {
            members.insert("id".to_owned(), json!(call.id));
        }
        members.insert("name".to_owned(), json!(call.name));
        members.insert("args".to_owned(), arguments(call));
        json!({"functionCall": members})
    });
    calls.collect()
}

fn sign(answer: &Answer, part: Option<&mut Value>) {
    let members = part.and_then(Value::as_object_mut);
    if let (Some(signature), Some(members)) = (&answer.signature, members) {
        members.insert("thoughtSignature".to_owned(), json!(signature));
    }
}

fn finish(answer: &Answer) -> &str {
    match &answer.finish {
        Finish::Stop | Finish::ToolCalls => "STOP",
        Finish::Length => "MAX_TOKENS",
        Finish::ContentFilter => "SAFETY",
        Finish::Unknown(word) => word,
    }
}

/// Candidates' tokens are without those of thoughts. In a stream they come with the last event.
fn usage(answer: &Answer, last: bool) -> Value {
    let t = &answer.tokens;
    let mut out = Map::new();
    let mut put = |name: &str, value: Value| out.insert(name.to_owned(), value);
    put("promptTokenCount", json!(t.prompt));
    if last {
        put("candidatesTokenCount", json!(t.completion.saturating_sub(t.reasoning)));
    }
    put("totalTokenCount", json!(t.prompt + if last { t.completion } else { 0 }));
    if t.cached > 0 {
        put("cachedContentTokenCount", json!(t.cached));
    }
    put("promptTokensDetails", json!([{"modality": "TEXT", "tokenCount": t.prompt}]));
    if last && t.reasoning > 0 {
        put("thoughtsTokenCount", json!(t.reasoning));
    }
    Value::Object(out)
}

fn logprobs(answer: &Answer) -> Value {
    let one = |token: &str, logprob: f64| json!({"token": token, "tokenId": token.len(), "logProbability": logprob});
    let chosen: Vec<Value> = answer.logprobs.iter().map(|t| one(&t.token, t.logprob)).collect();
    let top: Vec<Value> = answer
        .logprobs
        .iter()
        .map(|t| json!({"candidates": t.top.iter().map(|(s, p)| one(s, *p)).collect::<Vec<_>>()}))
        .collect();
    json!({"topCandidates": top, "chosenCandidates": chosen})
}

fn average(answer: &Answer) -> f64 {
    let count = u32::try_from(answer.logprobs.len()).unwrap_or(u32::MAX).max(1);
    answer.logprobs.iter().map(|t| t.logprob).sum::<f64>() / f64::from(count)
}

/// As with `alt=sse`: lines end with CR LF, there is no end mark, tool calls come whole.
pub(super) fn events(answer: &Answer) -> String {
    let mut chunks: Vec<(usize, Value)> = Vec::new();
    for piece in odd_pieces(answer.reasoning.as_deref().unwrap_or_default()) {
        chunks.push((0, json!({"text": piece, "thought": true})));
    }
    let after_thoughts = chunks.len();
    for index in 0..answer.texts.len() {
        let pieces = answer.pieces_of(index).into_iter();
        chunks.extend(pieces.map(|piece| (index, json!({"text": piece}))));
    }
    chunks.extend(calls(answer).into_iter().map(|call| (0, call)));
    sign(answer, chunks.get_mut(after_thoughts).map(|(_, part)| part));
    let event = |value: &Value| format!("data: {value}\r\n\r\n");
    let mut out: String = chunks
        .iter()
        .map(|(index, part)| {
            let part = std::slice::from_ref(part);
            event(&body(answer, json!([candidate(*index, part, None)]), false))
        })
        .collect();
    let ends =
        (0..answer.texts.len()).map(|index| last_candidate(answer, index, &[json!({"text": ""})]));
    out.push_str(&event(&body(answer, ends.collect(), true)));
    out
}

pub(super) fn kind(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 | 529 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    }
}
