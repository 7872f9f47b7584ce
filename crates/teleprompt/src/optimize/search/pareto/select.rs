//! Whom to improve next.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Front;
use crate::data::Rng;

/// How the next parent is chosen. In settings a bare name has the defaults: `"epsilon_greedy"` is
/// `{"epsilon_greedy": {"epsilon": 0.1}}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case", deny_unknown_fields)]
pub enum Selection {
    /// One of the candidates that are not dominated, the likelier the more cells it holds.
    #[default]
    Pareto,
    /// The best.
    CurrentBest,
    /// The best, but now and then any candidate.
    EpsilonGreedy {
        /// The probability of taking any, from 0 to 1. Default: 0.1.
        #[serde(default = "epsilon")]
        epsilon: f64,
    },
    /// As `Pareto`, among the best few only.
    TopKPareto {
        /// How many; at least 1. Default: 5.
        #[serde(default = "k")]
        k: usize,
    },
}

fn epsilon() -> f64 {
    0.1
}

fn k() -> usize {
    5
}

impl Serialize for Selection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Selection::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Selection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::super::named(deserializer, Selection::deserialize)
    }
}

impl Front {
    /// The candidate to improve next; none only of none. Cells that nobody holds are no hindrance:
    /// then it is the best.
    pub fn select(&self, selection: Selection, rng: &mut Rng) -> Option<usize> {
        match selection {
            Selection::Pareto => self.select_among(self.entries.len(), rng),
            Selection::CurrentBest => self.best(),
            Selection::EpsilonGreedy { epsilon } if rng.unit() < epsilon => {
                (!self.entries.is_empty()).then(|| rng.below(self.entries.len()))
            }
            Selection::EpsilonGreedy { .. } => self.best(),
            Selection::TopKPareto { k } => self.select_among(k.max(1), rng),
        }
    }

    /// One of the `k` best, the likelier the more cells it holds after the dominated ones are gone.
    fn select_among(&self, k: usize, rng: &mut Rng) -> Option<usize> {
        let top: BTreeSet<usize> = self.ranked().into_iter().take(k).collect();
        let mut holders: Vec<BTreeSet<usize>> = self.cells().into_values().collect();
        holders.iter_mut().for_each(|cell| cell.retain(|id| top.contains(id)));
        let left = self.undominated(&holders);
        // A ticket for every cell held.
        let held = holders.iter().flatten().filter(|id| left.contains(*id));
        let tickets: Vec<usize> = held.copied().collect();
        rng.choose(&tickets).copied().or_else(|| self.best())
    }

    /// All candidates, best first, of equal ones the earlier.
    fn ranked(&self) -> Vec<usize> {
        let mut ids: Vec<usize> = (0..self.entries.len()).collect();
        ids.sort_by(|&a, &b| {
            let (a, b) = (self.told(a), self.told(b));
            b.beats(&a).cmp(&a.beats(&b))
        });
        ids
    }
}
