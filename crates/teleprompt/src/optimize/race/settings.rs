//! Which race, with its settings.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::optimize::search::named;

/// How many examples each candidate (entrant) is run on before it is dropped or may win. In all
/// races entrants run on the examples in one random order, so that any two are compared on the same
/// ones, and only an entrant that ran on all of them can win.
///
/// In settings a bare name has the defaults: `"wilcoxon"` is
/// `{"wilcoxon": {"start": 10, "step": 5, "alpha": 0.35}}`. The defaults are for about a hundred
/// examples. Settings below the least that makes sense are raised to it.
///
/// ```
/// use teleprompt::optimize::race::Race;
/// let race: Race = serde_json::from_str(r#"{"minibatch": {"size": 20}}"#)?;
/// assert_eq!(race, Race::Minibatch { size: 20, promote_every: 4 });
/// assert_eq!(serde_json::from_str::<Race>("\"wilcoxon\"")?, Race::wilcoxon());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case", deny_unknown_fields)]
pub enum Race {
    /// Every entrant on every example. The most exact, and the most expensive.
    #[default]
    Full,
    /// Every entrant on one minibatch; now and then the best of those goes on to all examples, and
    /// so do at the end those that still look better than the best complete one. As in MIPROv2
    /// (Opsahl-Ong et al. 2024, arXiv 2406.11695), but all minibatches are the same examples.
    Minibatch {
        /// Examples of the minibatch; at least 1. Default: 25.
        #[serde(default = "size")]
        size: usize,
        /// Entrants after which one is promoted; at least 1. Default: 4.
        #[serde(default = "promote_every")]
        promote_every: usize,
    },
    /// Every entrant on every example, made anew for each fold without its examples: for data too
    /// small to set some aside (Stone 1974).
    KFold {
        /// Parts of the examples; at least 1, at most as many as there are examples. Default: 5.
        #[serde(default = "folds")]
        folds: usize,
    },
    /// All of a bracket of entrants on a few examples, the better part of them on more, until one is
    /// left: successive halving (Jamieson and Talwalkar 2016, arXiv 1502.07943).
    Halving {
        /// Examples of the first round; at least 1. Default: 20.
        #[serde(default = "halving_start")]
        start: usize,
        /// From one round to the next, the examples are this many times more and the entrants this
        /// many times fewer; at least 2. Default: 2.
        #[serde(default = "factor")]
        factor: usize,
        /// Entrants of a bracket; at least 2. Default: 12.
        #[serde(default = "entrants")]
        entrants: usize,
    },
    /// Entrants one by one against the best complete one (the incumbent), dropped as soon as they
    /// are significantly worse on the same examples, by a one-sided signed-rank test.
    ///
    /// One is also dropped when it will hardly catch up: when, were it as good as the incumbent on
    /// the examples left, its chance to make up what it is behind would be below `alpha` (stochastic
    /// curtailment, Lan, Simon and Halperin 1982). Scores need no bounds.
    Wilcoxon {
        /// Examples before the first test; at least 1. Default: 10.
        #[serde(default = "start")]
        start: usize,
        /// Examples between tests; at least 1. Default: 5.
        #[serde(default = "step")]
        step: usize,
        /// Dropped at a p-value or chance below this, from 0 to 1; higher drops more. It is no
        /// level of significance of the whole race: an entrant is tested several times, and what
        /// is wanted is a winner at few runs, not a proof. Default: 0.35.
        #[serde(default = "alpha")]
        alpha: f64,
    },
}

impl Race {
    /// A minibatch race with the defaults.
    pub fn minibatch() -> Self {
        Self::Minibatch { size: size(), promote_every: promote_every() }
    }

    /// Cross-validation with the defaults.
    pub fn k_fold() -> Self {
        Self::KFold { folds: folds() }
    }

    /// Successive halving with the defaults.
    pub fn halving() -> Self {
        Self::Halving { start: halving_start(), factor: factor(), entrants: entrants() }
    }

    /// A signed-rank race with the defaults.
    pub fn wilcoxon() -> Self {
        Self::Wilcoxon { start: start(), step: step(), alpha: alpha() }
    }
}

impl Serialize for Race {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Race::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Race {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        named(deserializer, Race::deserialize)
    }
}

fn size() -> usize {
    25
}

fn promote_every() -> usize {
    4
}

fn folds() -> usize {
    5
}

fn halving_start() -> usize {
    20
}

fn factor() -> usize {
    2
}

fn entrants() -> usize {
    12
}

fn start() -> usize {
    10
}

fn step() -> usize {
    5
}

fn alpha() -> f64 {
    0.35
}
