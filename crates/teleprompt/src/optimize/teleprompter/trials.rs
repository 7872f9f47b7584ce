//! What recipes have in common that choose by validation.

use crate::optimize::Sizes;
use crate::optimize::race::Race;
use crate::optimize::search::{Search, Told};

/// A search that ends after so many points.
pub(super) struct Limited<S> {
    pub search: S,
    pub left: usize,
}

impl<S: Search> Search for Limited<S> {
    type Point = S::Point;

    fn ask(&mut self) -> Option<S::Point> {
        self.left = self.left.checked_sub(1)?;
        self.search.ask()
    }
    fn tell(&mut self, point: &S::Point, score: Told) {
        self.search.tell(point, score);
    }
    fn best(&self) -> Option<(&S::Point, Told)> {
        self.search.best()
    }
}

/// The most runs that so many entrants take in a race, the start among them.
pub(super) fn race_runs(race: &Race, entrants: u64, sizes: Sizes) -> u64 {
    let examples = match race {
        Race::KFold { .. } => sizes.train + sizes.val,
        _ => sizes.val,
    };
    entrants.saturating_mul(examples as u64)
}

/// How often a candidate is made: once, and once more for each fold.
pub(super) fn times_made(race: &Race) -> u64 {
    match race {
        Race::KFold { folds } => 1 + *folds as u64,
        _ => 1,
    }
}
