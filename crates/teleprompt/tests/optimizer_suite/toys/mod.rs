//! The tasks, one a file.

mod coverage;
mod decisions;
mod noisy;
mod rules;
mod steps;
mod vocabulary;

pub use coverage::coverage;
pub use decisions::{decisions, stated};
pub use noisy::noisy;
pub use rules::{Lesson, Source, labelled_rules, rules, rules_in_runs, told_rules};
pub use steps::steps;
pub use vocabulary::{vocabulary, vocabulary_and_demos, vocabulary_in_steps};
