//! Which examples a compile trains on, chooses by and is measured on.

use teleprompt_core::{Error, Example, Result};

use crate::data::{Rng, balanced_order};

/// The smallest split that is worth measuring on.
const FEWEST: usize = 4;

/// The examples of a compile.
#[derive(Clone, Debug)]
pub(super) struct Splits {
    pub train: Vec<Example>,
    pub val: Vec<Example>,
    pub test: Vec<Example>,
    /// The test examples were not given but set aside from others.
    pub held_back: bool,
}

impl Splits {
    /// Takes what is given and sets the rest aside: a third of the validation examples, or else a
    /// quarter of the train examples, becomes the test split; a third of the train examples that
    /// remain becomes the validation split where the optimizer needs one.
    pub fn new(
        train: &[Example],
        val: Option<&[Example]>,
        test: Option<&[Example]>,
        validates: bool,
        seed: u64,
    ) -> Result<Self> {
        let rng = Rng::new(seed).derive("splits");
        let mut train = train.to_vec();
        let mut val = val.map(<[Example]>::to_vec);
        let held_back = test.is_none();
        let test = match (test, &mut val) {
            (Some(test), _) => test.to_vec(),
            (None, Some(val)) => take(val, val.len() / 3, &rng.derive("test")),
            (None, None) => take(&mut train, train.len() / 4, &rng.derive("test")),
        };
        let val = match val {
            Some(val) => val,
            None if validates => take(&mut train, train.len() / 3, &rng.derive("val")),
            None => Vec::new(),
        };
        let splits = Self { train, val, test, held_back };
        splits.check(validates)?;
        Ok(splits)
    }

    fn check(&self, validates: bool) -> Result<()> {
        let enough = |name: &str, examples: &[Example], least: usize| {
            if examples.len() >= least {
                return Ok(());
            }
            Err(Error::Data(format!(
                "{} {name} examples are too few (at least {least}); give more data",
                examples.len()
            )))
        };
        enough("train", &self.train, 1)?;
        enough("test", &self.test, if self.held_back { FEWEST } else { 1 })?;
        enough("validation", &self.val, if validates { 1 } else { 0 })
    }
}

/// Takes `n` examples out at random, balanced over their labels.
fn take(examples: &mut Vec<Example>, n: usize, rng: &Rng) -> Vec<Example> {
    let chosen = balanced_order(examples, &mut rng.clone());
    let chosen: std::collections::HashSet<usize> = chosen.into_iter().take(n).collect();
    let mut taken = Vec::with_capacity(n);
    let mut kept = Vec::with_capacity(examples.len());
    for (i, example) in examples.drain(..).enumerate() {
        if chosen.contains(&i) { taken.push(example) } else { kept.push(example) }
    }
    *examples = kept;
    taken
}
