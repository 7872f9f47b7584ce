//! The HTTP client that all wire codecs share, and its failures in words.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use reqwest::header::HeaderMap;
use teleprompt_core::LmErrorKind;

use super::rate::seconds_of_wait;

/// A client for servers under `base_url`.
///
/// It trusts the certificates of the operating system (or those that `SSL_CERT_FILE` and
/// `SSL_CERT_DIR` name) and honours `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, except that an
/// address of this machine is never looked for behind a proxy. Redirects are not followed, so that
/// a key stays with the host it is for.
pub(crate) fn client(base_url: &str, connect_timeout: Duration) -> Result<reqwest::Client, String> {
    let url = reqwest::Url::parse(base_url).map_err(|e| format!("{base_url} is no URL: {e}"))?;
    // A provider that the program installed before is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("teleprompt/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(connect_timeout)
        .redirect(reqwest::redirect::Policy::none());
    if is_this_machine(&url) {
        builder = builder.no_proxy();
        if url.scheme() == "http" {
            // No certificate is needed, so a machine without a certificate store will do.
            builder = builder.tls_certs_only([]);
        }
    }
    builder.build().map_err(|e| {
        format!(
            "no HTTP client could be made ({}); if certificates are missing, install the system's \
             (often the package ca-certificates) or name them in SSL_CERT_FILE",
            innermost(&e)
        )
    })
}

fn is_this_machine(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// What kind of failure it was, and a sentence that says what to do.
pub(crate) fn explain(error: &reqwest::Error, url: &str) -> (LmErrorKind, String) {
    let place = place(url);
    if error.is_timeout() && !error.is_connect() {
        return (LmErrorKind::Timeout, format!("no whole answer from {place} in time"));
    }
    if error.is_timeout() {
        let message = format!("{place} could not be reached in time; check the address and proxy");
        return (LmErrorKind::Timeout, message);
    }
    let cause = innermost(error);
    let message = match io_kind(error) {
        Some(io::ErrorKind::ConnectionRefused) => {
            let local = reqwest::Url::parse(url).is_ok_and(|url| is_this_machine(&url));
            let proxy = if local { "" } else { ", and is the proxy right, if HTTPS_PROXY is set" };
            format!(
                "nothing answers at {place} (connection refused); is the server running{proxy}?"
            )
        }
        _ if cause.contains("certificate") => format!(
            "the certificate of {place} is not trusted ({cause}); add it to the system's store \
             or name it in SSL_CERT_FILE"
        ),
        _ if cause.contains("dns error") || cause.contains("lookup address") => {
            format!("the host of {place} is not known; check the address and the network")
        }
        _ if error.is_connect() => {
            format!("{place} could not be reached ({cause}); check the address and HTTPS_PROXY")
        }
        _ => format!("the connection to {place} broke ({cause}); try again"),
    };
    let kind = if error.is_connect() { LmErrorKind::Unreachable } else { LmErrorKind::Transport };
    (kind, message)
}

/// The URL up to the path, for people.
fn place(url: &str) -> String {
    reqwest::Url::parse(url).map_or_else(|_| url.to_owned(), |u| u.origin().ascii_serialization())
}

/// The innermost cause.
fn innermost(error: &reqwest::Error) -> String {
    causes(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

fn io_kind(error: &reqwest::Error) -> Option<io::ErrorKind> {
    causes(error).find_map(|e| e.downcast_ref::<io::Error>()).map(io::Error::kind)
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(error.source(), |e| (*e).source())
}

/// How long the server asks to wait: `retry-after-ms`, or `retry-after` in seconds or as a date; at
/// most a day.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::trim);
    if let Some(ms) = text("retry-after-ms").and_then(|v| v.parse::<f64>().ok()) {
        return seconds_of_wait(ms / 1000.0);
    }
    let value = text("retry-after")?;
    if let Ok(seconds) = value.parse::<f64>() {
        return seconds_of_wait(seconds);
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
    seconds_of_wait(Duration::from_secs(http_date(value)?).saturating_sub(now).as_secs_f64())
}

/// Whether the server says that asking it the same again is of no use: `x-should-retry: false`, as
/// OpenAI and Anthropic send it.
pub(crate) fn no_retry(headers: &HeaderMap) -> bool {
    headers.get("x-should-retry").is_some_and(|value| value == "false")
}

/// Seconds since 1970 of a date such as `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7).
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let parts: Vec<&str> = text.split([' ', ':']).filter(|p| !p.is_empty()).collect();
    let [_, day, month, year, hour, minute, second, "GMT"] = parts.as_slice() else { return None };
    let number = |part: &str| part.parse::<u64>().ok();
    let month = MONTHS.find(month).filter(|at| at % 3 == 0)? as u64 / 3;
    let clock = [number(hour)?, number(minute)?, number(second)?];
    seconds_since_1970([number(year)?, month + 1, number(day)?], clock)
}

/// Of year, month and day, and hour, minute and second; `None` if there is no such time.
pub(crate) fn seconds_since_1970(date: [u64; 3], clock: [u64; 3]) -> Option<u64> {
    let ([year, month, day], [hour, minute, second]) = (date, clock);
    // A second may be a leap second.
    let fits = year <= 9999 && month <= 12 && day <= 31 && hour < 24 && minute < 60 && second <= 60;
    let days = fits.then(|| days_since_1970(year, month, day))??;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// Days of the Gregorian calendar, counted in years that begin in March (H. Hinnant,
/// "chrono-compatible low-level date algorithms").
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day.checked_sub(1)?;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year;
    days.checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_to_the_second() {
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(http_date("Thu, 29 Feb 2024 00:00:00 GMT"), Some(1_709_164_800));
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:01 GMT"), Some(1));
        for wrong in [
            "",
            "tomorrow",
            "Sun, 06 Foo 1994 08:49:37 GMT",
            "06 Nov 1994 08:49:37",
            "Sun, 06 Nov 18446744073709551615 08:49:37 GMT",
            "Sun, 06 Nov 1994 18446744073709551615:49:37 GMT",
        ] {
            assert_eq!(http_date(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn waits_come_in_three_forms() {
        let wait = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            retry_after(&headers)
        };
        assert_eq!(wait("retry-after", "2"), Some(Duration::from_secs(2)));
        assert_eq!(wait("retry-after-ms", "250"), Some(Duration::from_millis(250)));
        assert_eq!(wait("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("retry-after", "soon"), None);
        assert_eq!(wait("retry-after", "-1"), None);
        assert_eq!(wait("retry-after", "nan"), None);
        let day = Some(Duration::from_secs(86_400));
        assert_eq!(wait("retry-after", "9999999999999999999"), day);
        assert_eq!(wait("retry-after", "1e300"), day);
        assert_eq!(wait("retry-after-ms", "9999999999999999999"), day);
        assert_eq!(wait("retry-after", "Fri, 31 Dec 9999 00:00:00 GMT"), day);
    }
}
