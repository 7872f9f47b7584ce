//! Stage 1, candidates: where demonstrations and instructions come from.

mod bootstrap;
mod calibrate;
mod grounded;
mod labeled;
mod rules;
mod vary;
mod words;

pub use bootstrap::{Bootstrap, Bootstrapped};
pub use calibrate::calibrate;
pub use grounded::{Attempt, Ground, Grounded};
pub use labeled::labeled_demos;
pub use rules::induce_rules;
pub use vary::vary_instructions;
