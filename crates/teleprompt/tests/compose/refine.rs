use std::sync::Arc;

use teleprompt::optimize::compose::{Ensemble, Refine};
use teleprompt::prelude::*;
use teleprompt::{LmErrorKind, LmRequest, Parameters, ProgramState, TraceRecorder, Usage};
use teleprompt_testkit::scripted::{Reply, ScriptedLm};

use super::support::{
    Sum, SumInput, TwoSteps, ask, context, instructed, paths, qa, section, text, told,
};

fn is_adviser(request: &LmRequest) -> bool {
    text(request).contains("[[ ## advice ## ]]")
}

/// Answers `good` once its prompt has the advice, else `bad`; gives this advice.
fn script(advice: &'static str) -> ScriptedLm {
    ScriptedLm::new(move |request: &LmRequest| {
        let prompt = text(request);
        if is_adviser(request) {
            return section("advice", advice);
        }
        let field = if prompt.contains("[[ ## query ## ]] and") { "query" } else { "answer" };
        section(field, if prompt.contains(advice) { "good" } else { "bad" })
    })
    .recording()
}

fn reward(_: &Record, p: &Prediction) -> Score {
    match p["answer"] == "good" {
        true => Score::from(1.0),
        false => Score::from(0.25).with_feedback("the answer is not good"),
    }
}

#[tokio::test]
async fn advice_reaches_the_next_prompt_below_the_instructions_in_force() {
    let lm = script("Look twice.");
    let refine = Refine::new(qa().with_instructions("Be exact."), 3, reward);
    let cx = context(&lm);
    let prediction = refine.call(&cx, ask()).await.unwrap();
    assert_eq!(prediction["answer"], "good");
    let requests = lm.requests();
    assert_eq!(requests.len(), 3);
    let (first, adviser, second) = (text(&requests[0]), &requests[1], text(&requests[2]));
    assert!(first.contains("Be exact.") && !first.contains("Look twice."), "{first}");
    assert!(is_adviser(adviser));
    assert!(second.find("Be exact.").unwrap() < second.find("Look twice.").unwrap(), "{second}");
    assert_eq!(requests[2].settings.temperature, Some(1.0));
    assert_eq!(prediction.usage, cx.meter().usage());
    assert_eq!(prediction.usage.calls, 3);
}

#[tokio::test]
async fn the_adviser_reads_the_step_the_run_the_reward_and_the_feedback() {
    let lm = script("Look twice.");
    let refine = Refine::new(TwoSteps::new(), 2, reward).threshold(0.5);
    refine.call(&context(&lm), record! { question: "How deep?" }).await.unwrap();
    let advised: Vec<String> = lm.requests().iter().filter(|r| is_adviser(r)).map(text).collect();
    assert_eq!(advised.len(), 2, "one a predictor");
    for (prompt, step) in advised.iter().zip(["inner.query", "inner.answer"]) {
        let asked = prompt.rsplit("[[ ## step ## ]]").next().unwrap();
        assert!(asked.trim_start().starts_with(step), "{asked}");
        for part in ["How deep?", "query: bad", "answer: bad", "0.25 (wanted: 0.5)"] {
            assert!(asked.contains(part), "{part}: {asked}");
        }
        assert!(asked.contains("the answer is not good"), "{asked}");
    }
    assert!(advised[0].contains("Write a query."));
}

#[tokio::test]
async fn advice_stays_in_its_call_and_changes_no_predictor() {
    let lm = script("Look twice.");
    let program = Program::new(Refine::new(qa(), 2, reward));
    let before = program.state();
    program.call(&context(&lm), ask()).await.unwrap();
    assert_eq!(program.state(), before);
    program.call(&context(&lm), ask()).await.unwrap();
    let requests = lm.requests();
    assert_eq!(requests.len(), 6);
    assert_eq!(requests[..3], requests[3..]);
}

#[tokio::test]
async fn parameters_laid_over_stay_in_force_below_the_advice() {
    let lm = script("Look twice.");
    let program = Program::new(Refine::new(TwoSteps::new(), 2, reward));
    assert_eq!(paths(&program), ["inner.query", "inner.answer"]);
    let mut state = instructed("inner.query", "Search well.");
    let demos = vec![record! { query: "demo query", answer: "demo answer" }];
    state.insert("inner.answer", Parameters { demos: Some(demos), ..Parameters::default() });
    let cx = context(&lm).with_candidate(Arc::new(state));
    program.call(&cx, ask()).await.unwrap();
    let requests = lm.requests();
    let (query, answer) = (text(&requests[4]), text(&requests[5]));
    assert!(query.contains("Search well.") && query.contains("Look twice."), "{query}");
    assert!(!query.contains("Write a query."), "{query}");
    assert!(answer.contains("demo answer") && answer.contains("Look twice."), "{answer}");
    assert!(!text(&requests[2]).contains("demo answer"), "the adviser has no candidate");
}

#[tokio::test]
async fn only_the_chosen_attempt_is_traced_and_the_adviser_never() {
    let lm = script("Look twice.");
    let trace = TraceRecorder::new();
    let program = Program::new(Refine::new(qa(), 2, reward));
    program.call(&context(&lm).with_trace(trace.clone()), ask()).await.unwrap();
    assert_eq!(told(&trace), ["inner good"]);
}

#[tokio::test]
async fn an_adviser_that_fails_leaves_the_next_attempt_without_advice() {
    let lm = ScriptedLm::new(|request: &LmRequest| match is_adviser(request) {
        true => Reply::error(LmErrorKind::Server),
        false => Reply::Text(section("answer", "bad")),
    })
    .recording();
    let prediction = Refine::new(qa(), 2, reward).call(&context(&lm), ask()).await.unwrap();
    assert_eq!(prediction["answer"], "bad");
    let requests = lm.requests();
    assert_eq!(requests.len(), 3);
    assert_eq!(requests[0].messages, requests[2].messages);
    let lm = ScriptedLm::new(|request: &LmRequest| match is_adviser(request) {
        true => Reply::error(LmErrorKind::Auth),
        false => Reply::Text(section("answer", "bad")),
    });
    let error = Refine::new(qa(), 2, reward).call(&context(&lm), ask()).await.unwrap_err();
    assert!(error.is_fatal());
}

#[tokio::test]
async fn a_failed_attempt_is_advised_too() {
    let lm = ScriptedLm::new(|request: &LmRequest| {
        if is_adviser(request) {
            return section("advice", "Write a number.");
        }
        section("answer", if text(request).contains("Write a number.") { "7" } else { "many" })
    })
    .recording();
    let math = Predict::of("question -> answer: int").unwrap();
    let refine = Refine::new(math, 2, |_: &Record, p: &Prediction| p["answer"] == 7);
    let cx = context(&lm).with_reply_retries(0);
    assert_eq!(refine.call(&cx, ask()).await.unwrap()["answer"], 7);
    let adviser = text(&lm.requests()[1]);
    assert!(adviser.contains("it failed:") && adviser.contains("inner failed:"), "{adviser}");
}

#[tokio::test]
async fn another_lm_can_advise_and_a_good_first_attempt_needs_none() {
    let student = script("Look twice.");
    let adviser = ScriptedLm::new(|_: &LmRequest| section("advice", "Look twice."));
    let refine = Refine::new(qa(), 2, reward).adviser(LmHandle::new(adviser.clone()));
    refine.call(&context(&student), ask()).await.unwrap();
    assert_eq!((student.calls(), adviser.calls()), (2, 1));
    let low = refine.threshold(0.25);
    low.call(&context(&student), ask()).await.unwrap();
    assert_eq!((student.calls(), adviser.calls()), (3, 1));
}

#[tokio::test]
async fn typed_modules_stay_typed() {
    let lm = ScriptedLm::replies([
        section("sum", "4"),
        section("advice", "Count again."),
        section("sum", "5"),
    ]);
    let refine = Refine::new(Predict::<Sum>::new(), 2, |_: &Record, p: &Prediction| p["sum"] == 5);
    let prediction = refine.call(&context(&lm), SumInput { a: 2, b: 3 }).await.unwrap();
    assert_eq!(prediction.sum, 5);
}

#[derive(Clone, Module)]
struct Larger {
    parts: Vec<Refine<Ensemble>>,
}

#[tokio::test]
async fn an_ensemble_in_a_part_of_a_larger_program_is_refined() {
    let members = || vec![Program::new(qa()), Program::new(TwoSteps::new())];
    let part = || Refine::new(Ensemble::new(members()).unwrap(), 2, reward);
    let larger = Larger { parts: vec![part(), part()] };
    let there = paths(&larger);
    assert_eq!(
        there[3..],
        [
            "parts[1].inner.members[0]",
            "parts[1].inner.members[1].query",
            "parts[1].inner.members[1].answer"
        ]
    );
    let lm = script("Look twice.");
    let prediction = larger.parts[1].call(&context(&lm), ask()).await.unwrap();
    assert_eq!(prediction["answer"], "good");
    let advised = |r: &&LmRequest| is_adviser(r);
    let requests = lm.requests();
    // Of the first attempt the member that was chosen is advised: its steps led to the answer.
    assert_eq!(requests.iter().filter(advised).count(), 1);
    let usage: Usage = prediction.usage;
    assert_eq!((usage.calls, requests.len()), (7, 7));
}

#[test]
fn no_parameters_are_laid_over_by_building_one() {
    assert_eq!(Program::new(Refine::new(qa(), 2, reward)).state().0.len(), 1);
    let state = Program::new(Refine::new(qa(), 2, reward)).state();
    let mut expected = ProgramState::default();
    expected.insert("inner", Parameters::default());
    assert_eq!(state, expected);
}
