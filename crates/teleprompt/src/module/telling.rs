//! Telling those who stream a run how a predictor call goes.

use std::collections::HashMap;
use std::sync::Arc;

use futures::stream::StreamExt;
use serde_json::Value;
use teleprompt_core::{
    CallId, Event, EventSink, FieldPiece, FieldReader, Lm, LmChunk, LmError, LmErrorKind, LmHandle,
    LmRequest, LmResponse, Record,
};

/// The events of one predictor call.
pub(super) struct Teller<'a> {
    sink: &'a EventSink,
    call: CallId,
    /// Fields that were told to be whole, with their values.
    told: HashMap<Arc<str>, Value>,
    /// Something was told of the present reply.
    begun: bool,
    /// Something came of the present reply.
    came: bool,
}

impl<'a> Teller<'a> {
    pub fn new(sink: &'a EventSink, path: &Arc<str>) -> Self {
        Self {
            sink,
            call: sink.begin(path.clone()),
            told: HashMap::new(),
            begun: false,
            came: false,
        }
    }

    /// Makes the call as a stream and tells the first completion while it comes.
    pub async fn follow(
        &mut self,
        lm: &LmHandle,
        request: &LmRequest,
        mut reader: Option<Box<dyn FieldReader + '_>>,
    ) -> Result<LmResponse, LmError> {
        let mut stream = lm.stream(request);
        self.came = false;
        while let Some(chunk) = stream.next().await {
            let (call, chunk) = (self.call.clone(), chunk?);
            self.came = true;
            match chunk {
                LmChunk::Text { index: 0, text } => {
                    let pieces = reader.as_mut().map(|r| r.feed(&text)).unwrap_or_default();
                    self.pieces(pieces);
                }
                LmChunk::Reasoning { index: 0, text } => {
                    self.begun = true;
                    self.sink.send(Event::Reasoning { call, text });
                }
                LmChunk::ToolCall { index: 0, call: tool } => {
                    self.begun = true;
                    self.sink.send(Event::ToolCall { call, tool });
                }
                LmChunk::Done(response) => {
                    let pieces = reader.as_mut().map(|r| r.finish()).unwrap_or_default();
                    self.pieces(pieces);
                    return Ok(response);
                }
                _ => {}
            }
        }
        let message = "its stream ended without the whole reply; this is an error in the LM";
        Err(LmError::new(LmErrorKind::Protocol, lm.name(), message))
    }

    fn pieces(&mut self, pieces: Vec<FieldPiece>) {
        for piece in pieces {
            self.begun = true;
            let call = self.call.clone();
            self.sink.send(match piece {
                FieldPiece::Text { field, text } => Event::Text { call, field, text },
                FieldPiece::Done { field, value } => {
                    self.told.insert(field.clone(), value.clone());
                    Event::Field { call, field, value }
                }
            });
        }
    }

    /// Whether something of the present reply has come.
    pub fn has_begun(&self) -> bool {
        self.came
    }

    /// What was told is void.
    pub fn restart(&mut self) {
        self.told.clear();
        if std::mem::take(&mut self.begun) {
            self.sink.send(Event::Restart { call: self.call.clone() });
        }
    }

    /// The reply is parsed: tells the fields that were not told yet, or told otherwise.
    pub fn whole(&mut self, fields: &Record) {
        for (field, value) in fields.iter() {
            if self.told.get(field) != Some(value) {
                let (call, field) = (self.call.clone(), field.clone());
                self.sink.send(Event::Field { call, field, value: value.clone() });
            }
        }
    }
}
