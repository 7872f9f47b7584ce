//! Meters: limits hold under any number of tasks, in parents too, and nothing is taken twice.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use futures::executor::block_on;
use futures::future::poll_immediate;
use teleprompt_core::{
    Error, Exhausted, Limits, Lm, LmError, LmHandle, LmRequest, LmResponse, Message, Meter, Money,
    Need, Part, Price, Resource, Usage,
};

/// A call of which nothing is known but that it is one.
const ONE: Need = Need { prompt_tokens: None, completion_tokens: None, price: None };

/// A call of at most this many tokens.
fn need(tokens: u64) -> Need {
    Need { prompt_tokens: Some(tokens), completion_tokens: Some(0), price: None }
}

fn exhausted<T: std::fmt::Debug>(result: Result<T, Error>) -> Exhausted {
    match result {
        Err(Error::Budget(exhausted)) => exhausted,
        other => panic!("{other:?}"),
    }
}

fn calls(n: u64) -> Limits {
    Limits { calls: Some(n), ..Limits::default() }
}

fn paid(tokens: u64) -> Usage {
    Usage { calls: 1, prompt_tokens: tokens, ..Usage::default() }
}

fn cached() -> Usage {
    Usage { cache_hits: 1, prompt_tokens: 100, ..Usage::default() }
}

/// How many calls the meter still lets through; they are given back.
fn left(meter: &Meter) -> usize {
    let mut held = Vec::new();
    while let Ok(reservation) = meter.try_reserve(&ONE) {
        held.push(reservation);
    }
    held.len()
}

#[test]
fn a_limit_of_calls_holds() {
    let meter = Meter::new(calls(2));
    let first = meter.try_reserve(&ONE).unwrap();
    let second = meter.try_reserve(&ONE).unwrap();
    // Both are in flight and may yet turn out to be free.
    let denied = exhausted(meter.try_reserve(&ONE));
    assert_eq!((denied.what, denied.limit, denied.spent), (Resource::Calls, 2, 0));
    first.settle(&paid(5));
    second.settle(&paid(7));
    let denied = exhausted(block_on(meter.reserve(&ONE)));
    assert_eq!((denied.spent, denied.left(), denied.needed), (2, 0, 1));
    let usage = meter.usage();
    assert_eq!((usage.calls, usage.prompt_tokens), (2, 12));
}

#[test]
fn what_is_dropped_or_cached_goes_back() {
    let meter = Meter::new(calls(2));
    drop(meter.try_reserve(&ONE).unwrap());
    assert_eq!(left(&meter), 2);
    meter.try_reserve(&ONE).unwrap().settle(&cached());
    assert_eq!(left(&meter), 2);
    meter.try_reserve(&ONE).unwrap().settle(&paid(1));
    assert_eq!(left(&meter), 1);
    assert_eq!((meter.usage().calls, meter.usage().cache_hits), (1, 1));
}

#[test]
fn a_child_counts_for_its_parents_and_both_limits_hold() {
    let parent = Meter::new(calls(3));
    let child = parent.child(calls(2));
    child.try_reserve(&ONE).unwrap().settle(&paid(10));
    assert_eq!((left(&parent), left(&child)), (2, 1));
    parent.try_reserve(&ONE).unwrap().settle(&paid(1));
    parent.try_reserve(&ONE).unwrap().settle(&paid(1));
    assert_eq!((left(&parent), left(&child)), (0, 0));
    assert_eq!((parent.usage().calls, child.usage().calls), (3, 1));
    assert_eq!((parent.usage().prompt_tokens, child.usage().prompt_tokens), (12, 10));
}

#[test]
fn a_refusal_of_the_parent_takes_nothing_from_the_child() {
    let parent = Meter::new(calls(1));
    let child = parent.child(calls(2));
    let held = parent.try_reserve(&ONE).unwrap();
    for _ in 0..5 {
        assert!(exhausted(child.try_reserve(&ONE)).limit == 1);
    }
    drop(held);
    let first = child.try_reserve(&ONE).unwrap();
    assert!(child.try_reserve(&ONE).is_err());
    first.settle(&cached());
    // Had a refusal been given back twice, the child would let more through than its limit.
    let sole = Meter::default().child(calls(2));
    assert_eq!((left(&child), left(&parent), left(&sole)), (1, 1, 2));
}

#[test]
fn a_limit_of_tokens_counts_paid_tokens_and_is_never_exceeded() {
    let meter = Meter::new(Limits { tokens: Some(100), ..Limits::default() });
    let reserve = |tokens| block_on(meter.reserve(&need(tokens)));
    reserve(60).unwrap().settle(&paid(40));
    reserve(60).unwrap().settle(&cached());
    assert_eq!(exhausted(reserve(61)).left(), 60);
    reserve(60).unwrap().settle(&paid(60));
    let denied = exhausted(reserve(1));
    assert_eq!((denied.what, denied.spent, denied.left()), (Resource::Tokens, 100, 0));
    let text = denied.to_string();
    assert!(text.contains("100 tokens") && text.contains("0 left, up to 1 needed"), "{text}");
}

#[test]
fn a_call_waits_for_what_those_in_flight_may_give_back() {
    let meter = Meter::new(Limits { tokens: Some(100), ..Limits::default() });
    let part = meter.child(Limits::default());
    let first = block_on(part.reserve(&need(80))).unwrap();
    let need_50 = need(50);
    let mut second = Box::pin(part.reserve(&need_50));
    assert!(block_on(poll_immediate(&mut second)).is_none(), "80 + 50 > 100");
    // It used less than it might have.
    first.settle(&paid(50));
    block_on(second).unwrap().settle(&paid(50));
    assert!(block_on(part.reserve(&need(1))).is_err());
    assert_eq!(part.usage().prompt_tokens, 100);
}

#[test]
fn a_call_that_waits_in_vain_is_refused() {
    let meter = Meter::new(Limits { calls: Some(1), ..Limits::default() });
    let first = block_on(meter.reserve(&ONE)).unwrap();
    let waiting = {
        let meter = meter.clone();
        thread::spawn(move || block_on(meter.reserve(&ONE)).map(drop))
    };
    first.settle(&paid(1));
    assert_eq!(exhausted(waiting.join().unwrap()).spent, 1);
}

#[test]
fn a_limit_of_money_needs_a_price_and_a_bound() {
    let meter = Meter::new(Limits { cost: Some(Money::dollars(1.0)), ..Limits::default() });
    let message = |need: &Need| block_on(meter.reserve(need)).unwrap_err().to_string();
    assert!(message(&need(10)).contains("price"), "{}", message(&need(10)));
    let price = Some(Price::per_million(1.0, 2.0));
    let unbounded = Need { completion_tokens: None, price, ..need(10) };
    assert!(message(&unbounded).contains("max_tokens"), "{}", message(&unbounded));
    let bounded = Need { prompt_tokens: Some(400_000), completion_tokens: Some(200_000), price };
    assert_eq!(bounded.cost(), Some(Money::dollars(0.8)));
    let cost = Money::dollars(0.5);
    let paid = Usage { cost, priced_calls: 1, ..Usage::one_call() };
    block_on(meter.reserve(&bounded)).unwrap().settle(&paid);
    let denied = exhausted(block_on(meter.reserve(&bounded)));
    assert_eq!(denied.what, Resource::Money);
    assert!(denied.to_string().contains("$0.50 left, up to $0.80 needed"), "{denied}");
}

/// An LM of known price and limit.
struct Priced;

impl Lm for Priced {
    async fn generate(&self, _: &LmRequest) -> Result<LmResponse, LmError> {
        Ok(LmResponse::text("x"))
    }
    fn price(&self) -> Option<Price> {
        Some(Price::per_million(1.0, 1.0))
    }
}

#[test]
fn needs_are_bounds() {
    let lm = LmHandle::new(Priced);
    let mut request = LmRequest::new(vec![Message::system("a".repeat(100)), Message::user("ü")]);
    assert_eq!(Need::of(&lm, &request).completion_tokens, None);
    request.settings.max_tokens = Some(50);
    request.n = 3;
    let need = Need::of(&lm, &request);
    assert_eq!(need.completion_tokens, Some(150));
    assert!(need.prompt_tokens >= Some(102), "a token has at least one byte");
    let photo = teleprompt_core::Media::data(vec![0_u8; 9], "image/png");
    request.messages.push(Message::user(
        [Part::Image(photo)].into_iter().collect::<teleprompt_core::Content>(),
    ));
    assert_eq!(Need::of(&lm, &request).prompt_tokens, None);
}

#[test]
fn a_limit_of_time_counts_from_the_start_of_its_meter() {
    let limits = Limits { time: Some(Duration::from_millis(20)), ..Limits::default() };
    let parent = Meter::new(limits);
    thread::sleep(Duration::from_millis(25));
    assert!(exhausted(parent.try_reserve(&ONE)).what == Resource::Time);
    assert!(parent.child(Limits::default()).try_reserve(&ONE).is_err());
    let later = Limits { time: Some(Duration::from_secs(3600)), ..Limits::default() };
    assert!(Meter::new(later).try_reserve(&ONE).is_ok());
}

#[test]
fn a_thousand_at_once_never_go_over_the_limit() {
    const LIMIT: u64 = 100;
    let parent = Meter::new(calls(LIMIT));
    let children = [parent.child(calls(80)), parent.child(calls(80))];
    let (now, most) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for i in 0..1000_u64 {
            let (child, now, most) = (&children[(i % 2) as usize], &now, &most);
            scope.spawn(move || {
                for round in 0..10 {
                    let Ok(reservation) = child.try_reserve(&ONE) else { continue };
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    thread::yield_now();
                    now.fetch_sub(1, Ordering::SeqCst);
                    match (i + round) % 3 {
                        0 => drop(reservation),
                        1 => reservation.settle(&cached()),
                        _ => reservation.settle(&paid(1)),
                    }
                }
            });
        }
    });
    assert!(most.load(Ordering::SeqCst) <= LIMIT);
    let spent: Vec<u64> = children.iter().map(|c| c.usage().calls).collect();
    assert_eq!(parent.usage().calls, spent[0] + spent[1]);
    // What was paid is gone, and nothing else.
    assert_eq!(left(&parent) as u64, LIMIT - parent.usage().calls);
    for (child, spent) in children.iter().zip(spent) {
        assert_eq!(left(child) as u64, (80 - spent).min(LIMIT - parent.usage().calls));
    }
}

#[test]
fn what_may_be_charged_is_booked_at_its_bound() {
    use teleprompt_core::LmErrorKind as K;
    let tokens = |limit| Meter::new(Limits { tokens: Some(limit), ..Limits::default() });
    let left = |meter: &Meter| match block_on(meter.reserve(&need(1_000_000))) {
        Err(Error::Budget(exhausted)) => exhausted.left(),
        other => panic!("{other:?}"),
    };
    let reserve = |meter: &Meter| block_on(meter.reserve(&need(10))).unwrap();
    for (kind, booked) in
        [(K::Unreachable, 0), (K::RateLimit, 0), (K::Timeout, 10), (K::Protocol, 10)]
    {
        let meter = tokens(100);
        let mut error = LmError::new(kind, "m", "failed");
        reserve(&meter).fail(&error);
        assert_eq!(left(&meter), 100 - booked, "{kind:?}");
        error.lost_attempts = 2;
        reserve(&meter).fail(&error);
        assert_eq!(left(&meter), 80 - 2 * booked, "{kind:?}: attempts before it");
    }
    let meter = tokens(100);
    reserve(&meter).forfeit();
    assert_eq!(left(&meter), 90, "given up while it was under way");
    drop(reserve(&meter));
    assert_eq!(left(&meter), 90, "never made");
    reserve(&meter).settle(&Usage::one_call());
    assert_eq!(left(&meter), 80, "no usage was told");
    reserve(&meter).settle(&Usage { lost_attempts: 3, ..paid(2) });
    assert_eq!(left(&meter), 48, "an answer after three lost attempts");
    assert_eq!(meter.usage().lost_attempts, 4);
    let priced =
        Need { completion_tokens: Some(0), price: Some(Price::per_million(1e5, 0.0)), ..need(1) };
    let money = Meter::new(Limits { cost: Some(Money::dollars(0.25)), ..Limits::default() });
    block_on(money.reserve(&priced)).unwrap().settle(&paid(1));
    block_on(money.reserve(&priced)).unwrap().settle(&paid(1));
    assert_eq!(
        exhausted(block_on(money.reserve(&priced))).left(),
        Money::dollars(0.05).as_picodollars()
    );
}
