//! What calls use: tokens and money.

use std::fmt;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

/// An amount of money in US dollars, exact to a millionth of a millionth.
///
/// ```
/// use teleprompt_core::Money;
/// let price = Money::dollars(0.25);
/// assert_eq!((price + price).to_string(), "$0.50");
/// assert_eq!(Money::dollars(0.000_15).to_string(), "$0.00015");
/// ```
///
/// As JSON it is a number of dollars.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(from = "f64", into = "f64")]
pub struct Money(u64);

impl From<f64> for Money {
    fn from(dollars: f64) -> Self {
        Self::dollars(dollars)
    }
}

impl From<Money> for f64 {
    fn from(money: Money) -> Self {
        money.as_dollars()
    }
}

const PICO: f64 = 1e12;

impl Money {
    /// Nothing.
    pub const ZERO: Money = Money(0);

    /// This many dollars; less than nothing, and what is no number, counts as nothing.
    pub fn dollars(amount: f64) -> Self {
        // Floats that do not fit saturate.
        Self((amount * PICO).round() as u64)
    }

    /// This many millionths of a millionth of a dollar.
    pub const fn picodollars(amount: u64) -> Self {
        Self(amount)
    }

    /// In millionths of a millionth of a dollar.
    pub const fn as_picodollars(self) -> u64 {
        self.0
    }

    /// In dollars.
    pub fn as_dollars(self) -> f64 {
        self.0 as f64 / PICO
    }

    /// The difference, at least nothing.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// So many times.
    #[must_use]
    pub fn times(self, n: u64) -> Self {
        Self(self.0.saturating_mul(n))
    }
}

impl Add for Money {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Money {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// Two decimals from a cent on, else two significant digits.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dollars = self.as_dollars();
        if self.0 == 0 || dollars >= 0.01 {
            return write!(f, "${dollars:.2}");
        }
        let places = (1.0 - dollars.log10().floor()).clamp(2.0, 12.0) as usize;
        write!(f, "${}", format!("{dollars:.places$}").trim_end_matches('0'))
    }
}

/// What an LM charges for a token, in dollars a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// A prompt token.
    pub input: Money,
    /// A completion token, reasoning included.
    pub output: Money,
    /// A prompt token that the provider's cache had.
    pub cached_input: Money,
    /// A prompt token that is written to the provider's cache.
    pub cache_write: Money,
}

impl Price {
    /// Nothing: what runs on one's own machine.
    pub const FREE: Price = Price {
        input: Money::ZERO,
        output: Money::ZERO,
        cached_input: Money::ZERO,
        cache_write: Money::ZERO,
    };

    /// Dollars for a million tokens, as price lists have them; cached tokens cost as much as others.
    pub fn per_million(input: f64, output: f64) -> Self {
        let token = |dollars: f64| Money::dollars(dollars / 1e6);
        let input = token(input);
        Self { input, output: token(output), cached_input: input, cache_write: input }
    }

    /// What this usage costs.
    pub fn of(&self, usage: &Usage) -> Money {
        let special = usage.cached_prompt_tokens + usage.cache_write_tokens;
        let plain = usage.prompt_tokens.saturating_sub(special);
        self.input.times(plain)
            + self.cached_input.times(usage.cached_prompt_tokens)
            + self.cache_write.times(usage.cache_write_tokens)
            + self.output.times(usage.completion_tokens)
    }

    /// The dearer of both in each respect.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            input: self.input.max(other.input),
            output: self.output.max(other.output),
            cached_input: self.cached_input.max(other.cached_input),
            cache_write: self.cache_write.max(other.cache_write),
        }
    }

    /// The most that a prompt token can cost.
    pub fn dearest_input(&self) -> Money {
        self.input.max(self.cached_input).max(self.cache_write)
    }
}

/// What a call used, in calls, tokens and money. Sums over calls.
///
/// As JSON it also has `unpriced_calls`, and `cost` is null where no price is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Form", into = "Form")]
pub struct Usage {
    /// LM calls, answered from a cache or not.
    pub calls: u64,
    /// Calls answered from a cache of ours, which cost nothing.
    pub cache_hits: u64,
    /// Tokens of the prompts, cached ones included.
    pub prompt_tokens: u64,
    /// Tokens of the completions, reasoning included.
    pub completion_tokens: u64,
    /// Prompt tokens the engine or provider did not have to compute again.
    pub cached_prompt_tokens: u64,
    /// Prompt tokens that the provider wrote to its cache, where it charges for that.
    pub cache_write_tokens: u64,
    /// Completion tokens that went into reasoning.
    pub reasoning_tokens: u64,
    /// Calls whose cost is known.
    pub priced_calls: u64,
    /// What those calls cost.
    pub cost: Money,
    /// Attempts that brought no answer and may have been charged all the same: connections that
    /// broke, time-outs, failures of the server. What they used is not in the other figures.
    pub lost_attempts: u64,
}

/// [`Usage`] as JSON.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Form {
    calls: u64,
    cache_hits: u64,
    prompt_tokens: u64,
    completion_tokens: u64,
    cached_prompt_tokens: u64,
    cache_write_tokens: u64,
    reasoning_tokens: u64,
    priced_calls: u64,
    unpriced_calls: u64,
    cost: Option<Money>,
    #[serde(skip_serializing_if = "is_zero")]
    lost_attempts: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl From<Form> for Usage {
    fn from(form: Form) -> Self {
        Self {
            calls: form.calls,
            cache_hits: form.cache_hits,
            prompt_tokens: form.prompt_tokens,
            completion_tokens: form.completion_tokens,
            cached_prompt_tokens: form.cached_prompt_tokens,
            cache_write_tokens: form.cache_write_tokens,
            reasoning_tokens: form.reasoning_tokens,
            priced_calls: form.priced_calls,
            cost: form.cost.unwrap_or_default(),
            lost_attempts: form.lost_attempts,
        }
    }
}

impl From<Usage> for Form {
    fn from(usage: Usage) -> Self {
        let unpriced_calls = usage.unpriced_calls();
        Self {
            calls: usage.calls,
            cache_hits: usage.cache_hits,
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            cached_prompt_tokens: usage.cached_prompt_tokens,
            cache_write_tokens: usage.cache_write_tokens,
            reasoning_tokens: usage.reasoning_tokens,
            priced_calls: usage.priced_calls,
            unpriced_calls,
            // Nothing known is no zero.
            cost: (unpriced_calls == 0 || usage.priced_calls > 0).then_some(usage.cost),
            lost_attempts: usage.lost_attempts,
        }
    }
}

impl Usage {
    /// One call that used nothing that is known.
    pub const fn one_call() -> Self {
        Self {
            calls: 1,
            cache_hits: 0,
            prompt_tokens: 0,
            completion_tokens: 0,
            cached_prompt_tokens: 0,
            cache_write_tokens: 0,
            reasoning_tokens: 0,
            priced_calls: 0,
            cost: Money::ZERO,
            lost_attempts: 0,
        }
    }

    /// Calls whose cost is not known.
    pub fn unpriced_calls(&self) -> u64 {
        self.calls.saturating_sub(self.cache_hits + self.priced_calls)
    }

    /// The cost of all calls, if it is known of all.
    pub fn total_cost(&self) -> Option<Money> {
        (self.unpriced_calls() == 0).then_some(self.cost)
    }

    /// The cost in words: an amount, `unknown`, or both.
    ///
    /// ```
    /// use teleprompt_core::{Money, Usage};
    /// let mut usage = Usage { calls: 2, priced_calls: 2, cost: Money::dollars(0.5), ..Usage::default() };
    /// assert_eq!(usage.cost_text(), "$0.50");
    /// usage += Usage::one_call();
    /// assert_eq!(usage.cost_text(), "$0.50 and 1 call of unknown price");
    /// assert_eq!(Usage::one_call().cost_text(), "unknown");
    /// ```
    pub fn cost_text(&self) -> String {
        match (self.unpriced_calls(), self.priced_calls) {
            (0, _) => self.cost.to_string(),
            (_, 0) => "unknown".to_owned(),
            (1, _) => format!("{} and 1 call of unknown price", self.cost),
            (n, _) => format!("{} and {n} calls of unknown price", self.cost),
        }
    }

    /// The same usage of an answer that a cache of ours gave: no cost.
    #[must_use]
    pub fn as_cache_hit(mut self) -> Self {
        self.calls = 1;
        self.cache_hits = 1;
        self.priced_calls = 0;
        self.cost = Money::ZERO;
        self.lost_attempts = 0;
        self
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.cache_hits += other.cache_hits;
        self.prompt_tokens += other.prompt_tokens;
        self.completion_tokens += other.completion_tokens;
        self.cached_prompt_tokens += other.cached_prompt_tokens;
        self.cache_write_tokens += other.cache_write_tokens;
        self.reasoning_tokens += other.reasoning_tokens;
        self.priced_calls += other.priced_calls;
        self.cost += other.cost;
        self.lost_attempts += other.lost_attempts;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_tokens_have_their_own_price() {
        let price = Price {
            cached_input: Money::dollars(0.3e-6),
            cache_write: Money::dollars(3.75e-6),
            ..Price::per_million(3.0, 15.0)
        };
        let usage = Usage {
            prompt_tokens: 1_000_000,
            cached_prompt_tokens: 600_000,
            cache_write_tokens: 100_000,
            completion_tokens: 100_000,
            ..Usage::one_call()
        };
        // 0.3 M × 3 + 0.6 M × 0.3 + 0.1 M × 3.75 + 0.1 M × 15 dollars a million
        assert_eq!(price.of(&usage), Money::dollars(0.9 + 0.18 + 0.375 + 1.5));
    }

    #[test]
    fn money_is_read_by_people() {
        let cases = [
            (0.0, "$0.00"),
            (12.345, "$12.35"),
            (0.01, "$0.01"),
            (0.004_21, "$0.0042"),
            (1e-9, "$0.000000001"),
        ];
        for (amount, text) in cases {
            assert_eq!(Money::dollars(amount).to_string(), text);
        }
        assert_eq!(Money::dollars(-1.0), Money::ZERO);
        assert_eq!(Money::dollars(f64::NAN), Money::ZERO);
    }

    #[test]
    fn usage_survives_json_and_an_unknown_cost_is_no_zero() {
        let unknown = Usage { prompt_tokens: 7, ..Usage::one_call() };
        let priced = Usage { cost: Money::dollars(0.000_123_4), priced_calls: 1, ..unknown };
        for usage in [unknown, priced, unknown.as_cache_hit(), Usage::default()] {
            let json = serde_json::to_string(&usage).unwrap();
            assert_eq!(serde_json::from_str::<Usage>(&json).unwrap(), usage, "{json}");
        }
        assert!(serde_json::to_value(unknown).unwrap()["cost"].is_null());
        assert_eq!(serde_json::to_value(priced).unwrap()["cost"], 0.000_123_4);
    }
}
