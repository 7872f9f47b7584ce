//! The conditions of a pipeline: `when` and `until`.
//!
//! ```text
//! condition  = both or both …
//! both       = test and test …
//! test       = not test
//!            | operand [comparison operand]
//! comparison = == != < <= > >= in, not in
//! operand    = name | step.field
//!            | 3 0.5 "text" 'text' true false null [literal, …]
//!            | (condition)
//! ```
//! * `not` binds tighter than `and`, `and` tighter than `or`; comparisons do not chain.
//! * An operand on its own is true unless it is nothing, `false`, `0`, `""`, `[]` or `{}`.
//! * A name that has no value is `null`, which is equal to `null` only and neither smaller nor
//!   greater than anything: `not x < 1` is true without an `x`, `x >= 1` is not.
//! * Numbers compare as numbers (`1 == 1.0`), text by code points, dates as the text they are. To
//!   order other values, or values of unlike types, is an error, when the file is read if the
//!   types are known by then. Equality between unlike types is a mistake in the file, too;
//!   where the types are not known before, it is false.
//! * `in`: an item of a list, a part of a text, a key of a dict. Nothing is in `null`.

mod check;
mod eval;
mod lexer;
mod parser;
mod print;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

pub(super) use check::{Known, check};

use super::mistake::Mistake;

/// Words that have a meaning in conditions, so that no step may have them as its name.
pub(super) const WORDS: &[&str] = &["and", "or", "not", "in", "true", "false", "null"];

/// A condition. Equal conditions say the same in the same way, wherever they stand.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    Literal(Value, Place),
    /// A value of the run, by the key it is kept under: `name` or `step.field`.
    Name(Arc<str>, Place),
    Not(Box<Expr>),
    /// Two or more.
    And(Vec<Expr>),
    /// Two or more.
    Or(Vec<Expr>),
    Compare(Box<Comparison>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Comparison {
    pub left: Expr,
    pub op: Op,
    pub right: Expr,
    /// The whole comparison.
    pub place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    NotIn,
}

/// Where in the text something stands; of no meaning for equality.
#[derive(Clone, Debug, Default)]
pub(super) struct Place(pub Range<usize>);

impl PartialEq for Place {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Expr {
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        parser::parse(text)
    }

    /// Every name that it reads, in the order of the text.
    pub fn names(&self) -> Vec<(&Arc<str>, &Place)> {
        match self {
            Expr::Literal(..) => Vec::new(),
            Expr::Name(key, place) => vec![(key, place)],
            Expr::Not(inner) => inner.names(),
            Expr::And(parts) | Expr::Or(parts) => parts.iter().flat_map(Expr::names).collect(),
            Expr::Compare(c) => [c.left.names(), c.right.names()].concat(),
        }
    }
}
