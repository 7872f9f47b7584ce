//! The recipes, each with the toy tasks of its kind.

use teleprompt::optimize::OptimizerHandle;
use teleprompt::optimize::teleprompter::{
    BootstrapFewShot, BootstrapFewShotWithRandomSearch, LabeledFewShot,
};

use super::toy::Toy;
use super::toys::{self, Lesson, Source};

/// What a recipe changes, or learns from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Demos,
    Instructions,
    /// It reads feedback, runs or labels: without them it must do worse.
    Reflective(Source),
}

/// A recipe on a toy task.
#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    pub kind: Kind,
    pub make: fn() -> OptimizerHandle,
    /// The same with nothing to show and nothing to try.
    pub bare: fn() -> OptimizerHandle,
    pub toy: fn(u64) -> Toy,
}

impl Case {
    /// The task with its lessons removed or shuffled.
    pub fn spoilt(&self, lesson: Lesson) -> Option<impl Fn(u64) -> Toy + use<>> {
        match self.kind {
            Kind::Reflective(source) => Some(move |seed| toys::rules(seed, source, lesson)),
            _ => None,
        }
    }
}

fn labeled(k: usize) -> OptimizerHandle {
    OptimizerHandle::new(LabeledFewShot { k, ..LabeledFewShot::default() })
}

fn bootstrap(demos: usize, labeled: usize, rounds: u64) -> OptimizerHandle {
    OptimizerHandle::new(BootstrapFewShot {
        max_bootstrapped_demos: demos,
        max_labeled_demos: labeled,
        max_rounds: rounds,
        ..BootstrapFewShot::default()
    })
}

/// Bootstrapped demonstrations alone: labels may be wrong.
fn random_search(demos: usize, programs: usize) -> OptimizerHandle {
    OptimizerHandle::new(BootstrapFewShotWithRandomSearch {
        max_bootstrapped_demos: demos,
        max_labeled_demos: 0,
        num_candidate_programs: programs,
        ..BootstrapFewShotWithRandomSearch::default()
    })
}

/// All of them. One line a recipe and task.
#[rustfmt::skip]
pub const CASES: &[Case] = &[
    Case { name: "labeled_few_shot", kind: Kind::Demos, make: || labeled(8), bare: || labeled(0), toy: toys::coverage },
    Case { name: "bootstrap_few_shot", kind: Kind::Demos, make: || bootstrap(4, 4, 1), bare: || bootstrap(0, 0, 0), toy: toys::steps },
    Case { name: "bootstrap_few_shot_with_random_search", kind: Kind::Demos, make: || random_search(4, 16), bare: || random_search(0, 0), toy: toys::noisy },
    Case { name: "bootstrap_few_shot_with_random_search, two steps", kind: Kind::Demos, make: || random_search(4, 6), bare: || random_search(0, 0), toy: toys::steps },
];
