//! The named recipes.

mod avatar;
mod bootstrap_few_shot;
mod gepa;
mod labeled_few_shot;
mod random_search;
mod simba;

pub use avatar::Avatar;
pub use bootstrap_few_shot::BootstrapFewShot;
pub use gepa::{
    Acceptance, ComponentSelection, Gepa, GepaBudget, Keep, MinibatchSampling, Parents, Proposals,
};
pub use labeled_few_shot::LabeledFewShot;
pub use random_search::BootstrapFewShotWithRandomSearch;
pub use simba::Simba;
