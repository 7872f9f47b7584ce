//! Lists, maps, objects and free values from text: the best of all candidates.

use serde_json::Value;

use super::{Cx, Outcome, problem};
use crate::parse::penalty;
use crate::parse::read::candidates;
use crate::parse::words::shortened;
use crate::{FieldError, Kind, Repair, Type};

type Reading = (Value, Vec<Repair>);

impl Cx<'_> {
    pub(super) fn structure_from_text(&mut self, text: &str, ty: &Type) -> Outcome {
        let mut first_error = None;
        let mut readings: Vec<Reading> = Vec::new();
        for candidate in candidates(text) {
            if ty.kind == Kind::Any && candidate.repairs.contains(&Repair::Prose) {
                continue;
            }
            match self.attempt(|cx| cx.json(&candidate.value, ty)) {
                Ok((value, made)) => {
                    let mut repairs = candidate.repairs;
                    repairs.extend(made);
                    readings.push((value, repairs));
                }
                Err(e) => first_error = first_error.or(Some(e)),
            }
        }
        let several = readings.iter().skip(1).any(|r| Some(&r.0) != readings.first().map(|r| &r.0));
        let whole = readings.is_empty() || ty.kind != Kind::Any;
        if let Some(lines) = self.read_lines(text, ty, first_error.is_some()).filter(|_| whole) {
            match lines {
                Ok(reading) => readings.push(reading),
                Err(e) => first_error = first_error.or(Some(e)),
            }
        }
        let Some((value, repairs)) = best(readings) else {
            let missing = || problem(format!("{} is no JSON", shortened(text)), ty);
            return Err(first_error.unwrap_or_else(missing));
        };
        repairs.into_iter().for_each(|r| self.flag(r));
        if several {
            self.flag(Repair::OneOfSeveral);
        }
        Ok(value)
    }

    /// JSON that came inside a text of JSON.
    pub(super) fn structure_from_json_text(&mut self, text: &str, ty: &Type) -> Outcome {
        let value = self.structure_from_text(text.trim(), ty)?;
        let lines = [Repair::ListFromText, Repair::WrappedInList];
        if !self.repairs.iter().any(|r| lines.contains(r)) {
            self.flag(Repair::JsonInText);
        }
        Ok(value)
    }

    /// Text that is no JSON at all, for types that have a notation without.
    fn read_lines(
        &mut self,
        text: &str,
        ty: &Type,
        json_failed: bool,
    ) -> Option<Result<Reading, Vec<FieldError>>> {
        // What looks like JSON of the wrong kind is not taken for a list of its lines.
        let looks_like_json = text.starts_with(['{', '[']) || (json_failed && text.contains('{'));
        match &ty.kind {
            Kind::Any if text.is_empty() => Some(Err(problem("it is empty", ty))),
            Kind::Any => Some(Ok((Value::from(text), Vec::new()))),
            _ if looks_like_json => None,
            Kind::List(item) => Some(self.attempt(|cx| cx.list_from_lines(text, item, ty))),
            Kind::Tuple(items) => Some(self.attempt(|cx| cx.tuple_from_lines(text, items, ty))),
            _ => None,
        }
    }
}

fn best(readings: Vec<Reading>) -> Option<Reading> {
    // `min_by_key` keeps the first of equals.
    readings.into_iter().min_by_key(|(_, repairs)| penalty(repairs))
}
