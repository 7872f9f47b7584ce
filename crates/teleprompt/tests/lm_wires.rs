//! Anthropic's and Gemini's wires through the client, over a real socket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use futures::StreamExt;
use serde_json::{Value, json};
use teleprompt::lm::{Endpoint, KeySource, Remote};
use teleprompt::{Lm, LmChunk, LmErrorKind, LmRequest, Message};
use teleprompt_testkit::{FakeServer, Response};

fn remote(wire: &str, server: &FakeServer) -> Remote {
    let endpoint = Endpoint::new(wire, &server.url()).unwrap();
    Remote::new("m", endpoint.with_key(KeySource::value("key-1"))).unwrap()
}

fn request() -> LmRequest {
    LmRequest::new(vec![Message::user("hi")])
}

fn events(events: &[Value]) -> Response {
    let data: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    Response::status(200, data).with_header("content-type", "text/event-stream")
}

async fn streamed(lm: &Remote) -> (String, LmChunk) {
    let request = request();
    let mut stream = lm.stream(&request);
    let mut text = String::new();
    while let Some(chunk) = stream.next().await {
        match chunk.unwrap() {
            LmChunk::Text { text: piece, .. } => text += &piece,
            last => return (text, last),
        }
    }
    panic!("no end after {text}");
}

#[tokio::test]
async fn anthropic_is_asked_once_for_each_completion() {
    let server = FakeServer::start(|_| {
        Response::json(
            200,
            &json!({"type": "message", "model": "m-1", "stop_reason": "end_turn",
            "content": [{"type": "text", "text": "Hello"}],
            "usage": {"input_tokens": 3, "output_tokens": 2}}),
        )
    });
    let server = server.await.unwrap();
    let mut request = request();
    request.n = 2;
    let reply = remote("anthropic", &server).generate(&request).await.unwrap();
    assert_eq!(reply.completions.len(), 2);
    assert_eq!((reply.usage.prompt_tokens, reply.usage.completion_tokens), (6, 4));
    assert_eq!(server.hits(), 2);
    let sent = &server.requests()[0];
    assert_eq!(sent.path, "/messages");
    assert_eq!(sent.header("x-api-key"), Some("key-1"));
    assert_eq!(sent.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(sent.header("authorization"), None);
}

#[tokio::test]
async fn streams_of_both_wires_end_in_the_whole_reply() {
    let server = FakeServer::start(|_| {
        let delta = json!({"type": "text_delta", "text": "Hello"});
        events(&[
            json!({"type": "message_start", "message": {"model": "m-1"}}),
            json!({"type": "content_block_start", "index": 0,
                   "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "index": 0, "delta": delta}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
            json!({"type": "message_stop"}),
        ])
    });
    let anthropic = server.await.unwrap();
    let server = FakeServer::start(|_| {
        let piece = |text: &str| json!({"candidates": [{"content": {"parts": [{"text": text}]}}]});
        let end = json!({"candidates": [{"finishReason": "STOP"}], "modelVersion": "m-1"});
        events(&[piece("Hel"), piece("lo"), end])
    });
    let gemini = server.await.unwrap();
    for (wire, server) in [("anthropic", &anthropic), ("gemini", &gemini)] {
        let (text, last) = streamed(&remote(wire, server)).await;
        assert_eq!(text, "Hello");
        let LmChunk::Done(reply) = last else { panic!("{last:?}") };
        assert_eq!((&*reply.completions[0].text, &*reply.model), ("Hello", "m-1"));
    }
    let sent = &gemini.requests()[0];
    assert_eq!(sent.path, "/models/m:streamGenerateContent?alt=sse");
    assert_eq!(sent.header("x-goog-api-key"), Some("key-1"));
}

#[tokio::test]
async fn a_prompt_that_gemini_blocks_is_a_content_filter() {
    let server = FakeServer::start(|_| {
        Response::json(200, &json!({"promptFeedback": {"blockReason": "SAFETY"}}))
    });
    let server = server.await.unwrap();
    let failed = remote("gemini", &server).generate(&request()).await.unwrap_err();
    assert_eq!(failed.kind, LmErrorKind::ContentFilter);
    assert!(failed.to_string().contains("SAFETY"), "{failed}");
}

#[tokio::test]
async fn an_error_event_in_a_stream_is_an_error() {
    let server = FakeServer::start(|_| {
        let error = json!({"type": "overloaded_error", "message": "Overloaded"});
        events(&[json!({"type": "ping"}), json!({"type": "error", "error": error})])
    });
    let server = server.await.unwrap();
    let (lm, request) = (remote("anthropic", &server), request());
    let failed = lm.stream(&request).next().await.unwrap().unwrap_err();
    assert_eq!(failed.kind, LmErrorKind::Overloaded);
    assert!(failed.is_retryable());
}
