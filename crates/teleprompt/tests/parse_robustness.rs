//! No reply makes the parser panic, and long ones take time in proportion to their length.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail loudly"
)]

use std::time::{Duration, Instant};

use proptest::prelude::*;
use teleprompt::parse::read::candidates;
use teleprompt::parse::{coerce_text, sections};
use teleprompt::{Signature, Type};

fn types() -> Vec<(Type, teleprompt::TypeDefs)> {
    [
        "str",
        "str(len 1..5)",
        "int",
        "float(0..1)",
        "bool",
        "date",
        "any",
        "enum[\"a b\", \"c\", 1]",
        "list[int]",
        "list[str]",
        "dict[str, float]",
        "tuple[int, str]",
        "int?",
        "int | list[str] | str",
        "{a: int, b: list[{c: date?}]}",
        "N where N = {v: int, next: N?, also: N | str?}",
        "A where A = {x: A, k: int?} | {x: A} | {x: A, j: int?}",
    ]
    .iter()
    .map(|t| {
        let s: Signature = format!("-> x: {t}").parse().unwrap();
        (s.outputs()[0].ty.clone(), s.defs().clone())
    })
    .collect()
}

const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    "“",
    "”",
    ",",
    ":",
    "\\",
    "\\u",
    "\\ud83d",
    "\\n",
    "\\frac",
    "//",
    "/*",
    "*/",
    "#",
    "```",
    "```json\n",
    "null",
    "None",
    "true",
    "1",
    "-",
    ".",
    "e",
    "5 to 10",
    "a",
    "\n",
    " ",
    "é",
    "😀",
    "<think>",
    "</think>",
    "[[ ## x ## ]]",
    "[[ ##",
    "x:",
    "- ",
    "1. ",
    "%",
    "$",
    "2024-01-05",
    "\u{0}",
    "\u{2028}",
    "a b",
    "not ",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics(pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..24)) {
        let text = pieces.concat();
        for (ty, defs) in types() {
            if let Err(errors) = coerce_text(&text, &ty, &defs) {
                prop_assert!(!errors.is_empty());
            }
        }
        let _ = sections::loose(&text, &["x", "a"]);
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
        let text = String::from_utf8_lossy(&bytes);
        for (ty, defs) in types() {
            if let Err(errors) = coerce_text(&text, &ty, &defs) {
                prop_assert!(!errors.is_empty());
            }
        }
    }
}

/// A quadratic reader would need minutes for these.
#[test]
fn long_replies_take_time_in_proportion() {
    let units = [
        "[",
        "{",
        "[1,",
        "{\"a\":",
        "{\"a\":{\"a\":1},",
        "\"",
        "'",
        "\\",
        "{'",
        "[\"a\" ",
        "```",
        "```json\n{",
        "{a ",
        "[[ ## x ## ]]\n",
        "x: 1\n",
        "- a\n",
        "1,",
        "/*",
        "//",
        "a ",
        "<think>",
        "{\"x\": 1} ",
        "not c ",
        "5 ",
        "\n",
        "\\u",
        "“",
        "[]",
        "{}{",
        "# ",
        "},{",
        "{\"a\": \"b\" \"c\", ",
    ];
    for unit in units {
        let text = unit.repeat(60_000 / unit.len());
        let start = Instant::now();
        let found = candidates(&text);
        for (ty, defs) in types() {
            let _ = coerce_text(&text, &ty, &defs);
        }
        let _ = sections::exact(&text);
        let _ = sections::loose(&text, &["x"]);
        let took = start.elapsed();
        assert!(took < Duration::from_secs(20), "{unit:?}: {took:?}, {} candidates", found.len());
    }
}

/// Unions in recursive types make the number of readings grow with each level.
#[test]
fn ambiguous_types_are_given_up() {
    let (ty, defs) = types().pop().unwrap();
    let text = format!("{}{}", "{\"x\": ".repeat(60), "1") + &"}".repeat(60);
    let start = Instant::now();
    assert!(coerce_text(&text, &ty, &defs).is_err());
    assert!(start.elapsed() < Duration::from_secs(20));
}
