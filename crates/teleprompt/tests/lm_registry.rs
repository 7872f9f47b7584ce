//! LM names and the stacks that they stand for.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use teleprompt::lm::{CacheMode, ConnectOptions, DEFAULT_LM, Registry};
use teleprompt::{Error, Lm, LmHandle, LmRequest, Message};
use teleprompt_testkit::{FakeServer, Response, ScriptedLm};

async fn refused(name: &str) -> String {
    match Registry::default().connect(name).await {
        Err(Error::Config(message)) => message,
        other => format!("not a Config error: {other:?}"),
    }
}

#[tokio::test]
async fn a_server_is_reached_by_its_name_through_the_usual_layers() {
    let server = FakeServer::start(|_| Response::chat("ok")).await.unwrap();
    let name = format!("openai:org/model@2026@{}", server.base_url());
    let options = ConnectOptions { cache: CacheMode::Memory, ..ConnectOptions::default() };
    let lm = Registry::default().connect_with(&name, options).await.unwrap();
    assert_eq!(lm.name(), name);
    assert_eq!(
        lm.describe(),
        format!("trace → cache(memory) → retry(3) → limit(as told) → price(unknown) → {name}")
    );
    for _ in 0..2 {
        lm.generate(&LmRequest::new(vec![Message::user("hi")])).await.unwrap();
    }
    assert_eq!(server.hits(), 1);
    let sent = server.requests().remove(0);
    assert_eq!(sent.json()["model"], "org/model@2026");
}

#[tokio::test]
async fn cache_modes_are_obeyed() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::empty()
        .with_scheme("test", |_| async { Ok(LmHandle::new(ScriptedLm::new(|_| "ok"))) });
    let folder = CacheMode::Folder(dir.path().join("cache"));
    let cases = [
        (CacheMode::Off, "trace → price(unknown) → scripted"),
        (CacheMode::Memory, "trace → cache(memory) → price(unknown) → scripted"),
        (folder, "trace → cache(memory+disk) → price(unknown) → scripted"),
    ];
    for (cache, stack) in cases {
        let options = ConnectOptions { cache, ..ConnectOptions::default() };
        let lm = registry.connect_with("test:x", options).await.unwrap();
        assert_eq!(lm.describe(), stack);
        lm.generate(&LmRequest::new(vec![Message::user("hi")])).await.unwrap();
    }
    let kept = teleprompt::lm::cache::stats(&dir.path().join("cache")).unwrap();
    assert_eq!(kept.entries, 1);
}

#[tokio::test]
async fn a_chain_goes_on_and_several_servers_share_the_calls() {
    let down = FakeServer::start(|_| Response::api_error(400, "", "no")).await.unwrap();
    let busy =
        FakeServer::start(|_| Response::api_error(503, "", "busy").with_header("retry-after", "0"))
            .await
            .unwrap();
    let servers = [
        FakeServer::start(|_| Response::chat("one")).await.unwrap(),
        FakeServer::start(|_| Response::chat("two")).await.unwrap(),
    ];
    let several = format!("vllm:m@{},{}", servers[0].base_url(), servers[1].base_url());
    let chain = format!("openai:a@{} | {several}", busy.base_url());
    let registry = Registry::default();
    let options = || ConnectOptions { cache: CacheMode::Off, ..ConnectOptions::default() };
    let lm = registry.connect_with(&chain, options()).await.unwrap();
    assert!(lm.describe().starts_with("trace → fallback(retry(3) → "), "{}", lm.describe());
    assert!(lm.describe().contains("retry(3) → balance("), "{}", lm.describe());
    assert_eq!(registry.describe(&chain, &options()).unwrap(), lm.describe());
    assert_eq!(registry.remotes(&chain).unwrap().len(), 3);
    let calls = (0..8).map(|i| {
        let lm = lm.clone();
        async move { lm.generate(&LmRequest::new(vec![Message::user(i.to_string())])).await }
    });
    for reply in futures::future::join_all(calls).await {
        let text = &reply.unwrap().completions[0].text;
        assert!(["one", "two"].contains(&text.as_str()), "{text}");
    }
    assert_eq!(busy.hits(), 8 * 4, "each call is repeated there before it goes on");
    let hits = servers.each_ref().map(FakeServer::hits);
    assert!(hits[0] + hits[1] == 8 && hits.iter().all(|n| *n > 1), "{hits:?}");
    // A mistake is no reason to ask another.
    let chain = format!("openai:a@{} | {several}", down.base_url());
    let lm = registry.connect_with(&chain, options()).await.unwrap();
    lm.generate(&LmRequest::new(vec![Message::user("hi")])).await.unwrap_err();
    assert_eq!(servers.each_ref().map(FakeServer::hits), hits);
    assert!(refused("openai:a | opnai:b").await.contains("did you mean `openai:`?"));
    assert!(refused("openai:a |").await.contains("no LM name"));
}

#[tokio::test]
async fn an_unknown_name_gets_a_hint_and_the_list() {
    let message = refused("opnai:gpt").await;
    assert!(message.contains("did you mean `openai:`?"), "{message}");
    assert!(message.contains("local, ") && message.contains(DEFAULT_LM), "{message}");
    let message = refused("gpt-5-mini").await;
    assert!(message.contains("`gpt-5-mini` is no LM name: write SCHEME:MODEL"), "{message}");
    assert!(refused("openai:").await.contains("write openai:MODEL"));
    assert!(refused("openai:@http://localhost:1/v1").await.contains("names no model"));
}

#[tokio::test]
async fn every_built_in_provider_can_be_named() {
    let registry = Registry::default();
    let providers = registry.providers();
    assert!(providers.len() > 20);
    for provider in providers.iter().filter(|p| p.url.is_some()) {
        let name = format!("{}:some-model", provider.scheme);
        let options = ConnectOptions { cache: CacheMode::Off, ..ConnectOptions::default() };
        let lm = registry.connect_with(&name, options).await.unwrap();
        assert_eq!(lm.name(), name);
        assert!(lm.describe().starts_with("trace → retry(3) → limit(as told) → price("));
        assert!(lm.describe().ends_with(&name));
    }
    assert!(registry.remotes(DEFAULT_LM).unwrap().is_empty(), "an embedded LM is no server's");
}

#[cfg(not(feature = "local"))]
#[tokio::test]
async fn a_name_that_needs_a_feature_says_which() {
    let message = refused(DEFAULT_LM).await;
    assert!(message.contains("feature `local`") && message.contains("`teleprompt`"), "{message}");
}
