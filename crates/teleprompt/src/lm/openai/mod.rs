//! The chat-completions protocol of OpenAI, which many servers speak: vLLM, llama.cpp's server,
//! Ollama, LM Studio, routers and clouds.

mod config;
mod quirks;
mod refusal;
mod stream;
mod wire;

pub use config::{OPENAI_URL, OpenAiConfig};

use std::fmt;
use std::sync::Arc;

use futures::future::try_join_all;
use reqwest::Response;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use teleprompt_core::{
    Capabilities, Completion, Lm, LmError, LmErrorKind, LmRequest, LmResponse, LmStream, Usage,
};

use crate::lm::http;
use quirks::Quirks;
use wire::Reply;

/// Most bytes of a reply that are read.
const REPLY_LIMIT: usize = 64 * 1024 * 1024;

/// A model behind an OpenAI-compatible server.
///
/// - A JSON schema is sent as `response_format`, strict. A server that refuses that gets the request
///   again without it, and all later ones too; a server that refuses one schema gets later requests
///   without that one. [`Lm::capabilities`] follows.
/// - The token limit is sent as `max_completion_tokens` to OpenAI and as `max_tokens` to others; if
///   a refusal asks for the other name, it is used from then on.
/// - A server that gives fewer than `n` completions is asked for each missing one by a further
///   request, its seed raised by the completion's index. Usage then has the tokens of them all.
/// - Beyond that nothing is sent twice: wrap it in [`Retry`](crate::lm::Retry).
/// - Dropping a call closes its connection.
///
/// ```no_run
/// use teleprompt::lm::{OpenAi, OpenAiConfig};
/// use teleprompt::{Lm, LmRequest, Message};
///
/// # async fn example() -> Result<(), teleprompt::LmError> {
/// let lm = OpenAi::new("llama3", OpenAiConfig::at("http://localhost:11434/v1"))?;
/// let reply = lm.generate(&LmRequest::new(vec![Message::user("Hello")])).await?;
/// # Ok(())
/// # }
/// ```
pub struct OpenAi {
    name: Arc<str>,
    model: Arc<str>,
    config: OpenAiConfig,
    http: reqwest::Client,
    quirks: Quirks,
}

impl OpenAi {
    /// The model of this name on the server. Nothing is sent yet.
    ///
    /// # Errors
    /// [`LmErrorKind::InvalidRequest`]: the base URL is none, or holds a user name or password;
    /// [`LmErrorKind::Transport`]: the machine's certificates cannot be read.
    pub fn new(model: impl Into<Arc<str>>, config: OpenAiConfig) -> Result<Self, LmError> {
        let model = model.into();
        let name: Arc<str> = match config.base_url.as_str() {
            OPENAI_URL => format!("openai:{model}").into(),
            url => format!("openai:{model}@{url}").into(),
        };
        check_url(&config.base_url).map_err(|message| {
            LmError::new(LmErrorKind::InvalidRequest, format!("openai:{model}"), message)
        })?;
        let http = http::client(&config.base_url, config.connect_timeout)
            .map_err(|message| LmError::new(LmErrorKind::Transport, name.clone(), message))?;
        Ok(Self { name, model, config, http, quirks: Quirks::default() })
    }

    fn endpoint(&self) -> String {
        format!("{}/chat/completions", self.config.base_url)
    }

    /// OpenAI's newer models know only the new name, compatible servers often only the old one.
    fn guesses_new_limit_name(&self) -> bool {
        self.config.base_url == OPENAI_URL
    }

    /// Sends the request, again if a refusal teaches us better; the head of a good answer is there.
    async fn open(&self, request: &LmRequest, stream: bool) -> Result<Response, LmError> {
        let guess = self.guesses_new_limit_name();
        loop {
            let dialect = self.quirks.dialect(request, guess);
            let body = wire::body(&self.model, request, dialect, stream);
            let response = self.post(body.to_string()).await?;
            if response.status().is_success() {
                return Ok(response);
            }
            let error = self.refused(response).await;
            self.quirks.learn(&error, request, dialect, guess);
            // Each quirk is learned once, so this ends.
            if self.quirks.dialect(request, guess) == dialect {
                return Err(error);
            }
        }
    }

    async fn post(&self, body: String) -> Result<Response, LmError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(key) = &self.config.key {
            headers.insert(AUTHORIZATION, self.bearer(key)?);
        }
        let call = self.http.post(self.endpoint()).headers(headers).timeout(self.config.timeout);
        call.body(body).send().await.map_err(|e| self.broken(&e))
    }

    fn bearer(&self, key: &str) -> Result<HeaderValue, LmError> {
        let mut value = HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| {
            let variable = self.config.key_variable;
            let message = format!("the key in {variable} has characters that no key has; check it");
            LmError::new(LmErrorKind::Auth, self.name.clone(), message)
        })?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn broken(&self, error: &reqwest::Error) -> LmError {
        let (kind, message) = http::explain(error, &self.config.base_url);
        LmError::new(kind, self.name.clone(), message)
    }

    async fn refused(&self, response: Response) -> LmError {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        // The status counts, even if the body does not come whole.
        let body = self.read(response).await.unwrap_or_default();
        self.refusal(status, &headers, &body)
    }

    /// The whole body as text.
    async fn read(&self, mut response: Response) -> Result<String, LmError> {
        let mut body = Vec::new();
        while let Some(bytes) = response.chunk().await.map_err(|e| self.broken(&e))? {
            body.extend_from_slice(&bytes);
            if body.len() > REPLY_LIMIT {
                let what = format!("more than {} MB", REPLY_LIMIT / 1024 / 1024);
                return Err(self.protocol(&what, response.status().as_u16(), ""));
            }
        }
        Ok(String::from_utf8(body)
            .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
    }

    /// One request, however many completions come back: at least one.
    async fn ask(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let response = self.open(request, false).await?;
        self.whole(response).await
    }

    /// The reply in a body that is one JSON object.
    async fn whole(&self, response: Response) -> Result<LmResponse, LmError> {
        let headers = response.headers().clone();
        let body = self.read(response).await?;
        let mut reply = self.reply(&body, &headers)?;
        if reply.choices.is_empty() {
            return Err(self.protocol("no completion", 200, &body));
        }
        reply.choices.sort_by_key(|choice| choice.index);
        let completions = reply.choices.into_iter().map(|choice| {
            let mut completion = Completion::default();
            choice.add_to(&mut completion);
            completion
        });
        let usage = reply.usage.as_ref().map(wire::WireUsage::usage);
        Ok(LmResponse {
            completions: completions.collect(),
            usage: usage.unwrap_or(Usage { calls: 1, ..Usage::default() }),
            model: reply.model.map_or_else(|| self.model.clone(), Arc::from),
            ..LmResponse::default()
        })
    }

    /// Reads a reply or an event; both may be an error under a good status.
    fn reply(&self, body: &str, headers: &HeaderMap) -> Result<Reply, LmError> {
        let value: serde_json::Value = serde_json::from_str(body)
            .map_err(|_| self.protocol("something that is not JSON", 200, body))?;
        if value.get("error").is_some_and(|e| !e.is_null()) {
            return Err(self.refusal(200, headers, body));
        }
        serde_json::from_value(value)
            .map_err(|e| self.protocol(&format!("JSON of another form ({e})"), 200, body))
    }

    /// Makes the completions as many as were asked for.
    async fn complete(&self, request: &LmRequest, got: &mut LmResponse) -> Result<(), LmError> {
        let wanted = request.n.max(1) as usize;
        got.completions.truncate(wanted);
        let missing = (got.completions.len()..wanted).map(|index| {
            let mut single = request.clone();
            single.n = 1;
            single.settings.seed =
                request.settings.seed.map(|seed| seed.wrapping_add(index as u64));
            single
        });
        let missing: Vec<LmRequest> = missing.collect();
        for reply in try_join_all(missing.iter().map(|single| self.ask(single))).await? {
            got.completions.extend(reply.completions.into_iter().take(1));
            got.usage += Usage { calls: 0, ..reply.usage };
        }
        let without = got.completions.iter().any(|c| c.logprobs.is_none() && !c.text.is_empty());
        if request.settings.logprobs.is_some() && without {
            self.quirks.miss_logprobs();
        }
        Ok(())
    }
}

impl Lm for OpenAi {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let mut response = self.ask(request).await?;
        self.complete(request, &mut response).await?;
        Ok(response)
    }

    fn stream<'a>(&'a self, request: &'a LmRequest) -> LmStream<'a> {
        stream::open(self, request)
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn identity(&self) -> String {
        format!("openai-chat {} {}", self.config.base_url, self.model)
    }

    /// JSON schemas and log-probabilities, until the server shows that it has them not.
    fn capabilities(&self) -> Capabilities {
        Capabilities::none()
            .with_json_schema(self.quirks.schemas())
            .with_logprobs(self.quirks.logprobs())
    }
}

impl fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAi")
            .field("name", &self.name)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// A base URL ends up in names, identities and messages, so it must hold no secret.
fn check_url(text: &str) -> Result<(), String> {
    let url = reqwest::Url::parse(text)
        .map_err(|e| format!("the base URL `{text}` is no URL ({e}); write http://HOST:PORT/v1"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("the base URL `{text}` must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the base URL must not hold a user name or password; set the key in \
                    TELEPROMPT_API_KEY"
            .into());
    }
    Ok(())
}
