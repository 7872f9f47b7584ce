//! Random search.

use super::Search;

/// Tries the given points in order and remembers the best.
///
/// The points are fixed before the first score is known, which makes random search easy to resume
/// and to run in any order. Source: Bergstra and Bengio 2012, JMLR 13.
///
/// ```
/// use teleprompt::optimize::search::{RandomSearch, Search};
/// let mut search = RandomSearch::new(vec![1, 2, 3]);
/// while let Some(point) = search.ask() {
///     search.tell(&point, f64::from(-(point - 2) * (point - 2)));
/// }
/// assert_eq!(search.best(), Some((&2, 0.0)));
/// ```
#[derive(Clone, Debug)]
pub struct RandomSearch<P> {
    points: std::vec::IntoIter<P>,
    best: Option<(P, f64)>,
    stop_at: Option<f64>,
}

impl<P> RandomSearch<P> {
    /// A search over these points, drawn at random by the caller.
    pub fn new(points: Vec<P>) -> Self {
        Self { points: points.into_iter(), best: None, stop_at: None }
    }

    /// Ends the search when a score reaches this one. Default: never.
    #[must_use]
    pub fn stop_at(mut self, score: Option<f64>) -> Self {
        self.stop_at = score;
        self
    }
}

impl<P: Clone + Send> Search for RandomSearch<P> {
    type Point = P;

    fn ask(&mut self) -> Option<P> {
        let reached = |stop: f64| self.best.as_ref().is_some_and(|(_, score)| *score >= stop);
        if self.stop_at.is_some_and(reached) {
            return None;
        }
        self.points.next()
    }

    fn tell(&mut self, point: &P, score: f64) {
        if self.best.as_ref().is_none_or(|(_, best)| score > *best) {
            self.best = Some((point.clone(), score));
        }
    }

    fn best(&self) -> Option<(&P, f64)> {
        self.best.as_ref().map(|(point, score)| (point, *score))
    }
}
