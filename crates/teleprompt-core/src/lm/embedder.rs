//! The contract of an embedding model: texts go in, vectors come out.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::error::LmError;
use super::usage::Usage;

/// Vectors for texts, in the order of the texts.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Embeddings {
    /// One vector a text, all of the same length.
    pub vectors: Vec<Vec<f32>>,
    /// What it used; `calls` counts the requests that were sent.
    pub usage: Usage,
}

impl Embeddings {
    /// Vectors with what they used.
    pub fn new(vectors: Vec<Vec<f32>>, usage: Usage) -> Self {
        Self { vectors, usage }
    }
}

/// An embedding model. Any number of texts may be given; implementors split them into requests as
/// their provider wants.
///
/// ```
/// use teleprompt_core::{Embedder, EmbedderHandle, Embeddings, LmError, Usage};
///
/// /// The length of each text.
/// struct Length;
///
/// impl Embedder for Length {
///     async fn embed(&self, texts: &[String]) -> Result<Embeddings, LmError> {
///         let vectors = texts.iter().map(|t| vec![t.len() as f32]).collect();
///         Ok(Embeddings::new(vectors, Usage::one_call()))
///     }
/// }
///
/// let embedder = EmbedderHandle::new(Length);
/// let texts = ["a".to_owned(), "bcd".to_owned()];
/// let found = futures::executor::block_on(embedder.embed(&texts)).unwrap();
/// assert_eq!(found.vectors, [[1.0], [3.0]]);
/// ```
pub trait Embedder: Send + Sync + 'static {
    /// The vectors of these texts. No texts give no vectors and send nothing.
    fn embed(&self, texts: &[String]) -> impl Future<Output = Result<Embeddings, LmError>> + Send;

    /// The name under which it was configured. Default: `custom`.
    fn name(&self) -> &str {
        "custom"
    }

    /// All that tells its vectors from another's, without secrets. Default: the name.
    fn identity(&self) -> String {
        self.name().to_owned()
    }
}

/// The private twin of [`Embedder`] that can be stored.
trait ErasedEmbedder: Send + Sync {
    fn embed<'a>(&'a self, texts: &'a [String]) -> BoxFuture<'a, Result<Embeddings, LmError>>;
    fn name(&self) -> &str;
    fn identity(&self) -> String;
}

impl<E: Embedder> ErasedEmbedder for E {
    fn embed<'a>(&'a self, texts: &'a [String]) -> BoxFuture<'a, Result<Embeddings, LmError>> {
        Box::pin(Embedder::embed(self, texts))
    }
    fn name(&self) -> &str {
        Embedder::name(self)
    }
    fn identity(&self) -> String {
        Embedder::identity(self)
    }
}

/// Any embedding model, shared. Cloning is cheap.
#[derive(Clone)]
pub struct EmbedderHandle(Arc<dyn ErasedEmbedder>);

impl EmbedderHandle {
    /// Wraps an embedding model.
    pub fn new(embedder: impl Embedder) -> Self {
        Self(Arc::new(embedder))
    }
}

impl fmt::Debug for EmbedderHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmbedderHandle({})", self.0.name())
    }
}

impl Embedder for EmbedderHandle {
    async fn embed(&self, texts: &[String]) -> Result<Embeddings, LmError> {
        self.0.embed(texts).await
    }
    fn name(&self) -> &str {
        self.0.name()
    }
    fn identity(&self) -> String {
        self.0.identity()
    }
}
