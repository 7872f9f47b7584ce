//! What the tests share.

use std::sync::Arc;

use teleprompt::adapter::ChatAdapter;
use teleprompt::prelude::*;
use teleprompt::{LmRequest, Parameters, ProgramState, TraceRecorder};
use teleprompt_testkit::scripted::ScriptedLm;

pub fn context(lm: &ScriptedLm) -> Context {
    Context::new(LmHandle::new(lm.clone()), Arc::new(ChatAdapter))
}

pub fn section(name: &str, value: &str) -> String {
    format!("[[ ## {name} ## ]]\n{value}")
}

pub fn answers<const N: usize>(answers: [&str; N]) -> ScriptedLm {
    ScriptedLm::replies(answers.map(|a| section("answer", a))).recording()
}

pub fn qa() -> Predict {
    Predict::of("question -> answer").unwrap()
}

pub fn ask() -> Record {
    record! { question: "?" }
}

/// The whole prompt.
pub fn text(request: &LmRequest) -> String {
    request.messages.iter().map(|m| format!("{}\n", m.content)).collect()
}

/// Parameters with these instructions for one predictor.
pub fn instructed(path: &str, text: &str) -> ProgramState {
    let mut state = ProgramState::default();
    let instructions = Some(Arc::from(text));
    state.insert(path, Parameters { instructions, ..Parameters::default() });
    state
}

pub fn paths(program: &impl Predictors) -> Vec<String> {
    teleprompt::bind(program).predictors.iter().map(|(path, _)| path.to_string()).collect()
}

/// What is in a trace: path and the answer, or `failed`.
pub fn told(trace: &TraceRecorder) -> Vec<String> {
    let step = |s: teleprompt::TraceStep| match s.error {
        None => format!("{} {}", s.path, s.outputs.iter().next().unwrap().1.as_str().unwrap()),
        Some(_) => format!("{} failed", s.path),
    };
    trace.steps().into_iter().map(step).collect()
}

/// Adds two numbers.
#[derive(Signature)]
pub struct Sum {
    #[input]
    pub a: i64,
    #[input]
    pub b: i64,
    #[output]
    pub sum: i64,
}

/// Two predictors, one after the other.
#[derive(Clone, Module)]
pub struct TwoSteps {
    pub query: Predict,
    pub answer: Predict,
}

impl TwoSteps {
    pub fn new() -> Self {
        let query = Predict::of("question -> query").unwrap().with_instructions("Write a query.");
        Self { query, answer: Predict::of("query -> answer").unwrap() }
    }
}

impl Module for TwoSteps {
    type Input = Record;
    type Output = Record;

    async fn forward(&self, cx: &Context, input: Record) -> Result<Prediction> {
        let query = self.query.call(cx, input).await?;
        self.answer.call(cx, query.output).await
    }
}
