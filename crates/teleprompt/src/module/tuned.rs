//! `Tuned`: a program with what a compiler found laid over it.

use std::path::Path;
use std::sync::Arc;

use teleprompt_core::{
    Context, Module, PathSlot, Prediction, Predictors, ProgramState, Result, Signature, Visit, bind,
};

use crate::optimize::compose::{Solution, elect};
use crate::saved::{SavedEnsemble, SavedProgram};

/// A program together with parameters for its predictors. The program itself is not changed, so
/// that it can be shared; the parameters come in through the context when it runs, also when it is
/// a part of a larger program.
///
/// A [`Solution`] of several members runs the program under each at the same time, and they vote.
/// Those who visit it see the predictors once, with the parameters of the first member.
#[derive(Clone)]
pub struct Tuned<M> {
    module: Arc<M>,
    solution: Solution,
    /// Where it stands in a larger program.
    place: PathSlot,
}

impl<M: Module> Tuned<M> {
    /// Lays parameters over a program.
    pub fn new(module: M, state: ProgramState) -> Self {
        Self::of(module, Solution::single(state))
    }

    /// Lays what a compiler found over a program.
    pub fn of(module: M, solution: Solution) -> Self {
        let tuned = Self { module: Arc::new(module), solution, place: PathSlot::default() };
        bind(&tuned);
        tuned
    }

    /// The program as written.
    pub fn module(&self) -> &M {
        &self.module
    }

    /// The parameters laid over it; of several members those of the first.
    pub fn state(&self) -> &Arc<ProgramState> {
        self.solution.first()
    }

    /// All that is laid over it.
    pub fn solution(&self) -> &Solution {
        &self.solution
    }

    /// Loads saved parameters for this program; reads what DSPy saved, too.
    ///
    /// # Errors
    /// The file is no saved program, is of a newer format, or does not fit: the error names the
    /// predictor and the difference.
    pub fn load(module: M, path: impl AsRef<Path>) -> Result<Self> {
        let solution = SavedProgram::read(path.as_ref())?.solution_for(&bind(&module))?;
        Ok(Self::of(module, solution))
    }

    /// What is to be saved: the parameters in force under each member, with the signatures they
    /// belong to.
    pub fn saved(&self) -> SavedProgram {
        let under = |member: &Arc<ProgramState>| {
            bind(&Laid { module: &*self.module, state: member }).parameters
        };
        let mut saved = SavedProgram::of(&bind(self));
        if !self.solution.is_single() {
            let others = self.solution.members().iter().skip(1);
            let others = others.map(|member| ProgramState(under(member))).collect();
            saved.ensemble = Some(SavedEnsemble { vote: self.solution.vote().clone(), others });
        }
        saved
    }

    /// Saves the parameters with the signatures they belong to, as readable JSON, atomically.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.saved().write(path.as_ref())
    }
}

/// A program under one member.
struct Laid<'m, M> {
    module: &'m M,
    state: &'m Arc<ProgramState>,
}

impl<M: Module> Predictors for Laid<'_, M> {
    fn visit<'a>(&'a self, visit: &mut Visit<'a>) {
        visit.layer(self.state, self.module);
    }
}

impl<M: Module> Predictors for Tuned<M> {
    fn visit<'a>(&'a self, visit: &mut Visit<'a>) {
        visit.place(&self.place);
        visit.layer(self.solution.first(), &*self.module);
    }
}

impl<M: Module> Module for Tuned<M> {
    type Input = M::Input;
    type Output = M::Output;

    async fn forward(&self, cx: &Context, input: M::Input) -> Result<Prediction<M::Output>> {
        let place = self.place.get();
        if self.solution.is_single() {
            let cx = cx.with_layer(place, self.solution.first().clone());
            return self.module.forward(&cx, input).await;
        }
        let lay = |cx: &Context, member| cx.with_layer(place.clone(), member);
        elect(cx, &*self.module, &self.solution, input, lay).await
    }

    fn interface(&self) -> Option<Signature> {
        self.module.interface()
    }

    fn fingerprint(&self) -> String {
        format!("{} {}", self.module.fingerprint(), self.solution.hash())
    }
}
