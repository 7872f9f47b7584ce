//! How much evaluation a candidate earns.
//!
//! [`Race`] is a setting, [`Racer`] the state machine that says which candidate to run on which
//! example next, pure and the same for an LM and for recorded scores ([`replay`]). [`full`] runs a
//! candidate on all examples.

mod full;
mod racer;
mod replay;
mod rules;
mod settings;
#[cfg(test)]
mod tests;

pub use full::full;
pub use racer::{Cell, Racer, Standing, State};
pub use replay::{Outcome, replay};
pub use settings::Race;
