//! What a provider's headers say of its rate limits.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::HeaderMap;
use teleprompt_core::RateStatus;

use super::http::seconds_since_1970;

/// No wait that a server asks for is taken to be longer: what it says may be nonsense, and a clock
/// can still add this to the present.
pub(crate) const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The status that the headers tell; `None` if they tell nothing.
///
/// OpenAI and those who follow it send `x-ratelimit-limit-requests` and its like, with resets such as
/// `6m0s`; Anthropic sends `anthropic-ratelimit-requests-limit` and its like, with resets as dates.
pub(crate) fn status(headers: &HeaderMap) -> Option<RateStatus> {
    let found = |what: &str, unit: &str| {
        let openai = headers.get(format!("x-ratelimit-{what}-{unit}"));
        let value = openai.or_else(|| headers.get(format!("anthropic-ratelimit-{unit}-{what}")))?;
        Some(value.to_str().ok()?.trim())
    };
    let number = |what: &str, unit: &str| found(what, unit)?.parse::<u64>().ok();
    let reset = |unit: &str| found("reset", unit).and_then(wait);
    let status = RateStatus {
        limit_requests: number("limit", "requests"),
        remaining_requests: number("remaining", "requests"),
        reset_requests: reset("requests"),
        limit_tokens: number("limit", "tokens"),
        remaining_tokens: number("remaining", "tokens"),
        reset_tokens: reset("tokens"),
    };
    (status != RateStatus::default()).then_some(status)
}

/// `6m0s`, `1.5s`, `20ms`, a bare number of seconds, or a point in time: a date of RFC 3339, or a
/// number of seconds or milliseconds since 1970.
fn wait(text: &str) -> Option<Duration> {
    let since_1970 = match text.parse::<f64>() {
        Ok(number) if number > 1e9 => Some(number * if number > 1e11 { 1e-3 } else { 1.0 }),
        _ => rfc3339(text).map(|seconds| seconds as f64),
    };
    match since_1970 {
        Some(seconds) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
            seconds_of_wait((seconds - now.as_secs_f64()).max(0.0))
        }
        None => span(text),
    }
}

/// So many seconds, at most [`LONGEST`]; `None` if it is no span of time.
pub(crate) fn seconds_of_wait(seconds: f64) -> Option<Duration> {
    let known = seconds >= 0.0;
    known.then(|| Duration::from_secs_f64(seconds.min(LONGEST.as_secs_f64())))
}

/// A span of time such as `1h2m3.5s`, `20ms`, `34s` or `7` (seconds), at most [`LONGEST`].
pub(crate) fn span(text: &str) -> Option<Duration> {
    let (mut rest, mut total) = (text.trim(), 0.0);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at_checked(digits)?;
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(letters)?;
        let scale = match unit {
            "d" => 86_400.0,
            "h" => 3600.0,
            "m" => 60.0,
            "s" | "" => 1.0,
            "ms" => 1e-3,
            "us" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * scale;
        rest = tail;
    }
    seconds_of_wait(total)
}

/// Seconds since 1970 of a date such as `2026-01-31T08:00:00Z` or `…T08:00:00.5+01:00`.
fn rfc3339(text: &str) -> Option<u64> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<u64>().ok());
    let date = [date.next()??, date.next()??, date.next()??];
    let zone_at = time.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = time.split_at_checked(zone_at)?;
    let mut clock = clock.splitn(3, ':');
    let mut next = || clock.next()?.split('.').next()?.parse::<u64>().ok();
    let seconds = seconds_since_1970(date, [next()?, next()?, next()?])?;
    if matches!(zone, "Z" | "z") {
        return Some(seconds);
    }
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let offset =
        u64::from(hours.parse::<u8>().ok()?) * 3600 + u64::from(minutes.parse::<u8>().ok()?) * 60;
    if zone.starts_with('+') { seconds.checked_sub(offset) } else { seconds.checked_add(offset) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_come_in_many_forms() {
        let cases = [
            ("6m0s", Some(360_000)),
            ("1s", Some(1000)),
            ("20ms", Some(20)),
            ("1.5s", Some(1500)),
            ("1h2m3s", Some(3_723_000)),
            ("7", Some(7000)),
            ("34.5s", Some(34_500)),
            ("", None),
            ("soon", None),
            ("-1s", None),
            ("5x", None),
            ("1..5s", None),
            ("9999999999999999999", Some(86_400_000)),
            ("99999999999999999999999999999999999999h", Some(86_400_000)),
        ];
        for (text, millis) in cases {
            assert_eq!(span(text).map(|d| d.as_millis()), millis, "{text}");
        }
    }

    #[test]
    fn dates_have_zones() {
        assert_eq!(rfc3339("1994-11-06T08:49:37Z"), Some(784_111_777));
        assert_eq!(rfc3339("1994-11-06T09:49:37.25+01:00"), Some(784_111_777));
        assert_eq!(rfc3339("1994-11-06T03:19:37-05:30"), Some(784_111_777));
        for wrong in [
            "",
            "1994-11-06",
            "1994-11-06T08:49:37",
            "aT8:0:0Z",
            "1994-11T08:00:00Z",
            "18446744073709551615-01-01T00:00:00Z",
            "1994-01-18446744073709551615T00:00:00Z",
            "1994-01-01T18446744073709551615:00:00Z",
            "1994-01-01T00:00:00+18446744073709551615:00",
        ] {
            assert_eq!(rfc3339(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_reset_may_be_a_point_in_time_and_is_at_most_a_day() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let near = |text: String| {
            let wait = wait(&text).unwrap().as_secs();
            assert!((90..=100).contains(&wait), "{text}: {wait} s");
        };
        near((now.as_secs() + 100).to_string());
        near((now.as_millis() + 100_000).to_string());
        for far in ["9999999999999999999", "1e300", "inf", "9999-12-31T00:00:00Z"] {
            assert_eq!(wait(far), Some(LONGEST), "{far}");
        }
        assert_eq!(wait("1000000001"), Some(Duration::ZERO), "long ago");
        assert_eq!((wait("nan"), wait("-7")), (None, None));
    }

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        list.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect()
    }

    #[test]
    fn both_families_of_headers_are_read() {
        let openai = headers(&[
            ("x-ratelimit-limit-requests", "60"),
            ("x-ratelimit-remaining-requests", "59"),
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-limit-tokens", "150000"),
            ("x-ratelimit-remaining-tokens", "149984"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ]);
        let expected = RateStatus {
            limit_requests: Some(60),
            remaining_requests: Some(59),
            reset_requests: Some(Duration::from_secs(1)),
            limit_tokens: Some(150_000),
            remaining_tokens: Some(149_984),
            reset_tokens: Some(Duration::from_secs(360)),
        };
        assert_eq!(status(&openai), Some(expected));
        let anthropic = headers(&[
            ("anthropic-ratelimit-requests-remaining", "3"),
            ("anthropic-ratelimit-tokens-reset", "1994-11-06T08:49:37Z"),
        ]);
        let expected = RateStatus {
            remaining_requests: Some(3),
            reset_tokens: Some(Duration::ZERO),
            ..RateStatus::default()
        };
        assert_eq!(status(&anthropic), Some(expected));
        assert_eq!(status(&headers(&[("x-ratelimit-limit-requests", "many")])), None);
        assert_eq!(status(&HeaderMap::new()), None);
    }
}
