//! The contract of a language model: a request goes in, completions come out.
//!
//! [`Lm`] has one required method, [`Lm::generate`]. Everything that wraps an LM (cache, retry,
//! budget…) is an `Lm` itself. Programs hold an [`LmHandle`], a cheap clone.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::{self, Stream, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::LmError;

/// Who speaks in a [`Message`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The standing instructions, constant for a predictor.
    System,
    /// The caller: inputs.
    User,
    /// The LM: outputs.
    Assistant,
}

impl Role {
    /// The name used on every chat wire: `system`, `user` or `assistant`.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        }
    }
}

/// One turn of a conversation. Cloning shares the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: Arc<str>,
}

impl Message {
    /// A message of the given role.
    pub fn new(role: Role, content: impl Into<Arc<str>>) -> Self {
        Self { role, content: content.into() }
    }
    /// A system message.
    pub fn system(content: impl Into<Arc<str>>) -> Self {
        Self::new(Role::System, content)
    }
    /// A user message.
    pub fn user(content: impl Into<Arc<str>>) -> Self {
        Self::new(Role::User, content)
    }
    /// An assistant message.
    pub fn assistant(content: impl Into<Arc<str>>) -> Self {
        Self::new(Role::Assistant, content)
    }
}

/// How to sample. `None` means: the layer below decides (its documented default).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LmSettings {
    /// Sampling temperature, at least 0; 0 is greedy. Default of the embedded engine: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Nucleus sampling mass in (0, 1].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f32>,
    /// Most tokens a completion may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// Seed of the sampler, where the LM has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Texts that end a completion (they are not part of it).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Log-probabilities wanted: `Some(k)` gives the chosen token and its `k` best rivals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<u32>,
}

impl LmSettings {
    /// These settings where set, else those of `base`.
    pub fn or(&self, base: &LmSettings) -> LmSettings {
        LmSettings {
            temperature: self.temperature.or(base.temperature),
            top_p: self.top_p.or(base.top_p),
            max_tokens: self.max_tokens.or(base.max_tokens),
            seed: self.seed.or(base.seed),
            stop: if self.stop.is_empty() { base.stop.clone() } else { self.stop.clone() },
            logprobs: self.logprobs.or(base.logprobs),
        }
    }
}

/// The form a reply must have. An LM enforces what its [`Capabilities`] name and ignores the rest.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Constraint {
    /// JSON schema of the whole reply, for replies that are JSON (OpenAI's `response_format`).
    pub json_schema: Option<Arc<Value>>,
    /// A grammar in llguidance's Lark dialect for the whole reply.
    pub lark: Option<Arc<str>>,
}

impl Constraint {
    /// A constraint from its parts; at least one should be given.
    pub fn new(json_schema: Option<Arc<Value>>, lark: Option<Arc<str>>) -> Self {
        Self { json_schema, lark }
    }
}

/// What is added to an LM's logarithmic liking for texts: positive makes a text likelier.
///
/// Small LMs like some labels whatever the question; this takes it off (see `label_bias` of
/// [`LmRequest`]).
pub type LabelBias = BTreeMap<Arc<str>, f32>;

/// One call of a language model.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LmRequest {
    /// The conversation so far; the reply is the next assistant turn.
    pub messages: Vec<Message>,
    /// How to sample.
    pub settings: LmSettings,
    /// Completions wanted, at least 1.
    pub n: u32,
    /// The form that the reply must have, if any.
    pub constraint: Option<Arc<Constraint>>,
    /// Tells apart calls that are otherwise equal, so that a cache answers each on its own.
    pub rollout: u64,
    /// Under a constraint: added to the log-probability of the first token that is freely chosen, by
    /// the text that it begins. LMs without the capability `label_bias` ignore it.
    pub label_bias: Option<Arc<LabelBias>>,
}

impl LmRequest {
    /// A request with default settings, one completion and no constraint.
    ///
    /// ```
    /// use teleprompt_core::{LmRequest, Message};
    /// let request = LmRequest::new(vec![Message::user("Hello")]);
    /// assert_eq!(request.n, 1);
    /// ```
    pub fn new(messages: Vec<Message>) -> Self {
        Self {
            messages,
            settings: LmSettings::default(),
            n: 1,
            constraint: None,
            rollout: 0,
            label_bias: None,
        }
    }
}

/// Why a completion ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FinishReason {
    /// The LM was done, or met a stop text.
    #[default]
    Stop,
    /// `max_tokens` or the window cut it off.
    Length,
    /// The provider withheld the content.
    ContentFilter,
    /// Something this version has no name for.
    Other,
}

/// A token with its log-probability (natural logarithm, at most 0).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprob {
    /// The token's text.
    pub token: String,
    /// Natural logarithm of its probability.
    pub logprob: f32,
    /// The most likely tokens at this place, best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub top: Vec<(String, f32)>,
}

/// One reply.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    /// The text of the reply.
    pub text: String,
    /// Why it ended.
    #[serde(default)]
    pub finish: FinishReason,
    /// Per token, if they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<Vec<TokenLogprob>>,
}

/// What a call used, in calls and tokens. Sums over calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// LM calls, answered from a cache or not.
    pub calls: u64,
    /// Calls answered from a cache of ours.
    pub cache_hits: u64,
    /// Tokens of the prompts.
    pub prompt_tokens: u64,
    /// Tokens of the completions.
    pub completion_tokens: u64,
    /// Prompt tokens the engine or provider did not have to compute again.
    pub cached_prompt_tokens: u64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.cache_hits += other.cache_hits;
        self.prompt_tokens += other.prompt_tokens;
        self.completion_tokens += other.completion_tokens;
        self.cached_prompt_tokens += other.cached_prompt_tokens;
    }
}

/// The answer to an [`LmRequest`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LmResponse {
    /// As many as were asked for, at least one.
    pub completions: Vec<Completion>,
    /// What this call used (`calls` is 1).
    pub usage: Usage,
    /// The model that answered, as the provider names it.
    #[serde(default)]
    pub model: Arc<str>,
}

impl LmResponse {
    /// A response with one completion and no usage known.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            completions: vec![Completion { text: text.into(), ..Completion::default() }],
            usage: Usage { calls: 1, ..Usage::default() },
            model: Arc::from(""),
        }
    }
}

/// A piece of a streamed reply.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum LmChunk {
    /// More text of completion `index`.
    Text {
        /// Which completion, from 0.
        index: usize,
        /// The new text.
        text: String,
    },
    /// The end: the whole response, with usage.
    Done(LmResponse),
}

/// A stream of chunks; the last one is [`LmChunk::Done`] unless an error ends it.
pub type LmStream<'a> = Pin<Box<dyn Stream<Item = Result<LmChunk, LmError>> + Send + 'a>>;

/// What an LM can do, told truthfully: callers decide by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Enforces [`Constraint::json_schema`].
    pub json_schema: bool,
    /// Enforces [`Constraint::lark`].
    pub lark: bool,
    /// Fills [`Completion::logprobs`].
    pub logprobs: bool,
    /// Applies [`LmRequest::label_bias`].
    pub label_bias: bool,
    /// Most tokens of prompt and completion together, where known.
    pub context_window: Option<u32>,
}

impl Capabilities {
    /// No ability at all; set those you have with the `with_*` methods.
    pub const fn none() -> Self {
        Self {
            json_schema: false,
            lark: false,
            logprobs: false,
            label_bias: false,
            context_window: None,
        }
    }
    /// Whether JSON schemas are enforced.
    pub const fn with_json_schema(mut self, yes: bool) -> Self {
        self.json_schema = yes;
        self
    }
    /// Whether Lark grammars are enforced.
    pub const fn with_lark(mut self, yes: bool) -> Self {
        self.lark = yes;
        self
    }
    /// Whether log-probabilities are returned.
    pub const fn with_logprobs(mut self, yes: bool) -> Self {
        self.logprobs = yes;
        self
    }
    /// Whether [`LmRequest::label_bias`] is applied.
    pub const fn with_label_bias(mut self, yes: bool) -> Self {
        self.label_bias = yes;
        self
    }
    /// The context window in tokens.
    pub const fn with_context_window(mut self, tokens: u32) -> Self {
        self.context_window = Some(tokens);
        self
    }
}

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
///         Ok(LmResponse::text(request.messages.last().map_or("", |m| &m.content)))
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
}

fn chunks(reply: Result<LmResponse, LmError>) -> Vec<Result<LmChunk, LmError>> {
    match reply {
        Err(error) => vec![Err(error)],
        Ok(response) => {
            let texts = response.completions.iter().enumerate();
            let mut out: Vec<_> =
                texts.map(|(index, c)| Ok(LmChunk::Text { index, text: c.text.clone() })).collect();
            out.push(Ok(LmChunk::Done(response)));
            out
        }
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
}
