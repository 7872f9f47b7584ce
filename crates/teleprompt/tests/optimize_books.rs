//! The books of a search: what is paid is counted once, and what is counted is what was run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::BoxFuture;
use serde_json::Value;
use teleprompt::adapter::ChatAdapter;
use teleprompt::data::Dataset;
use teleprompt::optimize::study::Split;
use teleprompt::optimize::{Call, Candidate, Compiler, Cost, Optimizer, Sizes, Task};
use teleprompt::prelude::*;
use teleprompt::{
    LmError, LmErrorKind, LmHandle, LmRequest, LmResponse, MetricHandle, Usage, record,
};

/// Answers each output field by the words of the request, after a pause, and counts.
#[derive(Clone)]
struct Teller {
    answer: Arc<dyn Fn(&str) -> String + Send + Sync>,
    paid: Arc<AtomicU64>,
    tokens: Arc<AtomicU64>,
    /// The call with this number fails for good.
    dies_at: u64,
}

impl Teller {
    fn new(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let (paid, tokens) = (Arc::default(), Arc::default());
        Self { answer: Arc::new(answer), paid, tokens, dies_at: u64::MAX }
    }

    fn paid(&self) -> u64 {
        self.paid.load(Ordering::SeqCst)
    }

    fn cx(&self) -> Context {
        Context::new(LmHandle::new(self.clone()), Arc::new(ChatAdapter))
    }
}

impl Lm for Teller {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let text: Vec<String> = request.messages.iter().map(|m| m.content.to_string()).collect();
        let text = text.join("\n");
        // Calls end in another order than they began.
        for _ in 0..text.len() % 5 + 1 {
            tokio::task::yield_now().await;
        }
        let call = self.paid.fetch_add(1, Ordering::SeqCst) + 1;
        if call >= self.dies_at {
            self.paid.fetch_sub(1, Ordering::SeqCst);
            return Err(LmError::new(LmErrorKind::Auth, "teller", "the key was taken away"));
        }
        let tokens = text.split_whitespace().count() as u64;
        self.tokens.fetch_add(tokens + 1, Ordering::SeqCst);
        let mut response = LmResponse::text((self.answer)(&text));
        response.usage = Usage { prompt_tokens: tokens, completion_tokens: 1, ..Usage::one_call() };
        Ok(response)
    }
    fn name(&self) -> &str {
        "teller"
    }
}

type Search = for<'a, 'b> fn(&'a Task<'b>) -> BoxFuture<'a, Result<Candidate>>;

/// A recipe that is one function.
struct Recipe(Search);

impl Optimizer for Recipe {
    fn name(&self) -> &'static str {
        "recipe"
    }
    fn settings(&self) -> Value {
        Value::Null
    }
    fn validates(&self) -> bool {
        true
    }
    fn cost(&self, _: Sizes) -> Cost {
        Cost::default()
    }
    async fn search(&self, task: &Task<'_>) -> Result<Candidate> {
        (self.0)(task).await
    }
}

impl Recipe {
    fn on(self, metric: impl Metric, dir: &Path) -> Compiler<Self> {
        let compiler = self.compiler(metric).val(&data("v", 6)).test(&data("t", 6));
        compiler.studies_in(dir).study("books").concurrency(8)
    }
}

fn data(name: &str, n: usize) -> Dataset {
    let example = |i: usize| {
        let label = if i % 2 == 0 { "a" } else { "b" };
        Example::new(record! { text: format!("{name} number {i}"), label: label }, ["text"])
    };
    Dataset::new(name, (0..n).map(example).collect::<Vec<_>>())
}

fn program() -> Predict {
    Predict::of("text -> label").unwrap()
}

fn label(text: &str) -> String {
    format!("[[ ## label ## ]]\n{text}")
}

fn exact(example: &Example, prediction: &Prediction) -> bool {
    example["label"] == prediction["label"]
}

/// A predictor of its own says whether the label is good; its path is the program's, too.
struct ByPredict(Predict);

impl ByPredict {
    fn new() -> Self {
        Self(Predict::of("claim -> good: bool").unwrap())
    }
}

impl Metric for ByPredict {
    async fn score(&self, cx: &Context, _: &Example, prediction: &Prediction) -> Result<Score> {
        let claim = prediction["label"].clone();
        if let Some(trace) = cx.trace() {
            assert_eq!(trace.steps().len(), 1, "the metric sees the program's call");
        }
        let said = self.0.call(cx, record! { claim: claim }).await?;
        Ok(Score::from(said["good"] == true))
    }
}

fn says_good(text: &str) -> String {
    match text.contains("claim") {
        true => "[[ ## good ## ]]\ntrue".into(),
        false => label("a"),
    }
}

#[tokio::test]
async fn the_calls_of_a_judge_are_no_steps_of_the_program() {
    let recipe = Recipe(|task| {
        Box::pin(async move {
            let run = task.run(&Call::new(task.base(), Split::Train, 0)).await?;
            for step in &run.steps {
                task.note(format!("{} gave {}", step.path, step.outputs["label"]))?;
            }
            task.note(format!("{} and {} calls", run.usage.calls, run.judged.calls))?;
            Ok(task.base().clone())
        })
    });
    let (dir, lm) = (tempfile::tempdir().unwrap(), Teller::new(says_good));
    let compiler = recipe.on(MetricHandle::new(ByPredict::new()), dir.path());
    let done = compiler.compile(&lm.cx(), &program(), &data("x", 8)).await.unwrap();
    assert_eq!(done.report.notes, [r#"predict gave "a""#, "1 and 1 calls"]);
    assert_eq!(done.report.usage.calls, lm.paid());
}
