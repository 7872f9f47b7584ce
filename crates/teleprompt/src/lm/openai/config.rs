//! Where an OpenAI-compatible server is and which key it gets.

use std::fmt;
use std::time::Duration;

/// The address of OpenAI's own API.
pub const OPENAI_URL: &str = "https://api.openai.com/v1";

/// Address, key and time limits of an OpenAI-compatible server.
///
/// `OPENAI_API_KEY` only ever goes to OpenAI, or to the address in `OPENAI_BASE_URL`, which the user
/// set beside it. Any other address gets `TELEPROMPT_API_KEY` if that is set, else no key.
#[derive(Clone)]
pub struct OpenAiConfig {
    pub(super) base_url: String,
    pub(super) key: Option<String>,
    pub(super) key_variable: &'static str,
    pub(super) connect_timeout: Duration,
    pub(super) timeout: Duration,
}

impl OpenAiConfig {
    /// OpenAI (or `OPENAI_BASE_URL`), with the key in `OPENAI_API_KEY`.
    pub fn from_env() -> Self {
        Self::openai(var)
    }

    /// The server at this base URL, which usually ends in `/v1`.
    pub fn at(base_url: &str) -> Self {
        Self::other(base_url, var)
    }

    fn openai(var: impl Fn(&str) -> Option<String>) -> Self {
        let base_url = var("OPENAI_BASE_URL").unwrap_or_else(|| OPENAI_URL.to_owned());
        Self::new(&base_url, "OPENAI_API_KEY", var)
    }

    fn other(base_url: &str, var: impl Fn(&str) -> Option<String>) -> Self {
        let ours = base_url.trim_end_matches('/') == OPENAI_URL;
        Self::new(base_url, if ours { "OPENAI_API_KEY" } else { "TELEPROMPT_API_KEY" }, var)
    }

    fn new(url: &str, key_variable: &'static str, var: impl Fn(&str) -> Option<String>) -> Self {
        Self {
            base_url: url.trim_end_matches('/').to_owned(),
            key: var(key_variable),
            key_variable,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(600),
        }
    }

    /// With this key instead of the environment's.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Without a key, whatever the environment holds.
    #[must_use]
    pub fn without_key(mut self) -> Self {
        self.key = None;
        self
    }

    /// With another time limit for a whole call. Default: 600 s.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// With another time limit for making the connection. Default: 10 s.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }
}

impl fmt::Debug for OpenAiConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiConfig")
            .field("base_url", &self.base_url)
            .field("key", &self.key.as_ref().map(|_| "[key]"))
            .field("connect_timeout", &self.connect_timeout)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

fn var(name: &str) -> Option<String> {
    std::env::var(name).ok().map(|v| v.trim().to_owned()).filter(|v| !v.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(list: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        move |name| list.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
    }

    const BOTH: &[(&str, &str)] = &[("OPENAI_API_KEY", "sk-a"), ("TELEPROMPT_API_KEY", "sk-b")];

    #[test]
    fn the_openai_key_goes_nowhere_else() {
        assert_eq!(OpenAiConfig::openai(vars(BOTH)).key.as_deref(), Some("sk-a"));
        let at = |url: &str, list| OpenAiConfig::other(url, vars(list)).key;
        assert_eq!(at("http://localhost:8080/v1", BOTH).as_deref(), Some("sk-b"));
        assert_eq!(at("http://localhost:8080/v1", &BOTH[..1]), None);
        assert_eq!(at("https://api.openai.com.evil.example/v1", &BOTH[..1]), None);
        assert_eq!(at("http://api.openai.com/v1", &BOTH[..1]), None);
        assert_eq!(at("https://api.openai.com/v1/", BOTH).as_deref(), Some("sk-a"));
    }

    #[test]
    fn a_base_url_of_the_environment_gets_the_key_beside_it() {
        let config = OpenAiConfig::openai(vars(&[
            ("OPENAI_BASE_URL", "https://gate.example/v1/"),
            ("OPENAI_API_KEY", "sk-a"),
        ]));
        assert_eq!(config.base_url, "https://gate.example/v1");
        assert_eq!(config.key.as_deref(), Some("sk-a"));
    }

    #[test]
    fn debug_shows_no_key() {
        let shown = format!("{:?}", OpenAiConfig::openai(vars(BOTH)));
        assert!(shown.contains("[key]") && !shown.contains("sk-a"), "{shown}");
    }
}
