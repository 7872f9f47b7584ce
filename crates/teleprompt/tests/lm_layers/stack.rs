use std::sync::Arc;
use std::time::Duration;

use teleprompt::lm::{
    CacheConfig, FallbackConfig, History, PriceTable, RateLimitConfig, RetryConfig, Stack,
    StackOptions, TimeoutConfig,
};
use teleprompt::{Lm, LmErrorKind, LmHandle, Money, Price};
use teleprompt_testkit::{Reply, ScriptedLm};

use super::support::{answering, failing, handle, request, text};

#[test]
fn each_layer_is_there_in_its_place_or_not_at_all() {
    let wrapped = |options| Stack::new(options).wrap(LmHandle::new(answering("m"))).describe();
    let all = "trace → cache(memory) → retry(3) → limit(as told) → timeout(first 300 s, whole 900 s) \
               → price(unknown) → m";
    assert_eq!(wrapped(StackOptions::default()), all);
    assert_eq!(wrapped(StackOptions::bare()), "m");
    let bare = StackOptions::bare;
    let cases = [
        (StackOptions { trace: true, ..bare() }, "trace → m"),
        (StackOptions { cache: Some(CacheConfig::default()), ..bare() }, "cache(memory) → m"),
        (StackOptions { retry: Some(RetryConfig::default()), ..bare() }, "retry(3) → m"),
        (
            StackOptions {
                limit: Some(RateLimitConfig {
                    requests_per_minute: Some(60),
                    tokens_per_minute: Some(9000),
                    max_in_flight: Some(8),
                    ..RateLimitConfig::default()
                }),
                ..bare()
            },
            "limit(60 req/min, 9000 tok/min, 8 at once) → m",
        ),
        (
            StackOptions {
                timeout: Some(TimeoutConfig {
                    first_piece: None,
                    whole: Some(Duration::from_millis(1500)),
                }),
                ..bare()
            },
            "timeout(whole 1.5 s) → m",
        ),
        (
            StackOptions { prices: Some(Arc::new(PriceTable::empty())), ..bare() },
            "price(unknown) → m",
        ),
    ];
    for (options, wanted) in cases {
        assert_eq!(wrapped(options), wanted);
    }
}

#[test]
fn chains_and_balances_stand_where_the_picture_has_them() {
    let retry = Some(RetryConfig::default());
    let stack = Stack::new(StackOptions {
        retry,
        limit: Some(RateLimitConfig::default()),
        cache: Some(CacheConfig::default()),
        ..StackOptions::bare()
    });
    let lm = |name: &str| LmHandle::new(answering(name));
    assert_eq!(
        stack.fallback(lm("a"), [lm("b")]).describe(),
        "cache(memory) → fallback(retry(3) → limit(as told) → a | retry(3) → limit(as told) → b)"
    );
    assert_eq!(
        stack.balance([lm("m@http://a"), lm("m@http://b")]).unwrap().describe(),
        "cache(memory) → retry(3) → balance(limit(as told) → m@http://a, limit(as told) → m@http://b)"
    );
    assert!(stack.balance([lm("a"), lm("b")]).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_call_through_all_of_it() {
    let history = History::new();
    let own = [("m".to_owned(), Price::per_million(1.0, 1.0))].into();
    let options = StackOptions {
        history: Some(history.clone()),
        prices: Some(Arc::new(PriceTable::builtin().clone().with(own))),
        ..StackOptions::default()
    };
    let provider = ScriptedLm::replies([Reply::error(LmErrorKind::Server), "two words".into()]);
    let provider = provider.with_name("m");
    let lm = Stack::new(options).wrap(handle(&provider));
    let first = lm.generate(&request("x")).await.unwrap();
    assert_eq!((text(&first), provider.calls()), ("two words", 2));
    assert_eq!(first.usage.cost, Money::dollars(3e-6));
    let hit = lm.generate(&request("x")).await.unwrap();
    assert_eq!((hit.usage.cache_hits, hit.usage.cost, provider.calls()), (1, Money::ZERO, 2));
    assert_eq!(history.len(), 2, "a repetition is part of one call");
}

#[tokio::test(start_paused = true)]
async fn the_configuration_of_the_fallback_reaches_it() {
    for also_unusable in [false, true] {
        let fallback = FallbackConfig { also_unusable };
        let stack = Stack::new(StackOptions { fallback, ..StackOptions::bare() });
        let (a, b) = (failing("a", LmErrorKind::Auth), answering("b"));
        let lm = stack.fallback(handle(&a), [handle(&b)]);
        assert_eq!(lm.generate(&request("x")).await.is_ok(), also_unusable);
    }
}
