//! Stage 1, candidates: where demonstrations and the cuts of decisions come from.

mod bootstrap;
mod calibrate;
pub mod decide;
mod labeled;

pub use bootstrap::{Bootstrap, Bootstrapped};
pub use calibrate::calibrate;
pub use labeled::labeled_demos;
