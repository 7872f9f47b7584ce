//! `Predict`: one LM call for a signature.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use teleprompt_core::{
    Context, Error, Module, Parameters, Prediction, Predictors, Record, Result, Signature, Visit,
};

use super::predictor::Core;
use crate::typed::{Dynamic, Io, TypedSignature};

/// Calls an LM once for a signature. The predictor: the only thing that calls an LM.
///
/// Typed by a derived signature (`Predict::<Answer>::new()`), or dynamic over records
/// (`Predict::of("question -> answer")?`). A reply that does not parse goes back to the LM with the
/// error, as often as the context allows.
pub struct Predict<S: Io = Dynamic> {
    core: Core,
    signature: PhantomData<fn() -> S>,
}

impl Predict<Dynamic> {
    /// A predictor for a signature, given as text or value.
    ///
    /// # Errors
    /// The text is no signature.
    ///
    /// ```
    /// use teleprompt::module::Predict;
    /// assert!(Predict::of("question -> answer: int").is_ok());
    /// assert!(Predict::of("question").is_err());
    /// ```
    pub fn of<T>(signature: T) -> Result<Self>
    where
        T: TryInto<Signature>,
        Error: From<T::Error>,
    {
        Ok(Self::from_core(Core::new(signature.try_into()?)))
    }
}

impl<S: TypedSignature> Predict<S> {
    /// A predictor for a derived signature.
    pub fn new() -> Self {
        Self::from_core(Core::new(S::signature()))
    }
}

impl<S: TypedSignature> Default for Predict<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Io> Predict<S> {
    fn from_core(core: Core) -> Self {
        Self { core, signature: PhantomData }
    }

    /// With these parameters as its own.
    #[must_use]
    pub fn with_parameters(mut self, parameters: Parameters) -> Self {
        self.core.parameters = Arc::new(parameters);
        self
    }

    /// With these instructions in place of the signature's.
    #[must_use]
    pub fn with_instructions(mut self, text: impl Into<Arc<str>>) -> Self {
        Arc::make_mut(&mut self.core.parameters).instructions = Some(text.into());
        self
    }

    /// With these demonstrations.
    #[must_use]
    pub fn with_demos(mut self, demos: impl IntoIterator<Item = Record>) -> Self {
        Arc::make_mut(&mut self.core.parameters).demos = Some(demos.into_iter().collect());
        self
    }

    /// Its signature as written.
    pub fn signature(&self) -> &Signature {
        &self.core.signature
    }
}

impl<S: Io> Clone for Predict<S> {
    fn clone(&self) -> Self {
        Self::from_core(self.core.clone())
    }
}

impl<S: Io> fmt::Debug for Predict<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Predict({})", self.core.signature)
    }
}

impl<S: Io> Predictors for Predict<S> {
    fn visit<'a>(&'a self, visit: &mut Visit<'a>) {
        visit.predictor(&self.core);
    }
}

impl<S: Io> Module for Predict<S> {
    type Input = S::Input;
    type Output = S::Output;

    async fn forward(&self, cx: &Context, input: S::Input) -> Result<Prediction<S::Output>> {
        let prediction = self.core.run(cx, Record::from_typed(input)?).await?;
        prediction.try_map(Record::into_typed)
    }

    fn interface(&self) -> Option<Signature> {
        Some(self.core.signature.clone())
    }
}
