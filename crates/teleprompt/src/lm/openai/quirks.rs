//! What a server turned out not to understand.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use teleprompt_core::{LmError, LmRequest};

use super::refusal::Complaint;
use super::wire::Dialect;

/// Learned from refusals, so that each costs one request and not one a call.
#[derive(Debug, Default)]
pub(super) struct Quirks {
    no_schemas: AtomicBool,
    refused_schemas: Mutex<HashSet<u64>>,
    other_limit_name: AtomicBool,
    no_stream_options: AtomicBool,
    no_logprobs: AtomicBool,
}

impl Quirks {
    /// How to speak to the server for this request. `new_limit_name` is the first guess.
    pub(super) fn dialect(&self, request: &LmRequest, new_limit_name: bool) -> Dialect {
        let refused = || schema(request).is_some_and(|s| self.refused().contains(&hash(s)));
        Dialect {
            schema: self.schemas() && !refused(),
            new_limit_name: new_limit_name != self.other_limit_name.load(Relaxed),
            stream_options: !self.no_stream_options.load(Relaxed),
        }
    }

    /// Whether the server takes JSON schemas, as far as we know.
    pub(super) fn schemas(&self) -> bool {
        !self.no_schemas.load(Relaxed)
    }

    /// Whether the server gives log-probabilities, as far as we know.
    pub(super) fn logprobs(&self) -> bool {
        !self.no_logprobs.load(Relaxed)
    }

    /// Notes that log-probabilities were asked for and did not come.
    pub(super) fn miss_logprobs(&self) {
        self.no_logprobs.store(true, Relaxed);
    }

    /// Learns from a refusal of a request that was sent in this dialect. Whether to send it again
    /// is then told by [`Quirks::dialect`]: only if it is another one now.
    pub(super) fn learn(&self, error: &LmError, request: &LmRequest, sent: Dialect, guess: bool) {
        if !matches!(error.status, Some(400 | 422)) {
            return;
        }
        let said = Complaint::read(error.body.as_deref().unwrap_or_default());
        if let Some(schema) = schema(request).filter(|_| sent.schema) {
            if said.mentions("invalid_json_schema") || said.mentions("nvalid schema") {
                self.refused().insert(hash(schema));
            } else if said.mentions("response_format") || said.mentions("json_schema") {
                self.no_schemas.store(true, Relaxed);
            }
        }
        if said.mentions("stream_options") {
            self.no_stream_options.store(true, Relaxed);
        }
        let limit_refused = if sent.new_limit_name {
            said.mentions("max_completion_tokens") && !said.mentions("too large")
        } else {
            said.mentions("max_completion_tokens")
        };
        if limit_refused && request.settings.max_tokens.is_some() && sent.new_limit_name == guess {
            self.other_limit_name.store(true, Relaxed);
        }
    }

    fn refused(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.refused_schemas.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn schema(request: &LmRequest) -> Option<&Value> {
    request.constraint.as_ref()?.json_schema.as_deref()
}

fn hash(schema: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    schema.hash(&mut hasher);
    hasher.finish()
}
