//! Which prompt stays in memory: the book-keeping of the KV sequences, without any KV.
//!
//! Every slot remembers the tokens whose keys and values it holds. A new prompt starts from the
//! slot with the longest common prefix. It is then written to the slot whose loss costs least:
//!
//! > cost = (tokens that no other slot would still hold) ÷ (requests since its last use)
//!
//! Copying a prefix only tags cells, so the slot that served as source usually stays as it was.
//! Two workloads shape the rule. One prefix with changing ends: the slots differ in their ends
//! only, so an old end goes and the prefix never does. Several prefixes in turn: another prefix is
//! expensive to lose while an old end of one's own is cheap, so all of them stay.

use llama_cpp_2::token::LlamaToken;

/// One KV sequence.
#[derive(Clone, Debug, Default)]
struct Slot {
    tokens: Vec<LlamaToken>,
    /// The clock at its last use.
    used: u64,
}

/// Where a prompt goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placement {
    /// The slot to write to.
    pub(crate) slot: usize,
    /// The slot to take the prefix from; the same one if it is continued in place.
    pub(crate) source: usize,
    /// Tokens of the prefix that need no computation.
    pub(crate) reused: usize,
}

/// All slots.
#[derive(Debug)]
pub(crate) struct Slots {
    slots: Vec<Slot>,
    clock: u64,
    /// Whether a sequence can be cut back to a shorter prefix (recurrent models cannot).
    cuttable: bool,
}

impl Slots {
    pub(crate) fn new(count: usize, cuttable: bool) -> Self {
        Self { slots: vec![Slot::default(); count], clock: 0, cuttable }
    }

    /// The tokens that a slot holds.
    pub(crate) fn tokens(&self, slot: usize) -> &[LlamaToken] {
        self.slots.get(slot).map_or(&[], |s| &s.tokens)
    }

    /// Chooses a place for the prompt and takes note of it: the slot then holds the reused prefix.
    pub(crate) fn place(&mut self, prompt: &[LlamaToken]) -> Placement {
        self.clock += 1;
        let (source, reused) = self.longest_prefix(prompt);
        let slot = self.cheapest(Some(prompt), None).unwrap_or(source);
        let tokens = prompt.get(..reused).unwrap_or_default().to_vec();
        if let Some(slot) = self.slots.get_mut(slot) {
            *slot = Slot { tokens, used: self.clock };
        }
        Placement { slot, source, reused }
    }

    /// Takes note that tokens were added to a slot.
    pub(crate) fn extend(&mut self, slot: usize, tokens: &[LlamaToken]) {
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.tokens.extend_from_slice(tokens);
        }
    }

    /// Gives up the slot whose loss costs least, but not `keep`; `None` if there is none left.
    pub(crate) fn evict(&mut self, keep: usize) -> Option<usize> {
        let victim = self.cheapest(None, Some(keep))?;
        self.slots.get_mut(victim)?.tokens.clear();
        Some(victim)
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.tokens.clear());
    }

    /// The slot with the longest usable prefix of the prompt, and how long it is. The prompt's
    /// last token is never reused: its logits must be computed.
    fn longest_prefix(&self, prompt: &[LlamaToken]) -> (usize, usize) {
        let limit = prompt.len().saturating_sub(1);
        let usable = |slot: &Slot| {
            let len = common(&slot.tokens, prompt).min(limit);
            if self.cuttable || len == slot.tokens.len() { len } else { 0 }
        };
        let slots = self.slots.iter().enumerate();
        let best = slots.map(|(i, slot)| (usable(slot), slot.used, i)).max();
        best.map_or((0, 0), |(len, _, index)| (index, len))
    }

    /// The slot whose loss costs least. With a prompt: given that the prompt comes in its place.
    /// Without: only slots that hold something.
    fn cheapest(&self, prompt: Option<&[LlamaToken]>, keep: Option<usize>) -> Option<usize> {
        let slots = self.slots.iter().enumerate();
        let open =
            slots.filter(|&(i, s)| Some(i) != keep && (prompt.is_some() || !s.tokens.is_empty()));
        let cost = |index: usize, slot: &Slot| {
            let others = self.slots.iter().enumerate().filter(|(i, _)| *i != index);
            let held = others.map(|(_, s)| common(&s.tokens, &slot.tokens)).max().unwrap_or(0);
            let held = held.max(prompt.map_or(0, |p| common(p, &slot.tokens)));
            let age = (self.clock - slot.used).max(1);
            (slot.tokens.len() - held) as f64 / age as f64
        };
        open.map(|(i, slot)| (cost(i, slot), slot.used, i))
            .min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)))
            .map(|(_, _, index)| index)
    }
}

/// Length of the longest common prefix.
fn common(a: &[LlamaToken], b: &[LlamaToken]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A prompt of `prefix` tokens of kind `kind` after a header that all kinds share, and an end
    /// of its own.
    fn prompt(kind: i32, prefix: usize, end: i32) -> Vec<LlamaToken> {
        let header = (0..20).map(LlamaToken);
        let body = (0..prefix as i32).map(move |i| LlamaToken(1000 * kind + i));
        let end = (0..40).map(move |i| LlamaToken(-1 - 100 * end - i));
        header.chain(body).chain(end).collect()
    }

    /// Serves a prompt with a reply of 5 tokens; returns how much was reused.
    fn serve(slots: &mut Slots, prompt: &[LlamaToken]) -> usize {
        let place = slots.place(prompt);
        slots.extend(place.slot, &prompt[place.reused..]);
        slots.extend(place.slot, &[LlamaToken(-7); 5]);
        place.reused
    }

    #[test]
    fn one_prefix_with_changing_ends_is_never_recomputed() {
        for count in [1, 2, 8] {
            let mut slots = Slots::new(count, true);
            assert_eq!(serve(&mut slots, &prompt(1, 600, 0)), 0);
            for end in 1..50 {
                assert_eq!(serve(&mut slots, &prompt(1, 600, end)), 620, "{count} slots");
            }
        }
    }

    #[test]
    fn alternating_prefixes_all_stay() {
        for (kinds, count) in [(3, 3), (3, 4), (3, 8), (8, 8)] {
            let mut slots = Slots::new(count, true);
            for end in 0..50 {
                for kind in 1..=kinds {
                    let reused = serve(&mut slots, &prompt(kind, 600, end));
                    if end > 0 {
                        assert_eq!(reused, 620, "{kinds} kinds, {count} slots, round {end}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_prefix_survives_a_run_of_another_and_is_given_up_at_last() {
        let mut slots = Slots::new(4, true);
        serve(&mut slots, &prompt(1, 600, 0));
        for end in 0..30 {
            serve(&mut slots, &prompt(2, 600, end));
        }
        assert_eq!(serve(&mut slots, &prompt(1, 600, 99)), 620);
        for end in 0..300 {
            serve(&mut slots, &prompt(2, 600, end));
        }
        assert_eq!(serve(&mut slots, &prompt(1, 600, 99)), 20);
    }

    #[test]
    fn long_ends_do_not_drive_out_short_prefixes() {
        let mut slots = Slots::new(8, true);
        for end in 0..40 {
            for kind in 1..=3 {
                let mut long = prompt(kind, 100, end);
                long.extend((0..400).map(|i| LlamaToken(-9000 - 400 * end - i)));
                let reused = serve(&mut slots, &long);
                assert!(end == 0 || reused == 120, "kind {kind}, round {end}: {reused}");
            }
        }
    }

    #[test]
    fn the_last_token_is_always_computed() {
        let mut slots = Slots::new(2, true);
        let same = prompt(1, 10, 0);
        serve(&mut slots, &same);
        assert_eq!(serve(&mut slots, &same), same.len() - 1);
    }

    #[test]
    fn a_conversation_continues() {
        let mut slots = Slots::new(2, true);
        let mut turn = prompt(1, 100, 0);
        serve(&mut slots, &turn);
        turn.extend([LlamaToken(-7); 5]);
        let known = turn.len();
        turn.extend([LlamaToken(-8); 30]);
        assert_eq!(serve(&mut slots, &turn), known);
    }

    #[test]
    fn a_model_that_cannot_be_cut_back_reuses_whole_slots_only() {
        let mut slots = Slots::new(2, false);
        let first = prompt(1, 100, 0);
        serve(&mut slots, &first);
        assert_eq!(serve(&mut slots, &prompt(1, 100, 1)), 0);
        let mut longer = slots.tokens(0).to_vec();
        longer.push(LlamaToken(-50));
        assert_eq!(serve(&mut slots, &longer), longer.len() - 1);
    }

    #[test]
    fn eviction_spares_the_current_slot_and_ends() {
        let mut slots = Slots::new(3, true);
        for kind in 1..=3 {
            serve(&mut slots, &prompt(kind, 50, 0));
        }
        let mut gone = [slots.evict(1), slots.evict(1)];
        gone.sort_unstable();
        assert_eq!(gone, [Some(0), Some(2)]);
        assert_eq!(slots.evict(1), None);
        assert!(!slots.tokens(1).is_empty());
    }
}
