//! One configuration file, read and checked for form.

use std::collections::BTreeMap;
use std::path::Path;

use reqwest::Url;
use serde::Deserialize;
use teleprompt_core::{Error, Money, Price, Result, names};
use toml::{Table, Value};

use super::guard::normal;
use super::wrong;
use crate::lm::endpoint::Endpoint;
use crate::lm::providers::{self, KEYS, Spec};

/// What one file says.
#[derive(Default)]
pub(super) struct File {
    pub lm: Option<String>,
    pub providers: BTreeMap<String, Spec>,
    /// Origins of providers that a working directory may bring, by normalised name.
    pub trust: BTreeMap<String, String>,
    pub prices: BTreeMap<String, Price>,
}

const DIALECT_KEYS: [&str; 9] = [
    "schema",
    "new_limit_name",
    "random_seed",
    "stream_options",
    "sampling",
    "prompt_cache",
    "reasoning_back",
    "n",
    "logprobs",
];

impl File {
    /// What the file says; nothing if it is not there.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(Error::io(path, &e)),
        };
        let table: Table = toml::from_str(&text).map_err(|e| {
            // Without the line itself, in which a secret header may stand.
            let before = e.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = format!("line {}", before.matches('\n').count() + 1);
            wrong(path, &line, e.message())
        })?;
        known(path, "the file", &table, &["lm", "provider", "price", "trust"])?;
        let lm = match table.get("lm") {
            None => None,
            Some(Value::String(lm)) => Some(lm.clone()),
            Some(_) => return Err(wrong(path, "lm", "write a text, such as \"openai:MODEL\"")),
        };
        let mut file = Self { lm, ..Self::default() };
        for (name, value) in entries(path, &table, "provider")? {
            file.providers.insert(name.clone(), provider(path, name, value)?);
        }
        if let Some(value) = table.get("trust") {
            file.trust = trust(path, value)?;
        }
        for (lm, value) in entries(path, &table, "price")? {
            file.prices.insert(lm.clone(), price(path, lm, value)?);
        }
        Ok(file)
    }
}

/// Names with the origins that they are trusted at.
fn trust(path: &Path, value: &Value) -> Result<BTreeMap<String, String>> {
    let form = || wrong(path, "[trust]", "write NAME = \"https://HOST\" for each provider");
    let mut origins = BTreeMap::new();
    for (name, value) in value.as_table().ok_or_else(form)? {
        let text = value.as_str().ok_or_else(form)?;
        let url = Url::parse(text).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && matches!(url.path(), "" | "/")
                && url.username().is_empty()
                && url.query().is_none()
                && url.fragment().is_none()
        });
        let url = url.ok_or_else(|| {
            let message =
                format!("{name}: `{text}` is no origin; write https://HOST or https://HOST:PORT");
            wrong(path, "[trust]", &message)
        })?;
        origins.insert(normal(name), url.origin().ascii_serialization());
    }
    Ok(origins)
}

/// The tables inside this table.
fn entries<'t>(path: &Path, table: &'t Table, name: &str) -> Result<Vec<(&'t String, &'t Table)>> {
    let form = || wrong(path, name, &format!("write a table, [{name}.NAME]"));
    let Some(value) = table.get(name) else { return Ok(Vec::new()) };
    let entries = value.as_table().ok_or_else(form)?.iter();
    entries.map(|(name, value)| Ok((name, value.as_table().ok_or_else(form)?))).collect()
}

/// Refuses keys that mean nothing.
fn known(path: &Path, place: &str, table: &Table, keys: &[&str]) -> Result<()> {
    match table.keys().find(|key| !keys.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => {
            let hint = names::suggestion(key, keys.iter().copied());
            Err(wrong(path, place, &format!("there is no key `{key}`{hint}")))
        }
    }
}

fn provider(path: &Path, name: &str, table: &Table) -> Result<Spec> {
    let place = format!("[provider.{name}]");
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    if name.is_empty() || !name.chars().all(fits) {
        let message = "a provider's name has lower-case letters, digits, - and _ only";
        return Err(wrong(path, &place, message));
    }
    if name == "local" {
        return Err(wrong(path, &place, "`local` is the embedded engine; take another name"));
    }
    known(path, &place, table, &KEYS)?;
    if let Some(dialect) = table.get("dialect").and_then(Value::as_table) {
        known(path, &format!("{place}: dialect"), dialect, &DIALECT_KEYS)?;
    }
    let spec = Spec::deserialize(table.clone())
        .map_err(|e| wrong(path, &place, e.to_string().trim_end()))?;
    if spec.key_env.is_some() && spec.key_command.is_some() {
        return Err(wrong(path, &place, "give key_env or key_command, not both"));
    }
    if spec.url.is_none() && !providers::built_in().contains_key(name) {
        return Err(wrong(path, &place, "it needs a url, such as \"https://HOST/v1\""));
    }
    if let Some(url) = &spec.url {
        // What can be wrong with protocol and address is told now, not at the first call.
        Endpoint::new(spec.wire(), url).map_err(|e| wrong(path, &place, &e.to_string()))?;
    }
    Ok(spec)
}

fn price(path: &Path, lm: &str, table: &Table) -> Result<Price> {
    const NAMES: [&str; 4] = ["input", "output", "cached_input", "cache_write"];
    let place = format!("[price.\"{lm}\"]");
    known(path, &place, table, &NAMES)?;
    let dollars = |name: &str| {
        let Some(value) = table.get(name) else { return Ok(None) };
        let number = value.as_float().or_else(|| value.as_integer().map(|n| n as f64));
        match number.filter(|n| n.is_finite() && *n >= 0.0) {
            Some(number) => Ok(Some(Money::dollars(number / 1e6))),
            None => Err(wrong(path, &place, &format!("{name}: give dollars for a million tokens"))),
        }
    };
    let needed = |name: &str| {
        dollars(name)?.ok_or_else(|| {
            wrong(path, &place, &format!("{name} is missing: dollars for a million tokens"))
        })
    };
    let input = needed("input")?;
    Ok(Price {
        input,
        output: needed("output")?,
        cached_input: dollars("cached_input")?.unwrap_or(input),
        cache_write: dollars("cache_write")?.unwrap_or(input),
    })
}
