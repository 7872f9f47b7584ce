//! `Tuned`: a program with what a compiler found laid over it.

use std::path::Path;
use std::sync::Arc;

use teleprompt_core::{
    Context, Module, PathSlot, Prediction, Predictors, ProgramState, Result, Signature, Visit, bind,
};

use crate::saved::SavedProgram;

/// A program together with parameters for its predictors. The program itself is not changed, so
/// that it can be shared; the parameters come in through the context when it runs, also when it is
/// a part of a larger program.
#[derive(Clone)]
pub struct Tuned<M> {
    module: Arc<M>,
    state: Arc<ProgramState>,
    /// Where it stands in a larger program.
    place: PathSlot,
}

impl<M: Module> Tuned<M> {
    /// Lays parameters over a program.
    pub fn new(module: M, state: ProgramState) -> Self {
        let tuned =
            Self { module: Arc::new(module), state: Arc::new(state), place: PathSlot::default() };
        bind(&tuned);
        tuned
    }

    /// The program as written.
    pub fn module(&self) -> &M {
        &self.module
    }

    /// The parameters laid over it.
    pub fn state(&self) -> &Arc<ProgramState> {
        &self.state
    }

    /// Loads saved parameters for this program; reads what DSPy saved, too.
    ///
    /// # Errors
    /// The file is no saved program, is of a newer format, or does not fit: the error names the
    /// predictor and the difference.
    pub fn load(module: M, path: impl AsRef<Path>) -> Result<Self> {
        let state = SavedProgram::read(path.as_ref())?.state_for(&bind(&module))?;
        Ok(Self::new(module, state))
    }

    /// Saves the parameters with the signatures they belong to, as readable JSON, atomically.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        SavedProgram::of(&bind(self)).write(path.as_ref())
    }
}

impl<M: Module> Predictors for Tuned<M> {
    fn visit<'a>(&'a self, visit: &mut Visit<'a>) {
        self.place.set(Arc::from(visit.path()));
        visit.layer(&self.state, &*self.module);
    }
}

impl<M: Module> Module for Tuned<M> {
    type Input = M::Input;
    type Output = M::Output;

    async fn forward(&self, cx: &Context, input: M::Input) -> Result<Prediction<M::Output>> {
        let cx = cx.with_layer(self.place.get(), self.state.clone());
        self.module.forward(&cx, input).await
    }

    fn interface(&self) -> Option<Signature> {
        self.module.interface()
    }

    fn fingerprint(&self) -> String {
        format!("{} {}", self.module.fingerprint(), self.state.hash())
    }
}
