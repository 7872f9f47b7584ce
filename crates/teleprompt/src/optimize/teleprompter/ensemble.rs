//! Ensemble: the best candidates of another recipe vote.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use teleprompt_core::Result;

use super::BootstrapFewShotWithRandomSearch;
use crate::optimize::compose::Vote;
use crate::optimize::{Candidate, Cost, Optimizer, OptimizerHandle, Sizes, Task};

/// Runs another recipe and lets its best candidates answer together.
///
/// A recipe that validates candidates gives the best `size` of them; one that does not is run with
/// `size` seeds. The ensemble itself is scored on the validation examples beside its members, so
/// that it is taken only where voting pays: it costs `size` times the calls, now and later.
///
/// Cost: that of the other recipe, and `size` runs a validation example. Use it where answers are
/// short and errors of candidates differ.
/// Source: Khattab et al. 2023, arXiv 2310.03714, section 4, stage 3.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ensemble {
    /// The recipe that makes candidates: a name, or `{"name": …, "settings": {…}}`. Default:
    /// `bootstrap_few_shot_with_random_search`.
    pub of: OptimizerHandle,
    /// Members. Default: 3.
    pub size: usize,
    /// How they vote. Default: by majority over all outputs but the reasoning.
    pub vote: Vote,
}

impl Default for Ensemble {
    fn default() -> Self {
        Self {
            of: OptimizerHandle::new(BootstrapFewShotWithRandomSearch::default()),
            size: 3,
            vote: Vote::default(),
        }
    }
}

impl Ensemble {
    /// Candidates with their validation scores, by the other recipe.
    async fn candidates(&self, task: &Task<'_>) -> Result<Vec<(Candidate, f64)>> {
        if self.of.validates() {
            self.of.search(task).await?;
        } else {
            for n in 0..self.size as u64 {
                let seed = task.rng(&format!("member {n}")).seed();
                let candidate = self.of.search(&task.with_seed(seed)).await?;
                task.validate(&candidate).await?;
            }
        }
        let single = |(candidate, _): &(Candidate, f64)| candidate.solution().is_single();
        let mut scored: Vec<_> = task.scored().into_iter().filter(single).collect();
        // Stable: of equal ones the earlier.
        scored.sort_by(|a, b| b.1.total_cmp(&a.1));
        scored.truncate(self.size);
        Ok(scored)
    }
}

impl Optimizer for Ensemble {
    fn name(&self) -> &'static str {
        "ensemble"
    }
    fn settings(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
    fn validates(&self) -> bool {
        true
    }
    fn writes(&self) -> bool {
        self.of.writes()
    }
    fn cost(&self, sizes: Sizes) -> Cost {
        let size = self.size as u64;
        let vote = Cost::runs((size + 1) * sizes.val as u64);
        match self.of.validates() {
            true => self.of.cost(sizes) + vote,
            false => self.of.cost(sizes) * size + vote + Cost::runs(size * sizes.val as u64),
        }
    }
    async fn search(&self, task: &Task<'_>) -> Result<Candidate> {
        task.validate(task.base()).await?;
        let members = self.candidates(task).await?;
        if members.len() < 2 {
            task.note("there are not two different candidates that could vote")?;
            return Ok(task.winner());
        }
        let origin = format!("vote of {}", members.len());
        let members: Vec<&Candidate> = members.iter().map(|(member, _)| member).collect();
        let ensemble = task.propose_ensemble(origin, &members, self.vote.clone())?;
        task.validate(&ensemble).await?;
        Ok(task.winner())
    }
}
