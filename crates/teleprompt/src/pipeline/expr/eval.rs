//! Conditions on the values of a run.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::{Comparison, Expr, Op};

static NULL: Value = Value::Null;

impl Expr {
    /// Whether it holds, with `look` to find values by their key.
    ///
    /// # Errors
    /// Values are ordered that have no order.
    pub fn holds<'v>(&'v self, look: &impl Fn(&str) -> Option<&'v Value>) -> Result<bool, String> {
        match self {
            Expr::Not(inner) => Ok(!inner.holds(look)?),
            Expr::And(parts) => {
                for part in parts {
                    if !part.holds(look)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Expr::Or(parts) => {
                for part in parts {
                    if part.holds(look)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Expr::Compare(comparison) => compare(comparison, look),
            Expr::Literal(..) | Expr::Name(..) => Ok(is_true(self.value(look)?.as_ref())),
        }
    }

    fn value<'v>(
        &'v self,
        look: &impl Fn(&str) -> Option<&'v Value>,
    ) -> Result<Cow<'v, Value>, String> {
        Ok(match self {
            Expr::Literal(value, _) => Cow::Borrowed(value),
            Expr::Name(key, _) => Cow::Borrowed(look(key).unwrap_or(&NULL)),
            condition => Cow::Owned(Value::Bool(condition.holds(look)?)),
        })
    }
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(b) => *b,
        Value::Number(n) => n.as_f64() != Some(0.0),
        Value::String(s) => !s.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

fn compare<'v>(
    comparison: &'v Comparison,
    look: &impl Fn(&str) -> Option<&'v Value>,
) -> Result<bool, String> {
    let (left, right) = (comparison.left.value(look)?, comparison.right.value(look)?);
    match comparison.op {
        Op::Eq => Ok(same(&left, &right)),
        Op::Ne => Ok(!same(&left, &right)),
        Op::In => within(&left, &right),
        Op::NotIn => Ok(!within(&left, &right)?),
        Op::Lt => Ok(order(&left, &right)?.is_some_and(Ordering::is_lt)),
        Op::Le => Ok(order(&left, &right)?.is_some_and(Ordering::is_le)),
        Op::Gt => Ok(order(&left, &right)?.is_some_and(Ordering::is_gt)),
        Op::Ge => Ok(order(&left, &right)?.is_some_and(Ordering::is_ge)),
    }
}

/// Equality with numbers as numbers, at any depth.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => number_order(a, b) == Some(Ordering::Equal),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, v)| b.get(key).is_some_and(|w| same(v, w)))
        }
        _ => a == b,
    }
}

/// The order of two values; none if one is nothing.
fn order(a: &Value, b: &Value) -> Result<Option<Ordering>, String> {
    match (a, b) {
        (Value::Null, _) | (_, Value::Null) => Ok(None),
        (Value::Number(a), Value::Number(b)) => Ok(number_order(a, b)),
        (Value::String(a), Value::String(b)) => Ok(Some(a.cmp(b))),
        _ => Err(format!(
            "{} and {} have no order; only two numbers or two texts have one",
            shown(a),
            shown(b)
        )),
    }
}

fn number_order(a: &Number, b: &Number) -> Option<Ordering> {
    let whole = |n: &Number| n.as_i64().map(i128::from).or(n.as_u64().map(i128::from));
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

fn within(a: &Value, b: &Value) -> Result<bool, String> {
    match (a, b) {
        (_, Value::Null) => Ok(false),
        (item, Value::Array(items)) => Ok(items.iter().any(|other| same(item, other))),
        (Value::String(part), Value::String(text)) => Ok(text.contains(part.as_str())),
        (Value::String(key), Value::Object(map)) => Ok(map.contains_key(key)),
        (Value::Null, Value::String(_) | Value::Object(_)) => Ok(false),
        _ => Err(format!("{} cannot be looked for in {}", shown(a), shown(b))),
    }
}

/// A value for an error message, cut if it is long.
fn shown(value: &Value) -> String {
    const MOST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
