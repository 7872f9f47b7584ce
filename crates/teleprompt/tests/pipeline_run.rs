//! Pipelines on a scripted LM.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::sync::Arc;

use teleprompt::adapter::ChatAdapter;
use teleprompt::module::Tuned;
use teleprompt::pipeline::Pipeline;
use teleprompt::saved::{SavedProgram, Source};
use teleprompt::{
    Context, Error, LmHandle, Module, Parameters, Prediction, Program, ProgramState, Record,
    Result, TraceRecorder, bind, record,
};
use teleprompt_testkit::scripted::ScriptedLm;

fn context(lm: &ScriptedLm) -> Context {
    Context::new(LmHandle::new(lm.clone()), Arc::new(ChatAdapter))
}

/// A reply with these fields.
fn reply(fields: &[(&str, &str)]) -> String {
    let section = |(name, value): &(&str, &str)| format!("[[ ## {name} ## ]]\n{value}\n");
    fields.iter().map(section).collect()
}

fn script(replies: &[&[(&str, &str)]]) -> ScriptedLm {
    ScriptedLm::replies(replies.iter().map(|fields| reply(fields))).recording()
}

/// What the request `n` shows the LM last.
fn asked(lm: &ScriptedLm, n: usize) -> String {
    lm.requests()[n].messages.last().unwrap().content.to_string()
}

/// Runs it; the paths of the steps in the order they ran.
async fn traced(
    pipeline: &Pipeline,
    lm: &ScriptedLm,
    input: Record,
) -> (Result<Prediction>, Vec<String>) {
    let trace = TraceRecorder::new();
    let cx = context(lm).with_trace(trace.clone());
    let result = pipeline.call(&cx, input).await;
    (result, trace.steps().iter().map(|step| step.path.to_string()).collect())
}

const RESEARCH: &str = r#"
[[step]]
name = "search"
signature = "question 'what is asked', notes: list[str] -> note, done: bool"
instructions = "Find one more fact."
collect = { notes = "note" }
repeat = { times = 3, until = "done" }

[[step]]
name = "answer"
signature = "question, notes: list[str] -> answer 'in short', confidence: float(0..1)"
module = "cot"

[[step]]
name = "think_again"
signature = "question, doubt: float -> answer"
wire = { doubt = "answer.confidence" }
when = "confidence < 0.5"
"#;

#[tokio::test]
async fn three_steps_with_repeat_and_when() {
    let pipeline = Pipeline::parse(RESEARCH).unwrap();
    assert_eq!(
        pipeline.interface().unwrap().to_string(),
        r#"question "what is asked" -> answer "in short""#
    );
    let lm = script(&[
        &[("note", "bees fly"), ("done", "false")],
        &[("note", "bees dance"), ("done", "true")],
        &[("reasoning", "hm"), ("answer", "dancing"), ("confidence", "0.2")],
        &[("answer", "the waggle dance")],
    ]);
    let (prediction, paths) = traced(&pipeline, &lm, record! { question: "How?" }).await;
    let prediction = prediction.unwrap();
    assert_eq!(prediction.output, record! { answer: "the waggle dance" });
    assert_eq!(paths, ["search", "search", "answer", "think_again"]);
    assert_eq!(prediction.usage.calls, 4);
    assert!(!asked(&lm, 0).contains("bees fly"));
    assert!(asked(&lm, 1).contains("bees fly"), "the second round sees the first");
    assert!(asked(&lm, 2).contains("bees dance"));
    assert!(asked(&lm, 3).contains("0.2"));
    assert!(lm.requests()[0].messages[0].content.contains("Find one more fact."));
    let rollouts: Vec<u64> = lm.requests().iter().map(|r| r.rollout).collect();
    assert!(rollouts[0] != rollouts[1], "a further round is no cache hit");
    assert_eq!(rollouts[0], rollouts[2]);
}

#[tokio::test]
async fn a_step_whose_condition_fails_is_skipped_and_times_is_the_limit() {
    let pipeline = Pipeline::parse(RESEARCH).unwrap();
    let search: &[(&str, &str)] = &[("note", "n"), ("done", "false")];
    let sure: &[(&str, &str)] = &[("reasoning", "hm"), ("answer", "a"), ("confidence", "0.9")];
    let lm = script(&[search, search, search, sure]);
    let (prediction, paths) = traced(&pipeline, &lm, record! { question: "?" }).await;
    assert_eq!(prediction.unwrap().output, record! { answer: "a" });
    assert_eq!(paths, ["search", "search", "search", "answer"]);
}

const OPTIONAL: &str = r#"
[[step]]
name = "guess"
signature = "question -> guess, sure: bool"
[[step]]
name = "hint"
signature = "question -> hint"
when = "not sure"
[[step]]
name = "answer"
signature = "question, hint: str? -> answer"
"#;

#[tokio::test]
async fn what_a_skipped_step_would_have_given_is_nothing_or_an_error() {
    let sure: &[(&str, &str)] = &[("guess", "g"), ("sure", "true")];
    let lm = script(&[sure, &[("answer", "a")]]);
    let pipeline = Pipeline::parse(OPTIONAL).unwrap();
    let (prediction, paths) = traced(&pipeline, &lm, record! { question: "?" }).await;
    assert_eq!(prediction.unwrap()["answer"], "a");
    assert_eq!(paths, ["guess", "answer"]);

    let needed = Pipeline::parse(&OPTIONAL.replace("hint: str?", "hint")).unwrap();
    let (result, _) = traced(&needed, &script(&[sure]), record! { question: "?" }).await;
    assert_eq!(
        result.unwrap_err().to_string(),
        "answer: the input `hint` has no value: it reads `hint`, and step `hint` was skipped (when \
         = \"not sure\"); make the field optional (`hint: str?`) if it may be missing"
    );

    let output = format!("outputs = ['guess', 'hint.hint']\n{OPTIONAL}");
    let output = Pipeline::parse(&output).unwrap();
    assert_eq!(output.interface().unwrap().to_string(), "question -> guess, hint: str?");
    let lm = script(&[sure, &[("answer", "a")]]);
    let (prediction, _) = traced(&output, &lm, record! { question: "?" }).await;
    assert_eq!(prediction.unwrap().output, record! { guess: "g" });
}

const REFINE: &str = r#"
inputs = ["topic 'of the text'", "strict: bool"]
outputs = ["improve.text", "verdicts"]

[[step]]
name = "write"
signature = "topic -> draft"
lm = "big"

[[step]]
name = "round"
when = "strict"
repeat = { times = 4, until = "verdict == 'good'" }

    [[step.step]]
    name = "improve"
    signature = "draft, verdict: str? -> text"
    wire = { draft = ["improve.text", "write.draft"] }
    lm = "small"

    [[step.step]]
    name = "judge"
    signature = "text -> verdict: enum['good', 'bad'], score: int"
    collect = { verdicts = "score" }
    lm = "big"
"#;

#[tokio::test]
async fn a_group_is_repeated_and_each_step_uses_its_lm() {
    let pipeline = Pipeline::parse(REFINE).unwrap();
    assert_eq!(pipeline.lm_names(), ["big", "small"]);
    assert_eq!(
        pipeline.interface().unwrap().to_string(),
        r#"topic "of the text", strict: bool -> text: str?, verdicts: list[int]"#
    );
    let big = script(&[
        &[("draft", "d0")],
        &[("verdict", "bad"), ("score", "3")],
        &[("verdict", "good"), ("score", "9")],
    ])
    .with_name("big");
    let small = script(&[&[("text", "t1")], &[("text", "t2")]]).with_name("small");
    let trace = TraceRecorder::new();
    let cx = context(&big)
        .with_named_lm("small", LmHandle::new(small.clone()))
        .with_trace(trace.clone());
    let input = record! { topic: "bees", strict: true };
    let prediction = pipeline.call(&cx, input).await.unwrap();
    assert_eq!(prediction.output, record! { text: "t2", verdicts: [3, 9] });
    let paths: Vec<_> = trace.steps().iter().map(|s| s.path.to_string()).collect();
    assert_eq!(paths, ["write", "improve", "judge", "improve", "judge"]);
    assert!(asked(&small, 0).contains("d0") && !asked(&small, 0).contains("bad"));
    assert!(asked(&small, 1).contains("t1") && asked(&small, 1).contains("bad"));

    let big = script(&[&[("draft", "d0")]]).with_name("big");
    let input = record! { topic: "bees", strict: false };
    let prediction = pipeline.call(&context(&big), input).await.unwrap();
    assert_eq!(prediction.output, record! { verdicts: Vec::<i64>::new() });
}

#[tokio::test]
async fn an_lm_that_the_context_does_not_have_is_an_error() {
    let pipeline = Pipeline::parse(REFINE).unwrap();
    let input = record! { topic: "bees", strict: true };
    let error = pipeline.call(&context(&script(&[])), input).await.unwrap_err();
    assert!(matches!(&error, Error::Config(m) if m.contains("`big`")), "{error}");
}

#[tokio::test]
async fn inputs_are_checked() {
    let pipeline = Pipeline::parse(RESEARCH).unwrap();
    for (input, part) in [
        (record! {}, "pipeline: the input `question` is missing"),
        (
            record! { question: "?", qestion: "?" },
            "there is no input `qestion`; did you mean `question`?",
        ),
    ] {
        let error = pipeline.call(&context(&script(&[])), input).await.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[tokio::test]
async fn scalars_go_into_text_fields_as_json_text() {
    let pipeline = Pipeline::parse(
        "[[step]]\nname = 'a'\nsignature = 'x -> n: float, b: bool'\n[[step]]\nname = 'b'\n\
         signature = 'n, b -> y'",
    )
    .unwrap();
    let lm = script(&[&[("n", "0.5"), ("b", "true")], &[("y", "z")]]);
    let trace = TraceRecorder::new();
    let cx = context(&lm).with_trace(trace.clone());
    pipeline.call(&cx, record! { x: "?" }).await.unwrap();
    assert_eq!(trace.steps()[1].inputs, record! { n: "0.5", b: "true" });
}

#[tokio::test]
async fn completions_are_those_of_the_step_that_answers() {
    let file = "outputs = ['a', 'b']\n[[step]]\nname = 's'\nsignature = 'x -> a'\n[[step]]\n\
                name = 't'\nsignature = 'a -> c'\n[[step]]\nname = 'u'\nsignature = 'c -> b'";
    let pipeline = Pipeline::parse(file).unwrap();
    let lm =
        script(&[&[("a", "a1")], &[("a", "a2")], &[("c", "c1")], &[("b", "b1")], &[("b", "b2")]]);
    let cx = context(&lm).with_n(2);
    let prediction = pipeline.call(&cx, record! { x: "?" }).await.unwrap();
    let completions: Vec<_> = prediction.completions.iter().map(|c| c.fields.clone()).collect();
    assert_eq!(completions, [record! { a: "a1", b: "b1" }, record! { a: "a1", b: "b2" }]);
    assert_eq!(prediction.output, completions[0]);
    let n: Vec<u32> = lm.requests().iter().map(|r| r.n).collect();
    assert_eq!(n, [2, 1, 2], "a step in between is asked once");
}

#[tokio::test]
async fn a_condition_on_values_without_order_fails_when_it_runs() {
    let file =
        "[[step]]\nname = 's'\nsignature = 'x -> a: any'\nrepeat = { times = 2, until = 'a > 1' }";
    let pipeline = Pipeline::parse(file).unwrap();
    let lm = script(&[&[("a", "[1]")]]);
    let error = pipeline.call(&context(&lm), record! { x: "?" }).await.unwrap_err().to_string();
    assert!(error.contains("s: until = \"a > 1\": [1] and 1 have no order"), "{error}");
}

#[tokio::test]
async fn parameters_laid_over_a_step_change_its_prompt_only() {
    let mut state = ProgramState::default();
    let demo = record! { question: "Where?", notes: ["honey"], reasoning: "r", answer: "in hives", confidence: 1.0 };
    let laid = Parameters {
        instructions: Some("Answer like a beekeeper.".into()),
        demos: Some(vec![demo]),
        ..Parameters::default()
    };
    state.insert("answer", laid);
    let tuned = Tuned::new(Pipeline::parse(RESEARCH).unwrap(), state);
    let lm = script(&[
        &[("note", "n"), ("done", "true")],
        &[("reasoning", "hm"), ("answer", "a"), ("confidence", "0.9")],
    ]);
    tuned.call(&context(&lm), record! { question: "?" }).await.unwrap();
    let seen =
        |n: usize, part: &str| lm.requests()[n].messages.iter().any(|m| m.content.contains(part));
    assert!(!seen(0, "beekeeper") && !seen(0, "in hives"));
    assert!(seen(1, "beekeeper") && seen(1, "in hives"));
    assert!(seen(0, "Find one more fact."));
}

#[test]
fn a_compiled_pipeline_is_saved_with_its_file_and_loads() {
    let mut state = ProgramState::default();
    let laid = Parameters { instructions: Some("Judge hard.".into()), ..Parameters::default() };
    state.insert("judge", laid);
    let tuned = Tuned::new(Pipeline::parse(REFINE).unwrap(), state);
    let mut saved = SavedProgram::of(&bind(&tuned));
    saved.program = Some(Source::Pipeline(REFINE.into()));
    let paths: Vec<_> = saved.predictors.keys().map(|path| &**path).collect();
    assert_eq!(paths, ["improve", "judge", "write"]);

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("refine.json");
    saved.write(&path).unwrap();
    let again = SavedProgram::read(&path).unwrap();
    assert_eq!(again, saved);
    let program = again.program(None).unwrap();
    assert_eq!(program.state(), Program::new(tuned).state());
    assert_eq!(program.state().get("judge").unwrap().instructions.as_deref(), Some("Judge hard."));
    assert_eq!(program.state().get("write").unwrap().lm.as_deref(), Some("big"));
}

#[test]
fn the_fingerprint_is_of_the_wiring_alone() {
    let print = |file: &str| Pipeline::parse(file).unwrap().fingerprint();
    let same =
        OPTIONAL.replace("'not sure'", "\"not  (sure)\"").replace("[[step]]", "# note\n[[step]]");
    assert_eq!(print(OPTIONAL), print(&same));
    for (from, to) in [
        ("when = \"not sure\"", ""),
        ("when = \"not sure\"", "when = \"sure\""),
        ("hint: str? -> answer\"", "hint: str? -> answer\"\nrepeat = 2"),
        ("hint: str? -> answer\"", "hint: str? -> answer\"\nmodule = \"cot\""),
        ("hint: str? -> answer\"", "hint: str? -> answer\"\nwire = { hint = \"guess\" }"),
        ("name = \"guess\"", "name = \"first\""),
    ] {
        let other = OPTIONAL.replace(from, to);
        assert!(other != OPTIONAL && print(OPTIONAL) != print(&other), "{other}");
    }
    assert_eq!(
        print(REFINE),
        "topic, strict ->\n  write = predict(topic)\n  round = group[4] when strict until verdict == \
         \"good\"\n    improve = predict(draft: improve.text or write.draft, verdict)\n    judge = \
         predict(text) verdicts += score\n-> text: improve.text, verdicts"
    );
}

#[test]
fn types_of_inputs_and_outputs() {
    let interface = |file: &str| {
        Pipeline::parse(file)
            .unwrap_or_else(|e| panic!("{e}\n{file}"))
            .interface()
            .unwrap()
            .to_string()
    };
    let step = |name: &str, rest: &str| format!("[[step]]\nname = '{name}'\nsignature = {rest}\n");
    let two = |one: &str, other: &str| step("one", one) + &step("two", other);
    for (file, expected) in [
        // An input that two steps read has the narrower type, and a description from either.
        (two("'q: float -> a'", "'q: int \"how many\", a -> b'"), r#"q: int "how many" -> b"#),
        (two("'q: str? -> a'", "'q -> b'"), "q -> b"),
        (
            two("'q -> a'", "'q: list[str] -> b'").replace("q: list", "r: list"),
            "q, r: list[str] -> b",
        ),
        // An output that two steps give: what holds for both.
        (two("'q -> n: int'", "'q -> n: float'\nwhen = 'n > 1'"), "q -> n: float"),
        (two("'q -> n: int'", "'q -> n: list[str]'\nwhen = 'n > 1'"), "q -> n: int | list[str]"),
        (two("'q -> n: int'", "'q -> n: list[str]'"), "q -> n: list[str]"),
        (two("'q -> n: int'", "'q -> m: float'\nwhen = 'n > 1'"), "q -> m: float?"),
        // Named types come along as far as they are used.
        (
            step("one", "'q -> t: T, u: U where T = {v: int, n: T?}, U = int'")
                + "[[step]]\nname = 'x'\nsignature = 't: T, u: U -> t2: T where T = {v: int, n: T?}, U = int'",
            "q -> t2: T where T = {v: int, n: T?}",
        ),
        (step("one", "'q -> a'\nmodule = 'cot'"), "q -> a"),
        (
            format!("outputs = ['reasoning', 'a']\n{}", step("one", "'q -> a'\nmodule = 'cot'")),
            r#"q -> reasoning "think step by step", a"#,
        ),
        (step("one", "'-> a'"), "-> a"),
    ] {
        assert_eq!(interface(&file), expected, "{file}");
    }
}
