//! Random types with values that fit them.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Number, Value, json};
use teleprompt::{Constraints, Field, Kind, ObjectField, Record, Signature, Type, TypeDefs};

/// Texts that are easily mistaken for something else.
const NASTY: &[&str] = &[
    "",
    " ",
    "\n",
    "null",
    "None",
    "N/A",
    "12",
    "-0.5",
    "true",
    "\"q\"",
    "say \"hi\"",
    "“c”",
    "'s'",
    "```json\n{}\n```",
    "{\"a\": 1}",
    "[1]",
    "[",
    "{",
    "- a\n- b",
    "a, b",
    "a: 1",
    "## b\nx",
    "[[ ## a ## ]]\nx",
    "x\n[[ ## b ## ]]\ny",
    "x\n\n[[ ## zz ## ]]\ny",
    "in [[ ## a ## ]] line",
    "[[ ##",
    "x\n[[ ## ",
    "<think>x</think>",
    "x</think>y",
    "\\frac{1}{2}",
    "\nabla",
    "\\",
    "\\\"",
    "\u{0}\u{8}\u{c}\r\t\u{7f}",
    "é😀\u{2028}",
    "2024-01-05",
    "x\n",
    " x",
    "*x*",
    "/",
    "//",
    "x;",
];

pub fn text() -> BoxedStrategy<String> {
    prop_oneof![
        select(NASTY).prop_map(str::to_owned),
        "[ -~]{0,12}",
        "[a-z]{1,6}( [a-z]{1,6}){0,3}",
        vec(any::<char>(), 0..6).prop_map(|c| c.into_iter().collect()),
        (select(NASTY), select(NASTY)).prop_map(|(a, b)| format!("{a}{b}")),
    ]
    .boxed()
}

fn float() -> BoxedStrategy<Value> {
    let number = |x: f64| Number::from_f64(x).map(Value::Number);
    prop_oneof![
        (-1e6..1e6f64).prop_filter_map("finite", number),
        any::<f64>()
            .prop_filter("within the grammar", |x| x.abs() < 1e300)
            .prop_filter_map("f", number),
        any::<i32>().prop_map(Value::from),
    ]
    .boxed()
}

fn any_json() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        float(),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec((text(), inner), 0..3).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
    .boxed()
}

fn limited(kind: Kind, constraints: Constraints) -> Type {
    Type { kind, constraints }
}

fn length(low: usize, high: usize) -> Constraints {
    Constraints { min_len: Some(low), max_len: Some(high), ..Constraints::default() }
}

fn labels() -> BoxedStrategy<Vec<Value>> {
    let label = prop_oneof![
        4 => "[a-z]{1,8}( [a-z]{1,4})?".prop_map(Value::from),
        2 => text().prop_map(Value::from),
        1 => any::<i8>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
    ];
    vec(label, 1..5)
        .prop_map(|all| {
            let mut seen = BTreeSet::new();
            all.into_iter().filter(|v| seen.insert(v.to_string())).collect()
        })
        .boxed()
}

fn leaf() -> BoxedStrategy<Type> {
    let range = |low: i32, high: i32| Constraints {
        min: Some(low.min(high).into()),
        max: Some(low.max(high).into()),
        ..Constraints::default()
    };
    let tenths = |n: i32| Number::from_f64(f64::from(n) / 10.0);
    prop_oneof![
        4 => Just(Type::str()),
        1 => (0usize..3, 0usize..5).prop_map(|(a, b)| limited(Kind::Str, length(a, a + b))),
        1 => vec(text(), 1..4).prop_map(|t| {
            let set: BTreeSet<String> = t.into_iter().collect();
            let one_of = set.into_iter().map(Value::from).collect();
            limited(Kind::Str, Constraints { one_of, ..Constraints::default() })
        }),
        1 => Just(Kind::Int.into()),
        1 => (any::<i32>(), -50..50i32).prop_map(move |(a, b)| limited(Kind::Int, range(a, b))),
        1 => Just(Kind::Float.into()),
        1 => (-50..50i32, -50..50i32).prop_map(move |(a, b)| {
            let (min, max) = (tenths(a.min(b)), tenths(a.max(b)));
            limited(Kind::Float, Constraints { min, max, ..Constraints::default() })
        }),
        1 => Just(Kind::Bool.into()),
        1 => Just(Kind::Date.into()),
        1 => Just(Kind::Any.into()),
        2 => labels().prop_map(|v| Kind::Enum(v).into()),
    ]
    .boxed()
}

fn is_limited_text(ty: &Type) -> bool {
    match &ty.kind {
        Kind::Optional(inner) => is_limited_text(inner),
        Kind::Union(arms) => arms.iter().any(is_limited_text),
        kind => *kind == Kind::Str && !ty.constraints.is_empty(),
    }
}

/// A random type. Unions have no limited texts: see the exceptions of the grammar.
pub fn ty() -> BoxedStrategy<Type> {
    leaf()
        .prop_recursive(3, 12, 3, move |inner| {
            let field = |(name, ty): (String, Type)| ObjectField {
                name: Arc::from(name),
                ty,
                description: Arc::from(""),
            };
            let names = select(&["x", "y", "long_name", "Ünit"][..]);
            prop_oneof![
                inner.clone().prop_map(Type::list),
                (inner.clone(), 0usize..2, 0usize..3)
                    .prop_map(|(t, a, b)| { limited(Kind::List(Box::new(t)), length(a, a + b)) }),
                inner.clone().prop_map(|t| Kind::Dict(Box::new(t)).into()),
                vec(inner.clone(), 1..3).prop_map(|t| Kind::Tuple(t).into()),
                vec((names.prop_map(str::to_owned), inner.clone()), 0..4).prop_map(move |f| {
                    let mut seen = BTreeSet::new();
                    let unique = f.into_iter().filter(|(n, _)| seen.insert(n.clone()));
                    Kind::Object(unique.map(field).collect()).into()
                }),
                inner.clone().prop_map(Type::optional),
                vec(inner.prop_filter("no limited text", |t| !is_limited_text(t)), 2..4)
                    .prop_map(Type::union),
            ]
        })
        .boxed()
}

/// A value that fits the type.
pub fn value(ty: &Type) -> BoxedStrategy<Value> {
    if let Some(values) = ty.choices() {
        return select(values.to_vec()).boxed();
    }
    let limits = ty.constraints.clone();
    let (low, high) = (limits.min_len.unwrap_or(0), limits.max_len.unwrap_or(3));
    let as_f64 = |n: &Option<Number>| n.as_ref().and_then(Number::as_f64);
    match &ty.kind {
        Kind::Str if limits.is_empty() => text().prop_map(Value::from).boxed(),
        Kind::Str => prop_oneof![
            vec(any::<char>(), low..=high),
            vec(select(&['"', ' ', 'a', '\n', '\\', 'N'][..]), low..=high),
        ]
        .prop_map(|c| Value::from(c.into_iter().collect::<String>()))
        .boxed(),
        Kind::Int => match (as_f64(&limits.min), as_f64(&limits.max)) {
            (Some(a), Some(b)) => (a as i64..=b as i64).prop_map(Value::from).boxed(),
            _ => {
                prop_oneof![any::<i64>().prop_map(Value::from), any::<u64>().prop_map(Value::from)]
                    .boxed()
            }
        },
        Kind::Float => match (as_f64(&limits.min), as_f64(&limits.max)) {
            (Some(a), Some(b)) => (a..=b).prop_map(|x| json!(x)).boxed(),
            _ => float(),
        },
        Kind::Bool => any::<bool>().prop_map(Value::from).boxed(),
        Kind::Date => (0..9999u32, 1..=12u32, 1..=28u32)
            .prop_map(|(y, m, d)| json!(format!("{y:04}-{m:02}-{d:02}")))
            .boxed(),
        Kind::List(item) => vec(value(item), low..=high).prop_map(Value::from).boxed(),
        Kind::Dict(item) => vec((text(), value(item)), 0..3)
            .prop_map(|m| Value::Object(m.into_iter().collect()))
            .boxed(),
        Kind::Tuple(items) => {
            items.iter().map(value).collect::<Vec<_>>().prop_map(Value::from).boxed()
        }
        Kind::Optional(inner) => prop_oneof![1 => Just(Value::Null), 3 => value(inner)].boxed(),
        Kind::Union(arms) => proptest::strategy::Union::new(arms.iter().map(value)).boxed(),
        Kind::Object(fields) => {
            let names: Vec<_> = fields.iter().map(|f| f.name.to_string()).collect();
            let values = fields.iter().map(|f| value(&f.ty)).collect::<Vec<_>>();
            let object = move |v: Vec<Value>| names.iter().cloned().zip(v).collect::<Map<_, _>>();
            values.prop_map(object).prop_map(Value::Object).boxed()
        }
        _ => any_json(),
    }
}

/// A random signature with a record of outputs that fit.
pub fn case() -> BoxedStrategy<(Signature, Record)> {
    vec(ty(), 1..4)
        .prop_flat_map(|types| {
            let values = types.iter().map(value).collect::<Vec<_>>();
            (Just(types), values)
        })
        .prop_map(|(types, values)| {
            let names = ["a", "b", "answer"];
            let field = |(n, t): (&&str, Type)| Field::new(*n, t);
            let outputs = names.iter().zip(types).map(field).collect();
            let signature = Signature::new("", Vec::new(), outputs, TypeDefs::new()).unwrap();
            (signature, names.into_iter().zip(values).collect())
        })
        .boxed()
}
