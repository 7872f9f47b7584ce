//! Replies that bend the protocol, and keys that expire.

use std::time::Duration;

use serde_json::{Value, json};
use teleprompt::lm::Remote;
use teleprompt::{FinishReason, Lm, LmErrorKind};
use teleprompt_testkit::{FakeServer, Response};

use super::{chat, endpoint, request, streamed};

#[tokio::test]
async fn what_gateways_add_to_a_stream_spoils_nothing() {
    let block =
        |kind: &str, name: &str, inner: Value| json!({"type": kind, "index": 0, name: inner});
    let events = [
        json!({"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 1}}}),
        block("content_block_start", "content_block", json!({"type": "text", "text": ""})),
        block("content_block_delta", "delta", json!({"type": "text_delta", "text": "ok"})),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
        json!({"type": "message_stop"}),
    ];
    let anthropic: String =
        events.iter().map(|event| format!("data: {event}\n\ndata:\n\n")).collect();
    let text = json!({"content": {"parts": [{"text": "ok"}]}, "finishReason": "STOP"});
    let gemini = format!("data:\n\ndata: {}\n\n", json!({"candidates": [text]}));
    let broken = format!("{anthropic}data: [DONE]\n\ndata: not JSON\n\n");
    let cases = [("anthropic", broken), ("gemini", format!("{gemini}data: [DONE]\n\n"))];
    for (wire, bytes) in cases {
        // All in one packet.
        let stream = Response::event_stream(&bytes, bytes.len(), Duration::ZERO);
        let server = FakeServer::script([stream]).await.unwrap();
        let lm = Remote::new("m", endpoint(&server, wire)).unwrap();
        let (_, done) = streamed(&lm, &request()).await.unwrap();
        assert_eq!(done.completions[0].text, "ok", "{wire}");
    }
}

#[tokio::test]
async fn a_reply_that_does_not_tell_why_it_ended_is_not_called_whole() {
    let whole = json!({"choices": [{"message": {"content": "ok"}, "finish_reason": null}]});
    let piece = json!({"choices": [{"delta": {"content": "ok"}}]});
    let stream = format!("data: {piece}\n\ndata: [DONE]\n\n");
    let replies =
        [Response::json(200, &whole), Response::event_stream(&stream, 99, Duration::ZERO)];
    let server = FakeServer::script(replies).await.unwrap();
    let lm = chat(&server);
    let first = lm.generate(&request()).await.unwrap();
    for reply in [first, streamed(&lm, &request()).await.unwrap().1] {
        assert_eq!(
            (&*reply.completions[0].text, reply.completions[0].finish),
            ("ok", FinishReason::Other)
        );
    }
}

#[tokio::test]
async fn an_error_under_a_good_status_keeps_that_status() {
    let told = json!({"error": {"message": "busy", "type": "rate_limit_error"}});
    let server = FakeServer::script([Response::json(200, &told)]).await.unwrap();
    let error = chat(&server).generate(&request()).await.unwrap_err();
    assert_eq!((error.kind, error.status), (LmErrorKind::RateLimit, Some(200)), "{error}");
}

#[tokio::test]
async fn a_stream_without_end_is_left() {
    let comments = ": wait\n".repeat(10 * 1024 * 1024);
    let line = format!("data: {}", "x".repeat(17 * 1024 * 1024));
    for (bytes, said) in [(comments, "more than 64 MB"), (line, "an event of more than 16 MB")] {
        let stream = Response::event_stream(&bytes, 1 << 20, Duration::ZERO);
        let server = FakeServer::script([stream]).await.unwrap();
        let error = streamed(&chat(&server), &request()).await.unwrap_err();
        assert_eq!(error.kind, LmErrorKind::Protocol, "{error}");
        assert!(error.message.contains(said), "{error}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_key_of_a_command_that_expired_is_fetched_once_more() {
    use teleprompt::lm::KeySource;
    use teleprompt_testkit::Request;

    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let count = format!("echo x >> '{0}'; echo marker-$(wc -l < '{0}')", log.display());
    let server = FakeServer::start(|request: &Request| match request.header("authorization") {
        Some("Bearer marker-1") => Response::api_error(401, "expired", "marker-1 expired"),
        Some("Bearer marker-2") => Response::chat("ok"),
        other => Response::api_error(403, "", other.unwrap_or_default()),
    })
    .await
    .unwrap();
    let keyed = endpoint(&server, "openai-chat").with_key(KeySource::shell(&count));
    let lm = Remote::new("m", keyed).unwrap();
    for _ in 0..2 {
        assert_eq!(lm.generate(&request()).await.unwrap().completions[0].text, "ok");
    }
    assert_eq!((server.hits(), std::fs::read_to_string(&log).unwrap().len()), (3, 4));
    // The same key again: the refusal stands, and nothing is sent twice.
    let stuck = endpoint(&server, "openai-chat").with_key(KeySource::shell("echo marker-1"));
    let error = Remote::new("m", stuck).unwrap().generate(&request()).await.unwrap_err();
    assert_eq!((error.kind, server.hits()), (LmErrorKind::Auth, 4));
    assert!(!format!("{error:?}").contains("marker"), "{error:?}");
}
