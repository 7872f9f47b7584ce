//! A chat-completions reply, whole or in events. A whole reply is read as one event.

use std::sync::Arc;

use serde_json::Value;
use teleprompt_core::{Completion, FinishReason, LmChunk, LmResponse, ToolCall, Usage};

use super::super::common::{number, text, token};
use super::super::{StreamReader, WireFault};

/// Most choices, and most calls of a choice, that a reply may number; more is a broken server.
const LIMIT: usize = 1024;

pub(super) fn read(reply: &Value) -> Result<LmResponse, WireFault> {
    let mut reader = Reader::default();
    let choices = choices(reply)?;
    let mut choices: Vec<&Value> = choices.iter().collect();
    choices.sort_by_key(|choice| number(choice, "/index"));
    reader.head(reply);
    for (index, choice) in choices.into_iter().enumerate() {
        reader.choice(index, choice, "message")?;
    }
    if reader.choices.is_empty() {
        return Err(WireFault::Malformed("no completion".into()));
    }
    reader.end_all();
    Ok(reader.into_response())
}

/// The choices of a reply that says nothing of an error.
fn choices(reply: &Value) -> Result<&[Value], WireFault> {
    if reply.get("error").is_some_and(|error| !error.is_null()) {
        return Err(WireFault::Refused(reply.to_string()));
    }
    match reply.get("choices") {
        None | Some(Value::Null) if reply.is_object() => Ok(&[]),
        Some(Value::Array(choices)) => Ok(choices),
        _ => Err(WireFault::Malformed("JSON of another form (it has no list of choices)".into())),
    }
}

/// Puts a streamed reply together.
#[derive(Default)]
pub(super) struct Reader {
    choices: Vec<Choice>,
    usage: Option<Usage>,
    model: Option<Arc<str>>,
    done: bool,
}

#[derive(Default)]
struct Choice {
    completion: Completion,
    /// It has told why it ended.
    finished: bool,
    /// How many of the calls have been given out.
    told: usize,
}

impl StreamReader for Reader {
    fn event(&mut self, data: &str) -> Result<Vec<LmChunk>, WireFault> {
        let data = data.trim();
        if self.done || data.is_empty() {
            return Ok(Vec::new());
        }
        if data == "[DONE]" {
            self.done = true;
            return Ok(self.end_all());
        }
        let event: Value = serde_json::from_str(data)
            .map_err(|_| WireFault::Malformed("something that is not JSON".into()))?;
        let choices = choices(&event)?;
        self.head(&event);
        let mut chunks = Vec::new();
        for choice in choices {
            let index = number(choice, "/index").map_or(Some(0), |n| usize::try_from(n).ok());
            let index = index.unwrap_or(usize::MAX);
            chunks.extend(self.choice(index, choice, "delta")?);
        }
        Ok(chunks)
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn finish(mut self: Box<Self>) -> Option<LmResponse> {
        let whole = self.done || self.choices.iter().all(|choice| choice.finished);
        self.end_all();
        (whole && !self.choices.is_empty()).then(|| self.into_response())
    }
}

impl Reader {
    /// Model and usage.
    fn head(&mut self, reply: &Value) {
        // Groq puts the usage of a stream under a name of its own.
        let usage = reply.get("usage").or_else(|| reply.pointer("/x_groq/usage"));
        if let Some(usage) = usage.filter(|usage| usage.is_object()) {
            self.usage = Some(read_usage(usage));
        }
        if let Some(model) = text(reply, "model") {
            self.model.get_or_insert_with(|| model.into());
        }
    }

    /// Adds what a choice brings and gives what is new.
    fn choice(
        &mut self,
        index: usize,
        choice: &Value,
        name: &str,
    ) -> Result<Vec<LmChunk>, WireFault> {
        if index >= LIMIT {
            return Err(WireFault::Malformed("too many completions".into()));
        }
        if self.choices.len() <= index {
            self.choices.resize_with(index + 1, Choice::default);
        }
        let Some(slot) = self.choices.get_mut(index) else { return Ok(Vec::new()) };
        // Some servers repeat a whole message where a delta belongs.
        let message = choice.get(name).or_else(|| choice.get("message"));
        let mut chunks = Vec::new();
        if let Some(message) = message {
            slot.message(index, message, &mut chunks)?;
        }
        if let Some(tokens) = choice.pointer("/logprobs/content").and_then(Value::as_array) {
            let logprobs = slot.completion.logprobs.get_or_insert_default();
            logprobs.extend(tokens.iter().filter_map(token));
        }
        if let Some(reason) = choice.get("finish_reason").and_then(Value::as_str) {
            slot.end(reason);
            chunks.extend(slot.calls_to_tell(index));
        }
        Ok(chunks)
    }

    /// Gives out the calls of choices that did not tell why they ended; whether those are whole is
    /// not known.
    fn end_all(&mut self) -> Vec<LmChunk> {
        for choice in self.choices.iter_mut().filter(|choice| !choice.finished) {
            if choice.completion.finish == FinishReason::Stop {
                choice.completion.finish = FinishReason::Other;
            }
        }
        let choices = self.choices.iter_mut().enumerate();
        choices.flat_map(|(index, choice)| choice.calls_to_tell(index)).collect()
    }

    fn into_response(self) -> LmResponse {
        LmResponse {
            completions: self.choices.into_iter().map(|choice| choice.completion).collect(),
            usage: self.usage.unwrap_or(Usage::one_call()),
            model: self.model.unwrap_or_default(),
            ..LmResponse::default()
        }
    }
}

impl Choice {
    fn message(
        &mut self,
        index: usize,
        message: &Value,
        chunks: &mut Vec<LmChunk>,
    ) -> Result<(), WireFault> {
        let content = message.get("content").unwrap_or(&Value::Null);
        let told = text(message, "reasoning_content").or_else(|| text(message, "reasoning"));
        let thoughts = told.map_or_else(|| parts(content, "thinking"), str::to_owned);
        if !thoughts.is_empty() {
            let reasoning = self.completion.reasoning.get_or_insert_default();
            reasoning.text.push_str(&thoughts);
            chunks.push(LmChunk::Reasoning { index, text: thoughts });
        }
        let mut new = content.as_str().map_or_else(|| parts(content, "text"), str::to_owned);
        if let Some(refusal) = text(message, "refusal") {
            self.completion.finish = FinishReason::ContentFilter;
            new.push_str(refusal);
        }
        if !new.is_empty() {
            self.completion.text.push_str(&new);
            chunks.push(LmChunk::Text { index, text: new });
        }
        let calls = message.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
        for (at, call) in calls.enumerate() {
            self.call(at, call)?;
        }
        Ok(())
    }

    /// Adds a call, or a part of one.
    fn call(&mut self, at: usize, call: &Value) -> Result<(), WireFault> {
        let at = match number(call, "/index").map(usize::try_from) {
            Some(told) => told.unwrap_or(usize::MAX),
            None => self.place(at, text(call, "id")),
        };
        if at >= LIMIT {
            return Err(WireFault::Malformed("too many calls of tools".into()));
        }
        let calls = &mut self.completion.tool_calls;
        if calls.len() <= at {
            calls.resize(at + 1, ToolCall::default());
        }
        let Some(slot) = calls.get_mut(at) else { return Ok(()) };
        if let Some(id) = text(call, "id") {
            id.clone_into(&mut slot.id);
        }
        match call.pointer("/function/name").and_then(Value::as_str) {
            // Some servers repeat the name in every part.
            Some(name) if !name.is_empty() => name.clone_into(&mut slot.name),
            _ => {}
        }
        match call.pointer("/function/arguments") {
            Some(Value::String(more)) => slot.arguments.push_str(more),
            Some(Value::Null) | None => {}
            Some(object) => slot.arguments = object.to_string(),
        }
        Ok(())
    }

    /// Where a call without a number belongs: a new id is a new call.
    fn place(&self, at: usize, id: Option<&str>) -> usize {
        let calls = &self.completion.tool_calls;
        let known = |id: &str| calls.iter().position(|call| call.id == id);
        match id {
            Some(id) => known(id).unwrap_or(calls.len()),
            None => at.max(calls.len().saturating_sub(1)),
        }
    }

    fn end(&mut self, reason: &str) {
        self.finished = true;
        self.completion.finish_said = Some(reason.into());
        let refused = self.completion.finish == FinishReason::ContentFilter;
        let finish = match reason {
            "stop" | "eos" | "eos_token" | "end_turn" | "" => FinishReason::Stop,
            "length" | "max_tokens" => FinishReason::Length,
            "content_filter" => FinishReason::ContentFilter,
            "tool_calls" | "function_call" => FinishReason::ToolCalls,
            _ => FinishReason::Other,
        };
        self.completion.finish = match finish {
            FinishReason::Stop if refused => FinishReason::ContentFilter,
            FinishReason::Stop if !self.completion.tool_calls.is_empty() => FinishReason::ToolCalls,
            other => other,
        };
    }

    fn calls_to_tell(&mut self, index: usize) -> Vec<LmChunk> {
        let calls = &self.completion.tool_calls;
        let new = calls.iter().skip(self.told).cloned();
        let chunks = new.map(|call| LmChunk::ToolCall { index, call }).collect();
        self.told = calls.len();
        chunks
    }
}

/// The text of a content that is a list of parts: the text parts, or Mistral's thinking.
fn parts(content: &Value, kind: &str) -> String {
    let parts = content.as_array().into_iter().flatten();
    let mut out = String::new();
    for part in parts {
        match part.get(kind) {
            Some(Value::String(text)) => out.push_str(text),
            Some(inner) => out.push_str(&parts_text(inner)),
            None => {}
        }
    }
    out
}

fn parts_text(inner: &Value) -> String {
    let parts = inner.as_array().into_iter().flatten();
    parts.filter_map(|part| text(part, "text")).collect()
}

fn read_usage(usage: &Value) -> Usage {
    let prompt = number(usage, "/prompt_tokens").unwrap_or_default();
    let completion = number(usage, "/completion_tokens").unwrap_or_default();
    let reasoning =
        number(usage, "/completion_tokens_details/reasoning_tokens").unwrap_or_default();
    let total = number(usage, "/total_tokens");
    // xAI counts thoughts beside the completion, OpenAI inside it.
    let beside = reasoning > 0 && total == Some(prompt + completion + reasoning);
    let cached = number(usage, "/prompt_tokens_details/cached_tokens")
        // DeepSeek's name for the tokens that its cache gave.
        .or_else(|| number(usage, "/prompt_cache_hit_tokens"));
    Usage {
        prompt_tokens: prompt,
        completion_tokens: if beside { completion + reasoning } else { completion },
        cached_prompt_tokens: cached.unwrap_or_default(),
        cache_write_tokens: number(usage, "/prompt_tokens_details/cache_write_tokens")
            .unwrap_or_default(),
        reasoning_tokens: reasoning,
        ..Usage::one_call()
    }
}
