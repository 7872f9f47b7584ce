//! Where a provider is, how it is spoken to, and how long it may take.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Map, Value};
use teleprompt_core::{Error, Result, names};

use super::key::{KeySource, Secret};
use super::wire::{self, Dialect, Wire};

/// How long a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the connection stands. Default: 10 s.
    pub connect: Duration,
    /// From the beginning of a call until the head of a whole reply is there, or the first event of
    /// a streamed one. Default: no limit but `total`, as servers that do not stream send nothing
    /// before all is done.
    pub first: Option<Duration>,
    /// Between two pieces of a reply that has begun. Default: 300 s.
    pub stall: Option<Duration>,
    /// For the whole call. Default: 600 s.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first: None,
            stall: Some(Duration::from_secs(300)),
            total: Duration::from_secs(600),
        }
    }
}

/// What is known beforehand of how a server wants to be spoken to. What is `None` has the default
/// of the wire; what a server refuses is learned and corrected on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DialectOptions {
    /// Replies can be bound to a JSON schema. Default: yes.
    pub schema: Option<bool>,
    /// The token limit is called `max_completion_tokens`, not `max_tokens` (wire `openai-chat`).
    /// Default: no.
    pub new_limit_name: Option<bool>,
    /// The seed is called `random_seed`, not `seed` (wire `openai-chat`). Default: no.
    pub random_seed: Option<bool>,
    /// `stream_options` are understood (wire `openai-chat`). Default: yes.
    pub stream_options: Option<bool>,
    /// `temperature` and `top_p` may be set. Default: yes.
    pub sampling: Option<bool>,
    /// Hints for the provider's cache of prompts are sent. Default: no.
    pub prompt_cache: Option<bool>,
    /// What the LM thought in earlier turns is sent back to it. Default: yes.
    pub reasoning_back: Option<bool>,
    /// Several completions can be asked for by one request. Default: yes.
    pub n: Option<bool>,
    /// Log-probabilities can be asked for. Default: yes.
    pub logprobs: Option<bool>,
}

impl DialectOptions {
    /// These where set, else those of `base`.
    pub(crate) fn or(self, base: Self) -> Self {
        Self {
            schema: self.schema.or(base.schema),
            new_limit_name: self.new_limit_name.or(base.new_limit_name),
            random_seed: self.random_seed.or(base.random_seed),
            stream_options: self.stream_options.or(base.stream_options),
            sampling: self.sampling.or(base.sampling),
            prompt_cache: self.prompt_cache.or(base.prompt_cache),
            reasoning_back: self.reasoning_back.or(base.reasoning_back),
            n: self.n.or(base.n),
            logprobs: self.logprobs.or(base.logprobs),
        }
    }

    fn dialect(self) -> Dialect {
        Dialect {
            schema: self.schema.unwrap_or(true),
            new_limit_name: self.new_limit_name.unwrap_or(false),
            random_seed: self.random_seed.unwrap_or(false),
            stream_options: self.stream_options.unwrap_or(true),
            sampling: self.sampling.unwrap_or(true),
            prompt_cache: self.prompt_cache.unwrap_or(false),
            effort: true,
            reasoning_back: self.reasoning_back.unwrap_or(true),
            summary: true,
        }
    }
}

/// A server that runs language models: address, protocol, key, time limits.
///
/// Live connections and keys never get into files, so this is not serialisable:
/// ```compile_fail
/// fn saves(_: impl serde::Serialize) {}
/// saves(teleprompt::lm::Endpoint::new("openai-chat", "http://localhost:8080/v1").unwrap());
/// ```
///
/// ```
/// use teleprompt::lm::{Endpoint, KeySource};
///
/// # fn main() -> teleprompt::Result<()> {
/// let gate = Endpoint::new("openai-chat", "https://gate.example/v1")?
///     .with_provider("gate")
///     .with_key(KeySource::env("GATE_KEY"))
///     .with_header("x-team", "search")?;
/// assert_eq!(gate.base_url(), "https://gate.example/v1");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Endpoint {
    pub(crate) provider: Arc<str>,
    pub(crate) wire: &'static dyn Wire,
    pub(crate) base_url: Arc<str>,
    pub(crate) key: KeySource,
    pub(crate) key_header: Option<HeaderName>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) extra_body: Map<String, Value>,
    pub(crate) timeouts: Timeouts,
    pub(crate) options: DialectOptions,
}

impl Endpoint {
    /// A server at this base URL, which usually ends in `/v1`, that speaks this protocol:
    /// `openai-chat`, `openai-responses`, `anthropic` or `gemini`. It gets no key; its provider goes
    /// by the name of its host.
    ///
    /// # Errors
    /// [`Error::Config`]: there is no such protocol, or the base URL is none, or it holds a user
    /// name or password.
    pub fn new(wire: &str, base_url: &str) -> Result<Self> {
        let base_url = base_url.trim_end_matches('/');
        let host = check_url(base_url).map_err(Error::Config)?;
        Ok(Self {
            provider: host.into(),
            wire: wire::by_name(wire).ok_or_else(|| unknown_wire(wire))?,
            base_url: base_url.into(),
            key: KeySource::none(),
            key_header: None,
            headers: Vec::new(),
            query: Vec::new(),
            extra_body: Map::new(),
            timeouts: Timeouts::default(),
            options: DialectOptions::default(),
        })
    }

    /// The base URL, without a slash at its end.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The name of the protocol.
    pub fn wire(&self) -> &'static str {
        self.wire.name()
    }

    /// Who runs it.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// Where its key comes from.
    pub fn key(&self) -> &KeySource {
        &self.key
    }

    /// With who runs it, as errors and traces name it.
    #[must_use]
    pub fn with_provider(mut self, provider: impl Into<Arc<str>>) -> Self {
        self.provider = provider.into();
        self
    }

    /// With a key. It is sent to this endpoint only.
    #[must_use]
    pub fn with_key(mut self, key: KeySource) -> Self {
        self.key = key;
        self
    }

    /// With another header for the key than the protocol's; it holds the bare key.
    ///
    /// # Errors
    /// [`Error::Config`]: this is no name of a header.
    pub fn with_key_header(mut self, name: &str) -> Result<Self> {
        self.key_header = Some(header_name(name)?);
        Ok(self)
    }

    /// With one more header in every request, in the place of one of ours or an earlier one of this
    /// name. The value of one whose name tells of authorisation is
    /// kept out of messages like a key.
    ///
    /// # Errors
    /// [`Error::Config`]: this is no name or no value of a header.
    pub fn with_header(mut self, name: &str, value: &str) -> Result<Self> {
        let name = header_name(name)?;
        let mut value = HeaderValue::from_str(value).map_err(|_| {
            Error::Config(format!("the value of the header `{name}` has characters it must not"))
        })?;
        value.set_sensitive(is_secret_header(name.as_str()));
        self.headers.push((name, value));
        Ok(self)
    }

    /// With one more parameter of the query in every URL. The value of one whose name tells of
    /// authorisation is kept out of messages, identities and command lines like a key.
    #[must_use]
    pub fn with_query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    /// With fields that are merged into the body of every request, over ours. Those of a request's
    /// own settings come over these.
    #[must_use]
    pub fn with_extra_body(mut self, fields: Map<String, Value>) -> Self {
        self.extra_body = fields;
        self
    }

    /// With other time limits.
    #[must_use]
    pub fn with_timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// With what is known of its dialect.
    #[must_use]
    pub fn with_dialect(mut self, options: DialectOptions) -> Self {
        self.options = options;
        self
    }

    /// How it is spoken to until it shows that it understands less.
    pub(crate) fn dialect(&self) -> Dialect {
        self.options.dialect()
    }

    /// All that tells it from other endpoints, without secrets.
    pub(crate) fn identity(&self) -> String {
        let mut identity = format!("{} {}", self.wire.name(), self.base_url);
        for (name, value) in &self.query {
            let value = if is_secret_query(name) { "[set]" } else { value };
            identity.push_str(&format!(" {name}={value}"));
        }
        if let Some(hash) = self.manner() {
            identity.push_str(&format!(" manner={hash}"));
        }
        identity
    }

    /// A short hash of what else changes its answers: headers (of secret ones only that they are
    /// set) and what was said of its dialect. `None` where nothing was.
    fn manner(&self) -> Option<String> {
        let DialectOptions { schema, sampling, reasoning_back, logprobs, .. } = self.options;
        let dialect = [schema, sampling, reasoning_back, logprobs];
        if self.headers.is_empty() && dialect == [None; 4] {
            return None;
        }
        let headers = self.headers.iter().map(|(name, value)| {
            let bytes = if value.is_sensitive() { b"[set]" } else { value.as_bytes() };
            (name.as_str(), bytes)
        });
        let said: BTreeMap<&str, &[u8]> = headers.collect();
        let text = format!("{said:?} {dialect:?}");
        Some(blake3::hash(text.as_bytes()).to_hex().chars().take(16).collect())
    }

    /// The values of headers and query that nobody may read.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        let headers = self.headers.iter().filter(|(_, value)| value.is_sensitive());
        let headers = headers.filter_map(|(_, value)| value.to_str().ok());
        let query = self.query.iter().filter(|(name, _)| is_secret_query(name));
        headers.chain(query.map(|(_, value)| value.as_str())).map(Secret::new).collect()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("provider", &self.provider)
            .field("wire", &self.wire.name())
            .field("base_url", &self.base_url)
            .field("key", &self.key)
            .field("headers", &self.headers)
            .field("timeouts", &self.timeouts)
            .field("dialect", &self.options)
            .finish_non_exhaustive()
    }
}

fn unknown_wire(name: &str) -> Error {
    let hint = names::closest(name, wire::NAMES.iter().copied())
        .map_or_else(String::new, |near| format!("did you mean `{near}`? "));
    let known = wire::NAMES.join(", ");
    Error::Config(format!("`{name}` is no wire: {hint}the wires are {known}"))
}

fn header_name(name: &str) -> Result<HeaderName> {
    name.parse().map_err(|_| Error::Config(format!("`{name}` is no name of a header")))
}

/// Whether a header of this name says who one is.
pub(crate) fn is_secret_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["auth", "key", "token", "secret", "cookie", "password", "credential"]
        .iter()
        .any(|word| name.contains(word))
}

/// The same for a parameter of the query, where a signature does so too.
pub(crate) fn is_secret_query(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    is_secret_header(name) || matches!(&*lower, "sig" | "code") || lower.contains("signature")
}

/// The host. A base URL ends up in names, identities and messages, so it must hold no secret.
pub(crate) fn check_url(text: &str) -> std::result::Result<String, String> {
    let url = reqwest::Url::parse(text)
        .map_err(|e| format!("the base URL `{text}` is no URL ({e}); write http://HOST:PORT/v1"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the base URL must not hold a user name or password; give the key through an \
                    environment variable such as TELEPROMPT_API_KEY"
            .into());
    }
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("the base URL `{text}` must begin with http:// or https://"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        let bare = text.split(['?', '#']).next().unwrap_or_default();
        return Err(format!(
            "the base URL `{bare}` must end before `?` and `#`; a provider in your configuration \
             may have a `query`"
        ));
    }
    Ok(url.host_str().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests;
