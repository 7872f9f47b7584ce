//! Types printed in the notation of signatures.

use std::fmt::{self, Display, Formatter, Write};

use serde_json::Value;

use super::{Constraints, Kind, ObjectField, Type};
use crate::signature::is_identifier;

impl Display for Type {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Union(arms) => separated(f, arms, " | "),
            Kind::Optional(inner) => {
                write_operand(f, inner)?;
                f.write_char('?')
            }
            kind => {
                write_kind(f, kind)?;
                self.constraints.fmt(f)
            }
        }
    }
}

fn write_kind(f: &mut Formatter<'_>, kind: &Kind) -> fmt::Result {
    match kind {
        Kind::Str => f.write_str("str"),
        Kind::Int => f.write_str("int"),
        Kind::Float => f.write_str("float"),
        Kind::Bool => f.write_str("bool"),
        Kind::Date => f.write_str("date"),
        Kind::Any => f.write_str("any"),
        Kind::List(item) => write!(f, "list[{item}]"),
        Kind::Dict(value) => write!(f, "dict[str, {value}]"),
        Kind::Tuple(items) => {
            f.write_str("tuple[")?;
            separated(f, items, ", ")?;
            f.write_char(']')
        }
        Kind::Enum(values) => {
            f.write_str("enum[")?;
            separated(f, values, ", ")?;
            f.write_char(']')
        }
        Kind::Object(fields) => {
            f.write_char('{')?;
            separated(f, fields, ", ")?;
            f.write_char('}')
        }
        Kind::Ref(name) => f.write_str(name),
        Kind::Optional(_) | Kind::Union(_) => Ok(()),
    }
}

/// The operand of `?` and the arms of a union: a union inside needs parentheses.
fn write_operand(f: &mut Formatter<'_>, ty: &Type) -> fmt::Result {
    match ty.kind {
        Kind::Union(_) => write!(f, "({ty})"),
        _ => write!(f, "{ty}"),
    }
}

fn separated<T: Item>(f: &mut Formatter<'_>, items: &[T], separator: &str) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(separator)?;
        }
        item.write(f)?;
    }
    Ok(())
}

/// What can stand in a separated list.
trait Item {
    fn write(&self, f: &mut Formatter<'_>) -> fmt::Result;
}

impl Item for Type {
    fn write(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_operand(f, self)
    }
}

impl Item for Value {
    fn write(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Item for ObjectField {
    fn write(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match is_identifier(&self.name) {
            true => write!(f, "{}: {}", self.name, self.ty)?,
            false => write!(f, "{}: {}", Value::from(&*self.name), self.ty)?,
        }
        if !self.description.is_empty() {
            write!(f, " {}", Value::from(&*self.description))?;
        }
        Ok(())
    }
}

impl Display for Constraints {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return Ok(());
        }
        let mut parts = Vec::new();
        if self.min.is_some() || self.max.is_some() {
            parts.push(range(self.min.as_ref(), self.max.as_ref()));
        }
        if self.min_len.is_some() || self.max_len.is_some() {
            parts.push(format!("len {}", range(self.min_len, self.max_len)));
        }
        if let Some(pattern) = &self.pattern {
            parts.push(format!("pattern {}", Value::from(&**pattern)));
        }
        if !self.one_of.is_empty() {
            let values: Vec<_> = self.one_of.iter().map(Value::to_string).collect();
            parts.push(format!("in [{}]", values.join(", ")));
        }
        write!(f, "({})", parts.join(", "))
    }
}

fn range<T: Display>(low: Option<T>, high: Option<T>) -> String {
    let end = |v: Option<T>| v.map_or_else(String::new, |v| v.to_string());
    format!("{}..{}", end(low), end(high))
}
