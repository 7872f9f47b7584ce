//! What the model store needs to know about the machine.

use std::fmt;
use std::time::Duration;

/// How the store reaches its sources. [`StoreConfig::from_env`] is what [`ModelStore::open`] uses.
///
/// Proxies (`HTTPS_PROXY`, `NO_PROXY`…) and the operating system's certificates are always
/// honoured and are no part of this.
///
/// [`ModelStore::open`]: super::ModelStore::open
#[derive(Clone)]
pub struct StoreConfig {
    /// Base address of the Hugging Face hub or of a mirror. Default: `https://huggingface.co`.
    pub hf_endpoint: String,
    /// Access token; sent to the host of `hf_endpoint` and to no other. Default: none.
    pub hf_token: Option<String>,
    /// Commands that may run pip, each a program and its first arguments; the first that works is
    /// used. Default: `python3 -m pip`, `pip3`, `pip`, `python -m pip`.
    pub pip: Vec<Vec<String>>,
    /// How long to wait for a connection. Default: 5 seconds, so that a machine that does not
    /// reach the hub comes to the next source soon.
    pub connect_timeout: Duration,
    /// How long a download may bring no byte. Default: 30 seconds.
    pub stall_timeout: Duration,
}

impl Default for StoreConfig {
    fn default() -> Self {
        let command = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
        Self {
            hf_endpoint: "https://huggingface.co".into(),
            hf_token: None,
            pip: vec![
                command(&["python3", "-m", "pip"]),
                command(&["pip3"]),
                command(&["pip"]),
                command(&["python", "-m", "pip"]),
            ],
            connect_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(30),
        }
    }
}

impl StoreConfig {
    /// The defaults with `HF_ENDPOINT` and `HF_TOKEN` of the environment, where they are set.
    pub fn from_env() -> Self {
        Self::from_vars(|name| std::env::var(name).ok())
    }

    fn from_vars(var: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name| var(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        let default = Self::default();
        Self {
            hf_endpoint: set("HF_ENDPOINT").unwrap_or(default.hf_endpoint),
            hf_token: set("HF_TOKEN"),
            ..Self::default()
        }
    }
}

/// Shows whether there is a token, never the token.
impl fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreConfig")
            .field("hf_endpoint", &self.hf_endpoint)
            .field("hf_token", &self.hf_token.as_ref().map(|_| "…"))
            .field("pip", &self.pip)
            .field("connect_timeout", &self.connect_timeout)
            .field("stall_timeout", &self.stall_timeout)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> StoreConfig {
        let var = |n: &str| vars.iter().find(|(k, _)| *k == n).map(|(_, v)| (*v).to_owned());
        StoreConfig::from_vars(var)
    }

    #[test]
    fn the_environment_is_honoured() {
        let config = read(&[("HF_ENDPOINT", "https://mirror.example/hf"), ("HF_TOKEN", "hf_x\n")]);
        assert_eq!(config.hf_endpoint, "https://mirror.example/hf");
        assert_eq!(config.hf_token.as_deref(), Some("hf_x"));
    }

    #[test]
    fn empty_variables_count_as_unset() {
        let config = read(&[("HF_ENDPOINT", ""), ("HF_TOKEN", " ")]);
        assert_eq!(config.hf_endpoint, "https://huggingface.co");
        assert_eq!(config.hf_token, None);
    }

    #[test]
    fn the_token_is_never_shown() {
        let shown = format!("{:?}", read(&[("HF_TOKEN", "hf_x")]));
        assert!(!shown.contains("hf_x") && shown.contains("hf_token: Some"), "{shown}");
    }
}
