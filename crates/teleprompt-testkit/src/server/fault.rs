//! What goes wrong between a client and a provider.

mod date;
#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::response::{Part, Response};
use super::wire::{Answer, Finish, Wire};

/// What a client must make of a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Send the request again: it can succeed later.
    Retry,
    /// Take it for the answer.
    Answer,
    /// Fail without sending again, with an error of this kind (a variant of the core's
    /// `LmErrorKind`).
    Fail(&'static str),
}

/// Something that goes wrong, or that looks odd and is not.
///
/// ```
/// use teleprompt_testkit::{Answer, Expected, Fault, Wire};
///
/// let busy = Fault::RateLimit { retry_after: 3 };
/// assert_eq!(busy.expected(), Expected::Retry);
/// let response = busy.response(Wire::Anthropic, &Answer::text("late"), false);
/// assert_eq!(response.status, 429);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// 429 with `Retry-After` in seconds. Retry.
    RateLimit {
        /// The wait asked for.
        retry_after: u64,
    },
    /// 429 with `Retry-After` as an HTTP date. Retry.
    RateLimitDate {
        /// Seconds from now to the date.
        retry_after: u64,
    },
    /// 429 with `retry-after-ms`, beside a `Retry-After` rounded up to seconds. Retry.
    RateLimitMillis {
        /// The wait asked for, in milliseconds.
        retry_after: u64,
    },
    /// 500 in the provider's form. Retry.
    ServerError,
    /// 502 with a proxy's HTML page. Retry.
    BadGateway,
    /// 503 in the provider's form. Retry.
    Unavailable,
    /// 529 in the provider's form: overloaded. Retry.
    Overloaded,
    /// Nothing comes for this long, then the answer. Retry, once the client's own time is over.
    StallBeforeHead(Duration),
    /// The head and half of the body, nothing for this long, then the rest. Retry, once the
    /// client's own time is over.
    StallInBody(Duration),
    /// The connection is reset before the head. Retry.
    ResetBeforeHead,
    /// The connection is reset inside the body. Retry.
    ResetInBody,
    /// The body ends before its `Content-Length`. Retry.
    Truncated,
    /// The body ends properly as HTTP has it, but half of it is missing: a stream without its end,
    /// or half a JSON text. Retry.
    NoEnd,
    /// A piece for each byte: every character of several bytes is split. Take it.
    SplitCharacters,
    /// Lines end with CR LF, and the `data` of an event is over several lines, as SSE allows; a
    /// whole reply is indented JSON with CR LF. Take it.
    OddLines,
    /// Every event has the same `id:` line and comes with comments and a `retry:` line; a whole
    /// reply is as ever. Take it.
    DuplicateIds,
    /// Neither choices nor content. Fail. Of Anthropic without a reason to stop as well: with one, no
    /// content is a reply in which the model said nothing, which its documentation knows.
    EmptyChoices,
    /// A finish reason that no client knows. Take it.
    UnknownFinish,
    /// 200 with an HTML page. Fail: it is another service, or a login page.
    HtmlOk,
    /// One byte at a time with this pause between them. Take it, if there is time.
    SlowDrip(Duration),
    /// The answer with `Content-Type: text/plain`. Take it: the body is what it should be.
    WrongContentType,
    /// 400. Fail.
    BadRequest,
    /// 401. Fail.
    Unauthorised,
    /// 403. Fail.
    Forbidden,
    /// 404: no such model. Fail.
    NotFound,
    /// 400: prompt and completion do not fit the window, in the provider's words. Fail.
    ContextOverflow {
        /// Tokens asked for.
        needed: u64,
        /// Tokens of the window.
        limit: u64,
    },
}

impl Fault {
    /// One of each, waits of `stall` and pauses of a hundredth of it.
    pub fn all(stall: Duration) -> Vec<Fault> {
        vec![
            Fault::RateLimit { retry_after: 1 },
            Fault::RateLimitDate { retry_after: 1 },
            Fault::RateLimitMillis { retry_after: 20 },
            Fault::ServerError,
            Fault::BadGateway,
            Fault::Unavailable,
            Fault::Overloaded,
            Fault::StallBeforeHead(stall),
            Fault::StallInBody(stall),
            Fault::ResetBeforeHead,
            Fault::ResetInBody,
            Fault::Truncated,
            Fault::NoEnd,
            Fault::SplitCharacters,
            Fault::OddLines,
            Fault::DuplicateIds,
            Fault::EmptyChoices,
            Fault::UnknownFinish,
            Fault::HtmlOk,
            Fault::SlowDrip(stall / 100),
            Fault::WrongContentType,
            Fault::BadRequest,
            Fault::Unauthorised,
            Fault::Forbidden,
            Fault::NotFound,
            Fault::ContextOverflow { needed: 9000, limit: 8192 },
        ]
    }

    /// What a client must make of it.
    pub fn expected(&self) -> Expected {
        match self {
            Fault::RateLimit { .. }
            | Fault::RateLimitDate { .. }
            | Fault::RateLimitMillis { .. }
            | Fault::ServerError
            | Fault::BadGateway
            | Fault::Unavailable
            | Fault::Overloaded
            | Fault::StallBeforeHead(_)
            | Fault::StallInBody(_)
            | Fault::ResetBeforeHead
            | Fault::ResetInBody
            | Fault::Truncated
            | Fault::NoEnd => Expected::Retry,
            Fault::SplitCharacters
            | Fault::OddLines
            | Fault::DuplicateIds
            | Fault::UnknownFinish
            | Fault::SlowDrip(_)
            | Fault::WrongContentType => Expected::Answer,
            Fault::EmptyChoices | Fault::HtmlOk => Expected::Fail("Protocol"),
            Fault::BadRequest => Expected::Fail("InvalidRequest"),
            Fault::Unauthorised | Fault::Forbidden => Expected::Fail("Auth"),
            Fault::NotFound => Expected::Fail("NotFound"),
            Fault::ContextOverflow { .. } => Expected::Fail("ContextOverflow"),
        }
    }

    /// The response of this fault in place of the answer, which `stream` says whether it was to
    /// come as a stream.
    pub fn response(&self, wire: Wire, answer: &Answer, stream: bool) -> Response {
        let good = || reply(wire, answer, stream);
        let response = match self {
            Fault::StallBeforeHead(time) => good().after(*time),
            Fault::StallInBody(time) => halves(good(), &[Part::Wait(*time)], true),
            Fault::ResetBeforeHead => Response::parts([Part::Reset]),
            // Without the wait the reset can overtake the bytes.
            Fault::ResetInBody => {
                halves(good(), &[Part::Wait(Duration::from_millis(5)), Part::Reset], false)
            }
            Fault::Truncated => {
                let length = good().body().len().to_string();
                halves(good(), &[Part::Close], false).with_header("content-length", &length)
            }
            Fault::NoEnd => halves(good(), &[], false),
            Fault::SplitCharacters => drip(good(), Duration::ZERO),
            Fault::SlowDrip(pause) => drip(good(), *pause),
            Fault::OddLines => odd_lines(good(), stream),
            Fault::DuplicateIds => duplicate_ids(good(), stream),
            Fault::EmptyChoices => empty(wire, answer, stream),
            Fault::UnknownFinish => {
                let finish = Finish::Unknown("because_i_say_so".to_owned());
                reply(wire, &answer.clone().with_finish(finish), stream)
            }
            Fault::WrongContentType => good().with_header("content-type", "text/plain"),
            Fault::HtmlOk => html(200, "Sign in"),
            Fault::BadGateway => html(502, "502 Bad Gateway"),
            _ => self.refusal(wire),
        };
        if self.expected() == Expected::Answer || self.is_stall() {
            response
        } else {
            response.no_answer()
        }
    }

    /// A stall ends with the answer, for a client that waits so long.
    fn is_stall(&self) -> bool {
        matches!(self, Fault::StallBeforeHead(_) | Fault::StallInBody(_))
    }

    /// An error in the provider's form.
    fn refusal(&self, wire: Wire) -> Response {
        let busy = || wire.error(429, "", "Rate limit reached, try again later");
        match self {
            Fault::RateLimit { retry_after } => {
                busy().with_header("retry-after", &retry_after.to_string())
            }
            Fault::RateLimitDate { retry_after } => {
                let at = SystemTime::now() + Duration::from_secs(*retry_after);
                busy().with_header("retry-after", &date::http_date(at))
            }
            Fault::RateLimitMillis { retry_after } => busy()
                .with_header("retry-after-ms", &retry_after.to_string())
                .with_header("retry-after", &retry_after.div_ceil(1000).to_string()),
            Fault::Unavailable => wire.error(503, "", "The service is unavailable"),
            Fault::Overloaded => wire.error(529, "", "Overloaded"),
            Fault::BadRequest => wire.error(400, "", "Invalid value for 'temperature'"),
            Fault::Unauthorised => wire.error(401, "", "Incorrect API key provided"),
            Fault::Forbidden => wire.error(403, "", "You may not use this model"),
            Fault::NotFound => wire.error(404, "", "The model does not exist"),
            Fault::ContextOverflow { needed, limit } => overflow(wire, *needed, *limit),
            _ => wire.error(500, "", "The server had an error while processing your request"),
        }
    }
}

fn reply(wire: Wire, answer: &Answer, stream: bool) -> Response {
    if stream { wire.stream(answer, usize::MAX, Duration::ZERO) } else { wire.reply(answer) }
}

/// The first half of the body, what is between, and the second half if `rest`.
fn halves(response: Response, between: &[Part], rest: bool) -> Response {
    let bytes = response.body().into_bytes();
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let mut parts = vec![Part::Bytes(first.to_vec())];
    parts.extend_from_slice(between);
    if rest {
        parts.push(Part::Bytes(second.to_vec()));
    }
    Response { parts, ..response }
}

fn drip(response: Response, pause: Duration) -> Response {
    let mut parts = Vec::new();
    for byte in response.body().into_bytes() {
        parts.push(Part::Bytes(vec![byte]));
        if !pause.is_zero() {
            parts.push(Part::Wait(pause));
        }
    }
    Response { parts, ..response }
}

fn with_body(response: Response, body: String) -> Response {
    Response { parts: vec![Part::Bytes(body.into_bytes())], ..response }
}

/// The body's `data:` payloads and `event:` names, one rewritten event each.
fn each_event(body: &str, rewrite: impl Fn(Option<&str>, &str) -> String) -> String {
    let normal = body.replace("\r\n", "\n");
    let events = normal.split("\n\n").filter(|event| !event.is_empty()).map(|event| {
        let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
        rewrite(field("event: "), field("data: ").unwrap_or_default())
    });
    events.collect()
}

fn indented(data: &str) -> String {
    let value: Result<Value, _> = serde_json::from_str(data);
    value.map_or_else(|_| data.to_owned(), |v| format!("{v:#}"))
}

fn odd_lines(response: Response, stream: bool) -> Response {
    let body = response.body();
    if !stream {
        return with_body(response, indented(&body).replace('\n', "\r\n"));
    }
    let body = each_event(&body, |event, data| {
        let name = event.map(|e| format!("event:{e}\r\n")).unwrap_or_default();
        let lines =
            indented(data).lines().map(|line| format!("data:{line}\r\n")).collect::<String>();
        format!("{name}{lines}\r\n")
    });
    with_body(response, body)
}

fn duplicate_ids(response: Response, stream: bool) -> Response {
    if !stream {
        return response;
    }
    let body = each_event(&response.body(), |event, data| {
        let name = event.map(|e| format!("event: {e}\n")).unwrap_or_default();
        format!(": keep-alive\n\nid: 1\nretry: 3000\n{name}data: {data}\n\n")
    });
    with_body(response, body)
}

fn empty(wire: Wire, answer: &Answer, stream: bool) -> Response {
    let member = match wire {
        Wire::OpenAiChat => "choices",
        Wire::OpenAiResponses => "output",
        Wire::Anthropic => "content",
        Wire::Gemini => "candidates",
    };
    if !stream {
        let empty = answer.clone().with_extra(member, json!([]));
        return wire.reply(&match wire {
            Wire::Anthropic => empty.with_extra("stop_reason", Value::Null),
            _ => empty,
        });
    }
    let mut none = answer.clone();
    none.texts.clear();
    none.pieces.clear();
    let kept = ["message_start", "message_stop", "response.created", "response.completed"];
    let body = each_event(&wire.events(&none), |event, data| match event {
        Some(name) if !kept.contains(&name) => String::new(),
        Some(name) => format!("event: {name}\ndata: {}\n\n", without_output(data)),
        None => format!("data: {data}\n\n"),
    });
    with_body(reply(wire, answer, true), body)
}

/// The event with an empty `response.output`.
fn without_output(data: &str) -> String {
    let mut value: Value = serde_json::from_str(data).unwrap_or_default();
    if let Some(output) = value.pointer_mut("/response/output") {
        *output = json!([]);
    }
    value.to_string()
}

fn html(status: u16, title: &str) -> Response {
    let page = format!(
        "<!DOCTYPE html>\n<html><head><title>{title}</title></head>\n\
         <body><center><h1>{title}</h1></center><hr></body></html>\n"
    );
    Response::status(status, page).with_header("content-type", "text/html; charset=utf-8")
}

fn overflow(wire: Wire, needed: u64, limit: u64) -> Response {
    match wire {
        Wire::OpenAiChat => wire.error(
            400,
            "context_length_exceeded",
            &format!(
                "This model's maximum context length is {limit} tokens. However, your messages \
                 resulted in {needed} tokens. Please reduce the length of the messages."
            ),
        ),
        Wire::OpenAiResponses => wire.error(
            400,
            "context_length_exceeded",
            "Your input exceeds the context window of this model. Please adjust your input and \
             try again.",
        ),
        Wire::Anthropic => {
            wire.error(400, "", &format!("prompt is too long: {needed} tokens > {limit} maximum"))
        }
        Wire::Gemini => wire.error(
            400,
            "",
            &format!(
                "The input token count ({needed}) exceeds the maximum number of tokens allowed \
                 ({limit})."
            ),
        ),
    }
}
