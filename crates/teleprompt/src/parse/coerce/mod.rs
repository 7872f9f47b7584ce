//! The second stage of reading: a text or JSON value becomes a value of a type.

mod boolean;
mod choice;
mod date;
mod label;
mod limits;
mod list;
mod number;
mod object;
mod structure;
mod text;

use std::sync::Arc;

use serde_json::Value;

use super::words::{expected, shortened};
use crate::{FieldError, Kind, Repair, Type, TypeDefs};

pub(crate) use choice::is_null_word;

/// A value, or what is wrong with it.
pub(super) type Outcome = Result<Value, Vec<FieldError>>;

/// More errors than this in one value help nobody.
const MOST_ERRORS: usize = 8;

/// Values nested deeper than this are refused rather than risking the stack.
const MAX_DEPTH: usize = 128;

/// Values looked at in one reading. Unions in recursive types can make the number of readings grow
/// with every level; no reply that is meant well comes near.
const MOST_STEPS: u32 = 500_000;

/// One reading: the definitions it needs and the repairs so far.
pub(crate) struct Cx<'d> {
    defs: &'d TypeDefs,
    repairs: Vec<Repair>,
    depth: usize,
    steps: u32,
}

impl<'d> Cx<'d> {
    pub(crate) fn new(defs: &'d TypeDefs) -> Self {
        Self { defs, repairs: Vec::new(), depth: 0, steps: 0 }
    }

    pub(crate) fn into_repairs(self) -> Vec<Repair> {
        self.repairs
    }

    pub(crate) fn flag(&mut self, repair: Repair) {
        if !self.repairs.contains(&repair) {
            self.repairs.push(repair);
        }
    }

    /// Reads the text of a field.
    pub(crate) fn text(&mut self, text: &str, ty: &Type) -> Outcome {
        if ty.is_plain_str() {
            return self.plain_text(text, ty);
        }
        self.nested(ty, |cx| cx.text_inner(text, ty))
    }

    /// Reads a JSON value.
    pub(crate) fn json(&mut self, node: &Value, ty: &Type) -> Outcome {
        self.nested(ty, |cx| cx.json_inner(node, ty))
    }

    fn nested(&mut self, ty: &Type, read: impl FnOnce(&mut Self) -> Outcome) -> Outcome {
        self.steps += 1;
        if self.depth >= MAX_DEPTH || self.steps > MOST_STEPS {
            return Err(problem("it is nested too deep", ty));
        }
        self.depth += 1;
        let outcome = read(self);
        self.depth -= 1;
        let value = outcome?;
        limits::check(&value, ty)?;
        Ok(value)
    }

    fn text_inner(&mut self, text: &str, ty: &Type) -> Outcome {
        if let Some(labels) = text_labels(ty) {
            return self.label_from_text(text, labels, ty);
        }
        match &ty.kind {
            Kind::Str => self.plain_text(text, ty),
            Kind::Int | Kind::Float | Kind::Bool | Kind::Date => self.scalar_from_text(text, ty),
            Kind::Optional(inner) => self.optional_from_text(text, inner),
            Kind::Union(arms) => self.union_from_text(text, arms, ty),
            Kind::Ref(name) => match self.defs.get(name) {
                Some(target) => self.text(text, target),
                None => Err(undefined(name, ty)),
            },
            _ => self.structure_from_text(text, ty),
        }
    }

    fn json_inner(&mut self, node: &Value, ty: &Type) -> Outcome {
        if let Some(labels) = text_labels(ty) {
            return self.label_from_json(node, labels, ty);
        }
        match &ty.kind {
            Kind::Any => Ok(node.clone()),
            Kind::Optional(inner) => self.optional_from_json(node, inner),
            Kind::Union(arms) => self.best_arm(arms, ty, |cx, arm| cx.json(node, arm)),
            Kind::Ref(name) => match self.defs.get(name) {
                Some(target) => self.json(node, target),
                None => Err(undefined(name, ty)),
            },
            _ if node.is_null() => Err(problem("it is null", ty)),
            Kind::Str => self.text_from_json(node, ty),
            Kind::Int | Kind::Float | Kind::Bool | Kind::Date => self.scalar_from_json(node, ty),
            Kind::List(item) => self.list_from_json(node, item, ty),
            Kind::Tuple(items) => self.tuple_from_json(node, items, ty),
            Kind::Dict(value) => self.dict_from_json(node, value, ty),
            Kind::Object(fields) => self.object_from_json(node, fields, ty),
            _ => Err(problem("its type cannot be read", ty)),
        }
    }

    fn scalar_from_text(&mut self, text: &str, ty: &Type) -> Outcome {
        if text.starts_with(['{', '['])
            && let [only] = super::read::candidates(text).as_slice()
            && (only.value.is_array() || only.value.is_object())
        {
            only.repairs.iter().for_each(|r| self.flag(*r));
            return self.json(&only.value, ty);
        }
        let bare = self.undecorated(text);
        if bare.is_empty() {
            return Err(problem("it is empty", ty));
        }
        match ty.kind {
            Kind::Int => self.whole_from_text(bare, ty),
            Kind::Float => self.number_from_text(bare, ty),
            Kind::Bool => self.bool_from_text(bare, ty),
            _ => self.date_from_text(bare, ty),
        }
    }

    fn scalar_from_json(&mut self, node: &Value, ty: &Type) -> Outcome {
        match (node, &ty.kind) {
            (Value::Bool(_), Kind::Bool) => Ok(node.clone()),
            (Value::Number(n), Kind::Int) => self.whole_from_number(n, ty),
            (Value::Number(_), Kind::Float) => Ok(node.clone()),
            (Value::Number(n), Kind::Bool) => self.bool_from_number(n, ty),
            (Value::String(s), kind) => {
                let value = self.scalar_from_text(s.trim(), ty)?;
                if *kind != Kind::Date {
                    self.flag(Repair::ScalarFromText);
                } else if s.trim().len() != s.len() {
                    self.flag(Repair::DateFormat);
                }
                Ok(value)
            }
            (Value::Array(_) | Value::Object(_), _) => self.unwrapped(node, ty),
            _ => Err(unfit(node, ty)),
        }
    }

    /// The only item of a list or the only entry of an object, in place of a scalar.
    fn unwrapped(&mut self, node: &Value, ty: &Type) -> Outcome {
        let only = match node {
            Value::Array(items) if items.len() == 1 => items.first(),
            Value::Object(map) if map.len() == 1 => map.values().next(),
            _ => None,
        };
        let Some(only) = only.filter(|v| !v.is_array() && !v.is_object()) else {
            return Err(unfit(node, ty));
        };
        let value = self.json(only, ty)?;
        self.flag(Repair::Unwrapped);
        Ok(value)
    }

    /// Runs a reading that may be given up; its repairs are returned, not kept.
    pub(super) fn attempt(
        &mut self,
        read: impl FnOnce(&mut Self) -> Outcome,
    ) -> Result<(Value, Vec<Repair>), Vec<FieldError>> {
        let before = std::mem::take(&mut self.repairs);
        let outcome = read(self);
        let made = std::mem::replace(&mut self.repairs, before);
        outcome.map(|value| (value, made))
    }
}

/// The labels of an enum, or of text limited to some values, which is read in the same way.
fn text_labels(ty: &Type) -> Option<&[Value]> {
    match &ty.kind {
        Kind::Enum(values) => Some(values),
        Kind::Str if !ty.constraints.one_of.is_empty() => Some(&ty.constraints.one_of),
        _ => None,
    }
}

/// One error about the value as a whole.
pub(super) fn problem(problem: impl Into<String>, ty: &Type) -> Vec<FieldError> {
    vec![FieldError { field: String::new(), problem: problem.into(), expected: expected(ty) }]
}

fn undefined(name: &Arc<str>, ty: &Type) -> Vec<FieldError> {
    problem(format!("its type `{name}` is not defined"), ty)
}

/// The error for a value of the wrong kind.
pub(super) fn unfit(node: &Value, ty: &Type) -> Vec<FieldError> {
    let what = match node {
        Value::Null => "it is null".into(),
        Value::Bool(b) => format!("it is {b}"),
        Value::Number(n) => format!("it is the number {n}"),
        Value::String(s) => format!("it is the text {}", shortened(s)),
        Value::Array(items) => format!("it is a list of {}", items.len()),
        Value::Object(_) => "it is a JSON object".into(),
    };
    problem(what, ty)
}

/// Errors below a place, such as `[1]` or `.age`.
pub(crate) fn prefixed(place: &str, mut errors: Vec<FieldError>) -> Vec<FieldError> {
    for error in &mut errors {
        error.field.insert_str(0, place);
    }
    errors
}

/// Adds errors up to the limit.
pub(super) fn collect(into: &mut Vec<FieldError>, errors: Vec<FieldError>) {
    let room = MOST_ERRORS.saturating_sub(into.len());
    into.extend(errors.into_iter().take(room));
}
