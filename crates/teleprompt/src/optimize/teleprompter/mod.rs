//! The named recipes.

mod auto;
mod avatar;
mod better_together;
mod bootstrap_few_shot;
mod calibrate_decisions;
mod combine;
mod copro;
mod demo_sets;
mod ensemble;
mod gepa;
mod infer_rules;
mod knn_few_shot;
mod labeled_few_shot;
mod mipro_v2;
mod random_search;
mod registry;
mod simba;
mod tpe;
mod trials;

pub use auto::Auto;
pub use avatar::Avatar;
pub use better_together::BetterTogether;
pub use bootstrap_few_shot::BootstrapFewShot;
pub use calibrate_decisions::CalibrateDecisions;
pub use copro::Copro;
pub use ensemble::Ensemble;
pub use gepa::{
    Acceptance, ComponentSelection, Gepa, GepaBudget, Keep, MinibatchSampling, Parents, Proposals,
};
pub use infer_rules::InferRules;
pub use knn_few_shot::KnnFewShot;
pub use labeled_few_shot::LabeledFewShot;
pub use mipro_v2::{Effort, MiproV2};
pub use random_search::BootstrapFewShotWithRandomSearch;
pub use registry::{Recipe, by_name, names, recipe_named, recipes};
pub use simba::Simba;
pub use tpe::BootstrapFewShotWithTpe;
