//! The checks of this suite find an LM or a server that does not do what it should.

use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use teleprompt::lm::Remote;
use teleprompt::{
    FinishReason, Lm, LmChunk, LmError, LmHandle, LmRequest, LmResponse, LmStream, Part, Role,
};
use teleprompt_testkit::server::Finish;
use teleprompt_testkit::{Answer, Fault, Wire};

use super::support::{Checked, Subject};
use super::{errors, faults, hears, leaving, says};

/// Changes what is asked and what is answered.
struct Bent {
    inner: LmHandle,
    ask: fn(&mut LmRequest),
    answer: fn(&mut LmResponse),
}

impl Lm for Bent {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let mut request = request.clone();
        (self.ask)(&mut request);
        let mut response = self.inner.generate(&request).await?;
        (self.answer)(&mut response);
        Ok(response)
    }

    fn stream<'a>(&'a self, request: &'a LmRequest) -> LmStream<'a> {
        let all = async move {
            let mut request = request.clone();
            (self.ask)(&mut request);
            let mut chunks: Vec<_> = self.inner.stream(&request).collect().await;
            if let Some(Ok(LmChunk::Done(response))) = chunks.last_mut() {
                (self.answer)(response);
            }
            stream::iter(chunks)
        };
        stream::once(all).flatten().boxed()
    }
}

fn asking(remote: Remote, ask: fn(&mut LmRequest)) -> LmHandle {
    LmHandle::new(Bent { inner: LmHandle::new(remote), ask, answer: |_| {} })
}

fn answering(remote: Remote, answer: fn(&mut LmResponse)) -> LmHandle {
    LmHandle::new(Bent { inner: LmHandle::new(remote), ask: |_| {}, answer })
}

/// A bad habit.
#[derive(Clone, Copy, PartialEq)]
enum Habit {
    /// Sends again what was answered.
    Twice,
    /// Sends again what was refused.
    Stubborn,
    /// Passes half a stream off as whole.
    Glossing,
    /// Goes on with a call that was dropped.
    Detached,
    /// Gives errors without what is known of them.
    Vague,
}

struct Spoilt(LmHandle, Habit);

impl Lm for Spoilt {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let Self(inner, habit) = self;
        if *habit == Habit::Detached {
            let (inner, request) = (inner.clone(), request.clone());
            return tokio::spawn(async move { inner.generate(&request).await }).await.unwrap();
        }
        let first = inner.generate(request).await;
        match (habit, &first) {
            (Habit::Twice, Ok(_)) | (Habit::Stubborn, Err(_)) => inner.generate(request).await,
            (Habit::Vague, Err(e)) => Err(LmError::new(e.kind, e.model.clone(), &*e.message)),
            _ => first,
        }
    }

    fn stream<'a>(&'a self, request: &'a LmRequest) -> LmStream<'a> {
        let Self(inner, habit) = self;
        if *habit != Habit::Glossing {
            return inner.stream(request);
        }
        let mut text = String::new();
        let chunks = inner.stream(request).map(move |chunk| match chunk {
            Err(_) => Ok(LmChunk::Done(LmResponse::text(std::mem::take(&mut text)))),
            Ok(LmChunk::Text { index, text: piece }) => {
                text += &piece;
                Ok(LmChunk::Text { index, text: piece })
            }
            other => other,
        });
        chunks.boxed()
    }
}

fn spoilt(wire: Wire, habit: fn(Remote) -> LmHandle) -> Subject {
    Subject::wrapped(wire, habit)
}

fn noticed(what: &str, wire: Wire, checked: Checked) {
    assert!(checked.is_err(), "{wire:?}: {what} is not noticed");
}

#[tokio::test]
async fn a_request_that_loses_something_is_noticed() {
    for wire in Wire::ALL {
        let no_system = |remote| asking(remote, |r| r.messages.retain(|m| m.role != Role::System));
        noticed("a lost instruction", wire, says::roles(&spoilt(wire, no_system)).await);
        let no_limit = |remote| asking(remote, |r| r.settings.max_tokens = None);
        noticed("a lost setting", wire, says::settings(&spoilt(wire, no_limit)).await);
        let no_tools = |remote| asking(remote, |r| r.tools = [].into());
        noticed("lost tools", wire, says::tools(&spoilt(wire, no_tools)).await);
        let no_thoughts = |remote| {
            asking(remote, |r| {
                for message in &mut r.messages {
                    let parts = message.content.parts().unwrap_or_default();
                    let kept = parts.iter().filter(|p| !matches!(p, Part::Reasoning(_)));
                    if !parts.is_empty() {
                        message.content = kept.cloned().collect();
                    }
                }
            })
        };
        let checked = says::thoughts_go_back(&spoilt(wire, no_thoughts)).await;
        noticed("a lost thought", wire, checked);
    }
}

#[tokio::test]
async fn an_answer_that_is_read_wrongly_is_noticed() {
    for wire in Wire::ALL {
        let no_call = |remote| {
            answering(remote, |r| {
                r.completions[0].tool_calls.pop();
            })
        };
        noticed("a lost call", wire, hears::tool_calls(&spoilt(wire, no_call)).await);
        let no_cached = |remote| answering(remote, |r| r.usage.cached_prompt_tokens = 0);
        noticed("a lost count", wire, hears::usages(&spoilt(wire, no_cached)).await);
        let no_word = |remote| answering(remote, |r| r.completions[0].finish_said = None);
        noticed("a lost word", wire, hears::finishes(&spoilt(wire, no_word)).await);
        let no_cut = |remote| answering(remote, |r| r.completions[0].finish = FinishReason::Stop);
        noticed("a cut reply", wire, errors::cut_or_malformed(&spoilt(wire, no_cut)).await);
    }
}

#[tokio::test]
async fn a_server_that_answers_otherwise_is_noticed() {
    for wire in Wire::ALL {
        let streams_less = Subject {
            serve: |wire, parsed, answer| {
                let short = Answer::text("Gr");
                let answer = if parsed.stream { &short } else { answer };
                let pause = Duration::ZERO;
                if parsed.stream { wire.stream(answer, 5, pause) } else { wire.reply(answer) }
            },
            ..Subject::of(wire)
        };
        noticed("a shorter stream", wire, hears::texts(&streams_less).await);
        let never_cut = Subject {
            serve: |wire, _, answer| wire.reply(&answer.clone().with_finish(Finish::Stop)),
            ..Subject::of(wire)
        };
        noticed("another reason to end", wire, hears::finishes(&never_cut).await);
    }
}

#[tokio::test]
async fn bad_habits_under_faults_are_noticed() {
    for wire in Wire::ALL {
        let check = async |habit: fn(Remote) -> LmHandle, fault: Fault, streamed| {
            faults::check(&spoilt(wire, habit), &fault, streamed).await
        };
        for streamed in [false, true] {
            let checked = check(LmHandle::new, Fault::ServerError, streamed).await;
            noticed("no retry", wire, checked);
        }
        let twice: fn(Remote) -> LmHandle =
            |remote| LmHandle::new(Spoilt(faults::with_retry(remote), Habit::Twice));
        let checked = check(twice, Fault::WrongContentType, false).await;
        noticed("a second request", wire, checked);
        let stubborn: fn(Remote) -> LmHandle =
            |remote| LmHandle::new(Spoilt(faults::with_retry(remote), Habit::Stubborn));
        noticed("stubbornness", wire, check(stubborn, Fault::BadRequest, false).await);
        let glossing: fn(Remote) -> LmHandle =
            |remote| LmHandle::new(Spoilt(faults::with_retry(remote), Habit::Glossing));
        noticed("half a stream", wire, check(glossing, Fault::NoEnd, true).await);
    }
}

#[tokio::test]
async fn vague_errors_and_calls_that_go_on_are_noticed() {
    for wire in Wire::ALL {
        let vague = |remote| LmHandle::new(Spoilt(LmHandle::new(remote), Habit::Vague));
        noticed("a vague error", wire, errors::refusals(&spoilt(wire, vague)).await);
        noticed("a lost cause", wire, errors::causes(&spoilt(wire, vague)).await);
    }
    let detached = |remote| LmHandle::new(Spoilt(LmHandle::new(remote), Habit::Detached));
    let wire = Wire::Anthropic;
    noticed("a call that goes on", wire, leaving::dropped_call(&spoilt(wire, detached)).await);
    let checked = leaving::cancelled_predict(&spoilt(wire, detached)).await;
    noticed("a Predict that goes on", wire, checked);
}
