use std::sync::Arc;

use serde_json::Value;
use teleprompt::optimize::compose::{Checked, Ensemble, fit, match_teacher};
use teleprompt::prelude::*;
use teleprompt::{LmRequest, Signature, TraceRecorder};
use teleprompt_testkit::scripted::ScriptedLm;

use super::support::{TwoSteps, ask, context, qa, section, text};

type Side = Vec<(Arc<str>, Signature)>;

fn side(text: &str) -> Side {
    let one = |path: &str| (Arc::from(path), "question -> answer".parse().unwrap());
    text.split_whitespace().map(one).collect()
}

fn matched(student: &str, teacher: &str) -> Result<String, String> {
    let map = match_teacher(&side(student), &side(teacher)).map_err(|e| e.to_string())?;
    let pairs: Vec<String> = map.iter().map(|(t, s)| format!("{t}={s}")).collect();
    Ok(pairs.join(" "))
}

#[test]
fn paths_match_with_wrappers_and_prefixes_taken_off() {
    let table = [
        ("query answer", "query answer", "answer=answer query=query"),
        ("answer", "inner.answer", "inner.answer=answer"),
        ("answer", "members[3].inner.answer", "members[3].inner.answer=answer"),
        (
            "answer",
            "members[0].answer members[1].answer",
            "members[0].answer=answer members[1].answer=answer",
        ),
        ("answer", "critic.answer extra", "critic.answer=answer"),
        ("hop[1].query", "members[0].hop[1].query", "members[0].hop[1].query=hop[1].query"),
        ("query hop.query", "x.hop.query y.query", "x.hop.query=hop.query y.query=query"),
        ("query hop.query", "hop.query query", "hop.query=hop.query query=query"),
        ("[0]", "inner[0]", "inner[0]=[0]"),
        // A program that is one predictor.
        ("predict", "predict", "predict=predict"),
        ("predict", "inner", "inner=predict"),
        ("predict", "members[0] members[1]", "members[0]=predict members[1]=predict"),
        ("predict", "members[0].inner.inner", "members[0].inner.inner=predict"),
        ("predict", "step.predict", "step.predict=predict"),
        // A student in wrappers.
        ("inner", "predict", "predict=inner"),
        ("inner.query", "query", "query=inner.query"),
        ("inner.query", "members[2].query", "members[2].query=inner.query"),
    ];
    for (student, teacher, expected) in table {
        let found = matched(student, teacher);
        assert_eq!(found.as_deref(), Ok(expected), "{student} / {teacher}");
    }
    assert_eq!(matched("", "x y").as_deref(), Ok(""));
}

#[test]
fn a_student_without_a_teacher_is_an_error_with_both_sets_of_paths() {
    let table = [
        ("query answer", "answer", "`query`"),
        ("answer", "myanswer", "`answer`"),
        ("answer", "answer.inner", "`answer`"),
        ("predict", "answer", "`predict`"),
        ("predict", "innermost", "`predict`"),
        ("answer", "", "`answer`"),
        ("members[0].x members[1].x", "x", "`members[1].x`"),
    ];
    for (student, teacher, which) in table {
        let error = matched(student, teacher).unwrap_err();
        assert!(error.contains(&format!("the student's {which}")), "{error}");
        for path in student.split(' ').chain(teacher.split_whitespace()) {
            assert!(error.contains(&format!("`{path}`")), "{path}: {error}");
        }
    }
}

#[test]
fn a_teacher_that_lacks_a_field_teaches_nothing() {
    let of = |text: &str| text.parse::<Signature>().unwrap();
    let student = vec![(Arc::from("answer"), of("question, hint: str? -> reasoning, answer"))];
    let plain = (Arc::from("members[0].answer"), of("question -> answer"));
    let rich = (Arc::from("members[1].answer"), of("question, date -> reasoning, answer, note"));
    let error = match_teacher(&student, std::slice::from_ref(&plain)).unwrap_err().to_string();
    assert!(
        error.contains("`members[0].answer` would") && error.contains("`reasoning`"),
        "{error}"
    );
    let map = match_teacher(&student, &[plain, rich]).unwrap();
    assert_eq!(map.keys().map(|k| &**k).collect::<Vec<_>>(), ["members[1].answer"]);
}

#[test]
fn demos_lose_the_fields_that_the_student_lacks() {
    let signature: Signature = "question, hint: str? -> answer: int".parse().unwrap();
    let table = [
        (
            record! { date: "d", question: "q", reasoning: "r", answer: 1 },
            Some(record! { question: "q", answer: 1 }),
        ),
        (
            record! { answer: 1, hint: "h", question: "q" },
            Some(record! { question: "q", hint: "h", answer: 1 }),
        ),
        (
            record! { question: "q", hint: Value::Null, answer: 1 },
            Some(record! { question: "q", hint: Value::Null, answer: 1 }),
        ),
        (record! { question: "q", hint: "h" }, None),
        (record! { answer: 1 }, None),
        (record! { question: Value::Null, answer: 1 }, None),
    ];
    for (demo, expected) in table {
        assert_eq!(fit(&demo, &signature), expected, "{demo:?}");
    }
}

/// An ensemble of checked programs, one of which has a field more, teaches a plain student.
#[tokio::test]
async fn the_steps_of_an_ensemble_become_demos_of_the_student() {
    let other =
        TwoSteps { query: Predict::of("question -> query, why").unwrap(), ..TwoSteps::new() };
    let members =
        vec![Program::new(Checked::new(other)), Program::new(Checked::new(TwoSteps::new()))];
    let teacher = Program::new(Ensemble::new(members).unwrap());
    let student = Program::new(TwoSteps::new());
    let side = |program: &Program| -> Side {
        let bound = program.bound();
        bound.predictors.iter().map(|(path, p)| (path.clone(), p.signature().clone())).collect()
    };
    let student = side(&student);
    let map = match_teacher(&student, &side(&teacher)).unwrap();
    assert_eq!(map.len(), 4);

    let lm = ScriptedLm::new(|request: &LmRequest| match text(request) {
        prompt if prompt.contains("<why>") => section("query", "q") + "\n" + &section("why", "w"),
        prompt if prompt.contains("Write a query.") => section("query", "q"),
        _ => section("answer", "a"),
    });
    let trace = TraceRecorder::new();
    teacher.call(&context(&lm).with_trace(trace.clone()), ask()).await.unwrap();
    let demos: Vec<(Arc<str>, Record)> = trace
        .steps()
        .into_iter()
        .map(|step| {
            let path = map[&step.path].clone();
            let signature = &student.iter().find(|(p, _)| *p == path).unwrap().1;
            let fields: Record = step.inputs.into_iter().chain(step.outputs).collect();
            (path, fit(&fields, signature).unwrap())
        })
        .collect();
    assert_eq!(
        demos,
        [
            ("query".into(), record! { question: "?", query: "q" }),
            ("answer".into(), record! { query: "q", answer: "a" }),
        ]
    );
    assert_eq!(
        match_teacher(&[("predict".into(), qa().signature().clone())], &side(&teacher)).ok(),
        None
    );
}
