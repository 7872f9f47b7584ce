//! What an error tells, and what becomes of a reply that was cut or makes no sense.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use teleprompt::adapter::ChatAdapter;
use teleprompt::prelude::*;
use teleprompt::{LmError, LmErrorKind as Kind};
use teleprompt_testkit::server::Finish;
use teleprompt_testkit::{Answer, FakeServer, Fault, Response, Wire};

use super::support::{Checked, KEY, MODEL, Subject, ask, holds, on_every_wire, same, stream};

/// The error of this response, which has to be the same whether it was to come whole or streamed.
async fn error_of(
    subject: &Subject,
    response: impl Fn(Wire) -> Response,
) -> Result<(LmError, String), String> {
    let response = response(subject.wire);
    let said = response.body();
    let server = FakeServer::start(move |_| response.clone()).await.unwrap();
    let lm = subject.lm(&server);
    let whole = lm.generate(&ask("hi")).await.err().ok_or("a whole reply came")?;
    let streamed = stream(&lm, &ask("hi")).await?.end.err().ok_or("a stream came")?;
    same("kind when streamed", &streamed.kind, &whole.kind)?;
    same("status when streamed", &streamed.status, &whole.status)?;
    Ok((whole, said))
}

fn fault(fault: Fault) -> impl Fn(Wire) -> Response {
    move |wire| fault.response(wire, &Answer::text("ja"), false)
}

fn names_its_place(error: &LmError) -> Checked {
    same("model", &*error.model, &format!("fake:{MODEL}"))?;
    same("provider", &error.provider.as_deref(), &Some("fake"))?;
    holds("the key is nowhere", !format!("{error:?} {error}").contains(KEY))?;
    holds("the message is one line", error.message.lines().count() == 1)
}

/// Kind, status, id, wait and body of each refusal.
pub async fn refusals(subject: &Subject) -> Checked {
    let second = Duration::from_secs(1);
    let cases = [
        (Fault::RateLimit { retry_after: 3 }, Kind::RateLimit, 429, Some(second * 3)),
        (
            Fault::RateLimitMillis { retry_after: 20 },
            Kind::RateLimit,
            429,
            Some(Duration::from_millis(20)),
        ),
        (Fault::ServerError, Kind::Server, 500, None),
        (Fault::BadGateway, Kind::Server, 502, None),
        (Fault::Overloaded, Kind::Overloaded, 529, None),
        (Fault::BadRequest, Kind::InvalidRequest, 400, None),
        (Fault::Unauthorised, Kind::Auth, 401, None),
        (Fault::Forbidden, Kind::Auth, 403, None),
        (Fault::NotFound, Kind::NotFound, 404, None),
    ];
    for (case, kind, status, wait) in cases {
        let named = subject.wire != Wire::Gemini && case != Fault::BadGateway;
        let what = format!("{case:?}");
        let in_case = |broken| format!("{what}: {broken}");
        let (error, said) = error_of(subject, fault(case)).await.map_err(in_case)?;
        same(&what, &error.kind, &kind)?;
        same(&what, &error.status, &Some(status))?;
        same(&what, &error.retry_after, &wait)?;
        same(&what, &error.request_id.as_deref(), &named.then_some("req_1"))?;
        same(&what, &error.body.as_deref(), &Some(said.as_str()))?;
        names_its_place(&error).map_err(in_case)?;
    }
    let (error, _) = error_of(subject, fault(Fault::RateLimitDate { retry_after: 60 })).await?;
    let wait = error.retry_after.unwrap_or_default();
    // Dates have whole seconds.
    holds(&format!("{wait:?} is until the date"), wait > second * 50 && wait <= second * 61)
}

/// A broken connection names what broke it.
pub async fn causes(subject: &Subject) -> Checked {
    for case in [Fault::ResetBeforeHead, Fault::ResetInBody, Fault::Truncated] {
        let what = format!("{case:?}");
        let (error, _) = error_of(subject, fault(case)).await?;
        same(&what, &error.kind, &Kind::Transport)?;
        holds(&format!("{what} has a source"), error.source().is_some())?;
        names_its_place(&error).map_err(|broken| format!("{what}: {broken}"))?;
    }
    Ok(())
}

/// Sizes, where the provider tells them.
pub async fn overflow(subject: &Subject) -> Checked {
    let (needed, limit) = if subject.wire == Wire::OpenAiResponses { (0, 0) } else { (9000, 8192) };
    let case = Fault::ContextOverflow { needed: 9000, limit: 8192 };
    let (error, _) = error_of(subject, fault(case)).await?;
    same("kind", &error.kind, &Kind::ContextOverflow { needed, limit })?;
    holds("the message has them", limit == 0 || error.message.contains("9000"))?;
    if subject.wire == Wire::Anthropic {
        let wording = "input length and `max_tokens` exceed context limit: 8000 + 1000 > 8192";
        let (error, _) = error_of(subject, |wire| wire.error(400, "", wording)).await?;
        same("kind", &error.kind, &Kind::ContextOverflow { needed: 9000, limit: 8192 })?;
    }
    Ok(())
}

/// An error in the middle of a stream is that error.
pub async fn error_events(subject: &Subject) -> Checked {
    let wire = subject.wire;
    let whole = wire.events(&Answer::in_pieces(&["Grüße ", "aus ", "Köln"]));
    let end = if wire == Wire::Gemini { "\r\n\r\n" } else { "\n\n" };
    // The last event that is given holds the first piece.
    let at = whole.find("Gr").unwrap();
    let at = at + whole[at..].find(end).unwrap() + end.len();
    let body = wire.error(529, "", "Overloaded").body();
    let event = match wire {
        Wire::OpenAiResponses => {
            "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\
             \"message\":\"Overloaded\",\"param\":null}\n\n"
                .to_owned()
        }
        Wire::Anthropic => format!("event: error\ndata: {body}\n\n"),
        _ => format!("data: {body}\n\n"),
    };
    let events = format!("{}{event}{}", &whole[..at], &whole[at..]);
    let server = FakeServer::start(move |_| {
        Response::event_stream(&events, usize::MAX, Duration::ZERO).no_answer()
    });
    let server = server.await.unwrap();
    let streamed = stream(&subject.lm(&server), &ask("hi")).await?;
    let error = streamed.end.err().ok_or("an answer came")?;
    holds(&format!("{:?} can be retried", error.kind), error.is_retryable())?;
    holds("the body is kept", error.body.as_deref().is_some_and(|b| b.contains("Overloaded")))?;
    // Pieces that came with the error may be left out, so that the call can still be repeated.
    holds("there is no text from after it", "Grüße ".starts_with(&streamed.texts.concat()))
}

/// A reply that reached its limit is told apart from one that makes no sense.
pub async fn cut_or_malformed(subject: &Subject) -> Checked {
    let math = Predict::of("question -> answer: int").unwrap();
    let call = async |answer: Answer| {
        let server = subject.server(move |_| answer.clone()).await;
        let cx = Context::new(subject.lm(&server), Arc::new(ChatAdapter)).with_reply_retries(0);
        math.call(&cx, record! { question: "6 × 7?" }).await
    };
    let good = call(Answer::text("[[ ## answer ## ]]\n42")).await.map_err(|e| e.to_string())?;
    same("answer", &good["answer"], &42.into())?;
    let half = Answer::text("[[ ## ans").with_finish(Finish::Length);
    let cut = call(half).await.err().ok_or("half a reply was taken")?;
    holds(&format!("{cut:?} is `Truncated`"), matches!(cut, Error::Truncated { .. }))?;
    let wrong = call(Answer::text("I will not say.")).await.err().ok_or("nonsense was taken")?;
    holds(&format!("{wrong:?} is `Reply`"), matches!(wrong, Error::Reply { .. }))
}

#[tokio::test]
async fn refusals_tell_kind_status_id_wait_and_body() {
    on_every_wire(refusals).await;
}

#[tokio::test]
async fn broken_connections_have_a_source() {
    on_every_wire(causes).await;
}

#[tokio::test]
async fn an_overflow_has_its_sizes() {
    on_every_wire(overflow).await;
}

#[tokio::test]
async fn an_error_event_ends_a_stream() {
    on_every_wire(error_events).await;
}

#[tokio::test]
async fn a_cut_reply_is_no_malformed_one() {
    on_every_wire(cut_or_malformed).await;
}
