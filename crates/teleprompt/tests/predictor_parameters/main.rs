//! What a compiler may change in a predictor beside its texts: which demonstrations a call shows, and
//! how outputs are decided from probabilities.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod decisions;
mod demos;

use std::sync::Arc;

use serde_json::json;
use teleprompt::adapter::ChatAdapter;
use teleprompt::{Context, Decision, EvidenceSource, Likeness, LmHandle, Parameters, Rule};
use teleprompt_testkit::scripted::ScriptedLm;

fn context(lm: &ScriptedLm) -> Context {
    Context::new(LmHandle::new(lm.clone()), Arc::new(ChatAdapter))
}

#[test]
fn parameters_without_anything_are_short_and_unknown_ones_are_told() {
    assert_eq!(json!(Parameters::default()), json!({}));
    let none = Parameters { demos: Some(Vec::new()), ..Parameters::default() };
    assert_eq!(json!(none), json!({"demos": []}));
    let decision = Decision { from: EvidenceSource::Logprobs, rule: Rule::Threshold(0.25) };
    let stated = EvidenceSource::Stated { field: "p".into() };
    let full = Parameters {
        decisions: [
            ("a".into(), decision),
            ("b".into(), Decision { from: stated, rule: Rule::even_cuts(3) }),
        ]
        .into(),
        ..demos::nearest(2, Likeness::Embedder("small".into()))
    };
    let written = json!(full);
    assert_eq!(written["nearest"]["by"], json!({"embedder": "small"}));
    assert_eq!(written["decisions"]["a"], json!({"from": "logprobs", "rule": {"threshold": 0.25}}));
    assert_eq!(serde_json::from_value::<Parameters>(written.clone()).unwrap(), full);
    for (place, key) in [("/nearest", "kk"), ("/decisions/a", "when")] {
        let mut wrong = written.clone();
        wrong.pointer_mut(place).unwrap()[key] = json!(1);
        assert!(serde_json::from_value::<Parameters>(wrong).is_err(), "{place}");
    }
}
