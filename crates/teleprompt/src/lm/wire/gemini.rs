//! Google's Gemini protocol, version v1beta: `generateContent` and its streamed twin.
//!
//! - A JSON schema is sent as `responseJsonSchema` (JSON Schema itself), not as `responseSchema`,
//!   which takes a dialect of OpenAPI. Models before Gemini 3 refuse it beside tools, so there the
//!   tools go first and the schema is left out.
//! - How much to think: Gemini 2.5 counts tokens (`off` 0, `minimal` and `low` 1,024, `medium`
//!   8,192, `high` 24,576, or the number given); later models have levels and cannot be told not to
//!   think, so `off` is their least level. Earlier models do not think. Where a wish is told,
//!   summaries of the thoughts are asked for.
//! - The seal over a thought stands at the call of a tool or at the text it led to, and is given
//!   back there. Summaries of thoughts are not given back.
//! - A call of a tool that comes without an id gets one of ours, which is not sent back.
//! - Media by id are named by the address that the provider's files API gave them.
//! - Seeds are cut to 31 bits. There are no hints for the provider's cache; it works by itself.

mod body;
mod reply;
mod stream;
#[cfg(test)]
mod tests;

use serde_json::Value;
use teleprompt_core::{Capabilities, LmResponse};

use super::{Call, KeyHeader, StreamReader, Unsupported, Wire, WireFault};

/// How the ids begin that we give to calls of tools.
const OWN_ID: &str = "teleprompt-call-";

/// The `generateContent` protocol.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gemini;

impl Wire for Gemini {
    fn name(&self) -> &'static str {
        "gemini"
    }

    /// A model that names its own collection, such as `tunedModels/NAME`, is left as it is.
    fn path(&self, model: &str, stream: bool) -> String {
        let collection = if model.contains('/') { "" } else { "models/" };
        let method = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
        format!("/{collection}{model}:{method}")
    }

    fn key_header(&self) -> KeyHeader {
        KeyHeader::Plain("x-goog-api-key")
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::none()
            .with_json_schema(true)
            .with_logprobs(true)
            .with_tools(true)
            .with_media(true)
    }

    fn body(&self, call: &Call<'_>) -> Result<Value, Unsupported> {
        body::body(call)
    }

    fn read(&self, reply: &Value) -> Result<LmResponse, WireFault> {
        reply::read(reply)
    }

    fn reader(&self) -> Box<dyn StreamReader> {
        Box::new(stream::Reader::default())
    }
}
