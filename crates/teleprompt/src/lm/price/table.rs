//! The table of prices.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;
use teleprompt_core::{Error, Money, Price, Result, Usage};

/// The table in this build.
const BUILTIN: &str = include_str!("../../../assets/prices.json");

/// Schemes of servers that run where we do, unless their address says otherwise.
const OWN_SERVERS: &[&str] =
    &["local", "ollama", "vllm", "sglang", "llama-server", "llamacpp", "lmstudio", "lm-studio"];

/// Schemes of one provider's other protocols, with the scheme that has the prices.
const SAME_PRICES: &[(&str, &str)] = &[("openai-responses", "openai")];

/// What a model charges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tariff {
    /// The usual price.
    pub price: Price,
    /// The price of calls with a long prompt, where it is another.
    pub long: Option<LongPrice>,
}

/// What calls with a long prompt cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LongPrice {
    /// Prompts with more tokens than this are long.
    pub above: u64,
    /// The price of all tokens of such a call.
    pub price: Price,
}

impl Tariff {
    /// What a call with this usage costs.
    pub fn of(&self, usage: &Usage) -> Money {
        let long = self.long.filter(|long| usage.prompt_tokens > long.above);
        long.map_or(self.price, |long| long.price).of(usage)
    }

    /// The most that a token can cost.
    pub fn dearest(&self) -> Price {
        self.long.map_or(self.price, |long| self.price.max(long.price))
    }
}

impl From<Price> for Tariff {
    fn from(price: Price) -> Self {
        Self { price, long: None }
    }
}

/// Dollars for a million input and output tokens.
impl fmt::Display for Tariff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Price::FREE.into() {
            return f.write_str("free");
        }
        let million = |token: Money| token.times(1_000_000);
        write!(f, "{} in, {} out /M tok", million(self.price.input), million(self.price.output))
    }
}

/// Prices by LM name.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use teleprompt::Price;
/// use teleprompt::lm::PriceTable;
///
/// let own = BTreeMap::from([("openai:my-finetune".to_owned(), Price::per_million(3.0, 12.0))]);
/// let table = PriceTable::builtin().clone().with(own);
/// assert_eq!(table.find("openai:my-finetune", "").unwrap().price, Price::per_million(3.0, 12.0));
/// let dated = table.find("openai:gpt-5-mini-2025-08-07", "");
/// assert_eq!(dated, table.find("openai:gpt-5-mini", ""));
/// assert!(table.find("openai:no-such-model", "").is_none());
/// ```
#[derive(Clone, Debug, Default)]
pub struct PriceTable {
    date: String,
    source: String,
    models: BTreeMap<String, Tariff>,
    own: BTreeMap<String, Price>,
}

impl PriceTable {
    /// The table that comes with this version: list prices in US dollars, as of [`PriceTable::date`].
    pub fn builtin() -> &'static Self {
        // A test keeps the file readable.
        static TABLE: LazyLock<PriceTable> =
            LazyLock::new(|| PriceTable::parse(BUILTIN).unwrap_or_default());
        &TABLE
    }

    /// A table without a model.
    pub fn empty() -> Self {
        Self::default()
    }

    /// With these prices in place of the table's. Each holds for the LM of just this name, on any
    /// machine; a name without a server's address also for that model at any address.
    #[must_use]
    pub fn with(mut self, prices: BTreeMap<String, Price>) -> Self {
        self.own.extend(prices);
        self
    }

    /// The day on which the prices were taken, `YYYY-MM-DD`.
    pub fn date(&self) -> &str {
        &self.date
    }

    /// Where they were taken from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// How many models have a price.
    pub fn len(&self) -> usize {
        self.models.len() + self.own.keys().filter(|name| !self.models.contains_key(*name)).count()
    }

    /// Whether no model has a price.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the LM of this [name](teleprompt_core::Lm::name) and
    /// [identity](teleprompt_core::Lm::identity) charges.
    ///
    /// In this order: a price of [`PriceTable::with`]; nothing for what runs on this machine (`local:`,
    /// and `ollama:`, `vllm:` and their like at `localhost`); the table's price, also for a dated version (`-2025-08-07`,
    /// `-20250929`, `-0613`, `-latest`) of a model that it has. A server whose address is part of the
    /// name is not the provider, so the provider's prices do not hold for it. `openai-responses:` has the
    /// prices of `openai:`, unless it is priced itself.
    pub fn find(&self, name: &str, identity: &str) -> Option<Tariff> {
        let alias = || {
            let (scheme, model) = name.split_once(':')?;
            let (_, same) = SAME_PRICES.iter().find(|(other, _)| *other == scheme)?;
            Some(format!("{same}:{model}"))
        };
        let found = self.find_named(name, identity);
        found.or_else(|| self.find_named(&alias()?, identity))
    }

    fn find_named(&self, name: &str, identity: &str) -> Option<Tariff> {
        let (model, address) = split_address(name);
        if let Some(own) = self.own.get(name).or_else(|| self.own.get(model)) {
            return Some((*own).into());
        }
        let scheme = model.split(':').next().unwrap_or_default();
        let place = address.or_else(|| url_in(identity));
        if OWN_SERVERS.contains(&scheme) && place.is_none_or(is_this_machine) {
            return Some(Price::FREE.into());
        }
        // What answers here under a provider's name may be a gateway to something that costs.
        if address.is_some() || place.is_some_and(is_this_machine) {
            return None;
        }
        if let Some(own) = dated(&self.own, model) {
            return Some((*own).into());
        }
        self.models.get(model).or_else(|| dated(&self.models, model)).copied()
    }

    fn parse(text: &str) -> Result<Self> {
        let file: File = serde_json::from_str(text)
            .map_err(|e| Error::Config(format!("the table of prices cannot be read: {e}")))?;
        let models = file.models.into_iter().map(|(name, row)| (name, row.into()));
        Ok(Self {
            date: file.date,
            source: file.source,
            models: models.collect(),
            own: BTreeMap::new(),
        })
    }
}

#[derive(Deserialize)]
struct File {
    date: String,
    source: String,
    models: BTreeMap<String, Row>,
}

/// Dollars for a million tokens.
#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    usual: PricePerMillion,
    long: Option<LongRow>,
}

#[derive(Deserialize)]
struct LongRow {
    above: u64,
    #[serde(flatten)]
    figures: PricePerMillion,
}

/// A price as people write it, in dollars for a million tokens: what a configuration file has.
///
/// ```
/// use teleprompt::Price;
/// use teleprompt::lm::PricePerMillion;
///
/// let figures: PricePerMillion = toml::from_str("input = 3\noutput = 15").unwrap();
/// assert_eq!(Price::from(figures), Price::per_million(3.0, 15.0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct PricePerMillion {
    /// Prompt tokens.
    pub input: f64,
    /// Completion tokens.
    pub output: f64,
    /// Prompt tokens that the provider's cache had. Default: as `input`.
    pub cached_input: Option<f64>,
    /// Prompt tokens that are written to the provider's cache. Default: as `input`.
    pub cache_write: Option<f64>,
}

impl From<PricePerMillion> for Price {
    fn from(f: PricePerMillion) -> Self {
        let token = |million: f64| Money::dollars(million / 1e6);
        let usual = Price::per_million(f.input, f.output);
        Price {
            cached_input: f.cached_input.map_or(usual.cached_input, token),
            cache_write: f.cache_write.map_or(usual.cache_write, token),
            ..usual
        }
    }
}

impl From<Row> for Tariff {
    fn from(row: Row) -> Self {
        let long = row.long.map(|l| LongPrice { above: l.above, price: l.figures.into() });
        Self { price: row.usual.into(), long }
    }
}

/// The longest name of the table of which this is a dated version.
fn dated<'t, T>(table: &'t BTreeMap<String, T>, name: &str) -> Option<&'t T> {
    let ends = name.char_indices().rev().filter(|(_, c)| matches!(c, '-' | '@'));
    let prefixes = ends.filter_map(|(at, _)| name.split_at_checked(at));
    let mut found = prefixes.filter(|(_, version)| is_version(version));
    found.find_map(|(model, _)| table.get(model))
}

/// `-2025-08-07`, `-20250807`, `-0807` or `-latest`.
fn is_version(text: &str) -> bool {
    let text = text.get(1..).unwrap_or_default();
    let digits = |n: usize| text.len() == n && text.bytes().all(|b| b.is_ascii_digit());
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    let spelled = lengths == [4, 2, 2] && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    text == "latest" || digits(8) || digits(4) || spelled
}

/// A name and the address in it: `openai:m@http://host/v1` gives `openai:m`, `http://host/v1`.
pub(crate) fn split_address(name: &str) -> (&str, Option<&str>) {
    let at = ["@http://", "@https://"].iter().filter_map(|mark| name.find(mark)).min();
    match at.and_then(|at| name.split_at_checked(at)) {
        Some((model, address)) => (model, address.get(1..)),
        None => (name, None),
    }
}

fn url_in(identity: &str) -> Option<&str> {
    let at = ["http://", "https://"].iter().filter_map(|mark| identity.find(mark)).min()?;
    identity.get(at..)?.split_whitespace().next()
}

fn is_this_machine(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let address = host.parse::<std::net::IpAddr>();
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || address.is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified())
}

#[cfg(test)]
mod tests;
