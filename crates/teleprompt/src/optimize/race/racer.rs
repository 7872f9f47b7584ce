//! The state of a race.

use super::Race;
use crate::data::Rng;

/// One run: an entrant on an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// The entrant's number.
    pub entrant: usize,
    /// The example's place in the data.
    pub example: usize,
    /// Of [`Race::KFold`] alone: the example's fold. The entrant that runs on it must be made
    /// without the examples of this fold.
    pub fold: Option<usize>,
}

/// How far an entrant is.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// The mean of its scores; higher is better, 0 before the first.
    pub mean: f64,
    /// The number of scores.
    pub n: usize,
    /// How many of the scores were not finite numbers and count as 0.
    pub invalid: usize,
    /// Whether it is still in the race.
    pub state: State,
}

/// Whether an entrant is still in the race.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It may still be run on more examples.
    Racing,
    /// It ran on all examples and may win.
    Complete,
    /// It is out.
    Pruned {
        /// The reason, a sentence with numbers.
        why: String,
    },
}

/// A race between entrants, told their scores one by one.
///
/// Take [`next`](Self::next), run and tell all its cells in any order, and so on until it is empty;
/// then enter more, or [`finish`](Self::finish) and run what `next` still gives. While cells are
/// out, `next` gives nothing: what is decided depends on the scores alone, not on when they come.
/// No cell is given twice.
///
/// ```
/// use teleprompt::optimize::race::{Race, Racer, State};
/// let skills = [0.2, 0.9, 0.1];
/// let mut racer = Racer::new(&Race::wilcoxon(), 40, 7);
/// for _ in skills {
///     racer.enter();
///     loop {
///         let cells = racer.next();
///         if cells.is_empty() {
///             break;
///         }
///         for cell in cells {
///             racer.tell(cell, skills[cell.entrant]);
///         }
///     }
/// }
/// assert_eq!(racer.best(), Some(1));
/// let last = racer.standing(2);
/// assert!(last.n < 40 && matches!(last.state, State::Pruned { .. }));
/// ```
#[derive(Clone, Debug)]
pub struct Racer {
    pub(super) race: Race,
    /// Examples in the order in which all entrants run on them.
    pub(super) order: Vec<usize>,
    /// The place of each example in that order.
    places: Vec<usize>,
    pub(super) entrants: Vec<Entrant>,
    pub(super) promoted: usize,
    pub(super) finished: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Entrant {
    /// By example.
    scores: Vec<Option<f64>>,
    /// It runs on so many of the order.
    pub(super) target: usize,
    /// Cells of so many of the order were given.
    asked: usize,
    pub(super) n: usize,
    invalid: usize,
    pub(super) pruned: Option<String>,
    /// It is run on all examples whatever the race, and takes no seat in a bracket.
    pub(super) whole: bool,
}

impl Entrant {
    pub(super) fn mean(&self) -> f64 {
        // Summed in the order of the examples, so that the order of tells does not matter.
        self.scores.iter().flatten().sum::<f64>() / self.n.max(1) as f64
    }

    pub(super) fn score(&self, example: usize) -> Option<f64> {
        self.scores.get(example).copied().flatten()
    }

    pub(super) fn complete(&self) -> bool {
        self.n == self.scores.len()
    }

    /// Neither complete nor pruned.
    pub(super) fn racing(&self) -> bool {
        self.pruned.is_none() && !self.complete()
    }

    fn set(&mut self, example: usize, score: f64) {
        let Some(slot) = self.scores.get_mut(example) else { return };
        if slot.is_none() {
            let valid = score.is_finite();
            let score = if valid { score } else { 0.0 };
            *slot = Some(score);
            self.n += 1;
            self.invalid += usize::from(!valid);
        }
    }
}

impl Racer {
    /// A race over so many examples. The seed decides their order, and with it the folds.
    pub fn new(race: &Race, examples: usize, seed: u64) -> Self {
        let mut order: Vec<usize> = (0..examples).collect();
        Rng::new(seed).derive("race").shuffle(&mut order);
        let mut places = order.clone();
        for (place, &example) in order.iter().enumerate() {
            places.iter_mut().skip(example).take(1).for_each(|slot| *slot = place);
        }
        Self { race: *race, order, places, entrants: Vec::new(), promoted: 0, finished: false }
    }

    /// How many entrants the race likes to compare at once: those of a bracket, else 1.
    pub fn batch(&self) -> usize {
        match self.race {
            Race::Halving { entrants, .. } => entrants.max(2),
            _ => 1,
        }
    }

    /// One more entrant; its number, counted from 0. The first is usually the baseline.
    pub fn enter(&mut self) -> usize {
        self.enter_to(self.first_target(), false)
    }

    /// One more entrant that is run on all examples whatever the race: the baseline, so that there is
    /// something complete to compare with.
    pub fn enter_whole(&mut self) -> usize {
        self.enter_to(self.order.len(), true)
    }

    fn enter_to(&mut self, target: usize, whole: bool) -> usize {
        let scores = vec![None; self.order.len()];
        let (n, invalid, pruned) = (0, 0, None);
        self.entrants.push(Entrant { scores, target, asked: 0, n, invalid, pruned, whole });
        self.entrants.len() - 1
    }

    /// What to run now. Empty while cells are out, and when every entrant so far is judged as far
    /// as it can be before more enter.
    #[expect(
        clippy::should_implement_trait,
        reason = "not an iterator: it depends on what is told"
    )]
    pub fn next(&mut self) -> Vec<Cell> {
        if self.entrants.iter().any(|entrant| entrant.n < entrant.asked) {
            return Vec::new();
        }
        loop {
            let cells = self.take();
            // A decision may only drop entrants, and the next one go on.
            if !cells.is_empty() || !self.decide() {
                return cells;
            }
        }
    }

    /// The score of a cell; higher is better. One that is not a finite number counts as 0 and is
    /// noted in the standing. A second score of a cell and cells that `next` did not give are
    /// ignored; a journal is replayed through `next`.
    pub fn tell(&mut self, cell: Cell, score: f64) {
        let Some(place) = self.places.get(cell.example) else { return };
        if let Some(entrant) = self.entrants.get_mut(cell.entrant).filter(|e| *place < e.asked) {
            entrant.set(cell.example, score);
        }
    }

    /// No more entrants come: `next` then gives what is missing for a winner.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// How far an entrant is. One that does not exist has no scores.
    pub fn standing(&self, entrant: usize) -> Standing {
        let Some(entrant) = self.entrants.get(entrant) else {
            return Standing { mean: 0.0, n: 0, invalid: 0, state: State::Racing };
        };
        let state = match &entrant.pruned {
            Some(why) => State::Pruned { why: why.clone() },
            None if entrant.complete() => State::Complete,
            None => State::Racing,
        };
        Standing { mean: entrant.mean(), n: entrant.n, invalid: entrant.invalid, state }
    }

    /// The entrant with the highest mean of those that are complete, of equal ones the earlier.
    pub fn best(&self) -> Option<usize> {
        let complete =
            |(_, entrant): &(usize, &Entrant)| entrant.pruned.is_none() && entrant.complete();
        self.highest(self.entrants.iter().enumerate().filter(complete))
    }

    /// The fold of an example, in [`Race::KFold`]; folds differ by at most one in size.
    pub fn fold(&self, example: usize) -> Option<usize> {
        let Race::KFold { folds } = self.race else { return None };
        let place = self.places.get(example)?;
        Some(place % folds.clamp(1, self.order.len()))
    }

    pub(super) fn highest<'a>(
        &self,
        entrants: impl Iterator<Item = (usize, &'a Entrant)>,
    ) -> Option<usize> {
        let better = |best: (usize, &'a Entrant), other: (usize, &'a Entrant)| {
            if other.1.mean() > best.1.mean() { other } else { best }
        };
        entrants.reduce(better).map(|(id, _)| id)
    }

    /// The cells up to each entrant's target that were not given.
    fn take(&mut self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for (id, entrant) in self.entrants.iter().enumerate().filter(|(_, e)| e.racing()) {
            let new = self.order.iter().take(entrant.target).skip(entrant.asked);
            let cell = |&example: &usize| Cell { entrant: id, example, fold: self.fold(example) };
            cells.extend(new.map(cell));
        }
        let racing = self.entrants.iter_mut().filter(|entrant| entrant.racing());
        racing.for_each(|entrant| entrant.asked = entrant.target);
        cells
    }
}
