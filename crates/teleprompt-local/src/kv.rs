//! The llama.cpp context: decoding with every length checked first, and the slots' keys and values.
//!
//! llama.cpp aborts the process when a batch is longer than `n_batch`, and it names some faults
//! wrongly; nothing else in this crate may call `decode`.

use std::fmt;
use std::num::NonZeroU32;

use llama_cpp_2::DecodeError;
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::{KvCacheType, LlamaContextParams};
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::token::LlamaToken;

use crate::config::{EngineConfig, KvCache};
use crate::slots::Slots;
use crate::weights::Weights;

/// Sequences beside the slots, for the second and later completions of a request.
pub(crate) const SCRATCH: usize = 15;

/// Why decoding did not go on. Unless it was cancelled, what the context holds is unknown.
#[derive(Debug)]
pub(crate) enum KvFault {
    /// Nobody waits for the answer any more.
    Cancelled,
    /// No room although everything that may go is gone.
    Full,
    /// llama.cpp failed, or we did.
    Broken(String),
}

impl fmt::Display for KvFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KvFault::Cancelled => f.write_str("cancelled"),
            KvFault::Full => f.write_str("no room is left in the window"),
            KvFault::Broken(what) => f.write_str(what),
        }
    }
}

/// One completion's share of a decoding step.
pub(crate) struct Part<'a> {
    /// The KV sequence.
    pub(crate) seq: usize,
    /// The position of the first token.
    pub(crate) start: usize,
    /// The tokens; the scores after the last one are wanted.
    pub(crate) tokens: &'a [LlamaToken],
}

/// The context with its slots: sequences `0..slots` are slots, the next [`SCRATCH`] are scratch.
pub(crate) struct Kv<'w> {
    context: LlamaContext<'w>,
    batch: LlamaBatch<'static>,
    slots: Slots,
    slot_count: usize,
    batch_size: usize,
    window: usize,
}

impl<'w> Kv<'w> {
    pub(crate) fn new(weights: &'w Weights, config: &EngineConfig) -> Result<Self, String> {
        let window = config.window(weights.trained_window());
        let params = params(config, window);
        let context = weights.model().new_context(weights.backend(), params).map_err(|_| {
            format!(
                "a context of {window} tokens could not be created; if memory is short, set a \
                     smaller context_length"
            )
        })?;
        let batch_size = context.n_batch().min(config.batch) as usize;
        Ok(Self {
            batch: LlamaBatch::new(batch_size, 1),
            slots: Slots::new(config.slots, weights.cuttable()),
            slot_count: config.slots,
            batch_size,
            window: window.min(context.n_ctx()) as usize,
            context,
        })
    }

    /// Most tokens that all sequences hold together.
    pub(crate) fn window(&self) -> usize {
        self.window
    }

    /// The scratch sequence number `index`, which is below [`SCRATCH`].
    pub(crate) fn scratch(&self, index: usize) -> usize {
        self.slot_count + index.min(SCRATCH - 1)
    }

    /// How many tokens a slot holds.
    pub(crate) fn len(&self, slot: usize) -> usize {
        self.slots.tokens(slot).len()
    }

    /// Takes a slot for the prompt, with as much of it as is known. Returns the slot and how many
    /// tokens need no computation, at most all but one.
    pub(crate) fn admit(&mut self, prompt: &[LlamaToken]) -> Result<(usize, usize), KvFault> {
        let place = self.slots.place(prompt);
        if place.slot == place.source {
            self.remove(place.slot, place.reused)?;
        } else {
            self.remove(place.slot, 0)?;
            self.copy(place.source, place.slot, place.reused)?;
        }
        Ok((place.slot, place.reused))
    }

    /// Decodes tokens at the end of a slot. Returns the row of scores after the last one.
    pub(crate) fn extend(
        &mut self,
        slot: usize,
        tokens: &[LlamaToken],
        cancelled: impl Fn() -> bool,
    ) -> Result<i32, KvFault> {
        for chunk in tokens.chunks(self.batch_size) {
            if cancelled() {
                return Err(KvFault::Cancelled);
            }
            self.batch.clear();
            self.add(slot, self.len(slot), chunk)?;
            self.decode(slot)?;
            self.slots.extend(slot, chunk);
        }
        Ok(self.batch.n_tokens() - 1)
    }

    /// Gives a scratch sequence all that a slot holds.
    pub(crate) fn fork(&mut self, slot: usize, scratch: usize) -> Result<(), KvFault> {
        self.copy(slot, scratch, self.len(slot))
    }

    /// Empties a scratch sequence.
    pub(crate) fn release(&mut self, scratch: usize) -> Result<(), KvFault> {
        self.remove(scratch, 0)
    }

    /// How many of the parts, from the first on, fit into one batch; at least one.
    pub(crate) fn fitting(&self, lengths: impl Iterator<Item = usize>) -> usize {
        let mut sum = 0;
        let fits = lengths.take_while(|len| {
            sum += len;
            sum <= self.batch_size
        });
        fits.count().max(1)
    }

    /// Decodes the parts in one batch; `slot` is the slot that one of them may continue. Returns
    /// the rows of scores, one per part. A single part may be longer than a batch.
    pub(crate) fn step(&mut self, slot: usize, parts: &[Part<'_>]) -> Result<Vec<i32>, KvFault> {
        let mut rows = Vec::with_capacity(parts.len());
        self.batch.clear();
        for part in parts {
            let mut start = part.start;
            let mut tokens = part.tokens;
            while tokens.len() > self.room() && parts.len() == 1 {
                let (head, rest) = tokens.split_at(self.room());
                self.add(part.seq, start, head)?;
                self.decode(slot)?;
                self.batch.clear();
                start += head.len();
                tokens = rest;
            }
            self.add(part.seq, start, tokens)?;
            rows.push(self.batch.n_tokens() - 1);
        }
        self.decode(slot)?;
        for part in parts.iter().filter(|part| part.seq == slot) {
            self.slots.extend(slot, part.tokens);
        }
        Ok(rows)
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.context.clear_kv_cache();
        self.slots.clear();
    }

    /// The scores of all tokens in a row of the last batch.
    pub(crate) fn scores(&self, row: i32) -> &[f32] {
        self.context.get_logits_ith(row)
    }

    fn room(&self) -> usize {
        self.batch_size - self.batch.n_tokens().unsigned_abs() as usize
    }

    /// Adds tokens to the batch, the last one with scores.
    fn add(&mut self, seq: usize, start: usize, tokens: &[LlamaToken]) -> Result<(), KvFault> {
        if tokens.len() > self.room() || start + tokens.len() > self.window {
            return Err(KvFault::Full);
        }
        let last = tokens.len().saturating_sub(1);
        for (i, token) in tokens.iter().enumerate() {
            let position = to_i32(start + i)?;
            let added = self.batch.add(*token, position, &[to_i32(seq)?], i == last);
            added.map_err(|e| KvFault::Broken(e.to_string()))?;
        }
        Ok(())
    }

    /// Decodes the batch; gives up other slots as long as cells are missing.
    fn decode(&mut self, keep: usize) -> Result<(), KvFault> {
        if self.batch.n_tokens() == 0 {
            return Ok(());
        }
        loop {
            match self.context.decode(&mut self.batch) {
                Ok(()) => return Ok(()),
                Err(DecodeError::NoKvCacheSlot) => {
                    let victim = self.slots.evict(keep).ok_or(KvFault::Full)?;
                    self.remove(victim, 0)?;
                }
                Err(error) => return Err(KvFault::Broken(error.to_string())),
            }
        }
    }

    /// Cuts a sequence back to its first `keep` tokens.
    fn remove(&mut self, seq: usize, keep: usize) -> Result<(), KvFault> {
        let from = (keep > 0).then_some(to_u32(keep)?);
        match self.context.clear_kv_cache_seq(Some(to_u32(seq)?), from, None) {
            Ok(true) => Ok(()),
            _ => Err(KvFault::Broken(format!("sequence {seq} could not be cut to {keep}"))),
        }
    }

    fn copy(&mut self, from: usize, to: usize, len: usize) -> Result<(), KvFault> {
        if len == 0 {
            return Ok(());
        }
        self.context
            .kv_cache_seq_cp(to_i32(from)?, to_i32(to)?, None, Some(to_u32(len)?))
            .map_err(|e| KvFault::Broken(e.to_string()))
    }
}

fn params(config: &EngineConfig, window: u32) -> LlamaContextParams {
    let threads = i32::try_from(config.thread_count()).unwrap_or(1);
    let sequences = u32::try_from(config.slots + SCRATCH).unwrap_or(u32::MAX);
    let kind = match config.kv_cache {
        KvCache::F16 => KvCacheType::F16,
        KvCache::Q8 => KvCacheType::Q8_0,
    };
    LlamaContextParams::default()
        // llama.cpp rounds it up to this anyway, but limits the batch by what it is told.
        .with_n_ctx(NonZeroU32::new(window.max(256)))
        .with_n_batch(config.batch)
        .with_n_ubatch(config.batch.min(512))
        .with_n_seq_max(sequences)
        .with_n_threads(threads)
        .with_n_threads_batch(threads)
        .with_kv_unified(true)
        .with_type_k(kind)
        .with_type_v(kind)
}

fn to_i32(value: usize) -> Result<i32, KvFault> {
    i32::try_from(value).map_err(|_| KvFault::Broken(format!("{value} is out of range")))
}

fn to_u32(value: usize) -> Result<u32, KvFault> {
    u32::try_from(value).map_err(|_| KvFault::Broken(format!("{value} is out of range")))
}
