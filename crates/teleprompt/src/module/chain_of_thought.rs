//! `ChainOfThought`: reason first, then answer.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use teleprompt_core::{
    Context, Error, Field, Module, Parameters, Prediction, Predictors, Record, Result, Signature,
    Type, Visit,
};

use super::predictor::Core;
use crate::typed::{Dynamic, Io, TypedSignature};

/// Asks the LM to reason before it answers: the signature with a first output `reasoning`.
///
/// Source: Wei et al. 2022, arXiv 2201.11903, in the zero-shot form of Kojima et al. 2022, arXiv
/// 2205.11916. One LM call; the completion grows by the reasoning.
pub struct ChainOfThought<S: Io = Dynamic> {
    core: Core,
    signature: PhantomData<fn() -> S>,
}

fn reasoned(signature: &Signature) -> Signature {
    let field = Field::new("reasoning", Type::str()).described("think step by step");
    signature.with_first_output(field)
}

impl ChainOfThought<Dynamic> {
    /// A chain of thought for a signature, given as text or value.
    ///
    /// # Errors
    /// The text is no signature.
    ///
    /// ```
    /// use teleprompt::module::ChainOfThought;
    /// let cot = ChainOfThought::of("question -> answer")?;
    /// assert_eq!(&*cot.signature().outputs()[0].name, "reasoning");
    /// # Ok::<(), teleprompt::Error>(())
    /// ```
    pub fn of<T>(signature: T) -> Result<Self>
    where
        T: TryInto<Signature>,
        Error: From<T::Error>,
    {
        Ok(Self::from_core(Core::new(reasoned(&signature.try_into()?))))
    }
}

impl<S: TypedSignature> ChainOfThought<S> {
    /// A chain of thought for a derived signature.
    pub fn new() -> Self {
        Self::from_core(Core::new(reasoned(&S::signature())))
    }
}

impl<S: TypedSignature> Default for ChainOfThought<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Io> ChainOfThought<S> {
    fn from_core(core: Core) -> Self {
        Self { core, signature: PhantomData }
    }

    /// With these parameters as its own.
    #[must_use]
    pub fn with_parameters(mut self, parameters: Parameters) -> Self {
        self.core.parameters = Arc::new(parameters);
        self
    }

    /// Its signature, reasoning included.
    pub fn signature(&self) -> &Signature {
        &self.core.signature
    }
}

impl<S: Io> Clone for ChainOfThought<S> {
    fn clone(&self) -> Self {
        Self::from_core(self.core.clone())
    }
}

impl<S: Io> fmt::Debug for ChainOfThought<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChainOfThought({})", self.core.signature)
    }
}

impl<S: Io> Predictors for ChainOfThought<S> {
    fn visit<'a>(&'a self, visit: &mut Visit<'a>) {
        visit.predictor(&self.core);
    }
}

impl<S: Io> Module for ChainOfThought<S> {
    type Input = S::Input;
    type Output = S::Reasoned;

    async fn forward(&self, cx: &Context, input: S::Input) -> Result<Prediction<S::Reasoned>> {
        let prediction = self.core.run(cx, Record::from_typed(input)?).await?;
        prediction.try_map(Record::into_typed)
    }

    fn interface(&self) -> Option<Signature> {
        Some(self.core.signature.clone())
    }
}
