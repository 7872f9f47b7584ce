//! The most that a call can use.

use crate::lm::{Lm, LmHandle, LmRequest, Message, Money, Part, Price};

/// Tokens that a provider's own framing may add to a prompt, such as a default system message.
const FRAME: u64 = 256;
/// The same for each message.
const MESSAGE_FRAME: u64 = 16;
/// The same where there are tools.
const TOOLS_FRAME: u64 = 1024;

/// The most that a call can use, where that can be told beforehand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Tokens of the prompt; `None`: no bound is known.
    pub prompt_tokens: Option<u64>,
    /// Tokens of all completions; `None`: no bound is known.
    pub completion_tokens: Option<u64>,
    /// What the LM charges; `None`: not known.
    pub price: Option<Price>,
}

impl Need {
    /// What this request to this LM can use at most.
    ///
    /// The prompt's tokens are what [`Lm::count_tokens`] says, else the bytes of all that is sent
    /// (no tokenizer that can spell every text makes more tokens than bytes) and a margin for the
    /// provider's framing. Images, sound and files have no such bound.
    ///
    /// Several completions count the prompt as often, since many providers are asked for each. Fields
    /// of [`extra_body`](crate::LmSettings::extra_body) that could raise the number or the length of
    /// completions leave no bound.
    pub fn of(lm: &LmHandle, request: &LmRequest) -> Self {
        let each = request.settings.max_tokens.or(lm.capabilities().max_output);
        let each = each.filter(|_| !extra_could_raise(request));
        let n = u64::from(request.n.max(1));
        let prompt = lm.count_tokens(request).or_else(|| bytes(request));
        Self {
            prompt_tokens: prompt.map(|tokens| tokens.saturating_mul(n)),
            completion_tokens: each.map(|each| u64::from(each) * n),
            price: lm.price(),
        }
    }

    /// All tokens.
    pub fn tokens(&self) -> Option<u64> {
        Some(self.prompt_tokens?.saturating_add(self.completion_tokens?))
    }

    /// The cost.
    pub fn cost(&self) -> Option<Money> {
        let price = self.price?;
        let prompt = price.dearest_input().times(self.prompt_tokens?);
        Some(prompt + price.output.times(self.completion_tokens?))
    }
}

/// Names of the wires for the number and length of completions.
const RAISING: [&str; 8] = [
    "n",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "best_of",
    "candidateCount",
    "generationConfig",
    "maxOutputTokens",
];

fn extra_could_raise(request: &LmRequest) -> bool {
    let extra = request.settings.extra_body.as_ref();
    extra.is_some_and(|extra| RAISING.iter().any(|name| extra.contains_key(*name)))
}

fn bytes(request: &LmRequest) -> Option<u64> {
    let messages = request.messages.iter().map(message_bytes).sum::<Option<u64>>()?;
    let schema = request.constraint.as_ref().and_then(|c| c.json_schema.as_ref());
    let schema = schema.map_or(0, |s| s.to_string().len() as u64);
    let tools = request.tools.iter().map(|tool| {
        (tool.name.len() + tool.description.len() + tool.parameters.to_string().len()) as u64
    });
    let tools: u64 = tools.sum::<u64>() + if request.tools.is_empty() { 0 } else { TOOLS_FRAME };
    Some(FRAME + messages + schema + tools)
}

fn message_bytes(message: &Message) -> Option<u64> {
    let Some(parts) = message.content.parts() else {
        return Some(MESSAGE_FRAME + message.content.len() as u64);
    };
    let parts = parts.iter().map(|part| match part {
        Part::Text(text) => Some(text.len()),
        Part::ToolCall(call) => Some(call.name.len() + call.arguments.len()),
        Part::ToolResult(result) if result.content.is_text() => {
            Some(result.name.len() + result.content.len())
        }
        Part::Reasoning(reasoning) => {
            Some(reasoning.text.len() + reasoning.signature.as_ref().map_or(0, String::len))
        }
        _ => None,
    });
    let sum = parts.map(|p| p.map(|n| n as u64 + MESSAGE_FRAME)).sum::<Option<u64>>()?;
    Some(MESSAGE_FRAME + sum)
}
