//! What `Remote` learns, hides, counts and cuts, whichever wire it drives.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod missing;
mod quirks;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use futures::StreamExt;
use serde_json::{Value, json};
use teleprompt::lm::{DialectOptions, Endpoint, KeySource, Remote};
use teleprompt::{
    FinishReason, Lm, LmChunk, LmError, LmErrorKind, LmRequest, LmResponse, Media, Message, Part,
    RateStatus, ReasoningEffort,
};
use teleprompt_testkit::{FakeServer, Request, Response};

fn endpoint(server: &FakeServer, wire: &str) -> Endpoint {
    Endpoint::new(wire, &server.base_url()).unwrap().with_provider("gate")
}

fn chat(server: &FakeServer) -> Remote {
    Remote::new("m", endpoint(server, "openai-chat")).unwrap()
}

fn responses(server: &FakeServer) -> Remote {
    Remote::new("m", endpoint(server, "openai-responses")).unwrap()
}

fn request() -> LmRequest {
    LmRequest::new(vec![Message::user("hi")])
}

/// A server that refuses requests whose body has something at this place.
async fn refusing(place: &'static str, message: &'static str) -> FakeServer {
    FakeServer::start(move |request: &Request| match request.json().pointer(place) {
        Some(_) => Response::api_error(400, "invalid_request_error", message),
        None => Response::chat("ok"),
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn each_refused_setting_costs_one_request_once() {
    let mut sampled = request();
    sampled.settings.temperature = Some(0.5);
    let mut stopped = request();
    stopped.settings.stop = vec!["END".into()];
    let mut reasoned = request();
    reasoned.settings.reasoning = Some(ReasoningEffort::Off);
    let mut shared = request();
    shared.shared_prefix = 1;
    let cases = [
        (
            "/temperature",
            "Unsupported value: 'temperature' does not support 0.5 with this model.",
            sampled,
        ),
        ("/stop", "Unsupported parameter: 'stop' is not supported with this model.", stopped),
        ("/reasoning_effort", "Unrecognized request argument supplied: reasoning_effort", reasoned),
        ("/prompt_cache_key", "Unknown field prompt_cache_key", shared),
    ];
    for (place, message, request) in cases {
        let server = refusing(place, message).await;
        let cached = DialectOptions { prompt_cache: Some(true), ..DialectOptions::default() };
        let endpoint = endpoint(&server, "openai-chat").with_dialect(cached);
        let lm = Remote::new("m", endpoint).unwrap();
        for _ in 0..2 {
            assert_eq!(lm.generate(&request).await.unwrap().completions[0].text, "ok", "{place}");
        }
        assert_eq!(server.hits(), 3, "{place}");
    }
}

#[tokio::test]
async fn a_wrong_value_is_no_missing_ability() {
    let server = refusing("/temperature", "temperature must be at most 2").await;
    let mut hot = request();
    hot.settings.temperature = Some(9.0);
    let error = chat(&server).generate(&hot).await.unwrap_err();
    assert_eq!((error.kind, server.hits()), (LmErrorKind::InvalidRequest, 1));
}

#[tokio::test]
async fn one_refused_measure_of_reasoning_does_not_spoil_the_others() {
    let server =
        FakeServer::start(|request: &Request| match request.json()["reasoning_effort"].as_str() {
            Some("none") => {
                Response::api_error(400, "", "reasoning_effort: unsupported value none")
            }
            other => Response::chat(other.unwrap_or("nothing")),
        })
        .await
        .unwrap();
    let lm = chat(&server);
    let mut texts = Vec::new();
    for effort in [ReasoningEffort::Off, ReasoningEffort::High, ReasoningEffort::Off] {
        let mut request = request();
        request.settings.reasoning = Some(effort);
        texts.push(lm.generate(&request).await.unwrap().completions[0].text.clone());
    }
    assert_eq!(
        (texts, server.hits()),
        (vec!["nothing".into(), "high".into(), "nothing".into()], 4)
    );
}

async fn streamed(lm: &Remote, request: &LmRequest) -> Result<(Vec<LmChunk>, LmResponse), LmError> {
    let (mut chunks, mut done) = (Vec::new(), None);
    let mut stream = lm.stream(request);
    while let Some(chunk) = stream.next().await {
        match chunk? {
            LmChunk::Done(response) => done = Some(response),
            other => chunks.push(other),
        }
    }
    Ok((chunks, done.expect("a stream ends with `Done`")))
}

fn response_of(text: &str) -> Value {
    json!({
        "status": "completed", "model": "m-1", "usage": {"input_tokens": 2, "output_tokens": 3},
        "output": [{"type": "message", "content": [{"type": "output_text", "text": text}]}],
    })
}

/// A server for the Responses wire that says this, streamed in pieces of one character if asked.
async fn saying(text: &'static str) -> FakeServer {
    FakeServer::start(move |request: &Request| {
        let whole = response_of(text);
        if request.json()["stream"] != true {
            return Response::json(200, &whole);
        }
        let delta =
            |c: char| json!({"type": "response.output_text.delta", "output_index": 0, "delta": c});
        let end = json!({"type": "response.completed", "response": whole});
        let events = text.chars().map(delta).chain([end]);
        let bytes: String = events.map(|event| format!("data: {event}\n\n")).collect();
        Response::event_stream(&bytes, 7, Duration::ZERO)
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn stop_texts_are_cut_where_the_wire_has_none() {
    let server = saying("one END two").await;
    let lm = responses(&server);
    let mut stopped = request();
    stopped.settings.stop = vec!["END".into(), "two".into()];
    stopped.n = 2;
    let whole = lm.generate(&stopped).await.unwrap();
    assert_eq!(whole.completions.len(), 2);
    assert!(whole.completions.iter().all(|c| c.text == "one "));
    let (chunks, done) = streamed(&lm, &stopped).await.unwrap();
    assert_eq!(done.completions, whole.completions);
    let text = |wanted: usize| -> String {
        let texts = chunks.iter().filter_map(|chunk| match chunk {
            LmChunk::Text { index, text } if *index == wanted => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    };
    assert_eq!((text(0), text(1)), ("one ".to_owned(), "one ".to_owned()));
    assert!(server.requests().iter().all(|r| r.json().get("stop").is_none()));
}

#[tokio::test]
async fn responses_are_streamed_and_counted() {
    let server = saying("Grüße").await;
    let lm = responses(&server);
    let (chunks, done) = streamed(&lm, &request()).await.unwrap();
    assert_eq!((chunks.len(), done.completions[0].text.as_str()), (5, "Grüße"));
    assert_eq!((done.usage.prompt_tokens, done.usage.completion_tokens), (2, 3));
    assert_eq!(server.requests()[0].path, "/v1/responses");
    assert_eq!(done.completions, lm.generate(&request()).await.unwrap().completions);
}

#[tokio::test]
async fn the_headers_of_a_reply_are_told() {
    let tell = |response: Response| {
        response
            .with_header("x-request-id", "req-7")
            .with_header("x-ratelimit-remaining-requests", "59")
            .with_header("x-ratelimit-reset-tokens", "6m0s")
    };
    let streamed_reply = Response::chat_stream(&["ok"], 99, Duration::ZERO);
    let server =
        FakeServer::script([tell(Response::chat("ok")), tell(streamed_reply)]).await.unwrap();
    let lm = chat(&server);
    let rate = RateStatus {
        remaining_requests: Some(59),
        reset_tokens: Some(Duration::from_secs(360)),
        ..RateStatus::default()
    };
    for reply in
        [lm.generate(&request()).await.unwrap(), streamed(&lm, &request()).await.unwrap().1]
    {
        assert_eq!((reply.request_id.as_deref(), reply.rate), (Some("req-7"), Some(rate)));
    }
}

#[tokio::test]
async fn an_error_tells_who_and_why() {
    let busy = json!({"error": {
        "code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED",
        "details": [{"retryDelay": "2.5s"}],
    }});
    let server = FakeServer::script([Response::json(429, &busy)]).await.unwrap();
    let error = chat(&server).generate(&request()).await.unwrap_err();
    assert_eq!(error.provider.as_deref(), Some("gate"));
    assert_eq!((&*error.model, error.kind), ("gate:m", LmErrorKind::RateLimit));
    assert_eq!(error.retry_after, Some(Duration::from_millis(2500)));
    let lost = Remote::new("m", Endpoint::new("openai-chat", "http://127.0.0.1:9/v1").unwrap());
    let error = lost.unwrap().generate(&request()).await.unwrap_err();
    assert!(std::error::Error::source(&error).is_some(), "the cause is kept");
}

#[tokio::test]
async fn a_secret_is_taken_out_in_every_form() {
    let key = "sk-marker+4711/x=";
    let forms = [
        key.to_owned(),
        STANDARD.encode(key),
        STANDARD.encode(format!("Bearer {key}")),
        URL_SAFE.encode(format!("user:{key}")),
        "sk-marker%2B4711%2Fx%3D".to_owned(),
        "header-marker-1".to_owned(),
    ];
    // The marker in base64, at each place that it can have in three bytes.
    let marks = ["bWFya2V", "1hcmtlc", "tYXJrZX"];
    for form in forms {
        for (status, stream) in [(401, false), (500, false), (200, true)] {
            let told = json!({"error": {"message": format!("you sent {form}"), "code": 500}});
            let response = match stream {
                false => Response::json(status, &told),
                true => Response::event_stream(&format!("data: {told}\n\n"), 99, Duration::ZERO),
            };
            let server = FakeServer::script([response]).await.unwrap();
            let endpoint = endpoint(&server, "openai-chat").with_key(KeySource::value(key));
            let endpoint = endpoint.with_header("x-secret", "header-marker-1").unwrap();
            let lm = Remote::new("m", endpoint).unwrap();
            let error = streamed(&lm, &request()).await.unwrap_err();
            let shown = format!("{error} {error:?} {lm:?}");
            let hidden = !marks.iter().chain(&["marker"]).any(|mark| shown.contains(mark));
            assert!(hidden, "{form}: {shown}");
            assert!(shown.contains("[key]"), "{form}: {shown}");
        }
    }
}

#[tokio::test]
async fn the_first_byte_tells_what_a_reply_is() {
    let html =
        Response::status(200, "<html>Log in</html>").with_header("content-type", "text/html");
    let server = FakeServer::script([html]).await.unwrap();
    let error = streamed(&chat(&server), &request()).await.unwrap_err();
    assert_eq!(error.kind, LmErrorKind::Protocol);
    assert!(error.message.contains("HTML") && error.message.contains("/v1"), "{error}");
    let mislabelled = |mut response: Response, kind: &str| {
        response.headers.retain(|(name, _)| name != "content-type");
        response.with_header("content-type", kind)
    };
    let replies = [
        mislabelled(Response::chat_stream(&["ok"], 1, Duration::ZERO), "application/json"),
        mislabelled(Response::chat_stream(&["ok"], 99, Duration::ZERO), "text/html"),
        mislabelled(Response::chat("ok"), "text/event-stream"),
    ];
    for reply in replies {
        let server = FakeServer::script([reply]).await.unwrap();
        let (chunks, done) = streamed(&chat(&server), &request()).await.unwrap();
        assert_eq!((chunks.len(), done.completions[0].text.as_str()), (1, "ok"));
    }
}

#[tokio::test]
async fn extra_fields_and_headers_are_sent_and_told_apart() {
    let server = FakeServer::start(|_| Response::chat("ok")).await.unwrap();
    let fields = |value: Value| value.as_object().unwrap().clone();
    let endpoint = endpoint(&server, "openai-chat")
        .with_extra_body(fields(json!({"user": "a", "opts": {"x": 1}})))
        .with_query("v", "a b")
        .with_header("x-team", "search")
        .and_then(|e| e.with_header("Content-Type", "application/json; charset=utf-8"))
        .and_then(|e| e.with_header("authorization", "Token own-marker"))
        .unwrap();
    let lm = Remote::new("m", endpoint.with_key(KeySource::value("sk-marker"))).unwrap();
    let mut own = request();
    own.settings.extra_body = Some(Arc::new(fields(json!({"user": "b", "opts": {"y": 2}}))));
    lm.generate(&own).await.unwrap();
    let sent = server.requests().remove(0);
    assert_eq!(sent.path, "/v1/chat/completions?v=a%20b");
    assert_eq!(sent.header("x-team"), Some("search"));
    let all = |name: &str| -> Vec<&str> {
        let same = sent.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    };
    assert_eq!(all("content-type"), ["application/json; charset=utf-8"]);
    assert_eq!(all("authorization"), ["Token own-marker"], "one's own takes the place of the key");
    assert_eq!(
        (&sent.json()["user"], &sent.json()["opts"]),
        (&json!("b"), &json!({"x": 1, "y": 2}))
    );
    let identity = lm.identity();
    assert!(identity.contains(r#""user":"a""#) && !identity.contains("marker"), "{identity}");
    assert!(!chat(&server).identity().contains("user"), "another body is another LM");
}

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
async fn what_a_wire_cannot_say_is_not_sent() {
    let server = FakeServer::start(|_| Response::chat("ok")).await.unwrap();
    let image = Part::Image(Media::id("file-1", "image/png"));
    let wrong = LmRequest::new(vec![Message::user([image])]);
    let error = chat(&server).generate(&wrong).await.unwrap_err();
    assert_eq!((error.kind, server.hits()), (LmErrorKind::Unsupported, 0));
    assert!(error.message.contains("openai-chat cannot say an image by its id"), "{error}");
}
