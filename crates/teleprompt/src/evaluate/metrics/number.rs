//! Number equality, and finding numbers in text.

use serde_json::Value;
use teleprompt_core::{Context, Example, Metric, MetricHandle, Prediction, Result, Score};

use super::fields::{answers, label, output, wrong};
use super::normalize::near;

/// Whether the answer is the same number as the label (or one of a list of labels).
///
/// A text stands for its last number, as reasoning comes before the answer: `$1,234.50`, `42.0` and
/// `so it is 42.` are read. Thousands are separated by commas, decimals by a point; percent and
/// currency signs do not count. Numbers are equal within 10⁻⁹ of their size. An answer without
/// number scores 0; a label without number fails the example.
pub fn number_equality(field: impl Into<String>) -> MetricHandle {
    MetricHandle::new(NumberEquality(field.into()))
}

struct NumberEquality(String);

impl Metric for NumberEquality {
    async fn score(&self, _: &Context, e: &Example, p: &Prediction) -> Result<Score> {
        let (label, output) = (label(&self.0, e, p)?, output(&self.0, e, p)?);
        let mut wanted = Vec::new();
        for answer in answers(label) {
            wanted
                .push(number(answer).ok_or_else(|| wrong(&self.0, answer, "has no number in it"))?);
        }
        Ok(number(output).is_some_and(|got| wanted.iter().any(|w| near(*w, got))).into())
    }
    fn name(&self) -> String {
        format!("number_equality:{}", self.0)
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::String(text) => numbers(text).last().map(|n| n.value),
        _ => None,
    }
}

/// A number in a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) value: f64,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// All numbers of a text in order: digits with thousands commas (`1,234`), a decimal point, an
/// exponent. A minus (or the typographic `−`) counts where no letter or digit stands before it, also
/// with a currency sign between.
pub(super) fn numbers(text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..)
        && let Some(first) = rest.chars().next()
    {
        let Some((value, length)) = unsigned(rest) else {
            at += first.len_utf8();
            continue;
        };
        let (negative, sign) = sign_before(text.get(..at).unwrap_or_default());
        let value = if negative { -value } else { value };
        found.push(Found { value, start: at - sign, end: at + length });
        at += length;
    }
    found
}

/// Whether a minus ends this text, and how long the sign is, currency included.
fn sign_before(before: &str) -> (bool, usize) {
    let is_sign = |c: char| matches!(c, '-' | '−' | '+');
    let bare = before.strip_suffix(['$', '€', '£', '¥']).unwrap_or(before);
    let Some(sign) = bare.chars().next_back().filter(|c| is_sign(*c)) else { return (false, 0) };
    let rest = bare.strip_suffix(sign).unwrap_or_default();
    // In `5-7`, `GPT-4` and `2024-01-05` it joins.
    if rest.chars().next_back().is_some_and(char::is_alphanumeric) {
        return (false, 0);
    }
    (sign != '+', before.len() - rest.len())
}

/// The number that begins the text, and its length.
fn unsigned(text: &str) -> Option<(f64, usize)> {
    let whole = thousands(text).unwrap_or_else(|| digits(text));
    let after = text.get(whole..)?;
    let decimals = after.strip_prefix('.').map_or(0, digits);
    if whole == 0 && decimals == 0 {
        return None;
    }
    let mantissa = whole + if decimals > 0 { 1 + decimals } else { 0 };
    let length = mantissa + exponent(text.get(mantissa..)?);
    let value = text.get(..length)?.replace(',', "").parse().ok()?;
    Some((value, length))
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// The length of digits in groups of three, if there is more than one group.
fn thousands(text: &str) -> Option<usize> {
    let mut length = digits(text);
    if !(1..=3).contains(&length) {
        return None;
    }
    let first = length;
    while let Some(group) = text.get(length..).and_then(|t| t.strip_prefix(','))
        && digits(group) == 3
    {
        length += 4;
    }
    (length > first).then_some(length)
}

fn exponent(text: &str) -> usize {
    let Some(rest) = text.strip_prefix(['e', 'E']) else { return 0 };
    let unsigned = rest.strip_prefix(['+', '-']).unwrap_or(rest);
    match digits(unsigned) {
        0 => 0,
        n => 1 + rest.len() - unsigned.len() + n,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found() {
        for (text, expected) in [
            ("$1,234.50", &[1234.5][..]),
            ("42.0", &[42.0]),
            ("so it is 42.", &[42.0]),
            ("-$5, $-6, −7, +8", &[-5.0, -6.0, -7.0, 8.0]),
            ("5-7 GPT-4 2024-01-05", &[5.0, 7.0, 4.0, 2024.0, 1.0, 5.0]),
            (".5 1e3 2.5E-1 3e", &[0.5, 1000.0, 0.25, 3.0]),
            ("1,2 12,3456 1,000,000 1,000km", &[1.0, 2.0, 12.0, 3456.0, 1e6, 1000.0]),
            ("10% of é7", &[10.0, 7.0]),
            ("none . , -", &[]),
        ] {
            let got: Vec<f64> = numbers(text).iter().map(|n| n.value).collect();
            assert_eq!(got, expected, "{text}");
        }
    }
}
