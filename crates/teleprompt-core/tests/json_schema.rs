//! Types to JSON schema and back.
#![allow(clippy::unwrap_used)]

mod common;

use common::{signatures, types};
use proptest::prelude::*;
use serde_json::{Value, json};
use teleprompt_core::{Constraints, Kind, ObjectField, Signature, Type, TypeDefs};

fn read(schema: &Value) -> Result<Type, String> {
    Type::from_json_schema(schema, &mut TypeDefs::new())
}

fn ty(text: &str) -> Type {
    text.parse().unwrap()
}

/// What is left of a type on its way through JSON schema: a type limited to some values is the enum
/// of these values, and a union of enums is one enum.
fn through_schema(ty: &Type) -> Type {
    let one = |t: &Type| Box::new(through_schema(t));
    if !ty.constraints.one_of.is_empty() {
        return Kind::Enum(ty.constraints.one_of.clone()).into();
    }
    let kind = match &ty.kind {
        Kind::List(item) => Kind::List(one(item)),
        Kind::Dict(value) => Kind::Dict(one(value)),
        Kind::Tuple(items) => Kind::Tuple(items.iter().map(through_schema).collect()),
        Kind::Optional(inner) => return through_schema(inner).optional(),
        Kind::Union(arms) => {
            let arms: Vec<Type> = arms.iter().map(through_schema).collect();
            let enums: Option<Vec<&Vec<Value>>> = arms
                .iter()
                .map(|t| match &t.kind {
                    Kind::Enum(values) => Some(values),
                    _ => None,
                })
                .collect();
            let Some(enums) = enums else { return Type::union(arms) };
            let mut all: Vec<Value> = Vec::new();
            for value in enums.into_iter().flatten() {
                if !all.contains(value) {
                    all.push(value.clone());
                }
            }
            Kind::Enum(all)
        }
        Kind::Object(fields) => Kind::Object(
            fields.iter().map(|f| ObjectField { ty: through_schema(&f.ty), ..f.clone() }).collect(),
        ),
        other => other.clone(),
    };
    Type { kind, constraints: ty.constraints.clone() }
}

proptest! {
    #[test]
    fn a_type_comes_back_from_its_schema(ty in types()) {
        let back = read(&ty.json_schema()).map_err(TestCaseError::fail)?;
        prop_assert_eq!(&back, &through_schema(&ty), "{}", ty.json_schema());
        // From then on nothing is lost.
        prop_assert_eq!(read(&back.json_schema()), Ok(back));
    }

    #[test]
    fn a_signature_has_one_schema_for_each_side(signature in signatures()) {
        let mut defs = TypeDefs::new();
        let outputs = Type::from_json_schema(&signature.output_schema(), &mut defs)
            .map_err(TestCaseError::fail)?;
        let Kind::Object(fields) = outputs.kind else { panic!("no object") };
        prop_assert_eq!(fields.len(), signature.outputs().len());
        for (field, output) in fields.iter().zip(signature.outputs()) {
            prop_assert_eq!(&field.name, &output.name);
            prop_assert_eq!(&field.description, &output.description);
            prop_assert_eq!(&field.ty, &through_schema(&output.ty));
        }
        let expected: TypeDefs =
            signature.defs().iter().map(|(n, t)| (n.clone(), through_schema(t))).collect();
        prop_assert_eq!(defs, expected);
    }
}

#[test]
fn schemas_of_others_are_read() {
    let table = [
        (json!(true), "any"),
        (json!({}), "any"),
        (json!({"type": "integer", "minimum": 0, "maximum": 9}), "int(0..9)"),
        (json!({"type": ["integer", "null"], "minimum": 0}), "int(0..)?"),
        (json!({"type": ["integer", "string"], "minLength": 2}), "int | str(len 2..)"),
        (json!({"type": "string", "format": "date"}), "date"),
        (json!({"type": "string", "format": "email"}), "str"),
        (json!({"type": "string", "pattern": "^a+$"}), "str(pattern \"a+\")"),
        (json!({"enum": ["a", null, "a"]}), r#"enum["a"]?"#),
        (json!({"oneOf": [{"const": "a"}, {"enum": ["b", "a"]}]}), r#"enum["a", "b"]"#),
        (json!({"anyOf": [{"type": "integer", "maximum": 3}]}), "int(..3)"),
        (json!({"allOf": [{"type": "string", "maxLength": 3}]}), "str(len ..3)"),
        (
            json!({"anyOf": [{"anyOf": [{"type": "integer"}, {"type": "string"}]}, {"type": "string"}]}),
            "int | str",
        ),
        (json!({"type": "array"}), "list[any]"),
        (
            json!({"type": "array", "items": {"type": "boolean"}, "minItems": 1}),
            "list[bool](len 1..)",
        ),
        (json!({"type": "object"}), "dict[str, any]"),
        (json!({"type": "object", "additionalProperties": false}), "{}"),
        (
            json!({"type": "object", "additionalProperties": false, "patternProperties": {"^[0-9]+$": {"type": "string"}}}),
            "dict[str, str]",
        ),
        (
            json!({"properties": {"a": {"type": "string", "description": "x"}, "b": {"type": "integer"}}, "required": ["a"]}),
            r#"{a: str "x", b: int?}"#,
        ),
        (
            json!({"properties": {"a": {"type": "integer", "default": 3}, "b": {"type": ["integer", "null"], "default": null}}}),
            "{a: int, b: int?}",
        ),
    ];
    for (schema, text) in table {
        assert_eq!(read(&schema), Ok(ty(text)), "{schema}");
    }
}

#[test]
fn what_has_no_counterpart_is_refused_with_the_reason() {
    let table = [
        (json!(false), "not a schema that anything fits"),
        (json!({"type": "null"}), "always null"),
        (json!({"const": {"a": 1}}), "an enum can hold"),
        (json!({"enum": [null]}), "without values"),
        (json!({"anyOf": [{"type": "null"}]}), "a union without types"),
        (json!({"allOf": [{}, {}]}), "`allOf`"),
        (json!({"type": "strin"}), "`strin` is not known"),
        (json!({"type": "string", "pattern": "(?=a)"}), "this pattern is wrong"),
        (
            json!({"properties": {"deep": {"properties": {"x": {"type": "null"}}}}}),
            "deep: x: a value",
        ),
    ];
    for (schema, part) in table {
        let error = read(&schema).unwrap_err();
        assert!(error.contains(part), "{schema}: {error}");
    }
}

#[test]
fn references_keep_their_names() {
    let schema = json!({
        "type": "array",
        "items": {"$ref": "#/$defs/A%20b~1c"},
        "$defs": {"A b/c": {"type": "object", "properties": {"me": {"$ref": "#/$defs/A%20b~1c"}}}},
    });
    let mut defs = TypeDefs::new();
    let list = Type::from_json_schema(&schema, &mut defs).unwrap();
    assert_eq!(list, Type::list(Kind::Ref("A b/c".into()).into()));
    assert_eq!(defs.keys().map(|k| &**k).collect::<Vec<_>>(), ["A b/c"]);

    let schema = json!({"properties": {"next": {"$ref": "#"}}});
    let mut defs = TypeDefs::new();
    let own = Type::from_json_schema(&schema, &mut defs).unwrap();
    let text: Signature = "-> x: Self where Self = {next: Self?}".parse().unwrap();
    assert_eq!((&own, &defs), (&text.outputs()[0].ty, text.defs()));
}

#[test]
fn strict_schemas_name_every_field() {
    let signature: Signature = "-> a: {x: int?} \"what\", b: T where T = list[T]".parse().unwrap();
    let expected = json!({
        "type": "object",
        "properties": {
            "a": {
                "type": "object",
                "properties": {"x": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
                "required": ["x"],
                "additionalProperties": false,
                "description": "what",
            },
            "b": {"$ref": "#/$defs/T"},
        },
        "required": ["a", "b"],
        "additionalProperties": false,
        "$defs": {"T": {"type": "array", "items": {"$ref": "#/$defs/T"}}},
    });
    assert_eq!(signature.output_schema(), expected);
    assert_eq!(Constraints::default(), signature.outputs()[0].ty.constraints);
}
