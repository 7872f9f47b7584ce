//! A model behind a server, whichever protocol the server speaks.

mod curl;
mod quirks;
mod stop;
mod stream;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Map, Value};
use teleprompt_core::{
    Capabilities, Lm, LmError, LmErrorKind as Kind, LmRequest, LmResponse, LmStream, Usage,
};

use super::client::{Answer, Body, Client, Clock};
use super::endpoint::Endpoint;
use super::retry::RetryConfig;
use super::several;
use super::wire::{Call, WireFault};
use quirks::{Manner, Quirks};

/// A model behind a server.
///
/// - What a server refuses is learned, and the request is said again without it: JSON schemas (all,
///   or this one), the name of the token limit, `stream_options`, `temperature`, `top_p` or the two
///   together, stop texts, log-probabilities, `n`, the measure of reasoning and its summary. Each costs one request, once. [`Lm::capabilities`] follows.
/// - A server that gives fewer than `n` completions is asked for each missing one by a further
///   request, its seed raised by the completion's index. Usage then has the tokens of them all. One
///   that fails in passing is repeated here, so that no completion that has arrived is asked for again.
/// - Stop texts are cut here where the protocol or the server has none.
/// - Beyond that nothing is sent twice: wrap it in [`Retry`](crate::lm::Retry).
/// - Dropping a call closes its connection.
///
/// ```no_run
/// use teleprompt::lm::{Endpoint, Remote};
/// use teleprompt::{Lm, LmRequest, Message};
///
/// # async fn example() -> teleprompt::Result<()> {
/// let lm = Remote::new("llama3", Endpoint::new("openai-chat", "http://localhost:11434/v1")?)?;
/// let reply = lm.generate(&LmRequest::new(vec![Message::user("Hello")])).await?;
/// # Ok(())
/// # }
/// ```
pub struct Remote {
    model: Arc<str>,
    client: Client,
    quirks: Quirks,
    retry: RetryConfig,
}

impl Remote {
    /// The model that the server calls so, named `PROVIDER:MODEL`. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Kind::Transport`]: the machine's certificates cannot be read.
    pub fn new(model: impl Into<Arc<str>>, endpoint: Endpoint) -> Result<Self, LmError> {
        let model = model.into();
        let name = format!("{}:{model}", endpoint.provider());
        Self::named(name, model, endpoint)
    }

    /// As [`Remote::new`], under a name of your own.
    ///
    /// # Errors
    /// As [`Remote::new`].
    pub fn named(
        name: impl Into<Arc<str>>,
        model: impl Into<Arc<str>>,
        endpoint: Endpoint,
    ) -> Result<Self, LmError> {
        let client = Client::new(name, endpoint)?;
        let (quirks, retry) = (Quirks::default(), RetryConfig::default());
        Ok(Self { model: model.into(), client, quirks, retry })
    }

    /// With other rules for the requests of completions that are missing beside others that have
    /// arrived. Default: [`RetryConfig::default`]. All else is repeated by [`Retry`](super::Retry).
    #[must_use]
    pub fn with_retry(mut self, retry: RetryConfig) -> Self {
        self.retry = retry;
        self
    }

    /// Where it is and how it is spoken to.
    pub fn endpoint(&self) -> &Endpoint {
        self.client.endpoint()
    }

    /// The manner before anything was learned.
    fn first_manner(&self) -> Manner {
        let endpoint = self.endpoint();
        let options = &endpoint.options;
        Manner {
            dialect: endpoint.dialect(),
            cut: !endpoint.wire.has_stop(),
            temperature: true,
            top_p: true,
            logprobs: options.logprobs.unwrap_or(true),
            several: options.n.unwrap_or(true),
        }
    }

    fn manner(&self, request: &LmRequest) -> Manner {
        self.quirks.manner(request, self.first_manner())
    }

    /// The body as it is sent.
    fn body(&self, request: &LmRequest, manner: Manner, stream: bool) -> Result<Value, LmError> {
        let request = fitted(request, manner);
        let call = Call { model: &self.model, request: &request, dialect: manner.dialect, stream };
        let wire = self.endpoint().wire;
        let mut body = wire.body(&call).map_err(|what| {
            let message = format!("the protocol {} cannot say {}", wire.name(), what.0);
            self.client.error(Kind::Unsupported, message)
        })?;
        merge(&mut body, &self.endpoint().extra_body);
        if let Some(fields) = &request.settings.extra_body {
            merge(&mut body, fields);
        }
        Ok(body)
    }

    /// Sends the request, again if a refusal teaches us better; the head of a good answer is there.
    async fn open(
        &self,
        request: &LmRequest,
        stream: bool,
        mut clock: Clock,
    ) -> Result<Answer<'_>, LmError> {
        let path = self.endpoint().wire.path(&self.model, stream);
        loop {
            let manner = self.manner(request);
            let body = Body::Json(self.body(request, manner, stream)?.to_string());
            let error = match self.client.send(Method::POST, &path, body, clock).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            self.quirks.learn(&error, request, manner, self.first_manner());
            // Each quirk is learned once, so this ends.
            if self.manner(request) == manner {
                return Err(error);
            }
            clock = clock.renewed();
        }
    }

    /// One request, however many completions come back: at least one.
    async fn ask(&self, request: &LmRequest, clock: Clock) -> Result<LmResponse, LmError> {
        let answer = self.open(request, false, clock).await?;
        let (headers, rate, id) = (answer.headers().clone(), answer.rate(), answer.request_id());
        let text = answer.text().await?;
        let response = self.read(&text, &headers)?;
        Ok(self.finished(LmResponse { rate, request_id: id, ..response }, request))
    }

    /// A body that is one reply.
    fn read(&self, text: &str, headers: &HeaderMap) -> Result<LmResponse, LmError> {
        let reply: Value = serde_json::from_str(text).map_err(|error| {
            // A proxy that loses its server may end the half of a reply as if it were whole.
            if error.is_eof() && text.trim_start().starts_with(['{', '[']) {
                return self.client.broken_off(headers);
            }
            self.client.protocol("something that is not JSON", headers, text)
        })?;
        let response = self.endpoint().wire.read(&reply);
        response.map_err(|fault| self.fault(fault, headers, text))
    }

    fn fault(&self, fault: WireFault, headers: &HeaderMap, said: &str) -> LmError {
        match fault {
            WireFault::Malformed(what) => self.client.protocol(&what, headers, said),
            WireFault::Refused(json) => self.client.refusal(200, headers, &json),
        }
    }

    /// The response as the caller gets it, but for missing completions.
    fn finished(&self, mut response: LmResponse, request: &LmRequest) -> LmResponse {
        if response.model.is_empty() {
            response.model = self.model.clone();
        }
        if self.manner(request).cut {
            let stops = &request.settings.stop;
            response.completions.iter_mut().for_each(|c| stop::cut(c, stops));
        }
        response
    }

    /// Makes the completions as many as were asked for.
    async fn complete(
        &self,
        request: &LmRequest,
        got: &mut LmResponse,
        clock: Clock,
    ) -> Result<(), LmError> {
        let wanted = request.n.max(1) as usize;
        got.completions.truncate(wanted);
        let missing = (got.completions.len()..wanted).map(|index| several::single(request, index));
        let missing: Vec<LmRequest> = missing.collect();
        let retry = RetryConfig { total: self.retry.total.min(clock.left()), ..self.retry.clone() };
        let ask = |single| self.ask(single, clock.renewed());
        for reply in several::missing(&missing, &retry, ask).await? {
            got.completions.extend(reply.completions.into_iter().take(1));
            got.usage += Usage { calls: 0, ..reply.usage };
            got.rate = reply.rate.or(got.rate);
        }
        let without = got.completions.iter().any(|c| c.logprobs.is_none() && !c.text.is_empty());
        if request.settings.logprobs.is_some() && without {
            self.quirks.miss_logprobs();
        }
        Ok(())
    }
}

impl Lm for Remote {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let clock = self.client.clock();
        let mut response = self.ask(request, clock).await?;
        self.complete(request, &mut response, clock).await?;
        Ok(response)
    }

    fn stream<'a>(&'a self, request: &'a LmRequest) -> LmStream<'a> {
        stream::open(self, request)
    }

    fn name(&self) -> &str {
        self.client.name()
    }

    /// Protocol, address, model and the fields that the endpoint adds to every body.
    fn identity(&self) -> String {
        let endpoint = self.endpoint();
        let identity = format!("{} {}", endpoint.identity(), self.model);
        if endpoint.extra_body.is_empty() {
            return identity;
        }
        format!("{identity} {}", Value::Object(endpoint.extra_body.clone()))
    }

    /// What the protocol can do, until the server shows that it cannot.
    fn capabilities(&self) -> Capabilities {
        let able = self.endpoint().wire.capabilities();
        let schemas = self.endpoint().dialect().schema && self.quirks.schemas();
        let logprobs = self.first_manner().logprobs && self.quirks.logprobs();
        able.with_json_schema(able.json_schema && schemas).with_logprobs(able.logprobs && logprobs)
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("name", self.client.name())
            .field("endpoint", self.endpoint())
            .finish_non_exhaustive()
    }
}

/// The request without what the server does not take.
fn fitted(request: &LmRequest, manner: Manner) -> Cow<'_, LmRequest> {
    let (settings, mut fitted) = (&request.settings, Cow::Borrowed(request));
    if manner.cut && !settings.stop.is_empty() {
        fitted.to_mut().settings.stop.clear();
    }
    if !manner.temperature && settings.temperature.is_some() {
        fitted.to_mut().settings.temperature = None;
    }
    if !manner.top_p && settings.top_p.is_some() {
        fitted.to_mut().settings.top_p = None;
    }
    if !manner.logprobs && settings.logprobs.is_some() {
        fitted.to_mut().settings.logprobs = None;
    }
    if !manner.several && request.n > 1 {
        fitted.to_mut().n = 1;
    }
    fitted
}

/// Lays fields over a body: objects are merged member by member, all else is replaced.
fn merge(body: &mut Value, fields: &Map<String, Value>) {
    let Value::Object(body) = body else { return };
    for (name, value) in fields {
        match (body.get_mut(name), value) {
            (Some(ours @ Value::Object(_)), Value::Object(theirs)) => merge(ours, theirs),
            _ => {
                body.insert(name.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn extra_fields_are_laid_over_the_body() {
        let mut body = json!({"a": {"x": 1, "y": 2}, "b": [1], "c": 3});
        let fields = json!({"a": {"y": 5, "z": 6}, "b": [2], "d": null});
        merge(&mut body, fields.as_object().unwrap());
        assert_eq!(body, json!({"a": {"x": 1, "y": 5, "z": 6}, "b": [2], "c": 3, "d": null}));
    }
}
