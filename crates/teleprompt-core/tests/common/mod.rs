//! Random types and signatures: all kinds, constraints, texts in all writing, recursion.

use std::collections::HashSet;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Number, Value};
use teleprompt_core::{Constraints, Field, Kind, ObjectField, Signature, Type, TypeDefs};

/// The named types that random types refer to.
const NAMES: [&str; 2] = ["Node", "Äste"];

/// Text with quotes, escapes, line breaks and all of Unicode.
pub fn texts() -> impl Strategy<Value = Arc<str>> {
    prop_oneof![
        3 => Just(String::new()),
        3 => "[a-z ]{1,12}",
        2 => "[\"'\\\\\n\r\t\u{0}\u{7f}\u{2028}{}\\[\\]a-c>-]{1,8}",
        2 => any::<String>(),
    ]
    .prop_map(Arc::from)
}

fn words() -> impl Strategy<Value = Arc<str>> {
    prop_oneof![
        4 => "[a-zA-Z_][a-zA-Z0-9_]{0,6}",
        1 => prop::sample::select(vec!["where", "in", "len", "list", "true", "é", "名前"])
            .prop_map(str::to_owned),
    ]
    .prop_map(Arc::from)
}

fn numbers() -> impl Strategy<Value = Number> {
    prop_oneof![
        any::<i64>().prop_map(Number::from),
        any::<u64>().prop_map(Number::from),
        (-20..20_i64).prop_map(Number::from),
        prop::num::f64::NORMAL.prop_filter_map("finite", Number::from_f64),
        prop::num::f64::SUBNORMAL.prop_filter_map("finite", Number::from_f64),
        Just(0.0).prop_filter_map("finite", Number::from_f64),
    ]
}

fn distinct<T: PartialEq>(items: Vec<T>) -> Vec<T> {
    let mut out = Vec::new();
    for item in items {
        if !out.contains(&item) {
            out.push(item);
        }
    }
    out
}

fn scalars() -> impl Strategy<Value = Value> {
    prop_oneof![
        texts().prop_map(|t| Value::from(&*t)),
        numbers().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
    ]
}

/// Two ends in order.
fn ends<T>(ends: (Option<T>, Option<T>), less: fn(&T, &T) -> bool) -> (Option<T>, Option<T>) {
    match ends {
        (Some(a), Some(b)) if less(&b, &a) => (Some(b), Some(a)),
        other => other,
    }
}

fn lengths() -> impl Strategy<Value = Constraints> {
    (option::of(any::<usize>()), option::of(0..9_usize)).prop_map(|pair| {
        let (min_len, max_len) = ends(pair, |a, b| a < b);
        Constraints { min_len, max_len, ..Constraints::default() }
    })
}

#[derive(Clone, Debug, PartialEq)]
struct End(Number);

impl PartialOrd for End {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.0.as_f64()?.partial_cmp(&other.0.as_f64()?)
    }
}

fn limited_numbers(kind: Kind) -> impl Strategy<Value = Type> {
    let one_of = if kind == Kind::Int {
        vec(any::<i64>().prop_map(Value::from), 0..3).boxed()
    } else {
        vec(numbers().prop_map(Value::from), 0..3).boxed()
    };
    let end = || option::of(numbers().prop_map(End));
    (end(), end(), one_of).prop_map(move |(a, b, one_of)| {
        let (min, max) = ends((a, b), |a, b| a < b);
        let one_of = distinct(one_of);
        let (min, max) = (min.map(|e| e.0), max.map(|e| e.0));
        let constraints = Constraints { min, max, one_of, ..Constraints::default() };
        Type { kind: kind.clone(), constraints }
    })
}

fn limited_texts() -> impl Strategy<Value = Type> {
    let patterns =
        prop::sample::select(vec!["[a-z]+", r#"\d{3}"?"#, "(a|b)*", "é\\n'", "^x$", "a|b"]);
    let one_of = vec(texts().prop_map(|t| Value::from(&*t)), 0..3);
    (lengths(), option::of(patterns), one_of).prop_map(|(lengths, pattern, one_of)| {
        let one_of = distinct(one_of);
        let constraints = Constraints { pattern: pattern.map(Arc::from), one_of, ..lengths };
        Type { kind: Kind::Str, constraints }
    })
}

fn leaves() -> impl Strategy<Value = Type> {
    prop_oneof![
        Just(Type::str()),
        prop::sample::select(vec![Kind::Int, Kind::Float, Kind::Bool, Kind::Date, Kind::Any])
            .prop_map(Type::from),
        limited_numbers(Kind::Int),
        limited_numbers(Kind::Float),
        limited_texts(),
        vec(scalars(), 1..4).prop_map(|values| Kind::Enum(distinct(values)).into()),
        prop::sample::select(NAMES.to_vec()).prop_map(|n| Kind::Ref(n.into()).into()),
    ]
}

fn objects(inner: impl Strategy<Value = Type>) -> impl Strategy<Value = Type> {
    let names = prop_oneof![3 => words(), 1 => texts().prop_filter("a name", |t| !t.is_empty())];
    vec((names, inner, texts()), 0..4).prop_map(|fields| {
        let mut seen = HashSet::new();
        let fields = fields.into_iter().filter(|(name, ..)| seen.insert(name.clone()));
        let field = |(name, ty, description)| ObjectField { name, ty, description };
        Kind::Object(fields.map(field).collect()).into()
    })
}

/// Types of every kind, up to four levels deep.
pub fn types() -> impl Strategy<Value = Type> {
    leaves().prop_recursive(4, 24, 4, |inner| {
        let sized = |kind: fn(Box<Type>) -> Kind| {
            (inner.clone(), lengths())
                .prop_map(move |(ty, constraints)| Type { kind: kind(Box::new(ty)), constraints })
        };
        prop_oneof![
            sized(Kind::List),
            sized(Kind::Dict),
            vec(inner.clone(), 1..4).prop_map(|items| Kind::Tuple(items).into()),
            inner.clone().prop_map(Type::optional),
            vec(inner.clone(), 2..4).prop_map(Type::union),
            objects(inner),
        ]
    })
}

/// Signatures with instructions, inputs, outputs and recursive definitions.
pub fn signatures() -> impl Strategy<Value = Signature> {
    let fields = || vec((words(), types(), texts()), 0..4);
    (texts(), fields(), fields(), (words(), types(), texts()), types(), types()).prop_map(
        |(instructions, inputs, outputs, last, node, branch)| {
            let mut seen = HashSet::new();
            let mut keep = |fields: Vec<(Arc<str>, Type, Arc<str>)>| -> Vec<Field> {
                let fields = fields.into_iter().filter(|(name, ..)| seen.insert(name.clone()));
                fields.map(|(name, ty, text)| Field::new(name, ty).described(text)).collect()
            };
            let outputs = keep([vec![last], outputs].concat());
            let inputs = keep(inputs);
            // A list around each definition, for one that is only itself is none.
            let defs = TypeDefs::from([
                (NAMES[0].into(), Type::list(node)),
                (NAMES[1].into(), Type::list(branch)),
            ]);
            Signature::new(instructions, inputs, outputs, defs).unwrap()
        },
    )
}
