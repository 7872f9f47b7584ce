//! The configuration: which LM to use where none is named, providers of one's own, prices.
//!
//! `teleprompt.toml` in the working directory, and `teleprompt/config.toml` in the user's
//! configuration folder (`XDG_CONFIG_HOME`, else `~/.config`; `APPDATA` on Windows):
//! ```toml
//! lm = "gate:llama-70b"
//!
//! [provider.gate]
//! url = "https://gate.example/v1"
//! key_env = "GATE_KEY"            # or: key_command = "pass show gate"
//!
//! [price."gate:llama-70b"]        # dollars for a million tokens
//! input = 0.6
//! output = 0.8
//! ```
//! A file in the working directory may come with a cloned repository, so it may not send what is
//! yours where a stranger wants it: it names no address in `lm`, changes neither a built-in provider
//! nor one of yours, runs no command and sends no header that says who you are. A provider that it
//! brings gets a key (one that you set for it, in `TELEPROMPT_KEY_NAME`), and can be its `lm`, only
//! where your own file trusts it by name and address:
//! ```toml
//! [trust]
//! gate = "https://gate.example"
//! ```

mod guard;
mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use teleprompt_core::{Error, Price, Result};

use super::providers::{self, Origin, Provider};
use read::File;

/// What the files say.
#[derive(Clone, Default)]
pub struct Config {
    lm: Option<(String, PathBuf)>,
    /// Why the working directory's LM must not be used. It matters only where none is named.
    refused: Option<Error>,
    providers: BTreeMap<String, Arc<Provider>>,
    prices: BTreeMap<String, Price>,
}

impl Config {
    /// The files that are in force here; one that is not there says nothing.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Config`]: a file cannot be read or says something that it may not.
    pub fn load() -> Result<Self> {
        Self::read(Path::new("teleprompt.toml"), user_file().as_deref())
    }

    /// The same from these two files: that of the working directory, and the user's own.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn read(here: &Path, user: Option<&Path>) -> Result<Self> {
        let mut config = Self::default();
        let mut trust = BTreeMap::new();
        if let Some(path) = user {
            let mut file = File::read(path)?;
            trust = std::mem::take(&mut file.trust);
            config.add(file, path);
        }
        let mut file = File::read(here)?;
        let user = guard::User { providers: &config.providers, trust: &trust };
        guard::check(&mut file, here, &user)?;
        let refused = guard::check_lm(&file, here, &user).err();
        config.add(file, here);
        config.refused = refused;
        Ok(config)
    }

    /// The LM to use where none is named, with the file that names it. The working directory's comes
    /// before the user's.
    ///
    /// # Errors
    /// [`Error::Config`]: the working directory's LM would send data where the user does not want it.
    pub fn lm(&self) -> Result<Option<(&str, &Path)>> {
        match &self.refused {
            Some(refused) => Err(refused.clone()),
            None => Ok(self.lm.as_ref().map(|(lm, path)| (lm.as_str(), path.as_path()))),
        }
    }

    /// What LMs cost, by their names. A file in the working directory prices only its own providers'.
    pub fn prices(&self) -> &BTreeMap<String, Price> {
        &self.prices
    }

    pub(crate) fn providers(&self) -> &BTreeMap<String, Arc<Provider>> {
        &self.providers
    }

    fn add(&mut self, file: File, path: &Path) {
        if let Some(lm) = file.lm {
            self.lm = Some((lm, path.to_owned()));
        }
        for (scheme, spec) in file.providers {
            let spec = match providers::built_in().get(&scheme) {
                Some(known) => spec.or(&known.spec),
                None => spec,
            };
            let provider = Provider::new(&scheme, spec, Origin::File(path.to_owned()));
            self.providers.insert(scheme, Arc::new(provider));
        }
        for (lm, price) in file.prices {
            self.prices.entry(lm).or_insert(price);
        }
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("lm", &self.lm)
            .field("providers", &self.providers.keys())
            .field("prices", &self.prices)
            .finish()
    }
}

fn user_file() -> Option<PathBuf> {
    let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let home = || var("HOME").or_else(|| var("USERPROFILE"));
    let base = var("XDG_CONFIG_HOME")
        .or_else(|| if cfg!(windows) { var("APPDATA") } else { None })
        .or_else(|| home().map(|h| h.join(".config")))?;
    Some(base.join("teleprompt").join("config.toml"))
}

/// An error that says where in which file.
fn wrong(path: &Path, place: &str, message: &str) -> Error {
    Error::Config(format!("{}: {place}: {message}", path.display()))
}
