use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use futures::future::{join_all, poll_immediate};
use teleprompt::lm::{RateLimitConfig, RateLimited, Retry, from_fn};
use teleprompt::{Lm, LmError, LmErrorKind, LmRequest, LmResponse, RateStatus, Usage};
use teleprompt_testkit::ScriptedLm;
use tokio::time::{Instant, sleep};

use super::support::{Drip, error, request};

/// Notes when each call begins, and with what prompt.
#[derive(Clone)]
struct Clocked {
    begin: Instant,
    calls: Arc<Mutex<Vec<(u64, String)>>>,
    takes: Duration,
    reply: Arc<dyn Fn(usize) -> Result<LmResponse, LmError> + Send + Sync>,
}

impl Clocked {
    fn new(reply: impl Fn(usize) -> Result<LmResponse, LmError> + Send + Sync + 'static) -> Self {
        let (begin, reply) = (Instant::now(), Arc::new(reply));
        Self { begin, calls: Arc::default(), takes: Duration::ZERO, reply }
    }

    /// Seconds at which calls began.
    fn times(&self) -> Vec<u64> {
        self.calls.lock().unwrap().iter().map(|(at, _)| *at).collect()
    }

    fn prompts(&self) -> Vec<String> {
        self.calls.lock().unwrap().iter().map(|(_, prompt)| prompt.clone()).collect()
    }
}

impl Lm for Clocked {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let number = {
            let mut calls = self.calls.lock().unwrap();
            calls.push((self.begin.elapsed().as_secs(), request.messages[0].content.to_string()));
            calls.len() - 1
        };
        sleep(self.takes).await;
        (self.reply)(number)
    }
}

fn ok(_: usize) -> Result<LmResponse, LmError> {
    Ok(LmResponse::text("ok"))
}

fn told(rate: RateStatus) -> Result<LmResponse, LmError> {
    Ok(LmResponse { rate: Some(rate), ..LmResponse::text("ok") })
}

fn per_minute(requests: u32) -> RateLimitConfig {
    RateLimitConfig { requests_per_minute: Some(requests), ..RateLimitConfig::default() }
}

fn tokens(per_minute: u64) -> RateLimitConfig {
    RateLimitConfig { tokens_per_minute: Some(per_minute), ..RateLimitConfig::default() }
}

async fn ask_times(lm: &impl Lm, n: usize) {
    let request = request("x");
    for reply in join_all((0..n).map(|_| lm.generate(&request))).await {
        reply.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn no_minute_has_more_calls_than_allowed() {
    let lm = Clocked { takes: Duration::from_secs(7), ..Clocked::new(ok) };
    ask_times(&RateLimited::new(lm.clone(), per_minute(10)), 95).await;
    let times = lm.times();
    assert_eq!(times.len(), 95);
    assert!(times.iter().zip(times.iter().skip(10)).all(|(a, b)| b - a >= 60), "{times:?}");
    assert_eq!(times.last(), Some(&540), "and no call waits longer than that needs");
}

#[tokio::test(start_paused = true)]
async fn calls_begin_in_the_order_they_came_large_ones_too() {
    let lm = Clocked::new(ok);
    let limited = RateLimited::new(lm.clone(), tokens(1000));
    let mut requests: Vec<LmRequest> = (0..30).map(|i| request(&format!("small {i}"))).collect();
    // 900 tokens of a thousand: small ones would always fit before it.
    requests[8] = request(&"large".repeat(720));
    requests.iter_mut().for_each(|r| r.settings.max_tokens = Some(98));
    join_all(requests.iter().map(|r| limited.generate(r))).await;
    let wanted: Vec<String> = requests.iter().map(|r| r.messages[0].content.to_string()).collect();
    assert_eq!(lm.prompts(), wanted);
    assert_eq!(&lm.times()[7..10], [0, 60, 60 + 60]);
}

#[tokio::test(start_paused = true)]
async fn what_a_call_did_use_puts_its_estimate_right() {
    let used = |prompt_tokens, completion_tokens| Usage {
        prompt_tokens,
        completion_tokens,
        ..Usage::one_call()
    };
    for (usage, second) in [(used(1, 1), 1), (used(10, 90), 60)] {
        let reply = move |_| Ok(LmResponse { usage, ..LmResponse::text("ok") });
        let lm = Clocked { takes: Duration::from_secs(1), ..Clocked::new(reply) };
        let limited = RateLimited::new(lm.clone(), tokens(1000));
        let mut request = request(&"x".repeat(40));
        request.settings.max_tokens = Some(90);
        // Each is thought to have 10 + 90 tokens.
        join_all((0..11).map(|_| limited.generate(&request))).await;
        assert_eq!((lm.times()[9], lm.times()[10]), (0, second));
    }
}

#[tokio::test(start_paused = true)]
async fn the_output_is_expected_as_it_was_before() {
    let usage = Usage { prompt_tokens: 1, completion_tokens: 499, ..Usage::one_call() };
    let lm = Clocked::new(move |_| Ok(LmResponse { usage, ..LmResponse::text("ok") }));
    let limited = RateLimited::new(lm.clone(), tokens(1100));
    limited.generate(&request("x")).await.unwrap();
    // 500 are used, and two more of 500 are too many, though 256 each would fit.
    ask_times(&limited, 2).await;
    assert_eq!(lm.times(), [0, 0, 60]);
}

#[tokio::test(start_paused = true)]
async fn a_call_larger_than_a_minute_gets_one_of_its_own() {
    let lm = Clocked::new(ok);
    let limited = RateLimited::new(lm.clone(), tokens(10));
    ask_times(&limited, 3).await;
    assert_eq!(lm.times(), [0, 60, 120]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_with_a_wait_holds_all_back() {
    for (kind, second) in [
        (LmErrorKind::RateLimit, 30),
        (LmErrorKind::Overloaded, 30),
        (LmErrorKind::InvalidRequest, 0),
    ] {
        let busy = error(kind).with_retry_after(Some(Duration::from_secs(30)));
        let lm = Clocked::new(move |i| if i == 0 { Err(busy.clone()) } else { ok(i) });
        let limited = RateLimited::new(lm.clone(), RateLimitConfig::default());
        limited.generate(&request("x")).await.unwrap_err();
        ask_times(&limited, 3).await;
        assert_eq!(lm.times(), [0, second, second, second], "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_provider_says_of_requests_is_obeyed() {
    let status = |limit, remaining, reset| RateStatus {
        limit_requests: limit,
        remaining_requests: Some(remaining),
        reset_requests: Some(Duration::from_secs(reset)),
        ..RateStatus::default()
    };
    // First what is left, then what comes back; without a limit, all at the reset.
    let cases: [(RateStatus, [u64; 4]); 4] = [
        (status(None, 0, 20), [0, 20, 20, 20]),
        (status(None, 2, 20), [0, 0, 0, 20]),
        (status(Some(60), 0, 60), [0, 1, 2, 3]),
        (status(Some(60), 50, 1), [0, 0, 0, 0]),
    ];
    for (rate, wanted) in cases {
        let lm = Clocked::new(move |i| if i == 0 { told(rate) } else { ok(i) });
        let limited = RateLimited::new(lm.clone(), RateLimitConfig::default());
        limited.generate(&request("x")).await.unwrap();
        ask_times(&limited, 3).await;
        assert_eq!(lm.times(), wanted, "{rate:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_provider_says_of_tokens_is_obeyed() {
    let rate = RateStatus {
        remaining_tokens: Some(150),
        reset_tokens: Some(Duration::from_secs(9)),
        ..RateStatus::default()
    };
    let lm = Clocked::new(move |i| if i == 0 { told(rate) } else { ok(i) });
    let limited = RateLimited::new(lm.clone(), RateLimitConfig::default());
    let mut request = request(&"x".repeat(40));
    request.settings.max_tokens = Some(90);
    for _ in 0..4 {
        limited.generate(&request).await.unwrap();
    }
    assert_eq!(lm.times(), [0, 0, 9, 9]);
}

#[tokio::test(start_paused = true)]
async fn calls_in_flight_count_against_what_is_left() {
    let rate = |remaining| RateStatus {
        remaining_requests: Some(remaining),
        reset_requests: Some(Duration::from_secs(40)),
        ..RateStatus::default()
    };
    // All three are sent before the first answer says that there were two left after it.
    let lm = Clocked::new(move |i| told(rate(2_u64.saturating_sub(i as u64))));
    let lm = Clocked { takes: Duration::from_secs(1), ..lm };
    let limited = RateLimited::new(lm.clone(), RateLimitConfig::default());
    ask_times(&limited, 3).await;
    ask_times(&limited, 1).await;
    assert_eq!(lm.times(), [0, 0, 0, 41]);
}

#[tokio::test(start_paused = true)]
async fn so_many_at_once_and_not_more() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    struct Counts(Arc<AtomicUsize>, Arc<AtomicUsize>);
    impl Lm for Counts {
        async fn generate(&self, _: &LmRequest) -> Result<LmResponse, LmError> {
            self.1.fetch_max(self.0.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            sleep(Duration::from_secs(1)).await;
            self.0.fetch_sub(1, Ordering::Relaxed);
            ok(0)
        }
    }
    let config = RateLimitConfig { max_in_flight: Some(7), ..RateLimitConfig::default() };
    ask_times(&RateLimited::new(Counts(now.clone(), most.clone()), config), 100).await;
    assert_eq!((now.load(Ordering::Relaxed), most.load(Ordering::Relaxed)), (0, 7));
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_holds_no_one_up() {
    let slow = ScriptedLm::new(|_| "ok").with_delay(Duration::from_secs(1));
    let config = RateLimitConfig { max_in_flight: Some(1), ..RateLimitConfig::default() };
    let lm = RateLimited::new(slow.clone(), config);
    let request = request("x");
    let mut first = Box::pin(lm.generate(&request));
    let mut second = Box::pin(lm.generate(&request));
    let mut third = Box::pin(lm.generate(&request));
    assert!(poll_immediate(&mut first).await.is_none());
    assert!(poll_immediate(&mut second).await.is_none());
    assert!(poll_immediate(&mut third).await.is_none());
    drop(second);
    drop(first);
    third.await.unwrap();
    assert_eq!(slow.calls(), 2, "the second one never began");
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_in_flight_until_it_ends_or_is_dropped() {
    let config = RateLimitConfig { max_in_flight: Some(1), ..RateLimitConfig::default() };
    let lm = RateLimited::new(Drip::new(&[(1, Ok("a")), (1, Ok("b"))]), config);
    let request = request("x");
    let mut first = lm.stream(&request);
    first.next().await.unwrap().unwrap();
    let mut second = lm.stream(&request);
    assert!(poll_immediate(second.next()).await.is_none(), "it waits for its turn");
    drop(first);
    let begin = Instant::now();
    let chunks: Vec<_> = second.collect().await;
    assert_eq!((chunks.len(), begin.elapsed().as_secs()), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn a_later_call_that_is_answered_ends_the_waiting_of_the_others() {
    // The second call is answered a second after it began, the first refused for half a minute.
    let lm = RateLimited::new(
        from_fn(ScriptedLm::new(|_| "ok"), |request, next| async move {
            if request.rollout == 1 {
                sleep(Duration::from_millis(100)).await;
                let busy = error(LmErrorKind::RateLimit);
                return Err(busy.with_retry_after(Some(Duration::from_secs(30))));
            }
            sleep(Duration::from_secs(1)).await;
            next.generate(&request).await
        }),
        RateLimitConfig::default(),
    );
    let ask = |rollout| {
        let mut request = request("x");
        request.rollout = rollout;
        let lm = &lm;
        async move { lm.generate(&request).await.map(|_| ()) }
    };
    let begin = Instant::now();
    let (refused, answered) = tokio::join!(ask(1), ask(2));
    refused.unwrap_err();
    answered.unwrap();
    ask(3).await.unwrap();
    assert_eq!(begin.elapsed().as_secs(), 2);
    ask(1).await.unwrap_err();
    ask(4).await.unwrap();
    assert_eq!(begin.elapsed().as_secs(), 33, "none that began later was answered");
}

#[tokio::test(start_paused = true)]
async fn a_wait_longer_than_the_bound_is_a_failure_and_no_silent_hour() {
    let far = RateStatus {
        remaining_requests: Some(0),
        reset_requests: Some(Duration::from_secs(3600)),
        ..RateStatus::default()
    };
    let hour = error(LmErrorKind::RateLimit).with_retry_after(Some(Duration::from_secs(3600)));
    let first: [Result<LmResponse, LmError>; 2] = [Err(hour), told(far)];
    for first in first {
        let lm = Clocked::new(move |i| if i == 0 { first.clone() } else { ok(i) });
        let limited = RateLimited::new(lm.clone(), RateLimitConfig::default());
        limited.generate(&request("x")).await.map(drop).unwrap_or_default();
        sleep(Duration::from_secs(10)).await;
        for _ in 0..2 {
            let failed = limited.generate(&request("x")).await.unwrap_err();
            assert_eq!(failed.kind, LmErrorKind::RateLimit);
            assert_eq!(failed.retry_after, Some(Duration::from_secs(3590)), "{failed}");
            let chunks: Vec<_> = limited.stream(&request("x")).collect().await;
            assert!(chunks.len() == 1 && chunks[0].is_err(), "{chunks:?}");
        }
        // What is left of it is short enough to wait for.
        sleep(Duration::from_secs(3400)).await;
        limited.generate(&request("x")).await.unwrap();
        assert_eq!(lm.times(), [0, 3600]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_bound_of_waiting_can_be_set_and_is_none_for_limits_of_ours() {
    let config = RateLimitConfig { longest_wait: Duration::from_secs(20), ..per_minute(1) };
    let busy = error(LmErrorKind::RateLimit).with_retry_after(Some(Duration::from_secs(80)));
    let lm = Clocked::new(move |i| if i == 2 { Err(busy.clone()) } else { ok(i) });
    let limited = RateLimited::new(lm.clone(), config);
    ask_times(&limited, 2).await;
    limited.generate(&request("x")).await.unwrap_err();
    let failed = limited.generate(&request("x")).await.unwrap_err();
    assert!(failed.message.contains("longer than the 20 s"), "{failed}");
    assert_eq!(lm.times(), [0, 60, 120]);
}

#[tokio::test(start_paused = true)]
async fn no_wait_is_too_large_for_the_clock() {
    let rate = RateStatus {
        limit_tokens: Some(u64::MAX),
        remaining_tokens: Some(0),
        reset_tokens: Some(Duration::MAX),
        ..RateStatus::default()
    };
    let forever = error(LmErrorKind::RateLimit).with_retry_after(Some(Duration::MAX));
    let first: [Result<LmResponse, LmError>; 2] = [Err(forever), told(rate)];
    for first in first {
        let lm = Clocked::new(move |_| first.clone());
        let limited = Retry::new(RateLimited::new(lm, RateLimitConfig::default()));
        for _ in 0..2 {
            limited.generate(&request("x")).await.map(drop).unwrap_or_default();
        }
    }
}
