//! What a model answers, in words of no provider.

use std::collections::BTreeMap;

/// Why a completion ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Finish {
    /// The model was done.
    #[default]
    Stop,
    /// The bound on tokens was reached.
    Length,
    /// The model calls tools.
    ToolCalls,
    /// The provider held the content back.
    ContentFilter,
    /// Any other word, sent as it is.
    Unknown(String),
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// The id that the result has to name.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The arguments, a JSON object as text.
    pub arguments: String,
}

/// Tokens as one bill; each provider splits them its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// All tokens of the prompt, those of the cache included.
    pub prompt: u64,
    /// All tokens of the completion, those of reasoning included.
    pub completion: u64,
    /// Prompt tokens read from the cache.
    pub cached: u64,
    /// Prompt tokens written to the cache.
    pub cache_write: u64,
    /// Completion tokens spent on reasoning.
    pub reasoning: u64,
}

impl Default for Tokens {
    /// 7 prompt tokens, 2 of them cached, and 3 completion tokens.
    fn default() -> Self {
        Self { prompt: 7, completion: 3, cached: 2, cache_write: 0, reasoning: 0 }
    }
}

/// A token of the first text with its natural log-probability and the likeliest tokens in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenLogprob {
    /// The token's text.
    pub token: String,
    /// Its natural log-probability.
    pub logprob: f64,
    /// Likeliest tokens there, best first.
    pub top: Vec<(String, f64)>,
}

/// An answer, from which [`Wire`](super::Wire) makes the reply of any provider.
///
/// ```
/// use teleprompt_testkit::server::{Answer, Finish, Wire};
///
/// let answer = Answer::text("Hello").with_finish(Finish::Length);
/// let reply = Wire::Anthropic.reply(&answer);
/// assert!(reply.body().contains(r#""stop_reason":"max_tokens""#));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Answer {
    /// The texts: one for each choice. OpenAI Responses and Anthropic know one choice, the first.
    pub texts: Vec<String>,
    /// The pieces in which the first text is streamed; empty: cut at odd places.
    pub pieces: Vec<String>,
    /// Reasoning before the first choice.
    pub reasoning: Option<String>,
    /// The provider's signature over the reasoning.
    pub signature: Option<String>,
    /// Tool calls of the first choice.
    pub tool_calls: Vec<ToolCall>,
    /// Why all choices ended.
    pub finish: Finish,
    /// The bill.
    pub tokens: Tokens,
    /// Log-probabilities of the first text. Anthropic never sends any.
    pub logprobs: Vec<TokenLogprob>,
    /// The model's name. Default: `fake-model`.
    pub model: String,
    /// The id of the reply and, in the provider's header, of the request. Default: `1`.
    pub id: String,
    /// Names of extra top-level members of the reply, with their values.
    pub extra: BTreeMap<String, serde_json::Value>,
}

impl Answer {
    /// One choice.
    pub fn text(text: impl Into<String>) -> Self {
        Self::texts([text.into()])
    }

    /// One choice for each text.
    pub fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self {
            texts: texts.into_iter().map(Into::into).collect(),
            pieces: Vec::new(),
            reasoning: None,
            signature: None,
            tool_calls: Vec::new(),
            finish: Finish::Stop,
            tokens: Tokens::default(),
            logprobs: Vec::new(),
            model: "fake-model".to_owned(),
            id: "1".to_owned(),
            extra: BTreeMap::new(),
        }
    }

    /// One choice that is streamed in these pieces.
    pub fn in_pieces(pieces: &[&str]) -> Self {
        let mut answer = Self::text(pieces.concat());
        answer.pieces = pieces.iter().map(|&piece| piece.to_owned()).collect();
        answer
    }

    /// With reasoning and, where there is one, its signature.
    #[must_use]
    pub fn with_reasoning(mut self, text: &str, signature: Option<&str>) -> Self {
        self.reasoning = Some(text.to_owned());
        self.signature = signature.map(str::to_owned);
        self
    }

    /// With one more tool call; the finish reason becomes [`Finish::ToolCalls`].
    #[must_use]
    pub fn with_tool_call(mut self, id: &str, name: &str, arguments: &str) -> Self {
        let (id, name, arguments) = (id.to_owned(), name.to_owned(), arguments.to_owned());
        self.tool_calls.push(ToolCall { id, name, arguments });
        self.finish = Finish::ToolCalls;
        self
    }

    /// With this finish reason.
    #[must_use]
    pub fn with_finish(mut self, finish: Finish) -> Self {
        self.finish = finish;
        self
    }

    /// With this bill.
    #[must_use]
    pub fn with_tokens(mut self, tokens: Tokens) -> Self {
        self.tokens = tokens;
        self
    }

    /// With one more token and its alternatives.
    #[must_use]
    pub fn with_logprob(mut self, token: &str, logprob: f64, top: &[(&str, f64)]) -> Self {
        let top = top.iter().map(|(token, logprob)| ((*token).to_owned(), *logprob)).collect();
        self.logprobs.push(TokenLogprob { token: token.to_owned(), logprob, top });
        self
    }

    /// From the model of this name.
    #[must_use]
    pub fn with_model(mut self, model: &str) -> Self {
        model.clone_into(&mut self.model);
        self
    }

    /// With this id.
    #[must_use]
    pub fn with_id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.id);
        self
    }

    /// With one more top-level member of the whole reply (not of a stream).
    #[must_use]
    pub fn with_extra(mut self, name: &str, value: serde_json::Value) -> Self {
        self.extra.insert(name.to_owned(), value);
        self
    }

    /// The first text.
    pub(super) fn first(&self) -> &str {
        self.texts.first().map_or("", String::as_str)
    }

    /// The pieces of the text of this choice.
    pub(super) fn pieces_of(&self, choice: usize) -> Vec<String> {
        match self.texts.get(choice) {
            Some(_) if choice == 0 && !self.pieces.is_empty() => self.pieces.clone(),
            Some(text) => odd_pieces(text),
            None => Vec::new(),
        }
    }
}

/// The text in pieces of 1, 3, 2, 5, 1… characters: inside words, tags and escapes.
pub(super) fn odd_pieces(text: &str) -> Vec<String> {
    let mut characters = text.chars().peekable();
    let mut pieces = Vec::new();
    for length in [1, 3, 2, 5].into_iter().cycle() {
        if characters.peek().is_none() {
            break;
        }
        pieces.push(characters.by_ref().take(length).collect());
    }
    pieces
}
