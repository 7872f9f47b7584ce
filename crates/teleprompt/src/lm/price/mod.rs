//! What calls cost.

mod table;

use std::fmt;

use teleprompt_core::{Lm, LmError, LmRequest, LmResponse, LmStream, Money, Price, Usage};

use super::forward::{End, forward, watch_stream};

pub(crate) use table::split_address;
pub use table::{LongPrice, PricePerMillion, PriceTable, Tariff};

/// Writes the cost of each call into its usage: [`Usage::priced_calls`] 1 and [`Usage::cost`]. Where
/// the price is not known, or the reply does not tell its tokens, both stay 0, which
/// [`Usage::cost_text`] shows as unknown.
///
/// A cost that the reply has already stays, and an answer from a cache of ours costs nothing.
/// [`Lm::price`] is the dearest price that a call can have, so that a budget of money holds.
///
/// ```
/// use teleprompt::lm::Priced;
/// use teleprompt::{Lm, LmRequest, Message};
/// use teleprompt_testkit::ScriptedLm;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let ask = async |name: &str| {
///     let lm = Priced::new(ScriptedLm::new(|_| "three words here").with_name(name));
///     let reply = lm.generate(&LmRequest::new(vec![Message::user("two words")])).await;
///     reply.unwrap().usage.cost_text()
/// };
/// assert_eq!(ask("openai:gpt-4o-mini").await, "$0.0000021"); // 2 × $0.15 and 3 × $0.60 a million
/// assert_eq!(ask("openai:my-finetune").await, "unknown");
/// assert_eq!(ask("local:my-model.gguf").await, "$0.00");
/// # }
/// ```
pub struct Priced<L> {
    inner: L,
    tariff: Option<Tariff>,
}

impl<L: Lm> Priced<L> {
    /// Wraps an LM, with its price in [`PriceTable::builtin`], if it has one.
    pub fn new(inner: L) -> Self {
        Self::with_table(inner, PriceTable::builtin())
    }

    /// Wraps an LM, with its price in this table, if it has one.
    pub fn with_table(inner: L, table: &PriceTable) -> Self {
        let tariff = table.find(inner.name(), &inner.identity());
        Self { inner, tariff }
    }

    /// Wraps an LM that has this price.
    pub fn at(inner: L, price: Price) -> Self {
        Self { inner, tariff: Some(price.into()) }
    }

    fn settle(&self, usage: &mut Usage) {
        if usage.priced_calls > 0 || usage.cache_hits > 0 {
            return;
        }
        let Some(cost) = self.tariff.and_then(|tariff| cost(&tariff, usage)) else { return };
        usage.priced_calls = usage.calls;
        usage.cost = cost;
    }
}

/// What this usage costs, if it tells enough.
fn cost(tariff: &Tariff, usage: &Usage) -> Option<Money> {
    let told = usage.prompt_tokens + usage.completion_tokens > 0;
    (told || tariff.dearest() == Price::FREE).then(|| tariff.of(usage))
}

impl<L: Lm> Lm for Priced<L> {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let mut response = self.inner.generate(request).await?;
        self.settle(&mut response.usage);
        Ok(response)
    }

    fn stream<'a>(&'a self, request: &'a LmRequest) -> LmStream<'a> {
        watch_stream(self.inner.stream(request), |end| {
            if let End::Done(response) = end {
                self.settle(&mut response.usage);
            }
        })
    }

    forward!(inner: name, identity, capabilities, count_tokens);

    fn price(&self) -> Option<Price> {
        self.tariff.map(|tariff| tariff.dearest()).or_else(|| self.inner.price())
    }

    fn describe(&self) -> String {
        let price = match &self.tariff {
            None => "unknown".to_owned(),
            Some(tariff) => tariff.to_string(),
        };
        format!("price({price}) → {}", self.inner.describe())
    }
}

impl<L: Lm> fmt::Debug for Priced<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Priced({})", self.describe())
    }
}
