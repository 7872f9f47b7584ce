//! The real model for the tests, where there is one.
#![allow(dead_code, reason = "every test binary uses its own part")]

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use futures::executor::block_on;
use teleprompt_core::{Constraint, Lm, LmRequest, LmResponse, Message};
use teleprompt_local::{EngineConfig, LocalLm};

/// The test model's file: `TELEPROMPT_TEST_MODEL`, else the default model where the command keeps
/// it on Linux. Without it a test is skipped, unless `TELEPROMPT_REQUIRE_MODEL` is `1`.
pub fn model() -> Option<PathBuf> {
    let var = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let kept = || {
        let home = var("HOME").map(|home| home.join(".cache"));
        let models = var("XDG_CACHE_HOME").or(home)?.join("teleprompt/models");
        Some(models.join("SmolLM2-135M-Instruct.Q4_1.gguf")).filter(|path| path.exists())
    };
    let path = var("TELEPROMPT_TEST_MODEL").or_else(kept);
    if path.is_none() {
        let required = std::env::var("TELEPROMPT_REQUIRE_MODEL").is_ok_and(|v| v == "1");
        assert!(!required, "TELEPROMPT_REQUIRE_MODEL=1, but there is no model; pull it first");
        println!("skipped: no model; `teleprompt models pull smollm2-135m` fetches it");
    }
    path
}

/// A small window, so that a test's engine costs little memory, and one thread, since tests run
/// beside each other.
pub fn config() -> EngineConfig {
    EngineConfig { context_length: Some(2048), threads: Some(1), ..EngineConfig::default() }
}

/// An engine of its own, with nothing in memory.
pub fn fresh(config: EngineConfig) -> Option<LocalLm> {
    let path = model()?;
    Some(LocalLm::load("local:test", &path, config).expect("the model loads"))
}

/// The engine that tests share which do not care what is in memory.
pub fn shared() -> Option<LocalLm> {
    static SHARED: OnceLock<Option<LocalLm>> = OnceLock::new();
    SHARED.get_or_init(|| fresh(config())).clone()
}

pub fn ask(text: &str) -> LmRequest {
    LmRequest::new(vec![Message::system("You are brief."), Message::user(text)])
}

pub fn with(mut request: LmRequest, change: impl FnOnce(&mut LmRequest)) -> LmRequest {
    change(&mut request);
    request
}

pub fn lark(grammar: &str) -> Option<Arc<Constraint>> {
    Some(Arc::new(Constraint::new(None, Some(grammar.into()))))
}

pub fn schema(schema: serde_json::Value) -> Option<Arc<Constraint>> {
    Some(Arc::new(Constraint::new(Some(Arc::new(schema)), None)))
}

pub fn run(lm: &LocalLm, request: &LmRequest) -> LmResponse {
    block_on(lm.generate(request)).expect("an answer")
}

pub fn text(lm: &LocalLm, request: &LmRequest) -> String {
    run(lm, request).completions.remove(0).text
}

/// The probability of a label, given that it is one of the two of [`classify`].
pub fn probability(response: &LmResponse, label: &str) -> f32 {
    let first = &response.completions[0].logprobs.as_ref().expect("they were asked for")[0];
    let of_label = first.top.iter().filter(|(token, _)| label.starts_with(token.as_str()));
    of_label.map(|(_, logprob)| logprob.exp()).sum()
}

/// A classification prompt: a prefix of its own kind with `demos` examples, then the input.
pub fn classify(kind: &str, demos: usize, input: &str) -> LmRequest {
    let mut messages = vec![Message::system(format!("{kind}: positive or negative?"))];
    for i in 0..demos {
        let (word, label) =
            if i % 2 == 0 { ("wonderful", "positive") } else { ("awful", "negative") };
        messages.push(Message::user(format!("Case {i} of {kind}: it was {word} for all of us.")));
        messages.push(Message::assistant(label));
    }
    messages.push(Message::user(input));
    with(LmRequest::new(messages), |r| {
        r.constraint = lark("start: \"positive\" | \"negative\"");
        r.settings.logprobs = Some(2);
    })
}
