//! The space of a choice of instructions and of demonstrations for each predictor.

use std::sync::Arc;

use futures::future::BoxFuture;
use teleprompt_core::{Parameters, ProgramState, Result};

use super::demo_sets::DemoSets;
use crate::optimize::search::Space;
use crate::optimize::{Candidate, Make, Task};

/// What a predictor may get. The first of each is what is in force.
pub(super) struct Choices {
    pub instructions: Vec<Arc<str>>,
    /// Numbers of sets of demonstrations.
    pub demos: Vec<usize>,
}

/// Makes candidates of one choice for each predictor. A point has a dimension for each kind of
/// choice of each predictor that is one.
pub(super) struct Combine {
    /// In the order of the task's predictors.
    pub choices: Vec<Choices>,
    pub sets: DemoSets,
}

impl Combine {
    /// The sizes of the dimensions: for each predictor its instructions, then its demonstrations.
    pub fn space(&self) -> Result<Space> {
        let sizes = self.choices.iter().flat_map(|c| [c.instructions.len(), c.demos.len()]);
        Space::new(sizes.filter(|size| *size > 1).collect())
    }

    /// The choice of instructions and of demonstrations for each predictor.
    fn read(&self, point: &[usize]) -> Vec<(usize, usize)> {
        let mut values = point.iter().copied();
        let mut value = |size: usize| if size > 1 { values.next().unwrap_or(0) } else { 0 };
        self.choices.iter().map(|c| (value(c.instructions.len()), value(c.demos.len()))).collect()
    }

    async fn candidate(&self, task: &Task<'_>, point: &[usize]) -> Result<Candidate> {
        let mut state = ProgramState::default();
        let mut origin = Vec::new();
        let predictors = task.predictors.iter().zip(&self.choices);
        for (((path, _), choices), (told, shown)) in predictors.zip(self.read(point)) {
            let number = choices.demos.get(shown).copied().unwrap_or(0);
            let set = self.sets.set(task, number).await?;
            let mut laid = set.get(path).map(|p| (**p).clone()).unwrap_or_default();
            laid.instructions = choices.instructions.get(told).filter(|_| told > 0).cloned();
            if laid != Parameters::default() {
                state.insert(path.clone(), laid);
            }
            origin.push(format!("{path}: instructions {told}, demos {number}"));
        }
        task.propose(origin.join("; "), state)
    }
}

impl Make<Vec<usize>> for Combine {
    fn make<'a>(
        &'a self,
        task: &'a Task<'_>,
        point: &'a Vec<usize>,
    ) -> BoxFuture<'a, Result<Candidate>> {
        Box::pin(self.candidate(task, point))
    }
}
