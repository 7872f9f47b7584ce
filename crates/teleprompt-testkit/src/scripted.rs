//! An LM that answers from a script, for tests and benches.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use teleprompt_core::{
    Capabilities, Completion, Lm, LmChunk, LmError, LmErrorKind, LmRequest, LmResponse, LmStream,
    Message, Part, TokenLogprob, Usage,
};

/// One answer of a script.
#[derive(Clone, Debug)]
pub enum Reply {
    /// The text of a completion.
    Text(String),
    /// A completion with all its parts.
    Completion(Completion),
    /// A failure of the whole call.
    Error(LmError),
}

impl Reply {
    /// A completion made of these tokens, each with the likeliest tokens at its place and their
    /// probabilities; a token that is not among them is certain.
    ///
    /// ```
    /// use teleprompt_testkit::scripted::Reply;
    /// let Reply::Completion(c) = Reply::tokens(&[("It is ", &[]), ("so", &[("so", 0.5)])]) else {
    ///     panic!("it is a completion");
    /// };
    /// assert_eq!(c.text, "It is so");
    /// assert_eq!(c.logprobs.unwrap()[1].logprob, 0.5f32.ln());
    /// ```
    pub fn tokens(tokens: &[(&str, &[(&str, f32)])]) -> Self {
        let token = |(token, top): &(&str, &[(&str, f32)])| {
            let top: Vec<(String, f32)> =
                top.iter().map(|(t, p)| (t.to_string(), p.ln())).collect();
            let own = top.iter().find(|(t, _)| t == token).map_or(0.0, |(_, logprob)| *logprob);
            TokenLogprob { token: token.to_string(), logprob: own, top }
        };
        Reply::Completion(Completion {
            logprobs: Some(tokens.iter().map(token).collect()),
            ..Completion::text(tokens.iter().map(|(t, _)| *t).collect::<String>())
        })
    }

    /// A failure of this kind.
    pub fn error(kind: LmErrorKind) -> Self {
        Reply::Error(LmError::new(kind, "scripted", format!("scripted failure: {kind:?}")))
    }
}

impl From<&str> for Reply {
    fn from(text: &str) -> Self {
        Reply::Text(text.to_owned())
    }
}

impl From<String> for Reply {
    fn from(text: String) -> Self {
        Reply::Text(text)
    }
}

impl From<Completion> for Reply {
    fn from(completion: Completion) -> Self {
        Reply::Completion(completion)
    }
}

impl From<LmError> for Reply {
    fn from(error: LmError) -> Self {
        Reply::Error(error)
    }
}

type Script = dyn Fn(&LmRequest) -> Reply + Send + Sync;

/// An LM that answers from a closure or from a list of replies. Clones share the script, the
/// counter and the record.
///
/// A request for `n` completions asks the script `n` times. Usage counts words between white space
/// as tokens, unless [`ScriptedLm::without_usage`]. Requests are recorded only after
/// [`ScriptedLm::recording`].
///
/// ```
/// use teleprompt_core::{Lm, LmRequest, Message};
/// use teleprompt_testkit::ScriptedLm;
///
/// let lm = ScriptedLm::replies(["one", "two"]).recording();
/// let request = LmRequest::new(vec![Message::user("count")]);
/// let reply = futures::executor::block_on(lm.generate(&request)).unwrap();
/// assert_eq!(reply.completions[0].text, "one");
/// assert_eq!(lm.requests(), [request]);
/// ```
#[derive(Clone)]
pub struct ScriptedLm {
    script: Arc<Script>,
    name: Arc<str>,
    delay: Option<Duration>,
    pieces: Option<usize>,
    usage: bool,
    capabilities: Capabilities,
    calls: Arc<AtomicU64>,
    record: Option<Arc<Mutex<Vec<LmRequest>>>>,
}

impl ScriptedLm {
    /// Answers with what the closure makes of the request: a text, a [`Completion`], an
    /// [`LmError`] or a [`Reply`].
    pub fn new<R: Into<Reply>>(script: impl Fn(&LmRequest) -> R + Send + Sync + 'static) -> Self {
        Self {
            script: Arc::new(move |request| script(request).into()),
            name: Arc::from("scripted"),
            delay: None,
            pieces: None,
            usage: true,
            capabilities: Capabilities::none(),
            calls: Arc::default(),
            record: None,
        }
    }

    /// Answers with these replies in order; when they are used up, calls fail with a
    /// [`LmErrorKind::Protocol`] error.
    pub fn replies<R: Into<Reply>>(replies: impl IntoIterator<Item = R>) -> Self {
        let queue: VecDeque<Reply> = replies.into_iter().map(Into::into).collect();
        let total = queue.len();
        let queue = Mutex::new(queue);
        Self::new(move |_| {
            lock(&queue).pop_front().unwrap_or_else(|| {
                let message = format!("the script is at its end: all {total} replies are used up");
                Reply::Error(LmError::new(LmErrorKind::Protocol, "scripted", message))
            })
        })
    }

    /// Keeps every request, for [`ScriptedLm::requests`].
    #[must_use]
    pub fn recording(mut self) -> Self {
        self.record = Some(Arc::default());
        self
    }

    /// Waits before each answer, on tokio's clock.
    #[must_use]
    pub fn with_delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// Streams its texts in pieces of this many characters, at least 1, letting other tasks run
    /// between them. Default: in one piece.
    #[must_use]
    pub fn with_pieces(mut self, characters: usize) -> Self {
        self.pieces = Some(characters.max(1));
        self
    }

    /// With another name. Default: `scripted`.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = name.into();
        self
    }

    /// Claims these capabilities; the script has to live up to them. Media and tools that are not
    /// claimed are refused. Default: none.
    #[must_use]
    pub fn with_capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// Reports no tokens, which saves reading the messages: for benches.
    #[must_use]
    pub fn without_usage(mut self) -> Self {
        self.usage = false;
        self
    }

    /// How many calls there were, failed ones included.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// The recorded requests in the order they came; empty without [`ScriptedLm::recording`].
    pub fn requests(&self) -> Vec<LmRequest> {
        self.record.as_ref().map(|r| lock(r).clone()).unwrap_or_default()
    }

    fn completion(&self, request: &LmRequest) -> Result<Completion, LmError> {
        match (self.script)(request) {
            Reply::Text(text) => Ok(Completion { text, ..Completion::default() }),
            Reply::Completion(completion) => Ok(completion),
            Reply::Error(error) => Err(error),
        }
    }

    /// The refusal of what is not claimed.
    fn refuse(&self, request: &LmRequest) -> Result<(), LmError> {
        let is_media =
            |part: &Part| matches!(part, Part::Image(_) | Part::Audio(_) | Part::File(_));
        let parts = request.messages.iter().filter_map(|m| m.content.parts()).flatten();
        let what = if !self.capabilities.media && parts.into_iter().any(is_media) {
            "media"
        } else if !self.capabilities.tools && !request.tools.is_empty() {
            "tools"
        } else {
            return Ok(());
        };
        let message = format!("this script claims no {what}; claim them by `with_capabilities`");
        Err(LmError::new(LmErrorKind::Unsupported, self.name.clone(), message))
    }

    fn tokens(&self, request: &LmRequest, completions: &[Completion]) -> Usage {
        let mut usage = Usage { calls: 1, ..Usage::default() };
        if self.usage {
            let prompt = request.messages.iter().map(|m: &Message| words(&m.content));
            usage.prompt_tokens = prompt.sum();
            usage.completion_tokens = completions.iter().map(|c| words(&c.text)).sum();
        }
        usage
    }
}

impl Lm for ScriptedLm {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if let Some(record) = &self.record {
            lock(record).push(request.clone());
        }
        self.refuse(request)?;
        if let Some(delay) = self.delay {
            tokio::time::sleep(delay).await;
        }
        let completions =
            (0..request.n).map(|_| self.completion(request)).collect::<Result<Vec<_>, _>>()?;
        let usage = self.tokens(request, &completions);
        Ok(LmResponse { completions, usage, model: self.name.clone(), ..LmResponse::default() })
    }

    fn stream<'a>(&'a self, request: &'a LmRequest) -> LmStream<'a> {
        let size = self.pieces.unwrap_or(usize::MAX);
        let whole = async move {
            let response = self.generate(request).await?;
            let chunks = response.into_chunks().into_iter().flat_map(move |c| cut(c, size));
            Ok(stream::iter(chunks.map(Ok)).then(|chunk| async {
                tokio::task::yield_now().await;
                chunk
            }))
        };
        stream::once(whole).try_flatten().boxed()
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }
}

/// A chunk of text in pieces of this many characters.
fn cut(chunk: LmChunk, size: usize) -> Vec<LmChunk> {
    match chunk {
        LmChunk::Text { index, text } if !text.is_empty() => {
            let chars: Vec<char> = text.chars().collect();
            let piece = |cut: &[char]| LmChunk::Text { index, text: cut.iter().collect() };
            chars.chunks(size).map(piece).collect()
        }
        other => vec![other],
    }
}

fn words(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
