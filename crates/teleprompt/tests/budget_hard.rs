//! Budgets are never overspent, however many calls are in flight, and are used up before a call is
//! refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::join_all;
use teleprompt::adapter::ChatAdapter;
use teleprompt::prelude::*;
use teleprompt::{
    Completion, Exhausted, Limits, LmError, LmRequest, LmResponse, LmSettings, Money, Price,
    Resource, Usage,
};

const PROMPT: u64 = 100;
const MOST: u64 = 200;
const PRICE: fn() -> Price = || Price::per_million(1.0, 4.0);

/// Uses a random part of what it may.
#[derive(Default)]
struct Spender {
    tokens: AtomicU64,
    calls: AtomicU64,
    in_flight: AtomicU64,
    most_in_flight: AtomicU64,
    unpriced: bool,
}

struct Shared(Arc<Spender>);

impl Lm for Shared {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let now = self.0.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most_in_flight.fetch_max(now, Ordering::SeqCst);
        let n = self.0.calls.fetch_add(1, Ordering::SeqCst);
        for _ in 0..=n % 7 {
            tokio::task::yield_now().await;
        }
        assert_eq!(request.settings.max_tokens, Some(MOST as u32));
        let mut usage = Usage {
            prompt_tokens: PROMPT - n * 31 % 50,
            completion_tokens: n * 7919 % (MOST + 1),
            ..Usage::one_call()
        };
        usage.cost = PRICE().of(&usage);
        usage.priced_calls = 1;
        self.0.tokens.fetch_add(usage.prompt_tokens + usage.completion_tokens, Ordering::SeqCst);
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
        let completions = vec![Completion::text("[[ ## answer ## ]]\nx")];
        Ok(LmResponse { completions, usage, ..LmResponse::default() })
    }
    fn count_tokens(&self, _: &LmRequest) -> Option<u64> {
        Some(PROMPT)
    }
    fn price(&self) -> Option<Price> {
        (!self.0.unpriced).then(PRICE)
    }
}

/// A thousand calls at once under these limits: the LM's own count, the context, the refusals.
async fn thousand(limits: Limits) -> (Arc<Spender>, Usage, Vec<Exhausted>) {
    let spender = Arc::new(Spender::default());
    let settings = LmSettings { max_tokens: Some(MOST as u32), ..LmSettings::default() };
    let cx = Context::new(LmHandle::new(Shared(spender.clone())), Arc::new(ChatAdapter));
    let cx = cx.with_settings(&settings).with_limits(limits);
    let program = Arc::new(Program::new(Predict::of("question -> answer").unwrap()));
    let tasks = (0..1000).map(|i| {
        let (cx, program) = (cx.clone(), program.clone());
        tokio::spawn(async move { program.call(&cx, record! { question: i.to_string() }).await })
    });
    let results = join_all(tasks).await;
    let refused = results.into_iter().filter_map(|r| match r.unwrap() {
        Ok(_) => None,
        Err(Error::Budget(exhausted)) => Some(exhausted),
        Err(other) => panic!("{other}"),
    });
    let refused = refused.collect();
    (spender, cx.meter().usage(), refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tokens() {
    const LIMIT: u64 = 60_000;
    let (lm, usage, refused) = thousand(Limits { tokens: Some(LIMIT), ..Limits::default() }).await;
    let spent = lm.tokens.load(Ordering::SeqCst);
    assert_eq!(spent, usage.prompt_tokens + usage.completion_tokens);
    assert!(spent <= LIMIT && spent > LIMIT - PROMPT - MOST, "{spent} of {LIMIT}");
    assert!(lm.most_in_flight.load(Ordering::SeqCst) > 100, "calls do go at once");
    assert_eq!(refused.len() as u64, 1000 - usage.calls);
    for exhausted in refused {
        assert_eq!((exhausted.what, exhausted.needed), (Resource::Tokens, PROMPT + MOST));
        assert!(exhausted.left() < PROMPT + MOST, "{exhausted}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn money() {
    let limit = Money::dollars(0.1);
    let (_, usage, refused) = thousand(Limits { cost: Some(limit), ..Limits::default() }).await;
    let dearest = PRICE().input.times(PROMPT) + PRICE().output.times(MOST);
    assert_eq!(usage.priced_calls, usage.calls);
    assert!(usage.cost <= limit && usage.cost + dearest > limit, "{}", usage.cost);
    assert!(refused.iter().all(|e| e.what == Resource::Money) && !refused.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls() {
    let (lm, usage, refused) = thousand(Limits { calls: Some(333), ..Limits::default() }).await;
    assert_eq!((lm.calls.load(Ordering::SeqCst), usage.calls, refused.len()), (333, 333, 667));
}

#[tokio::test]
async fn a_budget_of_money_does_not_start_without_a_price_or_a_bound() {
    let program = Program::new(Predict::of("question -> answer").unwrap());
    for (unpriced, max_tokens, said) in [(true, Some(9), "price"), (false, None, "max_tokens")] {
        let spender = Arc::new(Spender { unpriced, ..Spender::default() });
        let cx = Context::new(LmHandle::new(Shared(spender.clone())), Arc::new(ChatAdapter));
        let cx = cx
            .with_settings(&LmSettings { max_tokens, ..LmSettings::default() })
            .with_limits(Limits { cost: Some(Money::dollars(1.0)), ..Limits::default() });
        let error = program.call(&cx, record! { question: "?" }).await.unwrap_err();
        assert!(error.to_string().contains(said) && error.is_fatal(), "{error}");
        assert_eq!(spender.calls.load(Ordering::SeqCst), 0);
    }
}
