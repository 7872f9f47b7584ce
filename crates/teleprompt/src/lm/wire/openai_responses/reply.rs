//! A Responses reply, whole or in events.

use std::collections::BTreeSet;

use serde_json::Value;
use teleprompt_core::{Completion, FinishReason, LmChunk, LmResponse, ToolCall, Usage};

use super::super::common::{is_empty, number, text, token};
use super::super::{StreamReader, WireFault};

pub(super) fn read(reply: &Value) -> Result<LmResponse, WireFault> {
    let mut reader = Reader::default();
    reader.whole(reply)?;
    Ok(reader.into_response())
}

/// Puts a reply together.
#[derive(Default)]
pub(super) struct Reader {
    completion: Completion,
    /// The seals over the thoughts.
    seals: Vec<String>,
    /// The part of the thoughts that is being told.
    thought: Option<(u64, u64)>,
    /// Items of which pieces have come.
    begun: BTreeSet<u64>,
    usage: Option<Usage>,
    model: String,
    done: bool,
}

impl StreamReader for Reader {
    fn event(&mut self, data: &str) -> Result<Vec<LmChunk>, WireFault> {
        let data = data.trim();
        if self.done || is_empty(data) {
            return Ok(Vec::new());
        }
        let event: Value = serde_json::from_str(data)
            .map_err(|_| WireFault::Malformed("something that is not JSON".into()))?;
        let item = number(&event, "/output_index").unwrap_or_default();
        Ok(match event.get("type").and_then(Value::as_str).unwrap_or_default() {
            "response.output_text.delta" => {
                self.begun.insert(item);
                self.logprobs(&event);
                self.text(text(&event, "delta")).into_iter().collect()
            }
            "response.refusal.delta" => {
                self.begun.insert(item);
                self.refusal(text(&event, "delta")).into_iter().collect()
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.begun.insert(item);
                let part = number(&event, "/summary_index").or(number(&event, "/content_index"));
                let at = (item, part.unwrap_or_default());
                self.think(at, text(&event, "delta")).into_iter().collect()
            }
            "response.output_item.done" => {
                let whole = event.get("item").unwrap_or(&Value::Null);
                self.item(item, whole)
            }
            "response.completed" | "response.incomplete" => {
                self.done = true;
                self.whole(event.get("response").unwrap_or(&Value::Null))?
            }
            "response.failed" | "error" => return Err(WireFault::Refused(event.to_string())),
            // A server that fails before the stream begins may not use the protocol's words.
            _ if event.get("error").is_some_and(|error| !error.is_null()) => {
                return Err(WireFault::Refused(event.to_string()));
            }
            _ => Vec::new(),
        })
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn finish(self: Box<Self>) -> Option<LmResponse> {
        self.done.then(|| self.into_response())
    }
}

impl Reader {
    /// A whole reply: what its items bring that has not been told, and how it ended.
    fn whole(&mut self, reply: &Value) -> Result<Vec<LmChunk>, WireFault> {
        let error = reply.get("error").is_some_and(|error| !error.is_null());
        let status = reply.get("status").and_then(Value::as_str);
        if error || matches!(status, Some("failed" | "cancelled")) {
            return Err(WireFault::Refused(reply.to_string()));
        }
        let Some(output) = reply.get("output").and_then(Value::as_array) else {
            let what = "JSON of another form (it has no list called output)";
            return Err(WireFault::Malformed(what.into()));
        };
        // Of a stream some servers repeat no item at its end.
        if output.is_empty() && self.begun.is_empty() && status != Some("incomplete") {
            return Err(WireFault::Malformed("no completion".into()));
        }
        let mut chunks = Vec::new();
        for (at, item) in (0_u64..).zip(output) {
            if !self.begun.contains(&at) {
                chunks.extend(self.item(at, item));
            }
        }
        self.usage = reply.get("usage").filter(|usage| usage.is_object()).map(read_usage);
        self.model = text(reply, "model").unwrap_or_default().to_owned();
        self.end(status, reply.pointer("/incomplete_details/reason").and_then(Value::as_str));
        Ok(chunks)
    }

    /// A whole item; of one that came in pieces only what the pieces do not tell.
    fn item(&mut self, at: u64, item: &Value) -> Vec<LmChunk> {
        let told = !self.begun.insert(at);
        match item.get("type").and_then(Value::as_str).unwrap_or_default() {
            "function_call" => vec![self.call(item)],
            "reasoning" => {
                self.seals.extend(text(item, "encrypted_content").map(str::to_owned));
                if told { Vec::new() } else { self.thoughts(at, item) }
            }
            "message" if !told => self.message(item),
            _ => Vec::new(),
        }
    }

    fn message(&mut self, item: &Value) -> Vec<LmChunk> {
        let mut chunks = Vec::new();
        for part in list(item, "content") {
            self.logprobs(part);
            chunks.extend(self.refusal(text(part, "refusal")));
            chunks.extend(self.text(text(part, "text")));
        }
        chunks
    }

    fn thoughts(&mut self, at: u64, item: &Value) -> Vec<LmChunk> {
        let mut chunks = Vec::new();
        for (index, part) in (0..).zip(list(item, "summary").chain(list(item, "content"))) {
            chunks.extend(self.think((at, index), text(part, "text")));
        }
        chunks
    }

    fn call(&mut self, item: &Value) -> LmChunk {
        let field = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default();
        let call = ToolCall::new(field("call_id"), field("name"), field("arguments"));
        self.completion.tool_calls.push(call.clone());
        LmChunk::ToolCall { index: 0, call }
    }

    fn text(&mut self, new: Option<&str>) -> Option<LmChunk> {
        self.completion.text.push_str(new?);
        Some(LmChunk::Text { index: 0, text: new?.to_owned() })
    }

    fn refusal(&mut self, new: Option<&str>) -> Option<LmChunk> {
        let chunk = self.text(new)?;
        self.completion.finish = FinishReason::ContentFilter;
        Some(chunk)
    }

    /// More of the thoughts; a blank line stands between parts.
    fn think(&mut self, at: (u64, u64), new: Option<&str>) -> Option<LmChunk> {
        let new = new?;
        let reasoning = self.completion.reasoning.get_or_insert_default();
        let another = self.thought.replace(at).is_some_and(|before| before != at);
        let text = if another { format!("\n\n{new}") } else { new.to_owned() };
        reasoning.text.push_str(&text);
        Some(LmChunk::Reasoning { index: 0, text })
    }

    fn logprobs(&mut self, of: &Value) {
        if let Some(tokens) = of.get("logprobs").and_then(Value::as_array) {
            let tokens = tokens.iter().filter_map(token);
            self.completion.logprobs.get_or_insert_default().extend(tokens);
        }
    }

    fn end(&mut self, status: Option<&str>, reason: Option<&str>) {
        let completion = &mut self.completion;
        completion.finish_said = reason.or(status).map(Into::into);
        completion.finish = match (status, reason) {
            (_, Some("max_output_tokens")) => FinishReason::Length,
            (_, Some("content_filter")) => FinishReason::ContentFilter,
            (_, Some(_)) | (Some("incomplete"), None) => FinishReason::Other,
            _ if completion.finish == FinishReason::ContentFilter => FinishReason::ContentFilter,
            _ if !completion.tool_calls.is_empty() => FinishReason::ToolCalls,
            (Some("completed") | None, None) => FinishReason::Stop,
            _ => FinishReason::Other,
        };
    }

    fn into_response(mut self) -> LmResponse {
        let signature = match self.seals.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            several => serde_json::to_string(several).ok(),
        };
        if signature.is_some() {
            self.completion.reasoning.get_or_insert_default().signature = signature;
        }
        // An empty list tells nothing: the server sends it when none were asked for.
        self.completion.logprobs = self.completion.logprobs.filter(|tokens| !tokens.is_empty());
        LmResponse {
            completions: vec![self.completion],
            usage: self.usage.unwrap_or(Usage::one_call()),
            model: self.model.into(),
            ..LmResponse::default()
        }
    }
}

fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn read_usage(usage: &Value) -> Usage {
    let count = |path: &str| number(usage, path).unwrap_or_default();
    Usage {
        prompt_tokens: count("/input_tokens"),
        completion_tokens: count("/output_tokens"),
        cached_prompt_tokens: count("/input_tokens_details/cached_tokens"),
        cache_write_tokens: count("/input_tokens_details/cache_write_tokens"),
        reasoning_tokens: count("/output_tokens_details/reasoning_tokens"),
        ..Usage::one_call()
    }
}
