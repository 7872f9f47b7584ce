//! Streamed replies: events come in, pieces go out, the whole is put together on the way.

use std::collections::VecDeque;

use futures::stream::{self, StreamExt, TryStreamExt};
use reqwest::header::HeaderMap;
use teleprompt_core::{Completion, LmChunk, LmError, LmRequest, LmResponse, LmStream, RateStatus};

use super::super::client::{Answer, Clock};
use super::super::sse::{EVENT_LIMIT, SseDecoder};
use super::super::wire::{StreamReader, WireFault};
use super::Remote;
use super::stop::Cutter;

pub(super) fn open<'a>(remote: &'a Remote, request: &'a LmRequest) -> LmStream<'a> {
    let opened = async move {
        let clock = remote.client.clock();
        let answer = remote.open(request, true, clock).await?;
        Ok(stream::try_unfold(Pieces::new(remote, request, answer, clock), Pieces::next))
    };
    stream::once(opened).try_flatten().boxed()
}

/// The state of one streamed reply.
struct Pieces<'a> {
    remote: &'a Remote,
    request: &'a LmRequest,
    clock: Clock,
    headers: HeaderMap,
    rate: Option<RateStatus>,
    /// `None` when no more bytes are to be read.
    answer: Option<Answer<'a>>,
    /// The bytes before the first that tells whether this is a stream; then `None`.
    head: Option<Vec<u8>>,
    decoder: SseDecoder,
    reader: Box<dyn StreamReader>,
    told: Vec<Told>,
    /// The stop texts, where we cut.
    stops: &'a [String],
    ready: VecDeque<LmChunk>,
}

/// What has been given out of a completion.
#[derive(Default)]
struct Told {
    cutter: Cutter,
    calls: usize,
}

impl<'a> Pieces<'a> {
    fn new(
        remote: &'a Remote,
        request: &'a LmRequest,
        mut answer: Answer<'a>,
        clock: Clock,
    ) -> Self {
        answer.await_first_event();
        let cut = remote.manner(request).cut;
        Self {
            remote,
            request,
            clock,
            headers: answer.headers().clone(),
            rate: answer.rate(),
            answer: Some(answer),
            head: Some(Vec::new()),
            decoder: SseDecoder::default(),
            reader: remote.endpoint().wire.reader(),
            told: Vec::new(),
            stops: if cut { &request.settings.stop } else { &[] },
            ready: VecDeque::new(),
        }
    }

    async fn next(mut self) -> Result<Option<(LmChunk, Self)>, LmError> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Ok(Some((chunk, self)));
            }
            let Some(answer) = &mut self.answer else { return Ok(None) };
            match answer.chunk().await? {
                Some(bytes) => self.bytes(&bytes).await?,
                None => self.close().await?,
            }
            if self.answer.is_some() && self.reader.is_done() {
                self.close().await?;
            }
        }
    }

    /// Takes in bytes. The first one tells a stream from JSON and HTML, whatever type the server
    /// says that it sends.
    async fn bytes(&mut self, bytes: &[u8]) -> Result<(), LmError> {
        let Some(head) = &mut self.head else { return self.events(bytes) };
        head.extend_from_slice(bytes);
        match head.iter().find(|byte| !byte.is_ascii_whitespace()) {
            None => Ok(()),
            Some(b'{' | b'[' | b'<') => self.unstreamed().await,
            Some(_) => {
                let head = self.head.take().unwrap_or_default();
                self.events(&head)
            }
        }
    }

    /// The server does not stream and sends the whole at once.
    async fn unstreamed(&mut self) -> Result<(), LmError> {
        let (Some(mut answer), Some(head)) = (self.answer.take(), self.head.take()) else {
            return Ok(());
        };
        answer.begin();
        let text = answer.text_after(head).await?;
        let response = self.remote.read(&text, &self.headers)?;
        self.end(response).await
    }

    fn events(&mut self, bytes: &[u8]) -> Result<(), LmError> {
        for data in self.decoder.feed(bytes) {
            // What stands behind the end mark cannot spoil what came before it.
            if self.reader.is_done() {
                break;
            }
            if let Some(answer) = &mut self.answer {
                answer.begin();
            }
            match self.reader.event(&data) {
                Ok(chunks) => chunks.into_iter().for_each(|chunk| self.tell(chunk)),
                Err(fault) => return Err(self.remote.fault(fault, &self.headers, &data)),
            }
        }
        if self.decoder.is_overfull() {
            let what = format!("an event of more than {} MB", EVENT_LIMIT / 1024 / 1024);
            return Err(self.remote.client.protocol(&what, &self.headers, ""));
        }
        Ok(())
    }

    /// Makes a piece ready, if it is of a completion that was asked for.
    fn tell(&mut self, chunk: LmChunk) {
        let (LmChunk::Text { index, .. }
        | LmChunk::Reasoning { index, .. }
        | LmChunk::ToolCall { index, .. }) = &chunk
        else {
            return;
        };
        let index = *index;
        if index >= self.request.n.max(1) as usize {
            return;
        }
        if self.told.len() <= index {
            self.told.resize_with(index + 1, Told::default);
        }
        let Some(told) = self.told.get_mut(index) else { return };
        match chunk {
            LmChunk::Text { text, .. } if !self.stops.is_empty() => {
                let text = told.cutter.feed(&text, self.stops);
                if !text.is_empty() {
                    self.ready.push_back(LmChunk::Text { index, text });
                }
            }
            LmChunk::ToolCall { .. } => {
                told.calls += 1;
                self.ready.push_back(chunk);
            }
            other => self.ready.push_back(other),
        }
    }

    /// The server has no more to say: was that all?
    async fn close(&mut self) -> Result<(), LmError> {
        self.answer = None;
        if let Some(data) = self.decoder.finish() {
            match self.reader.event(&data) {
                Ok(chunks) => chunks.into_iter().for_each(|chunk| self.tell(chunk)),
                // The last event is not whole.
                Err(WireFault::Malformed(_)) => {}
                Err(fault) => return Err(self.remote.fault(fault, &self.headers, &data)),
            }
        }
        let empty = self.reader.is_empty();
        let reader = std::mem::replace(&mut self.reader, self.remote.endpoint().wire.reader());
        match reader.finish() {
            Some(whole) => self.end(whole).await,
            None if empty => Err(self.remote.client.protocol("no completion", &self.headers, "")),
            None => Err(self.remote.client.broken_off(&self.headers)),
        }
    }

    /// Gives out what has not been told yet: held back text, calls, missing completions.
    async fn end(&mut self, whole: LmResponse) -> Result<(), LmError> {
        let (remote, request) = (self.remote, self.request);
        let mut whole = remote.finished(whole, request);
        whole.rate = self.rate;
        whole.request_id = super::super::client::request_id(&self.headers).map(Into::into);
        remote.complete(request, &mut whole, self.clock).await?;
        let mut told = std::mem::take(&mut self.told);
        for (index, completion) in whole.completions.iter().enumerate() {
            let Some(told) = told.get_mut(index) else {
                self.ready.extend(whole_chunks(index, completion));
                continue;
            };
            let text = told.cutter.rest();
            if !text.is_empty() {
                self.ready.push_back(LmChunk::Text { index, text });
            }
            let calls = completion.tool_calls.iter().skip(told.calls).cloned();
            self.ready.extend(calls.map(|call| LmChunk::ToolCall { index, call }));
        }
        self.ready.push_back(LmChunk::Done(whole));
        Ok(())
    }
}

/// A completion that comes in one piece.
fn whole_chunks(index: usize, completion: &Completion) -> Vec<LmChunk> {
    let mut chunks = Vec::new();
    if let Some(reasoning) = completion.reasoning.as_ref().filter(|r| !r.text.is_empty()) {
        chunks.push(LmChunk::Reasoning { index, text: reasoning.text.clone() });
    }
    if !completion.text.is_empty() {
        chunks.push(LmChunk::Text { index, text: completion.text.clone() });
    }
    let calls = completion.tool_calls.iter().cloned();
    chunks.extend(calls.map(|call| LmChunk::ToolCall { index, call }));
    chunks
}
