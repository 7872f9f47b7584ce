//! Tree-structured Parzen estimator over categorical dimensions.

mod kernels;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};

use kernels::Kernels;

use super::history::History;
use super::{Search, Space, Told};
use crate::data::Rng;
use crate::evaluate::stats;

/// Settings of [`Tpe`]. The defaults are for budgets of some dozens of trials.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TpeSettings {
    /// Points spread over the space before the model is asked. None, the default: one more than
    /// there are dimensions, at least 3.
    pub start: Option<usize>,
    /// The part of the points told that count as good, from 0 to 1; at least one does. Default: 0.2.
    pub gamma: f64,
    /// The most points that count as good. Default: 10.
    pub max_good: usize,
    /// Points drawn from the model of the good ones, of which the most promising is asked for. Fewer
    /// explore more. Default: 64.
    pub candidates: usize,
    /// The part of a kernel's probability, from 0 to 1, that it spreads evenly over the values of a
    /// dimension. More explores more. Default: 0.3.
    pub spread: f64,
    /// How much of the model treats dimensions as independent, from 0 to 1; the rest keeps the
    /// combinations seen together. Default: 0.25.
    pub independent: f64,
    /// As many examples at the mean of all points are added to each point's own, so that a high
    /// mean on few examples counts less than one on many. Default: 10.
    pub shrinkage: f64,
}

impl Default for TpeSettings {
    fn default() -> Self {
        Self {
            start: None,
            gamma: 0.2,
            max_good: 10,
            candidates: 64,
            spread: 0.3,
            independent: 0.25,
            shrinkage: 10.0,
        }
    }
}

/// Multivariate categorical TPE: splits the points told into the best few and the rest, models the
/// density of both, and asks for the point where the ratio of the two is greatest, which is where
/// the improvement to be expected is.
///
/// The first points are those given by [`with_first`](Self::with_first), then a few that spread
/// over the space as a Latin hypercube does, so that the values of each dimension are seen equally
/// often. No point is asked for twice, and the search ends when the space is exhausted. Points that
/// are out or failed count among the rest, so that several asked for at once differ (the constant
/// liar of Ginsbourger et al. 2010). Points outside the space are not heard of. What is asked for depends on the seed, the order of the tells
/// and what is out, and on nothing else.
///
/// Sources: Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization"; the joint kernels
/// as in BOHB (Falkner et al. 2018, arXiv 1807.01774).
///
/// ```
/// use teleprompt::optimize::search::{Search, Space, Told, Tpe};
/// let mut search = Tpe::new(Space::new(vec![5, 5])?, 3).with_first([vec![2, 2]]);
/// assert_eq!(search.ask(), Some(vec![2, 2]));
/// search.tell(&vec![2, 2], Told { mean: 0.4, n: 50 });
/// assert_ne!(search.ask(), Some(vec![2, 2]));
/// # Ok::<(), teleprompt::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tpe {
    space: Space,
    settings: TpeSettings,
    rng: Rng,
    first: VecDeque<Vec<usize>>,
    design: VecDeque<Vec<usize>>,
    /// Asked for or told.
    seen: BTreeSet<Vec<usize>>,
    history: History<Vec<usize>>,
}

impl Tpe {
    /// A search of this space with the default settings.
    pub fn new(space: Space, seed: u64) -> Self {
        let rng = Rng::new(seed).derive("tpe");
        let (first, design, seen) = (VecDeque::new(), VecDeque::new(), BTreeSet::new());
        let (settings, history) = (TpeSettings::default(), History::default());
        Self { space, settings, rng, first, design, seen, history }.settings(settings)
    }

    /// Other settings. Call it before the first point is asked for.
    #[must_use]
    pub fn settings(mut self, settings: TpeSettings) -> Self {
        self.settings = settings;
        self.design = self.design();
        self
    }

    /// Points to try before all others, such as the program as written. Those that are not in the
    /// space are left out. Called again, it adds to them.
    #[must_use]
    pub fn with_first(mut self, points: impl IntoIterator<Item = Vec<usize>>) -> Self {
        let space = &self.space;
        self.first.extend(points.into_iter().filter(|point| space.contains(point)));
        self
    }

    /// The first points: in each dimension a run of its values in random order, repeated in another
    /// order when all were used.
    fn design(&self) -> VecDeque<Vec<usize>> {
        let sizes = self.space.sizes();
        let rows = self.settings.start.unwrap_or((sizes.len() + 1).max(3));
        let mut points: VecDeque<Vec<usize>> = vec![Vec::new(); rows].into();
        for (d, &size) in sizes.iter().enumerate() {
            let mut rng = self.rng.derive(&format!("design {d}"));
            let mut values: Vec<usize> = Vec::new();
            for point in &mut points {
                if values.is_empty() {
                    values = rng.sample(size, size);
                }
                point.extend(values.pop());
            }
        }
        points
    }

    /// The good points, best first, and the rest: those with lower scores, that failed or are out.
    fn split(&self) -> (Vec<&[usize]>, Vec<&[usize]>) {
        let told = self.history.entries().iter().filter(|(_, told)| !told.failed());
        let mean = stats::mean(&told.clone().map(|(_, told)| told.mean).collect::<Vec<_>>());
        let shrinkage = self.settings.shrinkage.max(f64::MIN_POSITIVE);
        let shrunk = |told: &Told| {
            let n = told.n as f64;
            (told.mean * n + mean * shrinkage) / (n + shrinkage)
        };
        let mut order: Vec<(f64, &[usize])> =
            told.map(|(point, told)| (shrunk(told), point.as_slice())).collect();
        // Stable: of equal ones, the first told is the better.
        order.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut points: Vec<&[usize]> = order.into_iter().map(|(_, point)| point).collect();
        let ranked: BTreeSet<&[usize]> = points.iter().copied().collect();
        let good = (self.settings.gamma * points.len() as f64).ceil() as usize;
        let good = good.clamp(1, self.settings.max_good.max(1)).min(points.len());
        let mut rest = points.split_off(good);
        rest.extend(self.seen.iter().map(Vec::as_slice).filter(|point| !ranked.contains(point)));
        (points, rest)
    }

    /// The most promising of the points drawn from the good ones that were not seen.
    fn promising(&self, rng: &mut Rng) -> Option<Vec<usize>> {
        let (good, rest) = self.split();
        if good.is_empty() {
            return None;
        }
        let TpeSettings { spread, independent, candidates, .. } = self.settings;
        let kernels = |centres| Kernels::new(self.space.sizes(), centres, spread, independent);
        let (good, rest) = (kernels(good), kernels(rest));
        let mut best: Option<(f64, Vec<usize>)> = None;
        for _ in 0..candidates {
            let point = good.draw(rng);
            if self.seen.contains(&point) {
                continue;
            }
            let gain = good.density(&point) / rest.density(&point);
            if best.as_ref().is_none_or(|(b, _)| gain > *b) {
                best = Some((gain, point));
            }
        }
        best.map(|(_, point)| point)
    }
}

impl Search for Tpe {
    type Point = Vec<usize>;

    fn ask(&mut self) -> Option<Vec<usize>> {
        let mut rng = self.rng.derive(&format!("ask {}", self.seen.len()));
        let (first, design) = (&mut self.first, &mut self.design);
        let mut fixed = std::iter::from_fn(|| first.pop_front().or_else(|| design.pop_front()));
        let first = fixed.find(|point| !self.seen.contains(point));
        let point = match first.or_else(|| self.promising(&mut rng)) {
            Some(point) => point,
            None => self.space.unseen(&self.seen, &mut rng)?,
        };
        self.seen.insert(point.clone());
        Some(point)
    }

    fn tell(&mut self, point: &Vec<usize>, score: Told) {
        if self.space.contains(point) {
            self.seen.insert(point.clone());
            self.history.tell(point, score);
        }
    }

    fn best(&self) -> Option<(&Vec<usize>, Told)> {
        self.history.best()
    }
}
