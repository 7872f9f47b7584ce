//! The Pareto front of evolution: who is best at what.

mod merge;
mod select;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use teleprompt_core::{Error, Result};

use super::Told;

pub use merge::Merge;
pub use select::Selection;

/// The texts of a program that evolution changes, by key (a predictor's path and what of it).
pub type Components = BTreeMap<Arc<str>, Arc<str>>;

/// Which way an objective is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Higher is better, as for quality.
    Maximize,
    /// Lower is better, as for tokens or latency.
    Minimize,
}

/// Something besides the score that candidates are compared by, such as tokens or latency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objective {
    /// Its name.
    pub name: Arc<str>,
    /// Which way it is good.
    pub direction: Direction,
}

/// What candidates compete for. The best at each such cell, all of them if equal, hold it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FrontKind {
    /// The score on each instance.
    #[default]
    Instance,
    /// The mean of each objective over the instances.
    Objective,
    /// Both of these.
    Hybrid,
    /// Each objective on each instance.
    Cartesian,
}

/// A candidate with its lineage and what it achieved.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    /// Its texts.
    pub components: Components,
    /// The numbers of the candidates it was made from; none for the first.
    pub parents: Vec<usize>,
    /// The score on each instance it was evaluated on; higher is better. One that is not a finite
    /// number counts as 0 in the mean and holds nothing.
    pub scores: BTreeMap<usize, f64>,
    /// The objectives on each instance, in the order of the front's; they may be missing.
    pub objectives: BTreeMap<usize, Vec<f64>>,
}

impl Entry {
    /// The mean of its scores and how many they are.
    pub fn told(&self) -> Told {
        let n = self.scores.len();
        let sum: f64 = self.scores.values().filter(|score| score.is_finite()).sum();
        Told { mean: sum / n.max(1) as f64, n }
    }
}

/// What is competed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cell {
    Instance(usize),
    Objective(usize),
    Both { instance: usize, objective: usize },
}

/// Candidates and the cells they hold: the memory of Pareto evolution. A candidate that is best at
/// anything stays a possible parent, so that different strengths survive until they are merged.
/// Candidates are known by their numbers, counted from 0 in the order of adding.
///
/// Source: GEPA (Agrawal et al. 2025, arXiv 2507.19457).
///
/// ```
/// use teleprompt::data::Rng;
/// use teleprompt::optimize::search::{Entry, Front, FrontKind, Selection};
/// let mut front = Front::new(FrontKind::Instance, Vec::new())?;
/// let scored = |scores: [f64; 3]| Entry {
///     scores: scores.into_iter().enumerate().collect(),
///     ..Entry::default()
/// };
/// front.add(scored([0.0, 0.0, 1.0])); // alone at instance 2
/// front.add(scored([1.0, 0.0, 0.0])); // shares instance 0 with the next
/// front.add(scored([1.0, 0.5, 0.0]));
/// assert_eq!(front.non_dominated(), [0, 2].into());
/// let parent = front.select(Selection::Pareto, &mut Rng::new(1));
/// assert!(parent == Some(0) || parent == Some(2));
/// # Ok::<(), teleprompt::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Front {
    kind: FrontKind,
    objectives: Vec<Objective>,
    entries: Vec<Entry>,
}

impl Front {
    /// An empty front.
    ///
    /// # Errors
    /// The kind needs objectives and there are none.
    pub fn new(kind: FrontKind, objectives: Vec<Objective>) -> Result<Self> {
        if kind != FrontKind::Instance && objectives.is_empty() {
            return Err(Error::input(format!(
                "a front of the kind {kind:?} compares objectives, but none is named; name one, such as \
                 tokens, or take the kind Instance"
            )));
        }
        Ok(Self { kind, objectives, entries: Vec::new() })
    }

    /// Adds a candidate and returns its number.
    pub fn add(&mut self, entry: Entry) -> usize {
        self.entries.push(entry);
        self.entries.len() - 1
    }

    /// One more result of a candidate; it replaces an earlier one on the same instance. Numbers that
    /// were never given are ignored.
    pub fn tell(&mut self, id: usize, instance: usize, score: f64, objectives: Vec<f64>) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.scores.insert(instance, score);
            entry.objectives.insert(instance, objectives);
        }
    }

    /// All candidates, in the order of adding.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The best candidate by [`Told::beats`], of equal ones the first; none of none.
    pub fn best(&self) -> Option<usize> {
        self.best_of(0..self.entries.len())
    }

    /// The candidates that are needed to hold all cells. One is dominated if in every cell that it
    /// holds another stands that is not dominated. Of equals, those with the lower mean go first,
    /// then the later ones. Where no cell is held, only the best is left.
    pub fn non_dominated(&self) -> BTreeSet<usize> {
        let holders: Vec<BTreeSet<usize>> = self.cells().into_values().collect();
        self.undominated(&holders)
    }

    fn undominated(&self, holders: &[BTreeSet<usize>]) -> BTreeSet<usize> {
        let mut left: BTreeSet<usize> = holders.iter().flatten().copied().collect();
        let mut weakest_first: Vec<usize> = left.iter().rev().copied().collect();
        weakest_first.sort_by(|&a, &b| self.mean(a).total_cmp(&self.mean(b)));
        for id in weakest_first {
            let another =
                |cell: &BTreeSet<usize>| cell.iter().any(|o| *o != id && left.contains(o));
            if holders.iter().filter(|cell| cell.contains(&id)).all(another) {
                left.remove(&id);
            }
        }
        if left.is_empty() {
            left.extend(self.best());
        }
        left
    }

    fn told(&self, id: usize) -> Told {
        self.entries.get(id).map_or(Told::FAILED, Entry::told)
    }

    fn mean(&self, id: usize) -> f64 {
        self.told(id).mean
    }

    fn best_of(&self, ids: impl IntoIterator<Item = usize>) -> Option<usize> {
        let better =
            |best: usize, id| if self.told(id).beats(&self.told(best)) { id } else { best };
        ids.into_iter().reduce(better)
    }

    /// Who holds each cell.
    fn cells(&self) -> BTreeMap<Cell, BTreeSet<usize>> {
        let mut best: BTreeMap<Cell, (f64, BTreeSet<usize>)> = BTreeMap::new();
        for (id, entry) in self.entries.iter().enumerate() {
            for (cell, value) in self.values(entry).into_iter().filter(|(_, v)| v.is_finite()) {
                let (top, ids) = best.entry(cell).or_insert((value, BTreeSet::new()));
                if value > *top {
                    *top = value;
                    ids.clear();
                }
                if value == *top {
                    ids.insert(id);
                }
            }
        }
        best.into_iter().map(|(cell, (_, ids))| (cell, ids)).collect()
    }

    /// What a candidate has in each cell; higher is better.
    fn values(&self, entry: &Entry) -> Vec<(Cell, f64)> {
        let mut values = Vec::new();
        if matches!(self.kind, FrontKind::Instance | FrontKind::Hybrid) {
            values.extend(entry.scores.iter().map(|(i, score)| (Cell::Instance(*i), *score)));
        }
        for (o, objective) in self.objectives.iter().enumerate() {
            let signed = |value: &f64| match objective.direction {
                Direction::Maximize => *value,
                Direction::Minimize => -value,
            };
            let all = entry.objectives.iter();
            let known: Vec<(usize, f64)> =
                all.filter_map(|(i, row)| Some((*i, signed(row.get(o)?)))).collect();
            match self.kind {
                FrontKind::Instance => {}
                FrontKind::Objective | FrontKind::Hybrid if known.is_empty() => {}
                FrontKind::Objective | FrontKind::Hybrid => {
                    let sum: f64 = known.iter().map(|(_, value)| value).sum();
                    values.push((Cell::Objective(o), sum / known.len() as f64));
                }
                FrontKind::Cartesian => {
                    let cell = |(instance, value)| (Cell::Both { instance, objective: o }, value);
                    values.extend(known.into_iter().map(cell));
                }
            }
        }
        values
    }
}
