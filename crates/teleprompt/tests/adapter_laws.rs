//! What is written is read back: for random signatures and values, in both forms.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail loudly"
)]

mod adapter_support;

use proptest::prelude::*;
use teleprompt::Adapter;
use teleprompt::adapter::{ChatAdapter, JsonAdapter};

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_back((signature, outputs) in adapter_support::case()) {
        for adapter in [&ChatAdapter as &dyn Adapter, &JsonAdapter] {
            let written = adapter.assistant(&signature, &outputs);
            let read = adapter.parse(&signature, &written);
            let read = read.map_err(|e| TestCaseError::fail(format!("{signature}: {e}")))?;
            prop_assert_eq!(&read.fields, &outputs, "{}: {}", signature, written);
            prop_assert!(read.flags.is_empty(), "{}: {}: {:?}", signature, written, read.flags);
        }
    }

    #[test]
    fn damaged_replies_give_a_result(
        (signature, outputs) in adapter_support::case(), cut: prop::sample::Index,
        junk in adapter_support::text(), at: prop::sample::Index,
    ) {
        for adapter in [&ChatAdapter as &dyn Adapter, &JsonAdapter] {
            let mut reply = adapter.assistant(&signature, &outputs);
            let spot = |index: prop::sample::Index, len: usize| {
                (0..=index.index(len + 1)).rev().find(|i| reply.is_char_boundary(*i)).unwrap_or(0)
            };
            let len = reply.len();
            let (at, cut) = (spot(at, len), spot(cut, len));
            reply.truncate(cut);
            reply.insert_str(at.min(cut), &junk);
            match adapter.parse(&signature, &reply) {
                Ok(read) => prop_assert_eq!(read.fields.len(), signature.outputs().len()),
                Err(error) => {
                    prop_assert!(!error.fields.is_empty());
                    prop_assert!(error.for_model().len() < 20_000);
                }
            }
        }
    }
}
