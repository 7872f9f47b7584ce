//! Evaluation: running a program over examples, metrics, scores with intervals, and the paired
//! comparison of two programs.
//!
//! ```
//! use teleprompt::data::Dataset;
//! use teleprompt::evaluate::{Evaluate, metrics};
//! # use teleprompt::{Context, Error, Module, Predictors, Prediction, Record, Result, Visit, record};
//! # use teleprompt::{Adapter, LmHandle, Lm, LmError, LmRequest, LmResponse, ParseError, Parsed, Signature};
//! # struct Echo;
//! # impl Predictors for Echo { fn visit<'a>(&'a self, _: &mut Visit<'a>) {} }
//! # impl Module for Echo {
//! #     type Input = Record;
//! #     type Output = Record;
//! #     async fn forward(&self, _: &Context, input: Record) -> Result<Prediction> {
//! #         Ok(Prediction::new(record! { answer: input["question"].clone() }))
//! #     }
//! # }
//! # struct Silent;
//! # impl Lm for Silent {
//! #     async fn generate(&self, _: &LmRequest) -> Result<LmResponse, LmError> { Ok(LmResponse::text("")) }
//! # }
//! # struct Plain;
//! # impl Adapter for Plain {
//! #     fn name(&self) -> &'static str { "plain" }
//! #     fn system(&self, _: &Signature) -> String { String::new() }
//! #     fn user(&self, _: &Signature, _: &Record) -> String { String::new() }
//! #     fn assistant(&self, _: &Signature, _: &Record) -> String { String::new() }
//! #     fn parse(&self, _: &Signature, _: &str) -> Result<Parsed, ParseError> { Ok(Parsed::default()) }
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! # let cx = Context::new(LmHandle::new(Silent), std::sync::Arc::new(Plain));
//! # let program = Echo;
//! let data = "{\"question\": \"Lima\", \"answer\": \"lima\"}\n{\"question\": \"?\", \"answer\": \"Rome\"}";
//! let data = Dataset::parse("qa", data.as_bytes(), teleprompt::data::Format::JsonLines)?;
//! let data = data.inputs(["question"])?;
//! let evaluation = Evaluate::new(&data, metrics::exact_match("answer")).run(&cx, &program).await?;
//! assert_eq!(evaluation.score, 0.5);
//! println!("{evaluation}\n{}", evaluation.table(10));
//! # Ok::<(), Error>(())
//! # }).unwrap();
//! ```

mod compare;
mod export;
pub mod metrics;
mod progress;
pub mod reference;
mod result;
mod run;
pub(crate) use run::score_example;
pub mod stats;
mod table;

use teleprompt_core::{Context, Error, Metric, MetricHandle, Module, Result};

use crate::data::Dataset;

pub use compare::{Comparison, Test, compare, paired};
pub use metrics::Judge;
pub use result::{Evaluation, Row};

/// Runs a program over examples and scores what it gives.
///
/// Examples run concurrently on the caller's task and start in order; results come in the order of
/// the data. A program or metric that fails on an example is part of the result: the example counts
/// with the failure score and the row says why. What would fail for every other example too, or may
/// not go on ([`Error::is_fatal`]: cancelled, budget used up, LM gone), stops the evaluation.
#[derive(Clone)]
pub struct Evaluate {
    data: Dataset,
    metric: MetricHandle,
    concurrency: usize,
    max_failures: Option<usize>,
    failure_score: f64,
    progress: bool,
    trace: bool,
}

impl Evaluate {
    /// An evaluation on these examples by this metric: a dataset, or a list of examples.
    ///
    /// Examples of which no field is marked as an input get the inputs of the program's interface,
    /// as by [`Dataset::for_signature`].
    pub fn new(data: impl Into<Dataset>, metric: impl Metric) -> Self {
        let data = data.into();
        let max_failures = Some(10.max(data.len() / 2));
        Self {
            data,
            metric: MetricHandle::new(metric),
            concurrency: 8,
            max_failures,
            failure_score: 0.0,
            progress: false,
            trace: false,
        }
    }

    /// How many examples run at a time, at least 1. Default: 8.
    #[must_use]
    pub fn concurrency(mut self, examples: usize) -> Self {
        self.concurrency = examples.max(1);
        self
    }

    /// How many examples may fail: one more stops the evaluation. `None`: all may, which suits
    /// optimizers, whose candidates may be hopeless. Default: half of the examples, at least 10.
    #[must_use]
    pub fn max_failures(mut self, limit: impl Into<Option<usize>>) -> Self {
        self.max_failures = limit.into();
        self
    }

    /// The score of an example that failed. Default: 0.
    #[must_use]
    pub fn failure_score(mut self, score: f64) -> Self {
        self.failure_score = score;
        self
    }

    /// Shows a bar with the running score on stderr, if that is a terminal. Default: no.
    #[must_use]
    pub fn progress(mut self, show: bool) -> Self {
        self.progress = show;
        self
    }

    /// Keeps the predictor calls of each example in its row. Default: no.
    #[must_use]
    pub fn trace(mut self, keep: bool) -> Self {
        self.trace = keep;
        self
    }

    /// Evaluates a program, which is bound first: a `Program`, or any module.
    ///
    /// # Errors
    /// [`Error::Data`]: no examples, inputs that are not known or missing, or more failures than
    /// allowed. [`Error::Config`]: a failure score that is no number. And the fatal error of an
    /// example; to keep what was finished by then, use [`Evaluate::run_partial`].
    pub async fn run<M: Module>(&self, cx: &Context, program: &M) -> Result<Evaluation> {
        self.run_partial(cx, program).await?.complete()
    }

    /// Like [`Evaluate::run`], but when it has to stop it gives what is finished, with the reason
    /// in [`Evaluation::stopped`].
    ///
    /// Calls that are in flight when a budget is used up are waited for, as they are paid; for
    /// every other reason they are dropped.
    ///
    /// # Errors
    /// [`Error::Data`] and [`Error::Config`], before any example runs.
    pub async fn run_partial<M: Module>(&self, cx: &Context, program: &M) -> Result<Evaluation> {
        if !self.failure_score.is_finite() {
            let given = self.failure_score;
            return Err(Error::Config(format!("the failure score must be a number, not {given}")));
        }
        teleprompt_core::bind(program);
        let data = self.prepared(program)?;
        Ok(run::Run::new(self, data, cx).all(program).await)
    }

    fn prepared<M: Module>(&self, program: &M) -> Result<Dataset> {
        let name = self.data.name();
        if self.data.is_empty() {
            return Err(Error::Data(format!("{name}: there are no examples to evaluate on")));
        }
        if self.data.iter().any(|e| !e.input_names.is_empty()) {
            return Ok(self.data.clone());
        }
        match program.interface() {
            Some(signature) => self.data.for_signature(&signature, &[]),
            None => Err(Error::Data(format!(
                "{name}: the program does not tell its inputs; mark them with \
                 `Dataset::inputs([…])`"
            ))),
        }
    }
}
