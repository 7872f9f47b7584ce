//! What a file in the working directory may not say: it may come with a cloned repository.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use teleprompt_core::{Error, Result};

use super::read::File;
use super::wrong;
use crate::lm::endpoint::is_secret_header;
use crate::lm::providers::{self, Provider, Spec, variable_part};

/// The form in which names are compared: `-` and `_` are the same, as they are in variables.
pub(super) fn normal(name: &str) -> String {
    name.replace('-', "_")
}

/// What the user's own file says.
pub(super) struct User<'a> {
    pub providers: &'a BTreeMap<String, Arc<Provider>>,
    pub trust: &'a BTreeMap<String, String>,
}

impl User<'_> {
    /// Whether the user trusts this provider of a working directory at its address.
    fn trusts(&self, name: &str, spec: &Spec) -> bool {
        let trusted = self.trust.get(&normal(name));
        trusted.is_some() && trusted == origin(spec).as_ref()
    }

    /// Whether a provider of the same name is built in or the user's.
    fn knows(&self, name: &str) -> bool {
        let known = providers::built_in().keys().chain(self.providers.keys());
        known.into_iter().any(|known| normal(known) == normal(name))
    }
}

/// Scheme, host and port of its address.
fn origin(spec: &Spec) -> Option<String> {
    let url = reqwest::Url::parse(spec.url.as_deref()?).ok()?;
    Some(url.origin().ascii_serialization())
}

/// The line that the user adds to trust this provider.
fn trust_line(name: &str, spec: &Spec) -> String {
    format!(
        "add {name} = \"{}\" under [trust] in your own configuration file",
        origin(spec).unwrap_or_default()
    )
}

/// Refuses what only the user's own file may say, and takes the key from providers that the user does
/// not trust.
pub(super) fn check(file: &mut File, path: &Path, user: &User<'_>) -> Result<()> {
    if !file.trust.is_empty() {
        let message = "only your own configuration file says whom you trust";
        return Err(wrong(path, "[trust]", message));
    }
    let mut names = BTreeMap::new();
    for (name, spec) in &file.providers {
        let place = format!("[provider.{name}]");
        if user.knows(name) {
            let message = "a file in the working directory may not change a provider that is built \
                           in or in your own configuration file, or take a name like its; take \
                           another name";
            return Err(wrong(path, &place, message));
        }
        if let Some(other) = names.insert(normal(name), name) {
            let message = format!("its name is too much like `{other}`; take another name");
            return Err(wrong(path, &place, &message));
        }
        if let Some(message) = stranger(name, spec) {
            return Err(wrong(path, &place, &message));
        }
    }
    check_prices(file, path)?;
    for (name, spec) in &mut file.providers {
        if !user.trusts(name, spec) {
            let line = trust_line(name, spec);
            spec.withhold_key(|variable| format!("{line}, and set {variable}"));
        }
    }
    Ok(())
}

/// The LM gets all the data of a run, so it must not be a stranger's.
pub(super) fn check_lm(file: &File, path: &Path, user: &User<'_>) -> Result<()> {
    let Some(lm) = file.lm.as_deref() else { return Ok(()) };
    if lm.contains("://") {
        return Err(Error::Config(format!(
            "{}: `lm = \"{lm}\"` names an address, which a file in the working directory may not; \
             use --lm, TELEPROMPT_LM or your own configuration file",
            path.display()
        )));
    }
    let schemes = lm.split('|').filter_map(|link| Some(link.trim().split_once(':')?.0));
    let stranger = schemes.filter_map(|scheme| file.providers.get_key_value(scheme));
    for (name, spec) in stranger {
        if !user.trusts(name, spec) {
            return Err(Error::Config(format!(
                "{}: `lm = \"{lm}\"` would send your data to {}, which a file in the working \
                 directory may not choose; use --lm or TELEPROMPT_LM, or {}",
                path.display(),
                origin(spec).unwrap_or_default(),
                trust_line(name, spec)
            )));
        }
    }
    Ok(())
}

fn check_prices(file: &File, path: &Path) -> Result<()> {
    // A price of nothing would take the sense out of a budget of money.
    let known = |lm: &str| lm.split_once(':').is_some_and(|(s, _)| file.providers.contains_key(s));
    if let Some(lm) = file.prices.keys().find(|lm| !known(lm)) {
        let message = "a file in the working directory may only price the models of its own \
                       providers; move this price to your own configuration file";
        return Err(wrong(path, &format!("[price.\"{lm}\"]"), message));
    }
    Ok(())
}

/// What a new provider may not have, in words.
fn stranger(name: &str, spec: &Spec) -> Option<String> {
    const FILE: &str = "a file in the working directory";
    let variable = format!("TELEPROMPT_KEY_{}", variable_part(name));
    if spec.key_command.is_some() {
        return Some(format!(
            "key_command: {FILE} may not run a command; use key_env = \"{variable}\", or move this \
             provider to your own configuration file"
        ));
    }
    if spec.key_env.as_ref().is_some_and(|key| *key != variable) {
        return Some(format!(
            "key_env: {FILE} may only read {variable}, so that no other key is sent to its address; \
             write key_env = \"{variable}\", or move this provider to your own configuration file"
        ));
    }
    let header = spec.headers.keys().find(|header| is_secret_header(header))?;
    Some(format!(
        "headers: {FILE} may not set `{header}`; use key_env = \"{variable}\", or move this provider \
         to your own configuration file"
    ))
}
