//! What a language model answers.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::Stream;
use serde::{Deserialize, Serialize};

use super::error::LmError;
use super::message::Reasoning;
use super::tool::ToolCall;
use super::usage::Usage;

/// Why a completion ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FinishReason {
    /// The LM was done, or met a stop text.
    #[default]
    Stop,
    /// `max_tokens` or the window cut it off.
    Length,
    /// The provider withheld the content.
    ContentFilter,
    /// It wants tools called first.
    ToolCalls,
    /// Something this version has no name for; [`Completion::finish_said`] has the provider's word.
    Other,
}

/// A token with its log-probability (natural logarithm, at most 0).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprob {
    /// The token's text.
    pub token: String,
    /// Natural logarithm of its probability.
    pub logprob: f32,
    /// The most likely tokens at this place, best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub top: Vec<(String, f32)>,
}

/// One reply.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    /// The text of the reply.
    pub text: String,
    /// Why it ended.
    #[serde(default)]
    pub finish: FinishReason,
    /// Per token, if they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<Vec<TokenLogprob>>,
    /// What it thought before, where the provider shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Reasoning>,
    /// The tools that it wants called, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// The provider's own word for why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_said: Option<Arc<str>>,
}

impl Completion {
    /// A completion of this text that ended by itself.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

/// The answer to an [`LmRequest`](super::LmRequest).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LmResponse {
    /// As many as were asked for, at least one.
    pub completions: Vec<Completion>,
    /// What this call used (`calls` is 1).
    pub usage: Usage,
    /// The model that answered, as the provider names it.
    #[serde(default)]
    pub model: Arc<str>,
    /// The provider's id of the request, for its support.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Arc<str>>,
    /// What the provider said of its rate limits with this reply.
    #[serde(skip)]
    pub rate: Option<RateStatus>,
}

/// How much more a provider takes for now, as its headers tell. What it does not tell is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateStatus {
    /// Requests of the present window, in all.
    pub limit_requests: Option<u64>,
    /// Requests that are left in it.
    pub remaining_requests: Option<u64>,
    /// How long until all requests are there again.
    pub reset_requests: Option<Duration>,
    /// Tokens of the present window, in all.
    pub limit_tokens: Option<u64>,
    /// Tokens that are left in it.
    pub remaining_tokens: Option<u64>,
    /// How long until all tokens are there again.
    pub reset_tokens: Option<Duration>,
}

impl LmResponse {
    /// A response with one completion and no usage known.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            completions: vec![Completion { text: text.into(), ..Completion::default() }],
            usage: Usage { calls: 1, ..Usage::default() },
            ..Self::default()
        }
    }
}

/// A piece of a streamed reply. The pieces of a completion put together are what
/// [`LmChunk::Done`] has of it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum LmChunk {
    /// More text of completion `index`.
    Text {
        /// Which completion, from 0.
        index: usize,
        /// The new text.
        text: String,
    },
    /// More of what completion `index` thinks.
    Reasoning {
        /// Which completion, from 0.
        index: usize,
        /// The new text.
        text: String,
    },
    /// Completion `index` wants a tool called; the call is whole.
    ToolCall {
        /// Which completion, from 0.
        index: usize,
        /// The call.
        call: ToolCall,
    },
    /// The end: the whole response, with usage.
    Done(LmResponse),
}

/// A stream of chunks; the last one is [`LmChunk::Done`] unless an error ends it.
pub type LmStream<'a> = Pin<Box<dyn Stream<Item = Result<LmChunk, LmError>> + Send + 'a>>;

impl LmResponse {
    /// The whole response as the pieces of a stream, each completion in as few as can be.
    pub fn into_chunks(self) -> Vec<LmChunk> {
        let mut chunks = Vec::new();
        for (index, completion) in self.completions.iter().enumerate() {
            if let Some(reasoning) = completion.reasoning.as_ref().filter(|r| !r.text.is_empty()) {
                chunks.push(LmChunk::Reasoning { index, text: reasoning.text.clone() });
            }
            chunks.push(LmChunk::Text { index, text: completion.text.clone() });
            let calls = completion.tool_calls.iter().cloned();
            chunks.extend(calls.map(|call| LmChunk::ToolCall { index, call }));
        }
        chunks.push(LmChunk::Done(self));
        chunks
    }
}
