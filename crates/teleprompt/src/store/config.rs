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
        let set = |name| std::env::var(name).ok().filter(|v: &String| !v.trim().is_empty());
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
