//! Random search.

use super::history::History;
use super::{Search, Told};

/// Tries the given points in order and remembers the best.
///
/// The points do not depend on the scores, which makes random search easy to resume and to run in
/// any order. Give it points drawn by the caller, or [`Space::draws`](super::Space::draws) for
/// random points of a space without repetition. Source: Bergstra and Bengio 2012, JMLR 13.
///
/// ```
/// use teleprompt::optimize::search::{RandomSearch, Search, Space, Told};
/// let mut search = RandomSearch::new(vec![1, 2, 3]);
/// while let Some(point) = search.ask() {
///     search.tell(&point, Told { mean: f64::from(-(point - 2) * (point - 2)), n: 10 });
/// }
/// assert_eq!(search.best(), Some((&2, Told { mean: 0.0, n: 10 })));
///
/// let space = Space::new(vec![3, 3])?;
/// let mut search = RandomSearch::new(space.draws(1));
/// assert_eq!(std::iter::from_fn(|| search.ask()).count(), 9);
/// # Ok::<(), teleprompt::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RandomSearch<I: Iterator> {
    points: I,
    history: History<I::Item>,
    stop_at: Option<f64>,
}

impl<I: Iterator> RandomSearch<I> {
    /// A search over these points, in their order.
    pub fn new(points: impl IntoIterator<IntoIter = I>) -> Self {
        Self { points: points.into_iter(), history: History::default(), stop_at: None }
    }

    /// Ends the search when the best mean ([`Search::best`]) reaches this. Default: never.
    #[must_use]
    pub fn stop_at(mut self, score: Option<f64>) -> Self {
        self.stop_at = score;
        self
    }
}

impl<I> Search for RandomSearch<I>
where
    I: Iterator + Send,
    I::Item: Clone + PartialEq + Send,
{
    type Point = I::Item;

    fn ask(&mut self) -> Option<I::Item> {
        let reached = |stop: f64| self.best().is_some_and(|(_, told)| told.mean >= stop);
        if self.stop_at.is_some_and(reached) {
            return None;
        }
        // A point that was told without having been asked for need not be tried.
        let history = &self.history;
        self.points.by_ref().find(|point| history.get(point).is_none())
    }

    fn tell(&mut self, point: &I::Item, score: Told) {
        self.history.tell(point, score);
    }

    fn best(&self) -> Option<(&I::Item, Told)> {
        self.history.best()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Space, check};
    use super::*;

    #[test]
    fn random_search_of_a_space_keeps_the_contract() {
        let space = Space::new(vec![3, 4, 2]).unwrap();
        check::check_search(|seed| RandomSearch::new(space.draws(seed)));
    }

    #[test]
    fn it_stops_at_a_score() {
        let mut search = RandomSearch::new(0..10).stop_at(Some(0.5));
        let mut tried = 0;
        while let Some(point) = search.ask() {
            tried += 1;
            search.tell(&point, Told { mean: f64::from(point) / 10.0, n: 1 });
        }
        assert_eq!(tried, 6);
    }
}
