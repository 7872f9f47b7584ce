//! What recipes cost besides LM and metric: a compile of each with an LM that takes 10 ms, eight calls
//! at a time. Prints a line for each and fails where the share is 1% or more.
//!
//! The share is processor time over the time that all calls take one after the other. What the
//! scripted LM itself computes is taken off, and so is what the same number of bare calls costs (the
//! timers of the LM's sleep). `fixed` is the part of the share that does not grow with the calls: the
//! same study compiled again, which asks nothing. `over ideal` is the wall time beyond that of the
//! same number of calls made as fast as the concurrency allows: it holds the waits of recipes that
//! need an answer before they can ask on, which no implementation can avoid.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench"
)]

#[path = "../tests/optimizer_suite/mod.rs"]
mod optimizer_suite;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use optimizer_suite::cases::{CASES, Case};
use optimizer_suite::lm::{Brain, response, said};
use optimizer_suite::run::context;
use teleprompt::optimize::Optimizer;
use teleprompt::{Lm, LmError, LmRequest, LmResponse, Message};

const LATENCY: Duration = Duration::from_millis(10);
const CONCURRENCY: usize = 8;
const MOST: f64 = 0.01;

/// Takes its time, and notes how long it really computed.
#[derive(Clone)]
struct Slow {
    brain: Option<Arc<dyn Brain>>,
    calls: Arc<AtomicU64>,
    computed: Arc<AtomicU64>,
}

impl Slow {
    fn new(brain: Option<Arc<dyn Brain>>) -> Self {
        Self { brain, calls: Arc::default(), computed: Arc::default() }
    }
}

impl Lm for Slow {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        tokio::time::sleep(LATENCY).await;
        let began = Instant::now();
        let text = self.brain.as_ref().map(|brain| said(&**brain, request, 0)).unwrap_or_default();
        let response = response(request, text);
        self.calls.fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(began.elapsed().as_nanos()).unwrap();
        self.computed.fetch_add(nanos, Ordering::Relaxed);
        Ok(response)
    }
    fn name(&self) -> &str {
        "slow"
    }
}

/// Processor time of this process so far, all threads.
fn processor_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("this bench needs Linux");
    let nanos = |task: std::io::Result<std::fs::DirEntry>| -> u64 {
        let text = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
        text.split_whitespace().next().unwrap().parse().unwrap()
    };
    Duration::from_nanos(tasks.map(nanos).sum())
}

#[derive(Clone, Copy)]
struct Measured {
    calls: u64,
    wall: Duration,
    processor: Duration,
}

/// Measures what an LM and a run of it take, the LM's own computing left out.
async fn measured(lm: &Slow, run: impl Future<Output = ()>) -> Measured {
    let (began, before) = (Instant::now(), processor_time());
    run.await;
    let (wall, used) = (began.elapsed(), processor_time() - before);
    let computed = Duration::from_nanos(lm.computed.load(Ordering::Relaxed));
    let calls = lm.calls.load(Ordering::Relaxed);
    Measured { calls, wall, processor: used.saturating_sub(computed) }
}

async fn compile(case: &Case, dir: &Path) -> Measured {
    let toy = (case.toy)(1);
    let lm = Slow::new(Some(toy.brain.clone()));
    let compiler = (case.make)().compiler(toy.metric.clone()).val(&toy.val).test(&toy.test);
    let compiler = compiler.studies_in(dir).concurrency(CONCURRENCY);
    let cx = context(lm.clone());
    let run = async { drop(compiler.compile(&cx, &toy.program, &toy.train).await.unwrap()) };
    measured(&lm, run).await
}

/// The same number of calls and nothing else, as fast as they can be made.
async fn bare(calls: u64) -> Measured {
    let lm = Slow::new(None);
    let request = LmRequest::new(vec![Message::user("?")]);
    let all = futures::stream::iter((0..calls).map(|_| lm.generate(&request)));
    measured(&lm, all.buffer_unordered(CONCURRENCY).for_each(|_| async {})).await
}

/// Prints a line; the share of the processor time.
async fn report(case: &Case) -> f64 {
    let dir = tempfile::tempdir().unwrap();
    let compiled = compile(case, dir.path()).await;
    let again = compile(case, dir.path()).await;
    let bare = bare(compiled.calls).await;
    let slept = LATENCY.as_secs_f64() * compiled.calls as f64;
    let own = compiled.processor.saturating_sub(bare.processor);
    let (share, fixed) = (own.as_secs_f64() / slept, again.processor.as_secs_f64() / slept);
    let wall = compiled.wall.as_secs_f64();
    let over = (wall - bare.wall.as_secs_f64()) / wall;
    println!(
        "{:<40}{:>7}{wall:>9.2}{:>8.2}%{:>8.2}%{:>11.1}%",
        case.name,
        compiled.calls,
        100.0 * share,
        100.0 * fixed,
        100.0 * over
    );
    share
}

fn main() {
    // Cargo passes `--bench`; `cargo test` does not, and has no time for this.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    println!(
        "{:<40}{:>7}{:>9}{:>9}{:>9}{:>12}",
        "recipe", "calls", "wall s", "share", "fixed", "over ideal"
    );
    let mut dear = Vec::new();
    for case in CASES {
        if runtime.block_on(report(case)) >= MOST {
            dear.push(case.name);
        }
    }
    assert!(dear.is_empty(), "1% or more: {}", dear.join(", "));
}
