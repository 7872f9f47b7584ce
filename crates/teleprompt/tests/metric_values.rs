//! What each metric gives, case by case.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod evaluate_support;

use evaluate_support::{block_on, context};
use serde_json::{Value, json};
use teleprompt::evaluate::metrics::{
    contains, exact_match, f1, json_equality, number_equality, passage_match,
};
use teleprompt::{Error, Example, Metric, MetricHandle, Prediction, Record, Result};

fn score(metric: &MetricHandle, label: Value, output: Value) -> Result<f64> {
    let example = Example::new(Record::from_iter([("a", label)]), [""; 0]);
    let prediction = Prediction::new(Record::from_iter([("a", output)]));
    Ok(block_on(metric.score(&context(), &example, &prediction))?.value)
}

fn check(metric: &MetricHandle, cases: &[(Value, Value, f64)]) {
    for (label, output, expected) in cases {
        let got = score(metric, label.clone(), output.clone()).unwrap();
        assert!((got - expected).abs() < 1e-9, "{} {label} {output}: {got}", metric.name());
    }
}

#[test]
fn exact_match_compares_normalised_text_and_values() {
    check(
        &exact_match("a"),
        &[
            (json!("The Eiffel Tower"), json!("eiffel  tower."), 1.0),
            (json!("Paris"), json!("Paris, France"), 0.0),
            (json!(["NYC", "New York"]), json!("new york"), 1.0),
            (json!(["NYC"]), json!("Boston"), 0.0),
            (json!([]), json!("x"), 0.0),
            (json!(42), json!("42"), 1.0),
            (json!("42"), json!(42.0), 1.0),
            (json!(true), json!(true), 1.0),
            (json!(null), json!(null), 1.0),
            (json!(null), json!("x"), 0.0),
            (json!(["a b", "c"]), json!(["A b!", "c"]), 1.0),
            (json!(["c", "a b"]), json!(["a b", "c"]), 0.0),
            (json!([["x"], ["y"]]), json!(["y"]), 0.0),
            (json!("A"), json!("A"), 1.0),
            (json!("A"), json!(""), 0.0),
        ],
    );
}

#[test]
fn f1_counts_shared_words() {
    check(
        &f1("a"),
        &[
            // Shared 2 of 3 and 2 words: P = 2/3, R = 1, F1 = 0.8.
            (json!("eiffel tower"), json!("the eiffel tower paris"), 0.8),
            (json!("x y"), json!("z"), 0.0),
            // Each word counts as often as both have it: 1 of 3 and 1 of 1.
            (json!("no"), json!("no no no"), 0.5),
            (json!(["x", "y z"]), json!("y z"), 1.0),
            (json!("x"), json!(null), 0.0),
            (json!("A"), json!("A"), 1.0),
            (json!("A"), json!("the"), 0.0),
        ],
    );
    assert!(score(&f1("a"), json!(1), json!("1")).is_err());
    assert!(score(&f1("a"), json!("1"), json!([1])).is_err());
}

#[test]
fn contains_wants_whole_words() {
    check(
        &contains("a"),
        &[
            (json!("the Eiffel Tower"), json!("It is Eiffel Tower, in Paris."), 1.0),
            (json!("cat"), json!("concatenate"), 0.0),
            (json!("tower eiffel"), json!("eiffel tower"), 0.0),
            (json!(["x", "paris"]), json!("in Paris"), 1.0),
            (json!("x"), json!(""), 0.0),
        ],
    );
    assert!(score(&contains("a"), json!("?!"), json!("x")).is_err());
}

#[test]
fn numbers_are_read_from_text() {
    check(
        &number_equality("a"),
        &[
            (json!("$1,234.50"), json!(1234.5), 1.0),
            (json!("42"), json!("The answer is 42.0."), 1.0),
            (json!("72"), json!("48 / 2 = 24; 48 + 24 = 72"), 1.0),
            (json!("work\n#### 72"), json!("72"), 1.0),
            (json!(5), json!("-5"), 0.0),
            (json!("50%"), json!("50"), 1.0),
            (json!(0.1), json!("0.10000000001"), 1.0),
            (json!(0.1), json!("0.1001"), 0.0),
            (json!([1, 2]), json!("2"), 1.0),
            (json!(1), json!("none"), 0.0),
            (json!(1), json!(null), 0.0),
        ],
    );
    let e = score(&number_equality("a"), json!("none"), json!("1")).unwrap_err();
    assert_eq!(e.to_string(), "`a` has no number in it: \"none\"");
}

#[test]
fn json_is_compared_by_value() {
    check(
        &json_equality("a"),
        &[
            (json!({"x": [1, 2.0]}), json!("{\"x\": [1.0, 2]}"), 1.0),
            (json!({"x": 1, "y": 2}), json!({"y": 2, "x": 1}), 1.0),
            (json!([1, 2]), json!([2, 1]), 0.0),
            (json!({"x": 1}), json!({"x": 1, "y": null}), 0.0),
            (json!("Text"), json!("text"), 0.0),
        ],
    );
}

#[test]
fn passages_hold_the_answer_as_tokens() {
    let metric = passage_match("answer", "context");
    let score = |answer: Value, context_: Value| {
        let example = Example::new(Record::from_iter([("answer", answer)]), [""; 0]);
        let prediction = Prediction::new(Record::from_iter([("context", context_)]));
        block_on(metric.score(&context(), &example, &prediction)).map(|s| s.value)
    };
    let passages = json!(["Lima lies on the sea.", "The Café Tortoni, in Buenos Aires"]);
    assert_eq!(score(json!("cafe\u{301} tortoni"), passages.clone()).unwrap(), 1.0);
    assert_eq!(score(json!(["Quito", "lima"]), passages.clone()).unwrap(), 1.0);
    assert_eq!(score(json!("Lim"), passages.clone()).unwrap(), 0.0);
    assert_eq!(score(json!("sea the café"), passages).unwrap(), 0.0);
    assert_eq!(score(json!("lima"), json!("in Lima")).unwrap(), 1.0);
    assert_eq!(score(json!("lima"), json!([])).unwrap(), 0.0);
    assert!(score(json!("lima"), json!([1])).is_err());
}

#[test]
fn a_missing_field_fails_the_example_and_an_unknown_one_the_run() {
    let metric = exact_match("answer");
    let run = |e: Record, p: Record| {
        let example = Example::new(e, [""; 0]);
        block_on(metric.score(&context(), &example, &Prediction::new(p))).unwrap_err()
    };
    let answer = || Record::from_iter([("answer", "x")]);
    let other = || Record::from_iter([("anwser", "x")]);
    let e = run(answer(), other());
    assert!(
        matches!(&e, Error::Data(m) if m.contains("the prediction does not have; did you mean `anwser`?")),
        "{e}"
    );
    let e = run(other(), answer());
    assert!(matches!(&e, Error::Data(m) if m.contains("the example does not have")), "{e}");
    assert!(run(other(), other()).is_fatal());
}
