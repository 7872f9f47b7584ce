//! What holds for every signature, however it was made, so that its text parses to the same value.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Number, Value};

use super::{Field, SignatureError};
use crate::types::{Constraints, Kind, ObjectField, Type, TypeDefs};

/// The names of types, as suggestions show them.
pub(super) const BASES: &[&str] = &[
    "str", "int", "float", "bool", "date", "any", "list", "dict", "tuple", "optional", "enum",
    "literal",
];

/// Other words that the notation reads as types or as its own.
const ALIASES: &[&str] = &[
    "string", "integer", "number", "boolean", "Any", "List", "Dict", "Tuple", "Optional",
    "Literal", "None", "null", "where",
];

/// Nesting deeper than this is refused rather than risking the stack.
pub(super) const MAX_DEPTH: usize = 64;

/// Whether a definition cannot have this name.
pub(super) fn is_reserved(name: &str) -> bool {
    BASES.contains(&name) || ALIASES.contains(&name)
}

/// Whether the notation reads this as one word.
pub(crate) fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && chars.all(|c| c.is_alphanumeric() || c == '_')
}

/// Checks a whole signature.
pub(super) fn signature(
    inputs: &[Field],
    outputs: &[Field],
    defs: &TypeDefs,
) -> Result<(), SignatureError> {
    if outputs.is_empty() {
        return Err(SignatureError::plain("a signature needs at least one output"));
    }
    let mut seen = HashSet::new();
    for field in inputs.iter().chain(outputs) {
        let name = &field.name;
        if !is_identifier(name) {
            let message = format!("`{name}` is no field name: use letters, digits and `_`");
            return Err(SignatureError::plain(message));
        }
        if !seen.insert(name) {
            return Err(SignatureError::plain(format!("the field `{name}` is there twice")));
        }
        type_of(&field.ty, defs, 1)
            .map_err(|m| SignatureError::plain(format!("field `{name}`: {m}")))?;
    }
    definitions(defs)
}

fn definitions(defs: &TypeDefs) -> Result<(), SignatureError> {
    for (name, ty) in defs {
        if !is_identifier(name) || is_reserved(name) {
            let message = format!("a type cannot be named `{name}`");
            return Err(SignatureError::plain(message));
        }
        type_of(ty, defs, 1).map_err(|m| SignatureError::plain(format!("type `{name}`: {m}")))?;
    }
    match only_itself(defs) {
        Some(name) => Err(SignatureError::plain(only_itself_message(name))),
        None => Ok(()),
    }
}

/// A definition that leads back to itself without any structure between, so that it says nothing.
pub(super) fn only_itself(defs: &TypeDefs) -> Option<&Arc<str>> {
    defs.iter()
        .find(|(name, ty)| reaches(ty, name, defs, &mut HashSet::new()))
        .map(|(name, _)| name)
}

pub(super) fn only_itself_message(name: &str) -> String {
    format!("the type `{name}` is defined only by itself")
}

fn type_of(ty: &Type, defs: &TypeDefs, depth: usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("types are nested more than {MAX_DEPTH} deep"));
    }
    constraints(&ty.kind, &ty.constraints)?;
    let all = |parts: &[Type]| parts.iter().try_for_each(|t| type_of(t, defs, depth + 1));
    match &ty.kind {
        Kind::List(inner) | Kind::Dict(inner) => type_of(inner, defs, depth + 1),
        Kind::Optional(inner) if matches!(inner.kind, Kind::Optional(_)) => {
            Err("an optional type cannot be optional once more".into())
        }
        Kind::Optional(inner) => type_of(inner, defs, depth + 1),
        Kind::Tuple(items) if items.is_empty() => Err("a tuple needs at least one item".into()),
        Kind::Tuple(items) => all(items),
        Kind::Union(arms) => {
            let nested = arms.iter().any(|t| matches!(t.kind, Kind::Union(_)));
            if arms.len() < 2 || nested || has_twins(arms) {
                return Err("a union needs two or more different types, none a union".into());
            }
            all(arms)
        }
        Kind::Enum(values) => {
            let odd = |v: &Value| !(v.is_string() || v.is_number() || v.is_boolean());
            if values.is_empty() || values.iter().any(odd) || has_twins(values) {
                return Err("an enum needs different values: texts, numbers or bools".into());
            }
            Ok(())
        }
        Kind::Object(fields) => object(fields, defs, depth),
        Kind::Ref(name) if !defs.contains_key(name) => {
            Err(format!("the type `{name}` is not defined"))
        }
        _ => Ok(()),
    }
}

fn object(fields: &[ObjectField], defs: &TypeDefs, depth: usize) -> Result<(), String> {
    let mut seen = HashSet::new();
    for field in fields {
        if field.name.is_empty() || !seen.insert(&field.name) {
            return Err(format!("the name `{}` is empty or there twice", field.name));
        }
        type_of(&field.ty, defs, depth + 1)?;
    }
    Ok(())
}

fn has_twins<T: PartialEq>(items: &[T]) -> bool {
    items.iter().enumerate().any(|(i, a)| items.iter().skip(i + 1).any(|b| a == b))
}

/// Whether a definition leads back to `name` without any structure between.
fn reaches(ty: &Type, name: &Arc<str>, defs: &TypeDefs, seen: &mut HashSet<Arc<str>>) -> bool {
    match &ty.kind {
        Kind::Ref(target) if target == name => true,
        Kind::Ref(target) => {
            seen.insert(target.clone())
                && defs.get(target).is_some_and(|t| reaches(t, name, defs, seen))
        }
        Kind::Optional(inner) => reaches(inner, name, defs, seen),
        Kind::Union(arms) => arms.iter().any(|t| reaches(t, name, defs, seen)),
        _ => false,
    }
}

/// Whether a kind can have these limits, and whether they admit anything.
pub(super) fn constraints(kind: &Kind, limits: &Constraints) -> Result<(), String> {
    let number = matches!(kind, Kind::Int | Kind::Float);
    let sized = matches!(kind, Kind::Str | Kind::List(_) | Kind::Dict(_));
    let text = *kind == Kind::Str;
    let wrong = |what: &str, on: &str| {
        Err(format!("`{}` takes no {what}: only {on} do", Type::from(kind.clone())))
    };
    if (limits.min.is_some() || limits.max.is_some()) && !number {
        return wrong("range", "int and float");
    }
    if (limits.min_len.is_some() || limits.max_len.is_some()) && !sized {
        return wrong("length", "str, list and dict");
    }
    if limits.pattern.is_some() && !text {
        return wrong("pattern", "str");
    }
    if !limits.one_of.is_empty() && !number && !text {
        return wrong("`in`", "str, int and float");
    }
    if let Some(value) = limits.one_of.iter().find(|v| !admits(kind, v)) {
        return Err(format!("{value} is no {}", Type::from(kind.clone())));
    }
    if has_twins(&limits.one_of) {
        return Err("a value of `in` is there twice".into());
    }
    range(
        limits.min.as_ref().and_then(Number::as_f64),
        limits.max.as_ref().and_then(Number::as_f64),
    )?;
    range(limits.min_len, limits.max_len)?;
    limits.pattern.as_deref().map_or(Ok(()), pattern)
}

fn admits(kind: &Kind, value: &Value) -> bool {
    match kind {
        Kind::Str => value.is_string(),
        Kind::Int => value.is_i64() || value.is_u64(),
        _ => value.is_number(),
    }
}

/// Whether a range admits anything.
pub(super) fn range<T: PartialOrd + std::fmt::Display>(
    low: Option<T>,
    high: Option<T>,
) -> Result<(), String> {
    match (low, high) {
        (Some(a), Some(b)) if a > b => Err(format!("the range {a}..{b} is empty")),
        _ => Ok(()),
    }
}

/// Whether a pattern is a regular expression.
pub(crate) fn pattern(pattern: &str) -> Result<(), String> {
    let Err(error) = regex::Regex::new(pattern) else { return Ok(()) };
    let error = error.to_string();
    let reason = error.lines().last().unwrap_or("").trim().trim_start_matches("error: ");
    Err(format!("this pattern is wrong: {reason}"))
}
