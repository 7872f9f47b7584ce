//! Fitting the rules of decisions to a metric, on recorded evidence and without a call.
//!
//! A [`Decision`](teleprompt_core::Decision) keeps its cuts outside of the prompt, so that other cuts
//! change no request: what a run recorded ([`TraceStep::evidence`](teleprompt_core::TraceStep)) is
//! enough to know what any rule would have given. [`fit`] searches one number of the rule at a time
//! and takes what it found only if it also wins on examples that it was not fitted on.

mod candidates;
mod search;

use teleprompt_core::{Decider, Evidence, Labels, Rule};

use crate::data::Rng;
use search::{SAME, Table};

pub use candidates::candidates;

/// Parts for cross-validation.
const FOLDS: usize = 5;

/// Fewest rows with evidence that a rule is fitted to.
pub const FEWEST_ROWS: usize = 2 * FOLDS;

/// The rule that decides as plain reading of the probabilities does: true from a half, the likeliest
/// label, the nearest level.
///
/// ```
/// use teleprompt::optimize::propose::decide::default_rule;
/// use teleprompt::{Labels, Rule, Signature};
/// let signature: Signature = "review -> stars: int(1..3)".parse()?;
/// let labels = Labels::of(&signature.outputs()[0].ty).unwrap();
/// assert_eq!(default_rule(&labels), Rule::Cuts(vec![0.5, 1.5]));
/// # Ok::<(), teleprompt::SignatureError>(())
/// ```
pub fn default_rule(labels: &Labels) -> Rule {
    if labels.is_bool() {
        Rule::Threshold(0.5)
    } else if labels.is_levels() {
        Rule::even_cuts(labels.values().len())
    } else {
        Rule::Weights([].into())
    }
}

/// What [`fit`] found.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// The rule to use: the fitted one if it was accepted, else the one that was there.
    pub rule: Rule,
    /// The mean score of the rule that was there, over all rows. Higher is better.
    pub before: f64,
    /// The mean score of the best rule found, over the rows it was fitted on: optimistic.
    pub after: f64,
    /// The mean score of rules that were each fitted on the other rows; compare it to `before`.
    pub held_out: f64,
    /// Whether the rule is the fitted one.
    pub accepted: bool,
    /// The reason, in words.
    pub why: String,
}

/// Fits a rule to a score, on evidence that was recorded.
///
/// `score` tells how good a value would have been for a row, by its place; higher is better. It is
/// asked once for each row and value; what is no finite number counts as 0. The number of the rule
/// that is moved first is the first in declaration order; each gets the value with the highest sum
/// of scores, of equal ones that with the widest gap between the rows around it, and all are gone
/// through until nothing changes. The result is accepted only if it is strictly better than `start`
/// over all rows and if rules fitted on four fifths, each scored on the last fifth, together are,
/// too; the fifths are drawn by the seed. Rows without evidence count with what the LM said.
///
/// That is no test of significance: of rules fitted to scores that have nothing to do with the
/// evidence, about four in ten pass on 40 rows. Judge the program with the new rule on other examples.
///
/// Source: the procedure of DSPy 3.4's ReAnchor, with each candidate scored from a table where that
/// one runs the program.
///
/// # Errors
/// The rule does not fit the labels.
///
/// ```
/// use teleprompt::optimize::propose::decide::fit;
/// use teleprompt::{Evidence, Labels, Rule, Type};
/// // The LM is shy: it says true too seldom.
/// let rows: Vec<Evidence> = (0..20)
///     .map(|i| Evidence {
///         said: false.into(),
///         labels: [("true".into(), f64::from(i) / 50.0), ("false".into(), 1.0 - f64::from(i) / 50.0)]
///             .into(),
///     })
///     .collect();
/// let labels = Labels::of(&teleprompt::Kind::Bool.into()).unwrap();
/// let right = |row: usize, value: &serde_json::Value| f64::from(*value == (row >= 10));
/// let fitted = fit(&labels, &rows, &right, &Rule::Threshold(0.5), 1)?;
/// assert!(fitted.accepted);
/// assert_eq!((fitted.rule, fitted.after), (Rule::Threshold(0.19), 1.0));
/// # Ok::<(), String>(())
/// ```
pub fn fit(
    labels: &Labels,
    rows: &[Evidence],
    score: &dyn Fn(usize, &serde_json::Value) -> f64,
    start: &Rule,
    seed: u64,
) -> Result<Fitted, String> {
    // What a user wrote is checked here; what is searched from it is sound by construction.
    Decider::new(labels.clone(), start)?;
    let table = Table::new(labels, rows, score);
    let all: Vec<usize> = (0..rows.len()).collect();
    let mean = |sum: f64| if rows.is_empty() { 0.0 } else { sum / rows.len() as f64 };
    let before = table.total(start, &all);
    let known = table.known();
    if known < FEWEST_ROWS {
        let why = format!("{known} rows have evidence, and it takes {FEWEST_ROWS}");
        return Ok(kept(start, mean(before), mean(before), mean(before), why));
    }
    let (rule, after) = search::best(&table, &all, start);
    let held_out: f64 = folds(rows.len(), seed)
        .into_iter()
        .map(|held| {
            let others: Vec<usize> = all.iter().copied().filter(|i| !held.contains(i)).collect();
            table.total(&search::best(&table, &others, start).0, &held)
        })
        .sum();
    let (before, after, held_out) = (mean(before), mean(after), mean(held_out));
    if after <= before + SAME {
        let why = "no rule is better on these rows".to_owned();
        return Ok(kept(start, before, after, held_out, why));
    }
    let compared = format!("on rows held out {held_out:.3}, before {before:.3}");
    if held_out <= before + SAME {
        let why = format!("better only on the rows it was fitted on: {compared}");
        return Ok(kept(start, before, after, held_out, why));
    }
    let why = format!("better, also {compared}");
    Ok(Fitted { rule, before, after, held_out, accepted: true, why })
}

fn kept(start: &Rule, before: f64, after: f64, held_out: f64, why: String) -> Fitted {
    Fitted { rule: start.clone(), before, after, held_out, accepted: false, why }
}

/// The rows in as many parts as there are folds, drawn by the seed.
fn folds(rows: usize, seed: u64) -> Vec<Vec<usize>> {
    let mut places: Vec<usize> = (0..rows).collect();
    Rng::new(seed).derive("folds").shuffle(&mut places);
    let part = |fold: usize| places.iter().copied().skip(fold).step_by(FOLDS).collect();
    (0..FOLDS).map(part).collect()
}

#[cfg(test)]
mod tests;
