//! The types that signature fields may have.
//!
//! A [`Type`] is a kind with constraints. Its text form is the notation of signatures
//! (`list[str]`, `int(0..10)`, `{name: str, age: int}?`); its JSON-schema form goes to LMs and
//! grammars.

mod from_schema;
mod pattern;
mod schema;
mod text;

pub use schema::record_schema;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Number, Value};

/// Named types, for recursion: `where Node = {value: str, children: list[Node]}`.
pub type TypeDefs = BTreeMap<Arc<str>, Type>;

/// A type: what kind of value, within which limits.
#[derive(Clone, Debug, PartialEq)]
pub struct Type {
    /// What kind of value.
    pub kind: Kind,
    /// The limits it must keep.
    pub constraints: Constraints,
}

/// What kind of value a [`Type`] admits.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// Text.
    Str,
    /// A whole number within 64 bits.
    Int,
    /// A number.
    Float,
    /// `true` or `false`.
    Bool,
    /// A calendar date, `YYYY-MM-DD`.
    Date,
    /// Any JSON value.
    Any,
    /// Values of one type, in order.
    List(Box<Type>),
    /// A map from text to values of one type.
    Dict(Box<Type>),
    /// A fixed number of values, each with its own type; a JSON array.
    Tuple(Vec<Type>),
    /// The type, or nothing (`null`).
    Optional(Box<Type>),
    /// One of several types; the first that fits wins.
    Union(Vec<Type>),
    /// One of these scalars (text, number or bool).
    Enum(Vec<Value>),
    /// A record with named fields.
    Object(Vec<ObjectField>),
    /// A type of the signature's `where` part, by name.
    Ref(Arc<str>),
}

/// A field of a [`Kind::Object`].
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectField {
    /// Its name.
    pub name: Arc<str>,
    /// Its type; an optional one may be left out.
    pub ty: Type,
    /// What it means; may be empty.
    pub description: Arc<str>,
}

/// Limits of a value. The default limits nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Constraints {
    /// Smallest number, inclusive.
    pub min: Option<Number>,
    /// Largest number, inclusive.
    pub max: Option<Number>,
    /// Fewest characters (text), items (list) or entries (dict).
    pub min_len: Option<usize>,
    /// Most characters, items or entries.
    pub max_len: Option<usize>,
    /// A regular expression that the whole text must match.
    pub pattern: Option<Arc<str>>,
    /// The only values allowed; empty for any.
    pub one_of: Vec<Value>,
}

impl Constraints {
    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == Constraints::default()
    }
}

impl From<Kind> for Type {
    fn from(kind: Kind) -> Self {
        Self { kind, constraints: Constraints::default() }
    }
}

impl Type {
    /// Text.
    pub fn str() -> Self {
        Kind::Str.into()
    }

    /// A list of this type.
    pub fn list(item: Type) -> Self {
        Kind::List(Box::new(item)).into()
    }

    /// This type or nothing. Optional stays optional.
    pub fn optional(self) -> Self {
        match self.kind {
            Kind::Optional(_) => self,
            _ => Kind::Optional(Box::new(self)).into(),
        }
    }

    /// One of these types. Unions in it are taken apart and equal types kept once, so that one
    /// different type alone is itself.
    pub fn union(arms: impl IntoIterator<Item = Type>) -> Self {
        let mut flat: Vec<Type> = Vec::new();
        for arm in arms {
            let parts = match arm.kind {
                Kind::Union(inner) => inner,
                _ => vec![arm],
            };
            for part in parts {
                if !flat.contains(&part) {
                    flat.push(part);
                }
            }
        }
        match flat.len() {
            1 => flat.remove(0),
            _ => Kind::Union(flat).into(),
        }
    }

    /// An enum of texts.
    ///
    /// ```
    /// use teleprompt_core::Type;
    /// assert_eq!(Type::enumeration(["yes", "no"]).to_string(), r#"enum["yes", "no"]"#);
    /// ```
    pub fn enumeration<S: Into<String>>(values: impl IntoIterator<Item = S>) -> Self {
        Kind::Enum(values.into_iter().map(|v| Value::String(v.into())).collect()).into()
    }

    /// The named types that it refers to, in the order they stand in it.
    pub fn refs(&self) -> Vec<Arc<str>> {
        match &self.kind {
            Kind::Ref(name) => vec![name.clone()],
            Kind::List(t) | Kind::Dict(t) | Kind::Optional(t) => t.refs(),
            Kind::Tuple(items) | Kind::Union(items) => items.iter().flat_map(Type::refs).collect(),
            Kind::Object(fields) => fields.iter().flat_map(|f| f.ty.refs()).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether `null` is a value of it.
    pub fn is_nullable(&self, defs: &TypeDefs) -> bool {
        match &self.kind {
            Kind::Optional(_) | Kind::Any => true,
            Kind::Union(arms) => arms.iter().any(|t| t.is_nullable(defs)),
            Kind::Ref(name) => {
                // A definition that is only itself is refused when parsed, so this ends.
                defs.get(name)
                    .is_some_and(|t| !matches!(t.kind, Kind::Ref(_)) && t.is_nullable(defs))
            }
            _ => false,
        }
    }

    /// Whether it is text without limits: nothing to check or repair.
    pub fn is_plain_str(&self) -> bool {
        self.kind == Kind::Str && self.constraints.is_empty()
    }

    /// The values it is limited to, if it is an enum or has a one-of constraint.
    pub fn choices(&self) -> Option<&[Value]> {
        match &self.kind {
            Kind::Enum(values) => Some(values),
            _ if !self.constraints.one_of.is_empty() => Some(&self.constraints.one_of),
            _ => None,
        }
    }
}
