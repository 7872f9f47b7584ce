//! Many calls at once through the usual layers (all but the cache), against a server that makes
//! mistakes; prints one JSON line. `benchmarks/lm_layer/run.sh` runs it beside DSPy.
//!
//! The server's right answer to a text is `echo:` and the text, so that every answer is checked.
//! Settings are variables: BASE_URL, MODEL, TAG, CALLS, IN_FLIGHT, LATENCY_MS (of the server, for
//! the ratio), TIMEOUT (seconds for an attempt), RETRIES.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::StreamExt;
use serde_json::json;
use teleprompt::lm::{Endpoint, KeySource, Remote, RetryConfig, Stack, StackOptions, Timeouts};
use teleprompt::prelude::*;
use teleprompt::{LmRequest, Message};

fn var(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

fn number(name: &str, default: f64) -> Result<f64> {
    let text = var(name, &default.to_string());
    text.parse().map_err(|_| Error::Config(format!("{name} must be a number, not `{text}`")))
}

fn stack() -> Result<LmHandle> {
    let attempt = Duration::from_secs_f64(number("TIMEOUT", 3.0)?);
    let timeouts = Timeouts { total: attempt, ..Timeouts::default() };
    let endpoint = Endpoint::new("openai-chat", &var("BASE_URL", "http://127.0.0.1:8377/v1"))?;
    let endpoint = endpoint.with_key(KeySource::value("none")).with_timeouts(timeouts);
    let remote = Remote::new(var("MODEL", "fake"), endpoint)?;
    let retry = RetryConfig { retries: number("RETRIES", 8.0)? as u32, ..RetryConfig::default() };
    let options = StackOptions { cache: None, timeout: None, ..StackOptions::default() };
    let options = StackOptions { retry: Some(retry), ..options };
    Ok(Stack::new(options).wrap(LmHandle::new(remote)))
}

/// The most memory that the process ever had, in MiB; 0 where the system does not tell.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|l| l.trim().strip_suffix(" kB")).and_then(|n| n.trim().parse().ok());
    kib.unwrap_or(0.0) / 1024.0
}

#[tokio::main]
async fn main() -> Result<()> {
    let (calls, in_flight) = (number("CALLS", 2000.0)? as u64, number("IN_FLIGHT", 512.0)?);
    let latency = number("LATENCY_MS", 500.0)? / 1000.0;
    let (lm, tag) = (stack()?, var("TAG", "q"));
    let begin = Instant::now();
    let each = futures::stream::iter(0..calls).map(|i| {
        let (lm, text) = (lm.clone(), format!("{tag} {i}"));
        // A task each, so that both cores work.
        tokio::spawn(async move {
            let request = LmRequest::new(vec![Message::user(text.clone())]);
            let reply = lm.generate(&request).await.map_err(|error| error.kind.code())?;
            let right = reply.completions.first().is_some_and(|c| c.text == format!("echo:{text}"));
            Ok::<bool, &str>(right)
        })
    });
    let mut each = each.buffer_unordered(in_flight as usize);
    let (mut correct, mut wrong, mut failed) = (0_u64, 0_u64, BTreeMap::<&str, u64>::new());
    while let Some(outcome) = each.next().await {
        match outcome.map_err(|e| Error::Other(e.to_string()))? {
            Ok(true) => correct += 1,
            Ok(false) => wrong += 1,
            Err(kind) => *failed.entry(kind).or_default() += 1,
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    let rate = calls as f64 / seconds;
    let line = json!({
        "client": format!("teleprompt {}", env!("CARGO_PKG_VERSION")),
        "calls": calls, "in_flight": in_flight as u64,
        "correct": correct, "wrong": wrong, "failed": failed,
        "seconds": (seconds * 100.0).round() / 100.0,
        "calls_per_second": (rate * 10.0).round() / 10.0,
        "ratio_to_ideal": (rate * latency / in_flight * 1e4).round() / 1e4,
        "peak_rss_mib": (peak_mib() * 10.0).round() / 10.0,
    });
    println!("{line}");
    Ok(())
}
