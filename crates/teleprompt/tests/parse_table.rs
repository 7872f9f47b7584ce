//! Texts and what they are read as: one line a case.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail loudly"
)]

use serde_json::Value;
use teleprompt::parse::{coerce_json, coerce_text, root_errors};
use teleprompt::{Repair, Signature, Type, TypeDefs};

/// The type and the definitions it needs, from the notation of signatures.
fn ty(text: &str) -> (Type, TypeDefs) {
    let signature: Signature = format!("-> x: {text}").parse().expect(text);
    (signature.outputs()[0].ty.clone(), signature.defs().clone())
}

fn codes(repairs: &[Repair]) -> String {
    repairs.iter().map(|r| r.code()).collect::<Vec<_>>().join(" ")
}

/// `(type, text, value, flags)`.
type Good = (&'static str, &'static str, &'static str, &'static str);

/// `(type, text, path and part of the problem)`.
type Bad = (&'static str, &'static str, &'static str);

fn check_good(cases: &[Good]) {
    let mut wrong = Vec::new();
    for (notation, text, value, flags) in cases {
        let (ty, defs) = ty(notation);
        let wanted: Value = serde_json::from_str(value).expect(value);
        match coerce_text(text, &ty, &defs) {
            Ok(read) if read.value == wanted && codes(&read.repairs) == *flags => {}
            Ok(read) => wrong.push(format!(
                "{notation} of {text:?}: {} [{}], wanted {wanted} [{flags}]",
                read.value,
                codes(&read.repairs)
            )),
            Err(e) => wrong.push(format!("{notation} of {text:?}: {e:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn check_bad(cases: &[Bad]) {
    let mut wrong = Vec::new();
    for (notation, text, problem) in cases {
        let (ty, defs) = ty(notation);
        match coerce_text(text, &ty, &defs).map_err(|e| root_errors("x", e)) {
            Ok(read) => wrong.push(format!(
                "{notation} of {text:?} was read as {} [{}]",
                read.value,
                codes(&read.repairs)
            )),
            Err(errors) => {
                let all: Vec<_> =
                    errors.iter().map(|e| format!("{}: {}", e.field, e.problem)).collect();
                if !all.iter().any(|e| e.contains(problem)) {
                    wrong.push(format!("{notation} of {text:?}: {all:?}, wanted {problem:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn plain_text() {
    check_good(&[
        ("str", "Paris", r#""Paris""#, ""),
        ("str", "  Paris \n", r#""Paris""#, ""),
        ("str", "two\n\nlines", r#""two\n\nlines""#, ""),
        ("str", r#""Paris""#, r#""Paris""#, "quotes"),
        ("str", "“Paris”", r#""Paris""#, "quotes"),
        ("str", r#""Yes," he said, "no.""#, r#""\"Yes,\" he said, \"no.\"""#, ""),
        ("str", "null", r#""null""#, ""),
        ("str", "None", r#""None""#, ""),
        ("str", r#""""#, r#""""#, ""),
        ("str", r#"" a ""#, r#"" a ""#, ""),
        ("str", r#""\"Paris\"""#, r#""\"Paris\"""#, ""),
        ("str", "12", r#""12""#, ""),
        ("str", "{\"a\": 1}", r#""{\"a\": 1}""#, ""),
        ("str", "```rust\nfn x() {}\n```", r#""```rust\nfn x() {}\n```""#, ""),
        ("str", r"\frac{1}{2} and \alpha", r#""\\frac{1}{2} and \\alpha""#, ""),
        ("str", r#""\frac{1}{2}""#, r#""\\frac{1}{2}""#, "quotes"),
        ("str(len 2..3)", "\"a\"", r#""\"a\"""#, ""),
        ("str(pattern \"[A-Z]{3}\")", "ABC", r#""ABC""#, ""),
    ]);
    check_bad(&[
        ("str", "", "x: it is empty"),
        ("str", "  \n", "x: it is empty"),
        ("str(len 2..3)", "abcd", "x: it has 4 characters"),
        ("str(pattern \"[A-Z]{3}\")", "ABCD", "x: \"ABCD\" does not match"),
    ]);
}

#[test]
fn whole_numbers() {
    check_good(&[
        ("int", "42", "42", ""),
        ("int", "-7", "-7", ""),
        ("int", "+7", "7", ""),
        ("int", "5.0", "5", "whole_number"),
        ("int", "1e3", "1000", "whole_number"),
        ("int", "1,000", "1000", "number_unit"),
        ("int", "1,234,567", "1234567", "number_unit"),
        ("int", "1_000", "1000", "number_unit"),
        ("int", "about 42 apples", "42", "number_unit"),
        ("int", "42 apples", "42", "number_unit"),
        ("int", "$5", "5", "number_unit"),
        ("int", "50%", "50", "number_unit"),
        ("int", "The answer is 42.", "42", "number_unit"),
        ("int", "−5", "-5", "number_unit"),
        ("int", "5km", "5", "number_unit"),
        ("int", "**42**", "42", "quotes"),
        ("int", "`42`", "42", "quotes"),
        ("int", "\"42\"", "42", "quotes"),
        ("int", "```\n42\n```", "42", "fence"),
        ("int", "[42]", "42", "unwrapped"),
        ("int", "{\"answer\": 42}", "42", "unwrapped"),
        ("int", "{\"answer\": \"42\"}", "42", "scalar_from_text unwrapped"),
        ("int", "18446744073709551615", "18446744073709551615", ""),
        ("int", "-9223372036854775808", "-9223372036854775808", ""),
        ("int(0..10)", "10", "10", ""),
        ("int(in [1, 2, 4])", "4", "4", ""),
    ]);
    check_bad(&[
        ("int", "8/10", "x: \"8/10\" has more than one number"),
        ("int", "5 to 10", "more than one number"),
        ("int", "5-10", "more than one number"),
        ("int", "2024-01-05", "more than one number"),
        ("int", "10:30", "more than one number"),
        ("int", "five", "no number in figures"),
        ("int", "5.5", "5.5 is not whole"),
        ("int", "5 million", "not just a number"),
        ("int", "5M", "not just a number"),
        ("int", "5k", "not just a number"),
        ("int", "at least 5", "not just a number"),
        ("int", "less than 5", "not just a number"),
        ("int", "< 5", "not just a number"),
        ("int", "minus 5", "not just a number"),
        ("int", "not 5", "not just a number"),
        ("int", "5 and a half", "not just a number"),
        ("int", "five or 6", "not just a number"),
        ("int", "COVID-19", "not just a number"),
        ("int", "B12", "not just a number"),
        ("int", "5²", "not just a number"),
        ("int", "1.000", "could be a fraction or a grouped"),
        ("int", "1,5", "no number that can be read"),
        ("int", "12,34", "no number that can be read"),
        ("int", "٤٢", "more than one number"),
        ("int", "18446744073709551616", "64 bits"),
        ("int", "-9223372036854775809", "64 bits"),
        ("int", "1e30", "64 bits"),
        ("int", "", "it is empty"),
        ("int", "null", "no number"),
        ("int(0..10)", "11", "11 is too large"),
        ("int(0..10)", "-1", "-1 is too small"),
        ("int(in [1, 2, 4])", "3", "none of the values"),
        ("int", "[1, 2]", "a list of 2"),
    ]);
}

#[test]
fn numbers() {
    check_good(&[
        ("float", "0.5", "0.5", ""),
        ("float", "5", "5", ""),
        ("float", ".5", "0.5", ""),
        ("float", "1e-3", "0.001", ""),
        ("float", "50%", "50", "number_unit"),
        ("float", "$1,000.50", "1000.5", "number_unit"),
        ("float", "about 0.7", "0.7", "number_unit"),
        ("float(0..1)", "1", "1", ""),
    ]);
    check_bad(&[
        ("float", "8/10", "more than one number"),
        ("float", "0.5 to 0.7", "more than one number"),
        ("float", "1e999", "too large"),
        ("float", "NaN", "no number"),
        ("float", "high", "no number"),
        ("float", "1.2.3", "no number that can be read"),
        ("float(0..1)", "50%", "50 is too large"),
        ("float(0..1)", "1.01", "1.01 is too large"),
    ]);
}

#[test]
fn true_and_false() {
    check_good(&[
        ("bool", "true", "true", ""),
        ("bool", "False", "false", "foreign_literal"),
        ("bool", "TRUE.", "true", "foreign_literal"),
        ("bool", "yes", "true", "scalar_from_text"),
        ("bool", "No.", "false", "scalar_from_text"),
        ("bool", "1", "true", "scalar_from_text"),
        ("bool", "Yes, it is a match.", "true", "prose"),
        ("bool", "No, it does not.", "false", "prose"),
    ]);
    check_bad(&[
        ("bool", "maybe", "is neither"),
        ("bool", "yes and no", "is neither"),
        ("bool", "True, but not always", "is neither"),
        ("bool", "It is true", "is neither"),
        ("bool", "2", "is neither"),
        ("bool", "", "it is empty"),
    ]);
}

#[test]
fn dates() {
    check_good(&[
        ("date", "2024-02-29", r#""2024-02-29""#, ""),
        ("date", "2024/2/9", r#""2024-02-09""#, "date_format"),
        ("date", "2024-02-29T10:00:00Z", r#""2024-02-29""#, "date_format"),
        ("date", "February 29, 2024", r#""2024-02-29""#, "date_format"),
        ("date", "29 Feb 2024", r#""2024-02-29""#, "date_format"),
        ("date", "Thursday, the 29th of February 2024", r#""2024-02-29""#, "date_format"),
        ("date", "29/02/2024", r#""2024-02-29""#, "date_format"),
        ("date", "02/29/2024", r#""2024-02-29""#, "date_format"),
        ("date", "09.02.2024", r#""2024-02-09""#, "date_format"),
        ("date", "It was on 2024-02-29.", r#""2024-02-29""#, "prose"),
        ("date", "\"2024-02-29\"", r#""2024-02-29""#, "quotes"),
    ]);
    check_bad(&[
        ("date", "2023-02-29", "no day of the calendar"),
        ("date", "2024-13-01", "no day of the calendar"),
        ("date", "02/03/2024", "without doubt"),
        ("date", "tomorrow", "without doubt"),
        ("date", "2024-01-01 or 2024-01-02", "more than one date"),
        ("date", "March 2024", "without doubt"),
    ]);
}

#[test]
fn labels() {
    const INTENT: &str = r#"enum["card lost", "card arrival", "top_up"]"#;
    check_good(&[
        (INTENT, "card lost", r#""card lost""#, ""),
        (INTENT, "Card Lost", r#""card lost""#, "enum_case"),
        (INTENT, "card_lost.", r#""card lost""#, "enum_case"),
        (INTENT, "Top-up", r#""top_up""#, "enum_case"),
        (INTENT, "\"card lost\"", r#""card lost""#, "quotes"),
        (INTENT, "**card lost**", r#""card lost""#, "quotes"),
        (INTENT, "The intent is card lost.", r#""card lost""#, "prose"),
        (INTENT, "card arival", r#""card arrival""#, "enum_fuzzy"),
        (r#"enum["card", "card lost"]"#, "it is card lost", r#""card lost""#, "prose"),
        ("enum[1, 2, 3]", "2", "2", ""),
        ("enum[1, 2, 3]", "2 stars", "2", "prose"),
        ("enum[true, false]", "True", "true", "enum_case"),
        ("enum[\"1\", 1]", "1", "1", ""),
        ("enum[\"1\", 1]", "\"1\"", r#""1""#, ""),
        ("enum[\"-1\", \"1\"]", "-1", r#""-1""#, ""),
        ("str(in [\"yes\", \"no\"])", "Yes", r#""yes""#, "enum_case"),
        ("enum[\"spam\", \"ham\"]", "[\"spam\"]", r#""spam""#, "enum_case"),
    ]);
    check_bad(&[
        (INTENT, "card", "none of the values"),
        (INTENT, "card lost or card arrival", "more than one of the values"),
        (r#"enum["spam", "ham"]"#, "not spam", "says what it is not"),
        (r#"enum["spam", "ham"]"#, "it isn't spam", "says what it is not"),
        (r#"enum["spam", "ham"]"#, "sham", "none of the values"),
        (r#"enum["increase", "decrease"]"#, "ncrease", "none of the values"),
        ("enum[1, 2, 3]", "4", "none of the values"),
        ("enum[12, 13]", "1", "none of the values"),
        (INTENT, "", "it is empty"),
    ]);
}

#[test]
fn optional_values() {
    check_good(&[
        ("int?", "null", "null", ""),
        ("int?", "None", "null", "foreign_literal"),
        ("int?", "N/A", "null", "foreign_literal"),
        ("int?", "", "null", "missing_optional"),
        ("int?", "5", "5", ""),
        ("str?", "null", "null", ""),
        ("str?", "None", "null", "foreign_literal"),
        ("str?", "\"None\"", r#""None""#, ""),
        ("str?", "Nonesuch", r#""Nonesuch""#, ""),
        (r#"enum["None", "some"]?"#, "None", r#""None""#, ""),
        ("list[int]?", "null", "null", ""),
    ]);
    check_bad(&[("int?", "five", "no number"), ("list[int]", "null", "x: it is null")]);
}

#[test]
fn unions() {
    check_good(&[
        ("int | str", "7", "7", ""),
        ("str | int", "7", "7", ""),
        ("int | str", "\"7\"", r#""7""#, ""),
        ("int | str", "seven", r#""seven""#, ""),
        ("int | str", "about 7", r#""about 7""#, ""),
        ("str | {a: int}", "{\"a\": 1}", r#"{"a":1}"#, ""),
        ("str | {a: int}", "{'a': 1}", r#"{"a":1}"#, "json_quotes"),
        ("{a: int} | {b: int}", "{\"b\": 1}", r#"{"b":1}"#, ""),
        ("int | bool", "true", "true", ""),
    ]);
    check_bad(&[("int | bool", "perhaps", "it fits none of the types")]);
}

#[test]
fn lists_and_tuples() {
    check_good(&[
        ("list[int]", "[1, 2]", "[1,2]", ""),
        ("list[int]", "[]", "[]", ""),
        ("list[int]", "1, 2, 3", "[1,2,3]", "list_from_text"),
        ("list[int]", "7", "[7]", "wrapped_in_list"),
        ("list[str]", "- a\n- b", r#"["a","b"]"#, "list_from_text"),
        ("list[str]", "1. a\n2. b", r#"["a","b"]"#, "list_from_text"),
        ("list[str]", "1) a\n2) b", r#"["a","b"]"#, "list_from_text"),
        ("list[str]", "Here they are:\n* a\n* b", r#"["a","b"]"#, "list_from_text prose"),
        ("list[str]", "- a\n  more\n- b", r#"["a more","b"]"#, "list_from_text"),
        ("list[str]", "a\nb", r#"["a","b"]"#, "list_from_text"),
        ("list[str]", "a, b, and c", r#"["a","b","c"]"#, "list_from_text"),
        ("list[str]", "a; b, c", r#"["a","b, c"]"#, "list_from_text"),
        ("list[str]", "Paris", r#"["Paris"]"#, "wrapped_in_list"),
        ("list[str]", "['a', 'b']", r#"["a","b"]"#, "json_quotes"),
        ("list[str]", "[a, b]", r#"["a","b"]"#, "json_quotes"),
        ("list[str]", "[\"a\"\n\"b\"]", r#"["a","b"]"#, "comma"),
        ("list[int]", "[1, \"2\"]", "[1,2]", "scalar_from_text"),
        ("list[{a: int}]", "{\"a\": 1}", r#"[{"a":1}]"#, "wrapped_in_list"),
        ("tuple[int, str]", "[1, \"a\"]", r#"[1,"a"]"#, ""),
        ("tuple[int, str]", "(1, a)", r#"[1,"a"]"#, "list_from_text"),
    ]);
    check_bad(&[
        ("list[int]", "[1, \"8/10\"]", "x[1]: \"8/10\" has more than one number"),
        ("list[int]", "[1, null]", "x[1]: it is null"),
        ("list[int](len 1..2)", "[1, 2, 3]", "x: it has 3 items"),
        ("list[str]", "", "it is empty"),
        ("tuple[int, str]", "[1]", "x: it has 1 values"),
        ("list[int]", "{\"a\": 1, \"b\": 2}", "it is a JSON object"),
    ]);
}

#[test]
fn objects_and_maps() {
    const PERSON: &str = "{name: str, age: int, email: str?}";
    check_good(&[
        (
            PERSON,
            r#"{"name": "Ann", "age": 41, "email": null}"#,
            r#"{"name":"Ann","age":41,"email":null}"#,
            "",
        ),
        (
            PERSON,
            r#"{"name": "Ann", "age": 41}"#,
            r#"{"name":"Ann","age":41,"email":null}"#,
            "missing_optional",
        ),
        (
            PERSON,
            r#"{"Name": "Ann", "AGE": 41}"#,
            r#"{"name":"Ann","age":41,"email":null}"#,
            "field_name missing_optional",
        ),
        (
            PERSON,
            r#"{"nmae": "Ann", "age": 41}"#,
            r#"{"name":"Ann","age":41,"email":null}"#,
            "field_name missing_optional",
        ),
        (
            PERSON,
            r#"{"name": "Ann", "age": 41, "x": 1}"#,
            r#"{"name":"Ann","age":41,"email":null}"#,
            "extra_field missing_optional",
        ),
        (
            PERSON,
            r#"[{"name": "Ann", "age": 41}]"#,
            r#"{"name":"Ann","age":41,"email":null}"#,
            "unwrapped missing_optional",
        ),
        (
            PERSON,
            r#""{\"name\": \"Ann\", \"age\": 41}""#,
            r#"{"name":"Ann","age":41,"email":null}"#,
            "missing_optional json_in_text",
        ),
        ("dict[str, int]", r#"{"a": 1, "b": "2"}"#, r#"{"a":1,"b":2}"#, "scalar_from_text"),
        ("any", "12", "12", ""),
        ("any", "hello", r#""hello""#, ""),
        ("any", "{'a': 1}", r#"{"a":1}"#, "json_quotes"),
        ("{a: str}", r#"{"a": 5}"#, r#"{"a":"5"}"#, "text_from_scalar"),
        ("{a: str}", r#"{"a": ["x", 1]}"#, r#"{"a":"[\"x\", 1]"}"#, "text_from_scalar"),
        (
            "Node where Node = {v: int, next: Node?}",
            r#"{"v": 1, "next": {"v": 2}}"#,
            r#"{"v":1,"next":{"v":2,"next":null}}"#,
            "missing_optional",
        ),
    ]);
    check_bad(&[
        (PERSON, r#"{"name": "Ann"}"#, "x.age: it is missing"),
        (PERSON, r#"{"name": null, "age": 41}"#, "x.name: it is null"),
        (PERSON, "Ann is 41", "is no JSON"),
        ("list[{age: int}]", r#"[{"age": 1}, {"age": "old"}]"#, "x[1].age: \"old\" has no number"),
        ("dict[str, int]", r#"{"a": "x"}"#, r#"x["a"]: "x" has no number"#),
        ("{id: str}", r#"{"id": 123456789012345678901234}"#, "too long to keep its digits"),
        (
            "Node where Node = {v: int, next: Node?}",
            r#"{"v": 1, "next": {"v": "x"}}"#,
            "x.next.v: ",
        ),
    ]);
}

#[test]
fn notations_of_json() {
    const AB: &str = "{a: str, b: int?}";
    check_good(&[
        (AB, "```json\n{\"a\": \"x\", \"b\": 1}\n```", r#"{"a":"x","b":1}"#, "fence"),
        (
            AB,
            "Sure!\n```\n{\"a\": \"x\", \"b\": 1}\n```\nDone.",
            r#"{"a":"x","b":1}"#,
            "fence prose",
        ),
        (AB, "```json\n{\"a\": \"x\", \"b\": 1}", r#"{"a":"x","b":1}"#, "fence"),
        (AB, "The result: {\"a\": \"x\", \"b\": 1}. Good luck!", r#"{"a":"x","b":1}"#, "prose"),
        (AB, "{\"a\": \"x\", \"b\": 1,}", r#"{"a":"x","b":1}"#, "comma"),
        (AB, "{\"a\": \"x\" \"b\": 1}", r#"{"a":"x","b":1}"#, "comma"),
        (AB, "{\"a\": \"x\"\n\"b\": 1}", r#"{"a":"x","b":1}"#, "comma"),
        (AB, "{'a': 'x', 'b': 1}", r#"{"a":"x","b":1}"#, "json_quotes"),
        (AB, "{'a': 'it's', 'b': 1}", r#"{"a":"it's","b":1}"#, "json_quotes"),
        (AB, "{“a”: “x”, “b”: 1}", r#"{"a":"x","b":1}"#, "json_quotes"),
        (AB, "{a: \"x\", b: 1}", r#"{"a":"x","b":1}"#, "json_quotes"),
        (AB, "{a: x y, b: 1}", r#"{"a":"x y","b":1}"#, "json_quotes"),
        (AB, "{\"a\": \"two\nlines\", \"b\": 1}", r#"{"a":"two\nlines","b":1}"#, "raw_control"),
        (AB, "{\"a\": \"a\tb\", \"b\": 1}", r#"{"a":"a\tb","b":1}"#, "raw_control"),
        (
            AB,
            r#"{"a": "\alpha + \frac{1}{2}", "b": 1}"#,
            r#"{"a":"\\alpha + \\frac{1}{2}","b":1}"#,
            "backslash",
        ),
        (AB, r#"{"a": "\frac{1}{2}", "b": 1}"#, r#"{"a":"\\frac{1}{2}","b":1}"#, "backslash"),
        (
            AB,
            r#"{"a": "\times \beta \theta \nabla", "b": 1}"#,
            r#"{"a":"\\times \\beta \\theta \\nabla","b":1}"#,
            "backslash",
        ),
        (
            AB,
            r#"{"a": "one\ntwo\tthree \\alpha", "b": 1}"#,
            r#"{"a":"one\ntwo\tthree \\alpha","b":1}"#,
            "",
        ),
        (AB, r#"{"a": "C:\Users\ann", "b": 1}"#, r#"{"a":"C:\\Users\\ann","b":1}"#, "backslash"),
        (AB, r#"{"a": "say "hi", ok", "b": 1}"#, r#"{"a":"say \"hi\", ok","b":1}"#, "json_quotes"),
        (AB, r#"{"a": "say "hi"", "b": 1}"#, r#"{"a":"say \"hi\"","b":1}"#, "json_quotes"),
        (AB, "{\"a\": \"x\", // why\n \"b\": 1}", r#"{"a":"x","b":1}"#, "comment"),
        (AB, "{\"a\": \"x\", /* why */ \"b\": 1}", r#"{"a":"x","b":1}"#, "comment"),
        (AB, "{\"a\": \"x\", # why\n \"b\": 1}", r#"{"a":"x","b":1}"#, "comment"),
        (AB, "{\"a\": \"http://x//y\", \"b\": 1}", r#"{"a":"http://x//y","b":1}"#, ""),
        (AB, "{\"a\": \"x\", \"b\": None}", r#"{"a":"x","b":null}"#, "foreign_literal"),
        ("{a: bool}", "{\"a\": True}", r#"{"a":true}"#, "foreign_literal"),
        (AB, "{\"a\": \"x\", \"b\": 1", r#"{"a":"x","b":1}"#, "closed"),
        (AB, "{\"a\": \"cut of", r#"{"a":"cut of","b":null}"#, "closed missing_optional"),
        ("list[str]", "[\"a\", \"b", r#"["a","b"]"#, "closed"),
        ("{a: list[int]}", "{\"a\": [1, 2}", r#"{"a":[1,2]}"#, "closed"),
        (
            AB,
            "{\"a\": \"x\", \"b\": 1} or {\"a\": \"y\", \"b\": 2}",
            r#"{"a":"x","b":1}"#,
            "prose one_of_several",
        ),
        (AB, "{\"z\": 1} then {\"a\": \"y\", \"b\": 2}", r#"{"a":"y","b":2}"#, "prose"),
        (AB, "{\"a\": \"\\u00e9\\ud83d\\ude00\", \"b\": 1,}", r#"{"a":"é😀","b":1}"#, "comma"),
        (AB, "{\"a\": \"😀\", \"b\": 1,}", r#"{"a":"😀","b":1}"#, "comma"),
        ("list[list[int]]", "[[1,2],[3]]", "[[1,2],[3]]", ""),
    ]);
}

#[test]
fn values_that_are_json_already() {
    let check = |notation: &str, node: &str, wanted: Result<(&str, &str), &str>| {
        let (ty, defs) = ty(notation);
        let node: Value = serde_json::from_str(node).expect(node);
        let read = coerce_json(&node, &ty, &defs);
        let shown = match &read {
            Ok(read) => Ok((read.value.to_string(), codes(&read.repairs))),
            Err(e) => Err(e[0].problem.clone()),
        };
        let wanted = wanted.map(|(v, f)| (v.to_owned(), f.to_owned())).map_err(str::to_owned);
        assert_eq!(shown, wanted, "{notation} of {node}");
    };
    check("str", "\"x\"", Ok(("\"x\"", "")));
    check("str", "\"\"", Ok(("\"\"", "")));
    check("str", "null", Err("it is null"));
    check("str", "5", Ok(("\"5\"", "text_from_scalar")));
    check("int", "\"5\"", Ok(("5", "scalar_from_text")));
    check("int", "5.0", Ok(("5", "whole_number")));
    check("int", "true", Err("it is true"));
    check("bool", "1", Ok(("true", "scalar_from_text")));
    check("str?", "\"None\"", Ok(("\"None\"", "")));
    check("int?", "\"None\"", Ok(("null", "foreign_literal")));
    check("date", "\"2024-01-05\"", Ok(("\"2024-01-05\"", "")));
    check("int | str", "\"7\"", Ok(("\"7\"", "")));
    check("enum[1, 2]", "1.0", Ok(("1", "")));
    check("enum[\"1\", \"2\"]", "1", Ok(("\"1\"", "text_from_scalar")));
    check("list[int]", "3", Ok(("[3]", "wrapped_in_list")));
    check("list[int]", "\"[3, 4]\"", Ok(("[3,4]", "json_in_text")));
    check("list[int]", "\"3, 4\"", Ok(("[3,4]", "list_from_text")));
    check("float", "2", Ok(("2", "")));
}

#[test]
fn errors_name_the_type_in_the_words_of_the_prompt() {
    let words = |notation: &str| {
        let (ty, defs) = ty(notation);
        coerce_json(&Value::Null, &ty, &defs).unwrap_err()[0].expected.clone()
    };
    assert_eq!(words("int(0..10)"), "a whole number from 0 to 10");
    assert_eq!(words("float(..1)"), "a number, at most 1");
    assert_eq!(words("str(len 1..40)"), "text with 1 to 40 characters");
    assert_eq!(words("enum[\"a\", \"b, c\"]"), "one of: a, \"b, c\"");
    assert_eq!(words("list[str](len 1..3)"), "a JSON list of texts with 1 to 3 items");
    assert_eq!(words("dict[str, int]"), "a JSON object from text to a whole number");
    assert_eq!(words("{a: int, b: str?}"), "JSON of the form {a: int, b: str?}");
    assert_eq!(words("tuple[int, bool]"), "a JSON list of 2 values: a whole number, true or false");
}
