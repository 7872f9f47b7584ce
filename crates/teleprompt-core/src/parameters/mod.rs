//! Parameters: what a compiler may change in a predictor, as data.

mod nearest;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::decision::Decision;
use crate::lm::{LabelBias, LmSettings};
use crate::record::Record;
use crate::signature::Signature;

pub use nearest::{Likeness, Nearest};

/// The parameters of one predictor. `None` and an empty map mean: as the program was written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    /// Instructions in place of the signature's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<Arc<str>>,
    /// Descriptions in place of the signature's, by field.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub descriptions: BTreeMap<Arc<str>, Arc<str>>,
    /// Demonstrations, first shown first; an empty list shows none, over a program that has some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub demos: Option<Vec<Record>>,
    /// Further demonstrations, chosen for each call by its inputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<Arc<Nearest>>,
    /// What is added to the LM's liking for each label, where the first output is an enum: learnt
    /// together with the demonstrations, for the LM they were learnt on.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub label_bias: LabelBias,
    /// How outputs are decided from probabilities, by field. The cuts belong to the prompt and the LM
    /// that they were fitted on.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub decisions: BTreeMap<Arc<str>, Decision>,
    /// The name of an LM that the context knows; a file can never bring its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lm: Option<Arc<str>>,
    /// Sampling settings, before the context's.
    #[serde(skip_serializing_if = "is_default")]
    pub settings: LmSettings,
}

fn is_default(settings: &LmSettings) -> bool {
    *settings == LmSettings::default()
}

impl Parameters {
    /// The demonstrations that stand in the prompt of every call.
    pub fn demos(&self) -> &[Record] {
        self.demos.as_deref().unwrap_or_default()
    }

    /// The signature with these instructions and descriptions.
    pub fn apply(&self, signature: &Signature) -> Signature {
        let mut out = signature.clone();
        if let Some(text) = &self.instructions {
            out = out.with_instructions(text.clone());
        }
        for (name, text) in &self.descriptions {
            out = out.with_description(name, text.clone());
        }
        out
    }

    /// These parameters where set, else those of `base`.
    pub fn or(&self, base: &Parameters) -> Parameters {
        let mut descriptions = base.descriptions.clone();
        descriptions.extend(self.descriptions.clone());
        let mut decisions = base.decisions.clone();
        decisions.extend(self.decisions.clone());
        // A bias belongs to the demonstrations it was learnt with.
        let demos = self.demos.is_some() || self.nearest.is_some();
        let own = !self.label_bias.is_empty() || demos;
        let label_bias = if own { &self.label_bias } else { &base.label_bias };
        Parameters {
            instructions: self.instructions.clone().or_else(|| base.instructions.clone()),
            descriptions,
            demos: self.demos.clone().or_else(|| base.demos.clone()),
            nearest: self.nearest.clone().or_else(|| base.nearest.clone()),
            label_bias: label_bias.clone(),
            decisions,
            lm: self.lm.clone().or_else(|| base.lm.clone()),
            settings: self.settings.or(&base.settings),
        }
    }
}

/// Parameters by predictor path: a candidate, or what a compiled program has learnt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProgramState(pub BTreeMap<Arc<str>, Arc<Parameters>>);

impl ProgramState {
    /// The parameters of a predictor.
    pub fn get(&self, path: &str) -> Option<&Arc<Parameters>> {
        self.0.get(path)
    }

    /// Sets the parameters of a predictor.
    pub fn insert(&mut self, path: impl Into<Arc<str>>, parameters: Parameters) {
        self.0.insert(path.into(), Arc::new(parameters));
    }

    /// A hash of the content: equal states have equal hashes on every machine.
    pub fn hash(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        blake3::hash(&json).to_hex().get(..16).unwrap_or_default().to_owned()
    }
}
