//! The part of the cache that is in memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use teleprompt_core::{Completion, LmResponse};

use super::key::{Key, KeyMap};

/// Bounded by entries and bytes. What was not used lately goes first: entries are held in two
/// generations; a hit moves an entry to the young one, and when that holds half of the bound, the
/// old one is dropped and the young one becomes the old.
pub(super) struct Memory {
    generations: Mutex<Generations>,
    half_entries: usize,
    half_bytes: usize,
}

#[derive(Default)]
struct Generations {
    young: KeyMap<Arc<LmResponse>>,
    old: KeyMap<Arc<LmResponse>>,
    young_bytes: usize,
}

impl Memory {
    pub(super) fn new(entries: usize, bytes: usize) -> Self {
        Self {
            generations: Mutex::default(),
            half_entries: entries.div_ceil(2),
            half_bytes: bytes.div_ceil(2),
        }
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<LmResponse>> {
        let mut generations = self.lock();
        if let Some(found) = generations.young.get(key) {
            return Some(found.clone());
        }
        let found = generations.old.remove(key)?;
        self.insert(&mut generations, *key, found.clone());
        Some(found)
    }

    pub(super) fn put(&self, key: Key, response: Arc<LmResponse>) {
        self.insert(&mut self.lock(), key, response);
    }

    fn insert(&self, generations: &mut Generations, key: Key, response: Arc<LmResponse>) {
        let size = size(&response);
        if self.half_entries == 0 || size > self.half_bytes {
            return;
        }
        let full = generations.young.len() >= self.half_entries
            || generations.young_bytes + size > self.half_bytes;
        if full {
            generations.old = std::mem::take(&mut generations.young);
            generations.young_bytes = 0;
        }
        generations.young_bytes += size;
        generations.young.insert(key, response);
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Roughly the bytes that an entry takes.
fn size(response: &LmResponse) -> usize {
    const ENTRY: usize = 200;
    const TOKEN: usize = 80;
    let completion = |c: &Completion| {
        let tokens = c.logprobs.iter().flatten().map(|t| TOKEN * (1 + t.top.len()));
        let thought = c.reasoning.iter().map(|r| r.text.len() + ENTRY);
        let calls = c.tool_calls.iter().map(|t| t.arguments.len() + ENTRY);
        c.text.len() + ENTRY + tokens.sum::<usize>() + thought.chain(calls).sum::<usize>()
    };
    response.completions.iter().map(completion).sum::<usize>() + ENTRY
}

#[cfg(test)]
mod tests {
    use teleprompt_core::{LmRequest, Message};

    use super::*;

    fn key(i: usize) -> Key {
        Key::of("lm", &LmRequest::new(vec![Message::user(i.to_string())]))
    }

    fn filled(memory: &Memory, count: usize, text: &str) -> usize {
        for i in 0..count {
            memory.put(key(i), Arc::new(LmResponse::text(text)));
        }
        (0..count).filter(|i| memory.lock().young.contains_key(&key(*i))).count()
            + (0..count).filter(|i| memory.lock().old.contains_key(&key(*i))).count()
    }

    #[test]
    fn entries_and_bytes_are_bounded() {
        let kept = filled(&Memory::new(10, usize::MAX), 100, "text");
        assert!((5..=10).contains(&kept), "{kept} entries of at most 10");
        let kept = filled(&Memory::new(1000, 100_000), 100, &"x".repeat(10_000));
        assert!((4..=9).contains(&kept), "{kept} entries of 10 kB in 100 kB");
        assert_eq!(filled(&Memory::new(0, usize::MAX), 3, "text"), 0);
        assert_eq!(filled(&Memory::new(10, 1000), 3, &"x".repeat(10_000)), 0);
    }

    #[test]
    fn what_is_used_stays() {
        let memory = Memory::new(10, usize::MAX);
        memory.put(key(0), Arc::new(LmResponse::text("mine")));
        for i in 1..100 {
            memory.put(key(i), Arc::new(LmResponse::text("other")));
            assert!(memory.get(&key(0)).is_some(), "lost after {i} others");
        }
        assert!(memory.get(&key(1)).is_none());
    }
}
