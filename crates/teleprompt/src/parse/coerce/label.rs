//! Enum values, and text limited to some values.

use serde_json::Value;

use super::{Cx, Outcome, problem, unfit};
use crate::names::edit_distance;
use crate::parse::words::shortened;
use crate::parse::write;
use crate::{Repair, Type};

/// Words that turn the label behind them into its opposite.
const NEGATIONS: &[&str] =
    &["not", "no", "never", "neither", "nor", "isn't", "wasn't", "aren't", "don't", "without"];

impl Cx<'_> {
    /// A label from text, by the first of these that gives exactly one: the same text; without
    /// quotes or emphasis around it; in other case or punctuation; as a word in a sentence; a
    /// misspelling that is near one label and far from all others.
    pub(super) fn label_from_text(&mut self, text: &str, labels: &[Value], ty: &Type) -> Outcome {
        if text.is_empty() {
            return Err(problem("it is empty", ty));
        }
        if let Some(found) = exact(text, labels) {
            return Ok(found.clone());
        }
        if let Some(found) = quoted(text, labels) {
            return Ok(found.clone());
        }
        let before = self.repairs.len();
        let bare = self.undecorated(text);
        if bare.is_empty() {
            return Err(problem("it is empty", ty));
        }
        if let Some(found) = exact(bare, labels) {
            return Ok(found.clone());
        }
        self.repairs.truncate(before);
        let (found, repair) = loosely(bare, labels).map_err(|e| problem(e, ty))?;
        self.flag(repair);
        Ok(found.clone())
    }

    pub(super) fn label_from_json(&mut self, node: &Value, labels: &[Value], ty: &Type) -> Outcome {
        if let Some(found) = labels.iter().find(|l| same(l, node)) {
            return Ok(found.clone());
        }
        match node {
            Value::String(s) => {
                let found = self.label_from_text(s.trim(), labels, ty)?;
                if !found.is_string() {
                    self.flag(Repair::ScalarFromText);
                } else if s.trim().len() != s.len() {
                    self.flag(Repair::EnumCase);
                }
                Ok(found)
            }
            Value::Number(_) | Value::Bool(_) => {
                let found = exact(&node.to_string(), labels).ok_or_else(|| unfit(node, ty))?;
                self.flag(Repair::TextFromScalar);
                Ok(found.clone())
            }
            Value::Null => Err(unfit(node, ty)),
            Value::Array(_) | Value::Object(_) => self.unwrapped(node, ty),
        }
    }
}

/// Equality by value: `5.0` is 5.
fn same(label: &Value, node: &Value) -> bool {
    label == node || label.is_number() && node.is_number() && label.as_f64() == node.as_f64()
}

/// The label that reads like this. Of a text and a number that read alike it is the number: the text
/// is written in quotes.
fn exact<'l>(text: &str, labels: &'l [Value]) -> Option<&'l Value> {
    let reads = |l: &Value| match l {
        Value::Bool(b) => text == if *b { "true" } else { "false" },
        Value::Number(n) => n.to_string() == text,
        Value::Null => text == "null",
        _ => false,
    };
    let scalar = labels.iter().find(|l| reads(l));
    scalar.or_else(|| labels.iter().find(|l| l.as_str() == Some(text)))
}

/// The label that stands here as JSON: how labels are written that would not be read back plainly.
fn quoted<'l>(text: &str, labels: &'l [Value]) -> Option<&'l Value> {
    if !text.starts_with('"') {
        return None;
    }
    let Ok(Value::String(inside)) = serde_json::from_str(text) else {
        return None;
    };
    let plain = exact(&inside, labels).is_some_and(Value::is_string);
    let only_quoted = write::needs_quotes(&inside) || !plain;
    labels.iter().find(|l| l.as_str() == Some(&inside)).filter(|_| only_quoted)
}

fn loosely<'l>(text: &str, labels: &'l [Value]) -> Result<(&'l Value, Repair), String> {
    let wanted = simplified(text);
    let mut alike = labels.iter().filter(|l| simplified(&written(l)) == wanted);
    if let (false, Some(found), None) = (wanted.is_empty(), alike.next(), alike.next()) {
        return Ok((found, Repair::EnumCase));
    }
    match in_sentence(text, labels) {
        Ok(Some(found)) => return Ok((found, Repair::Prose)),
        Err(two) => return Err(two),
        Ok(None) => {}
    }
    match nearest(text, labels) {
        Some(found) => Ok((found, Repair::EnumFuzzy)),
        None => Err(format!("{} is none of the values", shortened(text))),
    }
}

fn written(label: &Value) -> String {
    label.as_str().map_or_else(|| label.to_string(), str::to_owned)
}

/// Letters and digits in lower case; a sign or point of a number stays.
fn simplified(text: &str) -> String {
    let keeps = |(i, c): &(usize, char)| {
        let next_is_digit = || text.as_bytes().get(i + 1).is_some_and(u8::is_ascii_digit);
        c.is_alphanumeric() || (matches!(c, '-' | '.') && next_is_digit())
    };
    text.char_indices().filter(keeps).flat_map(|(_, c)| c.to_lowercase()).collect()
}

/// The words of a text in lower case.
fn words(text: &str) -> Vec<String> {
    let is_break = |c: char| !(c.is_alphanumeric() || c == '\'' || c == '’');
    let lower = |w: &str| w.replace('’', "'").trim_matches('\'').to_lowercase();
    text.split(is_break).filter(|w| !w.is_empty()).map(lower).collect()
}

/// The only label that occurs in a sentence as a word or row of words.
fn in_sentence<'l>(text: &str, labels: &'l [Value]) -> Result<Option<&'l Value>, String> {
    let sentence = words(text);
    let mut found: Vec<(&Value, usize, usize)> = Vec::new();
    for label in labels {
        let wanted = words(&written(label));
        if wanted.is_empty() {
            continue;
        }
        let hits = sentence.windows(wanted.len()).enumerate().filter(|(_, w)| *w == wanted);
        found.extend(hits.map(|(at, _)| (label, at, at + wanted.len())));
    }
    // "card" inside of "lost card" is no mention of its own.
    let all = found.clone();
    let inside = |a: &(&Value, usize, usize)| {
        all.iter().any(|b| b.1 <= a.1 && a.2 <= b.2 && b.2 - b.1 > a.2 - a.1)
    };
    found.retain(|hit| !inside(hit));
    let Some((first, ..)) = found.first().copied() else {
        return Ok(None);
    };
    if found.iter().any(|(label, ..)| *label != first) {
        return Err(format!("{} names more than one of the values", shortened(text)));
    }
    let negated = |(_, at, _): &(&Value, usize, usize)| {
        let from = at.saturating_sub(3);
        let before = sentence.get(from..*at).unwrap_or(&[]);
        before.iter().any(|w| NEGATIONS.contains(&w.as_str()) || w.ends_with("n't"))
    };
    if found.iter().any(negated) {
        return Err(format!("{} says what it is not", shortened(text)));
    }
    Ok(Some(first))
}

/// The label that a misspelt text must mean: at most one slip in four letters, and every other
/// label at least two slips further away.
fn nearest<'l>(text: &str, labels: &'l [Value]) -> Option<&'l Value> {
    let wanted: Vec<char> = simplified(text).chars().collect();
    // A number with a slip is another number.
    if wanted.len() < 4 || wanted.len() > 80 || wanted.iter().any(char::is_ascii_digit) {
        return None;
    }
    let distance = |label: &Value| {
        let label: Vec<char> = simplified(&written(label)).chars().collect();
        match label.len().abs_diff(wanted.len()) {
            far @ 21.. => far,
            _ => edit_distance(&wanted, &label),
        }
    };
    let mut scored: Vec<_> = labels.iter().map(|l| (distance(l), l)).collect();
    scored.sort_by_key(|(d, _)| *d);
    let (best, label) = scored.first().copied()?;
    let next = scored.get(1).map_or(usize::MAX, |(d, _)| *d);
    (best <= wanted.len() / 4 && next >= best + 2).then_some(label)
}
