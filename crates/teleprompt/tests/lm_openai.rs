//! `Remote` over OpenAI's chat wire, against a fake server on a real socket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use proptest::prelude::*;
use serde_json::{Value, json};
use teleprompt::lm::{Endpoint, KeySource, Remote, Timeouts};
use teleprompt::{
    Completion, Constraint, FinishReason, Lm, LmChunk, LmError, LmErrorKind, LmRequest, LmResponse,
    Message, TokenLogprob,
};
use teleprompt_testkit::{FakeServer, Part, Request, Response};

const KEY: &str = "sk-marker-4711";

fn client(server: &FakeServer) -> Remote {
    at(&server.base_url())
}

fn at(url: &str) -> Remote {
    Remote::new("m", endpoint(url).with_key(KeySource::value(KEY))).unwrap()
}

fn endpoint(url: &str) -> Endpoint {
    Endpoint::new("openai-chat", url).unwrap().with_provider("test")
}

fn request() -> LmRequest {
    LmRequest::new(vec![Message::system("Be brief."), Message::user("Grüße")])
}

async fn fails_with(response: Response) -> LmError {
    let server = FakeServer::script([response]).await.unwrap();
    let error = client(&server).generate(&request()).await.unwrap_err();
    assert_eq!(server.hits(), 1, "it must be sent once");
    error
}

async fn streamed(lm: &Remote, request: &LmRequest) -> Result<(Vec<String>, LmResponse), LmError> {
    let (mut texts, mut done) = (Vec::new(), None);
    let mut stream = lm.stream(request);
    while let Some(chunk) = stream.next().await {
        match chunk? {
            LmChunk::Text { text, .. } => texts.push(text),
            LmChunk::Done(response) => done = Some(response),
            _ => {}
        }
    }
    Ok((texts, done.expect("a stream ends with `Done`")))
}

#[tokio::test]
async fn all_settings_are_sent_and_only_those() {
    let server = FakeServer::start(|_| Response::chat("ok")).await.unwrap();
    let lm = client(&server);
    let mut full = request();
    full.settings.temperature = Some(0.7);
    full.settings.top_p = Some(0.9);
    full.settings.max_tokens = Some(5);
    full.settings.seed = Some(u64::MAX);
    full.settings.stop = vec!["END".into()];
    full.settings.logprobs = Some(2);
    let schema = json!({"type": "object"});
    full.constraint = Some(Arc::new(Constraint::new(Some(Arc::new(schema.clone())), None)));
    lm.generate(&full).await.unwrap();
    lm.generate(&request()).await.unwrap();
    let sent = server.requests();
    assert_eq!((sent[0].method.as_str(), sent[0].path.as_str()), ("POST", "/v1/chat/completions"));
    assert_eq!(sent[0].header("authorization"), Some("Bearer sk-marker-4711"));
    let messages =
        json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Grüße"}]);
    let format = json!({
        "type": "json_schema", "json_schema": {"name": "reply", "strict": true, "schema": schema},
    });
    assert_eq!(
        sent[0].json(),
        json!({
            "model": "m", "messages": messages, "temperature": 0.7, "top_p": 0.9, "max_tokens": 5,
            "seed": i64::MAX, "stop": ["END"], "logprobs": true, "top_logprobs": 2,
            "response_format": format,
        })
    );
    assert_eq!(sent[1].json(), json!({"model": "m", "messages": messages}));
}

#[tokio::test]
async fn a_reply_is_read_whole() {
    let body = json!({
        "model": "m-2026", "usage": {
            "prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2},
        },
        "choices": [{
            "index": 0, "finish_reason": "length", "message": {"content": "Hello"},
            "logprobs": {"content": [
                {"token": "Hello", "logprob": -0.5, "top_logprobs": [{"token": "Hi", "logprob": -1.5}]},
            ]},
        }],
    });
    let server = FakeServer::script([Response::json(200, &body)]).await.unwrap();
    let reply = client(&server).generate(&request()).await.unwrap();
    let token =
        TokenLogprob { token: "Hello".into(), logprob: -0.5, top: vec![("Hi".into(), -1.5)] };
    let completion = Completion {
        text: "Hello".into(),
        finish: FinishReason::Length,
        logprobs: Some(vec![token]),
        finish_said: Some("length".into()),
        ..Completion::default()
    };
    assert_eq!(reply.completions, [completion]);
    assert_eq!(&*reply.model, "m-2026");
    let usage = reply.usage;
    assert_eq!((usage.calls, usage.prompt_tokens, usage.completion_tokens), (1, 7, 3));
    assert_eq!((usage.cached_prompt_tokens, usage.cache_hits), (2, 0));
}

#[tokio::test]
async fn odd_forms_of_content_are_understood() {
    let cases = [
        (
            json!({"content": null, "refusal": "I cannot"}),
            "stop",
            "I cannot",
            FinishReason::ContentFilter,
        ),
        (
            json!({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}),
            "eos",
            "ab",
            FinishReason::Stop,
        ),
        (json!({"content": "x"}), "content_filter", "x", FinishReason::ContentFilter),
        (json!({"content": "x"}), "a new one", "x", FinishReason::Other),
        (json!({"content": null}), "stop", "", FinishReason::Stop),
    ];
    for (message, reason, text, finish) in cases {
        let body = json!({"choices": [{"message": message, "finish_reason": reason}]});
        let server = FakeServer::script([Response::json(200, &body)]).await.unwrap();
        let reply = client(&server).generate(&request()).await.unwrap();
        assert_eq!(
            (reply.completions[0].text.as_str(), reply.completions[0].finish),
            (text, finish)
        );
        assert_eq!(reply.usage.calls, 1);
    }
}

#[tokio::test]
async fn every_refusal_has_its_kind_and_a_remedy() {
    use LmErrorKind as K;
    let overflow = "This model's maximum context length is 8192 tokens. However, your messages \
                    resulted in 9000 tokens.";
    let cases: &[(u16, &str, &str, K, &str)] = &[
        (401, "invalid_api_key", "Incorrect API key", K::Auth, "check the key that was given"),
        (403, "", "No access", K::Auth, "check the key that was given"),
        (402, "", "Insufficient credits", K::Billing, "billing"),
        (429, "insufficient_quota", "You exceeded your quota", K::Billing, "billing"),
        (429, "rate_limit_exceeded", "Slow down", K::RateLimit, "concurrency"),
        (404, "model_not_found", "No such model", K::NotFound, "no such model"),
        (
            400,
            "context_length_exceeded",
            overflow,
            K::ContextOverflow { needed: 9000, limit: 8192 },
            "needs 9000 tokens",
        ),
        (
            400,
            "invalid_value",
            "temperature must be <= 2",
            K::InvalidRequest,
            "temperature must be <= 2",
        ),
        (422, "", "bad", K::InvalidRequest, "HTTP 422"),
        (408, "", "slow", K::Timeout, "try again"),
        (500, "", "boom", K::Server, "try again later"),
        (529, "overloaded_error", "Overloaded", K::Overloaded, "too much to do"),
    ];
    for (status, code, message, kind, remedy) in cases {
        let error = fails_with(Response::api_error(*status, code, message)).await;
        assert_eq!((error.kind, error.status), (*kind, Some(*status)), "{error}");
        let shown = error.to_string();
        assert!(shown.contains(remedy) && !shown.contains('\n'), "{shown}");
        assert!(error.body.unwrap().contains(message));
    }
}

#[tokio::test]
async fn the_evidence_is_kept_and_the_key_is_not() {
    let message = format!("Incorrect API key provided: {KEY}.");
    let response = Response::api_error(401, "invalid_api_key", &message)
        .with_header("x-request-id", "req-1")
        .with_header("retry-after", "7");
    let error = fails_with(response).await;
    assert_eq!(error.request_id.as_deref(), Some("req-1"));
    assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
    let all = format!("{error} {error:?}");
    assert!(all.contains("[key]") && !all.contains(KEY), "{all}");
    let lm = at("http://127.0.0.1:9/v1");
    assert!(!format!("{lm:?} {} {}", lm.identity(), lm.describe()).contains(KEY));
}

#[tokio::test]
async fn without_a_key_none_is_sent_and_a_refusal_names_the_variable() {
    let server = FakeServer::script([Response::status(401, "")]).await.unwrap();
    let keyed = |key| Remote::new("m", endpoint(&server.base_url()).with_key(key)).unwrap();
    let cases = [
        (KeySource::none(), "(HTTP 401); give the provider a key"),
        (KeySource::env("NO_SUCH_VARIABLE_HERE"), "(HTTP 401); set NO_SUCH_VARIABLE_HERE"),
    ];
    for (key, said) in cases {
        let error = keyed(key).generate(&request()).await.unwrap_err();
        assert!(error.message.contains(said), "{error}");
    }
    assert!(server.requests().iter().all(|r| r.header("authorization").is_none()));
}

#[tokio::test]
async fn what_is_no_reply_is_a_protocol_error() {
    let cases = [
        (Response::status(200, "<html>Welcome</html>"), "HTML"),
        (Response::status(200, "choices"), "not JSON"),
        (Response::status(200, ""), "not JSON"),
        (Response::status(200, "{\"choices\": nothing"), "not JSON"),
        (Response::json(200, &json!({"choices": []})), "no completion"),
        (Response::json(200, &json!({"choices": "none"})), "another form"),
        (Response::json(200, &json!([])), "another form"),
    ];
    for (response, said) in cases {
        let error = fails_with(response).await;
        assert_eq!(error.kind, LmErrorKind::Protocol);
        assert!(error.message.contains(said) && error.message.contains("/v1"), "{error}");
        assert!(!error.is_retryable());
    }
}

#[tokio::test]
async fn an_error_under_status_200_is_an_error() {
    let body = json!({"error": {"code": 429, "message": "busy"}});
    assert_eq!(fails_with(Response::json(200, &body)).await.kind, LmErrorKind::RateLimit);
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_key() {
    let moved = Response::status(308, "").with_header("location", "http://elsewhere.example/v1");
    let error = fails_with(moved).await;
    assert!(error.message.contains("moved (HTTP 308) to http://elsewhere.example/v1"), "{error}");
}

#[tokio::test]
async fn broken_connections_are_transport_errors() {
    let cut = Response::parts([Part::Bytes(b"{\"choi".to_vec()), Part::Close]);
    let lying = Response::status(200, "{}").with_header("content-length", "100");
    let lying = Response { parts: vec![lying.parts[0].clone(), Part::Close], ..lying };
    let reset = Response::parts([
        Part::Bytes(b"{\"choi".to_vec()),
        Part::Wait(Duration::from_millis(20)),
        Part::Reset,
    ]);
    for response in [cut, lying, reset, Response::parts([Part::Reset])] {
        let error = fails_with(response).await;
        assert_eq!(error.kind, LmErrorKind::Transport, "{error}");
        assert!(error.is_retryable() && error.message.contains("broke"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = at(&format!("http://127.0.0.1:{port}/v1")).generate(&request()).await.unwrap_err();
    assert_eq!(error.kind, LmErrorKind::Unreachable);
    let expected = format!("http://127.0.0.1:{port} (connection refused); is the server running?");
    assert!(error.message.contains(&expected), "{error}");
}

#[tokio::test]
async fn a_stall_before_or_inside_the_body_times_out() {
    let (hour, short) = (Duration::from_secs(3600), Duration::from_millis(100));
    let event = format!("data: {}\n\n", json!({"choices": [{"delta": {"content": "a"}}]}));
    let before = || Response::chat("late").after(hour);
    let inside = |bytes: &str| Response::parts([Part::Bytes(bytes.into()), Part::Wait(hour)]);
    let limits = Timeouts { total: hour, ..Timeouts::default() };
    let first = Timeouts { first: Some(short), stall: None, ..limits };
    let stall = Timeouts { stall: Some(short), ..limits };
    let total = Timeouts { total: short, ..limits };
    let cases = [
        (before(), first, "did not begin to answer"),
        (before(), total, "no whole answer"),
        (inside("{"), stall, "in the middle"),
        (inside("{"), total, "no whole answer"),
    ];
    for (response, timeouts, said) in cases {
        let server = FakeServer::script([response]).await.unwrap();
        let lm = endpoint(&server.base_url()).with_timeouts(timeouts);
        let lm = Remote::new("m", lm).unwrap();
        for error in [
            lm.generate(&request()).await.unwrap_err(),
            streamed(&lm, &request()).await.unwrap_err(),
        ] {
            assert_eq!(error.kind, LmErrorKind::Timeout, "{error}");
            assert!(error.message.contains(said), "{error}");
        }
    }
    // A stream: comments are no first event, and a piece that came ends the wait for the first.
    let cases = [
        (inside(": wait\n\n"), first, "did not begin to answer"),
        (inside(&event), stall, "in the middle"),
        (inside(&event), Timeouts { total: short * 5, ..first }, "no whole answer"),
    ];
    for (response, timeouts, said) in cases {
        let server = FakeServer::script([response]).await.unwrap();
        let lm = endpoint(&server.base_url()).with_timeouts(timeouts);
        let error = streamed(&Remote::new("m", lm).unwrap(), &request()).await.unwrap_err();
        assert!(error.message.contains(said), "{error}");
    }
}

#[tokio::test]
async fn dropping_a_call_ends_it_on_the_wire() {
    let hour = Duration::from_secs(3600);
    let server = FakeServer::script([Response::chat("late").after(hour)]).await.unwrap();
    let lm = client(&server);
    let request = request();
    let call = tokio::time::timeout(Duration::from_millis(200), lm.generate(&request));
    assert!(call.await.is_err());
    for _ in 0..100 {
        if server.abandoned() == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the server still waits for the client");
}

#[tokio::test]
async fn missing_completions_are_asked_for() {
    let server = FakeServer::start(|request: &Request| {
        let seed = request.json()["seed"].to_string();
        Response::chat(&format!("seed {seed}"))
    })
    .await
    .unwrap();
    let lm = client(&server);
    let mut three = request();
    three.n = 3;
    three.settings.seed = Some(5);
    let reply = lm.generate(&three).await.unwrap();
    let texts: Vec<&str> = reply.completions.iter().map(|c| c.text.as_str()).collect();
    assert_eq!(texts, ["seed 5", "seed 6", "seed 7"]);
    assert_eq!((reply.usage.calls, reply.usage.prompt_tokens), (1, 21));
    let n: Vec<Value> = server.requests().iter().map(|r| r.json()["n"].clone()).collect();
    assert_eq!(n, [json!(3), Value::Null, Value::Null]);
    let (pieces, done) = streamed(&lm, &three).await.unwrap();
    assert_eq!((pieces, done), (texts.iter().map(|t| (*t).to_owned()).collect(), reply.clone()));
}

#[tokio::test]
async fn more_completions_than_asked_for_are_cut() {
    let server = FakeServer::script([Response::chat_n(&["a", "b", "c"])]).await.unwrap();
    let mut two = request();
    two.n = 2;
    assert_eq!(client(&server).generate(&two).await.unwrap().completions.len(), 2);
    assert_eq!(server.hits(), 1);
}

fn constrained(schema: &Value) -> LmRequest {
    let constraint = Constraint::new(Some(Arc::new(schema.clone())), None);
    let mut constrained = request();
    constrained.constraint = Some(Arc::new(constraint));
    constrained
}

#[tokio::test]
async fn a_server_without_schemas_is_asked_without_from_then_on() {
    let server = FakeServer::start(|request: &Request| match request.json()["response_format"] {
        Value::Null => Response::chat("ok"),
        _ => Response::api_error(400, "", "response_format of this type is not supported"),
    })
    .await
    .unwrap();
    let lm = client(&server);
    assert!(lm.capabilities().json_schema);
    lm.generate(&constrained(&json!({"type": "object"}))).await.unwrap();
    assert!(!lm.capabilities().json_schema);
    lm.generate(&constrained(&json!({"type": "object"}))).await.unwrap();
    assert_eq!(server.hits(), 3);
}

#[tokio::test]
async fn one_refused_schema_does_not_spoil_the_others() {
    let server = FakeServer::start(|request: &Request| {
        let format = request.json()["response_format"].to_string();
        if format.contains("pattern") {
            return Response::api_error(400, "invalid_json_schema", "Invalid schema: pattern");
        }
        Response::chat("ok")
    })
    .await
    .unwrap();
    let lm = client(&server);
    let (bad, good) = (json!({"pattern": "a+"}), json!({"type": "object"}));
    for schema in [&bad, &good, &bad, &good] {
        lm.generate(&constrained(schema)).await.unwrap();
    }
    assert!(lm.capabilities().json_schema);
    let with: Vec<bool> =
        server.requests().iter().map(|r| !r.json()["response_format"].is_null()).collect();
    assert_eq!(with, [true, false, true, false, true]);
}

#[tokio::test]
async fn the_name_of_the_token_limit_is_learned() {
    let server = FakeServer::start(|request: &Request| match request.json()["max_tokens"] {
        Value::Null => Response::chat("ok"),
        _ => Response::api_error(
            400,
            "unsupported_parameter",
            "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
        ),
    })
    .await
    .unwrap();
    let lm = client(&server);
    let mut limited = request();
    limited.settings.max_tokens = Some(9);
    lm.generate(&limited).await.unwrap();
    lm.generate(&limited).await.unwrap();
    assert_eq!(server.hits(), 3);
    assert_eq!(server.requests()[2].json()["max_completion_tokens"], 9);
}

#[tokio::test]
async fn log_probabilities_that_do_not_come_are_no_longer_claimed() {
    let server = FakeServer::start(|_| Response::chat("ok")).await.unwrap();
    let lm = client(&server);
    let mut wanting = request();
    wanting.settings.logprobs = Some(1);
    assert!(lm.capabilities().logprobs);
    lm.generate(&wanting).await.unwrap();
    assert!(!lm.capabilities().logprobs);
}

#[tokio::test]
async fn a_stream_gives_pieces_and_the_whole() {
    let texts = ["Gr", "üße", " 😀"];
    for split in [1, 2, 3, 7, 10_000] {
        let response = Response::chat_stream(&texts, split, Duration::ZERO);
        let server = FakeServer::script([response]).await.unwrap();
        let (pieces, done) = streamed(&client(&server), &request()).await.unwrap();
        assert_eq!(pieces, texts, "split {split}");
        assert_eq!(done.completions[0].text, "Grüße 😀");
        assert_eq!(done.completions[0].finish, FinishReason::Stop);
        let usage = done.usage;
        assert_eq!((usage.calls, usage.prompt_tokens, usage.cached_prompt_tokens), (1, 7, 2));
        assert_eq!(&*done.model, "fake-model");
        assert_eq!(server.requests()[0].json()["stream"], true);
    }
}

#[tokio::test]
async fn pieces_come_while_the_server_still_writes() {
    let pause = Duration::from_secs(3600);
    let event = json!({"choices": [{"index": 0, "delta": {"content": "early"}}]});
    let response =
        Response::parts([Part::Bytes(format!("data: {event}\n\n").into()), Part::Wait(pause)]);
    let server = FakeServer::script([response]).await.unwrap();
    let (lm, request) = (client(&server), request());
    let first = tokio::time::timeout(Duration::from_secs(5), lm.stream(&request).next()).await;
    let early = LmChunk::Text { index: 0, text: "early".into() };
    assert_eq!(first.unwrap().unwrap().unwrap(), early);
}

#[tokio::test]
async fn a_stream_that_goes_wrong_ends_with_an_error() {
    let event = |v: Value| format!("data: {v}\n\n");
    let begun = event(json!({"choices": [{"index": 0, "delta": {"content": "Hel"}}]}));
    let late = event(json!({"error": {"message": "overloaded", "code": 503}}));
    let many = event(json!({"choices": [{"index": 70_000, "delta": {}}]}));
    let cases = [
        (begun.clone(), LmErrorKind::Transport),
        (String::new(), LmErrorKind::Transport),
        (format!("{begun}data: {{\"choices\": [{{"), LmErrorKind::Transport),
        (format!("{begun}{late}"), LmErrorKind::Overloaded),
        (format!("{begun}data: nonsense\n\n"), LmErrorKind::Protocol),
        ("data: [DONE]\n\n".to_owned(), LmErrorKind::Protocol),
        (many, LmErrorKind::Protocol),
    ];
    for (bytes, kind) in cases {
        let response = Response::event_stream(&bytes, 5, Duration::ZERO);
        let server = FakeServer::script([response]).await.unwrap();
        let error = streamed(&client(&server), &request()).await.unwrap_err();
        assert_eq!(error.kind, kind, "{bytes}: {error}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_stream_still_answers() {
    let server = FakeServer::script([Response::chat("whole")]).await.unwrap();
    let (pieces, done) = streamed(&client(&server), &request()).await.unwrap();
    assert_eq!((pieces, done.completions[0].text.as_str()), (vec!["whole".to_owned()], "whole"));
}

#[tokio::test]
async fn a_server_without_stream_options_is_asked_without() {
    let server = FakeServer::start(|request: &Request| match request.json()["stream_options"] {
        Value::Null => Response::chat_stream(&["ok"], 99, Duration::ZERO),
        _ => Response::api_error(400, "", "Unknown field stream_options"),
    })
    .await
    .unwrap();
    streamed(&client(&server), &request()).await.unwrap();
    assert_eq!(server.hits(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    /// However the server cuts its bytes, the client reads the same reply.
    #[test]
    fn cuts_on_the_wire_change_nothing(
        texts in prop::collection::vec("[aé😀\\\\\"\n ]{1,5}", 1..5),
        split in 1usize..64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let (pieces, done) = runtime.block_on(async {
            let response = Response::chat_stream(&texts, split, Duration::ZERO);
            let server = FakeServer::script([response]).await.unwrap();
            streamed(&client(&server), &request()).await.unwrap()
        });
        prop_assert_eq!(&pieces, &texts);
        prop_assert_eq!(&done.completions[0].text, &texts.concat());
    }
}
