//! The OpenAI wire against llama.cpp's own server (PyPI `xllamacpp`) with the default model.
//!
//! Needs a Python that has `xllamacpp` (`TELEPROMPT_TEST_PYTHON`, else `python3`) and the model's file
//! (`TELEPROMPT_TEST_MODEL`). Skipped without them, unless TELEPROMPT_REQUIRE_SERVER is 1.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use futures::StreamExt;
use serde_json::{Value, json};
use teleprompt::adapter::JsonAdapter;
use teleprompt::lm::{Endpoint, Remote, Stack, StackOptions};
use teleprompt::prelude::*;
use teleprompt::{Constraint, LmChunk, LmRequest, LmSettings, Message, Streamed};
use teleprompt_testkit::lm_suite;

/// The server, until it is dropped.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start() -> Option<Self> {
        let python = std::env::var("TELEPROMPT_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
        let model = std::env::var("TELEPROMPT_TEST_MODEL").unwrap_or_default();
        let mut probe = Command::new(&python);
        probe.args(["-c", "import xllamacpp"]).stderr(Stdio::null());
        let can = probe.status().is_ok_and(|status| status.success())
            && std::path::Path::new(&model).is_file();
        if !can {
            let required = std::env::var("TELEPROMPT_REQUIRE_SERVER").is_ok_and(|v| v == "1");
            assert!(
                !required,
                "TELEPROMPT_REQUIRE_SERVER=1, but xllamacpp or the model is missing"
            );
            println!("skipped: no Python with xllamacpp, or no TELEPROMPT_TEST_MODEL");
            return None;
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../benchmarks/real_server/serve.py");
        let mut child = Command::new(&python)
            .args([script, &model, "--parallel", "1", "--context", "2048"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        // What else it prints is no address.
        let url = out.lines().map_while(Result::ok).find(|line| line.starts_with("http"));
        Some(Self { child, url: url.expect("the server tells its address") })
    }

    fn remote(&self) -> Remote {
        Remote::new("smollm2", Endpoint::new("openai-chat", &self.url).unwrap()).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn request(text: &str) -> LmRequest {
    let mut request = LmRequest::new(vec![Message::user(text)]);
    request.settings.temperature = Some(0.0);
    request.settings.max_tokens = Some(24);
    request
}

async fn chat_and_stream(lm: &Remote) {
    let request = request("What is the capital of France?");
    let whole = lm.generate(&request).await.unwrap();
    assert!(!whole.completions[0].text.is_empty(), "{whole:?}");
    assert!(whole.usage.prompt_tokens > 10 && whole.usage.completion_tokens > 1, "{whole:?}");
    let chunks: Vec<LmChunk> = lm.stream(&request).map(Result::unwrap).collect().await;
    let pieces: Vec<&str> = chunks
        .iter()
        .filter_map(|c| match c {
            LmChunk::Text { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert!(pieces.len() > 2, "it comes in pieces: {pieces:?}");
    assert_eq!(pieces.concat(), whole.completions[0].text);
    let Some(LmChunk::Done(done)) = chunks.last() else { panic!("{chunks:?}") };
    assert_eq!(done.usage.completion_tokens, whole.usage.completion_tokens);
}

async fn schema(lm: &Remote) {
    let schema = json!({
        "type": "object", "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
        "required": ["city", "people"], "additionalProperties": false,
    });
    let mut request = request("Name a city and how many people live there.");
    request.settings.max_tokens = Some(64);
    request.constraint = Some(Arc::new(Constraint::new(Some(Arc::new(schema)), None)));
    let reply = lm.generate(&request).await.unwrap();
    let value: Value = serde_json::from_str(&reply.completions[0].text).unwrap();
    assert!(value["city"].is_string() && value["people"].is_i64(), "{value}");
    assert!(lm.capabilities().json_schema);
}

async fn logprobs_and_n(lm: &Remote) {
    let mut request = request("Say a word.");
    request.settings.logprobs = Some(3);
    request.settings.temperature = Some(1.0);
    request.settings.seed = Some(7);
    request.settings.max_tokens = Some(8);
    request.n = 2;
    let reply = lm.generate(&request).await.unwrap();
    assert_eq!(reply.completions.len(), 2);
    for completion in &reply.completions {
        let tokens = completion.logprobs.as_ref().unwrap();
        assert!(!tokens.is_empty() && tokens.iter().all(|t| t.logprob <= 0.0 && t.top.len() == 3));
        let joined: String = tokens.iter().map(|t| t.token.as_str()).collect();
        assert!(joined.starts_with(&completion.text), "{joined:?} {:?}", completion.text);
    }
    let chunks: Vec<LmChunk> = lm.stream(&request).map(Result::unwrap).collect().await;
    let Some(LmChunk::Done(done)) = chunks.last() else { panic!("{chunks:?}") };
    assert_eq!(done.completions.len(), 2);
}

async fn program(lm: Remote) {
    let options = StackOptions { cache: None, ..StackOptions::default() };
    let lm = Stack::new(options).wrap(LmHandle::new(lm));
    let settings = LmSettings { max_tokens: Some(48), ..LmSettings::default() };
    let cx = Context::new(lm, Arc::new(JsonAdapter)).with_settings(&settings);
    let program = Predict::of(r#"text -> label: enum["good", "bad"], score: int"#).unwrap();
    let mut run = program.stream(&cx, record! { text: "What a fine day!" });
    let mut events = 0;
    while let Some(item) = run.next().await {
        match item.unwrap() {
            Streamed::Event(_) => events += 1,
            Streamed::Done(prediction) => {
                assert!(["good", "bad"].contains(&prediction["label"].as_str().unwrap()));
                assert!(prediction["score"].is_i64());
            }
        }
    }
    assert!(events > 3, "{events} events");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_real_server_is_understood() {
    let Some(server) = Server::start() else { return };
    let lm = server.remote();
    chat_and_stream(&lm).await;
    schema(&lm).await;
    logprobs_and_n(&lm).await;
    lm_suite::check(&lm).await.unwrap();
    program(lm).await;
}
