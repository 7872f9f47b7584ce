//! A streamed reply: each event is a reply with the next pieces. There is no end mark; the
//! connection ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use teleprompt_core::{LmChunk, LmResponse, Usage};

use super::super::common::is_empty;
use super::super::value::{list, text};
use super::super::{StreamReader, WireFault};
use super::reply::{Draft, index, refuse, response_id, usage};

/// Reads the events of one reply.
#[derive(Debug, Default)]
pub(super) struct Reader {
    drafts: BTreeMap<usize, Draft>,
    usage: Option<Usage>,
    model: Arc<str>,
}

impl StreamReader for Reader {
    fn event(&mut self, data: &str) -> Result<Vec<LmChunk>, WireFault> {
        let data = data.trim();
        if is_empty(data) {
            return Ok(Vec::new());
        }
        let event: Value = serde_json::from_str(data)
            .map_err(|_| WireFault::Malformed("an event that is not JSON".into()))?;
        refuse(&event)?;
        self.usage = usage(&event).or(self.usage);
        if let Some(model) = text(&event, "modelVersion") {
            self.model = model.into();
        }
        let mut chunks = Vec::new();
        for candidate in list(&event, "candidates") {
            // An event has one piece a candidate, so one without an index is of the first.
            let index = index(candidate, 0);
            let draft = self.drafts.entry(index).or_insert_with(|| Draft::new(index));
            chunks.extend(draft.add(candidate, response_id(&event)));
        }
        Ok(chunks)
    }

    fn is_done(&self) -> bool {
        false
    }

    /// There is no end mark, but a reply that is billed and has no candidate gets none later.
    fn is_empty(&self) -> bool {
        self.drafts.is_empty() && self.usage.is_some()
    }

    fn finish(self: Box<Self>) -> Option<LmResponse> {
        let whole = !self.drafts.is_empty() && self.drafts.values().all(Draft::is_ended);
        whole.then(|| LmResponse {
            completions: self.drafts.into_values().map(Draft::into_completion).collect(),
            usage: self.usage.unwrap_or(Usage::one_call()),
            model: self.model,
            ..LmResponse::default()
        })
    }
}
