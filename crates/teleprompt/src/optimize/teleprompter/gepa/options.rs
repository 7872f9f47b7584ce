//! The strategies of GEPA that are choices. Each is a pure function of what it is given.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::data::Rng;
use crate::optimize::search::{Direction, Objective};
use crate::optimize::study::Run;

/// How much a search may take: runs of the program on an example, not counting those asked for
/// twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GepaBudget {
    /// About 6 candidates.
    #[default]
    Light,
    /// About 12 candidates.
    Medium,
    /// About 18 candidates.
    Heavy,
    /// So many times the train and validation examples.
    MaxFullEvals(u64),
    /// So many runs.
    MaxMetricCalls(u64),
}

impl GepaBudget {
    /// The most runs, for so many predictors, train and validation examples.
    pub fn runs(self, predictors: usize, train: usize, val: usize) -> u64 {
        let auto = |candidates: f64| {
            let trials = (4.0 * predictors as f64 * candidates.log2()).max(1.5 * candidates) as u64;
            let full = (trials + 1) / 5 + 1 + u64::from(trials < 5);
            val as u64 * (1 + full) + 5 * candidates as u64 + 35 * trials
        };
        match self {
            GepaBudget::Light => auto(6.0),
            GepaBudget::Medium => auto(12.0),
            GepaBudget::Heavy => auto(18.0),
            GepaBudget::MaxFullEvals(n) => n.saturating_mul((train + val) as u64),
            GepaBudget::MaxMetricCalls(n) => n,
        }
    }
}

/// Which predictors of a parent a proposal rewrites, among those that its minibatch shows at work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComponentSelection {
    /// One, each in its turn; a child goes on where its parent is.
    #[default]
    RoundRobin,
    /// All of them, in one child.
    All,
}

impl ComponentSelection {
    /// The places of those to rewrite, and whose turn it is then. `shown` says which are at work.
    pub(super) fn choose(self, turn: usize, shown: &[bool]) -> (Vec<usize>, usize) {
        let is_shown = |place: &usize| shown.get(*place).copied().unwrap_or_default();
        match self {
            ComponentSelection::All => ((0..shown.len()).filter(is_shown).collect(), turn),
            ComponentSelection::RoundRobin => {
                let mut order = (turn..turn + shown.len()).map(|i| i % shown.len());
                match order.find(is_shown) {
                    Some(place) => (vec![place], (place + 1) % shown.len()),
                    None => (Vec::new(), turn),
                }
            }
        }
    }
}

/// Which train examples a minibatch has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MinibatchSampling {
    /// The next of a shuffle, a new one when all were used: each example comes about equally often.
    #[default]
    EpochShuffled,
    /// Any, drawn anew for each minibatch.
    Random,
}

impl MinibatchSampling {
    /// The places of the minibatch of this number, of `size` among `n` examples, in order. The rng
    /// is that of the whole search.
    pub(in crate::optimize) fn draw(
        self,
        number: usize,
        size: usize,
        n: usize,
        rng: &Rng,
    ) -> Vec<usize> {
        let size = size.clamp(1, n.max(1));
        let mut places = match self {
            MinibatchSampling::Random => rng.derive(&format!("batch {number}")).sample(n, size),
            MinibatchSampling::EpochShuffled => {
                let batches = n.div_ceil(size).max(1);
                let mut order: Vec<usize> = (0..n).collect();
                rng.derive(&format!("epoch {}", number / batches)).shuffle(&mut order);
                // The last one of an epoch is filled up from its beginning.
                order
                    .iter()
                    .cycle()
                    .skip(number % batches * size)
                    .take(size.min(n))
                    .copied()
                    .collect()
            }
        };
        places.sort_unstable();
        places
    }
}

/// When a child is worth being validated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Acceptance {
    /// The sum of its scores on the minibatch is above its parent's.
    #[default]
    Improvement,
    /// It is above or equal.
    ImprovementOrEqual,
}

impl Acceptance {
    pub(super) fn accepts(self, parent: f64, child: f64) -> bool {
        match self {
            Acceptance::Improvement => child > parent,
            Acceptance::ImprovementOrEqual => child >= parent,
        }
    }
}

/// Where the parents of one iteration's proposals come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parents {
    /// Each is selected on its own, and has a minibatch of its own.
    #[default]
    Independent,
    /// One parent and one minibatch for all.
    Same,
}

/// Which of one iteration's children that passed their minibatches are validated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// All of them.
    #[default]
    All,
    /// The one that gained most on its minibatch; of equal ones the first.
    Best,
}

/// The proposals of an iteration, made at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Proposals {
    /// How many; at least 1. Default: 1.
    pub count: usize,
    /// Where their parents come from. Default: independent.
    pub parents: Parents,
    /// Which children are validated. Default: all.
    pub keep: Keep,
}

impl Default for Proposals {
    fn default() -> Self {
        Self { count: 1, parents: Parents::Independent, keep: Keep::All }
    }
}

/// The objectives of these names: `quality` is the metric's score, `tokens` and `latency` (in
/// milliseconds) are a run's and better when lower, every other name is one of the metric's own.
pub(super) fn objectives(names: &[Arc<str>]) -> Vec<Objective> {
    let objective = |name: &Arc<str>| Objective {
        name: name.clone(),
        direction: match &**name {
            "tokens" | "latency" => Direction::Minimize,
            _ => Direction::Maximize,
        },
    };
    names.iter().map(objective).collect()
}

/// What a run achieved of each; not a number where the metric says nothing of it.
pub(super) fn achieved(names: &[Arc<str>], run: &Run) -> Vec<f64> {
    let value = |name: &Arc<str>| match &**name {
        "quality" => run.score,
        "tokens" => (run.usage.prompt_tokens + run.usage.completion_tokens) as f64,
        "latency" => run.millis as f64,
        _ => run.objectives.get(name).copied().unwrap_or(f64::NAN),
    };
    names.iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_those_of_the_source() {
        let auto = |budget: GepaBudget| [50, 100, 300].map(|val| budget.runs(1, 0, val));
        assert_eq!(auto(GepaBudget::Light), [580, 780, 1580]);
        assert_eq!(auto(GepaBudget::Medium), [940, 1190, 2190]);
        assert_eq!(auto(GepaBudget::Heavy), [1385, 1735, 3135]);
        assert_eq!(GepaBudget::MaxFullEvals(3).runs(9, 20, 10), 90);
        assert_eq!(GepaBudget::MaxMetricCalls(7).runs(9, 20, 10), 7);
    }

    #[test]
    fn components_take_turns_and_those_not_at_work_are_passed_over() {
        let robin = ComponentSelection::RoundRobin;
        assert_eq!(robin.choose(0, &[true, true, true]), (vec![0], 1));
        assert_eq!(robin.choose(2, &[true, true, true]), (vec![2], 0));
        assert_eq!(robin.choose(1, &[true, false, false]), (vec![0], 1));
        assert_eq!(robin.choose(1, &[false, false]), (vec![], 1));
        assert_eq!(robin.choose(0, &[]), (vec![], 0));
        assert_eq!(ComponentSelection::All.choose(1, &[true, false, true]), (vec![0, 2], 1));
    }

    #[test]
    fn an_epoch_uses_every_example_before_any_comes_again() {
        let rng = Rng::new(1);
        let batch = |number| MinibatchSampling::EpochShuffled.draw(number, 3, 10, &rng);
        let mut used: Vec<usize> = (0..4).flat_map(batch).collect();
        assert_eq!(used.len(), 12);
        used.sort_unstable();
        used.dedup();
        assert_eq!(used, (0..10).collect::<Vec<_>>());
        assert_ne!(batch(0), batch(4), "another epoch, another order");
        for number in 0..9 {
            let mut places = batch(number);
            places.dedup();
            assert_eq!(places.len(), 3, "no example twice in a minibatch");
        }
        let few = MinibatchSampling::EpochShuffled.draw(5, 3, 2, &rng);
        assert_eq!(few, [0, 1]);
        assert!(MinibatchSampling::EpochShuffled.draw(5, 3, 0, &rng).is_empty());
        let random: Vec<usize> =
            (0..4).flat_map(|n| MinibatchSampling::Random.draw(n, 3, 10, &rng)).collect();
        let mut distinct = random.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(random.len(), 12);
        assert!(distinct.len() < 10, "drawn anew, so that some came again: {random:?}");
    }

    #[test]
    fn objectives_are_read_from_runs() {
        let names: Vec<Arc<str>> =
            ["quality", "tokens", "latency", "polite", "kind"].map(Arc::from).to_vec();
        let mut run = Run { score: 0.5, millis: 7, ..Run::default() };
        (run.usage.prompt_tokens, run.usage.completion_tokens) = (10, 2);
        run.objectives.insert("polite".into(), 0.25);
        let values = achieved(&names, &run);
        assert_eq!(values[..4], [0.5, 12.0, 7.0, 0.25]);
        assert!(values[4].is_nan());
        let directions: Vec<Direction> =
            objectives(&names).into_iter().map(|o| o.direction).collect();
        use Direction::{Maximize, Minimize};
        assert_eq!(directions, [Maximize, Minimize, Minimize, Maximize, Maximize]);
    }
}
