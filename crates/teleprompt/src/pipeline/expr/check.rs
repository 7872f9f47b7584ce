//! Mistakes in conditions that the types show before anything runs.

use std::fmt;

use serde_json::Value;
use teleprompt_core::names::closest;
use teleprompt_core::{Kind, Type, TypeDefs};

use super::eval::same;
use super::{Comparison, Expr, Op};
use crate::pipeline::mistake::Mistake;

/// What is known of a name before the run.
pub(in crate::pipeline) struct Known<'t> {
    /// The types that its value may have, according to the step that gave it.
    pub types: Vec<&'t Type>,
    pub defs: &'t TypeDefs,
}

/// What kind of value an operand has, as far as comparisons tell kinds apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Number,
    Text,
    Bool,
    List,
    Map,
    Unknown,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::Number => "a number",
            Class::Text => "text",
            Class::Bool => "true or false",
            Class::List => "a list",
            Class::Map => "a record or dict",
            Class::Unknown => "any value",
        })
    }
}

/// Refuses comparisons that could never be meant.
pub(in crate::pipeline) fn check<'t>(
    expr: &Expr,
    look: &impl Fn(&str) -> Known<'t>,
) -> Result<(), Mistake> {
    match expr {
        Expr::Literal(..) | Expr::Name(..) => Ok(()),
        Expr::Not(inner) => check(inner, look),
        Expr::And(parts) | Expr::Or(parts) => parts.iter().try_for_each(|p| check(p, look)),
        Expr::Compare(c) => {
            check(&c.left, look)?;
            check(&c.right, look)?;
            comparison(c, look)
        }
    }
}

fn comparison<'t>(c: &Comparison, look: &impl Fn(&str) -> Known<'t>) -> Result<(), Mistake> {
    let (left, right) = (class(&c.left, look), class(&c.right, look));
    let wrong = |message: String| Err(Mistake::new(c.place.0.clone(), message));
    match c.op {
        Op::Eq | Op::Ne => {
            if left != right && left != Class::Unknown && right != Class::Unknown {
                return wrong(format!("{left} is never equal to {right}"));
            }
            one_of(&c.left, &c.right, look)?;
            one_of(&c.right, &c.left, look)
        }
        Op::In | Op::NotIn => match (left, right) {
            (_, Class::Number | Class::Bool) => wrong(format!("nothing can be in {right}")),
            (Class::Text | Class::Unknown, Class::Text | Class::Map) => Ok(()),
            (_, Class::Text | Class::Map) => wrong(format!("{left} is never in {right}")),
            (_, Class::List | Class::Unknown) => one_of(&c.left, &c.right, look),
        },
        Op::Lt | Op::Le | Op::Gt | Op::Ge => {
            let ordered = |class| matches!(class, Class::Number | Class::Text | Class::Unknown);
            if !ordered(left) || !ordered(right) {
                let class = if ordered(left) { right } else { left };
                return wrong(format!("{class} is neither smaller nor greater than anything"));
            }
            if left != right && left != Class::Unknown && right != Class::Unknown {
                return wrong(format!("{left} and {right} have no order"));
            }
            Ok(())
        }
    }
}

fn class<'t>(expr: &Expr, look: &impl Fn(&str) -> Known<'t>) -> Class {
    match expr {
        Expr::Literal(value, _) => class_of_value(value),
        Expr::Name(key, _) => {
            let known = look(key);
            common(known.types.iter().map(|ty| class_of_type(ty, known.defs)))
        }
        _ => Class::Bool,
    }
}

fn class_of_value(value: &Value) -> Class {
    match value {
        Value::Null => Class::Unknown,
        Value::Bool(_) => Class::Bool,
        Value::Number(_) => Class::Number,
        Value::String(_) => Class::Text,
        Value::Array(_) => Class::List,
        Value::Object(_) => Class::Map,
    }
}

fn class_of_type(ty: &Type, defs: &TypeDefs) -> Class {
    match &ty.kind {
        Kind::Str | Kind::Date => Class::Text,
        Kind::Int | Kind::Float => Class::Number,
        Kind::Bool => Class::Bool,
        Kind::List(_) | Kind::Tuple(_) => Class::List,
        Kind::Dict(_) | Kind::Object(_) => Class::Map,
        Kind::Optional(inner) => class_of_type(inner, defs),
        Kind::Union(arms) => common(arms.iter().map(|arm| class_of_type(arm, defs))),
        Kind::Enum(values) => common(values.iter().map(class_of_value)),
        // A name that leads to itself through a union or optional is refused by the signature.
        Kind::Ref(name) => defs.get(name).map_or(Class::Unknown, |ty| class_of_type(ty, defs)),
        _ => Class::Unknown,
    }
}

fn common(mut classes: impl Iterator<Item = Class>) -> Class {
    let Some(first) = classes.next() else { return Class::Unknown };
    if classes.all(|class| class == first) { first } else { Class::Unknown }
}

/// A name that has few possible values, compared with literals: all of them possible.
fn one_of<'t>(
    name: &Expr,
    literal: &Expr,
    look: &impl Fn(&str) -> Known<'t>,
) -> Result<(), Mistake> {
    let (Expr::Name(key, _), Expr::Literal(value, place)) = (name, literal) else { return Ok(()) };
    let known = look(key);
    let choices: Option<Vec<&[Value]>> =
        known.types.iter().map(|ty| choices(ty, known.defs)).collect();
    let Some(choices) = choices.filter(|c| !c.is_empty()) else { return Ok(()) };
    let values = match value {
        Value::Array(items) => items.as_slice(),
        single => std::slice::from_ref(single),
    };
    let possible = |v: &Value| v.is_null() || choices.iter().copied().flatten().any(|c| same(c, v));
    let Some(never) = values.iter().find(|v| !possible(v)) else { return Ok(()) };
    let all: Vec<String> = choices.iter().copied().flatten().map(Value::to_string).collect();
    let near = closest(&never.to_string(), all.iter().map(String::as_str));
    let help = near.map_or_else(
        || format!("it is one of: {}", all.join(", ")),
        |near| format!("did you mean `{near}`?"),
    );
    Err(Mistake::new(place.0.clone(), format!("`{key}` is never {never}")).help(help))
}

fn choices<'t>(ty: &'t Type, defs: &'t TypeDefs) -> Option<&'t [Value]> {
    match &ty.kind {
        Kind::Optional(inner) => choices(inner, defs),
        Kind::Ref(name) => defs.get(name).and_then(|ty| choices(ty, defs)),
        _ => ty.choices(),
    }
}
