//! The recipes, each with the toy tasks of its kind.

use teleprompt::optimize::race::Race;
use teleprompt::optimize::teleprompter::{
    Auto, Avatar, BetterTogether, BootstrapFewShot, BootstrapFewShotWithRandomSearch,
    BootstrapFewShotWithTpe, CalibrateDecisions, Copro, Ensemble, Gepa, GepaBudget, InferRules,
    KnnFewShot, LabeledFewShot, MiproV2, Simba,
};
use teleprompt::optimize::{Optimizer, OptimizerHandle};

use super::toy::Toy;
use super::toys::{self, Lesson, Source};

/// What a recipe changes, or learns from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Demos,
    Instructions,
    /// How outputs are read off.
    Decisions,
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

fn held(optimizer: impl Optimizer + 'static) -> OptimizerHandle {
    OptimizerHandle::new(optimizer)
}

fn labeled(k: usize) -> OptimizerHandle {
    held(LabeledFewShot { k, ..LabeledFewShot::default() })
}

fn bootstrap(demos: usize) -> OptimizerHandle {
    held(BootstrapFewShot {
        max_bootstrapped_demos: demos,
        max_labeled_demos: demos,
        ..BootstrapFewShot::default()
    })
}

/// Bootstrapped demonstrations alone: labels may be wrong.
fn random_search(demos: usize, programs: usize) -> OptimizerHandle {
    held(BootstrapFewShotWithRandomSearch {
        max_bootstrapped_demos: demos,
        max_labeled_demos: 0,
        num_candidate_programs: programs,
        ..BootstrapFewShotWithRandomSearch::default()
    })
}

fn tpe(demos: usize, programs: usize) -> OptimizerHandle {
    held(BootstrapFewShotWithTpe {
        max_bootstrapped_demos: demos,
        max_labeled_demos: 0,
        num_candidate_programs: programs,
        ..BootstrapFewShotWithTpe::default()
    })
}

fn knn(k: usize) -> OptimizerHandle {
    held(KnnFewShot { k, ..KnnFewShot::default() })
}

fn copro(breadth: usize, depth: usize) -> OptimizerHandle {
    held(Copro { breadth, depth, ..Copro::default() })
}

/// Instructions alone.
fn mipro(instructions: usize, trials: usize) -> OptimizerHandle {
    held(MiproV2 {
        num_instructions: Some(instructions),
        num_trials: Some(trials),
        num_demo_sets: Some(1),
        max_bootstrapped_demos: 0,
        max_labeled_demos: 0,
        race: Race::Full,
        ..MiproV2::default()
    })
}

fn rules(candidates: usize) -> OptimizerHandle {
    held(InferRules {
        num_candidates: candidates,
        max_bootstrapped_demos: 0,
        max_labeled_demos: 0,
        ..InferRules::default()
    })
}

fn gepa(runs: u64) -> OptimizerHandle {
    held(Gepa { budget: GepaBudget::MaxMetricCalls(runs), ..Gepa::default() })
}

fn simba(steps: usize) -> OptimizerHandle {
    held(Simba { bsize: 8, num_candidates: 4, max_steps: steps, max_demos: 0, ..Simba::default() })
}

fn avatar(iterations: usize) -> OptimizerHandle {
    held(Avatar { max_iters: iterations, ..Avatar::default() })
}

fn ensemble(size: usize, programs: usize) -> OptimizerHandle {
    held(Ensemble { of: random_search(size + 1, programs), size, ..Ensemble::default() })
}

fn together(steps: Vec<OptimizerHandle>) -> OptimizerHandle {
    held(BetterTogether { steps, ..BetterTogether::default() })
}

fn calibrate() -> OptimizerHandle {
    held(CalibrateDecisions { stated: toys::stated() })
}

fn auto(budget: u64, patience: usize) -> OptimizerHandle {
    held(Auto { budget, patience, ..Auto::default() })
}

const DEMOS: Kind = Kind::Demos;
const WORDS: Kind = Kind::Instructions;
const FEEDBACK: Kind = Kind::Reflective(Source::Feedback);
const RUNS: Kind = Kind::Reflective(Source::Runs);
const LABELS: Kind = Kind::Reflective(Source::Labels);

/// All of them. One line a recipe and task.
#[rustfmt::skip]
pub const CASES: &[Case] = &[
    Case { name: "labeled_few_shot", kind: DEMOS, make: || labeled(8), bare: || labeled(0), toy: toys::coverage },
    Case { name: "knn_few_shot", kind: DEMOS, make: || knn(4), bare: || knn(0), toy: toys::coverage },
    Case { name: "bootstrap_few_shot", kind: DEMOS, make: || bootstrap(4), bare: || bootstrap(0), toy: toys::steps },
    Case { name: "bootstrap_few_shot_with_random_search", kind: DEMOS, make: || random_search(4, 16), bare: || random_search(0, 0), toy: toys::noisy },
    Case { name: "bootstrap_few_shot_with_tpe", kind: DEMOS, make: || tpe(4, 16), bare: || tpe(0, 0), toy: toys::noisy },
    Case { name: "copro", kind: WORDS, make: || copro(12, 4), bare: || copro(0, 0), toy: toys::vocabulary },
    Case { name: "mipro_v2", kind: WORDS, make: || mipro(18, 18), bare: || mipro(0, 0), toy: toys::vocabulary },
    Case { name: "infer_rules", kind: LABELS, make: || rules(4), bare: || rules(0), toy: toys::labelled_rules },
    Case { name: "gepa", kind: FEEDBACK, make: || gepa(400), bare: || gepa(0), toy: toys::told_rules },
    Case { name: "simba", kind: RUNS, make: || simba(8), bare: || simba(0), toy: toys::rules_in_runs },
    Case { name: "avatar", kind: FEEDBACK, make: || avatar(4), bare: || avatar(0), toy: toys::told_rules },
    Case { name: "calibrate_decisions", kind: Kind::Decisions, make: calibrate, bare: || held(CalibrateDecisions::default()), toy: toys::decisions },
    Case { name: "ensemble", kind: DEMOS, make: || ensemble(3, 12), bare: || ensemble(0, 0), toy: toys::noisy },
    Case { name: "better_together", kind: WORDS, make: || together(vec![mipro(18, 18), random_search(4, 2)]), bare: || together(Vec::new()), toy: toys::vocabulary_and_demos },
    Case { name: "auto", kind: FEEDBACK, make: || auto(800, 4), bare: || auto(1, 0), toy: toys::told_rules },
];

/// Programs of two steps, of which only one has to change.
#[rustfmt::skip]
pub const IN_STEPS: &[Case] = &[
    Case { name: "random search in steps", kind: DEMOS, make: || random_search(4, 6), bare: || random_search(0, 0), toy: toys::steps },
    Case { name: "TPE in steps", kind: DEMOS, make: || tpe(4, 12), bare: || tpe(0, 0), toy: toys::steps },
    Case { name: "kNN in steps", kind: DEMOS, make: || knn(4), bare: || knn(0), toy: toys::steps },
    Case { name: "COPRO in steps", kind: WORDS, make: || copro(12, 3), bare: || copro(0, 0), toy: toys::vocabulary_in_steps },
    Case { name: "MIPROv2 in steps", kind: WORDS, make: || mipro(18, 30), bare: || mipro(0, 0), toy: toys::vocabulary_in_steps },
];
