//! What a server turned out not to understand.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
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
    /// `temperature` is sent.
    pub temperature: bool,
    /// `top_p` is sent.
    pub top_p: bool,
    /// Log-probabilities are asked for.
    pub logprobs: bool,
    /// Several completions are asked for by one request.
    pub several: bool,
}

/// A setting of how to choose tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Sampling {
    Temperature,
    TopP,
}

/// Words of servers for what they have not.
const NOT_KNOWN: [&str; 10] = [
    "nsupported",
    "not support",
    "nrecognized",
    "nknown",
    "xtra inputs",
    "deprecated",
    "not permitted",
    "not allowed",
    "may only be set",
    "is invalid",
];

/// Learned from refusals, so that each costs one request and not one a call.
#[derive(Debug, Default)]
pub(super) struct Quirks {
    no_schemas: AtomicBool,
    refused_schemas: Mutex<HashSet<u64>>,
    refused_efforts: Mutex<HashSet<ReasoningEffort>>,
    other_limit_name: AtomicBool,
    no_stream_options: AtomicBool,
    no_logprobs: AtomicBool,
    refused_logprobs: AtomicBool,
    /// The least number of completions that was refused; 0 for none.
    refused_n: AtomicU32,
    /// Settings with the measure of reasoning beside which they were refused; `None` for any.
    refused_sampling: Mutex<HashSet<(Sampling, Option<Option<ReasoningEffort>>)>>,
    /// `temperature` and `top_p` are not taken together.
    one_sampling: AtomicBool,
    no_summary: AtomicBool,
    no_prompt_cache: AtomicBool,
    no_reasoning_back: AtomicBool,
    no_stop: AtomicBool,
}

impl Quirks {
    /// How to say this request; `first` is the guess before anything was learned.
    pub(super) fn manner(&self, request: &LmRequest, first: Manner) -> Manner {
        let known = |flag: &AtomicBool| !flag.load(Relaxed);
        let (guess, settings) = (first.dialect, &request.settings);
        let refused =
            || schema(request).is_some_and(|s| lock(&self.refused_schemas).contains(&hash(s)));
        let effort = settings.reasoning;
        let dialect = Dialect {
            schema: guess.schema && self.schemas() && !refused(),
            new_limit_name: guess.new_limit_name != self.other_limit_name.load(Relaxed),
            random_seed: guess.random_seed,
            stream_options: guess.stream_options && known(&self.no_stream_options),
            sampling: guess.sampling,
            prompt_cache: guess.prompt_cache && known(&self.no_prompt_cache),
            effort: guess.effort
                && !effort.is_some_and(|e| lock(&self.refused_efforts).contains(&e)),
            reasoning_back: guess.reasoning_back && known(&self.no_reasoning_back),
            summary: guess.summary && known(&self.no_summary),
        };
        let sampling = |which| {
            let refused = lock(&self.refused_sampling);
            !refused.contains(&(which, None)) && !refused.contains(&(which, Some(effort)))
        };
        let temperature = first.temperature && sampling(Sampling::Temperature);
        let alone = !known(&self.one_sampling) && temperature && settings.temperature.is_some();
        let refused_n = self.refused_n.load(Relaxed);
        Manner {
            dialect,
            cut: first.cut || !known(&self.no_stop),
            temperature,
            top_p: first.top_p && sampling(Sampling::TopP) && !alone,
            logprobs: first.logprobs && known(&self.refused_logprobs),
            several: first.several && (refused_n == 0 || request.n < refused_n),
        }
    }

    /// Whether the server takes JSON schemas, as far as we know.
    pub(super) fn schemas(&self) -> bool {
        !self.no_schemas.load(Relaxed)
    }

    /// Whether the server gives log-probabilities, as far as we know.
    pub(super) fn logprobs(&self) -> bool {
        !self.no_logprobs.load(Relaxed) && !self.refused_logprobs.load(Relaxed)
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

    /// A word about schemas or formats is taken for a refusal of this schema, one about the field that
    /// carries schemas for a refusal of all.
    fn learn_schema(&self, said: &Complaint, request: &LmRequest, sent: Dialect) {
        const THIS: [&str; 4] =
            ["invalid_json_schema", "nvalid schema", "format.schema", "nvalid JSON schema"];
        const ALL: [&str; 7] = [
            "response_format",
            "json_schema",
            "text.format",
            "output_config",
            "output_format",
            "esponseSchema",
            "esponseJsonSchema",
        ];
        let Some(schema) = schema(request).filter(|_| sent.schema) else { return };
        // Anthropic has the measure of reasoning in the same object.
        if said.mentions("output_config.effort") {
            return;
        }
        if !said.mentions_any(&THIS) && said.mentions_any(&ALL) {
            self.no_schemas.store(true, Relaxed);
        } else if said.mentions_any(&["chema", "format"]) {
            lock(&self.refused_schemas).insert(hash(schema));
        }
    }

    /// Settings that the model has not; models that reason often refuse how to sample.
    fn learn_settings(&self, said: &Complaint, request: &LmRequest, sent: Manner) {
        let settings = &request.settings;
        if sent.several && request.n > 1 && said.names("n") {
            let least = |old| (old == 0 || request.n < old).then_some(request.n);
            // `Err` means that it is known already.
            let _ = self.refused_n.fetch_update(Relaxed, Relaxed, least);
        }
        if self.learn_sampling(said, request, sent) || !said.mentions_any(&NOT_KNOWN) {
            return;
        }
        if !settings.stop.is_empty() && said.mentions_any(&["'stop'", "\"stop\"", "`stop`"]) {
            self.no_stop.store(true, Relaxed);
        }
        if settings.logprobs.is_some() && said.mentions("logprobs") {
            self.refused_logprobs.store(true, Relaxed);
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

    /// Only what is named is left out, and where reasoning is the reason, only beside that reasoning.
    /// Tells whether the refusal was about this.
    fn learn_sampling(&self, said: &Complaint, request: &LmRequest, sent: Manner) -> bool {
        let settings = &request.settings;
        if sent.dialect.summary && settings.reasoning.is_some() && said.mentions("summar") {
            self.no_summary.store(true, Relaxed);
            return true;
        }
        let both = said.mentions_any(&["both", "only one"]);
        if !both && !said.mentions_any(&NOT_KNOWN) {
            return false;
        }
        let temperature = sent.temperature && settings.temperature.is_some();
        let top_p = sent.top_p && settings.top_p.is_some();
        let temperature = temperature && said.names("temperature");
        let top_p = top_p && (said.names("top_p") || said.names("topP"));
        if both && temperature && top_p {
            self.one_sampling.store(true, Relaxed);
            return true;
        }
        let beside = said.mentions_any(&["hinking", "reasoning"]).then_some(settings.reasoning);
        let mut refused = lock(&self.refused_sampling);
        refused.extend(temperature.then_some((Sampling::Temperature, beside)));
        refused.extend(top_p.then_some((Sampling::TopP, beside)));
        temperature || top_p
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
