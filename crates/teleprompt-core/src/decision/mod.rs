//! Decisions: outputs whose value is read off from probabilities by cuts that stand outside of the
//! prompt.
//!
//! An LM that says `true` at a probability of 0.4 may be right more often when only 0.7 counts as
//! `true`. A [`Decision`] on an output says where its probabilities come from ([`EvidenceSource`])
//! and how they become a value ([`Rule`]). The [`Evidence`] is kept in the prediction and in the
//! trace, so that a rule can be fitted to a metric later without another call.

mod decider;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::names::suggestion;
use crate::signature::Signature;
use crate::types::Kind;

pub use decider::{Decider, Labels, MOST_LEVELS};

/// How one output is decided: a bool, an enum, or an int of few levels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Where the probabilities come from.
    pub from: EvidenceSource,
    /// How they become a value.
    pub rule: Rule,
}

/// Where the probabilities of a decision come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum EvidenceSource {
    /// The LM's log-probabilities of the tokens that the value is made of, as the LM tells them:
    /// after its grammar and after a label bias, where it applies them. An LM without the capability
    /// `logprobs` gives no evidence.
    Logprobs,
    /// Another output of the signature, a float from 0 to 1: the probability of `true` for a bool,
    /// else the confidence in the label that was said; the other labels share the rest evenly.
    Stated {
        /// The output's name.
        field: Arc<str>,
    },
}

/// How probabilities become a value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// For a bool: true if the probability of `true` is at least this.
    Threshold(f64),
    /// For an enum: the label with the highest product of probability and weight. Weights are at
    /// least 0; a label that is not named has the weight 1. Of equal products the label that was
    /// said counts, else the first declared.
    Weights(BTreeMap<Arc<str>, f64>),
    /// For an int of few levels, or an enum whose labels are in ascending order: the level is the
    /// number of cuts at or below the expected level, counted from 0. One cut fewer than levels,
    /// none below the one before it.
    Cuts(Vec<f64>),
}

impl Rule {
    /// Cuts halfway between the levels.
    ///
    /// ```
    /// use teleprompt_core::Rule;
    /// assert_eq!(Rule::even_cuts(3), Rule::Cuts(vec![0.5, 1.5]));
    /// ```
    pub fn even_cuts(levels: usize) -> Self {
        Rule::Cuts((1..levels).map(|i| i as f64 - 0.5).collect())
    }
}

/// What is known of one output that is a decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The LM's own value, before any rule.
    pub said: Value,
    /// The probability of each label, by its text; empty if nothing is known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<Arc<str>, f64>,
}

/// Evidence by output field.
pub type EvidenceByField = BTreeMap<Arc<str>, Evidence>;

impl Decision {
    /// The decision on this output of the signature, checked and ready to decide.
    ///
    /// # Errors
    /// There is no such output, its type is none that can be decided by this rule, a number makes no
    /// sense, or the field with the stated probability is no float output.
    ///
    /// ```
    /// use teleprompt_core::{Decision, EvidenceSource, Rule, Signature};
    /// let decision = Decision { from: EvidenceSource::Logprobs, rule: Rule::Threshold(0.7) };
    /// let signature: Signature = "mail -> urgent: bool, topic".parse()?;
    /// assert!(decision.on("urgent", &signature).is_ok());
    /// assert!(decision.on("topic", &signature).is_err());
    /// # Ok::<(), teleprompt_core::SignatureError>(())
    /// ```
    pub fn on(&self, field: &str, signature: &Signature) -> Result<Decider, String> {
        let outputs = || signature.outputs().iter().map(|f| &*f.name);
        let Some(output) = signature.output(field) else {
            let hint = suggestion(field, outputs());
            return Err(format!("a decision is on `{field}`, which is no output{hint}"));
        };
        let wrong = |why: String| format!("the decision on `{field}`: {why}");
        let Some(labels) = Labels::of(&output.ty) else {
            return Err(wrong(format!(
                "a {} cannot be decided; it takes a bool, an enum, or an int with a range of 2 to \
                 {MOST_LEVELS} levels",
                output.ty
            )));
        };
        if let EvidenceSource::Stated { field: stated } = &self.from {
            match signature.output(stated) {
                Some(f) if f.ty.kind == Kind::Float => {}
                Some(f) => {
                    let why = format!("`{stated}` must be a float from 0 to 1, and is {}", f.ty);
                    return Err(wrong(why));
                }
                None => {
                    let hint = suggestion(stated, outputs());
                    return Err(wrong(format!("there is no output `{stated}`{hint}")));
                }
            }
        }
        Decider::new(labels, &self.rule).map_err(wrong)
    }
}
