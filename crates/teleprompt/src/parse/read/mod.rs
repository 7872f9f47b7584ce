//! The first stage of reading: everything in a text that could be JSON, whatever its type.

mod string;
mod think;
mod tolerant;

use serde_json::Value;

pub(crate) use string::{has_doubtful_escape, newline_is_doubtful};
pub use think::without_thinking;

use crate::Repair;
use tolerant::Reader;

/// One way to read a text as JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// What was read.
    pub value: Value,
    /// What it took: repairs of the notation, and what was left out around it.
    pub repairs: Vec<Repair>,
}

/// More candidates than this in one reply are not looked at.
const MOST: usize = 16;

/// All JSON values in a text, in order of preference: the whole text, what stands in code fences,
/// then objects and lists between prose. Text without any gives none.
///
/// The work is bounded by a multiple of the length of the text, whatever is in it.
///
/// ```
/// use teleprompt::parse::read::candidates;
/// let found = candidates("First {\"a\": 1}, then {'a': 2,}.");
/// let values: Vec<_> = found.iter().map(|c| c.value.to_string()).collect();
/// assert_eq!(values, [r#"{"a":1}"#, r#"{"a":2}"#]);
/// ```
pub fn candidates(text: &str) -> Vec<Candidate> {
    let text = text.trim();
    if let Some(value) = strict(text) {
        return vec![Candidate { value, repairs: Vec::new() }];
    }
    let mut reader = Reader::new(text);
    if text.starts_with(['{', '['])
        && let Some(whole) = reader.value_at(0)
        && rest(text, reader.at()).is_empty()
    {
        return vec![Candidate { value: whole, repairs: reader.take_repairs() }];
    }
    let fenced = in_fences(text);
    if !fenced.is_empty() {
        return fenced;
    }
    spans(text)
}

/// Valid JSON as a whole, in a notation that cannot be mistaken.
///
/// `\f` before a letter and the like are valid JSON, but in replies they are LaTeX: such text is
/// left to the tolerant reader, which decides.
fn strict(text: &str) -> Option<Value> {
    let starts = text.starts_with(['{', '[', '"', '-', 't', 'f', 'n'])
        || text.starts_with(|c: char| c.is_ascii_digit());
    if !starts || string::has_doubtful_escape(text) {
        return None;
    }
    serde_json::from_str(text).ok()
}

fn rest(text: &str, from: usize) -> &str {
    text.get(from..).unwrap_or("").trim_start()
}

/// The contents of code fences, if they are JSON.
fn in_fences(text: &str) -> Vec<Candidate> {
    let mut found = Vec::new();
    let mut from = 0;
    while found.len() < MOST {
        let Some(open) = text.get(from..).and_then(|t| t.find("```")).map(|i| from + i) else {
            break;
        };
        let after = text.get(open + 3..).unwrap_or("");
        let label = after.find(|c: char| !(c.is_alphanumeric() || "+-_".contains(c)));
        let body_at = open + 3 + label.unwrap_or(after.len());
        let body = text.get(body_at..).unwrap_or("");
        let (body, end) = match body.find("```") {
            Some(close) => (body.get(..close).unwrap_or(""), body_at + close + 3),
            None => (body, text.len()),
        };
        if let Some(mut candidate) = whole(body.trim()) {
            candidate.repairs.push(Repair::Fence);
            let around = (text.get(..open).unwrap_or(""), text.get(end..).unwrap_or(""));
            if !around.0.trim().is_empty() || !around.1.trim().is_empty() {
                candidate.repairs.push(Repair::Prose);
            }
            found.push(candidate);
        }
        from = end;
    }
    found
}

/// Text that is one JSON value from end to end, strictly or tolerantly.
fn whole(text: &str) -> Option<Candidate> {
    if let Some(value) = strict(text) {
        return Some(Candidate { value, repairs: Vec::new() });
    }
    let mut reader = Reader::new(text);
    let value = reader.value_at(0).filter(|v| v.is_object() || v.is_array())?;
    let mut repairs = reader.take_repairs();
    if !rest(text, reader.at()).is_empty() {
        repairs.push(Repair::Prose);
    }
    Some(Candidate { value, repairs })
}

/// Objects and lists between prose.
fn spans(text: &str) -> Vec<Candidate> {
    let mut found = Vec::new();
    let mut reader = Reader::new(text);
    let mut from = 0;
    while found.len() < MOST && reader.has_fuel() {
        let Some(start) = text.get(from..).and_then(|t| t.find(['{', '['])).map(|i| from + i)
        else {
            break;
        };
        match reader.value_at(start) {
            Some(value) => {
                from = reader.at().max(start + 1);
                let mut repairs = reader.take_repairs();
                let before = text.get(..start).unwrap_or("").trim();
                if !before.is_empty() || !rest(text, from).is_empty() {
                    repairs.push(Repair::Prose);
                }
                found.push(Candidate { value, repairs });
            }
            None => {
                reader.take_repairs();
                from = reader.too_deep_at().unwrap_or(start + 1);
            }
        }
    }
    found
}
