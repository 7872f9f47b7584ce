//! What comes back: blocks of text, thought and tool use.

use std::sync::Arc;

use serde_json::{Value, json};
use teleprompt_core::{Completion, FinishReason, LmResponse, Reasoning, ToolCall, Usage};

use super::super::WireFault;
use super::super::value::{count, list, text};

pub(super) fn read(reply: &Value) -> Result<LmResponse, WireFault> {
    refuse(reply)?;
    if !reply.get("content").is_some_and(Value::is_array) {
        return Err(WireFault::Malformed("JSON without a list under `content`".into()));
    }
    // An empty list with a reason to stop is a reply without words; without one it is no reply.
    if list(reply, "content").is_empty() && text(reply, "stop_reason").is_none() {
        return Err(WireFault::Malformed("no completion".into()));
    }
    let blocks = list(reply, "content").iter().map(Block::read).collect();
    let mut counts = Counts::default();
    counts.update(reply);
    Ok(LmResponse {
        completions: vec![completion(blocks, text(reply, "stop_reason"))],
        usage: counts.usage(),
        model: text(reply, "model").unwrap_or_default().into(),
        ..LmResponse::default()
    })
}

/// Whether this is an error under a good status.
pub(super) fn refuse(reply: &Value) -> Result<(), WireFault> {
    if text(reply, "type") == Some("error") || reply.get("error").is_some_and(|e| !e.is_null()) {
        return Err(WireFault::Refused(reply.to_string()));
    }
    Ok(())
}

/// A block of a reply, whole or growing.
#[derive(Debug)]
pub(super) enum Block {
    Text(String),
    Thinking {
        text: String,
        signature: String,
    },
    /// Thought that only the provider can read.
    Redacted(String),
    Tool(ToolCall),
    /// Something that this version does not know, such as the provider's own tools.
    Other,
}

impl Block {
    pub(super) fn read(block: &Value) -> Self {
        let field = |name: &str| text(block, name).unwrap_or_default().to_owned();
        match text(block, "type") {
            Some("text") => Block::Text(field("text")),
            Some("thinking") => {
                Block::Thinking { text: field("thinking"), signature: field("signature") }
            }
            Some("redacted_thinking") => Block::Redacted(field("data")),
            Some("tool_use") => {
                let input = block.get("input").map_or_else(|| "{}".to_owned(), Value::to_string);
                Block::Tool(ToolCall::new(field("id"), field("name"), input))
            }
            _ => Block::Other,
        }
    }
}

/// The completion that these blocks are.
pub(super) fn completion(blocks: Vec<Block>, stop: Option<&str>) -> Completion {
    let mut completion = Completion {
        finish: stop.map_or(FinishReason::Other, finish),
        finish_said: stop.map(Arc::from),
        reasoning: reasoning(&blocks),
        ..Completion::default()
    };
    for block in blocks {
        match block {
            Block::Text(text) => completion.text += &text,
            Block::Tool(call) => completion.tool_calls.push(call),
            Block::Thinking { .. } | Block::Redacted(_) | Block::Other => {}
        }
    }
    completion
}

fn finish(said: &str) -> FinishReason {
    match said {
        "end_turn" | "stop_sequence" => FinishReason::Stop,
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        "tool_use" => FinishReason::ToolCalls,
        "refusal" => FinishReason::ContentFilter,
        _ => FinishReason::Other,
    }
}

/// All thought in one. One open block keeps its seal as it is; several, or encrypted ones, are
/// sealed by the JSON of them all, so that they can be given back block by block.
fn reasoning(blocks: &[Block]) -> Option<Reasoning> {
    let mut all = Vec::new();
    let mut texts = String::new();
    let mut seal = None;
    for block in blocks {
        match block {
            Block::Thinking { text, signature } => {
                texts += text;
                seal = Some(signature.clone()).filter(|s| !s.is_empty());
                all.push(json!({"type": "thinking", "thinking": text, "signature": signature}));
            }
            Block::Redacted(data) => {
                all.push(json!({"type": "redacted_thinking", "data": data}));
            }
            Block::Text(_) | Block::Tool(_) | Block::Other => {}
        }
    }
    let single = matches!(all.as_slice(), [block] if text(block, "type") == Some("thinking"));
    let signature = if single { seal } else { Some(Value::from(all.clone()).to_string()) };
    (!all.is_empty()).then_some(Reasoning { text: texts, signature })
}

/// The provider's counts, which a stream tells more than once, later ones over earlier ones.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    input: u64,
    output: u64,
    read: u64,
    written: u64,
    thought: u64,
}

impl Counts {
    /// Takes over what `usage` of this object tells.
    pub(super) fn update(&mut self, object: &Value) {
        let Some(usage) = object.get("usage") else { return };
        let set = |place: &mut u64, told: Option<u64>| *place = told.unwrap_or(*place);
        set(&mut self.input, count(usage, "input_tokens"));
        set(&mut self.output, count(usage, "output_tokens"));
        set(&mut self.read, count(usage, "cache_read_input_tokens"));
        set(&mut self.written, count(usage, "cache_creation_input_tokens"));
        let details = usage.get("output_tokens_details");
        set(&mut self.thought, details.and_then(|d| count(d, "thinking_tokens")));
    }

    /// The wire's `input_tokens` are those that the cache had no part in.
    pub(super) fn usage(self) -> Usage {
        Usage {
            prompt_tokens: self.input + self.read + self.written,
            completion_tokens: self.output,
            cached_prompt_tokens: self.read,
            cache_write_tokens: self.written,
            reasoning_tokens: self.thought,
            ..Usage::one_call()
        }
    }
}
