//! Telling people what a compile is doing.

use super::study::{By, Run, Split};

/// Is told what a compile does; the command draws bars from it. All methods have defaults that do
/// nothing.
pub trait Progress: Send + Sync {
    /// A line about what comes now.
    fn note(&self, line: &str) {
        let _ = line;
    }

    /// A run that the study did not know was made, in an evaluation or not: the teacher's runs are
    /// only told here.
    fn ran(&self, by: By, split: Split, run: &Run) {
        let _ = (by, split, run);
    }

    /// The LM that writes instructions, rules or feedback is asked something that the study does not
    /// know; `what` says what for.
    fn question(&self, what: &str) {
        let _ = what;
    }

    /// An evaluation of a candidate on `total` examples begins.
    fn evaluation(&self, candidate: &str, split: Split, total: usize) -> Box<dyn RowProgress> {
        let _ = (candidate, split, total);
        Box::new(Silent)
    }
}

/// Is told each row of an evaluation, in order.
pub trait RowProgress: Send {
    /// The next example is done.
    fn row(&mut self, row: &Run);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {}

impl RowProgress for Silent {
    fn row(&mut self, _: &Run) {}
}
