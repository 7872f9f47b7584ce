//! The contract of a language model: a request goes in, completions come out.
//!
//! [`Lm`] has one required method, [`Lm::generate`]. Everything that wraps an LM (cache, retry,
//! budget…) is an `Lm` itself. Programs hold an [`LmHandle`], a cheap clone.

mod capabilities;
mod embedder;
mod error;
mod message;
mod request;
mod response;
mod tool;
mod usage;

pub use capabilities::Capabilities;
pub use embedder::{Embedder, EmbedderHandle, Embeddings};
pub use error::{LmError, LmErrorKind};
pub use message::{Content, Media, MediaSource, Message, Part, Reasoning, Role};
pub use request::{Constraint, LabelBias, LmRequest, LmSettings, ReasoningEffort};
pub use response::{
    Completion, FinishReason, LmChunk, LmResponse, LmStream, RateStatus, TokenLogprob,
};
pub use tool::{Tool, ToolCall, ToolChoice, ToolResult};
pub use usage::{Money, Price, Usage};

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};

/// A language model.
///
/// Implementors write `async fn generate`; the other methods have defaults. Calls come from many
/// tasks at once. Dropping the future must abandon the call.
///
/// ```
/// use teleprompt_core::{Lm, LmError, LmHandle, LmRequest, LmResponse, Message};
///
/// /// Repeats the last message.
/// struct Echo;
///
/// impl Lm for Echo {
///     async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
///         Ok(LmResponse::text(request.messages.last().map_or("", |m| &*m.content)))
///     }
/// }
///
/// let lm = LmHandle::new(Echo);
/// let request = LmRequest::new(vec![Message::user("hi")]);
/// let reply = futures::executor::block_on(lm.generate(&request)).unwrap();
/// assert_eq!(reply.completions[0].text, "hi");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a language model",
    note = "implement `Lm` for it: one method, `async fn generate`"
)]
pub trait Lm: Send + Sync + 'static {
    /// Answers one request. Errors are the LM's own; whether a repetition can help is told by
    /// [`LmError::is_retryable`].
    fn generate(
        &self,
        request: &LmRequest,
    ) -> impl Future<Output = Result<LmResponse, LmError>> + Send;

    /// Answers one request piece by piece. Default: one piece, when all is there.
    fn stream<'a>(&'a self, request: &'a LmRequest) -> LmStream<'a> {
        let whole = stream::once(async move { self.generate(request).await });
        Box::pin(whole.flat_map(|reply| stream::iter(chunks(reply))))
    }

    /// The name under which it was configured, such as `openai:gpt-5-mini`. It is part of every
    /// cache key together with [`Lm::identity`]. Default: `custom`.
    fn name(&self) -> &str {
        "custom"
    }

    /// All that tells this LM's answers from another's: endpoint, model, weights' hash. It holds
    /// no secret. Default: the name.
    fn identity(&self) -> String {
        self.name().to_owned()
    }

    /// What it can do. Default: nothing beyond text.
    fn capabilities(&self) -> Capabilities {
        Capabilities::none()
    }

    /// The stack of layers, outermost first, for people. Default: the name.
    fn describe(&self) -> String {
        self.name().to_owned()
    }

    /// How many tokens the prompt of this request has, at most. Budgets need it; where it is
    /// `None`, they take the bytes of the prompt as a bound. Default: `None`.
    fn count_tokens(&self, request: &LmRequest) -> Option<u64> {
        let _ = request;
        None
    }

    /// What it charges, where that is known. Default: `None`.
    fn price(&self) -> Option<Price> {
        None
    }
}

fn chunks(reply: Result<LmResponse, LmError>) -> Vec<Result<LmChunk, LmError>> {
    match reply {
        Err(error) => vec![Err(error)],
        Ok(response) => response.into_chunks().into_iter().map(Ok).collect(),
    }
}

/// The private twin of [`Lm`] that can be stored.
trait ErasedLm: Send + Sync {
    fn generate<'a>(&'a self, r: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>>;
    fn stream<'a>(&'a self, r: &'a LmRequest) -> LmStream<'a>;
    fn name(&self) -> &str;
    fn identity(&self) -> String;
    fn capabilities(&self) -> Capabilities;
    fn describe(&self) -> String;
    fn count_tokens(&self, r: &LmRequest) -> Option<u64>;
    fn price(&self) -> Option<Price>;
}

impl<L: Lm> ErasedLm for L {
    fn generate<'a>(&'a self, r: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
        Box::pin(Lm::generate(self, r))
    }
    fn stream<'a>(&'a self, r: &'a LmRequest) -> LmStream<'a> {
        Lm::stream(self, r)
    }
    fn name(&self) -> &str {
        Lm::name(self)
    }
    fn identity(&self) -> String {
        Lm::identity(self)
    }
    fn capabilities(&self) -> Capabilities {
        Lm::capabilities(self)
    }
    fn describe(&self) -> String {
        Lm::describe(self)
    }
    fn count_tokens(&self, r: &LmRequest) -> Option<u64> {
        Lm::count_tokens(self, r)
    }
    fn price(&self) -> Option<Price> {
        Lm::price(self)
    }
}

/// Any LM, shared. Cloning is cheap. It is not serialisable: a live LM never gets into a file.
#[derive(Clone)]
pub struct LmHandle(Arc<dyn ErasedLm>);

impl LmHandle {
    /// Wraps an LM.
    pub fn new(lm: impl Lm) -> Self {
        Self(Arc::new(lm))
    }

    /// Whether both are the same LM object.
    pub fn same(&self, other: &LmHandle) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for LmHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LmHandle({})", self.0.describe())
    }
}

impl Lm for LmHandle {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        self.0.generate(request).await
    }
    fn stream<'a>(&'a self, request: &'a LmRequest) -> LmStream<'a> {
        self.0.stream(request)
    }
    fn name(&self) -> &str {
        self.0.name()
    }
    fn identity(&self) -> String {
        self.0.identity()
    }
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
    fn describe(&self) -> String {
        self.0.describe()
    }
    fn count_tokens(&self, request: &LmRequest) -> Option<u64> {
        self.0.count_tokens(request)
    }
    fn price(&self) -> Option<Price> {
        self.0.price()
    }
}
