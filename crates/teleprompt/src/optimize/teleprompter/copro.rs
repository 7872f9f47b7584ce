//! COPRO: coordinate ascent over instructions.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use teleprompt_core::{Parameters, ProgramState, Result};

use super::trials::race_runs;
use crate::optimize::propose::{Attempt, vary_instructions};
use crate::optimize::race::Race;
use crate::optimize::search::{Search, Told};
use crate::optimize::{Candidate, Cost, Make, Optimizer, Sizes, Task, explore};

/// Improves the instructions of one predictor after the other, in several rounds: an LM writes
/// variants, in later rounds after a look at what was tried and how well it did, and the best stays
/// before the next predictor is looked at. Demonstrations stay as they are.
///
/// A candidate is evaluated once, when it is new, with the best instructions so far for the other
/// predictors, so that the cost grows with the number of predictors and not with its square.
/// With a race that drops candidates, the LM is shown those that ran on all validation examples.
/// Other than in DSPy there is no search for a prefix of the output field: prompts have none.
///
/// Cost: `(1 + predictors × (breadth × depth - 1)) × validation examples`, and as many questions as
/// candidates. Use it where there are no demonstrations to show, or no room for them.
/// Source: COPRO of DSPy; the writer of variants follows OPRO (Yang et al. 2023, arXiv 2309.03409).
///
/// ```
/// use teleprompt::optimize::race::Race;
/// use teleprompt::optimize::teleprompter::Copro;
/// let recipe: Copro = serde_json::from_str(r#"{"depth": 2, "race": "wilcoxon"}"#)?;
/// assert_eq!((recipe.breadth, recipe.depth, recipe.race), (10, 2, Race::wilcoxon()));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Copro {
    /// Instructions of a round, in the first one those in force included; also the most attempts
    /// that the LM is shown. Default: 10.
    pub breadth: usize,
    /// Rounds. Default: 3.
    pub depth: usize,
    /// The temperature at which variants are sampled. Default: 1.4.
    pub init_temperature: f64,
    /// How much evaluation a candidate earns. Default: all of it.
    pub race: Race,
}

impl Default for Copro {
    fn default() -> Self {
        Self { breadth: 10, depth: 3, init_temperature: 1.4, race: Race::Full }
    }
}

impl Copro {
    /// New instructions in a round, counted from 0.
    fn variants(&self, round: usize) -> usize {
        if round == 0 { self.breadth.saturating_sub(1) } else { self.breadth }
    }

    /// New instructions for one predictor in all rounds.
    fn all_variants(&self) -> u64 {
        (0..self.depth).map(|round| self.variants(round) as u64).sum()
    }

    /// One round for one predictor; adds what was learnt to its attempts.
    async fn improve(
        &self,
        task: &Task<'_>,
        predictor: usize,
        round: usize,
        tried: &mut Tried,
    ) -> Result<()> {
        let Some((path, signature)) = task.predictors.get(predictor) else { return Ok(()) };
        tried.texts.insert(signature.instructions().into());
        let past = if round == 0 { &[] } else { tried.best(self.breadth.max(1)) };
        let first = (round * self.breadth) as u64;
        let rollouts = first..first + self.variants(round) as u64;
        let written =
            vary_instructions(task, predictor, past, rollouts, self.init_temperature).await?;
        let new = written.into_iter().filter(|text| tried.texts.insert(text.clone())).collect();
        let mut search = Texts { waiting: new, told: Vec::new() };
        let maker = Maker { path: path.clone(), round: round + 1, made: Mutex::default() };
        explore(task, &mut search, None, &self.race, &maker).await?;
        let made = maker.made.into_inner().unwrap_or_else(PoisonError::into_inner);
        let scored = task.scored();
        let score = |hash: &String| scored.iter().find(|(c, _)| c.hash == *hash).map(|(_, s)| *s);
        tried
            .attempts
            .extend(made.iter().filter_map(|(text, hash)| Some((text.clone(), score(hash)?))));
        Ok(())
    }
}

/// What was tried for one predictor.
#[derive(Clone, Default)]
struct Tried {
    /// All texts; none is tried twice.
    texts: HashSet<Arc<str>>,
    /// Those that ran on all validation examples: a mean over the few on which another one was dropped
    /// is not to be compared with theirs.
    attempts: Vec<Attempt>,
}

impl Tried {
    /// The best attempts, the best one last.
    fn best(&mut self, most: usize) -> &[Attempt] {
        self.attempts.sort_by(|a, b| a.1.total_cmp(&b.1));
        let from = self.attempts.len().saturating_sub(most);
        self.attempts.get(from..).unwrap_or_default()
    }
}

/// Tries texts in order.
struct Texts {
    waiting: VecDeque<Arc<str>>,
    told: Vec<(Arc<str>, Told)>,
}

impl Search for Texts {
    type Point = Arc<str>;

    fn ask(&mut self) -> Option<Arc<str>> {
        self.waiting.pop_front()
    }
    fn tell(&mut self, point: &Arc<str>, score: Told) {
        match self.told.iter_mut().find(|(text, _)| text == point) {
            Some((_, told)) => *told = score,
            None => self.told.push((point.clone(), score)),
        }
    }
    fn best(&self) -> Option<(&Arc<str>, Told)> {
        let all = self.told.iter().filter(|(_, told)| !told.failed());
        let best = all.reduce(|best, other| if other.1.beats(&best.1) { other } else { best });
        best.map(|(text, told)| (text, *told))
    }
}

struct Maker {
    path: Arc<str>,
    round: usize,
    /// The texts with the hashes of their candidates, each once.
    made: Mutex<BTreeMap<Arc<str>, String>>,
}

impl Make<Arc<str>> for Maker {
    fn make<'a>(
        &'a self,
        task: &'a Task<'_>,
        text: &'a Arc<str>,
    ) -> BoxFuture<'a, Result<Candidate>> {
        Box::pin(async move {
            let mut state = ProgramState::default();
            let instructions = Some(text.clone());
            state.insert(self.path.clone(), Parameters { instructions, ..Parameters::default() });
            let origin = format!("round {}, instructions of {}", self.round, self.path);
            let candidate = task.propose(origin, state)?;
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            made.insert(text.clone(), candidate.hash.clone());
            drop(made);
            Ok(candidate)
        })
    }
}

impl Optimizer for Copro {
    fn name(&self) -> &'static str {
        "copro"
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
        let new = self.all_variants() * sizes.predictors as u64;
        Cost { runs: race_runs(&self.race, 1 + new, sizes), questions: new }
    }
    async fn search(&self, task: &Task<'_>) -> Result<Candidate> {
        let mut tried = vec![Tried::default(); task.predictors.len()];
        for round in 0..self.depth {
            for (predictor, tried) in tried.iter_mut().enumerate() {
                let now = task.based_on(&task.winner());
                self.improve(&now, predictor, round, tried).await?;
                if round == 0 {
                    tried.attempts.extend(in_force(&now, predictor));
                }
            }
        }
        Ok(task.winner())
    }
}

/// The instructions in force with the score of the program under them.
fn in_force(task: &Task<'_>, predictor: usize) -> Option<Attempt> {
    let (_, signature) = task.predictors.get(predictor)?;
    let scored = task.scored();
    let (_, score) = scored.iter().find(|(c, _)| c.hash == task.base().hash)?;
    Some((signature.instructions().into(), *score))
}
