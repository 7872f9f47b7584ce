//! Any optimizer, shared: what recipes of recipes and the command hold.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::Value;
use teleprompt_core::Result;

use super::{Candidate, Cost, Optimizer, Sizes, Task};

/// The private twin of [`Optimizer`] that can be stored.
trait ErasedOptimizer: Send + Sync {
    fn name(&self) -> &'static str;
    fn settings(&self) -> Value;
    fn validates(&self) -> bool;
    fn writes(&self) -> bool;
    fn cost(&self, sizes: Sizes) -> Cost;
    fn search<'a>(&'a self, task: &'a Task<'_>) -> BoxFuture<'a, Result<Candidate>>;
}

impl<O: Optimizer> ErasedOptimizer for O {
    fn name(&self) -> &'static str {
        Optimizer::name(self)
    }
    fn settings(&self) -> Value {
        Optimizer::settings(self)
    }
    fn validates(&self) -> bool {
        Optimizer::validates(self)
    }
    fn writes(&self) -> bool {
        Optimizer::writes(self)
    }
    fn cost(&self, sizes: Sizes) -> Cost {
        Optimizer::cost(self, sizes)
    }
    fn search<'a>(&'a self, task: &'a Task<'_>) -> BoxFuture<'a, Result<Candidate>> {
        Box::pin(Optimizer::search(self, task))
    }
}

/// Any optimizer. Cloning is cheap.
#[derive(Clone)]
pub struct OptimizerHandle(Arc<dyn ErasedOptimizer>);

impl OptimizerHandle {
    /// Holds an optimizer.
    pub fn new(optimizer: impl Optimizer + 'static) -> Self {
        Self(Arc::new(optimizer))
    }
}

impl Optimizer for OptimizerHandle {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn settings(&self) -> Value {
        self.0.settings()
    }
    fn validates(&self) -> bool {
        self.0.validates()
    }
    fn writes(&self) -> bool {
        self.0.writes()
    }
    fn cost(&self, sizes: Sizes) -> Cost {
        self.0.cost(sizes)
    }
    async fn search(&self, task: &Task<'_>) -> Result<Candidate> {
        self.0.search(task).await
    }
}
