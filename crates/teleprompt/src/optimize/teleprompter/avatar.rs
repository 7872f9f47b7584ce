//! AvatarOptimizer: instructions rewritten by the contrast of good and bad runs.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use teleprompt_core::{Error, Parameters, ProgramState, Result, Signature};

use crate::data::Rng;
use crate::optimize::propose::{Draft, Subject, compare, outline, rewrite};
use crate::optimize::study::{Run, Split};
use crate::optimize::task::over;
use crate::optimize::{Candidate, Cost, Optimizer, Sizes, Task, mean_score};

/// Runs the program on the train examples, has good and bad runs compared step by step, tool calls
/// included, and rewrites the instructions by what is found; a rewrite that does better on the train
/// examples is what the next one starts from.
///
/// The winner is chosen by the validation examples among the rewrites that did better. Cost:
/// `(max_iters + 1) × (train + validation examples)` runs and `max_iters × (predictors + 1)`
/// questions, or up to two more a rewrite where the runs are too long for the LM that writes and are
/// shown in part. Use it for agents and other programs of several steps, where what went wrong shows in
/// the choice of steps more than in a single answer.
/// Source: AVATAR (Wu et al. 2024, arXiv 2406.11200) and AvatarOptimizer of DSPy.
///
/// ```
/// use teleprompt::optimize::{Optimizer, teleprompter::Avatar};
/// use teleprompt::prelude::*;
///
/// # async fn run(cx: Context, agent: Predict, train: Dataset) -> Result<()> {
/// let recipe = Avatar { max_iters: 4, ..Avatar::default() };
/// let compiled = recipe.compiler(metric::exact_match("answer")).compile(&cx, &agent, &train).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Avatar {
    /// Rewrites. Default: 10.
    pub max_iters: usize,
    /// A run with this score or below is bad. Default: 0.
    pub lower_bound: f64,
    /// A run with this score or above is good, if it is above `lower_bound`. Default: 1.
    pub upper_bound: f64,
    /// Good runs shown, drawn at random. Default: 10.
    pub max_positive_inputs: usize,
    /// Bad runs shown, drawn at random. Default: 10.
    pub max_negative_inputs: usize,
    /// The path of the predictor to rewrite. Default: all that were called.
    pub predictor: Option<Arc<str>>,
}

impl Default for Avatar {
    fn default() -> Self {
        Self {
            max_iters: 10,
            lower_bound: 0.0,
            upper_bound: 1.0,
            max_positive_inputs: 10,
            max_negative_inputs: 10,
            predictor: None,
        }
    }
}

/// The best candidate so far with its runs on all train examples.
struct Best {
    candidate: Candidate,
    runs: Vec<Run>,
}

impl Avatar {
    fn check(&self, task: &Task<'_>) -> Result<()> {
        let Some(wanted) = &self.predictor else { return Ok(()) };
        let paths: Vec<&str> = task.predictors.iter().map(|(path, _)| &**path).collect();
        if paths.contains(&&**wanted) {
            return Ok(());
        }
        Err(Error::Config(format!(
            "the program has no predictor `{wanted}` to rewrite; it has {}",
            paths.join(", ")
        )))
    }

    fn is_bad(&self, run: &Run) -> bool {
        run.score <= self.lower_bound || run.failed()
    }

    /// Runs that went well and badly, each drawn at random, in their order.
    fn contrast<'r>(&self, runs: &'r [Run], rng: &mut Rng) -> (Vec<&'r Run>, Vec<&'r Run>) {
        let mut draw = |from: Vec<&'r Run>, k: usize| {
            let mut places = rng.sample(from.len(), k);
            places.sort_unstable();
            places.into_iter().filter_map(|i| from.get(i).copied()).collect()
        };
        let (bad, rest): (Vec<&Run>, Vec<&Run>) = runs.iter().partition(|run| self.is_bad(run));
        let good = rest.into_iter().filter(|run| run.score >= self.upper_bound).collect();
        (draw(good, self.max_positive_inputs), draw(bad, self.max_negative_inputs))
    }

    /// The predictors to rewrite, with the instructions that they have under a candidate.
    fn steps<'t>(&self, task: &'t Task<'_>, best: &Best) -> Vec<Step<'t>> {
        let called = |path: &str| best.runs.iter().flat_map(|r| &r.steps).any(|s| &*s.path == path);
        let wanted = |path: &str| match &self.predictor {
            Some(wanted) => **wanted == *path,
            None => called(path),
        };
        let step = |(path, signature): &'t (Arc<str>, Signature)| Step {
            path,
            signature,
            current: current(&best.candidate, path, signature),
        };
        task.predictors.iter().filter(|(path, _)| wanted(path)).map(step).collect()
    }

    /// A rewrite of the best candidate; none, with a remark, if there is nothing to learn.
    async fn rewritten(
        &self,
        task: &Task<'_>,
        best: &Best,
        iteration: usize,
    ) -> Result<Option<Candidate>> {
        let mut rng = task.rng("avatar").derive(&format!("iteration {iteration}"));
        let (good, bad) = self.contrast(&best.runs, &mut rng);
        let steps = self.steps(task, best);
        if bad.is_empty() || steps.is_empty() {
            return Ok(None);
        }
        let (number, rollout) = (iteration + 1, iteration as u64);
        let whole = outline(steps.iter().map(|s| (s.path, s.signature, &*s.current)));
        let findings = match findings(task, &whole, &good, &bad, rollout).await? {
            Ok(findings) => findings,
            Err(why) => {
                task.note(format!("rewrite {number}: no findings: {why}"))?;
                return Ok(None);
            }
        };
        let mut state = ProgramState::default();
        for step in &steps {
            match rewrite(task, step.subject(), &findings, rollout).await? {
                Ok(text) => {
                    let instructions = Some(text);
                    let changed = Parameters { instructions, ..Parameters::default() };
                    state.insert(step.path.clone(), changed);
                }
                Err(why) => task.note(format!("rewrite {number}: `{}` stays: {why}", step.path))?,
            }
        }
        if state.0.is_empty() {
            return Ok(None);
        }
        let state = over(&state, best.candidate.state());
        task.propose_from(format!("rewrite {number}"), state, &[&best.candidate]).map(Some)
    }

    /// Keeps a rewrite that does better on the train examples.
    async fn tried(
        &self,
        task: &Task<'_>,
        best: &mut Best,
        candidate: Candidate,
        places: &[usize],
    ) -> Result<()> {
        let runs = task.runs(&candidate, Split::Train, places).await?;
        let (before, now) = (mean_score(&best.runs), mean_score(&runs));
        if now <= before {
            let why = format!("{now:.4} on {} train examples, not above {before:.4}", runs.len());
            return task.decide(&candidate, false, Some(now), runs.len(), why);
        }
        task.validate(&candidate).await?;
        *best = Best { candidate, runs };
        Ok(())
    }
}

/// Questions about good and bad runs, each with half as many, until one is answered: a prompt that
/// is too long for the LM is the usual reason why it is not.
const COMPARISONS: u64 = 3;

async fn findings(
    task: &Task<'_>,
    program: &str,
    good: &[&Run],
    bad: &[&Run],
    rollout: u64,
) -> Result<Draft> {
    let (mut good, mut bad) = (good, bad);
    for _ in 1..COMPARISONS {
        let found = compare(task, program, good, bad, rollout).await?;
        if found.is_ok() || good.len() + bad.len() <= 2 {
            return Ok(found);
        }
        let half = |runs: &[&Run]| runs.len().div_ceil(2);
        good = good.get(..half(good)).unwrap_or_default();
        bad = bad.get(..half(bad)).unwrap_or_default();
    }
    compare(task, program, good, bad, rollout).await
}

/// A predictor to rewrite.
struct Step<'t> {
    path: &'t Arc<str>,
    signature: &'t Signature,
    current: Arc<str>,
}

impl Step<'_> {
    fn subject(&self) -> Subject<'_> {
        Subject { path: self.path, signature: self.signature, current: &self.current }
    }
}

/// The instructions of a predictor under a candidate.
fn current(candidate: &Candidate, path: &str, signature: &Signature) -> Arc<str> {
    let laid = candidate.state().get(path).and_then(|p| p.instructions.clone());
    laid.unwrap_or_else(|| signature.instructions().into())
}

impl Optimizer for Avatar {
    fn name(&self) -> &'static str {
        "avatar"
    }
    fn settings(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
    fn validates(&self) -> bool {
        true
    }
    fn writes(&self) -> bool {
        true
    }
    fn cost(&self, sizes: Sizes) -> Cost {
        let iterations = self.max_iters as u64;
        let steps = if self.predictor.is_some() { 1 } else { sizes.predictors as u64 };
        let runs = (iterations + 1) * (sizes.train + sizes.val) as u64;
        Cost { runs, questions: iterations * (steps + COMPARISONS) }
    }
    async fn search(&self, task: &Task<'_>) -> Result<Candidate> {
        self.check(task)?;
        task.validate(task.base()).await?;
        let places: Vec<usize> = (0..task.train.len()).collect();
        let candidate = task.base().clone();
        let runs = task.runs(&candidate, Split::Train, &places).await?;
        let mut best = Best { candidate, runs };
        let mut tried = vec![best.candidate.hash.clone()];
        for iteration in 0..self.max_iters {
            if !best.runs.iter().any(|run| self.is_bad(run)) {
                task.note(format!(
                    "after {iteration} rewrites no train run scores {} or less: nothing is left to \
                     contrast",
                    self.lower_bound
                ))?;
                break;
            }
            let Some(candidate) = self.rewritten(task, &best, iteration).await? else { continue };
            if tried.contains(&candidate.hash) {
                task.note(format!("rewrite {} is one that was tried before", iteration + 1))?;
                continue;
            }
            tried.push(candidate.hash.clone());
            self.tried(task, &mut best, candidate, &places).await?;
        }
        Ok(task.winner())
    }
}
