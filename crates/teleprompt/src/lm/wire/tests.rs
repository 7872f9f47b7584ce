//! What the tests of several wires need.

use serde_json::Value;
use teleprompt_core::{LmChunk, LmResponse, ToolCall};

use super::{Dialect, Wire};
use crate::lm::sse::SseDecoder;

/// Everything but OpenAI's newer name of the limit.
pub(super) const ALL: Dialect = Dialect {
    schema: true,
    new_limit_name: false,
    random_seed: false,
    stream_options: true,
    sampling: true,
    prompt_cache: true,
    effort: true,
    reasoning_back: true,
    summary: true,
};

/// The events as a stream's bytes, with an end mark.
pub(super) fn sse(events: &[Value], end: Option<&str>) -> Vec<u8> {
    let texts = events.iter().map(Value::to_string).chain(end.map(str::to_owned));
    texts.map(|text| format!("data: {text}\r\n\r\n")).collect::<String>().into_bytes()
}

/// Reads the stream once for each byte at which it can be cut and checks that cuts change nothing.
pub(super) fn stream_cut_anywhere(wire: &dyn Wire, bytes: &[u8]) -> (Vec<LmChunk>, LmResponse) {
    let read = |pieces: [&[u8]; 2]| {
        let (mut decoder, mut reader) = (SseDecoder::default(), wire.reader());
        let mut chunks = Vec::new();
        for data in pieces.into_iter().flat_map(|piece| decoder.feed(piece)) {
            chunks.extend(reader.event(&data).unwrap());
        }
        (chunks, reader.finish().unwrap())
    };
    let whole = read([bytes, &[]]);
    for at in 0..bytes.len() {
        let (head, tail) = bytes.split_at(at);
        assert_eq!(read([head, tail]), whole, "cut at {at}");
    }
    whole
}

/// Text, thoughts and calls of a completion.
pub(super) type Said = (String, String, Vec<ToolCall>);

/// The pieces of each completion, put together.
pub(super) fn folded(chunks: &[LmChunk]) -> Vec<Said> {
    let mut all: Vec<Said> = Vec::new();
    for chunk in chunks {
        let (LmChunk::Text { index, .. }
        | LmChunk::Reasoning { index, .. }
        | LmChunk::ToolCall { index, .. }) = chunk
        else {
            panic!("a reader gives no {chunk:?}");
        };
        all.resize(all.len().max(index + 1), Said::default());
        match chunk {
            LmChunk::Text { text, .. } => all[*index].0.push_str(text),
            LmChunk::Reasoning { text, .. } => all[*index].1.push_str(text),
            LmChunk::ToolCall { call, .. } => all[*index].2.push(call.clone()),
            _ => {}
        }
    }
    all
}

/// The same of a whole reply.
pub(super) fn said(whole: &LmResponse) -> Vec<Said> {
    let completions = whole.completions.iter();
    let said = completions.map(|c| {
        let thoughts = c.reasoning.as_ref().map(|r| r.text.clone());
        (c.text.clone(), thoughts.unwrap_or_default(), c.tool_calls.clone())
    });
    said.collect()
}

#[test]
fn every_wire_has_its_name() {
    for name in super::NAMES {
        assert_eq!(super::by_name(name).map(Wire::name), Some(name));
    }
    assert!(super::by_name("telepathy").is_none());
}
