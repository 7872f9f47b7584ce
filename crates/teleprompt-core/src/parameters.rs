//! Parameters: what a compiler may change in a predictor, as data.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::lm::{LabelBias, LmSettings};
use crate::record::Record;
use crate::signature::Signature;

/// The parameters of one predictor. `None` and empty mean: as the program was written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    /// Instructions in place of the signature's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<Arc<str>>,
    /// Descriptions in place of the signature's, by field.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub descriptions: BTreeMap<Arc<str>, Arc<str>>,
    /// Demonstrations, first shown first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub demos: Vec<Record>,
    /// What is added to the LM's liking for each label, where the first output is an enum: learnt
    /// together with the demonstrations, for the LM they were learnt on.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub label_bias: LabelBias,
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
        // A bias belongs to the demonstrations it was learnt with.
        let own = !self.label_bias.is_empty() || !self.demos.is_empty();
        let label_bias = if own { &self.label_bias } else { &base.label_bias };
        Parameters {
            instructions: self.instructions.clone().or_else(|| base.instructions.clone()),
            descriptions,
            demos: if self.demos.is_empty() { base.demos.clone() } else { self.demos.clone() },
            label_bias: label_bias.clone(),
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
