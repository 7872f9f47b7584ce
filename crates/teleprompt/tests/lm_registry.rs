//! LM names and the stacks that they stand for.

#![allow(clippy::unwrap_used, reason = "a test")]

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
    assert_eq!(lm.describe(), format!("cache(memory) → retry(3) → {name}"));
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
        (CacheMode::Off, "scripted"),
        (CacheMode::Memory, "cache(memory) → scripted"),
        (folder, "cache(memory+disk) → scripted"),
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
        assert_eq!(lm.describe(), format!("retry(3) → {name}"));
    }
    assert!(registry.remotes(DEFAULT_LM).unwrap().is_empty(), "an embedded LM is no server's");
}

#[cfg(not(feature = "local"))]
#[tokio::test]
async fn a_name_that_needs_a_feature_says_which() {
    let message = refused(DEFAULT_LM).await;
    assert!(message.contains("feature `local`") && message.contains("`teleprompt`"), "{message}");
}
