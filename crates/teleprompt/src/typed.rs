//! temporary
use std::any::Any;
use serde::de::DeserializeOwned;
use serde::{Serialize,Deserialize};
use teleprompt_core::*;
/// Io
pub trait Io: Send + Sync + 'static {
    /// in
    type Input: Serialize + DeserializeOwned + Send + Any;
    /// out
    type Output: Serialize + DeserializeOwned + Send + Any;
    /// re
    type Reasoned: Serialize + DeserializeOwned + Send + Any;
}
/// T
pub trait TypedSignature: Io {
    /// s
    fn signature() -> Signature;
}
/// D
#[derive(Clone, Copy, Debug)]
pub struct Dynamic;
impl Io for Dynamic { type Input = Record; type Output = Record; type Reasoned = Record; }
/// W
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WithReasoning<O> {
    /// r
    pub reasoning: String,
    /// o
    #[serde(flatten)] pub output: O,
}
