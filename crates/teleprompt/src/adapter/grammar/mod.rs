//! The form of chat replies as a grammar in llguidance's Lark dialect.
//!
//! It admits what [`ChatAdapter`](super::ChatAdapter) writes for every value that fits its type,
//! with these exceptions: numbers of more than 308 digits before the point, and texts with a
//! pattern that would have to stand in quotes. What it admits is read without error, except: a
//! pattern that a grammar cannot express (word borders, anchors inside, flags), a range of numbers
//! beyond 10^18, repeated keys in a map with a least number of entries, and a union in which a
//! limited text is one of the arms.
//!
//! JSON has exactly the white space that we write. A grammar that leaves it free lets small models
//! emit blanks until the token limit, and would tell the model nothing.

mod number;
mod rules;

use std::fmt::Write;

use serde_json::Value;

use rules::{Rules, literal};

use crate::{Kind, Signature, Type, TypeDefs};

/// Definitions that lead to one another are followed this far.
const MAX_DEPTH: usize = 64;

/// The grammar of all replies for a signature.
pub(super) fn lark(signature: &Signature) -> String {
    let mut rules = Rules::new(signature.defs());
    let mut start = String::from("start:");
    let outputs = signature.outputs();
    for (i, field) in outputs.iter().enumerate() {
        if i == 0 {
            let _ = write!(start, " {}", literal(&format!("[[ ## {} ## ]]\n", field.name)));
        }
        let next = outputs.get(i + 1).map(|f| format!("\n\n[[ ## {} ## ]]\n", f.name));
        let _ = match (form(&mut rules, &field.ty, &field.ty, 0), next) {
            // Text ends where the next marker begins: the lazy rule stops at the first one.
            (Form::Text(terminal), Some(next)) => {
                let rule =
                    rules.add_rule("text", "[lazy]", &format!("{terminal} {}", literal(&next)));
                write!(start, " {rule}")
            }
            (Form::Text(terminal), None) => write!(start, " {terminal}"),
            (Form::Rule(rule), Some(next)) => write!(start, " ({rule}) {}", literal(&next)),
            (Form::Rule(rule), None) => write!(start, " ({rule})"),
        };
    }
    rules.finish(&start)
}

/// How a value stands in a section.
enum Form {
    /// Text without quotes: the name of a terminal. It can hold blank lines, so what follows it has
    /// to be matched together with it.
    Text(String),
    /// Anything else: an expression.
    Rule(String),
}

/// The form of a type that is `whole` or a part of it that stands in its place. Labels are written as
/// values of `whole`: `null` as one of several labels differs from `null` in place of nothing.
fn form(rules: &mut Rules<'_>, ty: &Type, whole: &Type, depth: usize) -> Form {
    if let Some(values) = ty.choices() {
        let labels: Vec<_> = values.iter().map(|v| label(rules, v, whole)).collect();
        return Form::Rule(labels.join(" | "));
    }
    match &ty.kind {
        Kind::Str if ty.constraints.is_empty() => Form::Text(rules.text()),
        Kind::Str => Form::Text(rules.limited_text(&ty.constraints, false)),
        Kind::Any => Form::Text(rules.text()),
        Kind::Date => Form::Rule(rules.date()),
        Kind::Ref(name) => match rules.defs.get(name) {
            Some(target) if depth < MAX_DEPTH => form(rules, target, whole, depth + 1),
            _ => Form::Text(rules.text()),
        },
        Kind::Optional(inner) => optional(rules, inner, whole, depth),
        Kind::Union(arms) => union(rules, arms, whole, depth),
        _ => Form::Rule(rules.json(ty)),
    }
}

fn label(rules: &Rules<'_>, value: &Value, whole: &Type) -> String {
    let mut text = String::new();
    super::value::write_output(&mut text, value, whole, rules.defs);
    literal(&text)
}

fn optional(rules: &mut Rules<'_>, inner: &Type, whole: &Type, depth: usize) -> Form {
    let inner = resolved(inner, rules.defs);
    let limited = inner.kind == Kind::Str && !inner.constraints.is_empty();
    if limited && inner.choices().is_none() {
        return Form::Text(rules.limited_text(&inner.constraints, true));
    }
    match form(rules, inner, whole, depth + 1) {
        Form::Text(terminal) => Form::Text(terminal),
        Form::Rule(rule) => Form::Rule(format!("{rule} | \"null\"")),
    }
}

fn union(rules: &mut Rules<'_>, arms: &[Type], whole: &Type, depth: usize) -> Form {
    let mut all = Vec::new();
    for arm in arms {
        match form(rules, arm, whole, depth + 1) {
            Form::Text(_) => return Form::Text(rules.text()),
            Form::Rule(rule) => all.push(rule),
        }
    }
    Form::Rule(all.join(" | "))
}

fn resolved<'t>(mut ty: &'t Type, defs: &'t TypeDefs) -> &'t Type {
    // Definitions that lead only to one another are refused by signatures; this ends in any case.
    for _ in 0..MAX_DEPTH {
        match &ty.kind {
            Kind::Ref(name) => match defs.get(name) {
                Some(target) => ty = target,
                None => break,
            },
            _ => break,
        }
    }
    ty
}
