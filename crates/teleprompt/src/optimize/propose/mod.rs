//! Stage 1, candidates: where demonstrations come from.

mod bootstrap;
mod labeled;

pub use bootstrap::{Bootstrap, Bootstrapped};
pub use labeled::labeled_demos;
