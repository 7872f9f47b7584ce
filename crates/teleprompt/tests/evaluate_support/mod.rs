//! Small modules and a context without a real LM, for the tests of metrics and evaluation.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::expect_used, reason = "tests")]

use std::future::Future;
use std::sync::Arc;

use teleprompt::data::Dataset;
use teleprompt::{
    Adapter, Context, Example, Lm, LmError, LmHandle, LmRequest, LmResponse, Module, Need,
    ParseError, Parsed, Prediction, Predictors, Record, Result, Signature, Usage, Visit, record,
};

pub struct Silent;

impl Lm for Silent {
    async fn generate(&self, _: &LmRequest) -> Result<LmResponse, LmError> {
        Ok(LmResponse::text(""))
    }
}

struct Plain;

impl Adapter for Plain {
    fn name(&self) -> &'static str {
        "plain"
    }
    fn system(&self, _: &Signature) -> String {
        String::new()
    }
    fn user(&self, _: &Signature, _: &Record) -> String {
        String::new()
    }
    fn assistant(&self, _: &Signature, _: &Record) -> String {
        String::new()
    }
    fn parse(&self, _: &Signature, _: &str) -> Result<Parsed, ParseError> {
        Ok(Parsed::default())
    }
}

/// Runs a future on this thread.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime on this thread").block_on(future)
}

pub fn context() -> Context {
    Context::new(LmHandle::new(Silent), Arc::new(Plain))
}

/// A module made of an async function.
pub struct Func<F>(pub F, pub Option<Signature>);

impl<F> Predictors for Func<F> {
    fn visit<'a>(&'a self, _: &mut Visit<'a>) {}
}

impl<F, R> Module for Func<F>
where
    F: Fn(Context, Record) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Prediction>> + Send + 'static,
{
    type Input = Record;
    type Output = Record;
    async fn forward(&self, cx: &Context, input: Record) -> Result<Prediction> {
        (self.0)(cx.clone(), input).await
    }
    fn interface(&self) -> Option<Signature> {
        self.1.clone()
    }
}

/// A module without interface from an async closure.
pub fn module<F, R>(f: F) -> Func<F>
where
    F: Fn(Context, Record) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Prediction>> + Send + 'static,
{
    Func(f, None)
}

/// Gives the input `q` back as `a`.
pub async fn echo(_: Context, input: Record) -> Result<Prediction> {
    Ok(Prediction::new(record! { a: input["q"].clone() }))
}

/// What a predictor does to the meter for one call of 10 + 2 tokens.
pub fn pay(cx: &Context) -> Result<()> {
    let usage = Usage { calls: 1, prompt_tokens: 10, completion_tokens: 2, ..Usage::default() };
    cx.meter().try_reserve(&Need::default())?.settle(&usage);
    Ok(())
}

/// Numbered examples: `q` is the input, `a` the label; both are the number as text.
pub fn numbered(n: usize) -> Dataset {
    let example = |i: usize| Example::new(record! { q: i.to_string(), a: i.to_string() }, ["q"]);
    (0..n).map(example).collect()
}
