//! The conformance suite over every LM of ours, and proof that it bites.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use teleprompt::lm::{CacheConfig, Cached, Endpoint, Remote, Retry};
use teleprompt::{
    Capabilities, Completion, Lm, LmChunk, LmError, LmErrorKind, LmHandle, LmRequest, LmResponse,
    LmStream, Money, Price, Reasoning, ToolCall,
};
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

impl Broken {
    fn is(&self, promise: &str) -> bool {
        self.0 == promise
    }

    /// Text, thought and a call of a tool.
    fn whole(&self) -> LmResponse {
        let mut response = LmResponse::text("same");
        response.completions = vec![Completion {
            reasoning: Some(Reasoning { text: "hm".into(), signature: Some("s".into()) }),
            tool_calls: vec![ToolCall::new("c1", "now", "{}")],
            ..response.completions.remove(0)
        }];
        response.usage.prompt_tokens = 5;
        response.usage.priced_calls = u64::from(!self.is("among priced_calls"));
        response.usage.cost = Money::picodollars(if self.is("the cost is") { 51 } else { 50 });
        if self.is("without priced_calls") {
            response.usage.priced_calls = 0;
        }
        if self.is("among priced_calls") {
            response.usage.cost = Money::ZERO;
        }
        response
    }

    fn refuse(&self, request: &LmRequest) -> Result<(), LmError> {
        let media = request.messages.iter().any(|m| !m.content.is_text());
        let refused =
            (media && !self.is("media")) || (!request.tools.is_empty() && !self.is("tools"));
        let kind = if self.is("so called") {
            LmErrorKind::InvalidRequest
        } else {
            LmErrorKind::Unsupported
        };
        if refused { Err(LmError::new(kind, "broken", "no")) } else { Ok(()) }
    }
}

impl Lm for Broken {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let call = self.1.fetch_add(1, Ordering::Relaxed);
        self.refuse(request)?;
        let mut response = self.whole();
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
    fn stream<'a>(&'a self, request: &'a LmRequest) -> LmStream<'a> {
        if let Err(refused) = self.refuse(request) {
            return Box::pin(futures::stream::iter([Err(refused)]));
        }
        let mut done = self.whole();
        if self.is("generate gave") {
            done.completions[0].text = "other".into();
        }
        let mut chunks = done.into_chunks();
        chunks.retain(|chunk| match chunk {
            LmChunk::Text { .. } => !self.is("pieces"),
            LmChunk::Reasoning { .. } => !self.is("reasoning: \"\""),
            LmChunk::ToolCall { .. } => !self.is("tool_calls: []"),
            _ => !self.is("without `Done`"),
        });
        Box::pin(futures::stream::iter(chunks.into_iter().map(Ok)))
    }
    fn identity(&self) -> String {
        match self.0 {
            "identity" => format!("call {}", self.1.load(Ordering::Relaxed)),
            _ => "broken".into(),
        }
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities::none()
            .with_json_schema(self.is("json_schema"))
            .with_logprobs(self.is("logprobs"))
            .with_tools(self.is("claimed, but refused"))
    }
    fn count_tokens(&self, _: &LmRequest) -> Option<u64> {
        Some(if self.is("count_tokens") { 4 } else { 5 })
    }
    fn price(&self) -> Option<Price> {
        Some(Price { input: Money::picodollars(10), ..Price::FREE })
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
        "reasoning: \"\"",
        "tool_calls: []",
        "count_tokens",
        "without priced_calls",
        "among priced_calls",
        "the cost is",
        "media",
        "tools",
        "so called",
        "claimed, but refused",
    ];
    for promise in promises {
        let found = lm_suite::check(&Broken(promise, AtomicU64::new(0))).await;
        let message = found.expect_err(promise);
        assert!(message.contains(promise), "{promise}: {message}");
    }
}
