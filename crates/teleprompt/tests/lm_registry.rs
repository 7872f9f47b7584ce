//! LM names and the stacks that they stand for.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::path::Path;

use teleprompt::lm::{
    CacheMode, Config, ConnectOptions, DEFAULT_LM, FallbackConfig, ProviderLimits, Registry,
};
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
    let busy = FakeServer::start(|_| {
        Response::api_error(503, "", "busy").with_header("retry-after-ms", "1")
    })
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

/// The registry with this text as the user's own configuration.
fn configured(text: &str) -> Result<Registry, Error> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    let config = Config::read(Path::new("/nowhere/teleprompt.toml"), Some(&path))?;
    Ok(Registry::default().with_config(&config))
}

#[tokio::test]
async fn limits_of_a_provider_come_from_the_caller_else_from_its_table() {
    let keys =
        "requests_per_minute = 60\ntokens_per_minute = 9000\nmax_in_flight = 8\nretries = 1\n";
    let gate = format!("[provider.gate]\nurl = 'http://localhost:1/v1'\n{keys}");
    let registry = configured(&format!("{gate}[provider.openai]\nretries = 0\n")).unwrap();
    let ours = |limits| ConnectOptions { cache: CacheMode::Off, limits, ..Default::default() };
    let some =
        ProviderLimits { max_in_flight: Some(2), retries: Some(9), ..ProviderLimits::default() };
    let cases = [
        (
            "gate:m",
            ProviderLimits::default(),
            "retry(1) → limit(60 req/min, 9000 tok/min, 8 at once) → ",
        ),
        ("gate:m", some, "retry(9) → limit(60 req/min, 9000 tok/min, 2 at once) → "),
        ("openai:m", ProviderLimits::default(), "retry(0) → limit(as told) → "),
        ("groq:m", some, "retry(9) → limit(2 at once) → "),
    ];
    for (name, limits, stack) in cases {
        let lm = registry.connect_with(name, ours(limits)).await.unwrap();
        assert!(lm.describe().starts_with(&format!("trace → {stack}")), "{}", lm.describe());
        assert_eq!(registry.describe(name, &ours(limits)).unwrap(), lm.describe());
    }
    let chain = registry.describe("gate:m | openai:m", &ours(ProviderLimits::default())).unwrap();
    assert!(chain.contains("retry(1)") && chain.contains("retry(0)"), "{chain}");
    for key in ["requests_per_minute", "tokens_per_minute", "max_in_flight"] {
        let wrong = configured(&format!("[provider.openai]\n{key} = 0\n")).unwrap_err();
        assert!(wrong.to_string().contains("[provider.openai]"), "{wrong}");
    }
}

#[tokio::test]
async fn limits_and_the_way_to_fall_back_are_obeyed() {
    let busy = FakeServer::start(|_| Response::api_error(503, "", "busy")).await.unwrap();
    let closed = FakeServer::start(|_| Response::api_error(401, "", "no key")).await.unwrap();
    let well = FakeServer::start(|_| Response::chat("ok")).await.unwrap();
    let limits = ProviderLimits { retries: Some(0), ..ProviderLimits::default() };
    let options = ConnectOptions { cache: CacheMode::Off, limits, ..ConnectOptions::default() };
    let request = LmRequest::new(vec![Message::user("hi")]);
    let ask = async |name: &str, fallback| {
        let options = ConnectOptions { fallback, ..options.clone() };
        Registry::default().connect_with(name, options).await.unwrap().generate(&request).await
    };
    ask(&format!("openai:m@{}", busy.base_url()), FallbackConfig::default()).await.unwrap_err();
    assert_eq!(busy.hits(), 1, "no retries");
    let chain = format!("openai:m@{} | openai:m@{}", closed.base_url(), well.base_url());
    for also_unusable in [false, true] {
        let reply = ask(&chain, FallbackConfig { also_unusable }).await;
        assert_eq!(reply.is_ok(), also_unusable, "{reply:?}");
    }
    assert_eq!((closed.hits(), well.hits()), (2, 1));
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
