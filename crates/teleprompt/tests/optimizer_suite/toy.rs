//! What toy tasks have in common.

use std::sync::Arc;

use teleprompt::data::{Dataset, Rng};
use teleprompt::module::Predict;
use teleprompt::{
    Example, Metric, MetricHandle, Parameters, Prediction, Program, ProgramState, Record, record,
};

use super::lm::Brain;

/// A task whose best candidates are known, with an LM that plays by its rules.
#[derive(Clone)]
pub struct Toy {
    pub program: Program,
    pub train: Dataset,
    pub val: Dataset,
    pub test: Dataset,
    pub metric: MetricHandle,
    pub brain: Arc<dyn Brain>,
    /// A candidate of the space, all equally likely.
    pub draw: Draw,
    /// Candidates in the space.
    pub space: f64,
    /// What a search may use, in full evaluations of a candidate.
    pub budget: u64,
    /// LM calls of a run of the program.
    pub steps: u64,
}

pub type Draw = Arc<dyn Fn(&mut Rng) -> ProgramState + Send + Sync>;

impl Toy {
    /// The LM calls of a compile: search, and both evaluations of the report.
    pub fn calls(&self) -> u64 {
        let (val, test) = (self.val.len() as u64, self.test.len() as u64);
        self.steps * (self.budget * val + 2 * test)
    }

    /// With other examples in all three splits.
    pub fn with_examples(&self, examples: Vec<Example>) -> Self {
        let data = Dataset::new("toy", examples);
        Self { train: data.clone(), val: data.clone(), test: data, ..self.clone() }
    }

    pub fn with_metric(&self, metric: impl Metric) -> Self {
        Self { metric: MetricHandle::new(metric), ..self.clone() }
    }
}

/// The last output of every toy program.
pub const ANSWER: &str = "toy_answer";

/// The first score that counts as a success.
pub const SUCCESS: f64 = 0.9;

pub fn predict(signature: &str) -> Predict {
    Predict::of(signature).unwrap()
}

/// An example with a label.
pub fn labelled(text: impl Into<String>, label: &str) -> Example {
    let (text, label): (String, String) = (text.into(), label.into());
    Example::new(record! { text: text, toy_answer: label }, ["text"])
}

pub fn dataset(examples: impl IntoIterator<Item = Example>) -> Dataset {
    Dataset::new("toy", examples.into_iter().collect::<Vec<_>>())
}

/// The label, and nothing else.
pub fn exact(example: &Example, prediction: &Prediction) -> bool {
    example[ANSWER] == prediction[ANSWER]
}

/// A field in the form of the chat adapter.
pub fn section(name: &str, value: &str) -> String {
    format!("[[ ## {name} ## ]]\n{value}\n\n")
}

/// A candidate that shows these demonstrations.
pub fn showing(path: &str, demos: Vec<Record>) -> ProgramState {
    let mut state = ProgramState::default();
    state.insert(path, Parameters { demos: Some(demos), ..Parameters::default() });
    state
}

/// A candidate that says this.
pub fn saying(path: &str, instructions: String) -> ProgramState {
    let mut state = ProgramState::default();
    let instructions = Some(Arc::from(instructions));
    state.insert(path, Parameters { instructions, ..Parameters::default() });
    state
}

/// So many ways to take `k` of `n`.
pub fn choose(n: u64, k: u64) -> f64 {
    (0..k).map(|i| (n - i) as f64 / (i + 1) as f64).product()
}
