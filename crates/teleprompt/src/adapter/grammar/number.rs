//! Ranges of numbers as regular expressions.

use serde_json::Number;

use crate::Constraints;
use crate::parse::write::write_number;

/// Bounds further from zero than this limit nothing in a grammar.
const FARTHEST: f64 = 1e18;

/// Whole numbers within the limits and within 64 bits.
pub(super) fn whole(limits: &Constraints) -> String {
    let bound = |n: &Option<Number>, round: fn(f64) -> f64, other: i128| match n {
        Some(n) => n.as_i128().unwrap_or_else(|| round(n.as_f64().unwrap_or(0.0)) as i128),
        None => other,
    };
    let low = bound(&limits.min, f64::ceil, i128::MIN).max(i64::MIN.into());
    let high = bound(&limits.max, f64::floor, i128::MAX).min(u64::MAX.into());
    let mut all = Vec::new();
    if low < 0 {
        let (from, to) = ((-high).max(1), -low);
        all.push(format!("-({})", between(&from.to_string(), &to.to_string())));
    }
    if high >= 0 {
        all.push(between(&low.max(0).to_string(), &high.to_string()));
    }
    all.join("|")
}

/// Numbers without exponent within the limits; `None` if they limit nothing.
pub(super) fn range(limits: &Constraints) -> Option<String> {
    let decimal = |n: &Number| {
        let x = n.as_f64().filter(|x| x.abs() <= FARTHEST)?;
        let mut text = String::new();
        write_number(&mut text, n);
        Some((x, Decimal::new(&text)))
    };
    let low = limits.min.as_ref().and_then(decimal);
    let high = limits.max.as_ref().and_then(decimal);
    if low.is_none() && high.is_none() {
        return None;
    }
    let zero = || Decimal::new("0");
    let mut all = Vec::new();
    if low.as_ref().is_none_or(|(x, _)| *x < 0.0) {
        let from = high.as_ref().filter(|(x, _)| *x < 0.0).map_or_else(zero, |(_, d)| d.clone());
        let to = low.as_ref().map(|(_, d)| d.clone());
        all.push(format!("-({})", from.up_to(to.as_ref())));
    }
    if high.as_ref().is_none_or(|(x, _)| *x >= 0.0) {
        let from = low.filter(|(x, _)| *x > 0.0).map_or_else(zero, |(_, d)| d);
        all.push(from.up_to(high.map(|(_, d)| d).as_ref()));
    }
    Some(all.join("|"))
}

/// The size of a number: its digits, the fraction without zeros at the end.
#[derive(Clone)]
struct Decimal {
    whole: String,
    fraction: String,
}

impl Decimal {
    fn new(text: &str) -> Self {
        let text = text.trim_start_matches('-');
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        Self { whole: whole.to_owned(), fraction: fraction.trim_end_matches('0').to_owned() }
    }

    /// All numbers from this one to another, or without end.
    fn up_to(&self, high: Option<&Self>) -> String {
        let low_end = format!("{}{}", self.whole, fraction_from(&self.fraction));
        let above = plus(&self.whole, 1);
        match high {
            None => format!("{low_end}|({})(\\.[0-9]+)?", from(&above)),
            Some(high) if high.whole == self.whole => {
                format!("{}{}", self.whole, fraction_between(&self.fraction, &high.fraction))
            }
            Some(high) => {
                let mut all = low_end;
                let below = plus(&high.whole, -1);
                if parsed(&above) <= parsed(&below) {
                    all = format!("{all}|({})(\\.[0-9]+)?", between(&above, &below));
                }
                format!("{all}|{}{}", high.whole, fraction_to(&high.fraction))
            }
        }
    }
}

fn parsed(digits: &str) -> i128 {
    digits.parse().unwrap_or(i128::MAX)
}

fn plus(digits: &str, n: i128) -> String {
    (parsed(digits).saturating_add(n)).to_string()
}

fn fraction_from(low: &str) -> String {
    match low {
        "" => "(\\.[0-9]+)?".into(),
        _ => format!("\\.({})", digits_from(low)),
    }
}

fn fraction_to(high: &str) -> String {
    match high {
        "" => "(\\.0+)?".into(),
        _ => format!("(\\.({}))?", digits_to(high)),
    }
}

fn fraction_between(low: &str, high: &str) -> String {
    match low {
        "" => fraction_to(high),
        _ => format!("\\.({})", digits_between(low, high)),
    }
}

fn split(digits: &str) -> Option<(char, &str)> {
    let mut chars = digits.chars();
    chars.next().map(|first| (first, chars.as_str()))
}

/// A digit above, below, or between others; empty if there is none.
fn class(low: u8, high: u8) -> Option<String> {
    let digit = |n: u8| char::from(b'0' + n);
    (low <= high).then(|| format!("[{}-{}]", digit(low), digit(high)))
}

fn value(digit: char) -> u8 {
    u8::try_from(digit.to_digit(10).unwrap_or(0)).unwrap_or(0)
}

fn joined(parts: impl IntoIterator<Item = Option<String>>) -> String {
    parts.into_iter().flatten().collect::<Vec<_>>().join("|")
}

/// Digits of a fraction, any number of them, at least this.
fn digits_from(low: &str) -> String {
    let Some((first, rest)) = split(low) else {
        return "[0-9]*".into();
    };
    let above = class(value(first) + 1, 9).map(|c| format!("{c}[0-9]*"));
    joined([above, Some(format!("{first}({})", digits_from(rest)))])
}

/// Digits of a fraction, at least one, at most this.
fn digits_to(high: &str) -> String {
    let Some((first, rest)) = split(high) else {
        return "0+".into();
    };
    let below = value(first).checked_sub(1).and_then(|n| class(0, n));
    let equal = match rest {
        "" => format!("{first}0*"),
        _ => format!("{first}({})?", digits_to(rest)),
    };
    joined([below.map(|c| format!("{c}[0-9]*")), Some(equal)])
}

/// Digits of a fraction from `low`, which is not empty, to `high`.
fn digits_between(low: &str, high: &str) -> String {
    let (Some((a, low)), Some((b, high))) = (split(low), split(high)) else {
        return digits_to(high);
    };
    if a == b {
        return match (low, high) {
            ("", "") => format!("{a}0*"),
            ("", _) => format!("{a}({})?", digits_to(high)),
            _ => format!("{a}({})", digits_between(low, high)),
        };
    }
    let inside = match value(b).checked_sub(1) {
        Some(n) => class(value(a) + 1, n).map(|c| format!("{c}[0-9]*")),
        None => None,
    };
    let upper = match high {
        "" => format!("{b}0*"),
        _ => format!("{b}({})?", digits_to(high)),
    };
    joined([Some(format!("{a}({})", digits_from(low))), inside, Some(upper)])
}

/// Whole numbers from one to another, without leading zeros; both are plain digits.
fn between(low: &str, high: &str) -> String {
    if low.len() == high.len() {
        return same_length(low, high);
    }
    let first = same_length(low, &"9".repeat(low.len()));
    let last = same_length(&format!("1{}", zeros(high.len() - 1)), high);
    // The lengths in between are there in full.
    match high.len() - low.len() {
        1 => format!("{first}|{last}"),
        _ => format!("{first}|[1-9][0-9]{{{},{}}}|{last}", low.len(), high.len() - 2),
    }
}

/// Whole numbers from this one on.
fn from(low: &str) -> String {
    let same = same_length(low, &"9".repeat(low.len()));
    format!("{same}|[1-9][0-9]{{{},}}", low.len())
}

fn zeros(n: usize) -> String {
    "0".repeat(n)
}

/// Digit strings of equal length from one to another.
fn same_length(low: &str, high: &str) -> String {
    let (Some((a, low_rest)), Some((b, high_rest))) = (split(low), split(high)) else {
        return String::new();
    };
    let any = |len: usize| match len {
        0 => String::new(),
        len => format!("[0-9]{{{len}}}"),
    };
    let rest = low_rest.len();
    let low_is_least = low_rest.bytes().all(|b| b == b'0');
    let high_is_most = high_rest.bytes().all(|b| b == b'9');
    if low_is_least && high_is_most {
        return format!("[{a}-{b}]{}", any(rest));
    }
    if a == b {
        return format!("{a}({})", same_length(low_rest, high_rest));
    }
    let lower = format!("{a}({})", same_length(low_rest, &"9".repeat(rest)));
    let upper = format!("{b}({})", same_length(&zeros(rest), high_rest));
    let inside = value(b).checked_sub(1).and_then(|n| class(value(a) + 1, n));
    joined([Some(lower), inside.map(|c| format!("{c}{}", any(rest))), Some(upper)])
}

/// Whether a pattern has nothing but what a grammar can express: no anchors, word borders, flags or
/// named groups.
pub(super) fn is_expressible(pattern: &str) -> bool {
    let mut in_class = false;
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('b' | 'B' | 'A' | 'z' | '<' | '>') => return false,
                Some(_) => {}
                None => return false,
            },
            '[' => in_class = true,
            ']' => in_class = false,
            '^' | '$' if !in_class => return false,
            '(' if !in_class && chars.peek() == Some(&'?') => {
                chars.next();
                if chars.peek() != Some(&':') {
                    return false;
                }
            }
            '\n' => return false,
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests;
