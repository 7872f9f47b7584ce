//! What comes back: candidates made of parts.

use std::sync::Arc;

use serde_json::{Value, json};
use teleprompt_core::{
    Completion, FinishReason, LmChunk, LmResponse, Reasoning, TokenLogprob, ToolCall, Usage,
};

use super::super::WireFault;
use super::super::value::{count, list, text};
use super::OWN_ID;

pub(super) fn read(reply: &Value) -> Result<LmResponse, WireFault> {
    refuse(reply)?;
    let mut drafts: Vec<Draft> = Vec::new();
    for (place, candidate) in list(reply, "candidates").iter().enumerate() {
        let mut draft = Draft::new(index(candidate, place));
        draft.add(candidate, response_id(reply));
        drafts.push(draft);
    }
    if drafts.is_empty() {
        return Err(WireFault::Malformed("JSON without candidates".into()));
    }
    drafts.sort_by_key(|draft| draft.index);
    Ok(LmResponse {
        completions: drafts.into_iter().map(Draft::into_completion).collect(),
        usage: usage(reply).unwrap_or(Usage::one_call()),
        model: text(reply, "modelVersion").unwrap_or_default().into(),
        ..LmResponse::default()
    })
}

/// Whether this is an error under a good status (at times in a list), or a prompt that the provider
/// will not answer.
pub(super) fn refuse(reply: &Value) -> Result<(), WireFault> {
    let object = reply.get(0).unwrap_or(reply);
    if object.get("error").is_some_and(|error| !error.is_null()) {
        return Err(WireFault::Refused(object.to_string()));
    }
    let reason = object.get("promptFeedback").and_then(|feedback| text(feedback, "blockReason"));
    if let Some(reason) = reason.filter(|_| list(object, "candidates").is_empty()) {
        let error = json!({
            "code": 400,
            "status": "content_filter",
            "message": format!("the prompt was blocked ({reason})"),
            "details": object.get("promptFeedback"),
        });
        return Err(WireFault::Refused(json!({"error": error}).to_string()));
    }
    Ok(())
}

/// The protocol leaves an index of 0 out.
pub(super) fn index(candidate: &Value, place: usize) -> usize {
    count(candidate, "index").and_then(|index| usize::try_from(index).ok()).unwrap_or(place)
}

pub(super) fn response_id(reply: &Value) -> &str {
    text(reply, "responseId").unwrap_or_default()
}

/// The usage that a reply tells; thoughts are counted apart from the answer there.
pub(super) fn usage(reply: &Value) -> Option<Usage> {
    let told = reply.get("usageMetadata")?;
    let tokens = |field: &str| count(told, field).unwrap_or_default();
    Some(Usage {
        prompt_tokens: tokens("promptTokenCount") + tokens("toolUsePromptTokenCount"),
        completion_tokens: tokens("candidatesTokenCount") + tokens("thoughtsTokenCount"),
        cached_prompt_tokens: tokens("cachedContentTokenCount"),
        reasoning_tokens: tokens("thoughtsTokenCount"),
        ..Usage::one_call()
    })
}

/// A completion that is put together from one or more pieces.
#[derive(Debug)]
pub(super) struct Draft {
    pub index: usize,
    completion: Completion,
}

impl Draft {
    pub(super) fn new(index: usize) -> Self {
        Self { index, completion: Completion::default() }
    }

    /// Takes in a candidate, or a piece of one, and tells what was new.
    pub(super) fn add(&mut self, candidate: &Value, response_id: &str) -> Vec<LmChunk> {
        let parts = candidate.get("content").map_or(&[][..], |content| list(content, "parts"));
        let chunks = parts.iter().filter_map(|part| self.part(part, response_id)).collect();
        if let Some(said) = text(candidate, "finishReason") {
            self.completion.finish_said = Some(Arc::from(said));
        }
        if let Some(told) = candidate.get("logprobsResult") {
            self.completion.logprobs.get_or_insert_default().extend(logprobs(told));
        }
        chunks
    }

    fn part(&mut self, part: &Value, response_id: &str) -> Option<LmChunk> {
        let index = self.index;
        let seal = text(part, "thoughtSignature");
        if let Some(call) = part.get("functionCall") {
            let call = self.tool_call(call, seal, response_id);
            self.completion.tool_calls.push(call.clone());
            return Some(LmChunk::ToolCall { index, call });
        }
        if let Some(seal) = seal {
            self.reasoning().signature = Some(seal.to_owned());
        }
        let text = text(part, "text").filter(|text| !text.is_empty())?.to_owned();
        if part.get("thought").and_then(Value::as_bool) == Some(true) {
            self.reasoning().text += &text;
            return Some(LmChunk::Reasoning { index, text });
        }
        self.completion.text += &text;
        Some(LmChunk::Text { index, text })
    }

    fn reasoning(&mut self) -> &mut Reasoning {
        self.completion.reasoning.get_or_insert_default()
    }

    fn tool_call(&self, call: &Value, seal: Option<&str>, response_id: &str) -> ToolCall {
        let own = || {
            let (index, place) = (self.index, self.completion.tool_calls.len());
            format!("{OWN_ID}{response_id}-{index}-{place}")
        };
        let id = text(call, "id").map_or_else(own, str::to_owned);
        let arguments = call.get("args").map_or_else(|| "{}".to_owned(), Value::to_string);
        let name = text(call, "name").unwrap_or_default();
        ToolCall { signature: seal.map(str::to_owned), ..ToolCall::new(id, name, arguments) }
    }

    /// Whether it told why it ended.
    pub(super) fn is_ended(&self) -> bool {
        self.completion.finish_said.is_some()
    }

    pub(super) fn into_completion(self) -> Completion {
        let mut completion = self.completion;
        completion.finish = match completion.finish_said.as_deref() {
            Some("STOP") if !completion.tool_calls.is_empty() => FinishReason::ToolCalls,
            Some(said) => finish(said),
            None => FinishReason::Other,
        };
        completion
    }
}

fn finish(said: &str) -> FinishReason {
    match said {
        "STOP" => FinishReason::Stop,
        "MAX_TOKENS" => FinishReason::Length,
        "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "IMAGE_SAFETY" => {
            FinishReason::ContentFilter
        }
        _ => FinishReason::Other,
    }
}

fn logprobs(told: &Value) -> Vec<TokenLogprob> {
    let rivals = list(told, "topCandidates");
    let chosen = list(told, "chosenCandidates").iter().enumerate();
    let token = |(place, token): (usize, &Value)| {
        let (token, logprob) = token_logprob(token);
        let top = rivals.get(place).map_or(&[][..], |rivals| list(rivals, "candidates"));
        TokenLogprob { token, logprob, top: top.iter().map(token_logprob).collect() }
    };
    chosen.map(token).collect()
}

/// The protocol leaves a logarithm of 0 out, which is certainty.
fn token_logprob(token: &Value) -> (String, f32) {
    let logprob = token.get("logProbability").and_then(Value::as_f64).unwrap_or_default();
    (text(token, "token").unwrap_or_default().to_owned(), logprob as f32)
}
