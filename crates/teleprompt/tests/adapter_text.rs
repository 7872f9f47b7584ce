//! The exact text of prompts, and how replies in other forms are read.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail loudly"
)]

use serde_json::json;
use teleprompt::adapter::{ChatAdapter, JsonAdapter};
use teleprompt::{Adapter, Flag, Repair, Signature, record};

fn signature(text: &str) -> Signature {
    text.parse().unwrap()
}

const INTENT: &str = "\"Classify the customer's message.\" message -> \
                      intent: enum[\"card_lost\", \"card_arrival\", \"top_up\"]";

#[test]
fn system_of_one_label() {
    assert_eq!(
        ChatAdapter.system(&signature(INTENT)),
        "Classify the customer's message.\n\
         Given message, write intent.\n\
         intent: one of: card_lost, card_arrival, top_up\n\
         Reply with [[ ## intent ## ]] and the intent below it."
    );
    assert_eq!(
        JsonAdapter.system(&signature(INTENT)),
        "Classify the customer's message.\n\
         Given message, write intent.\n\
         intent: one of: card_lost, card_arrival, top_up\n\
         Reply with one JSON object and nothing else: {\"intent\": \"...\"}"
    );
}

#[test]
fn system_of_plain_texts() {
    assert_eq!(
        ChatAdapter.system(&signature("context, question -> reasoning, answer \"1 to 5 words\"")),
        "Given context and question, write reasoning and answer.\n\
         answer: 1 to 5 words\n\
         Reply in this form:\n\n\
         [[ ## reasoning ## ]]\n<reasoning>\n\n\
         [[ ## answer ## ]]\n<answer>"
    );
}

#[test]
fn system_of_many_types() {
    let many = "text \"an e-mail\", lang, kind -> n: int(0..10) \"how urgent it is\", p: float(0..1)?, \
                ok: bool, day: date, tags: list[str](len 1..3), people: list[{name: str, age: int?}]";
    assert_eq!(
        ChatAdapter.system(&signature(many)),
        "Given text, lang and kind, write n, p, ok, day, tags and people.\n\
         text: an e-mail\n\
         n: how urgent it is. Must be a whole number from 0 to 10\n\
         p: a number from 0 to 1, or null\n\
         ok: true or false\n\
         day: a date as YYYY-MM-DD\n\
         tags: a JSON list of texts with 1 to 3 items\n\
         people: a JSON list of {name: str, age: int?}\n\
         Reply in this form:\n\n\
         [[ ## n ## ]]\n<n>\n\n[[ ## p ## ]]\n<p>\n\n[[ ## ok ## ]]\n<ok>\n\n\
         [[ ## day ## ]]\n<day>\n\n[[ ## tags ## ]]\n<tags>\n\n[[ ## people ## ]]\n<people>"
    );
}

#[test]
fn system_of_named_types() {
    assert_eq!(
        JsonAdapter.system(&signature(
            "-> tree: Node, depth: int where Node = {v: str, children: list[Node]}"
        )),
        "Write tree and depth.\n\
         tree: JSON of the form Node\n\
         depth: a whole number\n\
         Node is {v: str, children: list[Node]}\n\
         Reply with one JSON object and nothing else: {\"tree\": ..., \"depth\": ...}"
    );
}

#[test]
fn turns() {
    let s = signature("context: list[str], question -> reasoning, answer: list[int], sure: bool");
    let demo = record! {
        question: "Which?", context: ["a", "b"], reasoning: "Because.", answer: [1, 2], sure: true
    };
    assert_eq!(
        ChatAdapter.user(&s, &demo),
        "[[ ## context ## ]]\n[\"a\", \"b\"]\n\n[[ ## question ## ]]\nWhich?"
    );
    assert_eq!(
        ChatAdapter.assistant(&s, &demo),
        "[[ ## reasoning ## ]]\nBecause.\n\n[[ ## answer ## ]]\n[1, 2]\n\n[[ ## sure ## ]]\ntrue"
    );
    assert_eq!(
        JsonAdapter.assistant(&s, &demo),
        r#"{"reasoning": "Because.", "answer": [1, 2], "sure": true}"#
    );
    assert_eq!(JsonAdapter.user(&s, &demo), ChatAdapter.user(&s, &demo));
}

#[test]
fn complaints_say_what_to_mend_and_show_the_form() {
    let s = signature("q -> answer: int(0..10)");
    let error = ChatAdapter.parse(&s, "[[ ## answer ## ]]\n8/10").unwrap_err();
    assert_eq!(
        ChatAdapter.complaint(&s, &error),
        "Your reply could not be used:\n\
         - answer: \"8/10\" has more than one number. Expected a whole number from 0 to 10.\n\
         Reply with [[ ## answer ## ]] and the answer below it."
    );
    let error = JsonAdapter.parse(&s, "no idea").unwrap_err();
    assert!(JsonAdapter.complaint(&s, &error).ends_with("{\"answer\": ...}"));
}

/// The fields and the flags that a reply is read as, or its errors.
fn read(adapter: &dyn Adapter, s: &Signature, reply: &str) -> Result<(String, String), String> {
    let shown = |f: &Flag| f.to_string();
    match adapter.parse(s, reply) {
        Ok(read) => {
            let flags: Vec<_> = read.flags.iter().map(shown).collect();
            Ok((read.fields.to_json().to_string(), flags.join(", ")))
        }
        Err(e) => {
            let lines = e.fields.iter().map(|e| format!("{}: {}", e.field, e.problem));
            Err(lines.collect::<Vec<_>>().join("; "))
        }
    }
}

#[test]
fn chat_replies_in_other_forms() {
    let two = signature("q -> reason, answer: int");
    let good = r#"{"reason":"R","answer":4}"#;
    for (reply, flags) in [
        ("[[ ## reason ## ]]\nR\n\n[[ ## answer ## ]]\n4", ""),
        ("[[ ## reason ## ]]\nR\n\n[[ ## answer ## ]]\n4\n\n[[ ## completed ## ]]", ""),
        ("[[ ## reason ## ]] R\n[[ ## answer ## ]] 4", ""),
        ("\n[[ ## answer ## ]]\n4\n[[ ## reason ## ]]\nR\n", ""),
        ("[[## reason ##]]\nR\n[[## answer ##]]\n4", "reason: loose_marker, answer: loose_marker"),
        ("**[[ ## reason ## ]]**\nR\n[[ ## answer ## ]]\n4", "reason: loose_marker"),
        ("  [[ ## reason ## ]] R\n[[ ## answer ## ]]\n4", "reason: loose_marker"),
        (
            "[[ ## Reason ## ]]\nR\n[[ ## ANSWER ## ]]\n4",
            "reason: loose_marker, answer: loose_marker",
        ),
        ("## reason\nR\n## answer\n4", "reason: loose_marker, answer: loose_marker"),
        ("### Reason:\nR\n### Answer: 4", "reason: loose_marker, answer: loose_marker"),
        ("Reason: R\nAnswer: 4", "reason: loose_marker, answer: loose_marker"),
        ("**Reason:** R\n**Answer**: 4", "reason: loose_marker, answer: loose_marker"),
        ("Sure!\n[[ ## reason ## ]]\nR\n[[ ## answer ## ]]\n4", "prose"),
        ("<think>4?</think>\n[[ ## reason ## ]]\nR\n[[ ## answer ## ]]\n4", "thinking"),
        ("hm, 4</think>[[ ## reason ## ]]\nR\n[[ ## answer ## ]]\n4", "thinking"),
        ("<think>so\n[[ ## reason ## ]]\nR\n[[ ## answer ## ]]\n4", "thinking, prose"),
        (
            "<think>[[ ## answer ## ]]\n5</think>[[ ## reason ## ]]\nR\n[[ ## answer ## ]]\n4",
            "thinking",
        ),
        ("[[ ## reason ## ]]\nR\n[[ ## answer ## ]]\n4\n[[ ## q ## ]]\nnext?", "q: extra_field"),
        ("[[ ## reason ## ]]\nR\n[[ ## answer ## ]]\n4\n[[ ## answer ## ]]\n4", ""),
        (
            "[[ ## reason ## ]]\nR\n[[ ## answer ## ]]\n4\n[[ ## answer ## ]]\n5",
            "answer: one_of_several",
        ),
        ("[[ ## reason ## ]]\nR\n[[ ## answer ## ]]\n\n[[ ## answer ## ]]\n4", ""),
        (r#"{"reason": "R", "answer": 4}"#, "loose_marker"),
        ("```json\n{\"reason\": \"R\", \"answer\": 4}\n```", "loose_marker, fence"),
    ] {
        assert_eq!(read(&ChatAdapter, &two, reply), Ok((good.into(), flags.into())), "{reply}");
    }
    for (reply, error) in [
        ("[[ ## answer ## ]]\n4", "reason: it is missing"),
        (
            "[[ ## reason ## ]]\nR\n[[ ## answer ## ]]\nfive",
            "answer: \"five\" has no number in figures",
        ),
        ("[[ ## reason ## ]]\n\n[[ ## answer ## ]]\n4", "reason: it is empty"),
        ("I do not know.", "reason: it is missing; answer: it is missing"),
        ("", "reason: it is missing; answer: it is missing"),
    ] {
        assert_eq!(read(&ChatAdapter, &two, reply), Err(error.into()), "{reply}");
    }
}

#[test]
fn text_below_a_marker_is_text_whatever_it_looks_like() {
    let two = signature("q -> reason, answer");
    let reply = "[[ ## reason ## ]]\nAnswer: 5 is wrong\n## answer\n{\"answer\": 1}\n\n\
                 [[ ## answer ## ]]\nx";
    let read = ChatAdapter.parse(&two, reply).unwrap();
    assert_eq!(read.fields["reason"], "Answer: 5 is wrong\n## answer\n{\"answer\": 1}");
    assert!(read.flags.is_empty());
    // DSPy turns this separator into a line break, and cuts inline text after an indented marker.
    let read =
        ChatAdapter.parse(&two, "[[ ## reason ## ]]\na\u{2028}b\n[[ ## answer ## ]]\nx").unwrap();
    assert_eq!(read.fields["reason"], "a\u{2028}b");
    let read = ChatAdapter.parse(&two, "  [[ ## reason ## ]] hi\n[[ ## answer ## ]]\nx").unwrap();
    assert_eq!(read.fields["reason"], "hi");
}

#[test]
fn a_lone_output_needs_no_marker() {
    let case = |s: &str, reply: &str| read(&ChatAdapter, &signature(s), reply);
    let ok = |value: &str, flags: &str| Ok((value.to_owned(), flags.to_owned()));
    assert_eq!(case("q -> a", "Paris."), ok(r#"{"a":"Paris."}"#, "a: no_marker"));
    assert_eq!(case("q -> a: int", "42"), ok(r#"{"a":42}"#, "a: no_marker"));
    assert_eq!(
        case("q -> a: int", "<think>6×7</think>42"),
        ok(r#"{"a":42}"#, "thinking, a: no_marker")
    );
    assert_eq!(case("q -> a: {x: int}", "{\"x\": 1}"), ok(r#"{"a":{"x":1}}"#, "a: no_marker"));
    assert_eq!(
        case("q -> a: int", "no idea"),
        Err("a: \"no idea\" has no number in figures".into())
    );
    assert_eq!(
        case("q -> a: int", "<think>only"),
        Err("a: \"only\" has no number in figures".into())
    );
    assert_eq!(case("q -> a", "[[ ## b ## ]]\nParis"), Err("a: it is missing".into()));
}

#[test]
fn json_replies_in_other_forms() {
    let two = signature("q -> reason, answer: int");
    let good = r#"{"reason":"R","answer":4}"#;
    for (reply, flags) in [
        (r#"{"reason": "R", "answer": 4}"#, ""),
        (r#"  {"answer":4,"reason":"R"}  "#, ""),
        ("```json\n{\"reason\": \"R\", \"answer\": 4}\n```", "fence"),
        ("Here: {\"reason\": \"R\", \"answer\": 4}!", "prose"),
        ("<think>{\"answer\": 5}</think>{\"reason\": \"R\", \"answer\": 4}", "thinking"),
        (r#"[{"reason": "R", "answer": 4}]"#, "unwrapped"),
        (r#"{"reason": "R", "answer": "4"}"#, "answer: scalar_from_text"),
        (r#"{"Reason": "R", "answer": 4}"#, "field_name"),
        (r#"{"reason": "R", "answer": 4, "x": 1}"#, "extra_field"),
        ("{'reason': 'R', 'answer': 4,}", "json_quotes, comma"),
        ("[[ ## reason ## ]]\nR\n[[ ## answer ## ]]\n4", "loose_marker"),
        ("{} {\"reason\": \"R\", \"answer\": 4}", "prose"),
    ] {
        assert_eq!(read(&JsonAdapter, &two, reply), Ok((good.into(), flags.into())), "{reply}");
    }
    for (reply, error) in [
        (r#"{"reason": null, "answer": 4}"#, "reason: it is null"),
        (r#"{"reason": "R"}"#, "answer: it is missing"),
        (r#"{"reason": "R", "answer": "8/10"}"#, "answer: \"8/10\" has more than one number"),
        ("no", "reason: it is missing; answer: it is missing"),
    ] {
        assert_eq!(read(&JsonAdapter, &two, reply), Err(error.into()), "{reply}");
    }
    // An object without the output is not taken for a text.
    let one = signature("q -> answer");
    assert!(JsonAdapter.parse(&one, r#"{"result": "x"}"#).is_err());
    assert_eq!(JsonAdapter.parse(&one, "\"Paris\"").unwrap().fields["answer"], "Paris");
}

#[test]
fn optional_outputs_may_be_left_out() {
    let s = signature("q -> a, b: int?");
    let read = ChatAdapter.parse(&s, "[[ ## a ## ]]\nx").unwrap();
    assert_eq!(read.fields, record! { a: "x", b: () });
    assert_eq!(read.flags, [Flag::new("b", Repair::MissingOptional)]);
    let read = JsonAdapter.parse(&s, "{\"a\": \"x\"}").unwrap();
    assert_eq!(read.flags, [Flag::new("b", Repair::MissingOptional)]);
}

#[test]
fn errors_never_repeat_the_whole_reply() {
    let s = signature("q -> n: int");
    let reply = format!("[[ ## n ## ]]\n{}", "word ".repeat(4000));
    let error = ChatAdapter.parse(&s, &reply).unwrap_err();
    assert!(error.for_model().len() < 200, "{}", error.for_model());
}

#[test]
fn constraints() {
    let s = signature("q -> a, b: int?");
    let constraint = JsonAdapter.constraint(&s).unwrap();
    assert_eq!(constraint.json_schema.as_deref(), Some(&s.output_schema()));
    assert_eq!(s.output_schema()["required"], json!(["a", "b"]));
    assert!(constraint.lark.is_none());
    let constraint = ChatAdapter.constraint(&s).unwrap();
    assert!(constraint.json_schema.is_none() && constraint.lark.is_some());
}
