//! A streamed reply: blocks that begin, grow and end.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use teleprompt_core::{LmChunk, LmResponse};

use super::super::common::is_empty;
use super::super::value::{count, text};
use super::super::{StreamReader, WireFault};
use super::reply::{Block, Counts, completion, refuse};

/// Reads the events of one reply.
#[derive(Debug, Default)]
pub(super) struct Reader {
    blocks: BTreeMap<u64, Growing>,
    counts: Counts,
    model: Arc<str>,
    stop: Option<String>,
    done: bool,
}

#[derive(Debug)]
struct Growing {
    block: Block,
    /// Pieces of a tool's input have come: they replace the empty object that it began with.
    has_input: bool,
    told: bool,
}

impl StreamReader for Reader {
    fn event(&mut self, data: &str) -> Result<Vec<LmChunk>, WireFault> {
        let data = data.trim();
        if self.done || is_empty(data) {
            return Ok(Vec::new());
        }
        let event: Value = serde_json::from_str(data)
            .map_err(|_| WireFault::Malformed("an event that is not JSON".into()))?;
        refuse(&event)?;
        match text(&event, "type") {
            Some("message_start") => self.start(&event),
            Some("content_block_start") => return self.begin(&event),
            Some("content_block_delta") => return self.grow(&event),
            Some("content_block_stop") => return Ok(self.end(&event)),
            Some("message_delta") => {
                self.counts.update(&event);
                let stop = event.get("delta").and_then(|delta| text(delta, "stop_reason"));
                self.stop = stop.map(str::to_owned).or(self.stop.take());
            }
            Some("message_stop") => {
                self.done = true;
                return Ok(self.blocks.values_mut().filter_map(Growing::tell).collect());
            }
            // `ping`, and whatever is added later.
            _ => {}
        }
        Ok(Vec::new())
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn finish(self: Box<Self>) -> Option<LmResponse> {
        // No block with a reason to stop is a reply without words; without one it is no reply.
        if self.stop.is_none() && (!self.done || self.blocks.is_empty()) {
            return None;
        }
        let blocks = self.blocks.into_values().map(|growing| growing.block).collect();
        Some(LmResponse {
            completions: vec![completion(blocks, self.stop.as_deref())],
            usage: self.counts.usage(),
            model: self.model,
            ..LmResponse::default()
        })
    }
}

impl Reader {
    fn start(&mut self, event: &Value) {
        let Some(message) = event.get("message") else { return };
        self.model = text(message, "model").unwrap_or_default().into();
        self.counts.update(message);
    }

    fn begin(&mut self, event: &Value) -> Result<Vec<LmChunk>, WireFault> {
        let (Some(index), Some(block)) = (count(event, "index"), event.get("content_block")) else {
            return Err(WireFault::Malformed(
                "a block that begins without index or content".into(),
            ));
        };
        let block = Block::read(block);
        let first = match &block {
            Block::Text(text) => said(text),
            Block::Thinking { text, .. } => thought(text),
            Block::Redacted(_) | Block::Tool(_) | Block::Other => None,
        };
        self.blocks.insert(index, Growing { block, has_input: false, told: false });
        Ok(first.into_iter().collect())
    }

    fn grow(&mut self, event: &Value) -> Result<Vec<LmChunk>, WireFault> {
        let growing = count(event, "index").and_then(|index| self.blocks.get_mut(&index));
        let (Some(growing), Some(delta)) = (growing, event.get("delta")) else {
            return Err(WireFault::Malformed("a piece of a block that has not begun".into()));
        };
        let piece = |name: &str| text(delta, name).unwrap_or_default();
        let chunk = match (&mut growing.block, text(delta, "type")) {
            (Block::Text(text), Some("text_delta")) => {
                text.push_str(piece("text"));
                said(piece("text"))
            }
            (Block::Thinking { text, .. }, Some("thinking_delta")) => {
                text.push_str(piece("thinking"));
                thought(piece("thinking"))
            }
            (Block::Thinking { signature, .. }, Some("signature_delta")) => {
                signature.push_str(piece("signature"));
                None
            }
            (Block::Tool(call), Some("input_json_delta")) => {
                let piece = piece("partial_json");
                if !piece.is_empty() && !std::mem::replace(&mut growing.has_input, true) {
                    call.arguments.clear();
                }
                call.arguments.push_str(piece);
                None
            }
            _ => None,
        };
        Ok(chunk.into_iter().collect())
    }

    fn end(&mut self, event: &Value) -> Vec<LmChunk> {
        let growing = count(event, "index").and_then(|index| self.blocks.get_mut(&index));
        growing.and_then(Growing::tell).into_iter().collect()
    }
}

impl Growing {
    /// The call of a tool, once it is whole.
    fn tell(&mut self) -> Option<LmChunk> {
        match &self.block {
            Block::Tool(call) if !std::mem::replace(&mut self.told, true) => {
                Some(LmChunk::ToolCall { index: 0, call: call.clone() })
            }
            _ => None,
        }
    }
}

fn said(text: &str) -> Option<LmChunk> {
    (!text.is_empty()).then(|| LmChunk::Text { index: 0, text: text.to_owned() })
}

fn thought(text: &str) -> Option<LmChunk> {
    (!text.is_empty()).then(|| LmChunk::Reasoning { index: 0, text: text.to_owned() })
}
