//! What an optimizer works with.

mod ask;
mod bill;
mod flights;
mod judge;
mod keys;
mod objective;
mod places;
mod run;
mod runner;
mod standing;

use std::collections::BTreeMap;
use std::sync::Arc;

use teleprompt_core::{
    Context, MetricHandle, Parameters, Program, ProgramState, Result, Signature, bind,
};

pub use ask::Question;
pub(super) use bill::Bill;
pub(super) use keys::{Keys, embedder, named_by_program};
pub use objective::Objective;
pub(super) use places::Places;
pub use run::Call;
pub(super) use runner::ProgramRunner;
pub use runner::{RunCall, Runner};
pub(super) use standing::Standing;
pub use standing::Stops;
pub use standing::mean_score;

use super::Candidate;
use super::compose::{Solution, Vote};
use super::progress::Progress;
use super::study::{Event, Split, Study};
use crate::data::{Dataset, Rng};

/// One search: program, examples, metric and the study that remembers.
///
/// A recipe runs candidates by [`Task::runs`], asks the LM that writes instructions by
/// [`Task::ask`], makes candidates by [`Task::propose`] and says what it thinks of them by
/// [`Task::consider`] or [`Task::reject`]. All of these go through the study: what it knows is not
/// paid again, so that a recipe that does the same on the same answers can be stopped anywhere and
/// goes on for free.
#[derive(Clone)]
pub struct Task<'a> {
    /// The context under which candidates run; it carries the search's share of the budget.
    pub cx: Context,
    /// The student as written.
    pub program: &'a Program,
    /// Its predictors, each with the signature in force: as written, under [`Task::base`] (of several
    /// that vote, the first).
    pub predictors: Vec<(Arc<str>, Signature)>,
    /// The teacher, where it is not the student itself.
    pub teacher: Option<&'a Program>,
    /// Which of the teacher's predictors teaches which of the student's, by paths; empty where the
    /// student is its own teacher.
    pub(super) taught: Arc<BTreeMap<Arc<str>, Arc<str>>>,
    /// The context under which the teacher runs.
    pub teacher_cx: Context,
    /// The context under which instructions, rules and feedback are written.
    pub prompt_cx: Context,
    /// What demonstrations, instructions and rules are made of.
    pub train: Dataset,
    /// What candidates are chosen by.
    pub val: Dataset,
    /// What only the compiler itself looks at, when the search is over.
    pub(super) test: Dataset,
    /// Higher is better.
    pub metric: &'a MetricHandle,
    /// Remembers every result.
    pub study: &'a Study,
    /// Seed of everything random.
    pub seed: u64,
    /// Examples run at the same time, at least 1.
    pub concurrency: usize,
    /// LM calls that the whole search may take, where calls are limited; the same in every session of
    /// a study.
    pub allowance: Option<u64>,
    /// Told about what goes on.
    pub progress: &'a dyn Progress,
    /// What the search starts from; candidates are laid over it.
    pub(super) base: Candidate,
    pub(super) places: Places,
    pub(super) runner: &'a dyn Runner,
    pub(super) standing: Arc<Standing>,
    pub(super) keys: Arc<Keys>,
    /// Whether candidates may have been made of the validation examples, too, as under k-fold.
    pub(super) folded: bool,
}

impl<'a> Task<'a> {
    /// What the search starts from: the program as written, or, in a sequence of optimizers, what
    /// the one before found.
    pub fn base(&self) -> &Candidate {
        &self.base
    }

    /// A random generator of this name; equal for equal seeds.
    pub fn rng(&self, name: &str) -> Rng {
        Rng::new(self.seed).derive(name)
    }

    /// The parameters of a predictor in force: as written, under [`Task::base`] (of several that vote,
    /// the first).
    pub fn parameters(&self, path: &str) -> Parameters {
        let written = bind(self.program).parameters.get(path).map(|p| (**p).clone());
        let written = written.unwrap_or_default();
        match self.base.state().get(path) {
            Some(laid) => laid.or(&written),
            None => written,
        }
    }

    /// Makes a candidate of parameters laid over [`Task::base`], and journals it. Where the base is
    /// several that vote, they are laid over each of them; members that all become the same by it
    /// become one.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub fn propose(&self, origin: impl Into<String>, state: ProgramState) -> Result<Candidate> {
        self.propose_from(origin, state, &[&self.base])
    }

    /// As [`Task::propose`], naming the candidates that it was made from. Its parameters still are
    /// laid over [`Task::base`], not over theirs.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub fn propose_from(
        &self,
        origin: impl Into<String>,
        state: ProgramState,
        parents: &[&Candidate],
    ) -> Result<Candidate> {
        self.journal(Candidate::new(origin, self.over_base(&state)?), parents)
    }

    /// A state laid over every member of the base.
    pub(super) fn over_base(&self, state: &ProgramState) -> Result<Solution> {
        let base = self.base.solution();
        let alike =
            |members: &[Arc<ProgramState>]| members.iter().all(|m| Some(m) == members.first());
        let members: Vec<Arc<ProgramState>> =
            base.members().iter().map(|member| Arc::new(over(state, member))).collect();
        match members.first() {
            // What made them differ is gone, so that there is nothing left to vote on.
            Some(first) if alike(&members) && !alike(base.members()) => {
                Ok(Solution::single(first.clone()))
            }
            _ => Solution::ensemble(members, base.vote().clone()),
        }
    }

    /// Makes a candidate of several that vote. One that is itself several brings all its members.
    ///
    /// # Errors
    /// There is no member; the journal cannot be written.
    pub fn propose_ensemble(
        &self,
        origin: impl Into<String>,
        members: &[&Candidate],
        vote: Vote,
    ) -> Result<Candidate> {
        let states = members.iter().flat_map(|m| m.solution().members().iter().cloned());
        let candidate = Candidate::new(origin, Solution::ensemble(states, vote)?);
        self.journal(candidate, members)
    }

    fn journal(&self, candidate: Candidate, parents: &[&Candidate]) -> Result<Candidate> {
        self.study.record(Event::Proposed {
            candidate: candidate.hash.clone(),
            origin: candidate.origin.clone(),
            parents: parents.iter().map(|p| p.hash.clone()).collect(),
            state: candidate.solution().clone(),
        })?;
        Ok(candidate)
    }

    /// Journals a remark on what the recipe does and why, and tells it.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub fn note(&self, note: impl Into<String>) -> Result<()> {
        let note = note.into();
        self.progress.note(&note);
        self.study.record(Event::Noted { note })
    }

    /// The same search from another start: what recipes that run other recipes give them.
    #[must_use]
    pub fn based_on(&self, base: &Candidate) -> Task<'a> {
        let mut task = self.clone();
        task.base = base.clone();
        task.predictors = predictors(self.program, base);
        task
    }

    /// The same search over other examples, such as a fold's. Scores on other validation examples
    /// are no match for these, so [`Task::winner`] and [`Task::scored`] look at each set by itself;
    /// the study still knows each example by its place in the whole split.
    #[must_use]
    pub fn with_examples(&self, train: Dataset, val: Dataset) -> Task<'a> {
        let places = self.places.with_val(&val);
        Task { train, val, places, ..self.clone() }
    }

    /// Whether demonstrations may have been made of the examples of this split: runs on them are shown
    /// none of the same inputs, which would tell them the answer.
    pub(super) fn holds_out(&self, split: Split) -> bool {
        split == Split::Train || (self.folded && split == Split::Val)
    }

    /// The same search with another seed.
    #[must_use]
    pub fn with_seed(&self, seed: u64) -> Task<'a> {
        Task { seed, ..self.clone() }
    }

    /// The examples of a split.
    pub fn examples(&self, split: Split) -> &Dataset {
        match split {
            Split::Train => &self.train,
            Split::Val => &self.val,
            Split::Test => &self.test,
        }
    }
}

/// The predictors with the signatures in force under a candidate.
pub(super) fn predictors(program: &Program, base: &Candidate) -> Vec<(Arc<str>, Signature)> {
    let bound = bind(program);
    let signature = |(path, p): &(Arc<str>, &dyn teleprompt_core::Predictor)| {
        let written = bound.parameters.get(path).unwrap_or(p.parameters());
        let signature = written.apply(p.signature());
        let laid = base.state().get(path);
        (path.clone(), laid.map_or(signature.clone(), |p| p.apply(&signature)))
    };
    bound.predictors.iter().map(signature).collect()
}

/// A state laid over another one.
pub(super) fn over(above: &ProgramState, below: &ProgramState) -> ProgramState {
    let mut state = below.clone();
    for (path, parameters) in &above.0 {
        let laid = match below.get(path) {
            Some(under) => parameters.or(under),
            None => (**parameters).clone(),
        };
        state.insert(path.clone(), laid);
    }
    state
}
