//! Which examples a compile trains on, chooses by and is measured on.

use std::collections::HashSet;
use std::sync::Arc;

use teleprompt_core::{Error, Result};

use crate::data::{Dataset, Rng, Share, Splitter};

/// The smallest split that is set aside: a score of fewer examples says nothing.
const FEWEST: usize = 4;

/// The examples of a compile.
#[derive(Clone, Debug)]
pub(super) struct Splits {
    pub train: Dataset,
    pub val: Dataset,
    pub test: Dataset,
    /// The test examples were not given but set aside from others.
    pub held_back: bool,
}

impl Splits {
    /// Takes what is given and sets the rest aside: a third of the validation examples, or else a
    /// quarter of the train examples, becomes the test split; a third of the train examples that
    /// remain becomes the validation split where the optimizer needs one.
    pub fn new(
        train: &Dataset,
        val: Option<&Dataset>,
        test: Option<&Dataset>,
        validates: bool,
        seed: u64,
    ) -> Result<Self> {
        let seed = |part: &str| Rng::new(seed).derive(part).seed();
        let mut train = train.clone();
        let mut val = val.cloned();
        let held_back = test.is_none();
        let test = match (test, &mut val) {
            (Some(test), _) => test.clone(),
            (None, Some(val)) => set_aside(val, val.len() / 3, "test", seed("test"))?,
            (None, None) => {
                let n = train.len() / 4;
                set_aside(&mut train, n, "test", seed("test"))?
            }
        };
        let val = match val {
            Some(val) => val,
            None if validates => {
                let n = train.len() / 3;
                set_aside(&mut train, n, "validation", seed("val"))?
            }
            None => train.take(0),
        };
        Ok(Self { train, val, test, held_back })
    }
}

/// Takes `n` examples out at random, near-duplicates of them too, balanced over their label.
fn set_aside(data: &mut Dataset, n: usize, what: &str, seed: u64) -> Result<Dataset> {
    if n < FEWEST {
        return Err(Error::Data(format!(
            "{}: {} examples are too few to set {what} examples aside; give more, or give {what} \
             examples of their own",
            data.name(),
            data.len()
        )));
    }
    let mut splitter =
        Splitter::new(seed).train(Share::Rest).val(Share::Count(0)).test(Share::Count(n));
    if let Some(label) = label_of(data) {
        splitter = splitter.stratify(label);
    }
    let split = splitter.split(data)?;
    *data = split.train;
    Ok(split.test)
}

/// The only label, if few values of it stand for many examples.
fn label_of(data: &Dataset) -> Option<Arc<str>> {
    let first = data.first()?.labels();
    let mut names = first.iter().map(|(name, _)| name.clone());
    let name = names.next().filter(|_| names.next().is_none())?;
    let values: HashSet<String> = data.iter().map(|e| e[&*name].to_string()).collect();
    (values.len() * 4 <= data.len()).then_some(name)
}
