//! Conditions as text: with no more parentheses than needed, so that what is printed parses to the
//! same condition.

use std::fmt::{self, Display, Formatter};

use super::{Expr, Op};

impl Op {
    pub(super) fn text(self) -> &'static str {
        match self {
            Op::Eq => "==",
            Op::Ne => "!=",
            Op::Lt => "<",
            Op::Le => "<=",
            Op::Gt => ">",
            Op::Ge => ">=",
            Op::In => "in",
            Op::NotIn => "not in",
        }
    }
}

impl Display for Op {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// How tightly it binds.
fn strength(expr: &Expr) -> u8 {
    match expr {
        Expr::Or(_) => 0,
        Expr::And(_) => 1,
        Expr::Not(_) | Expr::Compare(_) => 2,
        Expr::Literal(..) | Expr::Name(..) => 3,
    }
}

/// In parentheses unless it binds at least as tightly as `least`.
struct At<'e>(&'e Expr, u8);

impl Display for At<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if strength(self.0) >= self.1 { self.0.fmt(f) } else { write!(f, "({})", self.0) }
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Literal(value, _) => value.fmt(f),
            Expr::Name(key, _) => f.write_str(key),
            Expr::Not(inner) => write!(f, "not {}", At(inner, 2)),
            Expr::And(parts) => joined(f, parts, " and ", 2),
            Expr::Or(parts) => joined(f, parts, " or ", 1),
            Expr::Compare(c) => write!(f, "{} {} {}", At(&c.left, 3), c.op, At(&c.right, 3)),
        }
    }
}

fn joined(f: &mut Formatter<'_>, parts: &[Expr], word: &str, least: u8) -> fmt::Result {
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            f.write_str(word)?;
        }
        At(part, least).fmt(f)?;
    }
    Ok(())
}
