//! Taking an LM's liking for some labels off.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use teleprompt_core::{
    Capabilities, Constraint, Kind, LabelBias, Limits, Lm, LmError, LmHandle, LmRequest,
    LmResponse, Module, Parameters, ProgramState, Result, Signature,
};

use crate::data::Rng;
use crate::optimize::Task;
use crate::optimize::study::{Calibration, Event};

/// Labels are told apart by the likeliest first tokens; this many hold all that matters.
const RIVALS: u32 = 64;

/// The log-probability of a label that is not among them.
const UNSEEN: f32 = -12.0;

/// Learns, for predictors whose first output is an enum of texts, what to add to the LM's liking for
/// each label, so that over the inputs of some train examples (their labels are not looked at) all
/// labels are liked alike. Small LMs prefer labels that they saw last or often, whatever the
/// question; this often is worth more than further demonstrations.
///
/// Source: Zhao et al. 2021, arXiv 2102.09690 (contextual calibration), with real inputs in place of
/// content-free ones as in Fei et al. 2023, arXiv 2305.19148 (domain-context calibration).
/// It takes an LM that tells log-probabilities and applies a bias, as the embedded engine does; for
/// others the state comes back as it was. It assumes that labels are about equally frequent.
///
/// # Errors
/// Fatal errors of the LM, the budget or the journal.
pub async fn calibrate(
    task: &Task<'_>,
    mut state: ProgramState,
    examples: usize,
) -> Result<ProgramState> {
    let able = task.cx.lm().capabilities();
    let labelled: Vec<_> =
        task.predictors.iter().filter_map(|(p, s)| Some((p.clone(), s, labels(s)?))).collect();
    if examples == 0 || labelled.is_empty() || !(able.logprobs && able.label_bias) {
        return Ok(state);
    }
    let calibration = measure(task, &state, examples).await?;
    for (path, signature, labels) in labelled {
        let mut parameters = state.get(&path).map(|p| (**p).clone()).unwrap_or_default();
        let grammar = grammar(task, &parameters, signature);
        let seen = calibration.seen.iter().filter(|(g, _)| *g == grammar).map(|(_, tops)| tops);
        parameters.label_bias = bias(&labels, seen);
        state.insert(path, parameters);
    }
    Ok(state)
}

/// The labels of the first output, if it is an enum of several texts.
fn labels(signature: &Signature) -> Option<Vec<Arc<str>>> {
    let first = signature.outputs().first()?;
    let Kind::Enum(values) = &first.ty.kind else { return None };
    let texts: Option<Vec<Arc<str>>> =
        values.iter().map(|v| Some(Arc::from(v.as_str()?))).collect();
    texts.filter(|t| t.len() > 1)
}

/// What tells a predictor's requests from another's.
fn grammar(task: &Task<'_>, parameters: &Parameters, signature: &Signature) -> String {
    let constraint = task.cx.adapter().constraint(&parameters.apply(signature));
    constraint.as_ref().map(key).unwrap_or_default()
}

fn key(constraint: &Constraint) -> String {
    let schema = constraint.json_schema.as_ref().map(|s| s.to_string());
    let text = constraint.lark.as_deref().map(str::to_owned).or(schema).unwrap_or_default();
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// The mean log-probability of each label, turned around and centred.
fn bias<'t>(labels: &[Arc<str>], seen: impl Iterator<Item = &'t Vec<(String, f32)>>) -> LabelBias {
    let mut sums: BTreeMap<Arc<str>, f32> = labels.iter().map(|l| (l.clone(), 0.0)).collect();
    let mut n = 0.0f32;
    for top in seen {
        n += 1.0;
        for (label, sum) in &mut sums {
            let begins = |(token, _): &&(String, f32)| {
                !token.is_empty() && label.starts_with(token.as_str())
            };
            let best = top.iter().filter(begins).map(|(_, p)| *p).fold(UNSEEN, f32::max);
            *sum += best;
        }
    }
    if n == 0.0 {
        return LabelBias::new();
    }
    let mean = sums.values().sum::<f32>() / sums.len() as f32;
    // Rounded, so that files stay readable and equal on all machines.
    sums.into_iter()
        .map(|(label, sum)| (label, ((mean - sum) / n * 1000.0).round() / 1000.0))
        .collect()
}

/// Runs the program on train inputs and notes what the LM would have liked to answer.
async fn measure(task: &Task<'_>, state: &ProgramState, examples: usize) -> Result<Calibration> {
    let mut places: Vec<usize> = (0..task.train.len()).collect();
    Rng::new(task.seed).derive("calibrate").shuffle(&mut places);
    places.truncate(examples);
    let inputs: Vec<_> = places.iter().filter_map(|i| task.train.get(*i)).collect();
    let key = task.calibration_key(state, &inputs);
    if let Some(known) = task.study.calibration(&key) {
        return Ok(known);
    }
    let probe = Probe { inner: task.cx.lm().clone(), seen: Arc::default() };
    let cx = task.cx.with_candidate(Arc::new(state.clone())).with_limits(Limits::default());
    let cx = cx.with_lm(LmHandle::new(probe.clone()));
    let mut waiting = inputs.into_iter();
    let mut running = FuturesUnordered::new();
    loop {
        while running.len() < task.concurrency {
            let Some(example) = waiting.next() else { break };
            running.push(task.program.call(&cx, example.inputs()));
        }
        match running.next().await {
            Some(Err(error)) if error.is_fatal() => return Err(error),
            Some(_) => {}
            None => break,
        }
    }
    let seen = probe.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let calibration = Calibration { seen, usage: cx.meter().usage() };
    task.study.record(Event::Calibrated {
        key,
        calibration: calibration.clone(),
        inherited: false,
    })?;
    Ok(calibration)
}

/// By grammar, the likeliest first tokens of each reply.
type Seen = Vec<(String, Vec<(String, f32)>)>;

/// Asks for log-probabilities and keeps those of the first token that was freely chosen.
#[derive(Clone)]
struct Probe {
    inner: LmHandle,
    seen: Arc<Mutex<Seen>>,
}

impl Lm for Probe {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let mut asked = request.clone();
        asked.settings.logprobs = Some(RIVALS);
        asked.label_bias = None;
        let response = self.inner.generate(&asked).await?;
        let chosen = response.completions.first().and_then(|c| c.logprobs.as_ref());
        let free = chosen.and_then(|tokens| tokens.iter().find(|t| !t.top.is_empty()));
        if let (Some(token), Some(constraint)) = (free, &request.constraint) {
            let entry = (key(constraint), token.top.clone());
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
        }
        Ok(response)
    }
    fn name(&self) -> &str {
        self.inner.name()
    }
    fn identity(&self) -> String {
        self.inner.identity()
    }
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
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
