//! The table of providers: which scheme means which server. Built-in ones are data
//! (`assets/providers.toml`); users add their own in configuration files.

mod spec;
#[cfg(test)]
mod tests;

pub(crate) use spec::{KEYS, Spec};

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use teleprompt_core::{Error, Result};

use super::endpoint::{DialectOptions, Endpoint};
use super::key::{KeySource, env};

const TABLE: &str = include_str!("../../assets/providers.toml");

/// The variable of the key for addresses that belong to no provider.
pub(crate) const OTHER_KEY: &str = "TELEPROMPT_API_KEY";

/// Where a provider was defined.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// In the table that comes with the library.
    BuiltIn,
    /// In this configuration file.
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::BuiltIn => f.write_str("built in"),
            Origin::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A provider as `teleprompt lm list` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProviderInfo {
    /// What stands before the colon of its LMs' names.
    pub scheme: String,
    /// Its name for people.
    pub name: String,
    /// The protocol.
    pub wire: String,
    /// Its address, where it is known; the environment's before the table's.
    pub url: Option<String>,
    /// Where its key comes from.
    pub key: KeySource,
    /// Whether the key's variable is set; `None` where the key is in no variable.
    pub key_is_set: Option<bool>,
    /// Where it was defined.
    pub origin: Origin,
}

/// One provider.
pub(crate) struct Provider {
    pub scheme: String,
    pub spec: Spec,
    pub origin: Origin,
    /// Shared by all its LMs, so that a key command runs once.
    key: KeySource,
}

/// Reads a variable: the environment's, or a test's.
pub(crate) type Vars<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Provider {
    pub(crate) fn new(scheme: &str, spec: Spec, origin: Origin) -> Self {
        let key = spec.key_source();
        Self { scheme: scheme.to_owned(), spec, origin, key }
    }

    pub(crate) fn info(&self) -> ProviderInfo {
        ProviderInfo {
            scheme: self.scheme.clone(),
            name: self.spec.name.clone().unwrap_or_else(|| self.scheme.clone()),
            wire: self.spec.wire().to_owned(),
            url: self.url(&env),
            key: self.key.clone(),
            key_is_set: self.key.is_set(),
            origin: self.origin.clone(),
        }
    }

    /// The address: from the environment, where there is a variable for it, else the table's.
    fn url(&self, var: Vars<'_>) -> Option<String> {
        let told = self.spec.url_env.as_deref().and_then(var);
        told.map(|url| self.spec.with_path(&url)).or_else(|| self.spec.url.clone())
    }

    /// What stands behind the scheme, as endpoints: one, or one for each address.
    ///
    /// # Errors
    /// No model is named, there is no address, or something in the table makes no sense.
    pub(crate) fn resolve<'m>(&self, model: &'m str, var: Vars<'_>) -> Result<Resolved<'m>> {
        let (model, addresses) = split_addresses(model);
        if model.trim().is_empty() {
            let scheme = &self.scheme;
            return Err(Error::Config(format!(
                "`{scheme}:` names no model; write {scheme}:MODEL or {scheme}:MODEL@URL"
            )));
        }
        let endpoints = if addresses.is_empty() {
            vec![self.endpoint(None, var)?]
        } else {
            let at = addresses.iter().map(|address| self.endpoint(Some(address), var));
            at.collect::<Result<Vec<_>>>()?
        };
        Ok(Resolved { model, endpoints, addressed: !addresses.is_empty() })
    }

    /// The provider's own endpoint, or the one at an address that the user named. Another address
    /// gets neither the provider's key nor its headers, query and fields: they are meant for the
    /// provider alone.
    fn endpoint(&self, address: Option<&str>, var: Vars<'_>) -> Result<Endpoint> {
        let own = self.url(var);
        let bare = |url: &str| url.trim_end_matches('/').to_owned();
        let is_own = |address: &str| {
            [&own, &self.spec.url].into_iter().flatten().any(|url| bare(url) == bare(address))
        };
        let url = address.map(str::to_owned).or_else(|| own.clone()).ok_or_else(|| {
            let (scheme, variable) = (&self.scheme, self.spec.url_env.as_deref());
            let variable = variable.map_or_else(String::new, |name| format!("set {name} or "));
            Error::Config(format!(
                "`{scheme}:` has no address of its own; {variable}write {scheme}:MODEL@URL"
            ))
        })?;
        let endpoint = Endpoint::new(self.spec.wire(), &url).map_err(|e| self.placed(&e))?;
        let endpoint = self.spec.apply(endpoint, var).map_err(|e| self.placed(&e))?;
        if address.is_none_or(is_own) {
            let endpoint = endpoint.with_provider(self.scheme.as_str()).with_key(self.key.clone());
            let endpoint = endpoint.with_dialect(self.spec.dialect);
            return self.spec.add_own(endpoint).map_err(|e| self.placed(&e));
        }
        let dialect = if self.spec.local { self.spec.dialect } else { DialectOptions::default() };
        Ok(endpoint.with_key(KeySource::env(OTHER_KEY)).with_dialect(dialect))
    }

    fn placed(&self, error: &Error) -> Error {
        match &self.origin {
            Origin::BuiltIn => Error::Config(format!("`{}:`: {error}", self.scheme)),
            Origin::File(path) => {
                Error::Config(format!("{}: [provider.{}]: {error}", path.display(), self.scheme))
            }
        }
    }
}

/// A name, resolved.
#[derive(Debug)]
pub(crate) struct Resolved<'m> {
    pub model: &'m str,
    /// At least one.
    pub endpoints: Vec<Endpoint>,
    /// The name has addresses.
    pub addressed: bool,
}

/// `MODEL`, `MODEL@URL` or `MODEL@URL1,URL2`; a model's own name may hold an `@`.
pub(crate) fn split_addresses(model: &str) -> (&str, Vec<&str>) {
    let at = ["@http://", "@https://"].iter().filter_map(|mark| model.find(mark)).min();
    match at.and_then(|at| model.split_at_checked(at)) {
        Some((model, urls)) => {
            let urls = urls.trim_start_matches('@').split(',').map(str::trim);
            (model, urls.filter(|url| !url.is_empty()).collect())
        }
        None => (model, Vec::new()),
    }
}

/// A scheme as a part of a variable's name: `llama-server` as `LLAMA_SERVER`.
pub(crate) fn variable_part(scheme: &str) -> String {
    scheme.to_ascii_uppercase().replace('-', "_")
}

static BUILT_IN: LazyLock<BTreeMap<String, Arc<Provider>>> = LazyLock::new(|| {
    // A test reads the table, so that a mistake in it does not get out.
    let table: BTreeMap<String, Spec> = toml::from_str(TABLE).unwrap_or_default();
    let provider = |(scheme, mut spec): (String, Spec)| {
        spec.url_env.get_or_insert_with(|| format!("{}_BASE_URL", variable_part(&scheme)));
        let provider = Provider::new(&scheme, spec, Origin::BuiltIn);
        (scheme, Arc::new(provider))
    };
    table.into_iter().map(provider).collect()
});

/// The providers that come with the library, by scheme.
pub(crate) fn built_in() -> &'static BTreeMap<String, Arc<Provider>> {
    &BUILT_IN
}
