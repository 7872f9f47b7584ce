//! A server's refusal as an [`LmError`]: kind, one line with a remedy, and the evidence.

use reqwest::header::HeaderMap;
use serde_json::Value;
use teleprompt_core::{LmError, LmErrorKind as Kind};

use super::OpenAi;
use crate::lm::http::retry_after;

/// Most of a raw body that an error keeps, in bytes.
const BODY_KEPT: usize = 16 * 1024;
/// Most of a server's own message that is shown, in characters.
const MESSAGE_SHOWN: usize = 300;

/// What a server says is wrong.
#[derive(Debug, Default)]
pub(super) struct Complaint {
    pub message: String,
    /// Type, code and parameter, joined.
    pub codes: String,
    /// A status that stands in the body, as routers send it.
    pub status: Option<u16>,
    numbers: Option<(u64, u64)>,
}

impl Complaint {
    /// What an error body says, in any of the forms that servers use.
    pub(super) fn read(body: &str) -> Self {
        let Ok(value) = serde_json::from_str::<Value>(body) else {
            let html = body.trim_start().starts_with('<');
            let message = if html { "an HTML page".to_owned() } else { body.trim().to_owned() };
            return Self { message, ..Self::default() };
        };
        let error = value.get("error").filter(|e| !e.is_null()).unwrap_or(&value);
        let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
        let message = error
            .as_str()
            .map(str::to_owned)
            .or_else(|| text("message"))
            .or_else(|| error.get("detail").map(detail))
            .unwrap_or_else(|| body.trim().to_owned());
        let codes = ["type", "code", "param"].into_iter().filter_map(text);
        let number = |name: &str| error.get(name).and_then(Value::as_u64);
        Self {
            message,
            codes: codes.collect::<Vec<_>>().join(" "),
            status: number("code").and_then(|code| u16::try_from(code).ok()),
            numbers: number("n_prompt_tokens").zip(number("n_ctx")),
        }
    }

    /// Whether the message or the codes mention this.
    pub(super) fn mentions(&self, what: &str) -> bool {
        self.codes.contains(what) || self.message.contains(what)
    }

    fn kind(&self, status: u16) -> Kind {
        if self.is_overflow() {
            let (needed, limit) = self.numbers.or_else(|| sizes(&self.message)).unwrap_or_default();
            return Kind::ContextOverflow { needed, limit };
        }
        match status {
            401 | 403 => Kind::Auth,
            402 => Kind::Billing,
            429 if self.mentions("insufficient_quota") || self.mentions("billing") => Kind::Billing,
            429 => Kind::RateLimit,
            404 => Kind::NotFound,
            408 => Kind::Timeout,
            500..=599 => Kind::Server,
            300..=399 => Kind::NotFound,
            _ => Kind::InvalidRequest,
        }
    }

    fn is_overflow(&self) -> bool {
        let message = self.message.to_lowercase();
        let said =
            ["maximum context length", "context size", "context window", "prompt is too long"];
        self.codes.contains("context_length_exceeded")
            || self.codes.contains("exceed_context_size")
            || said.iter().any(|phrase| message.contains(phrase))
    }
}

/// FastAPI's `detail`: a text, or a list of objects with a `msg`.
fn detail(detail: &Value) -> String {
    let first = detail.get(0).and_then(|d| d.get("msg")).unwrap_or(detail);
    first.as_str().map_or_else(|| first.to_string(), str::to_owned)
}

/// Needed and available tokens as the message tells them: the largest number, and the largest one
/// below it.
fn sizes(message: &str) -> Option<(u64, u64)> {
    let words = message.split(|c: char| !c.is_ascii_digit() && c != ',');
    let numbers = words.map(|w| w.replace(',', ""));
    let numbers: Vec<u64> = numbers.filter_map(|n| n.parse().ok()).collect();
    let needed = numbers.iter().copied().max()?;
    let limit = numbers.into_iter().filter(|n| *n < needed).max()?;
    Some((needed, limit))
}

impl OpenAi {
    /// The error for a body that says that something is wrong.
    pub(super) fn refusal(&self, status: u16, headers: &HeaderMap, body: &str) -> LmError {
        let body = self.redacted(body);
        let complaint = Complaint::read(&body);
        let status = if status == 200 { complaint.status.unwrap_or(500) } else { status };
        let kind = complaint.kind(status);
        let message = self.sentence(kind, status, &complaint, headers);
        let request_id = headers.get("x-request-id").and_then(|v| v.to_str().ok());
        LmError::new(kind, self.name.clone(), message)
            .with_response(status, kept(&body))
            .with_retry_after(retry_after(headers))
            .with_request_id(request_id.map(str::to_owned))
    }

    /// The error for a reply that is not what the protocol promises.
    pub(super) fn protocol(&self, what: &str, status: u16, body: &str) -> LmError {
        let place = &self.config.base_url;
        let hint = if body.trim_start().starts_with('<') { " but HTML" } else { "" };
        let message = format!(
            "{place} answered with {what}{hint}; check that the address is the base URL of an \
             OpenAI-compatible API, which usually ends in /v1"
        );
        LmError::new(Kind::Protocol, self.name.clone(), message)
            .with_response(status, kept(&self.redacted(body)))
    }

    fn sentence(&self, kind: Kind, status: u16, said: &Complaint, headers: &HeaderMap) -> String {
        let place = &self.config.base_url;
        let (key, model) = (self.config.key_variable, &self.model);
        let quote = shown(&said.message);
        match kind {
            Kind::Auth if self.config.key.is_none() => {
                format!("{place} wants a key (HTTP {status}); set {key}")
            }
            Kind::Auth => format!("{place} refused the key (HTTP {status}): {quote}; check {key}"),
            Kind::Billing => format!(
                "the account at {place} has no credit left (HTTP {status}): {quote}; check its \
                 plan and billing"
            ),
            Kind::NotFound if (300..400).contains(&status) => {
                let target = headers.get("location").and_then(|v| v.to_str().ok());
                let target = target.unwrap_or("an unknown place");
                format!("{place} moved (HTTP {status}) to {target}; use that base URL")
            }
            Kind::NotFound => format!(
                "{place} has no model `{model}` or no chat completions there (HTTP 404): {quote}; \
                 check the name and that the base URL ends as it should, usually in /v1"
            ),
            Kind::ContextOverflow { needed, limit } if limit > 0 => format!(
                "the call needs {needed} tokens, the model's window has {limit}; shorten the \
                 inputs, use fewer demos or lower max_tokens"
            ),
            Kind::ContextOverflow { .. } => format!(
                "the call does not fit the model's window ({quote}); shorten the inputs, use fewer \
                 demos or lower max_tokens"
            ),
            Kind::RateLimit => format!(
                "{place} takes no more requests for now (HTTP {status}): {quote}; wait, or lower \
                 the concurrency"
            ),
            Kind::Timeout => format!("{place} gave up waiting (HTTP {status}): {quote}; try again"),
            Kind::Server => format!("{place} failed (HTTP {status}): {quote}; try again later"),
            _ => format!("{place} refused the request (HTTP {status}): {quote}"),
        }
    }

    /// The text without our key, which some servers repeat.
    fn redacted(&self, text: &str) -> String {
        match self.config.key.as_deref().filter(|key| !key.is_empty()) {
            Some(key) => text.replace(key, "[key]"),
            None => text.to_owned(),
        }
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

fn kept(body: &str) -> &str {
    let end = body.floor_char_boundary(BODY_KEPT.min(body.len()));
    body.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sizes_of_an_overflow_are_found() {
        let cases = [
            (
                "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
                (9000, 8192),
            ),
            (
                "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4000 in the messages, 1000 in the completion).",
                (5000, 4096),
            ),
            ("prompt is too long: 210,000 tokens > 200,000 maximum", (210_000, 200_000)),
        ];
        for (message, (needed, limit)) in cases {
            let complaint = Complaint { message: message.to_owned(), ..Complaint::default() };
            assert_eq!(complaint.kind(400), Kind::ContextOverflow { needed, limit }, "{message}");
        }
        let llama = r#"{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error","n_prompt_tokens":700,"n_ctx":512}}"#;
        let kind = Complaint::read(llama).kind(400);
        assert_eq!(kind, Kind::ContextOverflow { needed: 700, limit: 512 });
        let bare = r#"{"error":{"code":"context_length_exceeded","message":"too long"}}"#;
        assert_eq!(Complaint::read(bare).kind(400), Kind::ContextOverflow { needed: 0, limit: 0 });
    }

    #[test]
    fn complaints_come_in_many_forms() {
        let cases = [
            (r#"{"error":{"message":"no"}}"#, "no"),
            (r#"{"error":"no"}"#, "no"),
            (r#"{"message":"no"}"#, "no"),
            (r#"{"detail":"no"}"#, "no"),
            (r#"{"detail":[{"msg":"no","loc":[]}]}"#, "no"),
            ("no", "no"),
            ("<html>no</html>", "an HTML page"),
        ];
        for (body, message) in cases {
            assert_eq!(Complaint::read(body).message, message, "{body}");
        }
    }
}
