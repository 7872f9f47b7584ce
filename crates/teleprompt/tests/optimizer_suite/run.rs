//! Running a compile for the checks.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use teleprompt::adapter::ChatAdapter;
use teleprompt::optimize::{Optimizer, OptimizerHandle, Report};
use teleprompt::{Context, Limits, LmHandle, ProgramState};

use super::lm::{Count, Faults, ToyLm};
use super::toy::Toy;

/// How a compile is run.
#[derive(Clone, Debug)]
pub struct Setup {
    pub seed: u64,
    pub concurrency: usize,
    /// Most LM calls.
    pub calls: Option<u64>,
    pub faults: Faults,
}

impl Default for Setup {
    fn default() -> Self {
        Self { seed: 0, concurrency: 8, calls: None, faults: Faults::None }
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Done {
    pub report: Report,
    pub state: ProgramState,
    /// The LM's own books.
    pub count: Count,
}

pub fn context(lm: impl teleprompt::Lm) -> Context {
    Context::new(LmHandle::new(lm), Arc::new(ChatAdapter))
}

/// Compiles in a study under `dir`.
///
/// # Errors
/// A panic or an error, in words.
pub async fn compile_in(
    dir: &Path,
    optimizer: &OptimizerHandle,
    toy: &Toy,
    setup: &Setup,
) -> Result<Done, String> {
    let lm = ToyLm::new(toy.brain.clone(), setup.faults);
    let (books, cx) = (lm.books.clone(), context(lm));
    let limits = Limits { calls: setup.calls, ..Limits::default() };
    let compiler = optimizer.clone().compiler(toy.metric.clone()).val(&toy.val).test(&toy.test);
    let compiler = compiler.studies_in(dir).study("trial").limits(limits);
    let compiler = compiler.seed(setup.seed).concurrency(setup.concurrency);
    let (program, train) = (toy.program.clone(), toy.train.clone());
    let compile = async move { compiler.compile(&cx, &program, &train).await };
    match tokio::spawn(compile).await {
        Err(panic) => Err(format!("panicked: {panic}")),
        Ok(Err(error)) => Err(format!("failed: {error}")),
        Ok(Ok(done)) => Ok(Done {
            report: done.report,
            state: ProgramState::clone(done.program.state()),
            count: books.count(),
        }),
    }
}

/// Compiles in a study of its own.
pub async fn compile(
    optimizer: &OptimizerHandle,
    toy: &Toy,
    setup: &Setup,
) -> Result<Done, String> {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    compile_in(dir.path(), optimizer, toy, setup).await
}

/// A report without what a clock says.
pub fn untimed(report: &Report) -> Value {
    let mut value = serde_json::to_value(report).unwrap();
    value.as_object_mut().unwrap().remove("seconds");
    value
}
