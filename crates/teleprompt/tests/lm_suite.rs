//! The conformance suite over every LM of ours, and proof that it bites.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use teleprompt::lm::{CacheConfig, Cached, Endpoint, Remote, Retry};
use teleprompt::{Capabilities, Lm, LmChunk, LmError, LmHandle, LmRequest, LmResponse, LmStream};
use teleprompt_testkit::{FakeServer, Request, Response, ScriptedLm, lm_suite};

/// A server that does what is asked: n, streams, schemas, log-probabilities.
async fn server() -> FakeServer {
    let answer = |request: &Request| {
        let body = request.json();
        let text = match body["response_format"] {
            Value::Null => "Grüße",
            _ => r#"{"answer": "Grüße"}"#,
        };
        if body["stream"] == true {
            return Response::chat_stream(&["Gr", "üße"], 3, Duration::ZERO);
        }
        let tokens = json!({"content": [{"token": text, "logprob": -0.1}]});
        let choices = (0..body["n"].as_u64().unwrap_or(1)).map(|index| {
            json!({
                "index": index, "message": {"content": text}, "finish_reason": "stop",
                "logprobs": if body["logprobs"] == true { tokens.clone() } else { Value::Null },
            })
        });
        Response::json(200, &json!({"choices": choices.collect::<Vec<_>>()}))
    };
    FakeServer::start(answer).await.unwrap()
}

async fn passes(lm: impl Lm) {
    let what = lm.describe();
    let checked = tokio::time::timeout(Duration::from_secs(30), lm_suite::check(&lm)).await;
    checked.unwrap_or_else(|_| panic!("{what}: hangs")).unwrap_or_else(|e| panic!("{what}: {e}"));
}

#[tokio::test]
async fn every_lm_and_layer_keeps_the_promises() {
    let dir = tempfile::tempdir().unwrap();
    let server = server().await;
    let openai =
        || Remote::new("m", Endpoint::new("openai-chat", &server.base_url()).unwrap()).unwrap();
    let scripted = || ScriptedLm::new(|_| "always the same");
    passes(scripted()).await;
    passes(scripted().with_delay(Duration::from_millis(1))).await;
    passes(openai()).await;
    passes(Retry::new(openai())).await;
    passes(Cached::in_memory(scripted())).await;
    passes(Cached::new(Retry::new(openai()), CacheConfig::on_disk(dir.path()))).await;
    passes(Cached::new(Retry::new(openai()), CacheConfig::on_disk(dir.path()))).await;
    passes(LmHandle::new(Retry::new(Cached::in_memory(openai())))).await;
}

/// Breaks one promise.
struct Broken(&'static str, AtomicU64);

impl Lm for Broken {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let call = self.1.fetch_add(1, Ordering::Relaxed);
        let mut response = LmResponse::text("same");
        response.completions.resize(request.n as usize, response.completions[0].clone());
        match self.0 {
            "completions" => response.completions.truncate(1),
            "usage.calls" => response.usage.calls = 2,
            "equal calls" if &*request.messages[1].content == "number 3" => {
                response.completions[0].text = call.to_string();
            }
            _ => {}
        }
        Ok(response)
    }
    fn stream<'a>(&'a self, _: &'a LmRequest) -> LmStream<'a> {
        let piece = if self.0 == "pieces" { "sam" } else { "same" };
        let text = LmChunk::Text { index: 0, text: piece.into() };
        let whole = if self.0 == "generate gave" { "other" } else { "same" };
        let text = if self.0 == "generate gave" {
            LmChunk::Text { index: 0, text: whole.into() }
        } else {
            text
        };
        let mut chunks = vec![Ok(text)];
        if self.0 != "without `Done`" {
            chunks.push(Ok(LmChunk::Done(LmResponse::text(whole))));
        }
        Box::pin(futures::stream::iter(chunks))
    }
    fn identity(&self) -> String {
        match self.0 {
            "identity" => format!("call {}", self.1.load(Ordering::Relaxed)),
            _ => "broken".into(),
        }
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities::none()
            .with_json_schema(self.0 == "json_schema")
            .with_logprobs(self.0 == "logprobs")
    }
}

#[tokio::test]
async fn the_suite_bites() {
    lm_suite::check(&Broken("nothing", AtomicU64::new(0))).await.unwrap();
    let promises = [
        "completions",
        "usage.calls",
        "identity",
        "pieces",
        "generate gave",
        "without `Done`",
        "json_schema",
        "logprobs",
        "equal calls",
    ];
    for promise in promises {
        let found = lm_suite::check(&Broken(promise, AtomicU64::new(0))).await;
        let message = found.expect_err(promise);
        assert!(message.contains(promise), "{promise}: {message}");
    }
}
