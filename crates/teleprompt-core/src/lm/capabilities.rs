//! What a language model can do.

#[cfg(doc)]
use super::{Completion, Constraint, LmRequest};

/// What an LM can do, told truthfully: callers decide by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Enforces [`Constraint::json_schema`].
    pub json_schema: bool,
    /// Enforces [`Constraint::lark`].
    pub lark: bool,
    /// Fills [`Completion::logprobs`].
    pub logprobs: bool,
    /// Applies [`LmRequest::label_bias`].
    pub label_bias: bool,
    /// Takes [`LmRequest::tools`] and gives [`Completion::tool_calls`].
    pub tools: bool,
    /// Takes messages with images, sound or files. Which of them depends on the model.
    pub media: bool,
    /// Most tokens of prompt and completion together, where known.
    pub context_window: Option<u32>,
    /// Most tokens of a completion where the request sets no limit, where known.
    pub max_output: Option<u32>,
}

impl Capabilities {
    /// No ability at all; set those you have with the `with_*` methods.
    pub const fn none() -> Self {
        Self {
            json_schema: false,
            lark: false,
            logprobs: false,
            label_bias: false,
            tools: false,
            media: false,
            context_window: None,
            max_output: None,
        }
    }
    /// Whether JSON schemas are enforced.
    pub const fn with_json_schema(mut self, yes: bool) -> Self {
        self.json_schema = yes;
        self
    }
    /// Whether Lark grammars are enforced.
    pub const fn with_lark(mut self, yes: bool) -> Self {
        self.lark = yes;
        self
    }
    /// Whether log-probabilities are returned.
    pub const fn with_logprobs(mut self, yes: bool) -> Self {
        self.logprobs = yes;
        self
    }
    /// Whether [`LmRequest::label_bias`] is applied.
    pub const fn with_label_bias(mut self, yes: bool) -> Self {
        self.label_bias = yes;
        self
    }
    /// The context window in tokens.
    pub const fn with_context_window(mut self, tokens: u32) -> Self {
        self.context_window = Some(tokens);
        self
    }
    /// Whether tools can be given.
    pub const fn with_tools(mut self, yes: bool) -> Self {
        self.tools = yes;
        self
    }
    /// Whether images, sound and files can be given.
    pub const fn with_media(mut self, yes: bool) -> Self {
        self.media = yes;
        self
    }
    /// The most tokens of a completion where the request sets no limit.
    pub const fn with_max_output(mut self, tokens: u32) -> Self {
        self.max_output = Some(tokens);
        self
    }

    /// What both can do: for a layer that sends each call to one of several LMs.
    #[must_use]
    pub fn both(self, other: Self) -> Self {
        let least = |a: Option<u32>, b: Option<u32>| Some(a?.min(b?));
        let most = |a: Option<u32>, b: Option<u32>| Some(a?.max(b?));
        Self {
            json_schema: self.json_schema && other.json_schema,
            lark: self.lark && other.lark,
            logprobs: self.logprobs && other.logprobs,
            label_bias: self.label_bias && other.label_bias,
            tools: self.tools && other.tools,
            media: self.media && other.media,
            context_window: least(self.context_window, other.context_window),
            // An upper bound, so the larger one.
            max_output: most(self.max_output, other.max_output),
        }
    }
}
