use std::time::Duration;

use teleprompt::lm::{
    Balanced, CacheConfig, Fallback, History, Metered, Priced, RateLimitConfig, RateLimited,
    Recorder, Replay, Retry, Stack, StackOptions, Timed, TimeoutConfig, Traced, from_fn,
};
use teleprompt::{Limits, Lm, LmErrorKind, LmHandle};
use teleprompt_testkit::{ScriptedLm, lm_suite};

use super::support::{failing, handle};

async fn passes(lm: impl Lm) {
    let what = lm.describe();
    lm_suite::check(&lm).await.unwrap_or_else(|broken| panic!("{what}: {broken}"));
}

fn scripted() -> ScriptedLm {
    ScriptedLm::new(|_| "always the same").with_name("m").with_delay(Duration::from_millis(1))
}

#[tokio::test(start_paused = true)]
async fn every_layer_is_an_lm() {
    let limits = RateLimitConfig {
        requests_per_minute: Some(5),
        tokens_per_minute: Some(1000),
        max_in_flight: Some(2),
        ..RateLimitConfig::default()
    };
    passes(Retry::new(scripted())).await;
    passes(RateLimited::new(scripted(), limits)).await;
    passes(RateLimited::new(scripted(), RateLimitConfig::default())).await;
    passes(Timed::new(scripted(), TimeoutConfig::default())).await;
    passes(Priced::new(scripted())).await;
    passes(Metered::new(scripted(), Limits { calls: Some(100), ..Limits::default() })).await;
    passes(Traced::new(scripted()).with_history(History::new())).await;
    passes(from_fn(scripted(), |request, next| async move { next.generate(&request).await })).await;
    let broken = || handle(&failing("m", LmErrorKind::Server));
    passes(Fallback::new(broken(), [handle(&scripted())])).await;
    passes(Balanced::new([broken(), handle(&scripted()), handle(&scripted())]).unwrap()).await;
}

#[tokio::test]
async fn so_are_a_recording_and_its_replay() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("calls.jsonl");
    passes(Recorder::new(scripted(), &path).unwrap()).await;
    passes(Replay::open(&path).unwrap()).await;
}

#[tokio::test]
async fn so_are_whole_stacks() {
    let dir = tempfile::tempdir().unwrap();
    let options = StackOptions {
        history: Some(History::new()),
        cache: Some(CacheConfig::on_disk(dir.path())),
        ..StackOptions::default()
    };
    let stack = Stack::new(options);
    let lm = || LmHandle::new(scripted());
    passes(stack.wrap(lm())).await;
    passes(stack.fallback(lm(), [lm()])).await;
    passes(stack.balance([lm(), lm()]).unwrap()).await;
}
