//! The configuration: which LM to use where none is named.
//!
//! `teleprompt.toml` in the working directory, before `teleprompt/config.toml` in the user's
//! configuration folder:
//! ```toml
//! lm = "local:smollm2-135m"
//! ```
//! A file in the working directory may come with a cloned repository, so it may name a model but no
//! address: a call, and the key with it, must not go where a stranger wants it.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use teleprompt_core::{Error, Result};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    lm: Option<String>,
}

/// The configured LM, with the file that names it.
pub(super) fn lm() -> Result<Option<(String, PathBuf)>> {
    let here = PathBuf::from("teleprompt.toml");
    if let Some(lm) = read(&here)?.lm {
        if lm.contains("://") {
            return Err(Error::Config(format!(
                "{}: `lm = \"{lm}\"` names an address, which a file in the working directory may \
                 not; use --lm, TELEPROMPT_LM or your own configuration file",
                here.display()
            )));
        }
        return Ok(Some((lm, here)));
    }
    let Some(user) = user_file() else { return Ok(None) };
    Ok(read(&user)?.lm.map(|lm| (lm, user)))
}

fn read(path: &Path) -> Result<File> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(File::default()),
        Err(e) => return Err(Error::io(path, &e)),
    };
    toml::from_str(&text).map_err(|e| Error::Config(format!("{}: {e}", path.display())))
}

fn user_file() -> Option<PathBuf> {
    let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let home = || var("HOME").or_else(|| var("USERPROFILE"));
    let base = var("XDG_CONFIG_HOME")
        .or_else(|| if cfg!(windows) { var("APPDATA") } else { None })
        .or_else(|| home().map(|h| h.join(".config")))?;
    Some(base.join("teleprompt").join("config.toml"))
}
