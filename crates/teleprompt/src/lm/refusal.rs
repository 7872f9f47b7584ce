//! A server's refusal: which kind it is, and one line with a remedy.
//!
//! Forms that are read: `{"error":{"message","type","code","param"}}` (OpenAI and its kin),
//! `{"type":"error","error":{"type","message"}}` (Anthropic), `{"error":{"code","message","status",
//! "details"}}`, also as the only member of an array (Gemini), `{"detail":…}` (FastAPI),
//! `{"message"}`, plain text, HTML.

mod overflow;

use std::time::Duration;

use serde_json::Value;
use teleprompt_core::LmErrorKind as Kind;

use super::key::KeySource;
use super::rate;

/// Most of a raw body that an error keeps, in bytes.
const BODY_KEPT: usize = 16 * 1024;
/// Most of a server's own message that is shown, in characters.
const MESSAGE_SHOWN: usize = 300;

/// What a server says is wrong.
#[derive(Debug, Default)]
pub(crate) struct Complaint {
    message: String,
    /// Type, code, status, parameter and reasons, joined.
    codes: String,
    /// A status that stands in the body, as routers and Gemini send it.
    status: Option<u16>,
    /// The wait that stands in the body.
    pub retry_after: Option<Duration>,
    /// Tokens of the prompt and of the window, where they stand on their own.
    sizes: Option<(u64, u64)>,
}

impl Complaint {
    /// What an error body says, in any of the forms that servers use.
    pub(crate) fn read(body: &str) -> Self {
        let Ok(value) = serde_json::from_str::<Value>(body) else {
            let html = body.trim_start().starts_with('<');
            let message = if html { "an HTML page".to_owned() } else { body.trim().to_owned() };
            return Self { message, ..Self::default() };
        };
        let value = value.get(0).unwrap_or(&value);
        let value = value.get("response").unwrap_or(value);
        let error = value.get("error").filter(|e| !e.is_null()).unwrap_or(value);
        let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
        let message = error
            .as_str()
            .map(str::to_owned)
            .or_else(|| text("message"))
            .or_else(|| error.get("detail").map(detail))
            .unwrap_or_else(|| body.trim().to_owned());
        let codes = ["type", "code", "status", "param"].into_iter().filter_map(text);
        let number = |name: &str| error.get(name).and_then(Value::as_u64);
        Self {
            message,
            codes: codes.chain(reasons(error)).collect::<Vec<_>>().join(" "),
            status: number("code").and_then(|code| u16::try_from(code).ok()),
            retry_after: details(error).find_map(|d| rate::span(d.get("retryDelay")?.as_str()?)),
            sizes: number("n_prompt_tokens").zip(number("n_ctx")),
        }
    }

    /// Whether the message or the codes mention this.
    pub(crate) fn mentions(&self, what: &str) -> bool {
        self.codes.contains(what) || self.message.contains(what)
    }

    /// Whether the message or the codes mention any of these.
    pub(crate) fn mentions_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.mentions(word))
    }

    /// Whether message or codes have this as a word of its own.
    pub(crate) fn names(&self, field: &str) -> bool {
        let word = |c: char| !c.is_ascii_alphanumeric() && c != '_';
        self.message.split(word).chain(self.codes.split(word)).any(|word| word == field)
    }

    /// The status that an error under a good status would have had.
    pub(crate) fn status(&self) -> u16 {
        const CODES: [(&str, u16); 12] = [
            ("overloaded", 529),
            ("rate_limit", 429),
            ("insufficient_quota", 429),
            ("authentication", 401),
            ("invalid_api_key", 401),
            ("permission", 403),
            ("billing", 402),
            ("not_found", 404),
            ("invalid_request", 400),
            ("context_length", 400),
            ("invalid_prompt", 400),
            ("timeout", 408),
        ];
        let valid = self.status.filter(|status| (400..600).contains(status));
        let named = || CODES.iter().find(|(code, _)| self.codes.contains(code)).map(|(_, s)| *s);
        valid.or_else(named).unwrap_or(500)
    }

    /// The kind of failure under this status.
    pub(crate) fn kind(&self, status: u16) -> Kind {
        if matches!(status, 400 | 413 | 422 | 500) && self.is_overflow() {
            let sizes = self.sizes.or_else(|| overflow::sizes(&self.message));
            let (needed, limit) = sizes.unwrap_or_default();
            return Kind::ContextOverflow { needed, limit };
        }
        match status {
            400 | 403 | 422 | 451 if self.is_filtered() => Kind::ContentFilter,
            400 if self.mentions("API key not valid") || self.mentions("API_KEY_INVALID") => {
                Kind::Auth
            }
            400..=429 if self.is_about_credit() => Kind::Billing,
            401 | 403 => Kind::Auth,
            402 => Kind::Billing,
            429 | 500..=599 if self.is_overloaded(status) => Kind::Overloaded,
            429 => Kind::RateLimit,
            404 => Kind::NotFound,
            408 => Kind::Timeout,
            498 => Kind::Overloaded,
            500..=599 => Kind::Server,
            300..=399 => Kind::NotFound,
            _ => Kind::InvalidRequest,
        }
    }

    fn is_overflow(&self) -> bool {
        let codes = ["context_length_exceeded", "exceed_context_size"];
        codes.iter().any(|code| self.codes.contains(code)) || overflow::is_told(&self.message)
    }

    /// The provider will not answer this, for its content. `flagged` may also be said of an account,
    /// and a moderation model may be missing, so such words count only about an input.
    fn is_filtered(&self) -> bool {
        const SAID: [&str; 7] = [
            "content_filter",
            "content_policy",
            "content filtering policy",
            "content management policy",
            "ResponsibleAIPolicyViolation",
            "invalid_prompt",
            "moderation_blocked",
        ];
        const INPUTS: [&str; 4] = ["input", "prompt", "content", "message"];
        let flagged = self.message.contains("flagged") && !self.message.contains("account");
        let input = INPUTS.iter().any(|word| self.message.contains(word));
        self.mentions_any(&SAID) || (flagged && input)
    }

    /// No credit is left. Servers speak of billing in messages about rates too, so but for one well
    /// known sentence only codes count, and a server that tells when to come back means a rate.
    fn is_about_credit(&self) -> bool {
        const RATE: [&str; 2] = ["rate_limit_exceeded", "RESOURCE_EXHAUSTED"];
        let rate = self.retry_after.is_some() || RATE.iter().any(|c| self.codes.contains(c));
        let quota = self.mentions("insufficient_quota") || self.codes.contains("billing_");
        self.message.contains("credit balance is too low") || (quota && !rate)
    }

    fn is_overloaded(&self, status: u16) -> bool {
        let message = self.message.to_lowercase();
        let said = message.contains("overloaded")
            || message.contains("at capacity")
            || message.contains("loading model")
            || self.codes.contains("overloaded")
            || self.codes.contains("UNAVAILABLE");
        status == 529 || (said && (status != 429 || self.codes.contains("overloaded")))
    }
}

/// FastAPI's `detail`: a text, or a list of objects with a `msg`.
fn detail(detail: &Value) -> String {
    let first = detail.get(0).and_then(|d| d.get("msg")).unwrap_or(detail);
    first.as_str().map_or_else(|| first.to_string(), str::to_owned)
}

fn details(error: &Value) -> impl Iterator<Item = &Value> {
    error.get("details").and_then(Value::as_array).into_iter().flatten()
}

/// Reasons that stand deeper: Gemini's details, Azure's inner error.
fn reasons(error: &Value) -> impl Iterator<Item = String> {
    let inner = error.get("innererror").and_then(|inner| inner.get("code"));
    let reasons = details(error).filter_map(|detail| detail.get("reason")).chain(inner);
    reasons.filter_map(Value::as_str).map(str::to_owned)
}

/// Who refused, for the sentence.
pub(crate) struct Place<'a> {
    pub url: &'a str,
    pub key: &'a KeySource,
    pub has_key: bool,
    /// Where a redirect points to.
    pub location: Option<String>,
}

/// What happened and what to do next.
pub(crate) fn sentence(kind: Kind, status: u16, said: &Complaint, at: &Place<'_>) -> String {
    let (place, key) = (at.url, at.key);
    let quote = shown(&said.message);
    match kind {
        Kind::Auth if !at.has_key => {
            format!("{place} wants a key (HTTP {status}); {}", key.remedy())
        }
        Kind::Auth => format!("{place} refused the key (HTTP {status}): {quote}; check {key}"),
        Kind::Billing => format!(
            "the account at {place} has no credit left (HTTP {status}): {quote}; check its plan \
             and billing"
        ),
        Kind::NotFound if (300..400).contains(&status) => format!(
            "{place} moved (HTTP {status}) to {}; use that base URL",
            at.location.as_deref().unwrap_or("an unknown place")
        ),
        Kind::NotFound => format!(
            "{place} has no such model or no such API there (HTTP {status}): {quote}; check the \
             model's name and that the base URL ends as it should, usually in /v1"
        ),
        Kind::ContextOverflow { needed, limit } if limit > 0 => format!(
            "the call needs {needed} tokens, the model's window has {limit}; shorten the inputs, \
             use fewer demos or lower max_tokens"
        ),
        Kind::ContextOverflow { .. } => format!(
            "the call does not fit the model's window ({quote}); shorten the inputs, use fewer \
             demos or lower max_tokens"
        ),
        Kind::RateLimit => format!(
            "{place} takes no more requests for now (HTTP {status}): {quote}; wait, or lower the \
             concurrency"
        ),
        Kind::Overloaded => format!(
            "{place} has too much to do just now (HTTP {status}): {quote}; try again later, or \
             lower the concurrency"
        ),
        Kind::ContentFilter => format!(
            "{place} will not answer this for its content (HTTP {status}): {quote}; change the \
             inputs or the provider's filter"
        ),
        Kind::Timeout => format!("{place} gave up waiting (HTTP {status}): {quote}; try again"),
        Kind::Server => format!("{place} failed (HTTP {status}): {quote}; try again later"),
        _ => format!("{place} refused the request (HTTP {status}): {quote}"),
    }
}

/// One line, not too long.
fn shown(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = line.trim_end_matches('.');
    match line.char_indices().nth(MESSAGE_SHOWN) {
        Some((at, _)) => format!("{}…", line.get(..at).unwrap_or_default()),
        None if line.is_empty() => "no reason given".to_owned(),
        None => line.to_owned(),
    }
}

/// The part of a body that an error keeps.
pub(crate) fn kept(body: &str) -> &str {
    let end = body.floor_char_boundary(BODY_KEPT.min(body.len()));
    body.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_come_in_many_forms() {
        let cases = [
            (r#"{"error":{"message":"no"}}"#, "no"),
            (r#"{"error":"no"}"#, "no"),
            (r#"{"message":"no"}"#, "no"),
            (r#"{"detail":"no"}"#, "no"),
            (r#"{"detail":[{"msg":"no","loc":[]}]}"#, "no"),
            (r#"{"type":"error","error":{"type":"x","message":"no"}}"#, "no"),
            (r#"[{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT"}}]"#, "no"),
            (r#"{"type":"response.failed","response":{"error":{"message":"no"}}}"#, "no"),
            ("no", "no"),
            ("<html>no</html>", "an HTML page"),
        ];
        for (body, message) in cases {
            assert_eq!(Complaint::read(body).message, message, "{body}");
        }
    }

    #[test]
    fn every_provider_has_its_words_for_a_kind() {
        use Kind as K;
        let cases = [
            (
                529,
                r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
                K::Overloaded,
            ),
            (
                503,
                r#"{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}"#,
                K::Overloaded,
            ),
            (
                503,
                r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#,
                K::Overloaded,
            ),
            (503, "upstream connect error", K::Server),
            (
                429,
                r#"{"error":{"type":"engine_overloaded_error","message":"busy"}}"#,
                K::Overloaded,
            ),
            (
                429,
                r#"{"error":{"message":"rate limit","status":"RESOURCE_EXHAUSTED"}}"#,
                K::RateLimit,
            ),
            (429, r#"{"error":{"code":"insufficient_quota","message":"no"}}"#, K::Billing),
            (
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to use this API"}}"#,
                K::Billing,
            ),
            (
                400,
                r#"{"error":{"code":400,"message":"API key not valid.","details":[{"reason":"API_KEY_INVALID"}]}}"#,
                K::Auth,
            ),
            (
                400,
                r#"{"error":{"code":"content_filter","message":"x","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
                K::ContentFilter,
            ),
            (
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy"}}"#,
                K::ContentFilter,
            ),
            (403, r#"{"error":{"code":403,"message":"Your input was flagged"}}"#, K::ContentFilter),
            (
                413,
                r#"{"type":"error","error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}"#,
                K::InvalidRequest,
            ),
            (403, r#"{"error":{"type":"permission_error","message":"no"}}"#, K::Auth),
            (403, r#"{"error":{"message":"Your account was flagged"}}"#, K::Auth),
            (404, r#"{"error":{"message":"no model omni-moderation-1"}}"#, K::NotFound),
            (400, r#"{"error":{"message":"unknown field moderation"}}"#, K::InvalidRequest),
            (
                429,
                r#"{"error":{"code":429,"message":"You exceeded your current quota, please check your plan and billing details.","status":"RESOURCE_EXHAUSTED","details":[{"retryDelay":"34s"}]}}"#,
                K::RateLimit,
            ),
            (
                429,
                r#"{"error":{"type":"tokens","code":"rate_limit_exceeded","message":"Rate limit reached. Visit https://platform.openai.com/account/billing to raise it."}}"#,
                K::RateLimit,
            ),
            (429, r#"{"error":{"message":"slow down; see our page on billing"}}"#, K::RateLimit),
            (429, r#"{"error":{"code":"billing_not_active","message":"x"}}"#, K::Billing),
            (400, r#"{"error":{"code":"billing_hard_limit_reached","message":"x"}}"#, K::Billing),
            (402, r#"{"error":{"message":"x","details":[{"retryDelay":"1s"}]}}"#, K::Billing),
        ];
        for (status, body, kind) in cases {
            assert_eq!(Complaint::read(body).kind(status), kind, "{status} {body}");
        }
    }

    #[test]
    fn an_error_under_a_good_status_tells_its_own() {
        let cases = [
            (r#"{"error":{"code":429,"message":"busy"}}"#, 429),
            (r#"{"type":"error","error":{"type":"overloaded_error","message":"x"}}"#, 529),
            (r#"{"type":"error","code":"rate_limit_exceeded","message":"x"}"#, 429),
            (r#"{"error":{"type":"api_error","message":"x"}}"#, 500),
            (r#"{"error":{"code":7,"message":"x"}}"#, 500),
        ];
        for (body, status) in cases {
            assert_eq!(Complaint::read(body).status(), status, "{body}");
        }
    }

    #[test]
    fn geminis_wait_stands_in_the_body() {
        let body = r#"{"error":{"code":429,"message":"x","details":[{"@type":"a"},{"retryDelay":"34.5s"}]}}"#;
        assert_eq!(Complaint::read(body).retry_after, Some(Duration::from_millis(34_500)));
        let body = body.replace("34.5s", "9999999999999999999s");
        assert_eq!(Complaint::read(&body).retry_after, Some(rate::LONGEST));
    }
}
