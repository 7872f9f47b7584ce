//! Which examples a compile trains on, chooses by and is measured on.

use std::collections::HashSet;
use std::sync::Arc;

use teleprompt_core::Result;

use crate::data::{Dataset, Rng, Share, Splitter};

/// The smallest split that is set aside: a score of fewer examples says nothing.
const FEWEST: usize = 4;

/// The examples of a compile.
#[derive(Clone, Debug)]
pub(super) struct Splits {
    pub train: Dataset,
    pub val: Dataset,
    pub test: Dataset,
    pub measured_on: MeasuredOn,
    /// What had to be done for want of examples, in words.
    pub remarks: Vec<String>,
}

/// Where the test examples come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MeasuredOn {
    /// They were given.
    Test,
    /// They were set aside from others.
    HeldBack,
    /// There were too few to set any aside: they were used for choosing, too.
    Used,
}

impl MeasuredOn {
    pub fn name(self) -> &'static str {
        match self {
            MeasuredOn::Test => "test",
            MeasuredOn::HeldBack => "held-back",
            MeasuredOn::Used => "used",
        }
    }
}

impl Splits {
    /// Takes what is given and sets the rest aside: a third of the validation examples, or else a
    /// quarter of the train examples, becomes the test split; a third of the train examples that
    /// remain becomes the validation split where the optimizer needs one. Of too few examples none is
    /// set aside: they serve twice, and the report says so.
    pub fn new(
        train: &Dataset,
        val: Option<&Dataset>,
        test: Option<&Dataset>,
        validates: bool,
        seed: u64,
    ) -> Result<Self> {
        let seed = |part: &str| Rng::new(seed).derive(part).seed();
        let mut remarks = Vec::new();
        let (mut train, mut val) = (train.clone(), val.cloned());
        let (test, measured_on) = match (test, &mut val) {
            (Some(test), _) => (test.clone(), MeasuredOn::Test),
            (None, Some(val)) => held_back(val, 3, seed("test"), &mut remarks)?,
            (None, None) => held_back(&mut train, 4, seed("test"), &mut remarks)?,
        };
        let val = match val {
            Some(val) => val,
            None if validates && train.len() / 3 >= FEWEST => {
                let n = train.len() / 3;
                set_aside(&mut train, n, seed("val"))?
            }
            None if validates => {
                remarks.push(format!(
                    "{} train examples are too few to set any aside: candidates are chosen on the \
                     examples they are made of",
                    train.len()
                ));
                train.clone()
            }
            None => train.take(0),
        };
        Ok(Self { train, val, test, measured_on, remarks })
    }
}

/// One example in `part`, or all of them where that would be too few.
fn held_back(
    data: &mut Dataset,
    part: usize,
    seed: u64,
    remarks: &mut Vec<String>,
) -> Result<(Dataset, MeasuredOn)> {
    let n = data.len() / part;
    if n >= FEWEST {
        return Ok((set_aside(data, n, seed)?, MeasuredOn::HeldBack));
    }
    remarks.push(format!(
        "{} examples are too few to hold some back: the score is on examples that were used, and \
         proves nothing",
        data.len()
    ));
    Ok((data.clone(), MeasuredOn::Used))
}

/// Takes `n` examples out at random, near-duplicates of them too, balanced over their label.
fn set_aside(data: &mut Dataset, n: usize, seed: u64) -> Result<Dataset> {
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
