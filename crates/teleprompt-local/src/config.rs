//! How the engine runs.

use std::num::NonZeroUsize;

use crate::kv::SCRATCH;

/// The type in which keys and values are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KvCache {
    /// 16-bit floats.
    #[default]
    F16,
    /// 8-bit blocks: half the memory, slightly different answers.
    Q8,
}

/// Settings of a [`LocalLm`](crate::LocalLm).
///
/// ```
/// use teleprompt_local::EngineConfig;
/// let config = EngineConfig { threads: Some(1), ..EngineConfig::default() };
/// assert_eq!(config.slots, 8);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineConfig {
    /// Tokens of prompt and completion together; at the same time the tokens that all prompts kept
    /// in memory share. Default: the model's trained window, at most 8192. A larger value than the
    /// trained window is cut to it.
    pub context_length: Option<u32>,
    /// Threads that compute. Default: half of what the machine runs at once, at least 1. All of
    /// them is faster on an idle machine (1.7 times for prompts and 1.2 times for generation on two
    /// cores), but llama.cpp's threads wait for each other without giving way: when other processes
    /// take part of the cores, two threads on two cores are slower than one, at times many times.
    pub threads: Option<u32>,
    /// Prompts whose keys and values are kept for reuse, 1 to 64. It should be at least the number
    /// of predictors that are called in turn. Default: 8.
    pub slots: usize,
    /// Most tokens of a completion when the request does not say. Default: 512.
    pub max_tokens_default: u32,
    /// Tokens that are decoded at once, 128 to 8192; between two such batches a request can be
    /// cancelled. Default: 512.
    pub batch: u32,
    /// The type in which keys and values are kept. Default: 16-bit floats.
    pub kv_cache: KvCache,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            context_length: None,
            threads: None,
            slots: 8,
            max_tokens_default: 512,
            batch: 512,
            kv_cache: KvCache::F16,
        }
    }
}

/// The window when the settings do not say, if the model has as much.
const DEFAULT_WINDOW: u32 = 8192;

impl EngineConfig {
    /// What makes no sense about these settings, if anything.
    pub(crate) fn check(&self) -> Result<(), String> {
        let wrong = |what: &str, range: &str, value: u64| {
            Err(format!("EngineConfig::{what} must be {range}, not {value}"))
        };
        if !(1..=64).contains(&self.slots) {
            return wrong("slots", "1 to 64", self.slots as u64);
        }
        if !(MIN_BATCH..=8192).contains(&self.batch) {
            return wrong("batch", "128 to 8192", self.batch.into());
        }
        if self.max_tokens_default == 0 {
            return wrong("max_tokens_default", "at least 1", 0);
        }
        match (self.threads, self.context_length) {
            (Some(n @ (0 | 513..)), _) => wrong("threads", "1 to 512", n.into()),
            (_, Some(n @ ..=63)) => wrong("context_length", "at least 64", n.into()),
            _ => Ok(()),
        }
    }

    /// The window in tokens for a model with this trained window.
    pub(crate) fn window(&self, trained: u32) -> u32 {
        self.context_length.unwrap_or(DEFAULT_WINDOW).min(trained.max(64))
    }

    /// The number of threads.
    pub(crate) fn thread_count(&self) -> u32 {
        let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.threads.unwrap_or_else(|| u32::try_from(cores() / 2).unwrap_or(1).max(1))
    }

    /// The settings that change answers and differ from their defaults, for the LM's identity.
    pub(crate) fn identity_suffix(&self) -> String {
        let mut suffix = String::new();
        if let Some(length) = self.context_length {
            suffix.push_str(&format!(";context={length}"));
        }
        if self.max_tokens_default != Self::default().max_tokens_default {
            suffix.push_str(&format!(";max_tokens={}", self.max_tokens_default));
        }
        if self.kv_cache == KvCache::Q8 {
            suffix.push_str(";kv=q8");
        }
        suffix
    }
}

/// llama.cpp aborts when a batch has not as much room as there are sequences.
const MIN_BATCH: u32 = 128;
const _: () = assert!(64 + SCRATCH <= MIN_BATCH as usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_sane_and_nonsense_is_named() {
        assert_eq!(EngineConfig::default().check(), Ok(()));
        let bad = [
            (EngineConfig { slots: 0, ..Default::default() }, "slots"),
            (EngineConfig { batch: 1, ..Default::default() }, "batch"),
            (EngineConfig { threads: Some(0), ..Default::default() }, "threads"),
            (EngineConfig { context_length: Some(8), ..Default::default() }, "context_length"),
            (EngineConfig { max_tokens_default: 0, ..Default::default() }, "max_tokens_default"),
        ];
        for (config, name) in bad {
            assert!(config.check().unwrap_err().contains(name));
        }
    }

    #[test]
    fn the_window_is_bounded_by_the_model() {
        let config = EngineConfig::default();
        assert_eq!((config.window(2048), config.window(131_072)), (2048, 8192));
        let config = EngineConfig { context_length: Some(100_000), ..config };
        assert_eq!((config.window(2048), config.window(131_072)), (2048, 100_000));
    }

    #[test]
    fn the_identity_names_what_changes_answers() {
        assert_eq!(EngineConfig::default().identity_suffix(), "");
        let config = EngineConfig { threads: Some(1), slots: 2, ..Default::default() };
        assert_eq!(config.identity_suffix(), "");
        let config = EngineConfig { kv_cache: KvCache::Q8, max_tokens_default: 9, ..config };
        assert_eq!(config.identity_suffix(), ";max_tokens=9;kv=q8");
    }
}
