//! Constraints: a value beyond its limits is an error, never bent.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use regex::Regex;
use serde_json::{Number, Value};

use super::problem;
use crate::parse::words::shortened;
use crate::{FieldError, Type};

/// Checks a value against the constraints of its type.
pub(super) fn check(value: &Value, ty: &Type) -> Result<(), Vec<FieldError>> {
    if ty.constraints.is_empty() {
        return Ok(());
    }
    match broken(value, ty) {
        Some(what) => Err(problem(what, ty)),
        None => Ok(()),
    }
}

fn broken(value: &Value, ty: &Type) -> Option<String> {
    let limits = &ty.constraints;
    if let Value::Number(n) = value {
        if limits.min.as_ref().is_some_and(|min| below(n, min)) {
            return Some(format!("{n} is too small"));
        }
        if limits.max.as_ref().is_some_and(|max| below(max, n)) {
            return Some(format!("{n} is too large"));
        }
    }
    let (len, unit) = match value {
        Value::String(s) if limits.min_len.is_some() || limits.max_len.is_some() => {
            (s.chars().count(), "characters")
        }
        Value::Array(items) => (items.len(), "items"),
        Value::Object(map) => (map.len(), "entries"),
        _ => (0, ""),
    };
    let too_long = limits.max_len.is_some_and(|most| len > most);
    if !unit.is_empty() && (too_long || limits.min_len.is_some_and(|least| len < least)) {
        return Some(format!("it has {len} {unit}"));
    }
    if let (Some(pattern), Value::String(s)) = (&limits.pattern, value)
        && !matches(pattern, s)
    {
        return Some(format!("{} does not match", shortened(s)));
    }
    let allowed = limits.one_of.is_empty() || limits.one_of.iter().any(|v| equal(v, value));
    (!allowed).then(|| format!("{} is none of the values", shortened(&value.to_string())))
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => !below(a, b) && !below(b, a),
        _ => a == b,
    }
}

fn below(a: &Number, b: &Number) -> bool {
    match (a.as_i128(), b.as_i128()) {
        (Some(a), Some(b)) => a < b,
        _ => a.as_f64() < b.as_f64(),
    }
}

/// Compiling a pattern takes longer than everything else in a call, so the last ones are kept. What
/// is kept follows from the pattern alone: two programs cannot disturb each other.
static COMPILED: LazyLock<RwLock<HashMap<Arc<str>, Arc<Regex>>>> = LazyLock::new(RwLock::default);

const MOST_COMPILED: usize = 256;

fn matches(pattern: &Arc<str>, text: &str) -> bool {
    let known = COMPILED.read().unwrap_or_else(PoisonError::into_inner).get(pattern).cloned();
    if let Some(regex) = known {
        return regex.is_match(text);
    }
    // Signatures refuse patterns that do not compile; one made in code limits nothing.
    let Ok(regex) = Regex::new(&format!("^(?:{pattern})$")) else {
        return true;
    };
    let regex = Arc::new(regex);
    let mut all = COMPILED.write().unwrap_or_else(PoisonError::into_inner);
    if all.len() >= MOST_COMPILED {
        all.clear();
    }
    all.insert(pattern.clone(), regex.clone());
    drop(all);
    regex.is_match(text)
}
