//! Stage 2, choosing: which point to try next. Searches know points and scores, nothing of LMs.

mod random;

pub use random::RandomSearch;

/// Proposes points and learns how good they were (ask and tell).
///
/// Scores: higher is better. Every point that was asked for is told before the next is asked, or not
/// at all if it could not be evaluated.
pub trait Search: Send {
    /// What is tried.
    type Point: Clone + Send;

    /// The next point to try; none when the search is over.
    fn ask(&mut self) -> Option<Self::Point>;

    /// How good a point was.
    fn tell(&mut self, point: &Self::Point, score: f64);

    /// The best point told so far, with its score; of equal ones the first.
    fn best(&self) -> Option<(&Self::Point, f64)>;
}
