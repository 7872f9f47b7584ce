//! Counting what calls use, and holding limits.
//!
//! A call first reserves the most that it can use, and settles what it did use afterwards. So a
//! limit holds however many calls are in flight: a call that could go over it waits until others
//! have settled, and is refused when nothing is left to wait for.

mod meter;
mod need;

pub use meter::{Meter, Reservation};
pub use need::Need;

use std::fmt;
use std::time::Duration;

use thiserror::Error as ThisError;

use crate::lm::Money;
#[cfg(doc)]
use crate::lm::Usage;

/// Limits of a [`Meter`]; `None` is no limit.
///
/// None of them is exceeded by calls that are answered. A call whose outcome is not known counts with
/// the most that it could use; a layer that repeats a call tells of such attempts when the call ends
/// ([`Usage::lost_attempts`]), so attempts that were lost by calls still in flight may come on top.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// LM calls that are paid for: answers from a cache of ours are free.
    pub calls: Option<u64>,
    /// Tokens of prompts and completions of paid calls. Needs a bound of every call's tokens:
    /// `max_tokens`, or an LM that has a limit of its own.
    pub tokens: Option<u64>,
    /// What paid calls cost. Needs that bound, and the LM's price.
    pub cost: Option<Money>,
    /// Time since the meter was made. Calls in flight are ended when it is over.
    pub time: Option<Duration>,
}

/// What a budget limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resource {
    /// LM calls.
    Calls,
    /// Tokens.
    Tokens,
    /// Money, in millionths of a millionth of a dollar.
    Money,
    /// Time, in milliseconds.
    Time,
}

impl Resource {
    fn amount(self, n: u64) -> String {
        match self {
            Resource::Calls => n.to_string(),
            Resource::Tokens => n.to_string(),
            Resource::Money => Money::picodollars(n).to_string(),
            Resource::Time => format!("{} s", n as f64 / 1000.0),
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Resource::Calls => " LM calls",
            Resource::Tokens => " tokens",
            Resource::Money | Resource::Time => "",
        })
    }
}

/// A budget that allows no further call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ThisError)]
#[error(
    "the budget of {}{what} allows no further call: {} spent, {} left, up to {} needed; raise it to go on",
    what.amount(*limit), what.amount(*spent), what.amount(self.left()), what.amount(*needed)
)]
pub struct Exhausted {
    /// What is limited.
    pub what: Resource,
    /// The limit, in the unit of `what`.
    pub limit: u64,
    /// What was spent.
    pub spent: u64,
    /// The most that the refused call could have used.
    pub needed: u64,
}

impl Exhausted {
    /// What is left, in the unit of `what`: less than the refused call may need.
    pub fn left(&self) -> u64 {
        self.limit.saturating_sub(self.spent)
    }
}
