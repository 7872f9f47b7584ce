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

use teleprompt_core::{Error, Limits, Meter, Usage};

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
    while let Ok(reservation) = meter.reserve() {
        held.push(reservation);
    }
    held.len()
}

#[test]
fn a_limit_of_calls_holds() {
    let meter = Meter::new(calls(2));
    let first = meter.reserve().unwrap();
    let second = meter.reserve().unwrap();
    let error = meter.reserve().unwrap_err();
    assert!(matches!(error, Error::Budget { what: "LM calls", limit: 2, spent: 2 }), "{error:?}");
    first.settle(&paid(5));
    second.settle(&paid(7));
    assert!(meter.reserve().is_err());
    let usage = meter.usage();
    assert_eq!((usage.calls, usage.prompt_tokens), (2, 12));
}

#[test]
fn what_is_dropped_or_cached_goes_back() {
    let meter = Meter::new(calls(2));
    drop(meter.reserve().unwrap());
    assert_eq!(left(&meter), 2);
    meter.reserve().unwrap().settle(&cached());
    assert_eq!(left(&meter), 2);
    meter.reserve().unwrap().settle(&paid(1));
    assert_eq!(left(&meter), 1);
    assert_eq!((meter.usage().calls, meter.usage().cache_hits), (1, 1));
}

#[test]
fn a_child_counts_for_its_parents_and_both_limits_hold() {
    let parent = Meter::new(calls(3));
    let child = parent.child(calls(2));
    child.reserve().unwrap().settle(&paid(10));
    assert_eq!((left(&parent), left(&child)), (2, 1));
    parent.reserve().unwrap().settle(&paid(1));
    parent.reserve().unwrap().settle(&paid(1));
    assert_eq!((left(&parent), left(&child)), (0, 0));
    assert_eq!((parent.usage().calls, child.usage().calls), (3, 1));
    assert_eq!((parent.usage().prompt_tokens, child.usage().prompt_tokens), (12, 10));
}

#[test]
fn a_refusal_of_the_parent_takes_nothing_from_the_child() {
    let parent = Meter::new(calls(1));
    let child = parent.child(calls(2));
    let held = parent.reserve().unwrap();
    for _ in 0..5 {
        assert!(matches!(child.reserve(), Err(Error::Budget { limit: 1, .. })));
    }
    drop(held);
    let first = child.reserve().unwrap();
    assert!(child.reserve().is_err());
    first.settle(&cached());
    // Had a refusal been given back twice, the child would let more through than its limit.
    let sole = Meter::default().child(calls(2));
    assert_eq!((left(&child), left(&parent), left(&sole)), (1, 1, 2));
}

#[test]
fn a_limit_of_tokens_counts_paid_tokens_only() {
    let meter = Meter::new(Limits { tokens: Some(100), ..Limits::default() });
    meter.reserve().unwrap().settle(&paid(99));
    meter.reserve().unwrap().settle(&cached());
    meter.reserve().unwrap().settle(&paid(50));
    let error = meter.reserve().unwrap_err();
    assert!(matches!(error, Error::Budget { what: "tokens", limit: 100, spent: 149 }), "{error:?}");
}

#[test]
fn a_limit_of_time_counts_from_the_start_of_its_meter() {
    let limits = Limits { time: Some(Duration::from_millis(20)), ..Limits::default() };
    let parent = Meter::new(limits);
    thread::sleep(Duration::from_millis(25));
    assert!(matches!(parent.reserve(), Err(Error::Budget { what: "seconds", .. })));
    assert!(parent.child(Limits::default()).reserve().is_err());
    let later = Limits { time: Some(Duration::from_secs(3600)), ..Limits::default() };
    assert!(Meter::new(later).reserve().is_ok());
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
                    let Ok(reservation) = child.reserve() else { continue };
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
