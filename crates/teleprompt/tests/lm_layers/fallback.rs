use futures::StreamExt;
use teleprompt::lm::{Fallback, FallbackConfig};
use teleprompt::{Capabilities, Lm, LmErrorKind, LmHandle};
use teleprompt_testkit::ScriptedLm;

use super::support::{Drip, answering, failing, handle, request, text};

#[tokio::test]
async fn it_goes_on_after_what_may_pass_and_nothing_else() {
    use LmErrorKind as K;
    let cases = [
        (K::Server, true, true),
        (K::RateLimit, true, true),
        (K::Timeout, true, true),
        (K::Transport, true, true),
        (K::Overloaded, true, true),
        (K::Auth, false, true),
        (K::Billing, false, true),
        (K::NotFound, false, true),
        (K::InvalidRequest, false, false),
        (K::ContentFilter, false, false),
        (K::ContextOverflow { needed: 2, limit: 1 }, false, false),
        (K::Budget, false, false),
    ];
    for (kind, plain, told) in cases {
        for (also_unusable, goes_on) in [(false, plain), (true, told)] {
            let (a, b) = (failing("a", kind), answering("b"));
            let lm = Fallback::new(handle(&a), [handle(&b)])
                .with_config(FallbackConfig { also_unusable });
            match lm.generate(&request("x")).await {
                Ok(reply) => assert!(goes_on && text(&reply) == "from b", "{kind:?}"),
                Err(error) => assert!(!goes_on && error.kind == kind, "{kind:?}: {error}"),
            }
            let chunks: Vec<_> = lm.stream(&request("x")).collect().await;
            assert_eq!(chunks.iter().all(Result::is_ok), goes_on, "{kind:?} in a stream");
            assert_eq!((a.calls(), b.calls()), (2, if goes_on { 2 } else { 0 }));
        }
    }
}

#[tokio::test]
async fn the_first_that_works_answers_alone() {
    let all = [answering("a"), answering("b")];
    let lm = Fallback::new(handle(&all[0]), [handle(&all[1])]);
    assert_eq!(text(&lm.generate(&request("x")).await.unwrap()), "from a");
    assert_eq!((all[0].calls(), all[1].calls()), (1, 0));
}

#[tokio::test]
async fn if_all_fail_the_last_error_tells_of_the_others() {
    let all = [failing("a", LmErrorKind::Timeout), failing("b", LmErrorKind::RateLimit)];
    let last = failing("c", LmErrorKind::Server);
    let lm = Fallback::new(handle(&all[0]), [handle(&all[1]), handle(&last)]);
    let error = lm.generate(&request("x")).await.unwrap_err();
    assert_eq!(error.kind, LmErrorKind::Server);
    for part in ["server for the test", "failed before: timeout (", "rate_limit ("] {
        assert!(error.message.contains(part), "{error}");
    }
    assert!(!error.to_string().contains('\n'));
    let wrong = failing("b", LmErrorKind::InvalidRequest);
    let lm = Fallback::new(handle(&all[0]), [handle(&wrong), handle(&last)]);
    let error = lm.generate(&request("x")).await.unwrap_err();
    assert!(error.message.contains("failed before: timeout"), "{error}");
    assert_eq!(last.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_after_a_piece_was_given() {
    let broken = Drip::new(&[(1, Ok("a")), (1, Err(LmErrorKind::Server))]);
    let spare = answering("b");
    let lm = Fallback::new(LmHandle::new(broken), [handle(&spare)]);
    let chunks: Vec<_> = lm.stream(&request("x")).collect().await;
    assert!(chunks[0].is_ok() && chunks[1].is_err(), "{chunks:?}");
    assert_eq!(spare.calls(), 0);
}

#[test]
fn it_promises_only_what_all_can() {
    let can = |schema, window| {
        let can = Capabilities::none().with_json_schema(schema).with_tools(true);
        let lm = ScriptedLm::new(|_| "x").with_capabilities(can.with_context_window(window));
        LmHandle::new(lm.with_name(format!("w{window}")))
    };
    let lm = Fallback::new(can(true, 9), [can(false, 7)]);
    let both = lm.capabilities();
    assert_eq!((both.json_schema, both.tools, both.context_window), (false, true, Some(7)));
    assert_eq!((lm.name(), &*lm.identity()), ("w9 | w7", "w9 | w7"));
    assert_eq!(lm.describe(), "fallback(w9 | w7)");
}
