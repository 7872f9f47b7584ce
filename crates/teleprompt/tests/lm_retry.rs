//! The retry layer, on paused time and against the fake server.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use futures::StreamExt;
use teleprompt::lm::{Endpoint, Remote, Retry, RetryConfig};
use teleprompt::{Lm, LmChunk, LmError, LmErrorKind, LmRequest, LmResponse, LmStream, Message};
use teleprompt_testkit::{FakeServer, Reply, Response, ScriptedLm};
use tokio::time::Instant;

fn request() -> LmRequest {
    LmRequest::new(vec![Message::user("hi")])
}

fn error(kind: LmErrorKind) -> Reply {
    Reply::error(kind)
}

#[tokio::test(start_paused = true)]
async fn only_what_can_pass_is_repeated() {
    use LmErrorKind as K;
    let overflow = K::ContextOverflow { needed: 2, limit: 1 };
    let cases = [
        (K::Transport, 4),
        (K::Timeout, 4),
        (K::RateLimit, 4),
        (K::Server, 4),
        (K::Overloaded, 4),
        (K::Auth, 1),
        (K::Billing, 1),
        (K::InvalidRequest, 1),
        (K::NotFound, 1),
        (overflow, 1),
        (K::Protocol, 1),
        (K::Unsupported, 1),
        (K::Model, 1),
        (K::ContentFilter, 1),
        (K::Budget, 1),
        (K::Cancelled, 1),
        (K::NotRecorded, 1),
    ];
    for (kind, calls) in cases {
        let lm = ScriptedLm::new(move |_| error(kind));
        let failed = Retry::new(lm.clone()).generate(&request()).await.unwrap_err();
        assert_eq!((failed.kind, lm.calls()), (kind, calls));
        assert_eq!(failed.message.contains("given up after 4 attempts"), calls == 4, "{failed}");
    }
}

#[tokio::test(start_paused = true)]
async fn waits_grow_and_stay_in_their_bounds() {
    let lm = ScriptedLm::replies([
        error(LmErrorKind::Server),
        error(LmErrorKind::Transport),
        error(LmErrorKind::Timeout),
        "ok".into(),
    ]);
    let begin = Instant::now();
    let reply = Retry::new(lm).generate(&request()).await.unwrap();
    assert_eq!(reply.completions[0].text, "ok");
    // 0.5 + 1 + 2 s, each less at most half.
    let waited = begin.elapsed().as_millis();
    assert!((1750..=3510).contains(&waited), "{waited} ms");
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_obeyed_exactly() {
    let busy = LmError::new(LmErrorKind::RateLimit, "m", "busy")
        .with_retry_after(Some(Duration::from_secs(42)));
    let lm = ScriptedLm::replies([busy.into(), Reply::from("ok")]);
    let begin = Instant::now();
    Retry::new(lm).generate(&request()).await.unwrap();
    assert_eq!(begin.elapsed().as_secs(), 42);
}

#[tokio::test(start_paused = true)]
async fn a_wait_beyond_the_bound_fails_at_once() {
    let busy = LmError::new(LmErrorKind::RateLimit, "m", "busy")
        .with_retry_after(Some(Duration::from_secs(301)));
    let lm = ScriptedLm::replies([busy.into(), Reply::from("ok")]);
    let begin = Instant::now();
    let failed = Retry::new(lm.clone()).generate(&request()).await.unwrap_err();
    assert_eq!((begin.elapsed().as_secs(), lm.calls()), (0, 1));
    assert!(failed.message.contains("later than 300 s"), "{failed}");
    assert_eq!(failed.retry_after, Some(Duration::from_secs(301)));
}

#[tokio::test(start_paused = true)]
async fn the_configuration_has_effect() {
    let lm = ScriptedLm::new(|_| error(LmErrorKind::Server));
    let config = RetryConfig { retries: 1, ..RetryConfig::default() };
    Retry::with_config(lm.clone(), config).generate(&request()).await.unwrap_err();
    assert_eq!(lm.calls(), 2);
    let none = RetryConfig { retries: 0, ..RetryConfig::default() };
    let failed = Retry::with_config(lm.clone(), none).generate(&request()).await.unwrap_err();
    assert_eq!(lm.calls(), 3);
    assert!(!failed.message.contains("given up"), "{failed}");
}

#[tokio::test]
async fn a_server_that_recovers_is_asked_again_and_a_refused_key_is_not() {
    let busy =
        Response::api_error(429, "rate_limit_exceeded", "busy").with_header("retry-after-ms", "1");
    let server = FakeServer::script([busy, Response::chat("ok")]).await.unwrap();
    let lm = Retry::new(
        Remote::new("m", Endpoint::new("openai-chat", &server.base_url()).unwrap()).unwrap(),
    );
    assert_eq!(lm.generate(&request()).await.unwrap().completions[0].text, "ok");
    assert_eq!(server.hits(), 2);
    for status in [408, 500, 502, 503, 529] {
        let failing = Response::api_error(status, "", "later").with_header("retry-after-ms", "1");
        let server = FakeServer::script([failing, Response::chat("ok")]).await.unwrap();
        let lm = Retry::new(
            Remote::new("m", Endpoint::new("openai-chat", &server.base_url()).unwrap()).unwrap(),
        );
        assert_eq!(lm.generate(&request()).await.unwrap().completions[0].text, "ok");
        assert_eq!(server.hits(), 2, "HTTP {status}");
    }
    for status in [400, 401, 403, 404] {
        let server = FakeServer::script([Response::api_error(status, "", "no")]).await.unwrap();
        let lm = Retry::new(
            Remote::new("m", Endpoint::new("openai-chat", &server.base_url()).unwrap()).unwrap(),
        );
        lm.generate(&request()).await.unwrap_err();
        assert_eq!(server.hits(), 1, "HTTP {status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_whole_reply_is_never_asked_for_again_whatever_is_in_it() {
    use teleprompt::{Completion, FinishReason};
    let odd = [
        Completion::default(),
        Completion { finish: FinishReason::Length, ..Completion::text("cut o") },
        Completion { finish: FinishReason::ContentFilter, ..Completion::default() },
    ];
    for completion in odd {
        let lm = ScriptedLm::new(move |_| completion.clone());
        let retry = Retry::new(lm.clone());
        retry.generate(&request()).await.unwrap();
        assert!(retry.stream(&request()).all(|c| async move { c.is_ok() }).await);
        assert_eq!(lm.calls(), 2);
    }
}

/// Streams one piece and fails.
struct BreaksLate(ScriptedLm);

impl Lm for BreaksLate {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        self.0.generate(request).await
    }
    fn stream<'a>(&'a self, request: &'a LmRequest) -> LmStream<'a> {
        let broken = LmError::new(LmErrorKind::Transport, "m", "broke off");
        self.0.stream(request).take(1).chain(futures::stream::iter([Err(broken)])).boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_repeated_only_before_its_first_piece() {
    let lm = ScriptedLm::replies([error(LmErrorKind::Server), "ok".into()]);
    let chunks: Vec<_> = Retry::new(lm.clone()).stream(&request()).collect().await;
    assert_eq!((chunks.len(), lm.calls()), (2, 2));
    assert!(chunks.iter().all(Result::is_ok), "{chunks:?}");
    let lm = ScriptedLm::new(|_| "piece");
    let chunks: Vec<_> = Retry::new(BreaksLate(lm.clone())).stream(&request()).collect().await;
    assert_eq!(lm.calls(), 1);
    assert!(chunks[0].is_ok() && chunks[1].is_err() && chunks.len() == 2, "{chunks:?}");
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_nothing_is_no_wait_that_was_asked_for() {
    for kind in [LmErrorKind::Server, LmErrorKind::Overloaded, LmErrorKind::RateLimit] {
        let busy = LmError::new(kind, "m", "busy").with_retry_after(Some(Duration::ZERO));
        let lm = ScriptedLm::new(move |_| Reply::from(busy.clone()));
        let begin = Instant::now();
        Retry::new(lm).generate(&request()).await.unwrap_err();
        assert!(begin.elapsed().as_millis() >= 1750, "{kind:?}: {:?}", begin.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_that_may_have_been_charged_are_told() {
    use LmErrorKind as K;
    let script = [Reply::error(K::Timeout), Reply::error(K::RateLimit), Reply::error(K::Transport)];
    let lost = |reply: Reply| {
        let script: Vec<Reply> = script.iter().cloned().chain([reply]).collect();
        let lm = Retry::new(ScriptedLm::replies(script));
        async move { lm.generate(&request()).await }
    };
    assert_eq!(lost("ok".into()).await.unwrap().usage.lost_attempts, 2);
    assert_eq!(lost(Reply::error(K::Auth)).await.unwrap_err().lost(), 2);
    assert_eq!(lost(Reply::error(K::Server)).await.unwrap_err().lost(), 3);
    let lm = Retry::new(ScriptedLm::replies([Reply::error(K::Server), "ok".into()]));
    let request = request();
    let chunks: Vec<_> = lm.stream(&request).collect().await;
    let Some(Ok(LmChunk::Done(done))) = chunks.last() else { panic!("{chunks:?}") };
    assert_eq!(done.usage.lost_attempts, 1);
}

#[tokio::test]
async fn a_server_that_wants_no_repetition_gets_none() {
    for (said, hits) in [("false", 1), ("true", 2)] {
        let busy = Response::api_error(503, "", "no").with_header("retry-after-ms", "1");
        let busy = busy.with_header("x-should-retry", said);
        let server = FakeServer::script([busy, Response::chat("ok")]).await.unwrap();
        let lm = Remote::new("m", Endpoint::new("openai-chat", &server.base_url()).unwrap());
        let reply = Retry::new(lm.unwrap()).generate(&request()).await;
        assert_eq!((reply.is_ok(), server.hits()), (hits == 2, hits), "{said}");
        assert_eq!(reply.is_err_and(|error| error.no_retry), said == "false");
    }
}
