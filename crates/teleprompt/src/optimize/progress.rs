//! Telling people what a compile is doing.

use super::study::{Run, Split};

/// Is told what a compile does; the command draws bars from it. All methods have defaults that do
/// nothing.
pub trait Progress: Send + Sync {
    /// A line about what comes now.
    fn note(&self, line: &str) {
        let _ = line;
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
