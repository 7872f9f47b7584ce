use std::time::Duration;

use futures::StreamExt;
use teleprompt::lm::{Timed, TimeoutConfig};
use teleprompt::{Lm, LmErrorKind};
use tokio::time::Instant;

use super::support::{Drip, request};

fn seconds(first: Option<u64>, whole: Option<u64>) -> TimeoutConfig {
    let time = |s: Option<u64>| s.map(Duration::from_secs);
    TimeoutConfig { first_piece: time(first), whole: time(whole) }
}

/// Pieces received, the error's text, and when the stream was over.
async fn stream(drip: &Drip, config: TimeoutConfig) -> (usize, Option<String>, u64) {
    let lm = Timed::new(drip.clone(), config);
    let begin = Instant::now();
    let chunks: Vec<_> = lm.stream(&request("x")).collect().await;
    let good = chunks.iter().filter(|c| c.is_ok()).count();
    let failed = chunks.into_iter().find_map(Result::err);
    assert!(failed.as_ref().is_none_or(|e| e.kind == LmErrorKind::Timeout));
    (good, failed.map(|e| e.message), begin.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn the_first_piece_has_its_own_limit() {
    let late = Drip::new(&[(10, Ok("a")), (1, Ok("b"))]);
    let (good, message, at) = stream(&late, seconds(Some(9), Some(60))).await;
    assert_eq!((good, at, late.dropped()), (0, 9, 1));
    assert!(message.unwrap().contains("no first piece within 9 s"));
    assert_eq!(stream(&late, seconds(Some(11), None)).await, (3, None, 11));
    let slow_later = Drip::new(&[(1, Ok("a")), (100, Ok("b"))]);
    assert_eq!(stream(&slow_later, seconds(Some(9), None)).await, (3, None, 101));
}

#[tokio::test(start_paused = true)]
async fn the_whole_answer_has_one_whichever_way_it_comes() {
    let drip = Drip::new(&[(4, Ok("a")), (4, Ok("b")), (4, Ok("c"))]);
    let (good, message, at) = stream(&drip, seconds(None, Some(10))).await;
    assert_eq!((good, at, drip.dropped()), (2, 10, 1));
    assert!(message.unwrap().contains("no whole answer within 10 s"));
    let begin = Instant::now();
    let lm = Timed::new(drip.clone(), seconds(Some(1), Some(10)));
    let error = lm.generate(&request("x")).await.unwrap_err();
    assert_eq!((error.kind, begin.elapsed().as_secs()), (LmErrorKind::Timeout, 10));
    assert!(error.is_retryable() && drip.dropped() == 2, "{error}");
    // The earlier of both bounds the first piece.
    let (_, message, at) = stream(&drip, seconds(Some(9), Some(3))).await;
    assert_eq!((at, message.unwrap().contains("whole answer")), (3, true));
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_stream_runs_from_the_first_poll() {
    let lm = Timed::new(Drip::new(&[(1, Ok("a"))]), seconds(Some(2), Some(2)));
    let request = request("x");
    let chunks = lm.stream(&request);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(chunks.collect::<Vec<_>>().await.iter().all(Result::is_ok));
}

#[tokio::test(start_paused = true)]
async fn without_limits_and_with_endless_ones_nothing_ends() {
    let drip = Drip::new(&[(1_000_000, Ok("a"))]);
    assert_eq!(stream(&drip, seconds(None, None)).await.0, 2);
    assert_eq!(stream(&drip, seconds(Some(u64::MAX), Some(u64::MAX))).await.0, 2);
    assert_eq!(Timed::new(drip, seconds(None, None)).describe(), "timeout(none) → custom");
}
