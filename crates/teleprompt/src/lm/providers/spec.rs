//! One entry of the table of providers, or one `[provider.NAME]` of a configuration file.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use teleprompt_core::Result;

use super::Vars;
use crate::lm::endpoint::{DialectOptions, Endpoint, Timeouts};
use crate::lm::key::KeySource;
use crate::lm::registry::ProviderLimits;

/// The keys that a configuration file may have in a provider.
pub(crate) const KEYS: [&str; 19] = [
    "name",
    "wire",
    "url",
    "key_env",
    "key_command",
    "key_header",
    "headers",
    "query",
    "extra_body",
    "connect_timeout_s",
    "first_timeout_s",
    "stall_timeout_s",
    "timeout_s",
    "requests_per_minute",
    "tokens_per_minute",
    "max_in_flight",
    "retries",
    "dialect",
    "local",
];

/// A provider as a file describes it. What is left out has a default.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Spec {
    pub name: Option<String>,
    pub wire: Option<String>,
    pub url: Option<String>,
    pub key_env: Option<String>,
    pub key_command: Option<KeyCommand>,
    key_header: Option<String>,
    pub headers: BTreeMap<String, String>,
    query: BTreeMap<String, String>,
    extra_body: Map<String, Value>,
    connect_timeout_s: Option<Seconds>,
    first_timeout_s: Option<Seconds>,
    stall_timeout_s: Option<Seconds>,
    timeout_s: Option<Seconds>,
    requests_per_minute: Option<NonZeroU32>,
    tokens_per_minute: Option<NonZeroU64>,
    max_in_flight: Option<NonZeroUsize>,
    retries: Option<u32>,
    pub dialect: DialectOptions,
    /// It runs on one's own machine: what is known of its dialect holds at every address.
    pub local: bool,
    /// Why its key is not sent, as what to do about it: set by the guard over strangers' files.
    #[serde(skip)]
    withheld: Option<String>,
    // Of the built-in table only.
    pub url_env: Option<String>,
    url_path: Option<String>,
    version_env: Option<String>,
}

/// A command that prints a key: a line for the shell, or a program with its arguments.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum KeyCommand {
    Line(String),
    Program(Vec<String>),
}

/// Seconds, more than none.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "f64")]
struct Seconds(Duration);

impl TryFrom<f64> for Seconds {
    type Error = String;
    fn try_from(seconds: f64) -> std::result::Result<Self, String> {
        match Duration::try_from_secs_f64(seconds) {
            // So long that a clock can still add it to the present.
            Ok(time) if !time.is_zero() && seconds < 1e9 => Ok(Self(time)),
            _ => Err(format!("{seconds} is no time limit; give seconds, more than 0")),
        }
    }
}

impl Spec {
    /// The protocol. Default: `openai-chat`, which most servers speak.
    pub(crate) fn wire(&self) -> &str {
        self.wire.as_deref().unwrap_or("openai-chat")
    }

    /// Sends no key. What its user does to change that is made from the variable of the key.
    pub(crate) fn withhold_key(&mut self, remedy: impl FnOnce(&str) -> String) {
        self.withheld = self.key_env.take().map(|variable| remedy(&variable));
    }

    pub(super) fn key_source(&self) -> KeySource {
        if let Some(remedy) = &self.withheld {
            return KeySource::withheld(remedy.as_str());
        }
        match (&self.key_command, &self.key_env) {
            (Some(KeyCommand::Line(line)), _) => KeySource::shell(line),
            (Some(KeyCommand::Program(argv)), _) => KeySource::command(argv.iter().cloned()),
            (None, Some(variable)) => KeySource::env(variable.as_str()),
            (None, None) => KeySource::none(),
        }
    }

    /// An address of the environment, completed where it has no path.
    pub(super) fn with_path(&self, url: &str) -> String {
        let bare = reqwest::Url::parse(url).is_ok_and(|url| url.path() == "/");
        match &self.url_path {
            Some(path) if bare => format!("{}{path}", url.trim_end_matches('/')),
            _ => url.to_owned(),
        }
    }

    /// What a server needs at any address: all but key, dialect, and what is added to requests.
    pub(super) fn apply(&self, mut endpoint: Endpoint, var: Vars<'_>) -> Result<Endpoint> {
        if let Some(version) = self.version_env.as_deref().and_then(var) {
            endpoint = endpoint.with_query("api-version", version);
        }
        if let Some(name) = &self.key_header {
            endpoint = endpoint.with_key_header(name)?;
        }
        Ok(endpoint.with_timeouts(self.timeouts()))
    }

    /// Headers, query and fields of the body, which may hold what is meant for its own address alone.
    pub(super) fn add_own(&self, mut endpoint: Endpoint) -> Result<Endpoint> {
        for (name, value) in &self.query {
            endpoint = endpoint.with_query(name, value);
        }
        endpoint = endpoint.with_extra_body(self.extra_body.clone());
        let mut headers = self.headers.iter();
        headers.try_fold(endpoint, |endpoint, (name, value)| endpoint.with_header(name, value))
    }

    fn timeouts(&self) -> Timeouts {
        let ours = Timeouts::default();
        Timeouts {
            connect: self.connect_timeout_s.map_or(ours.connect, |s| s.0),
            first: self.first_timeout_s.map(|s| s.0).or(ours.first),
            stall: self.stall_timeout_s.map(|s| s.0).or(ours.stall),
            total: self.timeout_s.map_or(ours.total, |s| s.0),
        }
    }

    pub(crate) fn limits(&self) -> ProviderLimits {
        ProviderLimits {
            requests_per_minute: self.requests_per_minute.map(NonZeroU32::get),
            tokens_per_minute: self.tokens_per_minute.map(NonZeroU64::get),
            max_in_flight: self.max_in_flight.map(NonZeroUsize::get),
            retries: self.retries,
        }
    }

    /// These settings where given, else those of `base`.
    pub(crate) fn or(self, base: &Spec) -> Spec {
        // A key of one kind takes the place of one of the other.
        let keyed = self.key_env.is_some() || self.key_command.is_some();
        let key_base = if keyed { Spec::default() } else { base.clone() };
        let both = |ours: BTreeMap<String, String>, theirs: &BTreeMap<String, String>| {
            theirs.clone().into_iter().chain(ours).collect()
        };
        // A new address is not changed by the variable for the old one.
        let url_env = if self.url.is_some() { None } else { base.url_env.clone() };
        Spec {
            name: self.name.or_else(|| base.name.clone()),
            wire: self.wire.or_else(|| base.wire.clone()),
            url: self.url.or_else(|| base.url.clone()),
            key_env: self.key_env.or(key_base.key_env),
            key_command: self.key_command.or(key_base.key_command),
            key_header: self.key_header.or_else(|| base.key_header.clone()),
            headers: both(self.headers, &base.headers),
            query: both(self.query, &base.query),
            extra_body: base.extra_body.clone().into_iter().chain(self.extra_body).collect(),
            connect_timeout_s: self.connect_timeout_s.or(base.connect_timeout_s),
            first_timeout_s: self.first_timeout_s.or(base.first_timeout_s),
            stall_timeout_s: self.stall_timeout_s.or(base.stall_timeout_s),
            timeout_s: self.timeout_s.or(base.timeout_s),
            requests_per_minute: self.requests_per_minute.or(base.requests_per_minute),
            tokens_per_minute: self.tokens_per_minute.or(base.tokens_per_minute),
            max_in_flight: self.max_in_flight.or(base.max_in_flight),
            retries: self.retries.or(base.retries),
            dialect: self.dialect.or(base.dialect),
            local: self.local || base.local,
            withheld: self.withheld,
            url_env,
            url_path: self.url_path.or_else(|| base.url_path.clone()),
            version_env: self.version_env.or_else(|| base.version_env.clone()),
        }
    }
}
