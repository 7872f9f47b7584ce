//! Predictors and programs on a scripted LM: calls, retries, traces, parameters.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::sync::Arc;

use teleprompt::adapter::{ChatAdapter, JsonAdapter};
use teleprompt::prelude::*;
use teleprompt::{
    Completion, FinishReason, Limits, LmRequest, LmResponse, Parameters, ProgramState, Role,
    TraceRecorder, bind,
};
use teleprompt_testkit::scripted::ScriptedLm;

fn context(lm: ScriptedLm) -> Context {
    Context::new(LmHandle::new(lm), Arc::new(ChatAdapter))
}

fn section(name: &str, value: &str) -> String {
    format!("[[ ## {name} ## ]]\n{value}")
}

#[tokio::test]
async fn a_dynamic_predictor_renders_calls_and_parses() {
    let lm = ScriptedLm::replies([section("answer", "42")]).recording();
    let math = Predict::of("question -> answer: int").unwrap();
    let cx = context(lm.clone());
    let prediction = math.call(&cx, record! { question: "6 × 7?" }).await.unwrap();
    assert_eq!(prediction["answer"], 42);
    assert_eq!(prediction.usage.calls, 1);
    assert_eq!(cx.meter().usage().calls, 1);
    let request = &lm.requests()[0];
    assert_eq!(request.messages.len(), 2);
    assert!(request.messages[1].content.contains("6 × 7?"));
}

/// Answer with a number.
#[derive(Signature)]
struct Sum {
    /// first number
    #[input]
    a: i64,
    #[input]
    b: i64,
    #[output]
    sum: i64,
}

#[tokio::test]
async fn a_typed_predictor_gives_typed_outputs() {
    let lm = ScriptedLm::replies([section("sum", "5")]).recording();
    let prediction =
        Predict::<Sum>::new().call(&context(lm.clone()), SumInput { a: 2, b: 3 }).await.unwrap();
    assert_eq!(prediction.sum, 5);
    assert!(lm.requests()[0].messages[0].content.contains("Answer with a number."));
}

#[tokio::test]
async fn chain_of_thought_reasons_first_typed_and_dynamic() {
    let reply = format!("{}\n\n{}", section("reasoning", "2 and 3 make 5"), section("sum", "5"));
    let cot = ChainOfThought::<Sum>::new();
    let lm = ScriptedLm::new(move |_: &LmRequest| reply.clone());
    let prediction = cot.call(&context(lm.clone()), SumInput { a: 2, b: 3 }).await.unwrap();
    assert_eq!((prediction.reasoning.as_str(), prediction.sum), ("2 and 3 make 5", 5));
    let dynamic = ChainOfThought::of("a: int, b: int -> sum: int").unwrap();
    let prediction = dynamic.call(&context(lm), record! { a: 2, b: 3 }).await.unwrap();
    assert_eq!(prediction["reasoning"], "2 and 3 make 5");
}

#[tokio::test]
async fn a_reply_that_does_not_parse_goes_back_with_the_error() {
    let lm = ScriptedLm::replies([section("answer", "many"), section("answer", "7")]).recording();
    let math = Predict::of("question -> answer: int").unwrap();
    let prediction = math.call(&context(lm.clone()), record! { question: "?" }).await.unwrap();
    assert_eq!(prediction["answer"], 7);
    assert_eq!(prediction.usage.calls, 2);
    let second = &lm.requests()[1].messages;
    assert_eq!(second.len(), 4);
    assert_eq!(second[2].role, Role::Assistant);
    assert!(second[2].content.contains("many"));
    assert!(second[3].content.contains("answer"), "{}", second[3].content);
}

#[tokio::test]
async fn a_reply_that_never_parses_is_a_typed_error_after_the_allowed_attempts() {
    let lm = ScriptedLm::new(|_: &LmRequest| section("answer", "many")).recording();
    let math = Predict::of("question -> answer: int").unwrap();
    let cx = context(lm.clone()).with_reply_retries(1);
    let error = math.call(&cx, record! { question: "?" }).await.unwrap_err();
    let Error::Reply { path, error } = &error else { panic!("{error}") };
    assert_eq!(path, "predict");
    assert!(error.reply.contains("many"));
    assert_eq!(lm.calls(), 2);
}

/// Cuts every reply off.
struct Cutter;

impl Lm for Cutter {
    async fn generate(&self, _: &LmRequest) -> Result<LmResponse, teleprompt::LmError> {
        let finish = FinishReason::Length;
        let completion =
            Completion { text: "[[ ## answer ## ]]\n".into(), finish, ..Completion::default() };
        Ok(LmResponse { completions: vec![completion], ..LmResponse::text("") })
    }
}

#[tokio::test]
async fn a_reply_that_was_cut_off_is_an_error_of_its_own_and_not_asked_for_again() {
    let math = Predict::of("question -> answer: int").unwrap();
    let cx = Context::new(LmHandle::new(Cutter), Arc::new(ChatAdapter));
    let error = math.call(&cx, record! { question: "?" }).await.unwrap_err();
    assert!(matches!(error, Error::Truncated { .. }), "{error}");
    assert_eq!(cx.meter().usage().calls, 1);
}

#[tokio::test]
async fn wrong_inputs_are_told_before_any_call() {
    let lm = ScriptedLm::new(|_: &LmRequest| String::new());
    let math = Predict::of("question, hint: str? -> answer").unwrap();
    let cx = context(lm.clone());
    let missing = math.call(&cx, record! { hint: "x" }).await.unwrap_err().to_string();
    assert!(missing.contains("the input `question` is missing"), "{missing}");
    let unknown = record! { question: "x", hnt: "y" };
    let unknown = math.call(&cx, unknown).await.unwrap_err().to_string();
    assert!(unknown.contains("did you mean `hint`?"), "{unknown}");
    assert_eq!(lm.calls(), 0);
}

#[tokio::test]
async fn n_completions_are_all_there_and_the_bad_ones_are_left_out() {
    let lm = ScriptedLm::replies([
        section("answer", "1"),
        section("answer", "x"),
        section("answer", "3"),
    ]);
    let math = Predict::of("question -> answer: int").unwrap();
    let cx = context(lm).with_n(3);
    let prediction = math.call(&cx, record! { question: "?" }).await.unwrap();
    assert_eq!(prediction["answer"], 1);
    assert_eq!(prediction.completions.len(), 2);
}

#[tokio::test]
async fn demos_and_instructions_laid_over_come_before_the_own_ones_and_merge() {
    let lm = ScriptedLm::new(|_: &LmRequest| section("answer", "1")).recording();
    let math = Predict::of("question -> answer: int").unwrap().with_instructions("Be exact.");
    let program = Program::new(math);
    let mut state = ProgramState::default();
    let demos = Some(vec![record! { question: "1+1?", answer: 2 }]);
    state.insert("predict", Parameters { demos, ..Parameters::default() });
    let cx = context(lm.clone()).with_candidate(Arc::new(state));
    program.call(&cx, record! { question: "?" }).await.unwrap();
    let messages = &lm.requests()[0].messages;
    assert_eq!(messages.len(), 4);
    assert!(messages[0].content.contains("Be exact."));
    assert!(messages[1].content.contains("1+1?"));
}

#[tokio::test]
async fn the_system_part_is_the_same_whatever_the_inputs() {
    let lm = ScriptedLm::new(|_: &LmRequest| section("answer", "1")).recording();
    let math = Predict::of("question -> answer: int").unwrap();
    for question in ["a", "b"] {
        math.call(&context(lm.clone()), record! { question: question }).await.unwrap();
    }
    let requests = lm.requests();
    assert_eq!(requests[0].messages[0], requests[1].messages[0]);
}

/// Asks, checks, and asks again while the check says so: three predictors, a loop and an `if`.
#[derive(Clone, Module)]
struct Careful {
    draft: Predict,
    check: Predict,
    shorten: Predict,
    rounds: usize,
}

impl Careful {
    fn new() -> Result<Self> {
        Ok(Self {
            draft: Predict::of("question -> answer")?,
            check: Predict::of("question, answer -> good: bool")?,
            shorten: Predict::of("answer -> short")?,
            rounds: 3,
        })
    }
}

impl Module for Careful {
    type Input = Record;
    type Output = Record;

    async fn forward(&self, cx: &Context, input: Record) -> Result<Prediction> {
        let question = input["question"].clone();
        let mut answer = self.draft.call(cx, input).await?["answer"].clone();
        for _ in 0..self.rounds {
            let checked = record! { question: question, answer: answer };
            if self.check.call(cx, checked).await?["good"] == true {
                break;
            }
            answer = self.draft.call(cx, record! { question: question }).await?["answer"].clone();
        }
        self.shorten.call(cx, record! { answer: answer }).await
    }
}

#[tokio::test]
async fn a_program_with_a_loop_and_an_if_runs_and_is_traced_in_order() {
    let lm = ScriptedLm::replies([
        section("answer", "long"),
        section("good", "no"),
        section("answer", "longer"),
        section("good", "yes"),
        section("short", "ok"),
    ]);
    let program = Program::new(Careful::new().unwrap());
    let trace = TraceRecorder::new();
    let cx = context(lm).with_trace(trace.clone());
    let prediction = program.call(&cx, record! { question: "?" }).await.unwrap();
    assert_eq!(prediction["short"], "ok");
    let paths: Vec<String> = trace.steps().iter().map(|s| s.path.to_string()).collect();
    assert_eq!(paths, ["draft", "check", "draft", "check", "shorten"]);
}

#[derive(Clone, Module)]
struct Parallel {
    parts: Vec<Predict>,
}

impl Module for Parallel {
    type Input = Record;
    type Output = Record;

    async fn forward(&self, cx: &Context, input: Record) -> Result<Prediction> {
        let spawn = |part: &Predict| {
            let (part, cx, input) = (part.clone(), cx.clone(), input.clone());
            tokio::spawn(async move { part.call(&cx, input).await })
        };
        let tasks: Vec<_> = self.parts.iter().map(spawn).collect();
        let mut last = None;
        for task in tasks {
            last = Some(task.await.map_err(|e| Error::Other(e.to_string()))??);
        }
        let (a, b) = (&self.parts[0], &self.parts[1]);
        let (a, b) = tokio::join!(a.call(cx, input.clone()), b.call(cx, input));
        a?;
        b?;
        last.ok_or(Error::Cancelled)
    }
}

#[tokio::test]
async fn traces_and_usage_survive_spawned_and_joined_tasks() {
    let lm = ScriptedLm::new(|_: &LmRequest| section("answer", "1"));
    let part = Predict::of("question -> answer").unwrap();
    let program = Program::new(Parallel { parts: vec![part; 3] });
    let trace = TraceRecorder::new();
    let cx = context(lm).with_trace(trace.clone()).with_limits(Limits::default());
    program.call(&cx, record! { question: "?" }).await.unwrap();
    let mut paths: Vec<String> = trace.steps().iter().map(|s| s.path.to_string()).collect();
    paths.sort();
    assert_eq!(paths, ["parts[0]", "parts[0]", "parts[1]", "parts[1]", "parts[2]"]);
    assert_eq!(cx.meter().usage().calls, 5);
}

#[derive(Clone, Module)]
struct Outer {
    inner: Tuned<Predict>,
    other: Tuned<Careful>,
}

#[tokio::test]
async fn a_tuned_part_of_a_larger_program_keeps_its_parameters_and_a_candidate_comes_before() {
    let demo = |answer: &str| vec![record! { question: "d?", answer: answer }];
    let state = |path: &str, answer: &str| {
        let mut state = ProgramState::default();
        state.insert(path, Parameters { demos: Some(demo(answer)), ..Parameters::default() });
        state
    };
    let outer = Outer {
        inner: Tuned::new(Predict::of("question -> answer").unwrap(), state("predict", "one")),
        other: Tuned::new(Careful::new().unwrap(), state("draft", "two")),
    };
    let bound = bind(&outer);
    let paths: Vec<&str> = bound.predictors.iter().map(|(p, _)| &**p).collect();
    assert_eq!(paths, ["inner", "other.draft", "other.check", "other.shorten"]);
    assert_eq!(bound.parameters["inner"].demos(), demo("one"));
    let lm = ScriptedLm::new(|_: &LmRequest| section("answer", "1")).recording();
    let cx = context(lm.clone());
    outer.inner.call(&cx, record! { question: "?" }).await.unwrap();
    let candidate = cx.with_candidate(Arc::new(state("inner", "three")));
    outer.inner.call(&candidate, record! { question: "?" }).await.unwrap();
    let shown = |i: usize| lm.requests()[i].messages[2].content.to_string();
    assert!(shown(0).contains("one") && shown(1).contains("three"), "{} {}", shown(0), shown(1));
}

#[tokio::test]
async fn a_predictor_cannot_choose_an_lm_that_the_context_does_not_have() {
    let lm = ScriptedLm::new(|_: &LmRequest| section("answer", "1"));
    let parameters =
        Parameters { lm: Some("openai:x@http://evil".into()), ..Parameters::default() };
    let predict = Predict::of("question -> answer").unwrap().with_parameters(parameters);
    let error = predict.call(&context(lm.clone()), record! { question: "?" }).await.unwrap_err();
    assert!(matches!(error, Error::Config(_)), "{error}");
    assert_eq!(lm.calls(), 0);
}

#[tokio::test]
async fn the_json_adapter_works_the_same_way() {
    let lm = ScriptedLm::replies([r#"```json
{"answer": "7"}
```"#]);
    let cx = context(lm).with_adapter(Arc::new(JsonAdapter));
    let math = Predict::of("question -> answer: int").unwrap();
    let prediction = math.call(&cx, record! { question: "?" }).await.unwrap();
    assert_eq!(prediction["answer"], 7);
    assert!(!prediction.flags().is_empty());
}
