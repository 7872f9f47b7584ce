//! The HTTP side of a provider: one server, its key, its time limits, its failures in words.

mod clock;

pub(crate) use clock::Clock;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response};
use serde_json::Value;
use teleprompt_core::{LmError, LmErrorKind as Kind, RateStatus};
use tokio::sync::OnceCell;
use tokio::time::timeout_at;

use super::endpoint::Endpoint;
use super::key::{Redactor, Secret};
use super::refusal::{self, Complaint};
use super::wire::KeyHeader;
use super::{http, rate};
use clock::Awaited;

/// Most bytes of a reply that are read.
const REPLY_LIMIT: usize = 64 * 1024 * 1024;

/// One server. All wires and all other APIs of a provider (embeddings, files, jobs) go through it.
///
/// Nothing is sent twice. Dropping a call closes its connection. Errors carry the LM's name, the
/// provider, the status, the request's id, the wait that was asked for, and the raw body with every
/// secret taken out.
pub(crate) struct Client {
    name: Arc<str>,
    endpoint: Endpoint,
    http: reqwest::Client,
    /// The key, or that there is none, once the first call has read it.
    key: OnceCell<Option<Secret>>,
    /// Takes out the key as well as the secret headers, once the key is read.
    redactor: OnceCell<Redactor>,
}

/// What a request brings.
pub(crate) enum Body {
    /// Nothing.
    Empty,
    /// JSON, as text.
    Json(String),
    /// Bytes of this content type, such as a multipart form.
    Bytes(HeaderValue, Vec<u8>),
}

/// A reply with a good status whose head is there.
pub(crate) struct Answer<'c> {
    client: &'c Client,
    response: Response,
    clock: Clock,
    begun: bool,
}

impl Client {
    /// A client for this endpoint; `name` is what errors call the LM. Nothing is sent yet.
    ///
    /// # Errors
    /// The machine's certificates cannot be read.
    pub(crate) fn new(name: impl Into<Arc<str>>, endpoint: Endpoint) -> Result<Self, LmError> {
        let name = name.into();
        let http = http::client(&endpoint.base_url, endpoint.timeouts.connect)
            .map_err(|message| LmError::new(Kind::Transport, name.clone(), message))?;
        let (key, redactor) = (OnceCell::new(), OnceCell::new());
        Ok(Self { name, endpoint, http, key, redactor })
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The time limits of a call that begins now. A call of several requests has one.
    pub(crate) fn clock(&self) -> Clock {
        Clock::start(self.endpoint.timeouts)
    }

    /// Sends JSON and waits for the head of a good answer.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub(crate) async fn post_json(&self, path: &str, body: &Value) -> Result<Answer<'_>, LmError> {
        self.send(Method::POST, path, Body::Json(body.to_string()), self.clock()).await
    }

    /// Sends a request to `base_url + path` and waits for the head of a good answer.
    ///
    /// # Errors
    /// There is no connection, no answer in time, or one with a bad status; or the key cannot be had.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Body,
        clock: Clock,
    ) -> Result<Answer<'_>, LmError> {
        let (by, awaited) = clock.next(false);
        let sent = timeout_at(by, async {
            let headers = self.headers(&body).await?;
            let mut call = self.http.request(method, self.url(path)).headers(headers);
            call = match body {
                Body::Empty => call,
                Body::Json(text) => call.body(text),
                Body::Bytes(_, bytes) => call.body(bytes),
            };
            call.send().await.map_err(|e| self.broken(e))
        });
        let response = sent.await.map_err(|_| self.late(&awaited))??;
        let good = response.status().is_success();
        let answer = Answer { client: self, response, clock, begun: true };
        if good { Ok(answer) } else { Err(answer.into_refusal().await) }
    }

    /// The whole URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        let mut url = format!("{}{path}", self.endpoint.base_url);
        if self.endpoint.query.is_empty() {
            return url;
        }
        url.push(if path.contains('?') { '&' } else { '?' });
        let pairs = self.endpoint.query.iter().map(|(name, value)| {
            let encoded = |text: &str| super::key::url_encoded(text, true);
            format!("{}={}", encoded(name), encoded(value))
        });
        url.push_str(&pairs.collect::<Vec<_>>().join("&"));
        url
    }

    async fn headers(&self, body: &Body) -> Result<HeaderMap, LmError> {
        let mut headers: HeaderMap = self.endpoint.wire.headers().into_iter().collect();
        match body {
            Body::Empty => {}
            Body::Json(_) => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
            Body::Bytes(kind, _) => {
                headers.insert(CONTENT_TYPE, kind.clone());
            }
        }
        if let Some(key) = self.key().await? {
            let (name, before) = self.key_header();
            headers.insert(name, self.key_value(before, key)?);
        }
        headers.extend(self.endpoint.headers.iter().cloned());
        Ok(headers)
    }

    async fn key(&self) -> Result<&Option<Secret>, LmError> {
        let read =
            || async { self.endpoint.key.read().await.map_err(|e| self.error(Kind::Auth, e)) };
        let key = self.key.get_or_try_init(read).await?;
        let secrets = self.endpoint.secret_headers();
        self.redactor.get_or_init(|| async { Redactor::new(secrets.iter().chain(key)) }).await;
        Ok(key)
    }

    /// The header of the key, and what stands before the key in it.
    pub(crate) fn key_header(&self) -> (HeaderName, &'static str) {
        match (&self.endpoint.key_header, self.endpoint.wire.key_header()) {
            (Some(name), _) => (name.clone(), ""),
            (None, KeyHeader::Bearer) => (AUTHORIZATION, "Bearer "),
            (None, KeyHeader::Plain(name)) => (HeaderName::from_static(name), ""),
        }
    }

    fn key_value(&self, before: &str, key: &Secret) -> Result<HeaderValue, LmError> {
        let value = HeaderValue::from_str(&format!("{before}{}", key.expose()));
        let mut value = value.map_err(|_| {
            let source = &self.endpoint.key;
            let message = format!("the key ({source}) has characters that no key has; check it");
            self.error(Kind::Auth, message)
        })?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn has_key(&self) -> bool {
        self.key.get().is_some_and(Option::is_some)
    }

    /// The text without our secrets, which some servers repeat.
    pub(crate) fn clean(&self, text: &str) -> String {
        match self.redactor.get() {
            Some(redactor) => redactor.clean(text),
            None => text.to_owned(),
        }
    }

    /// An error of this kind, with who runs the LM.
    pub(crate) fn error(&self, kind: Kind, message: impl Into<String>) -> LmError {
        LmError::new(kind, self.name.clone(), message).with_provider(self.endpoint.provider.clone())
    }

    /// The error for a connection that failed.
    fn broken(&self, error: reqwest::Error) -> LmError {
        let (kind, message) = http::explain(&error, &self.endpoint.base_url);
        self.error(kind, message).with_source(error.without_url())
    }

    fn late(&self, awaited: &Awaited) -> LmError {
        let (place, limits) = (&self.endpoint.base_url, &self.endpoint.timeouts);
        let message = match awaited {
            Awaited::First => format!(
                "{place} did not begin to answer within {}; try again, or raise the limit for the \
                 first token",
                seconds(limits.first.unwrap_or_default())
            ),
            Awaited::Next => format!(
                "{place} stopped in the middle of a reply for {}; try again, or raise the limit \
                 for a stall",
                seconds(limits.stall.unwrap_or_default())
            ),
            Awaited::End => format!(
                "no whole answer from {place} within {}; ask for less, or raise the time limit",
                seconds(limits.total)
            ),
        };
        self.error(Kind::Timeout, message)
    }

    /// The error for a body, or an event of a stream, that says that something is wrong.
    pub(crate) fn refusal(&self, status: u16, headers: &HeaderMap, body: &str) -> LmError {
        let body = self.clean(body);
        let said = Complaint::read(&body);
        let location = headers.get("location").and_then(|v| v.to_str().ok());
        let status = if status == 200 { said.status() } else { status };
        let kind = said.kind(status);
        let place = refusal::Place {
            url: &self.endpoint.base_url,
            key: &self.endpoint.key,
            has_key: self.has_key(),
            location: location.map(|place| self.clean(place)),
        };
        self.error(kind, refusal::sentence(kind, status, &said, &place))
            .with_response(status, refusal::kept(&body))
            .with_retry_after(http::retry_after(headers).or(said.retry_after))
            .with_no_retry(http::no_retry(headers))
            .with_request_id(request_id(headers).map(|id| self.clean(&id)))
    }

    /// The error for a reply that is not what the protocol promises: `what` follows "answered with".
    pub(crate) fn protocol(&self, what: &str, headers: &HeaderMap, body: &str) -> LmError {
        let (place, wire) = (&self.endpoint.base_url, self.endpoint.wire.name());
        let hint = if body.trim_start().starts_with('<') { " but HTML" } else { "" };
        let message = format!(
            "{place} answered with {what}{hint}; check that the address is the base URL of an API \
             of the kind {wire}, which usually ends in /v1"
        );
        self.error(Kind::Protocol, message)
            .with_response(200, refusal::kept(&self.clean(body)))
            .with_request_id(request_id(headers).map(|id| self.clean(&id)))
    }
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

/// The provider's id of a request, under the names that providers give it.
pub(crate) fn request_id(headers: &HeaderMap) -> Option<String> {
    const NAMES: [&str; 6] = [
        "x-request-id",
        "request-id",
        "x-goog-request-id",
        "apim-request-id",
        "x-amzn-requestid",
        "x-generation-id",
    ];
    let value = NAMES.iter().find_map(|name| headers.get(*name))?;
    value.to_str().ok().map(str::to_owned)
}

impl Answer<'_> {
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
    pub(crate) async fn chunk(
        &mut self,
    ) -> Result<Option<impl std::ops::Deref<Target = [u8]> + use<>>, LmError> {
        let (by, awaited) = self.clock.next(self.begun);
        match timeout_at(by, self.response.chunk()).await {
            Err(_) => Err(self.client.late(&awaited)),
            Ok(read) => read.map_err(|e| self.client.broken(e)),
        }
    }

    /// The whole body, of which these bytes have been read.
    async fn bytes_after(mut self, mut body: Vec<u8>) -> Result<Vec<u8>, LmError> {
        while let Some(bytes) = self.chunk().await? {
            body.extend_from_slice(&bytes);
            if body.len() > REPLY_LIMIT {
                let what = format!("more than {} MB", REPLY_LIMIT / 1024 / 1024);
                return Err(self.client.protocol(&what, self.headers(), ""));
            }
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

    async fn into_refusal(self) -> LmError {
        let (client, status) = (self.client, self.response.status().as_u16());
        let headers = self.headers().clone();
        // The status counts, even if the body does not come whole.
        let body = self.text().await.unwrap_or_default();
        client.refusal(status, &headers, &body)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("name", &self.name)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}
