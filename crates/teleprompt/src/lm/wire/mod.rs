//! The contract of a wire: how one provider's protocol says a request and a reply.
//!
//! A wire is pure. It makes bodies and reads replies; sending, timing, refusals and missing
//! completions are the business of the client that drives it. One file each.

mod anthropic;
mod common;
mod gemini;
mod openai_chat;
mod openai_responses;
#[cfg(test)]
mod tests;
mod turns;
mod value;

use reqwest::header::{HeaderName, HeaderValue};
use serde_json::Value;
use teleprompt_core::{Capabilities, LmChunk, LmRequest, LmResponse};

/// One protocol.
pub(crate) trait Wire: Send + Sync + 'static {
    /// Its name in configurations and cache keys, such as `openai-chat`.
    fn name(&self) -> &'static str;

    /// What is added to the base URL, such as `/chat/completions`.
    fn path(&self, model: &str, stream: bool) -> String;

    /// The header that carries the key. The client marks it as sensitive.
    fn key_header(&self) -> KeyHeader;

    /// Headers that every request has besides content type and key.
    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        Vec::new()
    }

    /// Whether the protocol has stop texts. Where it has none, the client cuts the reply.
    fn has_stop(&self) -> bool {
        true
    }

    /// What the protocol can express. A server may do less; the client learns that.
    fn capabilities(&self) -> Capabilities;

    /// The body of a request in this dialect. The settings' `extra_body` is merged by the client.
    ///
    /// # Errors
    /// The request has something that the protocol cannot say; the fault tells what.
    fn body(&self, call: &Call<'_>) -> Result<Value, Unsupported>;

    /// A whole reply. Completions are in order; there may be fewer than were asked for.
    ///
    /// # Errors
    /// It is not what the protocol promises, or an error under a good status.
    fn read(&self, reply: &Value) -> Result<LmResponse, WireFault>;

    /// A reader for one streamed reply.
    fn reader(&self) -> Box<dyn StreamReader>;
}

/// The names of all wires.
pub(crate) const NAMES: [&str; 4] = ["openai-chat", "openai-responses", "anthropic", "gemini"];

/// The wire of this name.
pub(crate) fn by_name(name: &str) -> Option<&'static dyn Wire> {
    match name {
        "openai-chat" => Some(&openai_chat::OpenAiChat),
        "openai-responses" => Some(&openai_responses::OpenAiResponses),
        "anthropic" => Some(&anthropic::Anthropic),
        "gemini" => Some(&gemini::Gemini),
        _ => None,
    }
}

/// How a key is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyHeader {
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// This header with the bare key.
    Plain(&'static str),
}

/// What a body is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    /// The model as the provider names it.
    pub model: &'a str,
    /// The request.
    pub request: &'a LmRequest,
    /// How this server wants to be spoken to.
    pub dialect: Dialect,
    /// Whether the reply is to be streamed.
    pub stream: bool,
}

/// What a server understands: from the table of providers, corrected by what it refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// Replies can be bound to a JSON schema.
    pub schema: bool,
    /// OpenAI chat: the limit is called `max_completion_tokens`, not `max_tokens`.
    pub new_limit_name: bool,
    /// OpenAI chat: the seed is called `random_seed`.
    pub random_seed: bool,
    /// OpenAI chat: `stream_options`, which ask for the usage of a streamed reply.
    pub stream_options: bool,
    /// `temperature` and `top_p` may be set (models that reason often refuse them).
    pub sampling: bool,
    /// Hints for the provider's cache of prompts are sent.
    pub prompt_cache: bool,
    /// The wanted measure of reasoning is sent.
    pub effort: bool,
    /// What the LM thought in earlier turns is sent back to it, and asked for in the form that this
    /// needs.
    pub reasoning_back: bool,
    /// OpenAI Responses: a summary of the thoughts is asked for.
    pub summary: bool,
}

/// Reads the events of one streamed reply.
pub(crate) trait StreamReader: Send {
    /// Takes in the data of one server-sent event and gives the pieces that came with it (never
    /// [`LmChunk::Done`]). Events that mean nothing to us give none.
    ///
    /// # Errors
    /// As [`Wire::read`].
    fn event(&mut self, data: &str) -> Result<Vec<LmChunk>, WireFault>;

    /// Whether the protocol's end mark has come: nothing more is to be read.
    fn is_done(&self) -> bool;

    /// Asked at the end of the connection, where [`StreamReader::finish`] gives nothing: whether the
    /// reply had no completion, rather than that it broke off. Default: the end mark has come.
    fn is_empty(&self) -> bool {
        self.is_done()
    }

    /// The whole reply, put together from the events; `None` if it is not whole. At the end of a
    /// connection without an end mark, a reply whose completions all told why they ended is whole.
    fn finish(self: Box<Self>) -> Option<LmResponse>;
}

/// Something a wire cannot say: what, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unsupported(pub String);

/// Why a reply under a good status is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WireFault {
    /// It breaks the protocol: how, in words that follow "answered with".
    Malformed(String),
    /// The provider says that something is wrong; this is the JSON that says it.
    Refused(String),
}
