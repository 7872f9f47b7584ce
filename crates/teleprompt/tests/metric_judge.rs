//! A program as a metric.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod evaluate_support;

use std::sync::Arc;

use evaluate_support::{Func, Silent, context, echo, module, numbered, pay};
use serde_json::json;
use teleprompt::evaluate::{Evaluate, Judge};
use teleprompt::{
    Context, Error, Limits, LmHandle, Parameters, Prediction, Program, ProgramState, Record,
    Result, TraceRecorder, record,
};

fn judge(
    signature: &str,
    verdict: impl Fn(&Context, &Record) -> Result<Record> + Send + Sync + 'static,
) -> Result<Judge> {
    let forward = move |cx: Context, input: Record| {
        let result = verdict(&cx, &input).map(Prediction::new);
        async move { result }
    };
    Judge::new(Program::new(Func(forward, Some(signature.parse().unwrap()))))
}

#[tokio::test]
async fn inputs_come_from_example_and_prediction_by_name() {
    let judge =
        judge("q, a, example_a, pred_a, note: str? -> score: float, feedback", |_, input| {
            assert_eq!(
                input.to_json(),
                json!({"q": "1", "a": "1!", "example_a": "1", "pred_a": "1!"})
            );
            Ok(record! { score: 0.25, feedback: "too loud" })
        });
    let loud = module(async |_, input: Record| {
        Ok(Prediction::new(record! { a: format!("{}!", input.str("q").unwrap()) }))
    });
    let data = numbered(2).select(&[1]);
    let result = Evaluate::new(&data, judge.unwrap()).run(&context(), &loud).await.unwrap();
    assert_eq!(result.score, 0.25);
    assert_eq!(result.rows[0].feedback.as_deref(), Some("too loud"));
    assert_eq!(result.metric, "judge");
}

#[tokio::test]
async fn calls_are_counted_apart_within_one_budget() {
    let paying = |_: &Context, _: &Record| Ok(record! { good: true });
    let judge_ = judge("q -> good: bool", move |cx, input| {
        pay(cx)?;
        paying(cx, input)
    });
    let program = module(async |cx: Context, input| {
        pay(&cx)?;
        pay(&cx)?;
        echo(cx, input).await
    });
    let cx = context().with_limits(Limits::default());
    let evaluate = Evaluate::new(numbered(5), judge_.unwrap());
    let result = evaluate.run(&cx, &program).await.unwrap();
    assert_eq!((result.usage.calls, result.metric_usage.calls), (10, 5));
    assert_eq!((result.rows[3].usage.calls, result.rows[3].metric_usage.calls), (2, 1));
    assert_eq!(cx.meter().usage().calls, 15);
    // A budget stops the judge as well.
    let tight = context().with_limits(Limits { calls: Some(8), ..Limits::default() });
    let stopped = evaluate.concurrency(1).run_partial(&tight, &program).await.unwrap();
    assert!(matches!(stopped.stopped, Some(Error::Budget { .. })));
    assert_eq!(stopped.n(), 2);
}

#[tokio::test]
async fn the_judge_runs_without_the_parameters_and_trace_of_the_program() {
    let own = LmHandle::new(Silent);
    let expected = own.clone();
    let judge_ = judge("q -> score: float", move |cx, _| {
        assert!(cx.trace().is_none() && cx.n() == 1);
        assert!(cx.parameters("predict").is_empty());
        assert!(cx.lm().same(&expected));
        Ok(record! { score: 1 })
    });
    let judge_ = judge_.unwrap().lm(own).named("mine");
    let mut state = ProgramState::default();
    state.0.insert("predict".into(), Arc::new(Parameters::default()));
    let cx = context().with_candidate(Arc::new(state.clone())).with_n(4);
    let cx = cx.with_layer("".into(), Arc::new(state)).with_trace(TraceRecorder::new());
    assert!(!cx.parameters("predict").is_empty());
    let result = Evaluate::new(numbered(1), judge_).run(&cx, &module(echo)).await.unwrap();
    assert_eq!((result.score, result.metric.as_str()), (1.0, "mine"));
}

#[tokio::test]
async fn a_verdict_that_is_no_score_fails_the_example() {
    let judge_ = judge("q -> score: str", |_, _| Ok(record! { score: "good" })).unwrap();
    let result = Evaluate::new(numbered(3), judge_).run(&context(), &module(echo)).await.unwrap();
    assert_eq!(result.failed, 3);
    let e = result.rows[0].error.as_ref().unwrap().to_string();
    assert_eq!(e, "the judge's `score` must be a number or bool, not \"good\"");
}

#[tokio::test]
async fn a_judge_that_cannot_judge_is_refused() {
    let text = |e: Result<Judge>| e.err().unwrap().to_string();
    let refused = text(judge("q -> verdict: str", |_, _| Ok(record! {})));
    assert!(refused.contains("needs an output `score`"), "{refused}");
    let two = text(judge("q -> x: float, y: float", |_, _| Ok(record! {})));
    assert!(two.contains("needs an output `score`"), "{two}");
    assert!(text(Judge::new(Program::new(module(echo)))).contains("Module::interface"));
    // A name that is nowhere stops the evaluation at the first example.
    let unknown = judge("qq -> score: float", |_, _| Ok(record! { score: 1 })).unwrap();
    let e = Evaluate::new(numbered(9), unknown).run(&context(), &module(echo)).await.unwrap_err();
    assert_eq!(
        e.to_string(),
        "the judge wants `qq`, which neither example nor prediction has; did you mean `q`?"
    );
}
