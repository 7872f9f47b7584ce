//! Optional types and unions.

use serde_json::Value;

use super::{Cx, Outcome, collect, problem};
use crate::parse::penalty;
use crate::parse::read::candidates;
use crate::parse::words::shortened;
use crate::{Kind, Repair, Type};

/// Words for nothing, as models write them.
pub(crate) fn is_null_word(text: &str) -> bool {
    const WORDS: [&str; 6] = ["null", "none", "n/a", "nil", "undefined", "nan"];
    text.len() <= 9 && WORDS.iter().any(|w| w.eq_ignore_ascii_case(text))
}

impl Cx<'_> {
    pub(super) fn optional_from_text(&mut self, text: &str, inner: &Type) -> Outcome {
        if text == "null" {
            return Ok(Value::Null);
        }
        if text.is_empty() {
            self.flag(Repair::MissingOptional);
            return Ok(Value::Null);
        }
        if is_null_word(text) {
            // A label that is called `None` is meant where there is one.
            if let (Some(_), Ok((value, made))) =
                (super::text_labels(inner), self.attempt(|cx| cx.text(text, inner)))
                && made.is_empty()
            {
                return Ok(value);
            }
            self.flag(Repair::ForeignLiteral);
            return Ok(Value::Null);
        }
        self.text(text, inner)
    }

    pub(super) fn optional_from_json(&mut self, node: &Value, inner: &Type) -> Outcome {
        if node.is_null() {
            return Ok(Value::Null);
        }
        let before = self.repairs.len();
        match (self.json(node, inner), node.as_str()) {
            (Err(_), Some(text)) if text.trim().is_empty() || is_null_word(text.trim()) => {
                self.repairs.truncate(before);
                self.flag(Repair::ForeignLiteral);
                Ok(Value::Null)
            }
            (outcome, _) => outcome,
        }
    }

    /// A union from text. What is JSON as it stands is read as JSON, so that `"7"` is a text and `7`
    /// a number whatever the order of the arms; what opens like JSON is no plain text if it fits
    /// another arm.
    pub(super) fn union_from_text(&mut self, text: &str, arms: &[Type], ty: &Type) -> Outcome {
        if let [only] = candidates(text).as_slice()
            && only.repairs.is_empty()
            && let Ok((value, made)) =
                self.attempt(|cx| cx.best_arm(arms, ty, |cx, arm| cx.json(&only.value, arm)))
            && (made.is_empty() || only.value.is_object() || only.value.is_array())
        {
            made.into_iter().for_each(|r| self.flag(r));
            return Ok(value);
        }
        if text.starts_with(['{', '[', '`']) {
            let others: Vec<Type> = arms.iter().filter(|t| t.kind != Kind::Str).cloned().collect();
            let read = self.attempt(|cx| cx.best_arm(&others, ty, |cx, arm| cx.text(text, arm)));
            if let Ok((value, made)) = read {
                made.into_iter().for_each(|r| self.flag(r));
                return Ok(value);
            }
        }
        self.best_arm(arms, ty, |cx, arm| cx.text(text, arm))
    }

    /// The arm that needs the fewest repairs; the first of equals.
    pub(super) fn best_arm(
        &mut self,
        arms: &[Type],
        ty: &Type,
        mut read: impl FnMut(&mut Self, &Type) -> Outcome,
    ) -> Outcome {
        let mut best: Option<(u32, Value, Vec<Repair>)> = None;
        let mut errors = Vec::new();
        for arm in arms {
            match self.attempt(|cx| read(cx, arm)) {
                Ok((value, made)) => {
                    let cost = penalty(&made);
                    if best.as_ref().is_none_or(|(lowest, ..)| cost < *lowest) {
                        best = Some((cost, value, made));
                    }
                    if cost == 0 {
                        break;
                    }
                }
                Err(e) => collect(&mut errors, e),
            }
        }
        match best {
            Some((_, value, made)) => {
                made.into_iter().for_each(|r| self.flag(r));
                Ok(value)
            }
            None => {
                let why: Vec<_> = errors.iter().map(|e| e.problem.as_str()).collect();
                let why = shortened(&why.join("; "));
                Err(problem(format!("it fits none of the types: {}", why.trim_matches('"')), ty))
            }
        }
    }
}
