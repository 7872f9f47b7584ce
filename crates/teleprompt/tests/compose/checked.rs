use futures::StreamExt;
use teleprompt::optimize::compose::{Checked, Refine};
use teleprompt::prelude::*;
use teleprompt::{Event, LmErrorKind, LmRequest, Streamed, TraceRecorder};
use teleprompt_testkit::scripted::{Reply, ScriptedLm};

use super::support::{
    Sum, SumInput, TwoSteps, answers, ask, context, paths, qa, section, text, told,
};

fn has(word: &'static str) -> impl Fn(&Record, &Record) -> Result<(), String> + Send + Sync {
    move |_, outputs| match outputs.str("answer").unwrap().contains(word) {
        true => Ok(()),
        false => Err(format!("the answer must have the word {word}")),
    }
}

#[tokio::test]
async fn a_failed_check_runs_again_with_the_past_answer_and_the_message() {
    let lm = answers(["first try", "a second word"]);
    let checked = Checked::new(qa().with_instructions("Be exact.")).assert("word", has("word"));
    let prediction = checked.call(&context(&lm), ask()).await.unwrap();
    assert_eq!((&prediction["answer"], prediction.usage.calls), (&"a second word".into(), 2));
    let requests = lm.requests();
    assert!(!text(&requests[0]).contains("refused"));
    let second = text(&requests[1]);
    for part in ["Be exact.", "answer: first try", "the answer must have the word word"] {
        assert!(second.contains(part), "{part}: {second}");
    }
    assert_eq!(requests[1].settings.temperature, None, "it reads another prompt, that is enough");
}

#[tokio::test]
async fn an_assertion_that_stays_broken_is_an_error_that_names_it() {
    for backtracks in [0, 1, 2, 4] {
        let lm = answers(["x"; 9]);
        let checked = Checked::new(qa())
            .assert("anything", |_, _| Ok(()))
            .assert("has a word", has("word"))
            .max_backtracks(backtracks);
        let error = checked.call(&context(&lm), ask()).await.unwrap_err();
        assert!(!error.is_fatal());
        let Error::Check { path, check, message, attempts, output } = &error else {
            panic!("{error}")
        };
        assert_eq!((path.as_str(), check.as_str()), ("inner", "has a word"));
        assert_eq!(message, "the answer must have the word word");
        assert_eq!((*attempts, lm.calls()), (backtracks + 1, u64::from(backtracks) + 1));
        assert_eq!(output, r#"{"answer":"x"}"#);
        assert!(error.to_string().contains("`has a word`"), "{error}");
    }
    let lm = answers(["x"; 9]);
    let checked = Checked::new(qa()).assert("has a word", has("word"));
    checked.call(&context(&lm), ask()).await.unwrap_err();
    assert_eq!(lm.calls(), 3, "the default: two backtracks");
}

/// (answers, the one that is given; none: an error)
#[tokio::test]
async fn the_best_attempt_counts_assertions_first() {
    let table = [
        (["must one", "must one two", "must"], Some("must one two")),
        (["one two", "must", "one two"], Some("must")),
        (["must one", "must two", "must"], Some("must one")),
        (["one two", "one", "two"], None),
        (["x", "must one two x", "x"], Some("must one two x")),
    ];
    for (replies, expected) in table {
        let lm = answers(replies);
        let checked = Checked::new(qa())
            .suggest("one", has("one"))
            .assert("must", has("must"))
            .suggest("two", has("two"))
            .suggest("three", has("three"));
        let trace = TraceRecorder::new();
        let result = checked.call(&context(&lm).with_trace(trace.clone()), ask()).await;
        match expected {
            Some(answer) => {
                assert_eq!(result.unwrap()["answer"], answer, "{replies:?}");
                assert_eq!(told(&trace), [format!("inner {answer}")]);
            }
            None => assert!(matches!(result, Err(Error::Check { .. })), "{replies:?}"),
        }
        assert_eq!(lm.calls(), 3);
    }
}

#[tokio::test]
async fn a_suggestion_that_stays_broken_is_told_and_no_error() {
    let lm = answers(["x"; 3]);
    let checked = Checked::new(qa()).suggest("has a word", has("word"));
    let mut messages = Vec::new();
    let mut run = checked.stream(&context(&lm), ask());
    while let Some(item) = run.next().await {
        if let Streamed::Event(Event::Status { message }) = item.unwrap() {
            messages.push(message);
        }
    }
    assert_eq!(messages, ["not as suggested: has a word: the answer must have the word word"]);
    let again = text(&lm.requests()[2]);
    assert_eq!(again.matches("An earlier answer was").count(), 1, "only the last one is shown");
}

#[tokio::test]
async fn only_the_step_that_made_the_outputs_is_asked_anew() {
    let lm = ScriptedLm::replies([
        section("query", "q"),
        section("answer", "x"),
        section("query", "q"),
        section("answer", "a word"),
    ])
    .recording();
    let program = Program::new(Checked::new(TwoSteps::new()).assert("word", has("word")));
    assert_eq!(paths(&program), ["inner.query", "inner.answer"]);
    program.call(&context(&lm), ask()).await.unwrap();
    let requests = lm.requests();
    assert_eq!(requests[0], requests[2], "a cache answers it");
    assert!(text(&requests[3]).contains("the answer must have the word word"));
}

#[tokio::test]
async fn an_attempt_that_fails_otherwise_ends_it_unless_a_good_one_is_there() {
    let fails = |answer: &str| {
        ScriptedLm::replies([
            Reply::Text(section("answer", answer)),
            Reply::error(LmErrorKind::Server),
        ])
    };
    let checked = Checked::new(qa()).assert("must", has("must")).suggest("one", has("one"));
    let prediction = checked.call(&context(&fails("must")), ask()).await.unwrap();
    assert_eq!(prediction["answer"], "must");
    let error = checked.call(&context(&fails("x")), ask()).await.unwrap_err();
    assert!(matches!(error, Error::Lm(_)), "{error}");
}

#[tokio::test]
async fn checks_see_inputs_and_typed_modules_stay_typed() {
    let lm = ScriptedLm::replies([section("sum", "4"), section("sum", "5")]);
    let checked = Checked::new(Predict::<Sum>::new()).assert("adds up", |inputs, outputs| {
        let wanted = inputs["a"].as_i64().unwrap() + inputs["b"].as_i64().unwrap();
        match outputs["sum"] == wanted {
            true => Ok(()),
            false => Err("count again".into()),
        }
    });
    let prediction = checked.call(&context(&lm), SumInput { a: 2, b: 3 }).await.unwrap();
    assert_eq!(prediction.sum, 5);
}

#[tokio::test]
async fn notes_come_below_advice_when_checks_are_refined() {
    let lm = ScriptedLm::new(|request: &LmRequest| {
        let prompt = text(request);
        if prompt.contains("[[ ## advice ## ]]") {
            return section("advice", "Look twice.");
        }
        let answer = match (prompt.contains("Look twice."), prompt.contains("refused")) {
            (true, true) => "good word",
            (false, true) => "word",
            _ => "x",
        };
        section("answer", answer)
    })
    .recording();
    let good = |_: &Record, p: &Prediction| p["answer"] == "good word";
    let program =
        Program::new(Refine::new(Checked::new(qa()).assert("word", has("word")), 2, good));
    assert_eq!(paths(&program), ["inner.inner"]);
    let prediction = program.call(&context(&lm), ask()).await.unwrap();
    assert_eq!(prediction["answer"], "good word");
    assert_eq!(prediction.usage.calls, 5);
    let last = text(&lm.requests()[4]);
    assert!(last.find("Look twice.").unwrap() < last.find("refused").unwrap(), "{last}");
}
