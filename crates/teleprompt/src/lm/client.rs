//! The HTTP side of a provider: one server, its key, its time limits, its failures in words.

mod answer;
mod clock;

pub(crate) use answer::Answer;
pub(crate) use clock::Clock;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use teleprompt_core::{LmError, LmErrorKind as Kind};
use tokio::time::timeout_at;

use super::endpoint::Endpoint;
use super::http;
use super::key::{Redactor, Secret};
use super::refusal::{self, Complaint};
use super::wire::KeyHeader;
use clock::Awaited;

/// One server. All wires and all other APIs of a provider (embeddings, files, jobs) go through it.
///
/// Nothing is sent twice, but for a request whose key was refused and whose key command then gives
/// another. Dropping a call closes its connection. Errors carry the LM's name, the
/// provider, the status, the request's id, the wait that was asked for, and the raw body with every
/// secret taken out.
pub(crate) struct Client {
    name: Arc<str>,
    endpoint: Endpoint,
    http: reqwest::Client,
    /// Once the first call has read the key.
    known: RwLock<Option<Known>>,
}

/// What is known once a key has been read.
struct Known {
    /// The key, or that there is none.
    key: Option<Secret>,
    /// Takes out all keys so far and all other secrets of the endpoint.
    redactor: Redactor,
}

/// What a request brings.
#[derive(Clone)]
pub(crate) enum Body {
    /// Nothing.
    Empty,
    /// JSON, as text.
    Json(String),
    /// Bytes of this content type, such as a multipart form.
    Bytes(HeaderValue, Vec<u8>),
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
        Ok(Self { name, endpoint, http, known: RwLock::default() })
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
        let again = self.endpoint.key.can_renew().then(|| (method.clone(), body.clone()));
        let mut used = None;
        let error = match self.attempt(method, path, body, clock, &mut used).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        match again {
            Some((method, body)) if error.status == Some(401) => {
                let clock = clock.renewed();
                if self.renew(used.as_ref(), clock).await {
                    return self.attempt(method, path, body, clock, &mut used).await;
                }
                Err(error)
            }
            _ => Err(error),
        }
    }

    /// One request, with the key that is written to `used`.
    async fn attempt(
        &self,
        method: Method,
        path: &str,
        body: Body,
        clock: Clock,
        used: &mut Option<Secret>,
    ) -> Result<Answer<'_>, LmError> {
        let (by, awaited) = clock.next(false);
        let sent = timeout_at(by, async {
            *used = self.key().await?;
            let headers = self.headers(&body, used.as_ref())?;
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
        let answer = Answer::new(self, response, clock);
        if good { Ok(answer) } else { Err(answer.into_refusal().await) }
    }

    /// The whole URL of a path.
    fn url(&self, path: &str) -> String {
        self.url_with(path, |_, value| super::key::url_encoded(value, true))
    }

    /// The same with other values in the query: what `value` makes of name and value.
    pub(crate) fn url_with(&self, path: &str, value: impl Fn(&str, &str) -> String) -> String {
        let mut url = format!("{}{path}", self.endpoint.base_url);
        let mut mark = if path.contains('?') { '&' } else { '?' };
        for (name, told) in &self.endpoint.query {
            url.push(mark);
            url.push_str(&super::key::url_encoded(name, true));
            url.push('=');
            url.push_str(&value(name, told));
            mark = '&';
        }
        url
    }

    fn headers(&self, body: &Body, key: Option<&Secret>) -> Result<HeaderMap, LmError> {
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
        if let Some(key) = key {
            let (name, before) = self.key_header();
            headers.insert(name, self.key_value(before, key)?);
        }
        // One's own come in the place of ours.
        for (name, value) in &self.endpoint.headers {
            headers.insert(name.clone(), value.clone());
        }
        Ok(headers)
    }

    async fn key(&self) -> Result<Option<Secret>, LmError> {
        let known = self.known(|known| known.key.clone());
        if let Some(key) = known {
            return Ok(key);
        }
        let key = self.endpoint.key.read().await.map_err(|e| self.error(Kind::Auth, e))?;
        self.know(key.clone());
        Ok(key)
    }

    /// Whether there is another key than the one that was refused, in time.
    async fn renew(&self, refused: Option<&Secret>, clock: Clock) -> bool {
        let Some(refused) = refused else { return false };
        let renewed = timeout_at(clock.next(false).0, self.endpoint.key.renew(refused)).await;
        let Ok(Some(key)) = renewed else { return false };
        self.know(Some(key));
        true
    }

    fn know(&self, key: Option<Secret>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let before = known.take().map(|known| known.redactor);
        let mut redactor = before.unwrap_or_else(|| Redactor::new(&self.endpoint.secrets()));
        key.iter().for_each(|key| redactor.add(key));
        *known = Some(Known { key, redactor });
    }

    fn known<T>(&self, of: impl FnOnce(&Known) -> T) -> Option<T> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(of)
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
        self.known(|known| known.key.is_some()).unwrap_or(false)
    }

    /// The text without our secrets, which some servers repeat.
    pub(crate) fn clean(&self, text: &str) -> String {
        self.known(|known| known.redactor.clean(text)).unwrap_or_else(|| text.to_owned())
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

    /// The error for a reply that ended too early, though the connection was closed properly.
    pub(crate) fn broken_off(&self, headers: &HeaderMap) -> LmError {
        let place = &self.endpoint.base_url;
        let message = format!("{place} broke off in the middle of a reply; try again");
        let id = request_id(headers).map(|id| self.clean(&id));
        self.error(Kind::Transport, message).with_request_id(id)
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
        let mut said = Complaint::read(&body);
        said.retry_after = http::retry_after(headers).or(said.retry_after);
        let location = headers.get("location").and_then(|v| v.to_str().ok());
        let kind = said.kind(if status == 200 { said.status() } else { status });
        let place = refusal::Place {
            url: &self.endpoint.base_url,
            key: &self.endpoint.key,
            has_key: self.has_key(),
            location: location.map(|place| self.clean(place)),
        };
        self.error(kind, refusal::sentence(kind, status, &said, &place))
            .with_response(status, refusal::kept(&body))
            .with_retry_after(said.retry_after)
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

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("name", &self.name)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}
