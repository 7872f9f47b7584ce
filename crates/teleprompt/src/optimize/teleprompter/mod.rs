//! The named recipes.

mod bootstrap_few_shot;
mod labeled_few_shot;
mod random_search;

pub use bootstrap_few_shot::BootstrapFewShot;
pub use labeled_few_shot::LabeledFewShot;
pub use random_search::BootstrapFewShotWithRandomSearch;
