//! What is asked of a language model.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::message::Message;
use super::tool::{Tool, ToolChoice};

/// How much an LM may think before it answers. LMs that cannot choose ignore it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ReasoningEffort {
    /// Not at all, where the model allows that.
    Off,
    /// As little as it can.
    Minimal,
    /// Little.
    Low,
    /// Its usual measure.
    Medium,
    /// Much.
    High,
    /// At most this many tokens, for providers that count; others get the nearest level.
    #[serde(untagged)]
    Tokens(u32),
}

/// How to sample. `None` means: the layer below decides (its documented default).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LmSettings {
    /// Sampling temperature, at least 0; 0 is greedy. Default of the embedded engine: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Nucleus sampling mass in (0, 1].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f32>,
    /// Most tokens a completion may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// Seed of the sampler, where the LM has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Texts that end a completion (they are not part of it).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Log-probabilities wanted: `Some(k)` gives the chosen token and its `k` best rivals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<u32>,
    /// How much to think before answering.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<ReasoningEffort>,
    /// Fields that are merged into the body of the request as they are, over ours. They depend on
    /// the provider. Never saved nor loaded: a file must not be able to set them.
    #[serde(skip)]
    pub extra_body: Option<Arc<Map<String, Value>>>,
}

impl LmSettings {
    /// These settings where set, else those of `base`.
    pub fn or(&self, base: &LmSettings) -> LmSettings {
        LmSettings {
            temperature: self.temperature.or(base.temperature),
            top_p: self.top_p.or(base.top_p),
            max_tokens: self.max_tokens.or(base.max_tokens),
            seed: self.seed.or(base.seed),
            stop: if self.stop.is_empty() { base.stop.clone() } else { self.stop.clone() },
            logprobs: self.logprobs.or(base.logprobs),
            reasoning: self.reasoning.or(base.reasoning),
            extra_body: self.extra_body.clone().or_else(|| base.extra_body.clone()),
        }
    }
}

/// The form a reply must have. An LM enforces what its [`Capabilities`](super::Capabilities) name and ignores the rest.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Constraint {
    /// JSON schema of the whole reply, for replies that are JSON (OpenAI's `response_format`).
    pub json_schema: Option<Arc<Value>>,
    /// A grammar in llguidance's Lark dialect for the whole reply.
    pub lark: Option<Arc<str>>,
}

impl Constraint {
    /// A constraint from its parts; at least one should be given.
    pub fn new(json_schema: Option<Arc<Value>>, lark: Option<Arc<str>>) -> Self {
        Self { json_schema, lark }
    }
}

/// What is added to an LM's logarithmic liking for texts: positive makes a text likelier.
///
/// Small LMs like some labels whatever the question; this takes it off (see `label_bias` of
/// [`LmRequest`]).
pub type LabelBias = BTreeMap<Arc<str>, f32>;

/// One call of a language model.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LmRequest {
    /// The conversation so far; the reply is the next assistant turn.
    pub messages: Vec<Message>,
    /// How to sample.
    pub settings: LmSettings,
    /// Completions wanted, at least 1.
    pub n: u32,
    /// The form that the reply must have, if any.
    pub constraint: Option<Arc<Constraint>>,
    /// Tells apart calls that are otherwise equal, so that a cache answers each on its own.
    pub rollout: u64,
    /// Under a constraint: added to the log-probability of the first token that is freely chosen, by
    /// the text that it begins. LMs without the capability `label_bias` ignore it.
    pub label_bias: Option<Arc<LabelBias>>,
    /// Tools that the LM may call. LMs without the capability `tools` refuse a request that has any.
    pub tools: Arc<[Tool]>,
    /// Whether it must call them; `None` leaves it to the provider.
    pub tool_choice: Option<ToolChoice>,
    /// How many of the first messages are the same in many calls (instructions and demos): a hint
    /// for caches of prompts. It changes no answer.
    pub shared_prefix: usize,
}

impl LmRequest {
    /// A request with default settings, one completion and no constraint.
    ///
    /// ```
    /// use teleprompt_core::{LmRequest, Message};
    /// let request = LmRequest::new(vec![Message::user("Hello")]);
    /// assert_eq!(request.n, 1);
    /// ```
    pub fn new(messages: Vec<Message>) -> Self {
        Self {
            messages,
            settings: LmSettings::default(),
            n: 1,
            constraint: None,
            rollout: 0,
            label_bias: None,
            tools: Arc::from([]),
            tool_choice: None,
            shared_prefix: 0,
        }
    }
}
