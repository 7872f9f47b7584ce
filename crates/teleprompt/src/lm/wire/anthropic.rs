//! Anthropic's Messages protocol, version 2023-06-01.
//!
//! - Every request must have a limit of tokens; where the settings have none, 4,096 is sent.
//! - A JSON schema is sent as `output_config.format`, which the provider enforces. It knows no
//!   numeric bounds, lengths and patterns, which are left out, and no maps with free keys and no
//!   recursion: a schema with those is not sent at all.
//! - How much to think: models up to 4.5 count tokens (`minimal` 1,024, `low` 2,048, `medium` 8,192,
//!   `high` 16,384, or the number given), never more than three quarters of the limit, and not at
//!   all where that leaves fewer than 1,024. Later models have levels (`low`, `medium`, `high`) and
//!   choose the measure themselves. Models before 3.7 do not think.
//! - While it thinks, temperature and nucleus sampling are fixed, so they are left out.
//! - Thoughts that are given back must carry their seal; those without one are left out. Where there
//!   is more than one block of thought, or one is encrypted, the signature is the JSON of them all.
//! - The protocol has no `n`, no seed and no log-probabilities: `n` takes a request for each, the
//!   other two are left out.
//! - Files by id need the provider's beta header for files; set it among the endpoint's headers.

mod body;
mod reply;
mod schema;
mod stream;
#[cfg(test)]
mod tests;

use reqwest::header::{HeaderName, HeaderValue};
use serde_json::Value;
use teleprompt_core::{Capabilities, LmResponse};

use super::{Call, KeyHeader, StreamReader, Unsupported, Wire, WireFault};

/// Tokens of a completion where the settings set no limit.
const DEFAULT_MAX_TOKENS: u32 = 4096;

/// The Messages protocol.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Anthropic;

impl Wire for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic"
    }

    fn path(&self, _: &str, _: bool) -> String {
        "/messages".to_owned()
    }

    fn key_header(&self) -> KeyHeader {
        KeyHeader::Plain("x-api-key")
    }

    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let version = HeaderName::from_static("anthropic-version");
        vec![(version, HeaderValue::from_static("2023-06-01"))]
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::none()
            .with_json_schema(true)
            .with_tools(true)
            .with_media(true)
            .with_max_output(DEFAULT_MAX_TOKENS)
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
