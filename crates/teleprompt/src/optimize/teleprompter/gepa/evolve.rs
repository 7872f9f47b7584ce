//! The state of the evolution, and what moves it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use teleprompt_core::{Parameters, ProgramState, Result};

use super::Gepa;
use super::options::{achieved, objectives};
use crate::data::Rng;
use crate::optimize::race::{Cell, Racer, State};
use crate::optimize::search::{Components, Entry, Front, Merge};
use crate::optimize::study::{Run, Split};
use crate::optimize::{Call, Candidate, Task};

/// Candidates that were good enough to be validated, and all that is known of them. A candidate has
/// the same number in the front, in the race and among the members.
pub(super) struct Evolution<'s, 'a> {
    pub task: &'s Task<'a>,
    pub recipe: &'s Gepa,
    pub front: Front,
    pub members: Vec<Member>,
    pub rng: Rng,
    /// Hashes of all candidates ever made: none is tried twice.
    pub known: HashSet<String>,
    pub merging: Merging,
    pub tally: Tally,
    racer: Racer,
    most: u64,
    used_before: u64,
}

pub(super) struct Member {
    pub candidate: Candidate,
    /// Whose turn it is among its predictors.
    pub turn: usize,
    /// Its runs on validation examples.
    pub runs: BTreeMap<usize, Run>,
    /// Whether it was taken or turned down.
    decided: bool,
}

#[derive(Default)]
pub(super) struct Merging {
    /// Merges that new candidates have earned.
    pub due: usize,
    /// Whether the iteration before found a new candidate.
    pub found: bool,
    pub tried: BTreeSet<Merge>,
    pub tested: usize,
}

/// What became of proposals, for the last remark.
#[derive(Default)]
pub(super) struct Tally {
    pub iterations: u64,
    pub perfect: usize,
    pub failed: usize,
    pub no_better: usize,
    /// Candidates made before.
    pub known: usize,
    pub validated: usize,
}

impl<'s, 'a> Evolution<'s, 'a> {
    pub fn new(task: &'s Task<'a>, recipe: &'s Gepa) -> Result<Self> {
        let rng = task.rng("gepa");
        let (train, val) = (task.train.len(), task.val.len());
        Ok(Self {
            task,
            recipe,
            front: Front::new(recipe.frontier, objectives(&recipe.objectives))?,
            members: Vec::new(),
            known: HashSet::new(),
            merging: Merging::default(),
            tally: Tally::default(),
            racer: Racer::new(&recipe.validation, val, rng.derive("race").seed()),
            most: recipe.budget.runs(task.predictors.len(), train, val),
            used_before: task.used().runs,
            rng,
        })
    }

    pub async fn run(mut self) -> Result<Candidate> {
        self.enter_base().await?;
        let iterations = self.recipe.iterations(self.most, self.task.train.len());
        for iteration in 0..iterations {
            if !self.affords(self.iteration_cost()) {
                break;
            }
            self.tally.iterations += 1;
            let rng = self.rng.derive(&format!("iteration {iteration}"));
            if !self.merge(&mut rng.derive("merge")).await? {
                self.mutate(iteration, rng).await?;
            }
        }
        self.finish().await?;
        Ok(self.task.winner())
    }

    /// The most that an iteration needs to get one child validated.
    fn iteration_cost(&self) -> usize {
        let size = self.recipe.size(self.task.train.len());
        let mutation = 2 * size * self.recipe.count();
        mutation.max(self.recipe.merge_overlap_floor) + self.task.val.len()
    }

    /// Whether the budget has room for so many runs.
    pub fn affords(&self, runs: usize) -> bool {
        let used = self.task.used().runs - self.used_before;
        used + runs as u64 <= self.most
    }

    /// The start is validated in full whatever the race and the budget are.
    async fn enter_base(&mut self) -> Result<()> {
        let base = self.task.base().clone();
        self.known.insert(base.hash.clone());
        self.task.validate(&base).await?;
        let all: Vec<usize> = (0..self.task.val.len()).collect();
        let calls: Vec<Call<'_>> = all.iter().map(|i| Call::new(&base, Split::Val, *i)).collect();
        let runs = self.task.run_all(&calls).await?;
        let id = self.add(base.clone(), Vec::new(), 0);
        for (place, run) in all.into_iter().zip(runs) {
            self.tell(id, place, run);
        }
        self.members.iter_mut().for_each(|member| member.decided = true);
        Ok(())
    }

    fn add(&mut self, candidate: Candidate, parents: Vec<usize>, turn: usize) -> usize {
        let components = self.components(&candidate);
        self.front.add(Entry { components, parents, ..Entry::default() });
        self.members.push(Member { candidate, turn, runs: BTreeMap::new(), decided: false });
        self.racer.enter()
    }

    fn tell(&mut self, id: usize, place: usize, run: Run) {
        let cell = Cell { entrant: id, example: place, fold: None };
        self.racer.tell(cell, run.score);
        self.front.tell(id, place, run.score, achieved(&self.recipe.objectives, &run));
        if let Some(member) = self.members.get_mut(id) {
            member.runs.insert(place, run);
        }
    }

    /// Takes a child among the members and runs the race as far as it goes.
    pub async fn admit(
        &mut self,
        child: Candidate,
        parents: Vec<usize>,
        turn: usize,
    ) -> Result<()> {
        let n = self.task.val.len();
        if !self.affords(n) {
            let why = format!("it passed, but the budget has no {n} runs left to validate it");
            return self.task.reject(&child, why);
        }
        self.tally.validated += 1;
        self.merging.found = true;
        if self.merging.due + self.merging.tested < self.recipe.max_merge_invocations {
            self.merging.due += 1;
        }
        self.add(child, parents, turn);
        self.race().await
    }

    async fn race(&mut self) -> Result<()> {
        loop {
            let cells = self.racer.next();
            if cells.is_empty() || !self.affords(cells.len()) {
                break;
            }
            let named = |cell: &Cell| Some((self.members.get(cell.entrant)?, cell.example));
            let calls: Vec<Call<'_>> = cells
                .iter()
                .filter_map(named)
                .map(|(member, place)| Call::new(&member.candidate, Split::Val, place))
                .collect();
            let name = calls.last().map_or("", |call| &*call.candidate.origin);
            let runs = self.task.run_told(name, Split::Val, &calls).await?;
            for (cell, run) in cells.iter().zip(runs) {
                self.tell(cell.entrant, cell.example, run);
            }
        }
        self.decide()
    }

    /// Takes those that ran on all validation examples and turns down those that lost.
    fn decide(&mut self) -> Result<()> {
        for (id, member) in self.members.iter_mut().enumerate().filter(|(_, m)| !m.decided) {
            match self.racer.standing(id).state {
                State::Racing => continue,
                State::Pruned { why } => self.task.reject(&member.candidate, why)?,
                State::Complete => {
                    let runs: Vec<Run> = member.runs.values().cloned().collect();
                    self.task.consider(&member.candidate, &runs)?;
                }
            }
            member.decided = true;
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<()> {
        self.racer.finish();
        self.race().await?;
        for (id, member) in self.members.iter().enumerate().filter(|(_, m)| !m.decided) {
            let standing = self.racer.standing(id);
            let (n, mean) = (standing.n, standing.mean);
            let why = format!("{mean:.4} on {n} validation examples; the budget leaves no more");
            self.task.decide(&member.candidate, false, Some(mean), n, why)?;
        }
        let Tally { iterations, perfect, failed, no_better, known, validated } = self.tally;
        self.task.note(format!(
            "{iterations} iterations: {validated} new candidates validated, {no_better} proposals no \
             better on their minibatch, {known} made before, {failed} failed, {perfect} minibatches \
             perfect already; {} merges tried",
            self.merging.tested
        ))
    }

    /// The instructions of a candidate, by path.
    fn components(&self, candidate: &Candidate) -> Components {
        let text = |(path, signature): &(Arc<str>, teleprompt_core::Signature)| {
            let laid = candidate.state().get(path).and_then(|p| p.instructions.clone());
            (path.clone(), laid.unwrap_or_else(|| signature.instructions().into()))
        };
        self.task.predictors.iter().map(text).collect()
    }

    /// The instructions of a member, by path.
    pub fn texts(&self, id: usize) -> Components {
        self.members.get(id).map(|member| self.components(&member.candidate)).unwrap_or_default()
    }

    /// A candidate of these instructions; none if it was made before.
    pub fn child(
        &mut self,
        origin: String,
        texts: &Components,
        parents: &[usize],
    ) -> Result<Option<Candidate>> {
        let mut state = ProgramState::default();
        for (path, signature) in &self.task.predictors {
            let text = texts.get(path).filter(|text| &***text != signature.instructions());
            if let Some(text) = text {
                let instructions = Some(text.clone());
                state.insert(path.clone(), Parameters { instructions, ..Parameters::default() });
            }
        }
        if !self.known.insert(self.task.over_base(&state)?.hash()) {
            return Ok(None);
        }
        let parents: Vec<&Candidate> =
            parents.iter().filter_map(|id| Some(&self.members.get(*id)?.candidate)).collect();
        self.task.propose_from(origin, state, &parents).map(Some)
    }
}
