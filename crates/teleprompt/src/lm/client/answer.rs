//! A reply that comes in.

use std::sync::Arc;

use reqwest::Response;
use reqwest::header::HeaderMap;
use serde_json::Value;
use teleprompt_core::{LmError, RateStatus};
use tokio::time::timeout_at;

use super::super::rate;
use super::{Client, Clock, request_id};

/// Most bytes of a reply that are read.
const REPLY_LIMIT: usize = 64 * 1024 * 1024;

/// A reply with a good status whose head is there.
pub(crate) struct Answer<'c> {
    client: &'c Client,
    response: Response,
    clock: Clock,
    begun: bool,
    /// Bytes of the body that may still come.
    left: usize,
}

impl<'c> Answer<'c> {
    pub(super) fn new(client: &'c Client, response: Response, clock: Clock) -> Self {
        Self { client, response, clock, begun: true, left: REPLY_LIMIT }
    }

    /// The body may be as long as the caller allows.
    pub(crate) fn unlimited(&mut self) {
        self.left = usize::MAX;
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// What the provider says of its rate limits.
    pub(crate) fn rate(&self) -> Option<RateStatus> {
        rate::status(self.headers())
    }

    /// The provider's id of the request.
    pub(crate) fn request_id(&self) -> Option<Arc<str>> {
        request_id(self.headers()).map(Arc::from)
    }

    /// The limit for the first token holds until [`Answer::begin`].
    pub(crate) fn await_first_event(&mut self) {
        self.begun = false;
    }

    /// The first event is there.
    pub(crate) fn begin(&mut self) {
        self.begun = true;
    }

    /// The next bytes of the body; `None` at its end.
    ///
    /// # Errors
    /// The connection breaks, they do not come in time, or the body is too long.
    pub(crate) async fn chunk(
        &mut self,
    ) -> Result<Option<impl std::ops::Deref<Target = [u8]> + use<>>, LmError> {
        let (by, awaited) = self.clock.next(self.begun);
        match timeout_at(by, self.response.chunk()).await {
            Err(_) => Err(self.client.late(&awaited)),
            Ok(read) => {
                let bytes = read.map_err(|e| self.client.broken(e))?;
                match self.left.checked_sub(bytes.as_deref().map_or(0, <[u8]>::len)) {
                    Some(left) => self.left = left,
                    None => {
                        let what = format!("more than {} MB", REPLY_LIMIT / 1024 / 1024);
                        return Err(self.client.protocol(&what, self.headers(), ""));
                    }
                }
                Ok(bytes)
            }
        }
    }

    /// The whole body, of which these bytes have been read.
    async fn bytes_after(mut self, mut body: Vec<u8>) -> Result<Vec<u8>, LmError> {
        while let Some(bytes) = self.chunk().await? {
            body.extend_from_slice(&bytes);
        }
        Ok(body)
    }

    /// The whole body as text.
    pub(crate) async fn text(self) -> Result<String, LmError> {
        self.text_after(Vec::new()).await
    }

    /// The whole body as text, of which these bytes have been read.
    pub(crate) async fn text_after(self, head: Vec<u8>) -> Result<String, LmError> {
        let body = self.bytes_after(head).await?;
        Ok(String::from_utf8(body)
            .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
    }

    /// The whole body as JSON.
    ///
    /// # Errors
    /// The body does not come whole or is not JSON. What the JSON says is not looked at.
    pub(crate) async fn json(self) -> Result<Value, LmError> {
        let (client, headers) = (self.client, self.headers().clone());
        let body = self.text().await?;
        serde_json::from_str(&body)
            .map_err(|_| client.protocol("something that is not JSON", &headers, &body))
    }

    pub(super) async fn into_refusal(self) -> LmError {
        let (client, status) = (self.client, self.response.status().as_u16());
        let headers = self.headers().clone();
        // The status counts, even if the body does not come whole.
        let body = self.text().await.unwrap_or_default();
        client.refusal(status, &headers, &body)
    }
}
