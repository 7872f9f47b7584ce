//! Stage 2, choosing: which point to try next. Searches know points and scores, nothing of LMs.
//!
//! A point is told with the number of examples its mean rests on, and may be told again when it is
//! better founded. Several points may be out at once.
//!
//! ```
//! use teleprompt::optimize::search::{Search, Space, Told, Tpe};
//! // Three dimensions, say the instructions and demos of one predictor and the instructions of another.
//! let mut search = Tpe::new(Space::new(vec![8, 8, 8])?, 1).with_first([vec![0, 0, 0]]);
//! for _ in 0..60 {
//!     let Some(point) = search.ask() else { break };
//!     let distance: usize = point.iter().map(|&value| value.abs_diff(5)).sum();
//!     search.tell(&point, Told { mean: 1.0 - distance as f64 / 15.0, n: 100 });
//! }
//! let (best, told) = search.best().ok_or("nothing was told")?;
//! assert!(told.mean > 0.9, "{best:?}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(test)]
mod check;
mod coordinate;
mod history;
mod named;
mod pareto;
mod pool;
mod random;
mod space;
mod tpe;

pub use coordinate::CoordinateAscent;
pub(in crate::optimize) use named::named;
pub use pareto::{Components, Direction, Entry, Front, FrontKind, Merge, Objective, Selection};
pub use pool::Pool;
pub use random::RandomSearch;
pub use space::{Draws, Space};
pub use tpe::{Tpe, TpeSettings};

/// What is known of a point: the mean of its scores and how many they are.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Told {
    /// The mean score; higher is better. Not a finite number: the point failed.
    pub mean: f64,
    /// The number of examples it rests on.
    pub n: usize,
}

impl Told {
    /// A point that could not be evaluated.
    pub const FAILED: Self = Self { mean: f64::NAN, n: 0 };

    /// Whether the point failed: its mean is not a finite number.
    pub fn failed(&self) -> bool {
        !self.mean.is_finite()
    }

    /// Whether this is the better result. More examples beat fewer whatever the means, so that a
    /// lucky minibatch never stands above a full evaluation; of as many examples, the higher mean
    /// wins. A failure beats nothing, and anything else beats a failure.
    pub fn beats(&self, other: &Self) -> bool {
        match (self.failed(), other.failed()) {
            (true, _) => false,
            (false, true) => true,
            (false, false) => self.n > other.n || (self.n == other.n && self.mean > other.mean),
        }
    }
}

/// Proposes points and learns how good they were (ask and tell).
///
/// The same seed and the same tells give the same asks. Any number of points may be out (asked for
/// and not yet told). Tell a point that could not be evaluated as [`Told::FAILED`]; one that is
/// never told stays out, and a search that has to know it asks for nothing more.
pub trait Search: Send {
    /// What is tried.
    type Point: Clone + Send;

    /// The next point to try. None when there is none: the search is over, or must be told a point
    /// that is out before it can go on.
    fn ask(&mut self) -> Option<Self::Point>;

    /// How good a point was. Telling it again replaces what was told before. A point that was never
    /// asked for may be told, too, and is then known.
    fn tell(&mut self, point: &Self::Point, score: Told);

    /// The best point told so far ([`Told::beats`]: the highest mean among those with the most
    /// examples), of equal ones the one told first; none if all failed.
    fn best(&self) -> Option<(&Self::Point, Told)>;
}
