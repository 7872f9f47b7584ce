//! How much evaluation a candidate earns.

mod full;

pub use full::full;
