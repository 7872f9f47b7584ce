//! What recipes have in common that choose by validation.

use teleprompt_core::Result;

use crate::optimize::race::Race;
use crate::optimize::search::{Search, Told};
use crate::optimize::{Candidate, Make, Sizes, Task, explore};

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

/// Runs a search with a race, after the start was run on all validation examples and told to the
/// search as the point `start`.
///
/// # Errors
/// Those of [`explore`].
pub(super) async fn explore_from_base<S: Search>(
    task: &Task<'_>,
    search: &mut S,
    start: Option<S::Point>,
    race: &Race,
    make: &dyn Make<S::Point>,
) -> Result<Candidate> {
    // Folds score on other examples, the base included.
    if let Race::KFold { .. } = race {
        return explore(task, search, race, make).await;
    }
    let base = task.base();
    let known = task.scored().into_iter().find(|(c, _)| c.hash == base.hash);
    let mean = match known {
        Some((_, mean)) => mean,
        None => task.validate(base).await?,
    };
    if let Some(start) = start {
        search.tell(&start, Told { mean, n: task.val.len() });
    }
    explore(task, search, race, make).await
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
