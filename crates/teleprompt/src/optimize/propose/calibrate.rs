//! Taking an LM's liking for some labels off.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use teleprompt_core::{
    Constraint, Example, Kind, LabelBias, Limits, Lm, LmError, LmHandle, LmRequest, LmResponse,
    Module, ProgramState, Result, Signature,
};

use super::words::in_order;
use crate::data::Rng;
use crate::lm::forward::forward;
use crate::optimize::Task;
use crate::optimize::study::{Calibration, Event, Part};
use crate::optimize::task::{Bill, over};

/// Labels are told apart by the likeliest first tokens; this many hold all that matters.
const RIVALS: u32 = 64;

/// The log-probability of a label that is not among them.
const UNSEEN: f32 = -12.0;

/// Learns, for predictors whose first output is an enum of texts, what to add to the LM's liking for
/// each label, so that over the inputs of some train examples (their labels are not looked at) all
/// labels are liked alike. Small LMs prefer labels that they saw last or often, whatever the
/// question; this often is worth more than further demonstrations.
///
/// It is measured as the candidate will run: with `state` laid over [`Task::base`], and with the LM
/// that each predictor names. The inputs run one by one through the study, so that none is paid
/// again.
///
/// Source: Zhao et al. 2021, arXiv 2102.09690 (contextual calibration), with real inputs in place of
/// content-free ones as in Fei et al. 2023, arXiv 2305.19148 (domain-context calibration).
/// It takes an LM that tells log-probabilities and applies a bias, as the embedded engine does; for
/// others the state comes back as it was. It assumes that labels are about equally frequent.
///
/// # Errors
/// Fatal errors of the LM, the budget or the journal, or a stop condition.
pub async fn calibrate(
    task: &Task<'_>,
    mut state: ProgramState,
    examples: usize,
) -> Result<ProgramState> {
    let labelled: Vec<Labelled> =
        task.predictors.iter().filter_map(|one| Labelled::of(task, &state, one)).collect();
    if examples == 0 || labelled.is_empty() {
        return Ok(state);
    }
    let seen = measure(task, &state, &labelled, examples).await?;
    for one in labelled {
        let mut parameters = state.get(&one.path).map(|p| (**p).clone()).unwrap_or_default();
        let tops = seen.iter().filter(|(kind, _)| *kind == one.kind).map(|(_, tops)| tops);
        parameters.label_bias = bias(&one.labels, tops);
        state.insert(one.path, parameters);
    }
    Ok(state)
}

/// A predictor whose labels can be calibrated.
struct Labelled {
    path: Arc<str>,
    labels: Vec<Arc<str>>,
    lm: Option<Arc<str>>,
    /// What its requests are told from others by.
    kind: String,
}

impl Labelled {
    fn of(task: &Task<'_>, state: &ProgramState, one: &(Arc<str>, Signature)) -> Option<Self> {
        let (path, signature) = one;
        let labels = labels(signature)?;
        let below = task.parameters(path);
        let parameters = state.get(path).map_or_else(|| below.clone(), |own| own.or(&below));
        // An LM that the context does not have is an error of the runs.
        let lm = task.cx.lm_named(parameters.lm.as_deref()).ok()?;
        let able = lm.capabilities();
        let constraint = task.cx.adapter().constraint(&parameters.apply(signature))?;
        let kind = kind(&constraint, lm);
        let lm = parameters.lm;
        (able.logprobs && able.label_bias).then(|| Self { path: path.clone(), labels, lm, kind })
    }
}

/// The labels of the first output, if it is an enum of several texts.
fn labels(signature: &Signature) -> Option<Vec<Arc<str>>> {
    let first = signature.outputs().first()?;
    let Kind::Enum(values) = &first.ty.kind else { return None };
    let texts: Option<Vec<Arc<str>>> =
        values.iter().map(|v| Some(Arc::from(v.as_str()?))).collect();
    texts.filter(|t| t.len() > 1)
}

fn kind(constraint: &Constraint, lm: &LmHandle) -> String {
    let schema = constraint.json_schema.as_ref().map(|s| s.to_string());
    let text = constraint.lark.as_deref().map(str::to_owned).or(schema).unwrap_or_default();
    let mut hasher = blake3::Hasher::new();
    hasher.update(text.as_bytes());
    hasher.update(lm.identity().as_bytes());
    hasher.finalize().to_hex().to_string()
}

/// The mean log-probability of each label, turned around and centred.
fn bias<'t>(labels: &[Arc<str>], seen: impl Iterator<Item = &'t Vec<(String, f32)>>) -> LabelBias {
    let mut sums: BTreeMap<Arc<str>, f64> = labels.iter().map(|l| (l.clone(), 0.0)).collect();
    let mut n = 0.0f64;
    for top in seen {
        n += 1.0;
        for (label, sum) in &mut sums {
            let begins = |(token, _): &&(String, f32)| {
                !token.is_empty() && label.starts_with(token.as_str())
            };
            let best = top.iter().filter(begins).map(|(_, p)| *p).fold(UNSEEN, f32::max);
            *sum += f64::from(best);
        }
    }
    if n == 0.0 {
        return LabelBias::new();
    }
    let mean = sums.values().sum::<f64>() / sums.len() as f64;
    // Rounded, so that files stay readable and equal on all machines.
    let rounded = |sum: f64| ((mean - sum) / n * 1000.0).round() / 1000.0;
    sums.into_iter().map(|(label, sum)| (label, rounded(sum) as f32)).collect()
}

/// Runs the program on train inputs and notes what the LMs would have liked to answer, in the order
/// of the inputs.
async fn measure(
    task: &Task<'_>,
    state: &ProgramState,
    labelled: &[Labelled],
    examples: usize,
) -> Result<Seen> {
    let mut places: Vec<usize> = (0..task.train.len()).collect();
    Rng::new(task.seed).derive("calibrate").shuffle(&mut places);
    places.truncate(examples);
    let state = Arc::new(over(state, task.base().state()));
    let examples = places.iter().filter_map(|place| task.train.get(*place));
    let keyed = examples.map(|example| (task.calibration_key(&state, example), example));
    // Equal examples, run at the same time, would each be paid.
    let mut once = HashSet::new();
    let keyed = keyed.filter(|(key, _)| once.insert(key.clone()));
    let probed = keyed.map(|(key, example)| probed(task, &state, labelled, key, example));
    Ok(in_order(task, probed).await?.into_iter().flatten().collect())
}

/// What the LMs would have liked to answer to one example's inputs.
async fn probed(
    task: &Task<'_>,
    state: &Arc<ProgramState>,
    labelled: &[Labelled],
    key: String,
    example: &Example,
) -> Result<Seen> {
    // A probe costs what a run costs.
    task.standing.count_run(&key);
    if let Some(known) = task.study.calibration(&key) {
        return Ok(known.seen);
    }
    task.standing.check()?;
    let seen = Arc::default();
    let probe = |lm: &LmHandle| LmHandle::new(Probe { inner: lm.clone(), seen: Arc::clone(&seen) });
    let mut cx = task.cx.with_candidate(state.clone()).with_limits(Limits::default());
    for name in labelled.iter().filter_map(|one| one.lm.clone()) {
        let lm = probe(task.cx.lm_named(Some(&name))?);
        cx = cx.with_named_lm(name, lm);
    }
    let cx = cx.with_lm(probe(task.cx.lm())).with_held_out(example.clone());
    let bill = Bill::open(task.study, [(Part::Evaluation, cx.meter().clone())]);
    match task.program.call(&cx, example.inputs()).await {
        Err(error) if error.is_fatal() => return Err(error),
        _ => {}
    }
    let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
    let calibration = Calibration { seen, usage: cx.meter().usage() };
    task.study.record(Event::Calibrated {
        key,
        calibration: calibration.clone(),
        inherited: false,
    })?;
    bill.settle();
    Ok(calibration.seen)
}

/// By kind of request, the likeliest first tokens of each reply.
type Seen = Vec<(String, Vec<(String, f32)>)>;

/// Asks for log-probabilities and keeps those of the first token that was freely chosen.
#[derive(Clone)]
struct Probe {
    inner: LmHandle,
    seen: Arc<Mutex<Seen>>,
}

impl Lm for Probe {
    forward!(inner);

    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let mut asked = request.clone();
        asked.settings.logprobs = Some(RIVALS);
        asked.label_bias = None;
        let response = self.inner.generate(&asked).await?;
        let chosen = response.completions.first().and_then(|c| c.logprobs.as_ref());
        let free = chosen.and_then(|tokens| tokens.iter().find(|t| !t.top.is_empty()));
        if let (Some(token), Some(constraint)) = (free, &request.constraint) {
            let entry = (kind(constraint, &self.inner), token.top.clone());
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
        }
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bias_makes_all_labels_equally_liked_on_average() {
        let labels: Vec<Arc<str>> = vec!["yes".into(), "no".into()];
        let top = |yes: f32, no: f32| vec![("y".to_owned(), yes), ("no".to_owned(), no)];
        let seen = [top(-0.1, -3.0), top(-0.3, -1.4)];
        let bias = bias(&labels, seen.iter());
        assert_eq!(bias["yes"], -1.0);
        assert_eq!(bias["no"], 1.0);
        let mean = |of: usize| seen.iter().map(|t| t[of].1).sum::<f32>() / 2.0;
        assert!((mean(0) + bias["yes"] - mean(1) - bias["no"]).abs() < 1e-5);
    }
}
