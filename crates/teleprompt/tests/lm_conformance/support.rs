//! The LM under test and the server that it is tested on.

use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt;
use teleprompt::lm::{Endpoint, KeySource, Remote};
use teleprompt::{Lm, LmChunk, LmError, LmHandle, LmRequest, LmResponse, Message, ToolCall};
use teleprompt_testkit::server::ParsedRequest;
use teleprompt_testkit::{Answer, FakeServer, Response, Wire};

pub const MODEL: &str = "fake-model";
pub const KEY: &str = "key-of-the-test";
/// Far more than any case takes: a case that is not over by then hangs.
pub const HANGS: Duration = Duration::from_secs(60);

pub type Checked = Result<(), String>;

/// What is under test: a wire, layers around the remote LM, and how the server answers.
#[derive(Clone, Copy)]
pub struct Subject {
    pub wire: Wire,
    pub wrap: fn(Remote) -> LmHandle,
    pub serve: fn(Wire, &ParsedRequest, &Answer) -> Response,
}

impl Subject {
    pub fn of(wire: Wire) -> Self {
        Self { wire, wrap: LmHandle::new, serve }
    }

    pub fn wrapped(wire: Wire, wrap: fn(Remote) -> LmHandle) -> Self {
        Self { wrap, ..Self::of(wire) }
    }

    /// A server that refuses what the provider would refuse and otherwise answers so.
    pub async fn server(
        &self,
        answer: impl Fn(&ParsedRequest) -> Answer + Send + Sync + 'static,
    ) -> FakeServer {
        let Self { wire, serve, .. } = *self;
        let handler = move |request: &_| match wire.check(request, MODEL) {
            Ok(parsed) => serve(wire, &parsed, &answer(&parsed)),
            Err(refusal) => refusal,
        };
        FakeServer::start(handler).await.unwrap()
    }

    pub fn endpoint(&self, server: &FakeServer) -> Endpoint {
        let version = if self.wire == Wire::Gemini { "v1beta" } else { "v1" };
        let endpoint = Endpoint::new(name(self.wire), &format!("{}/{version}", server.url()));
        endpoint.unwrap().with_provider("fake").with_key(KeySource::value(KEY))
    }

    pub fn lm(&self, server: &FakeServer) -> LmHandle {
        self.lm_at(self.endpoint(server))
    }

    pub fn lm_at(&self, endpoint: Endpoint) -> LmHandle {
        (self.wrap)(Remote::new(MODEL, endpoint).unwrap())
    }
}

/// Streams in pieces that cut events and characters.
fn serve(wire: Wire, parsed: &ParsedRequest, answer: &Answer) -> Response {
    if parsed.stream { wire.stream(answer, 7, Duration::ZERO) } else { wire.reply(answer) }
}

pub fn name(wire: Wire) -> &'static str {
    match wire {
        Wire::OpenAiChat => "openai-chat",
        Wire::OpenAiResponses => "openai-responses",
        Wire::Anthropic => "anthropic",
        Wire::Gemini => "gemini",
    }
}

pub fn ask(text: &str) -> LmRequest {
    LmRequest::new(vec![Message::user(text)])
}

/// As many choices of this text as were asked for.
pub fn choices(parsed: &ParsedRequest, text: &str) -> Answer {
    Answer::texts((0..parsed.n).map(|_| text))
}

/// The pieces of a stream, put together for each completion, and how it ended.
pub struct Streamed {
    pub texts: Vec<String>,
    pub thoughts: Vec<String>,
    pub calls: Vec<Vec<ToolCall>>,
    pub end: Result<LmResponse, LmError>,
}

pub async fn stream(lm: &LmHandle, request: &LmRequest) -> Result<Streamed, String> {
    let (mut texts, mut thoughts, mut calls) = (vec![], vec![], vec![]);
    let mut stream = lm.stream(request);
    let end = loop {
        let index = match stream.next().await {
            None => return Err("a stream ended without `Done` or an error".into()),
            Some(Err(error)) => break Err(error),
            Some(Ok(LmChunk::Done(whole))) => break Ok(whole),
            Some(Ok(LmChunk::Text { index, text })) => {
                slot::<String>(&mut texts, index).push_str(&text);
                index
            }
            Some(Ok(LmChunk::Reasoning { index, text })) => {
                slot::<String>(&mut thoughts, index).push_str(&text);
                index
            }
            Some(Ok(LmChunk::ToolCall { index, call })) => {
                slot::<Vec<ToolCall>>(&mut calls, index).push(call);
                index
            }
            Some(Ok(other)) => return Err(format!("an unknown piece: {other:?}")),
        };
        slot(&mut texts, index);
        slot(&mut thoughts, index);
        slot(&mut calls, index);
    };
    if stream.next().await.is_some() {
        return Err("something came after the end of a stream".into());
    }
    Ok(Streamed { texts, thoughts, calls, end })
}

fn slot<T: Default>(all: &mut Vec<T>, index: usize) -> &mut T {
    if all.len() <= index {
        all.resize_with(index + 1, T::default);
    }
    &mut all[index]
}

pub fn same<T: PartialEq + Debug + ?Sized>(what: &str, got: &T, want: &T) -> Checked {
    if got == want { Ok(()) } else { Err(format!("{what}: {got:?} instead of {want:?}")) }
}

pub fn holds(what: &str, it: bool) -> Checked {
    if it { Ok(()) } else { Err(format!("not so: {what}")) }
}

pub fn told<T>(what: &str, result: Result<T, LmError>) -> Result<T, String> {
    result.map_err(|error| format!("{what}: {error}"))
}

/// Runs a check on every wire.
pub async fn on_every_wire(check: impl AsyncFn(&Subject) -> Checked) {
    for wire in Wire::ALL {
        let subject = Subject::of(wire);
        let checked = tokio::time::timeout(HANGS, check(&subject)).await;
        let result = checked.unwrap_or_else(|_| Err("it hangs".into()));
        result.unwrap_or_else(|broken| panic!("{wire:?}: {broken}"));
    }
}
