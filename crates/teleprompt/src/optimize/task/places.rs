//! Where the examples at hand stand in the splits of the compile.

use std::collections::HashMap;
use std::sync::Arc;

use teleprompt_core::Example;

use crate::data::Dataset;
use crate::optimize::study::Split;

/// The places of all examples in the whole splits, by content, and which validation set is at hand.
#[derive(Clone)]
pub(in crate::optimize) struct Places {
    whole: Arc<HashMap<(Split, blake3::Hash), usize>>,
    set: Arc<str>,
}

impl Places {
    /// Of the whole splits.
    pub fn whole(train: &Dataset, val: &Dataset, test: &Dataset) -> Self {
        let mut whole = HashMap::new();
        for (split, data) in [(Split::Train, train), (Split::Val, val), (Split::Test, test)] {
            for (place, example) in data.iter().enumerate() {
                // Equal examples are one: their results are, too.
                whole.entry((split, content(example))).or_insert(place);
            }
        }
        Self { whole: Arc::new(whole), set: val.hash().into() }
    }

    /// The same splits, where other validation examples are at hand.
    pub fn with_val(&self, val: &Dataset) -> Self {
        Self { whole: self.whole.clone(), set: val.hash().into() }
    }

    /// Tells the validation set at hand from others.
    pub fn set(&self) -> &Arc<str> {
        &self.set
    }

    /// The example's place in the whole split, if it is of it.
    pub fn place(&self, split: Split, example: &Example) -> Option<usize> {
        self.whole.get(&(split, content(example))).copied()
    }
}

fn content(example: &Example) -> blake3::Hash {
    blake3::hash(&serde_json::to_vec(example).unwrap_or_default())
}
