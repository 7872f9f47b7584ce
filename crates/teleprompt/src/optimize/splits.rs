//! Which examples a compile trains on, chooses by and is measured on.

use std::collections::HashSet;
use std::sync::Arc;

use teleprompt_core::{Example, Field, Record, Result, Signature};

use crate::data::{Dataset, Rng, Share, Splitter};
use crate::saved::check::fit_demo;

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
        let mut splits = Self { train, val, test, measured_on, remarks };
        splits.look_for_overlap();
        Ok(splits)
    }

    /// Test examples that were given and are among the others prove nothing.
    fn look_for_overlap(&mut self) {
        if self.measured_on == MeasuredOn::Used {
            return;
        }
        let inputs = |e: &Example| e.inputs().to_json().to_string();
        let known: HashSet<String> = self.train.iter().chain(self.val.iter()).map(inputs).collect();
        let (n, seen) = (self.test.len(), &known);
        let shared = self.test.iter().filter(|e| seen.contains(&inputs(e))).count();
        if shared == 0 {
            return;
        }
        self.remarks.push(format!(
            "{shared} of {n} test examples are among the train or validation examples, too"
        ));
        if 10 * shared > n {
            self.measured_on = MeasuredOn::Used;
        }
    }

    /// Says which train examples have outputs that are not of the program's types: they make no
    /// demonstrations.
    pub fn look_for_misfits(&mut self, interface: &Signature) {
        let labels = |e: &Example| -> Record {
            let of = |field: &Field| Some((field.name.clone(), e.fields.get(&field.name)?.clone()));
            interface.fields().filter_map(of).collect()
        };
        let labelled = |e: &Example| interface.outputs().iter().any(|f| e.fields.contains(&f.name));
        let misfit = |(i, e): (usize, &Example)| {
            let why = fit_demo(&labels(e), interface).err().filter(|_| labelled(e))?;
            Some((i, why))
        };
        let mut misfits = self.train.iter().enumerate().filter_map(misfit);
        let Some((first, why)) = misfits.next() else { return };
        let (n, all) = (1 + misfits.count(), self.train.len());
        self.remarks.push(format!(
            "{n} of {all} train examples do not fit the program and make no demonstrations; the first is \
             train example {}: {why}",
            first + 1
        ));
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
