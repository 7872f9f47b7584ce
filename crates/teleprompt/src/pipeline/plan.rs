//! A pipeline as it runs: blocks of steps, each with what it reads and what it gives.

use std::ops::Range;
use std::sync::Arc;

use teleprompt_core::{
    Context, Module, Prediction, Predictors, Record, Result, Signature, Type, Visit,
};

use super::expr::Expr;
use super::file::Text;
use crate::module::{ChainOfThought, Predict};

/// A step or a group of steps, with when and how often it runs.
#[derive(Clone)]
pub(super) struct Block {
    pub name: Arc<str>,
    pub when: Option<Condition>,
    pub times: u32,
    pub until: Option<Condition>,
    pub body: Body,
}

#[derive(Clone)]
pub(super) enum Body {
    Step(Box<Step>),
    Group(Vec<Block>),
}

#[derive(Clone)]
pub(super) struct Condition {
    pub expr: Expr,
    pub text: Text,
}

/// A step that calls an LM.
#[derive(Clone)]
pub(super) struct Step {
    pub name: Arc<str>,
    pub module: StepModule,
    /// With chain of thought's `reasoning`.
    pub signature: Signature,
    /// Where the file says it.
    pub span: Range<usize>,
    pub lm: Option<String>,
    /// One for each input, in order.
    pub reads: Vec<Read>,
    /// One for each output, in order.
    pub gives: Vec<Give>,
    pub collects: Vec<Collect>,
    /// Whether an output of the pipeline may come from it.
    pub answers: bool,
}

/// An input of a step and where its value comes from.
#[derive(Clone)]
pub(super) struct Read {
    pub field: Arc<str>,
    pub ty: Type,
    pub nullable: bool,
    /// Whether it takes text and nothing else.
    pub text: bool,
    /// Keys of values; the first that has a value is read.
    pub sources: Vec<Source>,
}

/// The key of a value, `name` or `step.field`, and where the file says so.
#[derive(Clone)]
pub(super) struct Source {
    pub key: Arc<str>,
    pub span: Range<usize>,
}

/// An output of a step: it is kept under its name and under `step.field`.
#[derive(Clone)]
pub(super) struct Give {
    pub field: Arc<str>,
    pub key: Arc<str>,
    /// Whether the signature was written with it; chain of thought adds another.
    pub written: bool,
}

/// A list to which each run of a step adds the value of an output.
#[derive(Clone)]
pub(super) struct Collect {
    pub list: Arc<str>,
    pub field: Arc<str>,
    pub span: Range<usize>,
}

#[derive(Clone)]
pub(super) enum StepModule {
    Predict(Predict),
    Cot(ChainOfThought),
}

impl StepModule {
    /// The word for it in a file.
    pub fn word(&self) -> &'static str {
        match self {
            StepModule::Predict(_) => "predict",
            StepModule::Cot(_) => "cot",
        }
    }

    pub async fn call(&self, cx: &Context, inputs: Record) -> Result<Prediction> {
        match self {
            StepModule::Predict(module) => module.call(cx, inputs).await,
            StepModule::Cot(module) => module.call(cx, inputs).await,
        }
    }
}

impl Predictors for StepModule {
    fn visit<'a>(&'a self, visit: &mut Visit<'a>) {
        match self {
            StepModule::Predict(module) => module.visit(visit),
            StepModule::Cot(module) => module.visit(visit),
        }
    }
}

/// The steps of some blocks at any depth, in the order of the file.
pub(super) fn steps(blocks: &[Block]) -> Vec<&Step> {
    let mut found = Vec::new();
    for block in blocks {
        match &block.body {
            Body::Step(step) => found.push(&**step),
            Body::Group(inner) => found.extend(steps(inner)),
        }
    }
    found
}

/// Calls `change` for every step.
pub(super) fn each_step(blocks: &mut [Block], change: &mut impl FnMut(&mut Step)) {
    for block in blocks {
        match &mut block.body {
            Body::Step(step) => change(step),
            Body::Group(inner) => each_step(inner, change),
        }
    }
}
