//! The named recipes.

mod bootstrap_few_shot;
mod combine;
mod copro;
mod demo_sets;
mod infer_rules;
mod knn_few_shot;
mod labeled_few_shot;
mod mipro_v2;
mod random_search;
mod tpe;
mod trials;

pub use bootstrap_few_shot::BootstrapFewShot;
pub use copro::Copro;
pub use infer_rules::InferRules;
pub use knn_few_shot::KnnFewShot;
pub use labeled_few_shot::LabeledFewShot;
pub use mipro_v2::{Auto, MiproV2};
pub use random_search::BootstrapFewShotWithRandomSearch;
pub use tpe::BootstrapFewShotWithTpe;
