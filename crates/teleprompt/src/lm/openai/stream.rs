//! Streamed replies: events come in, pieces of text go out, the whole is put together on the way.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use teleprompt_core::{
    Completion, LmChunk, LmError, LmErrorKind, LmRequest, LmResponse, LmStream, Usage,
};

use super::OpenAi;
use super::wire::Reply;
use crate::lm::sse::SseDecoder;

/// Most choices that a stream may number; more is a broken server, not a reply.
const CHOICE_LIMIT: usize = 1024;

pub(super) fn open<'a>(lm: &'a OpenAi, request: &'a LmRequest) -> LmStream<'a> {
    let opened = async move {
        let response = lm.open(request, true).await?;
        let pieces = Pieces::new(lm, request, response).await?;
        Ok(stream::try_unfold(pieces, Pieces::next))
    };
    stream::once(opened).try_flatten().boxed()
}

/// The state of one streamed reply.
struct Pieces<'a> {
    lm: &'a OpenAi,
    request: &'a LmRequest,
    headers: HeaderMap,
    /// `None` when no more bytes are to be read.
    response: Option<Response>,
    decoder: SseDecoder,
    whole: LmResponse,
    finished: Vec<bool>,
    /// The server's end mark has come.
    marked: bool,
    ready: VecDeque<LmChunk>,
}

impl<'a> Pieces<'a> {
    async fn new(
        lm: &'a OpenAi,
        request: &'a LmRequest,
        response: Response,
    ) -> Result<Self, LmError> {
        let mut pieces = Self {
            lm,
            request,
            headers: response.headers().clone(),
            response: None,
            decoder: SseDecoder::default(),
            whole: LmResponse {
                completions: Vec::new(),
                usage: Usage { calls: 1, ..Usage::default() },
                model: lm.model.clone(),
                ..LmResponse::default()
            },
            finished: Vec::new(),
            marked: false,
            ready: VecDeque::new(),
        };
        let kind = response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
        if kind.is_some_and(|kind| kind.starts_with("application/json")) {
            // The server does not stream and has sent the whole at once.
            pieces.whole = lm.whole(response).await?;
            pieces.end(0).await?;
        } else {
            pieces.response = Some(response);
        }
        Ok(pieces)
    }

    async fn next(mut self) -> Result<Option<(LmChunk, Self)>, LmError> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Ok(Some((chunk, self)));
            }
            let Some(response) = &mut self.response else { return Ok(None) };
            match response.chunk().await.map_err(|e| self.lm.broken(&e))? {
                Some(bytes) => {
                    for data in self.decoder.feed(&bytes) {
                        self.take(&data)?;
                    }
                }
                None => {
                    if let Some(data) = self.decoder.finish() {
                        self.take(&data)?;
                    }
                    self.close().await?;
                    continue;
                }
            }
            if self.marked {
                self.close().await?;
            }
        }
    }

    /// Takes in the data of one event.
    fn take(&mut self, data: &str) -> Result<(), LmError> {
        if self.marked || data.trim().is_empty() {
            return Ok(());
        }
        if data.trim() == "[DONE]" {
            self.marked = true;
            return Ok(());
        }
        let reply = self.lm.reply(data, &self.headers)?;
        self.add(reply).ok_or_else(|| self.lm.protocol("too many completions", 200, data))
    }

    fn add(&mut self, reply: Reply) -> Option<()> {
        if let Some(usage) = &reply.usage {
            self.whole.usage = usage.usage();
        }
        if let Some(model) = reply.model.filter(|m| !m.is_empty() && **m != *self.whole.model) {
            self.whole.model = Arc::from(model);
        }
        for choice in reply.choices {
            let index = choice.index;
            if index >= CHOICE_LIMIT {
                return None;
            }
            let len = self.whole.completions.len().max(index + 1);
            self.whole.completions.resize(len, Completion::default());
            self.finished.resize(len, false);
            *self.finished.get_mut(index)? |= choice.is_finished();
            let text = choice.add_to(self.whole.completions.get_mut(index)?);
            if !text.is_empty() && index < self.request.n.max(1) as usize {
                self.ready.push_back(LmChunk::Text { index, text });
            }
        }
        Some(())
    }

    /// The server has no more to say: was that all?
    async fn close(&mut self) -> Result<(), LmError> {
        self.response = None;
        if self.whole.completions.is_empty() && self.marked {
            return Err(self.lm.protocol("no completion", 200, ""));
        }
        let whole = !self.finished.is_empty() && self.finished.iter().all(|f| *f);
        if !whole && !self.marked {
            let place = &self.lm.config.base_url;
            let message = format!("{place} broke off in the middle of a reply; try again");
            return Err(LmError::new(LmErrorKind::Transport, self.lm.name.clone(), message));
        }
        self.end(self.whole.completions.len()).await
    }

    /// Gets missing completions; those from `told` on are given out in one piece.
    async fn end(&mut self, told: usize) -> Result<(), LmError> {
        let mut whole = std::mem::take(&mut self.whole);
        self.lm.complete(self.request, &mut whole).await?;
        for (index, completion) in whole.completions.iter().enumerate().skip(told) {
            self.ready.push_back(LmChunk::Text { index, text: completion.text.clone() });
        }
        self.ready.push_back(LmChunk::Done(whole));
        Ok(())
    }
}
