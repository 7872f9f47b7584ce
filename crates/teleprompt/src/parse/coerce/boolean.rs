//! True and false.

use serde_json::{Number, Value};

use super::{Cx, Outcome, problem};
use crate::parse::words::shortened;
use crate::{Repair, Type};

impl Cx<'_> {
    /// `true`, `True`, `yes`, `1` and their opposites; or a sentence that begins with one of them
    /// and holds none of the other side.
    pub(super) fn bool_from_text(&mut self, text: &str, ty: &Type) -> Outcome {
        if let "true" | "false" = text {
            return Ok((text == "true").into());
        }
        let bare = text.trim_end_matches(['.', '!', ',']);
        let lower = bare.to_lowercase();
        if let "true" | "false" = lower.as_str() {
            self.flag(Repair::ForeignLiteral);
            return Ok((lower == "true").into());
        }
        if let Some(side) = side_of(&lower) {
            self.flag(Repair::ScalarFromText);
            return Ok(side.into());
        }
        let side = side_of_sentence(&lower)
            .ok_or_else(|| problem(format!("{} is neither", shortened(text)), ty))?;
        self.flag(Repair::Prose);
        Ok(side.into())
    }

    pub(super) fn bool_from_number(&mut self, n: &Number, ty: &Type) -> Outcome {
        let side = match n.as_u64() {
            Some(0) => false,
            Some(1) => true,
            _ => return Err(problem(format!("{n} is neither"), ty)),
        };
        self.flag(Repair::ScalarFromText);
        Ok(Value::Bool(side))
    }
}

fn side_of(word: &str) -> Option<bool> {
    match word {
        "true" | "yes" | "y" | "1" | "on" => Some(true),
        "false" | "no" | "n" | "0" | "off" => Some(false),
        _ => None,
    }
}

fn side_of_sentence(text: &str) -> Option<bool> {
    let words = || text.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|w| w.len() > 1);
    let first = side_of(words().next()?)?;
    let other =
        |w: &str| w == "not" || w.ends_with("n't") || side_of(w).is_some_and(|side| side != first);
    // "No, it does not" agrees with itself; "Yes and no" and "True, but not always" do not.
    let agrees = if first {
        !words().any(other)
    } else {
        !words().any(|w| side_of(w).is_some_and(|side| side))
    };
    agrees.then_some(first)
}
