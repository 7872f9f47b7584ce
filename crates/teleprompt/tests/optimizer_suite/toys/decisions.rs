//! Decisions: the LM states how likely three things are, always below a half, and says no to all of
//! them. Each has a threshold of its own above which it is true.

use std::collections::BTreeMap;
use std::sync::Arc;

use teleprompt::data::Rng;
use teleprompt::prelude::*;
use teleprompt::{Decision, EvidenceSource, MetricHandle, Parameters, ProgramState, Rule};

use crate::optimizer_suite::lm::{Ask, Brain, Dice, hash};
use crate::optimizer_suite::toy::{Toy, dataset, predict, section};

const OUTPUTS: [(&str, &str); 3] = [
    ("toy_late", "toy_late_chance"),
    ("toy_wet", "toy_wet_chance"),
    ("toy_dear", "toy_dear_chance"),
];

struct Chances;

/// From 0.05 to 0.45, in hundredths.
fn chance(case: usize, output: &str) -> f64 {
    (5 + hash(&format!("{case} {output}")) % 41) as f64 / 100.0
}

impl Brain for Chances {
    fn reply(&self, ask: &Ask<'_>, _: &mut Dice) -> String {
        let case = ask.case().unwrap_or_default();
        let write = |name: &&str| match OUTPUTS.iter().find(|(_, stated)| stated == name) {
            Some((output, _)) => section(name, &chance(case, output).to_string()),
            None => section(name, "false"),
        };
        ask.outputs().iter().map(write).collect()
    }
}

/// The share of the outputs that are right.
fn right(example: &Example, prediction: &Prediction) -> f64 {
    let hits = OUTPUTS.iter().filter(|(output, _)| example[*output] == prediction[*output]);
    hits.count() as f64 / OUTPUTS.len() as f64
}

fn decision(stated: &str, threshold: f64) -> Decision {
    let from = EvidenceSource::Stated { field: stated.into() };
    Decision { from, rule: Rule::Threshold(threshold) }
}

/// Candidates are three thresholds in hundredths.
pub fn decisions(seed: u64) -> Toy {
    let mut rng = Rng::new(seed).derive("decisions");
    let thresholds: [f64; 3] = std::array::from_fn(|_| (15 + rng.below(10)) as f64 / 100.0);
    let example = |case: usize| {
        let mut fields = record! { text: format!("case {case}") };
        for ((output, _), threshold) in OUTPUTS.iter().zip(thresholds) {
            fields.insert(*output, chance(case, output) >= threshold);
        }
        Example::new(fields, ["text"])
    };
    let part = |from: usize, n: usize| dataset((from..from + n).map(example));
    let outputs = OUTPUTS.map(|(output, stated)| format!("{stated}: float, {output}: bool"));
    Toy {
        program: Program::new(predict(&format!("text -> {}", outputs.join(", ")))),
        train: part(0, 60),
        val: part(100, 16),
        test: part(200, 40),
        metric: MetricHandle::new(right),
        brain: Arc::new(Chances),
        draw: Arc::new(|rng| {
            let mut decisions = BTreeMap::new();
            for (output, stated) in OUTPUTS {
                decisions
                    .insert(Arc::from(output), decision(stated, rng.below(100) as f64 / 100.0));
            }
            let mut state = ProgramState::default();
            state.insert("predict", Parameters { decisions, ..Parameters::default() });
            state
        }),
        space: 1e6,
        budget: 20,
        steps: 1,
    }
}

/// Where the probabilities of the outputs are stated.
pub fn stated() -> BTreeMap<Arc<str>, Arc<str>> {
    OUTPUTS.iter().map(|(output, stated)| (Arc::from(*output), Arc::from(*stated))).collect()
}
