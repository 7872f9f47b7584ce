//! Responses, OpenAI's newer protocol.
//!
//! Nothing is kept on the server (`store` is false): the whole conversation is sent each time, and
//! what the LM thought comes back encrypted and is sent again with the next turn. The protocol has no
//! `n` and no stop texts; the client asks again and cuts. A seed cannot be given.

mod body;
mod reply;
#[cfg(test)]
mod tests;

use serde_json::Value;
use teleprompt_core::{Capabilities, LmResponse};

use super::{Call, KeyHeader, StreamReader, Unsupported, Wire, WireFault};

/// The wire `openai-responses`.
pub(crate) struct OpenAiResponses;

impl Wire for OpenAiResponses {
    fn name(&self) -> &'static str {
        "openai-responses"
    }

    fn path(&self, _model: &str, _stream: bool) -> String {
        "/responses".into()
    }

    fn key_header(&self) -> KeyHeader {
        KeyHeader::Bearer
    }

    fn has_stop(&self) -> bool {
        false
    }

    fn capabilities(&self) -> Capabilities {
        let able = Capabilities::none().with_json_schema(true).with_logprobs(true);
        able.with_tools(true).with_media(true)
    }

    fn body(&self, call: &Call<'_>) -> Result<Value, Unsupported> {
        body::body(call)
    }

    fn read(&self, reply: &Value) -> Result<LmResponse, WireFault> {
        reply::read(reply)
    }

    fn reader(&self) -> Box<dyn StreamReader> {
        Box::new(reply::Reader::default())
    }
}
