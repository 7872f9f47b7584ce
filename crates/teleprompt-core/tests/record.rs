//! Records, examples and the guessing of names.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use teleprompt_core::names::{closest, edit_distance, suggestion};
use teleprompt_core::{Example, Record, record};

#[test]
fn a_record_keeps_its_order_and_each_name_once() {
    let mut record = record! { b: 1, a: "x", c: [1, 2] };
    record.insert("a", "y");
    record.insert("d", Value::Null);
    assert_eq!(record.names().collect::<Vec<_>>(), ["b", "a", "c", "d"]);
    assert_eq!(record.remove("b"), Some(json!(1)));
    assert_eq!(record.remove("b"), None);
    assert_eq!(record.to_json().to_string(), r#"{"a":"y","c":[1,2],"d":null}"#);
    assert_eq!((record.len(), record.is_empty()), (3, false));
    assert!(record.contains("d") && !record.contains("e"));
    assert_eq!((&record["d"], &record["e"]), (&Value::Null, &Value::Null));
    assert_eq!((record.str("a"), record.str("c")), (Some("y"), None));
    let twice: Record = [("a", 1), ("a", 2)].into_iter().collect();
    assert_eq!(twice, record! { a: 2 });
}

#[test]
fn a_record_goes_through_json_in_order() {
    let text = r#"{"z":1.5,"a":{"y":[true,null]}}"#;
    let record: Record = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&record).unwrap(), text);
    assert_eq!(
        format!("{record:?}"),
        r#"{"z": Number(1.5), "a": Object {"y": Array [Bool(true), Null]}}"#
    );
    assert!(serde_json::from_str::<Record>("[1]").is_err());
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Typed {
    question: String,
    tries: Option<u8>,
}

#[test]
fn typed_values_and_records_turn_into_each_other() {
    let typed = Typed { question: "?".into(), tries: None };
    let record = Record::from_typed(typed).unwrap();
    assert_eq!(record, record! { question: "?", tries: Value::Null });
    assert_eq!(record.into_typed::<Typed>().unwrap().tries, None);
    // A record stays what it is.
    let record = record! { a: 1 };
    assert_eq!(Record::from_typed(record.clone()).unwrap(), record);
    assert_eq!(record.clone().into_typed::<Record>().unwrap(), record);
}

#[test]
fn what_is_no_record_is_refused_with_the_reason() {
    let error = Record::from_typed(vec![1, 2]).unwrap_err();
    assert_eq!(error.to_string(), "input: expected named fields, found [1,2]");
    let error = record! { tries: 1 }.into_typed::<Typed>().unwrap_err();
    assert!(error.to_string().contains("`question`"), "{error}");
    let error = record! { question: "?", tries: 300 }.into_typed::<Typed>().unwrap_err();
    assert!(error.to_string().contains("300"), "{error}");
}

#[test]
fn an_example_splits_into_inputs_and_labels() {
    let fields = record! { answer: 42, question: "6 × 7?", source: "book" };
    let example = Example::new(fields, ["question", "context"]);
    assert_eq!(example.inputs(), record! { question: "6 × 7?" });
    assert_eq!(example.labels(), record! { answer: 42, source: "book" });
    assert_eq!((&example["answer"], &example["nothing"]), (&json!(42), &Value::Null));
    let json = serde_json::to_string(&example).unwrap();
    assert_eq!(serde_json::from_str::<Example>(&json).unwrap(), example);
}

#[test]
fn the_distance_counts_swaps_as_one() {
    let table = [
        ("", "", 0),
        ("", "abc", 3),
        ("abc", "", 3),
        ("abc", "abc", 0),
        ("anwser", "answer", 1),
        ("kitten", "sitting", 3),
        ("ca", "abc", 3),
        ("größe", "grosse", 3),
    ];
    for (a, b, distance) in table {
        let chars = |t: &str| t.chars().collect::<Vec<_>>();
        assert_eq!(edit_distance(&chars(a), &chars(b)), distance, "{a} {b}");
        assert_eq!(edit_distance(&chars(b), &chars(a)), distance, "{b} {a}");
    }
}

#[test]
fn only_a_slip_of_the_pen_is_guessed() {
    let known = ["question", "answer", "int"];
    let table = [
        ("anwser", Some("answer")),
        ("ANSWER", Some("answer")),
        ("answers", Some("answer")),
        ("itn", Some("int")),
        ("a", None),
        ("context", None),
        ("", None),
    ];
    for (name, expected) in table {
        assert_eq!(closest(name, known), expected, "{name}");
    }
    // Of equally near ones, the first.
    assert_eq!(closest("b", ["a", "c"]), Some("a"));
    assert_eq!(suggestion("anwser", known), "; did you mean `answer`?");
    assert_eq!(suggestion("xyz", known), "; there is: question, answer, int");
    assert_eq!(suggestion("xyz", []), "");
}
