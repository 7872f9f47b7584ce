//! Measures the engine: `cargo run --release -p teleprompt-local --example throughput -- MODEL [THREADS]`.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use futures::executor::block_on;
use teleprompt_core::{Constraint, Lm, LmError, LmRequest, LmResponse, Message};
use teleprompt_local::{EngineConfig, LocalLm, kernel_warning};

/// A classification with demos as turns: about 600 tokens that all examples share, then the input.
fn example(number: usize) -> LmRequest {
    let mut messages = vec![Message::system("Is the review positive or negative?")];
    for i in 0..16 {
        let (text, label) = match i % 2 {
            0 => ("The battery lasts for days and the screen is bright outside.", "positive"),
            _ => ("It stopped working after a week and nobody answered my mail.", "negative"),
        };
        messages.push(Message::user(format!("Review {i}: {text}")));
        messages.push(Message::assistant(label));
    }
    messages.push(Message::user(format!(
        "Review {number}: the tent number {number} stayed dry all night in the rain, but I would \
         tell my friends that it takes {number} people to fold it."
    )));
    let mut request = LmRequest::new(messages);
    let grammar = "start: \"positive\" | \"negative\"";
    request.constraint = Some(Arc::new(Constraint::new(None, Some(grammar.into()))));
    request
}

fn timed(lm: &LocalLm, request: &LmRequest) -> Result<(f64, LmResponse), LmError> {
    let started = Instant::now();
    let response = block_on(lm.generate(request))?;
    Ok((started.elapsed().as_secs_f64(), response))
}

fn main() -> Result<(), LmError> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| "smollm2.gguf".to_owned());
    let threads = arguments.next().and_then(|n| n.parse().ok());
    if let Some(line) = kernel_warning() {
        eprintln!("{line}");
    }
    let started = Instant::now();
    let lm = LocalLm::load(
        "local:bench",
        Path::new(&path),
        EngineConfig { threads, ..EngineConfig::default() },
    )?;
    println!("{} loaded in {:.2} s", lm.describe(), started.elapsed().as_secs_f64());

    let mut free = example(1);
    free.constraint = None;
    free.settings.max_tokens = Some(1);
    let (cold, response) = timed(&lm, &free)?;
    let tokens = response.usage.prompt_tokens;
    println!("prefill: {tokens} tokens, {:.0} tokens/s", tokens as f64 / cold);

    timed(&lm, &example(2))?;
    let mut times = Vec::new();
    let (mut known, mut all, mut generated) = (0, 0, 0);
    for number in 100..130 {
        let (time, response) = timed(&lm, &example(number))?;
        times.push(time);
        known += response.usage.cached_prompt_tokens;
        all += response.usage.prompt_tokens;
        generated += response.usage.completion_tokens;
    }
    times.sort_by(f64::total_cmp);
    println!(
        "examples: median {:.0} ms, best {:.0} ms, each {} prompt tokens ({} known) and {:.1} generated",
        1e3 * times.get(times.len() / 2).copied().unwrap_or_default(),
        1e3 * times.first().copied().unwrap_or_default(),
        all / 30,
        known / 30,
        generated as f64 / 30.0
    );
    for n in [1, 4] {
        let mut long = LmRequest::new(vec![Message::user("Write a long story about the sea.")]);
        long.settings.max_tokens = Some(100);
        long.settings.temperature = Some(0.7);
        long.n = n;
        timed(&lm, &long)?;
        let (time, response) = timed(&lm, &long)?;
        let tokens = response.usage.completion_tokens;
        println!("generation, {n} at once: {:.0} tokens/s", tokens as f64 / time);
    }
    Ok(())
}
