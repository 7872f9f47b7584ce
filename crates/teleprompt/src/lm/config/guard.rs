//! What a file in the working directory may not say: it may come with a cloned repository.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use teleprompt_core::{Error, Result};

use super::read::File;
use super::wrong;
use crate::lm::endpoint::is_secret_header;
use crate::lm::providers::{self, Provider, Spec, variable_part};

/// Refuses what only the user's own file may say.
pub(super) fn check(
    file: &File,
    path: &Path,
    of_user: &BTreeMap<String, Arc<Provider>>,
) -> Result<()> {
    if let Some(lm) = file.lm.as_deref().filter(|lm| lm.contains("://")) {
        return Err(Error::Config(format!(
            "{}: `lm = \"{lm}\"` names an address, which a file in the working directory may not; \
             use --lm, TELEPROMPT_LM or your own configuration file",
            path.display()
        )));
    }
    for (name, spec) in &file.providers {
        let place = format!("[provider.{name}]");
        if providers::built_in().contains_key(name) || of_user.contains_key(name) {
            let message = "a file in the working directory may not change a provider that is built \
                           in or in your own configuration file; take another name";
            return Err(wrong(path, &place, message));
        }
        if let Some(message) = stranger(name, spec) {
            return Err(wrong(path, &place, &message));
        }
    }
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
