//! Any optimizer, shared: what recipes of recipes and the command hold.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};
use teleprompt_core::Result;

use super::teleprompter::by_name;
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

/// Any optimizer. Cloning is cheap. As a setting it is a recipe's name, or
/// `{"name": …, "settings": {…}}`; see [`by_name`].
///
/// ```
/// use teleprompt::optimize::{Optimizer, OptimizerHandle};
/// let recipe: OptimizerHandle = serde_json::from_str("\"labeled_few_shot\"")?;
/// assert_eq!(recipe.name(), "labeled_few_shot");
/// # Ok::<(), serde_json::Error>(())
/// ```
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

/// As `{"name": …, "settings": {…}}`.
impl Serialize for OptimizerHandle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json!({"name": Optimizer::name(self), "settings": Optimizer::settings(self)})
            .serialize(serializer)
    }
}

/// From a recipe's name alone, or with settings.
impl<'de> Deserialize<'de> for OptimizerHandle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Name(String),
            Whole {
                name: String,
                #[serde(default)]
                settings: Map<String, Value>,
            },
        }
        let (name, settings) = match Form::deserialize(deserializer)? {
            Form::Name(name) => (name, Map::new()),
            Form::Whole { name, settings } => (name, settings),
        };
        by_name(&name, &settings).map_err(D::Error::custom)
    }
}
