//! Stage 1, candidates: where demonstrations, instructions and the cuts of decisions come from.

mod bootstrap;
mod calibrate;
pub mod decide;
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
