//! Stage 1, candidates: where demonstrations come from.

mod bootstrap;
mod calibrate;
mod labeled;

pub use bootstrap::{Bootstrap, Bootstrapped};
pub use calibrate::calibrate;
pub use labeled::labeled_demos;
