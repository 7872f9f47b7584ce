//! What a compiler found: parameters for a program, or several that vote.

use std::any::Any;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use teleprompt_core::{Context, Error, Module, Prediction, Program, ProgramState, Record, Result};

use super::trials::Trials;
use super::vote::Vote;

/// Parameters for a program; or several of them, each laid over the same program, that vote.
///
/// As JSON, one member is written as its [`ProgramState`] alone; several as
/// `{"ensemble": [...], "vote": ...}`.
///
/// ```
/// use teleprompt::optimize::compose::{Solution, Vote};
/// use teleprompt::ProgramState;
/// let one = Solution::single(ProgramState::default());
/// assert_eq!(serde_json::to_string(&one)?, "{}");
/// let state = one.first().clone();
/// let two = Solution::ensemble([state.clone(), state], Vote::majority("answer"))?;
/// assert_eq!(two.members().len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Solution {
    first: Arc<ProgramState>,
    /// All members, the first among them.
    members: Vec<Arc<ProgramState>>,
    vote: Vote,
}

impl Solution {
    /// Parameters that need no vote.
    pub fn single(state: impl Into<Arc<ProgramState>>) -> Self {
        let first = state.into();
        Self { members: vec![first.clone()], first, vote: Vote::default() }
    }

    /// Several parameters that vote. One alone is [`Solution::single`]: there is nothing to vote on.
    ///
    /// # Errors
    /// [`Error::Config`]: there is no member.
    pub fn ensemble(
        members: impl IntoIterator<Item = Arc<ProgramState>>,
        vote: Vote,
    ) -> Result<Self> {
        let members: Vec<_> = members.into_iter().collect();
        match members.first() {
            None => Err(Error::Config("an ensemble needs at least one member".into())),
            Some(only) if members.len() == 1 => Ok(Self::single(only.clone())),
            Some(first) => Ok(Self { first: first.clone(), members, vote }),
        }
    }

    /// The first member; the only one in the ordinary case.
    pub fn first(&self) -> &Arc<ProgramState> {
        &self.first
    }

    /// All members, at least one.
    pub fn members(&self) -> &[Arc<ProgramState>] {
        &self.members
    }

    /// How they vote; without meaning for one member.
    pub fn vote(&self) -> &Vote {
        &self.vote
    }

    /// Whether there is one member only.
    pub fn is_single(&self) -> bool {
        self.members.len() == 1
    }

    /// A hash of the content: that of the state for one member.
    pub fn hash(&self) -> String {
        if self.is_single() {
            return self.first.hash();
        }
        let json = serde_json::to_vec(self).unwrap_or_default();
        blake3::hash(&json).to_hex().get(..16).unwrap_or_default().to_owned()
    }
}

/// The program as written.
impl Default for Solution {
    fn default() -> Self {
        Self::single(ProgramState::default())
    }
}

impl From<ProgramState> for Solution {
    fn from(state: ProgramState) -> Self {
        Self::single(state)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Voting {
    ensemble: Vec<Arc<ProgramState>>,
    vote: Vote,
}

impl Serialize for Solution {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_single() {
            return self.first.serialize(serializer);
        }
        Voting { ensemble: self.members.clone(), vote: self.vote.clone() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Solution {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        // A predictor may be called `ensemble`, but its parameters are no list.
        if value.get("ensemble").is_some_and(Value::is_array) {
            let Voting { ensemble, vote } = Voting::deserialize(value).map_err(D::Error::custom)?;
            return Self::ensemble(ensemble, vote).map_err(D::Error::custom);
        }
        ProgramState::deserialize(value).map(Self::single).map_err(D::Error::custom)
    }
}

/// Runs a program once with a solution as the candidate: its parameters come before all others.
/// Several members run at the same time and vote; see [`Ensemble`](super::Ensemble) for what fails.
///
/// # Errors
/// Those of the program; with several members, the first error if all fail.
pub async fn run_solution(
    cx: &Context,
    program: &Program,
    solution: &Solution,
    inputs: Record,
) -> Result<Prediction> {
    if solution.is_single() {
        return program.call(&cx.with_candidate(solution.first.clone()), inputs).await;
    }
    elect(cx, program, solution, inputs, |cx, state| cx.with_candidate(state)).await
}

/// Runs a module under each member, as `lay` puts it into the context, and takes one prediction.
pub(crate) async fn elect<M: Module>(
    cx: &Context,
    module: &M,
    solution: &Solution,
    input: M::Input,
    lay: impl Fn(&Context, Arc<ProgramState>) -> Context + Send,
) -> Result<Prediction<M::Output>> {
    let inputs = Record::from_typed(input)?;
    let trials = Trials::new(cx);
    let mut runs = Vec::with_capacity(solution.members.len());
    for member in &solution.members {
        let (cx, input) = (lay(trials.cx(), member.clone()), inputs.clone().into_typed()?);
        let trials = &trials;
        runs.push(async move { trials.run(&cx, module, input).await });
    }
    let vote = |predictions: &[Prediction<M::Output>]| {
        let outputs: Result<Vec<Record>> =
            predictions.iter().map(|p| record_of(&p.output)).collect();
        solution.vote.winner(&outputs?)
    };
    trials.elect(runs, vote).await
}

/// An output as a record to be compared; the output stays what it is.
fn record_of<O: Serialize + Any>(output: &O) -> Result<Record> {
    match (output as &dyn Any).downcast_ref::<Record>() {
        Some(record) => Ok(record.clone()),
        None => Record::from_typed(serde_json::to_value(output).map_err(|e| {
            Error::Other(format!("an output that is voted on must serialise: {e}"))
        })?),
    }
}
