use std::time::Duration;

use futures::StreamExt;
use futures::future::{join_all, poll_immediate};
use teleprompt::lm::{Metered, Priced};
use teleprompt::{Limits, Lm, LmErrorKind, Meter, Money, Price};
use teleprompt_testkit::ScriptedLm;

use super::support::{Drip, answering, failing, handle, request};

fn calls(n: u64) -> Limits {
    Limits { calls: Some(n), ..Limits::default() }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_at_once_do_not_go_over() {
    let inner = answering("m").with_delay(Duration::from_secs(1));
    let lm = Metered::new(inner.clone(), calls(100));
    let request = request("x");
    let replies = join_all((0..1000).map(|_| lm.generate(&request))).await;
    assert_eq!(replies.iter().filter(|r| r.is_ok()).count(), 100);
    assert_eq!((inner.calls(), lm.meter().usage().calls), (100, 100));
    let refused = replies.into_iter().find_map(Result::err).unwrap();
    assert_eq!(refused.kind, LmErrorKind::Budget);
    assert!(refused.message.contains("0 left"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn money_needs_a_price_and_a_bound_and_then_holds() {
    let limits = Limits { cost: Some(Money::dollars(0.001)), ..Limits::default() };
    let unknown = Metered::new(answering("m"), limits);
    let mut request = request("x");
    request.settings.max_tokens = Some(2);
    let refused = unknown.generate(&request).await.unwrap_err();
    assert!(refused.message.contains("price"), "{refused}");
    let priced = Priced::at(answering("m"), Price::per_million(1.0, 1.0));
    let lm = Metered::new(priced, limits);
    let mut answered = 0;
    while lm.generate(&request).await.is_ok() {
        answered += 1;
    }
    let spent = lm.meter().usage().cost;
    assert!(answered > 0 && spent <= Money::dollars(0.001), "{answered} calls, {spent}");
}

#[tokio::test(start_paused = true)]
async fn what_was_surely_not_charged_goes_back_and_what_may_have_been_does_not() {
    let asked = |kind| async move {
        let lm = Metered::new(failing("m", kind), calls(2));
        let mut kinds = Vec::new();
        for _ in 0..3 {
            kinds.push(lm.generate(&request("x")).await.unwrap_err().kind);
        }
        kinds
    };
    use LmErrorKind as K;
    assert_eq!(asked(K::RateLimit).await, [K::RateLimit; 3]);
    assert_eq!(asked(K::Server).await, [K::Server, K::Server, K::Budget]);
    let lm = Metered::new(Drip::new(&[(1, Ok("a")), (1, Ok("b"))]), calls(3));
    let request = request("x");
    let mut call = Box::pin(lm.generate(&request));
    assert!(poll_immediate(&mut call).await.is_none());
    drop(call);
    let mut left = lm.stream(&request);
    left.next().await.unwrap().unwrap();
    drop(left);
    let whole: Vec<_> = lm.stream(&request).collect().await;
    assert!(whole.iter().all(Result::is_ok), "{whole:?}");
    assert_eq!((lm.meter().usage().calls, lm.meter().usage().lost_attempts), (1, 2));
    let refused: Vec<_> = lm.stream(&request).collect().await;
    assert_eq!(refused[0].as_ref().unwrap_err().kind, LmErrorKind::Budget);
}

#[tokio::test]
async fn calls_in_flight_end_when_the_time_is_over() {
    let limits = Limits { time: Some(Duration::from_millis(50)), ..Limits::default() };
    let slow = || ScriptedLm::new(|_| "x").with_delay(Duration::from_secs(3600));
    let error = Metered::new(slow(), limits).generate(&request("x")).await.unwrap_err();
    assert_eq!(error.kind, LmErrorKind::Budget);
    let lm = Metered::new(slow(), limits);
    let chunks: Vec<_> = lm.stream(&request("x")).collect().await;
    assert_eq!(chunks[0].as_ref().unwrap_err().kind, LmErrorKind::Budget);
    assert_eq!(chunks.len(), 1);
}

#[tokio::test]
async fn lms_can_share_a_meter() {
    let (meter, lm) = (Meter::new(calls(3)), answering("m"));
    let all = [0, 1].map(|_| Metered::with_meter(handle(&lm), meter.clone()));
    for i in 0..3 {
        all[i % 2].generate(&request("x")).await.unwrap();
    }
    all[1].generate(&request("x")).await.unwrap_err();
    assert_eq!(meter.usage().calls, 3);
}
