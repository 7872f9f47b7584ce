//! Whole numbers and numbers.
//!
//! From text, a number is read only if it is the one number there and nothing beside it changes
//! what it means: `about 42 apples` is 42, but `8/10`, `5 to 10`, `5 million`, `at most 5` and
//! `five` are errors. A percent sign is dropped as a unit: `50%` is 50, never 0.5, so that a
//! type with the range 0..1 refuses it.

use serde_json::{Number, Value};

use super::{Cx, Outcome, problem};
use crate::parse::words::shortened;
use crate::{Repair, Type};

/// Words that change the number beside them.
const CHANGING: &[&str] = &[
    "hundred",
    "hundreds",
    "thousand",
    "thousands",
    "million",
    "millions",
    "billion",
    "billions",
    "trillion",
    "dozen",
    "dozens",
    "k",
    "bn",
    "mn",
    "half",
    "quarter",
    "third",
    "minus",
    "negative",
    "not",
    "less",
    "fewer",
    "more",
    "least",
    "most",
    "over",
    "under",
    "above",
    "below",
    "between",
    "than",
    "plus",
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "twenty",
    "thirty",
    "forty",
    "fifty",
    "sixty",
    "seventy",
    "eighty",
    "ninety",
];

impl Cx<'_> {
    pub(super) fn whole_from_text(&mut self, text: &str, ty: &Type) -> Outcome {
        if let Ok(n) = text.parse::<i64>() {
            return Ok(n.into());
        }
        if let Ok(n) = text.parse::<u64>() {
            return Ok(n.into());
        }
        let (digits, alone) = the_number(text).map_err(|e| problem(e, ty))?;
        if !alone {
            self.flag(Repair::NumberUnit);
        }
        if let Ok(n) = digits.parse::<i64>() {
            return Ok(n.into());
        }
        if let Ok(n) = digits.parse::<u64>() {
            return Ok(n.into());
        }
        if is_grouping_or_fraction(&digits) {
            let message = format!("{digits} could be a fraction or a grouped whole number");
            return Err(problem(message, ty));
        }
        let number = digits.parse::<f64>().ok().and_then(Number::from_f64);
        let number = number.ok_or_else(|| problem("it is too large", ty))?;
        if !digits.contains(['.', 'e', 'E']) {
            return Err(problem("it does not fit into 64 bits", ty));
        }
        self.whole_from_number(&number, ty)
    }

    pub(super) fn whole_from_number(&mut self, n: &Number, ty: &Type) -> Outcome {
        if n.is_i64() || n.is_u64() {
            return Ok(Value::Number(n.clone()));
        }
        let x = n.as_f64().unwrap_or(f64::NAN);
        if x.fract() != 0.0 || x.is_nan() {
            return Err(problem(format!("{n} is not whole"), ty));
        }
        // Both ends are powers of two, so the comparisons are exact.
        if !(-9_223_372_036_854_775_808.0..18_446_744_073_709_551_616.0).contains(&x) {
            return Err(problem("it does not fit into 64 bits", ty));
        }
        self.flag(Repair::WholeNumber);
        Ok(if x < 0.0 { (x as i64).into() } else { (x as u64).into() })
    }

    pub(super) fn number_from_text(&mut self, text: &str, ty: &Type) -> Outcome {
        if let Some(number) = plain_number(text) {
            return Ok(number);
        }
        let (digits, alone) = the_number(text).map_err(|e| problem(e, ty))?;
        if !alone {
            self.flag(Repair::NumberUnit);
        }
        plain_number(&digits).ok_or_else(|| problem("it is too large", ty))
    }
}

/// Finite numbers in the notation of JSON, with `+5`, `.5` and `5.` besides.
fn plain_number(text: &str) -> Option<Value> {
    let starts = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.');
    if !text.starts_with(starts) || !text.ends_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    if let Ok(n) = text.parse::<i64>() {
        return Some(n.into());
    }
    if let Ok(n) = text.parse::<u64>() {
        return Some(n.into());
    }
    text.parse().ok().and_then(Number::from_f64).map(Value::Number)
}

/// `1.000`: a fraction of zero or, in other countries, a thousand.
fn is_grouping_or_fraction(digits: &str) -> bool {
    let Some((whole, fraction)) = digits.trim_start_matches('-').split_once('.') else {
        return false;
    };
    fraction == "000" && (1..=3).contains(&whole.len()) && whole != "0"
}

/// The one number in a text, in plain notation, and whether it stood alone.
fn the_number(text: &str) -> Result<(String, bool), String> {
    let found = numbers(text);
    let (start, end) = match found.as_slice() {
        [] => return Err(format!("{} has no number in figures", shortened(text))),
        [only] => *only,
        [_, ..] => return Err(format!("{} has more than one number", shortened(text))),
    };
    let (before, after) = (text.get(..start).unwrap_or(""), text.get(end..).unwrap_or(""));
    let digits = plain_digits(text.get(start..end).unwrap_or(""))
        .ok_or_else(|| format!("{} is no number that can be read", shortened(text)))?;
    if changes(before, after) {
        return Err(format!("{} is not just a number", shortened(text)));
    }
    let negative = before.ends_with(['-', '−']) && is_sign(before);
    let alone = after.is_empty() && (before.is_empty() || before == "+" || before == "-");
    let grouped = end - start != digits.len();
    Ok((if negative { format!("-{digits}") } else { digits }, alone && !grouped))
}

/// Whether the dash at the end of this text is a sign rather than a hyphen.
fn is_sign(before: &str) -> bool {
    let mut chars = before.chars().rev();
    chars.next();
    chars.next().is_none_or(|c| c.is_whitespace() || "($€£".contains(c))
}

/// Whether what stands around a number makes it another one.
fn changes(before: &str, after: &str) -> bool {
    let glued = before.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
    let hyphen = before.ends_with(['-', '−']) && !is_sign(before);
    let comparing = before.trim_end().ends_with(['<', '>', '≤', '≥', '±', '^', '=', '/', '×', '*']);
    let joined = after.starts_with(['^', '×', '/', '*', '²', '³']);
    let not_letter = |c: char| !c.is_alphabetic();
    let mut words = before.split(not_letter).chain(after.split(not_letter));
    // `5M` and `5 B` are millions and billions; `5m` has a unit.
    let scales = |w: &str| CHANGING.contains(&&*w.to_lowercase()) || matches!(w, "M" | "B" | "T");
    glued || hyphen || comparing || joined || words.any(scales)
}

/// The places of all numbers: digits with grouping commas, a fraction and an exponent.
fn numbers(text: &str) -> Vec<(usize, usize)> {
    let bytes = text.as_bytes();
    let digit = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() && found.len() < 2 {
        let leading_point = bytes.get(at) == Some(&b'.') && digit(at + 1);
        if !digit(at) && !leading_point {
            at += 1;
            continue;
        }
        let start = at;
        while digit(at)
            || matches!(bytes.get(at), Some(b'.' | b',' | b'_' | b'\'')) && digit(at + 1)
        {
            at += 1;
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            if digit(at + 1 + sign) {
                at += 1 + sign;
                while digit(at) {
                    at += 1;
                }
            }
        }
        found.push((start, at));
    }
    // Digits of other scripts are numbers too, if none that we read.
    if text.chars().any(|c| c.is_numeric() && !c.is_ascii_digit() && !"²³".contains(c)) {
        found.resize(2, (0, 0));
    }
    found
}

/// Digits without grouping, if the groups are of three.
fn plain_digits(number: &str) -> Option<String> {
    let (mantissa, exponent) = match number.find(['e', 'E']) {
        Some(at) => (number.get(..at)?, number.get(at..)?),
        None => (number, ""),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    if fraction.is_some_and(|f| f.contains(['.', ',', '_', '\''])) {
        return None;
    }
    let mut groups = whole.split([',', '_', '\'']);
    let first = groups.next()?;
    let rest: Vec<_> = groups.collect();
    if !rest.is_empty() && (first.len() > 3 || rest.iter().any(|g| g.len() != 3)) {
        return None;
    }
    let point = if fraction.is_some() { "." } else { "" };
    Some(format!("{first}{}{point}{}{exponent}", rest.concat(), fraction.unwrap_or("")))
}
