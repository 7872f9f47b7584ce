//! `#[derive(Signature)]`: the same value as the text, typed inputs and outputs, no warnings.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]
#![deny(warnings)]

use std::collections::{BTreeMap, HashMap};

use teleprompt::schemars::JsonSchema;
use teleprompt::serde::{Deserialize, Serialize};
use teleprompt::{Date, Dynamic, Io, Record, Signature, TypedSignature, WithReasoning, record};

/// Answer questions with
/// short factoid answers.
///
/// Never guess.
#[derive(Signature)]
#[signature(derive(PartialEq))]
struct Answer {
    /// may contain
    /// relevant facts
    #[input]
    context: Vec<String>,
    #[input]
    question: String,
    /// often between 1 and 5 words
    #[output]
    answer: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "teleprompt::serde")]
#[schemars(crate = "teleprompt::schemars")]
struct Person {
    /// the full
    /// name
    name: String,
    age: Option<u8>,
    #[serde(rename = "home-town")]
    town: String,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "teleprompt::serde", rename_all = "snake_case")]
#[schemars(crate = "teleprompt::schemars")]
enum Mood {
    Glad,
    /// not glad
    VerySad,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "teleprompt::serde", tag = "kind", rename_all = "snake_case")]
#[schemars(crate = "teleprompt::schemars")]
enum Shape {
    Circle { radius: f64 },
    Named { name: String, mood: Mood },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "teleprompt::serde", untagged)]
#[schemars(crate = "teleprompt::schemars")]
enum Id {
    Number(i64),
    Text(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "teleprompt::serde")]
#[schemars(crate = "teleprompt::schemars")]
struct Node {
    value: String,
    children: Vec<Node>,
    next: Option<Box<Node>>,
}

mod other {
    use super::*;

    /// Another type of the same name, recursive through a second one.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[serde(crate = "teleprompt::serde")]
    #[schemars(crate = "teleprompt::schemars")]
    pub struct Node {
        pub edges: HashMap<String, Edge>,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[serde(crate = "teleprompt::serde")]
    #[schemars(crate = "teleprompt::schemars")]
    pub struct Edge {
        pub to: Vec<Node>,
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "teleprompt::serde")]
#[schemars(crate = "teleprompt::schemars", rename = "enum")]
struct Nest {
    inner: Vec<Nest>,
}

/// One field of many kinds a signature.
macro_rules! signatures {
    ($($name:ident { $(#[$attr:meta])* $ty:ty } = $text:literal;)+) => {
        $(
            #[derive(Signature)]
            struct $name {
                $(#[$attr])*
                #[output]
                x: $ty,
            }
        )+

        #[test]
        fn a_derived_signature_equals_the_text() {
            $(
                let text: Signature = concat!("-> x: ", $text).parse().unwrap();
                assert_eq!(
                    $name::signature(), text,
                    "{}:\n{}\n{}", stringify!($name), $name::signature(), text,
                );
            )+
        }

        #[test]
        fn a_derived_signature_prints_and_parses_to_itself() {
            $( assert_eq!($name::signature().to_string().parse(), Ok($name::signature())); )+
        }
    };
}

signatures! {
    Text { String } = "str";
    Whole { i64 } = "int";
    Byte { u8 } = "int(0..255)";
    Small { i16 } = "int(-32768..32767)";
    Natural { u64 } = "int(0..)";
    Single { f32 } = "float";
    Double { f64 } = "float";
    Truth { bool } = "bool";
    Day { Date } = "date";
    Anything { serde_json::Value } = "any";
    Letter { char } = "str(len 1..1)";
    Many { Vec<Vec<i64>> } = "list[list[int]]";
    Three { [bool; 3] } = "list[bool](len 3..3)";
    Maybe { Option<String> } = "str?";
    MaybeByte { Option<u8> } = "int(0..255)?";
    MaybeMany { Option<Vec<Option<f64>>> } = "list[float?]?";
    Hashed { HashMap<String, i64> } = "dict[str, int]";
    Sorted { BTreeMap<String, Vec<bool>> } = "dict[str, list[bool]]";
    Numbered { BTreeMap<u32, String> } = "dict[str, str]";
    Pair { (String, i64) } = "tuple[str, int]";
    Nested { Person } =
        r#"{name: str "the full name", age: int(0..255)?, "home-town": str, tags: list[str]}"#;
    MaybeNested { Option<Mood> } = r#"enum["glad", "very_sad"]?"#;
    Choice { Mood } = r#"enum["glad", "very_sad"]"#;
    Choices { Vec<Mood> } = r#"list[enum["glad", "very_sad"]]"#;
    Tagged { Shape } = r#"{kind: enum["circle"], radius: float}
        | {kind: enum["named"], name: str, mood: enum["glad", "very_sad"]}"#;
    Either { Id } = "int | str";
    MaybeEither { Option<Id> } = "(int | str)?";
    Recursive { Node } =
        "Node where Node = {value: str, children: list[Node], next: Node?}";
    TwoNodes { (Node, other::Node) } = "tuple[Node, Node2] where
        Node = {value: str, children: list[Node], next: Node?},
        Node2 = {edges: dict[str, Edge]}, Edge = {to: list[Node2]}";
    Reserved { Nest } = "Tenum where Tenum = {inner: list[Tenum]}";
    Ranged { #[schemars(range(min = 0, max = 10))] i64 } = "int(0..10)";
    Fraction { #[schemars(range(min = 0.5))] f64 } = "float(0.5..)";
    Short { #[schemars(length(min = 1, max = 40))] String } = "str(len 1..40)";
    Few { #[schemars(length(max = 3))] Vec<String> } = "list[str](len ..3)";
    Code { #[schemars(regex(pattern = "^[A-Z]+$"))] String } = r#"str(pattern "[A-Z]+")"#;
    MaybeRanged { #[schemars(range(min = 1, max = 5))] Option<u8> } = "int(1..5)?";
}

#[test]
fn doc_comments_are_instructions_and_descriptions() {
    let text = r#""Answer questions with short factoid answers.\nNever guess."
        context: list[str] "may contain relevant facts", question
        -> answer "often between 1 and 5 words""#;
    assert_eq!(Answer::signature(), text.parse().unwrap());
}

#[test]
fn inputs_and_outputs_are_typed() {
    let input = AnswerInput { context: vec!["Emma, 1815".into()], question: "When?".into() };
    let record = Record::from_typed(input.clone()).unwrap();
    assert_eq!(record, record! { context: ["Emma, 1815"], question: "When?" });
    assert_eq!(record.into_typed::<AnswerInput>().unwrap(), input);

    let reply = record! { reasoning: "It says so.", answer: "1815" };
    let reasoned: <Answer as Io>::Reasoned = reply.clone().into_typed().unwrap();
    assert_eq!((reasoned.reasoning.as_str(), reasoned.answer.as_str()), ("It says so.", "1815"));
    assert_eq!(Record::from_typed(reasoned).unwrap(), reply);
}

#[test]
fn a_missing_output_is_an_error_that_names_it() {
    let error = record! { answr: "1815" }.into_typed::<AnswerOutput>().unwrap_err();
    assert!(error.to_string().contains("`answer`"), "{error}");
}

#[test]
fn dates_are_checked() {
    let reply = record! { x: "2024-02-29" };
    let out: DayOutput = reply.clone().into_typed().unwrap();
    assert_eq!(Record::from_typed(out).unwrap(), reply);
    for text in ["2023-02-29", "2024-13-01", "2024-00-10", "2024-1-01", "+024-01-01", "2024-01-01-"]
    {
        let error = record! { x: text }.into_typed::<DayOutput>().unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }
    assert!(Date::new(1900, 2, 29).is_none() && Date::new(2000, 2, 29).is_some());
}

/// A signature with its own reasoning, a keyword as a name and a renamed field; inside a function.
#[test]
fn names_follow_serde_and_own_reasoning_is_kept() {
    #[derive(Signature)]
    struct Judge {
        #[input]
        r#type: String,
        #[output]
        reasoning: Vec<String>,
        #[output]
        #[serde(rename = "is_right")]
        right: bool,
    }
    let text = "type -> reasoning: list[str], is_right: bool";
    assert_eq!(Judge::signature(), text.parse().unwrap());
    let reply = record! { reasoning: ["a"], is_right: true };
    let out: <Judge as Io>::Reasoned = reply.into_typed().unwrap();
    assert!(out.right && out.reasoning == ["a"]);
}

mod public {
    /// The structs are as visible as the signature.
    #[derive(teleprompt::Signature)]
    pub struct Joke {
        /// the joke
        #[output]
        pub joke: String,
        #[output]
        pub(crate) rating: Option<i64>,
    }
}

#[test]
fn a_signature_without_inputs_takes_an_empty_record() {
    let input = Record::from_typed(public::JokeInput {}).unwrap();
    assert!(input.is_empty());
    let out: public::JokeOutput = record! { joke: "…" }.into_typed().unwrap();
    assert_eq!((out.joke.as_str(), out.rating), ("…", None));
    assert_eq!(
        public::Joke::signature().to_string(),
        "\"The structs are as visible as the signature.\" -> joke \"the joke\", rating: int?"
    );
}

#[test]
fn dynamic_io_is_records() {
    fn same<T: 'static, U: 'static>() -> bool {
        std::any::TypeId::of::<T>() == std::any::TypeId::of::<U>()
    }
    assert!(
        same::<<Dynamic as Io>::Input, Record>() && same::<<Dynamic as Io>::Reasoned, Record>()
    );
    assert!(same::<<Answer as Io>::Reasoned, WithReasoning<AnswerOutput>>());
}

#[test]
#[should_panic(expected = "the signature `Void`: VoidOutput: x: a value that is always null")]
fn a_type_that_no_signature_can_say_is_named() {
    #[derive(Signature)]
    struct Void {
        #[output]
        x: (),
    }
    Void::signature();
}
