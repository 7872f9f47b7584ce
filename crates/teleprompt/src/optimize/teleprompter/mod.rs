//! The named recipes.

mod bootstrap_few_shot;
mod labeled_few_shot;
mod random_search;
mod registry;

pub use bootstrap_few_shot::BootstrapFewShot;
pub use labeled_few_shot::LabeledFewShot;
pub use random_search::BootstrapFewShotWithRandomSearch;
pub use registry::{Recipe, by_name, names, recipe_named, recipes};
