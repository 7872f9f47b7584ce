//! Chat completions, the protocol of OpenAI that most servers speak: vLLM, SGLang, llama.cpp's
//! server, Ollama, LM Studio, routers and clouds.
//!
//! What it cannot say: sound and files at an address, images by id, media in the answers of tools.

mod body;
mod reply;
#[cfg(test)]
mod tests;

use serde_json::Value;
use teleprompt_core::{Capabilities, LmResponse};

use super::{Call, KeyHeader, StreamReader, Unsupported, Wire, WireFault};

/// The wire `openai-chat`.
pub(crate) struct OpenAiChat;

impl Wire for OpenAiChat {
    fn name(&self) -> &'static str {
        "openai-chat"
    }

    fn path(&self, _model: &str, _stream: bool) -> String {
        "/chat/completions".into()
    }

    fn key_header(&self) -> KeyHeader {
        KeyHeader::Bearer
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
