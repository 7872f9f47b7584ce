//! Our own cost per call, without an LM: rendering, parsing, trace, usage, evaluation, cache.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use teleprompt::adapter::ChatAdapter;
use teleprompt::data::Dataset;
use teleprompt::evaluate::{Evaluate, metrics};
use teleprompt::lm::cache::{CacheConfig, Cached};
use teleprompt::prelude::*;
use teleprompt::{
    Likeness, LmError, LmRequest, LmResponse, Message, Nearest, Parameters, TraceRecorder, Usage,
};
use tokio::runtime::Runtime;

const REPLY: &str = "[[ ## reasoning ## ]]\nParis has been the capital since 987.\n\n\
    [[ ## answer ## ]]\nParis";

/// Answers at once.
struct Instant;

impl Lm for Instant {
    async fn generate(&self, _: &LmRequest) -> Result<LmResponse, LmError> {
        let mut response = LmResponse::text(REPLY);
        response.usage =
            Usage { calls: 1, prompt_tokens: 50, completion_tokens: 9, ..Usage::default() };
        Ok(response)
    }
    fn name(&self) -> &str {
        "instant"
    }
}

/// Answers at once with this text.
struct Fixed(String);

impl Lm for Fixed {
    async fn generate(&self, _: &LmRequest) -> Result<LmResponse, LmError> {
        Ok(LmResponse::text(self.0.clone()))
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn context() -> Context {
    Context::new(LmHandle::new(Instant), Arc::new(ChatAdapter))
}

fn question() -> Record {
    record! { question: "What is the capital of France?" }
}

fn with_demos(n: usize) -> Predict {
    let demo = |i: usize| {
        record! { question: format!("Question {i}?"), reasoning: "Because it is so.", answer: "Yes" }
    };
    Predict::of("question -> reasoning, answer").unwrap().with_demos((0..n).map(demo))
}

/// Three fields; the trace is on.
fn predict(c: &mut Criterion) {
    let mut group = c.benchmark_group("predict");
    let runtime = runtime();
    for demos in [0, 4, 16, 64] {
        let program = with_demos(demos);
        let cx = context().with_trace(TraceRecorder::new());
        group.bench_with_input(BenchmarkId::new("demos", demos), &demos, |b, _| {
            b.iter(|| {
                // A recorder of its own for each run, as an optimizer has it.
                let cx = cx.with_trace(TraceRecorder::new());
                runtime.block_on(program.call(&cx, question())).unwrap()
            });
        });
    }
    for length in [100, 10_000] {
        let program = with_demos(0);
        let cx = context().with_trace(TraceRecorder::new());
        let input = record! { question: "x".repeat(length) };
        group.bench_with_input(BenchmarkId::new("input_bytes", length), &length, |b, _| {
            b.iter(|| {
                runtime.block_on(program.call(&cx.with_trace(TraceRecorder::new()), input.clone()))
            });
        });
    }
    group.finish();
}

/// Four demonstrations, the nearest of a pool of this size: compare it to `predict/demos/4`.
fn nearest(c: &mut Criterion) {
    let mut group = c.benchmark_group("predict_nearest");
    let runtime = runtime();
    for size in [100, 1000, 10_000] {
        let demo = |i: usize| {
            let question = format!("What is the capital of country {i}, {} by {}?", i % 7, i % 31);
            record! { question: question, reasoning: "Because it is so.", answer: "Yes" }
        };
        let pool = (0..size).map(demo).collect();
        let nearest = Some(Arc::new(Nearest { k: 4, pool, by: Likeness::Lexical }));
        let program = Predict::of("question -> reasoning, answer")
            .unwrap()
            .with_parameters(Parameters { nearest, ..Parameters::default() });
        let cx = context();
        group.bench_with_input(BenchmarkId::from_parameter(size), &size, |b, _| {
            b.iter(|| {
                let cx = cx.with_trace(TraceRecorder::new());
                runtime.block_on(program.call(&cx, question())).unwrap()
            });
        });
    }
    group.finish();
}

/// As many outputs of plain text as said, beside one input.
fn fields(c: &mut Criterion) {
    let mut group = c.benchmark_group("predict_outputs");
    let runtime = runtime();
    for n in [2, 8, 32] {
        let names: Vec<String> = (0..n).map(|i| format!("field_{i}")).collect();
        let program = Predict::of(format!("question -> {}", names.join(", ")).as_str()).unwrap();
        let section = |name: &String| format!("[[ ## {name} ## ]]\nsome words of text\n\n");
        let reply: String = names.iter().map(section).collect();
        let cx = Context::new(LmHandle::new(Fixed(reply)), Arc::new(ChatAdapter));
        group.bench_with_input(BenchmarkId::from_parameter(n), &n, |b, _| {
            b.iter(|| {
                let cx = cx.with_trace(TraceRecorder::new());
                runtime.block_on(program.call(&cx, question())).unwrap()
            });
        });
    }
    group.finish();
}

/// What an evaluation costs over the calls themselves: compare the two, 1,000 examples each.
fn evaluation(c: &mut Criterion) {
    let mut group = c.benchmark_group("evaluate_1000");
    let runtime = runtime();
    let examples: Vec<Example> = (0..1000)
        .map(|i| {
            Example::new(
                record! { question: format!("Question {i}?"), answer: "Paris" },
                ["question"],
            )
        })
        .collect();
    let data = Dataset::new("bench", examples);
    let program = Program::new(with_demos(0));
    let cx = context();
    group.bench_function("calls_alone", |b| {
        b.iter(|| {
            for example in data.iter() {
                black_box(runtime.block_on(program.call(&cx, example.inputs())).unwrap());
            }
        });
    });
    group.bench_function("evaluated", |b| {
        let evaluate = Evaluate::new(&data, metrics::exact_match("answer")).concurrency(1);
        b.iter(|| runtime.block_on(evaluate.run(&cx, &program)).unwrap());
    });
    group.finish();
}

fn cache(c: &mut Criterion) {
    let mut group = c.benchmark_group("cache_4kB");
    let runtime = runtime();
    let request =
        LmRequest::new(vec![Message::system("s".repeat(1000)), Message::user("u".repeat(3000))]);
    let memory = Cached::in_memory(Instant);
    runtime.block_on(memory.generate(&request)).unwrap();
    group.bench_function("memory_hit", |b| {
        b.iter(|| runtime.block_on(memory.generate(black_box(&request))).unwrap());
    });
    let dir = tempfile::tempdir().unwrap();
    let config = CacheConfig { memory_entries: 0, ..CacheConfig::on_disk(dir.path()) };
    let disk = Cached::new(Instant, config);
    runtime.block_on(disk.generate(&request)).unwrap();
    group.bench_function("disk_hit", |b| {
        b.iter(|| runtime.block_on(disk.generate(black_box(&request))).unwrap());
    });
    group.finish();
}

criterion_group!(benches, predict, nearest, fields, evaluation, cache);
criterion_main!(benches);
