use std::collections::BTreeSet;

use teleprompt::optimize::compose::BestOfN;
use teleprompt::prelude::*;
use teleprompt::{LmErrorKind, LmRequest, LmSettings, Parameters, TraceRecorder};
use teleprompt_testkit::scripted::{Reply, ScriptedLm};

use super::support::{Sum, SumInput, answers, ask, context, paths, qa, section, told};

fn long(_: &Record, p: &Prediction) -> f64 {
    p.str("answer").unwrap().len() as f64
}

#[tokio::test]
async fn the_first_good_enough_attempt_ends_it() {
    let lm = answers(["ab", "abcd", "abcdef"]);
    let best = BestOfN::new(qa(), 5, long).threshold(4.0);
    let prediction = best.call(&context(&lm), ask()).await.unwrap();
    assert_eq!((prediction.str("answer"), lm.calls()), (Some("abcd"), 2));
    assert_eq!(prediction.usage.calls, 2);
}

#[tokio::test]
async fn the_first_attempt_is_as_written_and_the_others_sample() {
    let lm = answers(["a"; 4]);
    let best = BestOfN::new(qa(), 4, long).threshold(4.0);
    best.call(&context(&lm), ask()).await.unwrap();
    let requests = lm.requests();
    let temperatures: Vec<_> = requests.iter().map(|r| r.settings.temperature).collect();
    assert_eq!(temperatures, [None, Some(1.0), Some(1.0), Some(1.0)]);
    assert_eq!(requests[0].rollout, 0);
    let rollouts: BTreeSet<u64> = requests.iter().map(|r| r.rollout).collect();
    let seeds: BTreeSet<_> = requests.iter().map(|r| r.settings.seed).collect();
    assert_eq!((rollouts.len(), seeds.len()), (4, 4));
}

#[tokio::test]
async fn settings_of_a_predictor_do_not_keep_attempts_alike() {
    let lm = answers(["a"; 3]);
    let settings = LmSettings { temperature: Some(0.0), seed: Some(7), ..LmSettings::default() };
    let cold = qa().with_parameters(Parameters { settings, ..Parameters::default() });
    let best = BestOfN::new(cold, 3, long).threshold(4.0);
    best.call(&context(&lm), ask()).await.unwrap();
    let of = |r: &LmRequest| (r.settings.temperature, r.settings.seed);
    let all: Vec<_> = lm.requests().iter().map(of).collect();
    assert_eq!(all[0], (Some(0.0), Some(7)));
    assert_eq!((all[1].0, all[2].0), (Some(1.0), Some(1.0)));
    assert!(all[1].1 != Some(7) && all[1].1 != all[2].1, "{all:?}");
}

#[tokio::test]
async fn without_a_good_enough_attempt_the_best_counts_and_of_equal_ones_the_first() {
    let lm = answers(["a", "ab", "ba", "b"]);
    let trace = TraceRecorder::new();
    let cx = context(&lm).with_trace(trace.clone());
    let program = Program::new(BestOfN::new(qa(), 4, long).threshold(9.0));
    let prediction = program.call(&cx, ask()).await.unwrap();
    assert_eq!((prediction.str("answer"), prediction.usage.calls), (Some("ab"), 4));
    assert_eq!(told(&trace), ["inner ab"]);
}

#[tokio::test]
async fn what_is_no_number_is_worst() {
    let nan = |_: &Record, p: &Prediction| if p["answer"] == "a" { f64::NAN } else { -1e300 };
    let lm = answers(["a", "b"]);
    let prediction = BestOfN::new(qa(), 2, nan).call(&context(&lm), ask()).await.unwrap();
    assert_eq!(prediction["answer"], "b");
    let lm = answers(["a", "a"]);
    let prediction = BestOfN::new(qa(), 2, nan).call(&context(&lm), ask()).await.unwrap();
    assert_eq!(prediction["answer"], "a");
}

/// (replies, failures allowed, what comes of it, calls); `!` fails.
#[tokio::test]
async fn failed_attempts_are_passed_over_and_counted_anew_in_every_call() {
    type Case = (&'static [&'static str], u32, Result<&'static str, &'static str>, u64);
    let table: [Case; 6] = [
        (&["!1", "a", "ab"], 3, Ok("ab"), 3),
        (&["!1", "a", "ab"], 0, Err("1"), 1),
        (&["a", "!1", "ab"], 0, Ok("a"), 2),
        (&["!1", "!2", "ab"], 1, Err("1"), 2),
        (&["!1", "!2", "!3"], 3, Err("1"), 3),
        (&["!1", "!2", "ab"], 2, Ok("ab"), 3),
    ];
    for (replies, allowed, expected, calls) in table {
        let best = BestOfN::new(qa(), 3, long).threshold(9.0).max_failures(allowed);
        for _ in 0..2 {
            let reply = |text: &&str| match text.strip_prefix('!') {
                None => Reply::Text(section("answer", text)),
                Some(name) => Reply::Error(teleprompt::LmError::new(
                    LmErrorKind::Server,
                    "scripted",
                    format!("failure {name}"),
                )),
            };
            let lm = ScriptedLm::replies(replies.iter().map(reply).collect::<Vec<_>>());
            let result = best.call(&context(&lm), ask()).await;
            match expected {
                Ok(answer) => assert_eq!(result.unwrap()["answer"], answer, "{replies:?}"),
                Err(name) => {
                    let error = result.unwrap_err().to_string();
                    assert!(error.contains(&format!("failure {name}")), "{replies:?}: {error}");
                }
            }
            assert_eq!(lm.calls(), calls, "{replies:?}");
        }
    }
}

#[tokio::test]
async fn a_fatal_error_ends_it() {
    let lm = ScriptedLm::new(|_: &LmRequest| Reply::error(LmErrorKind::Auth));
    let error = BestOfN::new(qa(), 3, long).call(&context(&lm), ask()).await.unwrap_err();
    assert!(error.is_fatal());
    assert_eq!(lm.calls(), 1);
}

#[tokio::test]
async fn typed_modules_stay_typed() {
    let lm = ScriptedLm::replies([section("sum", "4"), section("sum", "5")]);
    let right = |inputs: &Record, p: &Prediction| {
        p["sum"].as_i64() == Some(inputs["a"].as_i64().unwrap() + inputs["b"].as_i64().unwrap())
    };
    let best = BestOfN::new(Predict::<Sum>::new(), 3, right);
    let prediction = best.call(&context(&lm), SumInput { a: 2, b: 3 }).await.unwrap();
    assert_eq!((prediction.sum, lm.calls()), (5, 2));
}

#[derive(Clone, Module)]
struct Outer {
    title: BestOfN<BestOfN<Predict>>,
}

#[tokio::test]
async fn attempts_in_attempts_are_all_different_calls() {
    let title = BestOfN::new(BestOfN::new(qa(), 3, long).threshold(9.0), 3, long).threshold(9.0);
    let outer = Outer { title };
    assert_eq!(paths(&outer), ["title.inner.inner"]);
    let lm = answers(["a"; 9]);
    outer.title.call(&context(&lm), ask()).await.unwrap();
    let rollouts: BTreeSet<u64> = lm.requests().iter().map(|r| r.rollout).collect();
    assert_eq!(rollouts.len(), 9);
    let again = answers(["a"; 9]);
    outer.title.call(&context(&again), ask()).await.unwrap();
    assert_eq!(lm.requests(), again.requests());
}
