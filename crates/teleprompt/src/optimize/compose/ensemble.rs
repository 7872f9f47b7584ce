//! `Ensemble`: several programs, one answer.

use std::sync::Arc;

use teleprompt_core::{
    Context, Error, Module, Prediction, Predictors, Program, Record, Result, Signature, Visit, bind,
};

use super::trials::Trials;
use super::vote::Vote;
use crate::data::Rng;

type Reduce = dyn Fn(&[Prediction]) -> Option<usize> + Send + Sync;

/// Runs several programs on the same inputs at the same time and takes one of their predictions.
///
/// A member that fails does not vote; if all fail, the first error is the ensemble's. Costs a run of
/// every member, or of `size` of them. The predictors of member `i` have the prefix `members[i]`.
/// Give every member predictors of its own: clones of one [`Program`] share theirs, and so their
/// paths.
///
/// Source: the ensembles of Khattab et al. 2023, arXiv 2310.03714, section 4.
///
/// ```
/// use teleprompt::optimize::compose::{Ensemble, Vote};
/// use teleprompt::prelude::*;
///
/// let member = |text: &str| Ok::<_, Error>(Program::new(Predict::of(text)?));
/// let members = vec![member("question -> answer")?, member("question -> answer")?];
/// let program = Program::new(Ensemble::new(members)?.vote(Vote::majority("answer")));
/// let paths: Vec<_> = program.bound().predictors.iter().map(|(path, _)| path.clone()).collect();
/// assert_eq!(paths, ["members[0]".into(), "members[1]".into()]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct Ensemble {
    members: Vec<Program>,
    size: Option<usize>,
    vote: Vote,
    reduce: Option<Arc<Reduce>>,
}

impl Ensemble {
    /// An ensemble of these programs, which vote by majority over all outputs.
    ///
    /// # Errors
    /// [`Error::Config`]: there is no member.
    pub fn new(members: Vec<Program>) -> Result<Self> {
        if members.is_empty() {
            return Err(Error::Config("an ensemble needs at least one member".into()));
        }
        let this = Self { members, size: None, vote: Vote::default(), reduce: None };
        bind(&this);
        Ok(this)
    }

    /// Asks only this many members a call, at least 1. Which ones is drawn from the context's seed
    /// and rollout and from the inputs: the same call asks the same members. Default: all.
    #[must_use]
    pub fn size(mut self, n: usize) -> Self {
        self.size = Some(n.max(1));
        self
    }

    /// How the members vote.
    #[must_use]
    pub fn vote(mut self, vote: Vote) -> Self {
        self.vote = vote;
        self.reduce = None;
        self
    }

    /// A way of your own to choose: it gets the predictions of the members that did not fail, in the
    /// members' order, and gives the place of the one to take; `None` is an error.
    #[must_use]
    pub fn reduce(
        mut self,
        choose: impl Fn(&[Prediction]) -> Option<usize> + Send + Sync + 'static,
    ) -> Self {
        self.reduce = Some(Arc::new(choose));
        self
    }

    /// The members.
    pub fn members(&self) -> &[Program] {
        &self.members
    }

    /// Those who are asked about these inputs, in their order.
    fn asked(&self, cx: &Context, inputs: &Record) -> Vec<&Program> {
        let Some(size) = self.size.filter(|n| *n < self.members.len()) else {
            return self.members.iter().collect();
        };
        let inputs = serde_json::to_vec(inputs).unwrap_or_default();
        let label = format!("ensemble {} {}", cx.rollout(), blake3::hash(&inputs).to_hex());
        let mut drawn = Rng::new(cx.seed()).derive(&label).sample(self.members.len(), size);
        drawn.sort_unstable();
        drawn.into_iter().filter_map(|i| self.members.get(i)).collect()
    }

    fn choose(&self, predictions: &[Prediction]) -> Result<usize> {
        match &self.reduce {
            Some(reduce) => reduce(predictions).ok_or_else(|| {
                let n = predictions.len();
                Error::Other(format!("the ensemble's own reduction chose none of {n} predictions"))
            }),
            None => {
                let outputs: Vec<Record> = predictions.iter().map(|p| p.output.clone()).collect();
                self.vote.winner(&outputs)
            }
        }
    }
}

impl Predictors for Ensemble {
    fn visit<'a>(&'a self, visit: &mut Visit<'a>) {
        visit.field("members", &self.members);
    }
}

impl Module for Ensemble {
    type Input = Record;
    type Output = Record;

    async fn forward(&self, cx: &Context, input: Record) -> Result<Prediction> {
        let trials = Trials::new(cx);
        let runs: Vec<_> = self
            .asked(cx, &input)
            .into_iter()
            .map(|member| trials.run(trials.cx(), member, input.clone()))
            .collect();
        trials.elect(runs, |predictions| self.choose(predictions)).await
    }

    fn interface(&self) -> Option<Signature> {
        self.members.first().and_then(Module::interface)
    }

    fn fingerprint(&self) -> String {
        let members: Vec<String> = self.members.iter().map(Module::fingerprint).collect();
        let reduce = if self.reduce.is_some() { "own" } else { "" };
        format!("ensemble {:?} {:?} {reduce} {members:?}", self.size, self.vote)
    }
}
