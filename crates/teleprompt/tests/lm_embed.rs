//! Embedding models over a real socket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use teleprompt::lm::{EmbedConfig, Endpoint, KeySource, Registry, RemoteEmbedder, RetryConfig};
use teleprompt::{Embedder, LmErrorKind};
use teleprompt_testkit::{FakeServer, Request, Response};

/// Texts whose vectors can be foretold: each is a number.
fn texts(count: usize) -> Vec<String> {
    (0..count).map(|n| n.to_string()).collect()
}

/// A vector for each text, the last one first; the server tells their places.
fn vectors(request: &Request) -> Response {
    let body = request.json();
    let input = body["input"].as_array().unwrap();
    let item = |(index, text): (usize, &Value)| {
        let number: f32 = text.as_str().unwrap().parse().unwrap();
        json!({"index": index, "embedding": [number, 0.5]})
    };
    let data: Vec<Value> = input.iter().enumerate().map(item).rev().collect();
    Response::json(200, &json!({"data": data, "usage": {"prompt_tokens": input.len()}}))
}

fn endpoint(server: &FakeServer) -> Endpoint {
    Endpoint::new("openai-chat", &server.base_url()).unwrap().with_key(KeySource::value("sk-1"))
}

fn embedder(server: &FakeServer, config: EmbedConfig) -> RemoteEmbedder {
    RemoteEmbedder::with_config("m", endpoint(server), config).unwrap()
}

fn quick() -> EmbedConfig {
    let retry = RetryConfig { first_wait: Duration::from_millis(1), ..RetryConfig::default() };
    EmbedConfig { retry, ..EmbedConfig::default() }
}

#[tokio::test]
async fn vectors_come_in_the_order_of_the_texts() {
    // Earlier batches answer later, so the order of arrival is not that of the texts.
    let server = FakeServer::start(|request| {
        let first: u64 = request.json()["input"][0].as_str().unwrap().parse().unwrap();
        vectors(request).after(Duration::from_millis(60 - first * 6))
    });
    let server = server.await.unwrap();
    let embedder = embedder(&server, EmbedConfig { batch: 3, ..quick() });
    let texts = texts(10);
    // A task may hold it.
    let found = tokio::spawn(async move { embedder.embed(&texts).await }).await.unwrap().unwrap();
    let expected: Vec<[f32; 2]> = (0..10).map(|n| [n as f32, 0.5]).collect();
    assert_eq!(found.vectors, expected);
    assert_eq!((found.usage.calls, found.usage.prompt_tokens), (4, 10));
    assert_eq!(server.hits(), 4);
    let request = &server.requests()[0];
    assert_eq!(request.path, "/v1/embeddings");
    assert_eq!(request.header("authorization"), Some("Bearer sk-1"));
}

#[tokio::test]
async fn no_text_sends_nothing() {
    let server = FakeServer::start(vectors).await.unwrap();
    let found = embedder(&server, quick()).embed(&[]).await.unwrap();
    assert!(found.vectors.is_empty());
    assert_eq!((server.hits(), found.usage.calls), (0, 0));
}

#[tokio::test]
async fn only_so_many_requests_are_in_flight() {
    let (now, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (open, peak) = (now.clone(), most.clone());
    let server = FakeServer::start(move |request| {
        let count = open.fetch_add(1, Ordering::SeqCst) + 1;
        peak.fetch_max(count, Ordering::SeqCst);
        let open = open.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(30)).await;
            open.fetch_sub(1, Ordering::SeqCst);
        });
        vectors(request).after(Duration::from_millis(40))
    });
    let server = server.await.unwrap();
    let config = EmbedConfig { batch: 1, concurrency: 2, ..quick() };
    embedder(&server, config).embed(&texts(8)).await.unwrap();
    assert_eq!(most.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_fails_in_passing_is_repeated() {
    let tries = AtomicU32::new(0);
    let server = FakeServer::start(move |request| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => Response::status(503, "busy"),
        _ => vectors(request),
    });
    let server = server.await.unwrap();
    let found = embedder(&server, quick()).embed(&texts(1)).await.unwrap();
    assert_eq!(found.vectors, [[0.0, 0.5]]);
    assert_eq!(server.hits(), 2);
    // Some servers say under a good status that something is wrong.
    let error = json!({"error": {"code": 429, "message": "slow down"}});
    let server = FakeServer::start(move |_| Response::json(200, &error)).await.unwrap();
    let failed = embedder(&server, quick()).embed(&texts(1)).await.unwrap_err();
    assert_eq!((failed.kind, server.hits()), (LmErrorKind::RateLimit, 4));
    let server = FakeServer::start(|_| Response::status(401, "no")).await.unwrap();
    let failed = embedder(&server, quick()).embed(&texts(1)).await.unwrap_err();
    assert_eq!((failed.kind, server.hits()), (LmErrorKind::Auth, 1));
    assert!(!format!("{failed:?}").contains("sk-1"));
}

#[tokio::test]
async fn vectors_are_checked() {
    let item = |vector: Value| json!({"embedding": vector});
    let huge = item(json!([1e300]));
    let cases = [
        (json!([item(json!([1]))]), "1 vectors for 2 texts"),
        (json!([item(json!([1])), item(json!([1, 2]))]), "lengths 1 and 2"),
        (json!([item(json!([1])), huge]), "not finite"),
        (json!([item(json!([])), item(json!([]))]), "lengths 0"),
        (json!("none"), "no list"),
    ];
    for (data, said) in cases {
        let server = FakeServer::start(move |_| Response::json(200, &json!({"data": data})));
        let server = server.await.unwrap();
        let failed = embedder(&server, quick()).embed(&texts(2)).await.unwrap_err();
        assert_eq!((failed.kind, server.hits()), (LmErrorKind::Protocol, 1), "{said}");
        assert!(failed.to_string().contains(said), "{failed}");
    }
    let server = FakeServer::start(vectors).await.unwrap();
    let config = EmbedConfig { dimensions: Some(3), ..quick() };
    let failed = embedder(&server, config).embed(&texts(2)).await.unwrap_err();
    assert_eq!(failed.kind, LmErrorKind::Unsupported);
    assert!(failed.to_string().contains("length 2 where 3"), "{failed}");
    assert_eq!(server.requests()[0].json()["dimensions"], 3);
}

#[tokio::test]
async fn gemini_has_its_own_form() {
    let server = FakeServer::start(|request| {
        let requests = request.json()["requests"].as_array().unwrap().len();
        let values: Vec<Value> = (0..requests).map(|n| json!({"values": [n]})).collect();
        Response::json(200, &json!({"embeddings": values}))
    });
    let server = server.await.unwrap();
    let endpoint = Endpoint::new("gemini", &server.url()).unwrap();
    let endpoint = endpoint.with_key(KeySource::value("g-1"));
    let embedder = RemoteEmbedder::new("gemini-embedding-001", endpoint).unwrap();
    let found = embedder.embed(&texts(101)).await.unwrap();
    assert_eq!(found.vectors.len(), 101);
    let sizes: Vec<usize> = server
        .requests()
        .iter()
        .map(|request| {
            assert_eq!(request.path, "/models/gemini-embedding-001:batchEmbedContents");
            assert_eq!(request.header("x-goog-api-key"), Some("g-1"));
            request.json()["requests"].as_array().unwrap().len()
        })
        .collect();
    assert_eq!(sizes.iter().sum::<usize>(), 101);
    assert_eq!(sizes.iter().max(), Some(&100));
}

#[test]
fn a_protocol_without_embeddings_is_refused_at_once() {
    let endpoint = Endpoint::new("anthropic", "http://localhost/v1").unwrap();
    let failed = RemoteEmbedder::new("m", endpoint).unwrap_err();
    assert_eq!(failed.kind, LmErrorKind::Unsupported);
}

#[test]
fn the_identity_tells_what_changes_vectors() {
    let make = |config| {
        let endpoint = Endpoint::new("openai-chat", "http://localhost:1/v1").unwrap();
        RemoteEmbedder::with_config("m", endpoint, config).unwrap().identity()
    };
    let plain = make(EmbedConfig::default());
    assert!(plain.contains("http://localhost:1/v1 m"), "{plain}");
    assert_eq!(make(EmbedConfig { batch: 1, ..EmbedConfig::default() }), plain);
    let short = make(EmbedConfig { dimensions: Some(8), ..EmbedConfig::default() });
    let mut config = EmbedConfig::default();
    config.extra_body.insert("input_type".into(), "query".into());
    assert!(short != plain && make(config) != plain);
}

#[tokio::test]
async fn names_lead_to_embedding_models() {
    let server = FakeServer::start(vectors).await.unwrap();
    let name = format!("ollama:nomic@{}", server.base_url());
    let embedder = Registry::default().connect_embedder(&name).await.unwrap();
    assert_eq!(embedder.name(), name);
    assert_eq!(embedder.embed(&texts(2)).await.unwrap().vectors, [[0.0, 0.5], [1.0, 0.5]]);
    assert_eq!(server.requests()[0].json()["model"], "nomic");
    let cases = [
        ("nope:m", "no LM name"),
        ("openai:", "names no model"),
        ("local:m", "has no embedding models"),
        ("openai:m@http://localhost:1/v1,http://localhost:2/v1", "several addresses"),
        ("anthropic:m", "has no embeddings"),
    ];
    for (name, said) in cases {
        let failed = Registry::default().connect_embedder(name).await.unwrap_err().to_string();
        assert!(failed.contains(said), "{failed}");
    }
}
