//! Calendar dates.

use super::{Cx, Outcome, problem};
use crate::parse::words::shortened;
use crate::{Repair, Type};

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

type Date = (u32, u32, u32);

impl Cx<'_> {
    /// `YYYY-MM-DD`, or a notation in which day and month cannot be mistaken for one another.
    pub(super) fn date_from_text(&mut self, text: &str, ty: &Type) -> Outcome {
        let wrong = |why: &str| problem(format!("{} {why}", shortened(text)), ty);
        let bare = text.trim_end_matches(['.', ',', '!']);
        if let Some(date) = iso(bare) {
            if bare.len() != text.len() {
                self.flag(Repair::DateFormat);
            }
            return checked(date).map(Into::into).ok_or_else(|| wrong("is no day of the calendar"));
        }
        let read = other_notation(bare);
        if let Some(date) = read {
            self.flag(Repair::DateFormat);
            return checked(date).map(Into::into).ok_or_else(|| wrong("is no day of the calendar"));
        }
        let mut inside = text.split(|c: char| c.is_whitespace() || "()\"'*`,;".contains(c));
        let mut dates = inside.by_ref().filter_map(|w| iso(w.trim_end_matches('.')));
        match (dates.next(), dates.next()) {
            (Some(date), None) => {
                self.flag(Repair::Prose);
                checked(date).map(Into::into).ok_or_else(|| wrong("is no day of the calendar"))
            }
            (Some(_), Some(_)) => Err(wrong("has more than one date")),
            (None, _) => Err(wrong("is no date that can be read without doubt")),
        }
    }
}

fn number(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<u32> {
    let fits = digits.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

fn three(text: &str, separator: char) -> Option<(&str, &str, &str)> {
    let mut parts = text.split(separator);
    let three = (parts.next()?, parts.next()?, parts.next()?);
    parts.next().is_none().then_some(three)
}

fn iso(text: &str) -> Option<Date> {
    let (y, m, d) = three(text, '-')?;
    Some((number(y, 4..=4)?, number(m, 2..=2)?, number(d, 2..=2)?))
}

fn other_notation(text: &str) -> Option<Date> {
    // A time of day behind the date.
    let day = text.get(..10).filter(|_| text.get(10..11).is_some_and(|c| c == "T" || c == " "));
    if let Some(date) = day.and_then(iso)
        && text.get(11..13).is_some_and(|hour| number(hour, 2..=2).is_some())
    {
        return Some(date);
    }
    ['-', '/', '.'].into_iter().find_map(|c| figures(text, c)).or_else(|| with_month_name(text))
}

/// Figures: year first; or with dots day first; or with slashes where one of two is beyond 12.
fn figures(text: &str, separator: char) -> Option<Date> {
    let (a, b, c) = three(text, separator)?;
    if let Some(year) = number(a, 4..=4) {
        return Some((year, number(b, 1..=2)?, number(c, 1..=2)?));
    }
    let (a, b, year) = (number(a, 1..=2)?, number(b, 1..=2)?, number(c, 4..=4)?);
    match (separator, a > 12, b > 12) {
        ('.', _, false) | (_, true, false) => Some((year, b, a)),
        (_, false, true) if separator != '.' => Some((year, a, b)),
        _ if a == b => Some((year, a, b)),
        _ => None,
    }
}

/// `5 January 2024`, `January 5th, 2024`, `the 5th of Jan 2024`.
fn with_month_name(text: &str) -> Option<Date> {
    let (mut year, mut month, mut day) = (None, None, None);
    for word in text.split([' ', ',', '.']).filter(|w| !w.is_empty()) {
        let lower = word.to_lowercase();
        let bare = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let suffix = lower.get(bare.len()..).unwrap_or("");
        let slot = if let Some(m) = month_of(&lower) {
            (&mut month, m)
        } else if let (Some(y), "") = (number(bare, 4..=4), suffix) {
            (&mut year, y)
        } else if let (Some(d), "" | "st" | "nd" | "rd" | "th") = (number(bare, 1..=2), suffix) {
            (&mut day, d)
        } else if matches!(&*lower, "the" | "of") || is_weekday(&lower) {
            continue;
        } else {
            return None;
        };
        if slot.0.replace(slot.1).is_some() {
            return None;
        }
    }
    Some((year?, month?, day?))
}

fn month_of(word: &str) -> Option<u32> {
    let at = MONTHS
        .iter()
        .position(|m| *m == word || (word.len() >= 3 && word.len() <= 4 && m.starts_with(word)))?;
    u32::try_from(at + 1).ok()
}

fn is_weekday(word: &str) -> bool {
    const DAYS: [&str; 7] =
        ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    DAYS.iter().any(|d| *d == word || (word.len() >= 3 && d.starts_with(word)))
}

fn checked((year, month, day): Date) -> Option<String> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day).then(|| format!("{year:04}-{month:02}-{day:02}"))
}
