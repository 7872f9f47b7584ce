//! Running evaluations: order, concurrency, failures, limits, usage, stops.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod evaluate_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use evaluate_support::{Func, context, echo, module, numbered, pay};
use teleprompt::data::Dataset;
use teleprompt::evaluate::{Evaluate, metrics};
use teleprompt::{
    Context, Error, Example, Limits, LmError, LmErrorKind, Module, Prediction, Predictors, Program,
    Record, Result, TraceStep, Visit, record,
};

fn number(input: &Record) -> usize {
    input.str("q").unwrap().parse().unwrap()
}

fn answer(input: &Record) -> Prediction {
    Prediction::new(record! { a: input["q"].clone() })
}

fn indices(evaluation: &teleprompt::evaluate::Evaluation) -> Vec<usize> {
    evaluation.rows.iter().map(|r| r.index).collect()
}

#[tokio::test]
async fn results_come_in_the_order_of_the_data() {
    let program = module(async |_, input: Record| {
        // Later examples are done first.
        tokio::time::sleep(Duration::from_millis(40 - number(&input) as u64)).await;
        Ok(answer(&input))
    });
    let evaluate = Evaluate::new(numbered(40), metrics::exact_match("a")).concurrency(40);
    let result = evaluate.run(&context(), &Program::new(program)).await.unwrap();
    assert_eq!(indices(&result), (0..40).collect::<Vec<_>>());
    let answers = result.rows.iter().map(|r| r.prediction.as_ref().unwrap()["a"].clone());
    assert_eq!(answers.collect::<Vec<_>>(), (0..40).map(|i| i.to_string()).collect::<Vec<_>>());
    assert_eq!((result.score, result.n(), result.failed), (1.0, 40, 0));
}

#[tokio::test]
async fn as_many_run_at_a_time_as_allowed() {
    for concurrency in [1, 7] {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let seen = most.clone();
        let program = module(move |_, input: Record| {
            let (now, most) = (now.clone(), most.clone());
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(20)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(answer(&input))
            }
        });
        let evaluate = Evaluate::new(numbered(21), metrics::exact_match("a"));
        let started = Instant::now();
        evaluate.concurrency(concurrency).run(&context(), &program).await.unwrap();
        assert_eq!(seen.load(Ordering::SeqCst), concurrency);
        // 21 examples of 20 ms, so many at a time.
        assert!(started.elapsed() >= Duration::from_millis(420 / concurrency as u64));
    }
}

#[tokio::test]
async fn failures_are_data() {
    let program = module(async |_, input: Record| match number(&input) {
        3 => Err(Error::Other("three is out".into())),
        _ => Ok(answer(&input)),
    });
    let metric = |e: &Example, _: &Prediction| if e["a"] == "5" { f64::NAN } else { 1.0 };
    let evaluate = Evaluate::new(numbered(8), metric).failure_score(-1.0);
    let result = evaluate.run(&context(), &program).await.unwrap();
    assert_eq!(result.failed, 2);
    assert_eq!(result.scores(), [1.0, 1.0, 1.0, -1.0, 1.0, -1.0, 1.0, 1.0]);
    assert_eq!(result.score, 0.5);
    let [program_failed, metric_failed] = [&result.rows[3], &result.rows[5]];
    assert!(program_failed.prediction.is_none());
    assert_eq!(program_failed.error.as_ref().unwrap().to_string(), "three is out");
    // The prediction is kept when only the metric fails.
    assert_eq!(metric_failed.prediction.as_ref().unwrap()["a"], "5");
    let error = metric_failed.error.as_ref().unwrap().to_string();
    assert_eq!(error, "the metric metric gave NaN, which is no score");
}

#[tokio::test]
async fn more_failures_than_allowed_stop_it() {
    let program = module(async |_, _: Record| Err(Error::Other("broken".into())));
    let evaluate = Evaluate::new(numbered(100), metrics::exact_match("a")).concurrency(1);
    let stopped = |e: Evaluate| {
        let program = &program;
        async move { e.run_partial(&context(), program).await.unwrap() }
    };
    // The default is half of them; one more ends it.
    let default = stopped(evaluate.clone()).await;
    assert_eq!(default.failed, 51);
    let why = default.complete().unwrap_err().to_string();
    assert_eq!(why, "examples: stopped after 51 of 100 examples failed; the last one: broken");
    assert_eq!(stopped(evaluate.clone().max_failures(3)).await.n(), 4);
    let unlimited = stopped(evaluate.clone().max_failures(None)).await;
    assert!(unlimited.stopped.is_none() && unlimited.failed == 100);
    assert!(evaluate.run(&context(), &program).await.is_err());
    let few = Evaluate::new(numbered(10), metrics::exact_match("a"));
    assert!(stopped(few).await.stopped.is_none(), "10 failures are always allowed");
}

#[tokio::test]
async fn a_fatal_error_stops_at_once_and_keeps_what_is_done() {
    let started = Arc::new(AtomicUsize::new(0));
    let count = started.clone();
    let program = module(move |_, input: Record| {
        started.fetch_add(1, Ordering::SeqCst);
        async move {
            if number(&input) == 5 {
                return Err(LmError::new(LmErrorKind::Auth, "m", "the key is refused").into());
            }
            Ok(answer(&input))
        }
    });
    let evaluate = Evaluate::new(numbered(50), metrics::exact_match("a")).concurrency(1);
    let result = evaluate.run_partial(&context(), &program).await.unwrap();
    assert_eq!(indices(&result), [0, 1, 2, 3, 4]);
    assert_eq!(count.load(Ordering::SeqCst), 6);
    assert_eq!(result.summary()["stopped"], "m: the key is refused");
    assert!(result.to_string().ends_with("n = 5 of 50; stopped: m: the key is refused"));
    assert!(matches!(result.complete(), Err(Error::Lm(_))));
}

#[tokio::test]
async fn cancelling_ends_it_and_keeps_what_is_done() {
    let program = module(async |cx: Context, input: Record| {
        if number(&input) == 4 {
            cx.cancel().cancel();
        }
        tokio::task::yield_now().await;
        Ok(answer(&input))
    });
    let evaluate = Evaluate::new(numbered(1000), metrics::exact_match("a")).concurrency(2);
    let cx = context();
    let result = evaluate.run_partial(&cx, &program).await.unwrap();
    assert!(matches!(result.stopped, Some(Error::Cancelled)));
    assert!((4..10).contains(&result.n()), "{}", result.n());
    assert!(matches!(evaluate.run(&cx, &program).await, Err(Error::Cancelled)));
}

#[tokio::test]
async fn paid_calls_in_flight_are_kept_when_the_budget_is_used_up() {
    let program = module(async |cx: Context, input: Record| {
        pay(&cx)?;
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok(answer(&input))
    });
    let cx = context().with_limits(Limits { calls: Some(10), ..Limits::default() });
    let evaluate = Evaluate::new(numbered(30), metrics::exact_match("a")).concurrency(4);
    let result = evaluate.run_partial(&cx, &program).await.unwrap();
    assert!(matches!(result.stopped, Some(Error::Budget(teleprompt::Exhausted { limit: 10, .. }))));
    assert_eq!((result.n(), result.usage.calls), (10, 10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn usage_is_right_also_for_spawned_tasks() {
    let program = module(async |cx: Context, input: Record| {
        let calls = 1 + number(&input) % 3;
        let spawned = (0..calls).map(|_| {
            let cx = cx.clone();
            tokio::spawn(async move { pay(&cx) })
        });
        for task in spawned.collect::<Vec<_>>() {
            task.await.map_err(|e| Error::Other(e.to_string()))??;
        }
        if number(&input) == 8 { Err(Error::Other("late".into())) } else { Ok(answer(&input)) }
    });
    let cx = context();
    let evaluate = Evaluate::new(numbered(9), metrics::exact_match("a"));
    let result = evaluate.run(&cx, &program).await.unwrap();
    let calls: Vec<u64> = result.rows.iter().map(|r| r.usage.calls).collect();
    // The calls of an example that fails are paid too.
    assert_eq!(calls, [1, 2, 3, 1, 2, 3, 1, 2, 3]);
    assert_eq!((result.usage.calls, result.usage.prompt_tokens), (18, 180));
    assert_eq!(result.metric_usage.calls, 0);
    assert_eq!(cx.meter().usage().calls, 18);
    let summary = result.summary();
    assert_eq!((&summary["calls"], &summary["completion_tokens"]), (&18.into(), &36.into()));
}

#[tokio::test]
async fn traces_are_kept_on_request_and_apart() {
    let program = module(async |cx: Context, input: Record| {
        if let Some(trace) = cx.trace() {
            let order = trace.begin();
            let inputs = input.clone();
            trace.push(TraceStep {
                evidence: Default::default(),
                path: "p".into(),
                order,
                inputs,
                outputs: record! {},
                error: None,
            });
        }
        Ok(answer(&input))
    });
    let evaluate = Evaluate::new(numbered(5), metrics::exact_match("a"));
    let traced = evaluate.clone().trace(true).run(&context(), &program).await.unwrap();
    for row in &traced.rows {
        let steps = row.trace.as_ref().unwrap();
        assert_eq!((steps.len(), &steps[0].inputs["q"]), (1, &row.index.to_string().into()));
    }
    let plain = evaluate.run(&context(), &program).await.unwrap();
    assert!(plain.rows.iter().all(|r| r.trace.is_none()));
}

#[tokio::test]
async fn seed_and_rollout_reach_the_program() {
    let program = module(async |cx: Context, _| {
        Ok(Prediction::new(record! { a: format!("{} {}", cx.seed(), cx.rollout()) }))
    });
    let metric = |_: &Example, p: &Prediction| p["a"] == "3 4";
    let cx = context().with_seed(3).with_rollout(4);
    assert_eq!(Evaluate::new(numbered(2), metric).run(&cx, &program).await.unwrap().score, 1.0);
}

#[tokio::test]
async fn unmarked_data_gets_the_inputs_of_the_interface() {
    let unmarked = Dataset::parse("d", b"q,a\n1,1\n", teleprompt::data::Format::Csv).unwrap();
    let evaluate = Evaluate::new(&unmarked, metrics::exact_match("a"));
    let told = Func(echo, Some("q -> a".parse().unwrap()));
    let result = evaluate.run(&context(), &Program::new(told)).await.unwrap();
    assert_eq!(result.score, 1.0);
    let other = Func(echo, Some("query -> a".parse().unwrap()));
    let missing = evaluate.run(&context(), &other).await.unwrap_err().to_string();
    assert!(missing.contains("there is no column `query`"), "{missing}");
    let silent = evaluate.run(&context(), &module(echo)).await.unwrap_err().to_string();
    assert!(silent.contains("Dataset::inputs"), "{silent}");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let empty = Evaluate::new(Vec::new(), metrics::exact_match("a"));
    let e = empty.run_partial(&context(), &module(echo)).await.unwrap_err();
    assert!(matches!(&e, Error::Data(m) if m.contains("no examples to evaluate on")), "{e}");
    let nan = Evaluate::new(numbered(1), metrics::exact_match("a")).failure_score(f64::NAN);
    assert!(matches!(nan.run(&context(), &module(echo)).await, Err(Error::Config(_))));
    // A metric over a field that neither side has stops at the first example.
    let wrong = Evaluate::new(numbered(100), metrics::exact_match("b")).concurrency(1);
    let result = wrong.run_partial(&context(), &module(echo)).await.unwrap();
    assert!(matches!(result.stopped, Some(Error::Config(_))) && result.n() == 0);
}

/// A module with types of its own is evaluated as it is.
struct Typed;

#[derive(serde::Serialize, serde::Deserialize)]
struct Question {
    q: String,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Answer {
    a: String,
}

impl Predictors for Typed {
    fn visit<'a>(&'a self, _: &mut Visit<'a>) {}
}

impl Module for Typed {
    type Input = Question;
    type Output = Answer;
    async fn forward(&self, _: &Context, input: Question) -> Result<Prediction<Answer>> {
        Ok(Prediction::new(Answer { a: input.q }))
    }
}

#[tokio::test]
async fn typed_modules_are_evaluated_as_they_are() {
    let data = numbered(3);
    let evaluate = Evaluate::new(&data, metrics::exact_match("a"));
    assert_eq!(evaluate.run(&context(), &Typed).await.unwrap().score, 1.0);
    // It can be spawned.
    let task = tokio::spawn(async move { evaluate.run(&context(), &Program::new(Typed)).await });
    assert_eq!(task.await.unwrap().unwrap().score, 1.0);
}
