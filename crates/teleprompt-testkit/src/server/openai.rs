//! Short names for the replies of an OpenAI-compatible chat server.

use std::time::Duration;

use super::response::{Part, Response};
use super::wire::{Answer, Wire};

impl Response {
    /// A chat completion of this text, 7 prompt tokens (2 of them cached) and 3 completion tokens.
    pub fn chat(text: &str) -> Self {
        Self::chat_n(&[text])
    }

    /// A chat completion with several choices.
    pub fn chat_n(texts: &[&str]) -> Self {
        Wire::OpenAiChat.reply(&Answer::texts(texts.iter().copied()))
    }

    /// An error in the form of OpenAI's API.
    pub fn api_error(status: u16, code: &str, message: &str) -> Self {
        Wire::OpenAiChat.error(status, code, message)
    }

    /// A streamed chat completion: each text is one event, then the usage and the end mark. The
    /// bytes are cut into pieces of `split` bytes with `pause` between them (none if zero).
    pub fn chat_stream(texts: &[&str], split: usize, pause: Duration) -> Self {
        Wire::OpenAiChat.stream(&Answer::in_pieces(texts), split, pause)
    }

    /// A stream of server-sent events, given as its bytes.
    pub fn event_stream(bytes: &str, split: usize, pause: Duration) -> Self {
        let mut parts = Vec::new();
        for piece in bytes.as_bytes().chunks(split.max(1)) {
            parts.push(Part::Bytes(piece.to_vec()));
            if !pause.is_zero() {
                parts.push(Part::Wait(pause));
            }
        }
        Self::parts(parts).with_header("content-type", "text/event-stream")
    }
}
