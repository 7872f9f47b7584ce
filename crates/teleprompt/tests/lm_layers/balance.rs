use std::time::Duration;

use futures::StreamExt;
use futures::future::{join_all, poll_immediate};
use teleprompt::lm::{Balanced, Retry, from_fn};
use teleprompt::{Error, Lm, LmErrorKind, LmHandle};
use teleprompt_testkit::{Reply, ScriptedLm};
use tokio::time::{Instant, sleep};

use super::support::{Drip, answering, error, failing, handle, request, text};

fn balance(all: &[ScriptedLm]) -> Balanced {
    Balanced::new(all.iter().map(handle)).unwrap()
}

fn calls(all: &[ScriptedLm]) -> Vec<u64> {
    all.iter().map(ScriptedLm::calls).collect()
}

#[tokio::test(start_paused = true)]
async fn the_least_busy_server_gets_the_call() {
    let slow = answering("m").with_delay(Duration::from_secs(9));
    let fast = answering("m").with_delay(Duration::from_secs(1));
    let all = [slow, fast];
    let lm = balance(&all);
    let client = async || {
        for _ in 0..10 {
            lm.generate(&request("x")).await.unwrap();
        }
    };
    join_all((0..4).map(|_| client())).await;
    let calls = calls(&all);
    assert!(calls[1] > 3 * calls[0] && calls[0] + calls[1] == 40, "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_fails_is_left_alone_and_tried_again_later() {
    let all = [failing("m", LmErrorKind::Transport), answering("m"), answering("m")];
    let lm = balance(&all);
    for _ in 0..100 {
        assert_eq!(text(&lm.generate(&request("x")).await.unwrap()), "from m");
    }
    assert_eq!(calls(&all), [1, 50, 50]);
    // It is tried again after 1, 3, 7, 15, 31, 63 and 123 s.
    for _ in 0..180 {
        sleep(Duration::from_secs(1)).await;
        lm.generate(&request("x")).await.unwrap();
    }
    assert_eq!(calls(&all)[0], 8);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_recovers_works_again() {
    let recovers = ScriptedLm::replies(
        std::iter::once(Reply::error(LmErrorKind::Server)).chain((0..10).map(|_| "well".into())),
    );
    let all = [recovers.with_name("m"), answering("m")];
    let lm = balance(&all);
    lm.generate(&request("x")).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    for _ in 0..10 {
        lm.generate(&request("x")).await.unwrap();
    }
    assert_eq!(calls(&all), [6, 6]);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_sent_again_only_after_a_failure_that_may_pass() {
    for (kind, wanted) in [
        (LmErrorKind::Server, [1, 1]),
        (LmErrorKind::InvalidRequest, [1, 0]),
        (LmErrorKind::Auth, [1, 0]),
    ] {
        let all = [failing("m", kind), answering("m")];
        let lm = balance(&all);
        assert_eq!(lm.generate(&request("x")).await.is_ok(), wanted[1] == 1);
        assert_eq!(calls(&all), wanted, "{kind:?}");
        // A wrong request says nothing of the server; a refused key does.
        let ill = kind != LmErrorKind::InvalidRequest;
        for _ in 0..4 {
            lm.generate(&request("x")).await.map(drop).unwrap_or_default();
        }
        assert_eq!(calls(&all)[0] == 1, ill, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_server_is_asked_once_and_the_error_tells_of_all() {
    let all = [failing("m", LmErrorKind::Server), failing("m", LmErrorKind::Overloaded)];
    let lm = balance(&all);
    let failed = lm.generate(&request("x")).await.unwrap_err();
    assert_eq!((failed.kind, calls(&all)), (LmErrorKind::Overloaded, vec![1, 1]));
    assert!(failed.message.contains("failed before: server ("), "{failed}");
    // All rest, so the next call is not refused: it might succeed.
    lm.generate(&request("x")).await.unwrap_err();
    assert_eq!(calls(&all), [2, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_server_rests_as_long_as_it_asks() {
    let busy = error(LmErrorKind::RateLimit).with_retry_after(Some(Duration::from_secs(30)));
    let all = [ScriptedLm::new(move |_| busy.clone()).with_name("m"), answering("m")];
    let lm = balance(&all);
    for second in 0..=31 {
        lm.generate(&request("x")).await.unwrap();
        assert_eq!(calls(&all)[0], if second < 30 { 1 } else { 2 }, "after {second} s");
        sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_counts_until_it_ends_and_moves_only_before_its_first_piece() {
    let drip = Drip::new(&[(1, Ok("a")), (1, Ok("b"))]);
    let lm = Balanced::new([LmHandle::new(drip.clone()), LmHandle::new(drip.clone())]).unwrap();
    let request = request("x");
    let mut first = lm.stream(&request);
    first.next().await.unwrap().unwrap();
    drop(first);
    assert_eq!(drip.dropped(), 1);
    let broken = Drip::new(&[(1, Ok("a")), (1, Err(LmErrorKind::Server))]);
    let spare = answering("custom");
    let lm = Balanced::new([LmHandle::new(broken), handle(&spare)]).unwrap();
    let chunks: Vec<_> = lm.stream(&request).collect().await;
    assert!(chunks.last().unwrap().is_err() && spare.calls() == 0, "{chunks:?}");
    // That was a failure of the first server: it rests.
    let chunks: Vec<_> = lm.stream(&request).collect().await;
    assert!(chunks.iter().all(Result::is_ok) && spare.calls() == 1, "{chunks:?}");
    let dead = failing("custom", LmErrorKind::Transport);
    let lm = Balanced::new([handle(&dead), handle(&spare)]).unwrap();
    let chunks: Vec<_> = lm.stream(&request).collect().await;
    assert!(chunks.iter().all(Result::is_ok) && dead.calls() == 1, "{chunks:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_leaves_its_seat() {
    let all = [answering("m").with_delay(Duration::from_secs(1)), answering("m")];
    let lm = balance(&all);
    let request = request("x");
    let mut left = Box::pin(lm.generate(&request));
    assert!(poll_immediate(&mut left).await.is_none());
    drop(left);
    lm.generate(&request).await.unwrap();
    lm.generate(&request).await.unwrap();
    assert_eq!(calls(&all), [2, 1], "the first server is idle again");
}

#[test]
fn only_one_model_at_several_addresses_can_be_balanced() {
    let named = |name: &str| LmHandle::new(answering(name));
    let lm = Balanced::new([named("vllm:m@http://a/v1"), named("vllm:m@http://b/v1")]).unwrap();
    assert_eq!((lm.name(), &*lm.identity()), ("vllm:m@http://a/v1", "vllm:m@http://a/v1"));
    assert_eq!(lm.describe(), "balance(vllm:m@http://a/v1, vllm:m@http://b/v1)");
    let different = Balanced::new([named("vllm:m@http://a/v1"), named("vllm:n@http://b/v1")]);
    assert!(matches!(different, Err(Error::Config(m)) if m.contains("A | B")));
    assert!(matches!(Balanced::new([]), Err(Error::Config(_))));
}

#[tokio::test(start_paused = true)]
async fn servers_that_all_ask_for_rest_get_it_and_a_retry_waits_for_the_first() {
    let busy = |seconds| {
        let busy =
            error(LmErrorKind::RateLimit).with_retry_after(Some(Duration::from_secs(seconds)));
        ScriptedLm::replies([Reply::from(busy), "ok".into(), "ok".into()]).with_name("m")
    };
    let all = [busy(40), busy(90)];
    let lm = balance(&all);
    let failed = lm.generate(&request("x")).await.unwrap_err();
    assert_eq!(failed.retry_after, Some(Duration::from_secs(40)), "not the last one's 90 s");
    sleep(Duration::from_secs(10)).await;
    let failed = lm.generate(&request("x")).await.unwrap_err();
    assert_eq!((failed.kind, calls(&all)), (LmErrorKind::RateLimit, vec![1, 1]));
    assert_eq!(failed.retry_after, Some(Duration::from_secs(30)));
    let begin = Instant::now();
    Retry::new(lm).generate(&request("x")).await.unwrap();
    assert_eq!((begin.elapsed().as_secs(), calls(&all)), (30, vec![2, 1]));
}

#[tokio::test(start_paused = true)]
async fn a_success_that_was_in_flight_does_not_end_a_rest() {
    let server = from_fn(answering("m"), |request, next| async move {
        if request.rollout == 1 {
            let busy = error(LmErrorKind::Overloaded);
            return Err(busy.with_retry_after(Some(Duration::from_secs(30))));
        }
        sleep(Duration::from_secs(2)).await;
        next.generate(&request).await
    });
    let spare = answering("scripted").with_name("m").with_delay(Duration::from_secs(3));
    let lm = Balanced::new([LmHandle::new(server), handle(&spare)]).unwrap();
    let mut refused = request("x");
    refused.rollout = 1;
    let plain = request("x");
    // One is in flight at each, so that the third one goes to the first server, and is refused.
    let (a, b, c) = tokio::join!(
        lm.generate(&plain),
        async {
            sleep(Duration::from_millis(10)).await;
            lm.generate(&plain).await
        },
        async {
            sleep(Duration::from_millis(20)).await;
            lm.generate(&refused).await
        }
    );
    assert!(a.is_ok() && b.is_ok() && c.is_ok(), "{c:?}");
    let before = spare.calls();
    for _ in 0..5 {
        lm.generate(&plain).await.unwrap();
    }
    assert_eq!(spare.calls() - before, 5, "the first server rests");
}
