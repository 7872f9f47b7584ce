//! Completions that are missing beside others that have arrived.

use teleprompt::lm::{Retry, RetryConfig};
use teleprompt::{Lm, LmErrorKind};
use teleprompt_testkit::{FakeServer, Response};

use super::{chat, request, streamed};

fn busy() -> Response {
    Response::api_error(503, "", "busy").with_header("retry-after-ms", "1")
}

#[tokio::test]
async fn only_the_missing_one_is_asked_again() {
    let replies = || [Response::chat("a"), busy(), Response::chat("b")];
    let mut two = request();
    two.n = 2;
    let server = FakeServer::script(replies()).await.unwrap();
    let reply = Retry::new(chat(&server)).generate(&two).await.unwrap();
    let texts: Vec<&str> = reply.completions.iter().map(|c| c.text.as_str()).collect();
    assert_eq!((texts, server.hits()), (vec!["a", "b"], 3));
    assert_eq!(reply.usage.lost_attempts, 1);
    let server = FakeServer::script(replies()).await.unwrap();
    let (_, done) = streamed(&chat(&server), &two).await.unwrap();
    assert_eq!((done.completions, server.hits()), (reply.completions, 3));
}

#[tokio::test]
async fn what_arrived_is_not_asked_for_again_even_if_the_rest_never_comes() {
    let replies = [Response::chat("a")].into_iter().chain((0..9).map(|_| busy()));
    let server = FakeServer::script(replies).await.unwrap();
    let mut two = request();
    two.n = 2;
    let few = RetryConfig { retries: 2, ..RetryConfig::default() };
    let lm = Retry::new(chat(&server).with_retry(few));
    let error = lm.generate(&two).await.unwrap_err();
    assert_eq!((error.kind, server.hits()), (LmErrorKind::Server, 4), "{error}");
    let whole = server.requests().iter().filter(|r| r.json()["n"] == 2).count();
    assert_eq!(whole, 1, "the whole is asked for once");
    // The one that arrived, and three failures of which it is not known how far they came.
    assert_eq!(error.lost(), 4, "{error:?}");
    assert!(error.message.contains("given up after 3 attempts"), "{error}");
}

#[tokio::test]
async fn a_name_of_a_provider_brings_its_retries_along() {
    use teleprompt::lm::{CacheMode, ConnectOptions, ProviderLimits, Registry};

    let replies = [Response::chat("a")].into_iter().chain((0..9).map(|_| busy()));
    let server = FakeServer::script(replies).await.unwrap();
    let mut two = request();
    two.n = 2;
    let limits = ProviderLimits { retries: Some(1), ..ProviderLimits::default() };
    let options = ConnectOptions { cache: CacheMode::Off, limits, ..ConnectOptions::default() };
    let name = format!("openai:m@{}", server.base_url());
    let lm = Registry::default().connect_with(&name, options).await.unwrap();
    lm.generate(&two).await.unwrap_err();
    assert_eq!(server.hits(), 1 + 2);
}
