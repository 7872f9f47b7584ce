//! One completion while it grows.

use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::vocab::LlamaVocab;
use llguidance::Matcher;
use llguidance::toktrie::TokenId;
use teleprompt_core::{Completion, FinishReason, TokenLogprob};

use crate::grammar::one_line;
use crate::plan::Plan;
use crate::sampler::{Row, Sampler, logprobs};
use crate::text::TextBuilder;

/// A completion that is being written.
pub(crate) struct Draft {
    /// Which completion of the request.
    pub(crate) index: usize,
    /// The KV sequence it is written in.
    pub(crate) seq: usize,
    /// The position of its next token to be decoded.
    pub(crate) position: usize,
    /// Tokens that are chosen but not decoded yet.
    pending: Vec<LlamaToken>,
    sampler: Sampler,
    matcher: Option<Matcher>,
    /// Added to the scores of the first token that is freely chosen.
    bias: Vec<(TokenId, f32)>,
    text: TextBuilder,
    budget: usize,
    generated: usize,
    rivals: Option<usize>,
    /// Log-probabilities, each with the place in the text where its token begins.
    logprobs: Vec<(usize, TokenLogprob)>,
    finish: Option<FinishReason>,
}

impl Draft {
    /// Completion `index`, to be written within `budget` tokens under the matcher.
    pub(crate) fn new(plan: &Plan, index: usize, matcher: Option<Matcher>, budget: usize) -> Self {
        Self {
            index,
            seq: 0,
            position: 0,
            pending: Vec::new(),
            sampler: plan.sampler(index),
            matcher,
            bias: Vec::new(),
            text: TextBuilder::new(&plan.stop),
            budget,
            generated: 0,
            rivals: plan.logprobs,
            logprobs: Vec::new(),
            finish: None,
        }
    }

    /// With these added to the scores of the first token that is freely chosen.
    pub(crate) fn biased(mut self, bias: &[(TokenId, f32)]) -> Self {
        self.bias = bias.to_vec();
        self
    }

    pub(crate) fn is_done(&self) -> bool {
        self.finish.is_some()
    }

    /// Tokens that are chosen but not decoded yet.
    pub(crate) fn pending(&self) -> &[LlamaToken] {
        &self.pending
    }

    /// Takes note that the pending tokens are decoded, and returns them.
    pub(crate) fn decoded(&mut self) -> Vec<LlamaToken> {
        self.position += self.pending.len();
        std::mem::take(&mut self.pending)
    }

    /// Tokens generated so far.
    pub(crate) fn generated(&self) -> usize {
        self.generated
    }

    /// Adds what the grammar forces at this place. Returns the text that became certain.
    pub(crate) fn force(&mut self, vocab: &LlamaVocab<'_>) -> Result<String, String> {
        let mut sure = String::new();
        let Some(matcher) = self.matcher.as_mut().filter(|matcher| !matcher.is_stopped()) else {
            return Ok(sure);
        };
        for token in matcher.compute_ff_tokens() {
            if self.is_done() {
                break;
            }
            self.note_certain(vocab, token);
            sure.push_str(&self.take(vocab, token)?);
        }
        Ok(sure)
    }

    /// Chooses the next token by the scores, and takes what the grammar forces after it. Returns
    /// the text that became certain.
    pub(crate) fn advance(
        &mut self,
        vocab: &LlamaVocab<'_>,
        scores: &[f32],
    ) -> Result<String, String> {
        let mask = self.matcher.as_mut().map(Matcher::compute_mask).transpose();
        let mask = mask.map_err(|e| format!("the grammar cannot go on: {}", one_line(e)))?;
        let moved = moved(scores, &std::mem::take(&mut self.bias));
        let row = Row::new(moved.as_deref().unwrap_or(scores), mask.as_ref());
        let token = self.sampler.pick(row).ok_or("the model gave no usable scores")?;
        if vocab.is_eog(to_llama(token)) {
            return Ok(self.end(FinishReason::Stop));
        }
        self.note(vocab, row, token);
        let mut sure = self.take(vocab, token)?;
        sure.push_str(&self.force(vocab)?);
        Ok(sure)
    }

    /// The finished completion.
    pub(crate) fn into_completion(self) -> Completion {
        let end = self.text.text().len();
        let inside = self.logprobs.into_iter().filter(|(start, _)| *start < end);
        Completion {
            logprobs: self.rivals.map(|_| inside.map(|(_, logprob)| logprob).collect()),
            text: self.text.into_text(),
            finish: self.finish.unwrap_or_default(),
            ..Completion::default()
        }
    }

    /// Appends a token and decides whether it is the last one.
    fn take(&mut self, vocab: &LlamaVocab<'_>, token: TokenId) -> Result<String, String> {
        self.generated += 1;
        self.pending.push(to_llama(token));
        let bytes = vocab.token_to_piece(to_llama(token), false, None);
        let (mut sure, stopped) = self.text.push(&bytes);
        if stopped {
            self.finish = Some(FinishReason::Stop);
            return Ok(sure);
        }
        let mut complete = false;
        if let Some(matcher) = &mut self.matcher {
            let fault = |e| format!("the grammar failed: {}", one_line(e));
            matcher.consume_token(token).map_err(fault)?;
            complete = matcher.is_stopped();
        }
        if complete {
            sure.push_str(&self.end(FinishReason::Stop));
        } else if self.generated >= self.budget {
            sure.push_str(&self.end(FinishReason::Length));
        }
        Ok(sure)
    }

    fn end(&mut self, reason: FinishReason) -> String {
        self.finish = Some(reason);
        self.text.finish()
    }

    /// Notes a token's log-probability, if wanted.
    fn note(&mut self, vocab: &LlamaVocab<'_>, row: Row<'_>, token: TokenId) {
        let Some(k) = self.rivals else { return };
        let (logprob, top) = logprobs(row, token, k);
        let top = top.into_iter().map(|(id, logprob)| (shown(vocab, id), logprob)).collect();
        let entry = TokenLogprob { token: shown(vocab, token), logprob, top };
        self.logprobs.push((self.text.reach(), entry));
    }

    /// Notes a forced token: it is certain.
    fn note_certain(&mut self, vocab: &LlamaVocab<'_>, token: TokenId) {
        if self.rivals.is_some() {
            let entry = TokenLogprob { token: shown(vocab, token), logprob: 0.0, top: Vec::new() };
            self.logprobs.push((self.text.reach(), entry));
        }
    }
}

/// The scores with the bias added, if there is any.
fn moved(scores: &[f32], bias: &[(TokenId, f32)]) -> Option<Vec<f32>> {
    if bias.is_empty() {
        return None;
    }
    let mut scores = scores.to_vec();
    for (token, added) in bias {
        if let Some(score) = scores.get_mut(*token as usize) {
            *score += added;
        }
    }
    Some(scores)
}

/// llguidance's token for llama.cpp; every id is below 2^31.
fn to_llama(token: TokenId) -> LlamaToken {
    LlamaToken(token.cast_signed())
}

fn shown(vocab: &LlamaVocab<'_>, token: TokenId) -> String {
    String::from_utf8_lossy(&vocab.token_to_piece(to_llama(token), true, None)).into_owned()
}
