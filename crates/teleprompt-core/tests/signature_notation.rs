//! The notation of signatures: aliases have one printed form, and print and parse are inverse.
#![allow(clippy::unwrap_used)]

mod common;

use common::signatures;
use proptest::prelude::*;
use teleprompt_core::{Constraints, Field, Kind, ObjectField, Signature, Type, TypeDefs, record};

#[test]
fn aliases_print_in_one_form() {
    let table = [
        ("a->b", "a -> b"),
        ("a → b : str", "a -> b"),
        ("->b", "-> b"),
        ("a: string, b: integer -> c: number, d: boolean", "a, b: int -> c: float, d: bool"),
        ("a: Any -> b: List[str], c: List", "a: any -> b: list[str], c: list[any]"),
        (
            "a -> b: Dict[str, int], c: dict[int], d: dict",
            "a -> b: dict[str, int], c: dict[str, int], d: dict[str, any]",
        ),
        ("a -> b: Tuple[int, str]", "a -> b: tuple[int, str]"),
        ("a -> b: optional[int], c: Optional[int?], d: int??", "a -> b: int?, c: int?, d: int?"),
        ("a -> b: Literal['a', \"b\", c]", r#"a -> b: enum["a", "b", "c"]"#),
        ("a -> b: literal[1, -2, 0.5, true, False]", "a -> b: enum[1, -2, 0.5, true, false]"),
        ("a -> b: int | (str | int) | bool", "a -> b: int | str | bool"),
        ("a -> b: (int), c: (int | int)?", "a -> b: int, c: int?"),
        ("a -> b: (int | str)?", "a -> b: (int | str)?"),
        ("a -> b: int? | str", "a -> b: int? | str"),
        (
            "a -> b: {x, y?: int, \"z\": str, \"a b\": str,}",
            "a -> b: {x: str, y: int?, z: str, \"a b\": str}",
        ),
        ("a -> b: {}", "a -> b: {}"),
        (
            "a -> b: int(0..=10), c: int(5), d: float(0.50..), e: int(..-1)",
            "a -> b: int(0..10), c: int(5..5), d: float(0.5..), e: int(..-1)",
        ),
        (
            "a -> b: str(len 3), c: list[int](len 1..), d: str(len 0..2, pattern '[\"]+')",
            r#"a -> b: str(len 3..3), c: list[int](len 1..), d: str(len 0..2, pattern "[\"]+")"#,
        ),
        ("a -> b: str(in [x, 'y z'])", r#"a -> b: str(in ["x", "y z"])"#),
        ("'Say \"hi\"\\n' a 'it\\'s' -> b 'é'", r#""Say \"hi\"\n" a "it's" -> b "é""#),
        ("'two\nlines' a -> b", r#""two\nlines" a -> b"#),
        ("a -> b: T where T = {v: str, n: list[T]}", "a -> b: T where T = {v: str, n: list[T]}"),
        ("a -> where: B where B = int, A = str", "a -> where: B where A = str, B = int"),
        ("in, len -> pattern, list: int", "in, len -> pattern, list: int"),
    ];
    for (text, printed) in table {
        let signature: Signature = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(signature.to_string(), printed, "{text}");
        assert_eq!(printed.parse(), Ok(signature), "{text}");
    }
}

#[test]
fn code_cannot_make_a_signature_that_has_no_text() {
    let string = |min| Constraints { min_len: min, ..Constraints::default() };
    let limited = |kind, constraints| Type { kind, constraints };
    let twice = || vec![Type::str(), Type::str()];
    let object =
        |name: &str| ObjectField { name: name.into(), ty: Type::str(), description: "".into() };
    let table: Vec<(Type, &str)> = vec![
        (limited(Kind::Bool, string(Some(1))), "takes no length"),
        (
            limited(Kind::Str, Constraints { pattern: Some("(".into()), ..string(None) }),
            "pattern is wrong",
        ),
        (
            limited(Kind::Int, Constraints { one_of: vec![1.into(), 1.into()], ..string(None) }),
            "there twice",
        ),
        (limited(Kind::Str, Constraints { max_len: Some(0), ..string(Some(1)) }), "1..0 is empty"),
        (Kind::Optional(Box::new(Type::str().optional())).into(), "optional once more"),
        (Kind::Tuple(vec![]).into(), "at least one item"),
        (Kind::Union(vec![Type::str()]).into(), "two or more different types"),
        (Kind::Union(twice()).into(), "two or more different types"),
        (Kind::Enum(vec![]).into(), "different values"),
        (Kind::Enum(vec![serde_json::Value::Null]).into(), "different values"),
        (Kind::Object(vec![object("x"), object("x")]).into(), "there twice"),
        (Kind::Object(vec![object("")]).into(), "empty"),
        (Type::list(Kind::Ref("T".into()).into()), "`T` is not defined"),
    ];
    for (ty, part) in table {
        let outputs = vec![Field::new("x", ty)];
        let error = Signature::new("", vec![], outputs, TypeDefs::new()).unwrap_err();
        assert!(
            error.message.starts_with("field `x`: ") && error.message.contains(part),
            "{error}"
        );
    }
    for name in ["", "a b", "1a", "str", "where", "None"] {
        let defs = TypeDefs::from([(name.into(), Type::str())]);
        let outputs = vec![Field::new("x", Type::str())];
        let error = Signature::new("", vec![], outputs, defs).unwrap_err();
        assert!(error.message.contains("cannot be named"), "{error}");
    }
    for name in ["", "a b", "1a", "a-b"] {
        let error =
            Signature::new("", vec![], vec![Field::new(name, Type::str())], TypeDefs::new());
        assert!(error.unwrap_err().message.contains("is no field name"));
    }
    assert!(
        Signature::new("", vec![Field::new("a", Type::str())], vec![], TypeDefs::new()).is_err()
    );
}

#[test]
fn a_signature_travels_through_serde_as_its_text() {
    let signature: Signature = "a -> b: int(0..1)".parse().unwrap();
    let json = serde_json::to_string(&signature).unwrap();
    assert_eq!(json, r#""a -> b: int(0..1)""#);
    assert_eq!(serde_json::from_str::<Signature>(&json).unwrap(), signature);
    let error = serde_json::from_str::<Signature>(r#""a -> b: itn""#).unwrap_err();
    assert!(error.to_string().contains("did you mean `int`?"), "{error}");
}

#[test]
fn edits_leave_the_first_signature_alone() {
    let first: Signature = "a -> b".parse().unwrap();
    let edited = first
        .with_instructions("Think.")
        .with_first_output(Field::new("why", Type::str()))
        .with_first_output(Field::new("a", Type::str()))
        .with_description("b", "short")
        .with_description("nothing", "lost");
    assert_eq!(edited.to_string(), r#""Think." a -> why, b "short""#);
    assert_eq!(first.to_string(), "a -> b");
    assert_eq!(record! { a: 1 }.names().collect::<Vec<_>>(), ["a"]);
}

proptest! {
    #[test]
    fn a_printed_signature_parses_to_itself(signature in signatures()) {
        let text = signature.to_string();
        let parsed: Signature = text.parse().map_err(|e| TestCaseError::fail(format!("{e}")))?;
        prop_assert_eq!(&parsed, &signature);
        prop_assert_eq!(parsed.to_string(), text);
    }

    #[test]
    fn any_text_parses_or_is_marked(text in "[a-c\"'\\\\ :,?|(){}\\[\\]=>.0-9-]{0,40}|\\PC{0,20}") {
        match text.parse::<Signature>() {
            Ok(signature) => prop_assert_eq!(signature.to_string().parse::<Signature>(), Ok(signature)),
            Err(error) => {
                prop_assert!(error.span.start <= error.span.end && error.span.end <= text.len());
                prop_assert!(text.get(error.span.clone()).is_some());
                prop_assert!(text.is_empty() || error.to_string().contains('^'));
            }
        }
    }
}
