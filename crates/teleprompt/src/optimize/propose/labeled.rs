//! Demonstrations straight from labelled examples.

use std::collections::BTreeMap;

use teleprompt_core::{Example, Record, Signature};

use crate::data::Rng;
use crate::saved::check::fit_demo;

/// At most `k` demonstrations for a predictor, drawn from examples that have its fields.
///
/// An example serves if it has all inputs that may not be null and at least one output, and its values
/// are of the fields' types; other
/// columns are left out, so that a predictor never sees another one's fields. Where the signature
/// has exactly one output with a fixed set of values, the draw is balanced: each value that occurs
/// comes about equally often, which matters more for small LMs than any wording (they answer with
/// what they saw most). The order is random.
///
/// Returns the example's place with each demonstration.
pub fn labeled_demos(
    signature: &Signature,
    examples: &[Example],
    k: usize,
    rng: &mut Rng,
) -> Vec<(usize, Record)> {
    let mut pool: Vec<(usize, Record)> = examples
        .iter()
        .enumerate()
        .filter_map(|(i, example)| Some((i, project(signature, example)?)))
        .collect();
    rng.shuffle(&mut pool);
    if let Some(label) = balanced_by(signature) {
        pool = round_robin(pool, label);
    }
    pool.truncate(k);
    rng.shuffle(&mut pool);
    pool
}

/// The fields of the signature that the example has, if they make a demonstration.
fn project(signature: &Signature, example: &Example) -> Option<Record> {
    let mut demo = Record::new();
    for field in signature.inputs() {
        match example.fields.get(&field.name) {
            Some(value) => demo.insert(field.name.clone(), value.clone()),
            None if field.ty.is_nullable(signature.defs()) => {}
            None => return None,
        }
    }
    let inputs = demo.len();
    for field in signature.outputs() {
        if let Some(value) = example.fields.get(&field.name).filter(|v| !v.is_null()) {
            demo.insert(field.name.clone(), value.clone());
        }
    }
    // A mistyped label would make a demonstration that a saved program may not have.
    if demo.len() > inputs { fit_demo(&demo, signature).ok() } else { None }
}

/// The one output with a fixed set of values.
fn balanced_by(signature: &Signature) -> Option<&str> {
    let mut limited = signature
        .outputs()
        .iter()
        .filter(|f| f.ty.choices().is_some() || f.ty.kind == teleprompt_core::Kind::Bool);
    let first = limited.next()?;
    limited.next().is_none().then_some(&*first.name)
}

/// One of each label in turn; labels in the order in which they first occur.
fn round_robin(pool: Vec<(usize, Record)>, label: &str) -> Vec<(usize, Record)> {
    let mut order: Vec<String> = Vec::new();
    let mut queues: BTreeMap<String, Vec<(usize, Record)>> = BTreeMap::new();
    for entry in pool {
        let value = entry.1.get(label).map(ToString::to_string).unwrap_or_default();
        let queue = queues.entry(value.clone()).or_insert_with(|| {
            order.push(value);
            Vec::new()
        });
        queue.push(entry);
    }
    queues.values_mut().for_each(|queue| queue.reverse());
    let mut out = Vec::new();
    loop {
        let before = out.len();
        out.extend(order.iter().filter_map(|value| queues.get_mut(value)?.pop()));
        if out.len() == before {
            return out;
        }
    }
}
