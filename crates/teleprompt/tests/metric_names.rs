//! Metrics by name.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use teleprompt::data::{Dataset, Format};
use teleprompt::evaluate::metrics::{NAMES, by_name, by_name_for, by_name_on};
use teleprompt::{Error, Metric, Result, Signature};

fn named(spec: &str, signature: &str) -> Result<String> {
    let signature: Signature = signature.parse().unwrap();
    by_name_for(spec, &signature).map(|m| m.name())
}

fn refusal<T>(result: Result<T>) -> String {
    match result {
        Err(Error::Config(message)) => message,
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("no error"),
    }
}

#[test]
fn every_name_makes_its_metric() {
    for name in NAMES {
        let metric = by_name(&format!("{name}:x")).unwrap().name();
        assert!(metric.starts_with(&format!("{name}:x")), "{metric}");
    }
    assert_eq!(by_name("passage_match:x").unwrap().name(), "passage_match:x,context");
    assert_eq!(by_name(" passage_match : x , docs ").unwrap().name(), "passage_match:x,docs");
}

#[test]
fn the_only_output_is_the_field() {
    assert_eq!(named("exact_match", "q -> a").unwrap(), "exact_match:a");
    assert_eq!(named("f1", "q -> reasoning, a").unwrap(), "f1:a");
    assert_eq!(named("f1", "q -> reasoning").unwrap(), "f1:reasoning");
    assert_eq!(named("f1:b", "q -> a, b").unwrap(), "f1:b");
    assert_eq!(
        named("passage_match", "q -> context: list[str], a").unwrap(),
        "passage_match:a,context"
    );
    assert_eq!(
        named("passage_match:gold", "q -> context: list[str]").unwrap(),
        "passage_match:gold,context"
    );
}

#[test]
fn mistakes_are_told() {
    for (spec, signature, expected) in [
        ("exact_mach", "q -> a", "there is no metric `exact_mach`; did you mean `exact_match`?"),
        (
            "f1:anwser",
            "question -> answer",
            "the metric `f1` compares `anwser`, which is no output of the program; did you mean \
             `answer`?",
        ),
        (
            "f1:q",
            "q -> answer, other",
            "the metric `f1` compares `q`, which is no output of the program; there is: answer, \
             other",
        ),
        (
            "f1",
            "q -> a, b",
            "the metric `f1` must say which field it compares: `f1:FIELD`; the outputs are: a, b",
        ),
        (
            "passage_match:a",
            "q -> a",
            "the metric `passage_match` compares `context`, which is no output of the program; \
             there is: a",
        ),
    ] {
        assert_eq!(refusal(named(spec, signature)), expected, "{spec} {signature}");
    }
    assert_eq!(refusal(by_name("f1")), "the metric `f1` needs the field it compares: `f1:FIELD`");
    assert!(refusal(by_name("f1: ")).contains("needs the field"));
}

#[test]
fn the_data_must_have_the_label() {
    let data = Dataset::parse("d.csv", b"q,lable\nx,y\n", Format::Csv).unwrap();
    let signature: Signature = "q -> label".parse().unwrap();
    assert_eq!(
        refusal(by_name_on("exact_match", &signature, &data)),
        "the metric `exact_match` compares `label`, which is no column of d.csv; did you mean \
         `lable`?"
    );
    let mapped = data.for_signature(&signature, &[("label".into(), "lable".into())]).unwrap();
    assert!(by_name_on("exact_match", &signature, &mapped).is_ok());
}
