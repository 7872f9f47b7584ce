//! What a server turned out not to understand.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use teleprompt_core::{LmError, LmRequest, ReasoningEffort};

use super::super::refusal::Complaint;
use super::super::wire::Dialect;

/// How one request is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Manner {
    pub dialect: Dialect,
    /// Stop texts are not sent; the reply is cut by us.
    pub cut: bool,
}

/// Learned from refusals, so that each costs one request and not one a call.
#[derive(Debug, Default)]
pub(super) struct Quirks {
    no_schemas: AtomicBool,
    refused_schemas: Mutex<HashSet<u64>>,
    refused_efforts: Mutex<HashSet<ReasoningEffort>>,
    other_limit_name: AtomicBool,
    no_stream_options: AtomicBool,
    no_logprobs: AtomicBool,
    no_sampling: AtomicBool,
    no_prompt_cache: AtomicBool,
    no_reasoning_back: AtomicBool,
    no_stop: AtomicBool,
}

impl Quirks {
    /// How to say this request; `first` is the guess before anything was learned.
    pub(super) fn manner(&self, request: &LmRequest, first: Manner) -> Manner {
        let known = |flag: &AtomicBool| !flag.load(Relaxed);
        let Manner { dialect: guess, cut } = first;
        let refused =
            || schema(request).is_some_and(|s| lock(&self.refused_schemas).contains(&hash(s)));
        let effort = request.settings.reasoning;
        let dialect = Dialect {
            schema: guess.schema && self.schemas() && !refused(),
            new_limit_name: guess.new_limit_name != self.other_limit_name.load(Relaxed),
            random_seed: guess.random_seed,
            stream_options: guess.stream_options && known(&self.no_stream_options),
            sampling: guess.sampling && known(&self.no_sampling),
            prompt_cache: guess.prompt_cache && known(&self.no_prompt_cache),
            effort: guess.effort
                && !effort.is_some_and(|e| lock(&self.refused_efforts).contains(&e)),
            reasoning_back: guess.reasoning_back && known(&self.no_reasoning_back),
        };
        Manner { dialect, cut: cut || !known(&self.no_stop) }
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

    /// Learns from a refusal of a request that was sent in this manner. Whether to send it again is
    /// then told by [`Quirks::manner`]: only if it is another one now.
    pub(super) fn learn(&self, error: &LmError, request: &LmRequest, sent: Manner, first: Manner) {
        if !matches!(error.status, Some(400 | 422)) {
            return;
        }
        let said = Complaint::read(error.body.as_deref().unwrap_or_default());
        self.learn_schema(&said, request, sent.dialect);
        self.learn_settings(&said, request, sent);
        if said.mentions("stream_options") {
            self.no_stream_options.store(true, Relaxed);
        }
        if sent.dialect.prompt_cache && said.mentions_any(&["prompt_cache_key", "cache_control"]) {
            self.no_prompt_cache.store(true, Relaxed);
        }
        let asks_for_new = said.mentions("max_completion_tokens");
        let sent_new = sent.dialect.new_limit_name;
        let refused = asks_for_new && !(sent_new && said.mentions("too large"));
        let unlearned = sent_new == first.dialect.new_limit_name;
        if refused && unlearned && request.settings.max_tokens.is_some() {
            self.other_limit_name.store(true, Relaxed);
        }
    }

    fn learn_schema(&self, said: &Complaint, request: &LmRequest, sent: Dialect) {
        let Some(schema) = schema(request).filter(|_| sent.schema) else { return };
        if said.mentions_any(&["invalid_json_schema", "nvalid schema"]) {
            lock(&self.refused_schemas).insert(hash(schema));
        } else if said.mentions_any(&["response_format", "json_schema", "text.format"]) {
            self.no_schemas.store(true, Relaxed);
        }
    }

    /// Settings that the model has not; models that reason often refuse how to sample.
    fn learn_settings(&self, said: &Complaint, request: &LmRequest, sent: Manner) {
        const NOT_KNOWN: [&str; 9] = [
            "nsupported",
            "not support",
            "nrecognized",
            "nknown",
            "xtra inputs",
            "deprecated",
            "not permitted",
            "may only be set",
            "is invalid",
        ];
        if !said.mentions_any(&NOT_KNOWN) {
            return;
        }
        let settings = &request.settings;
        let sampled = settings.temperature.is_some() || settings.top_p.is_some();
        if sampled && said.mentions_any(&["temperature", "top_p"]) {
            self.no_sampling.store(true, Relaxed);
        }
        if !settings.stop.is_empty() && said.mentions_any(&["'stop'", "\"stop\"", "`stop`"]) {
            self.no_stop.store(true, Relaxed);
        }
        let back = said.mentions_any(&["ncrypted", "reasoning_content"]);
        if back && sent.dialect.reasoning_back {
            self.no_reasoning_back.store(true, Relaxed);
        } else if let Some(effort) = settings.reasoning.filter(|_| sent.dialect.effort)
            && said.mentions_any(&["reasoning", "hinking", "effort"])
        {
            lock(&self.refused_efforts).insert(effort);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn schema(request: &LmRequest) -> Option<&Value> {
    request.constraint.as_ref()?.json_schema.as_deref()
}

fn hash(schema: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    schema.hash(&mut hasher);
    hasher.finish()
}
