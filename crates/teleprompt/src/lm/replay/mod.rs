//! Recording an LM's answers to a file, and answering from it: tests and demos without a model.

mod file;
mod nearest;

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use futures::stream::{self, StreamExt};
use teleprompt_core::{
    Capabilities, Lm, LmChunk, LmError, LmErrorKind, LmRequest, LmResponse, LmStream, Result,
};

use super::cache::Key;
use super::forward::{End, forward, pieces, watch_call, watch_stream};
use file::{Asked, Exchange, Header, Writer};

/// Writes all that goes through it to a file, for [`Replay`].
///
/// The file has one JSON object a line: a header with the format's version, and the LM's name and
/// capabilities; then for each call that came to an end the request, and the response or the error.
/// Each line is written when its call ends. Keys of providers and
/// [`extra_body`](teleprompt_core::LmSettings::extra_body) are not in it; prompts and replies are,
/// with images and files as base64.
///
/// ```
/// use teleprompt::lm::{Recorder, Replay};
/// use teleprompt::{Lm, LmErrorKind, LmRequest, Message};
/// use teleprompt_testkit::ScriptedLm;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> teleprompt::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("calls.jsonl");
/// let hi = LmRequest::new(vec![Message::user("hi")]);
/// Recorder::new(ScriptedLm::new(|_| "hello"), &path)?.generate(&hi).await?;
///
/// let lm = Replay::open(&path)?;
/// assert_eq!(lm.generate(&hi).await?.completions[0].text, "hello");
/// let error = lm.generate(&LmRequest::new(vec![Message::user("ho")])).await.unwrap_err();
/// assert_eq!(error.kind, LmErrorKind::NotRecorded);
/// assert!(error.message.contains("message 1: `hi` was recorded, `ho` is asked"), "{error}");
/// # Ok(())
/// # }
/// ```
pub struct Recorder<L> {
    inner: L,
    file: Writer,
}

impl<L: Lm> Recorder<L> {
    /// Wraps an LM. A recording that is there already is continued; delete the file to begin anew.
    ///
    /// # Errors
    /// [`Error::Io`](teleprompt_core::Error::Io): the file cannot be written.
    /// [`Error::Data`](teleprompt_core::Error::Data): it is something else than a recording.
    pub fn new(inner: L, path: impl AsRef<Path>) -> Result<Self> {
        let header = Header::of(&inner);
        Ok(Self { file: Writer::open(path.as_ref(), &header)?, inner })
    }

    /// A failure to write is the call's: a recording with a hole would be noticed too late.
    fn keep(&self, request: &LmRequest, end: &End<'_>) -> Result<(), LmError> {
        let outcome = match end {
            End::Done(response) => Ok(&**response),
            End::Failed(error) => Err(*error),
            End::Dropped => return Ok(()),
        };
        self.file.write(&Exchange::of(request, outcome)).map_err(|error| {
            LmError::new(LmErrorKind::Protocol, self.name(), format!("recording failed: {error}"))
        })
    }
}

impl<L: Lm> Lm for Recorder<L> {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let mut kept = Ok(());
        let answer =
            watch_call(self.inner.generate(request), |end| kept = self.keep(request, &end)).await;
        kept.and(answer)
    }

    fn stream<'a>(&'a self, request: &'a LmRequest) -> LmStream<'a> {
        let kept = std::sync::Arc::new(Mutex::new(Ok(())));
        let told = kept.clone();
        let chunks = watch_stream(self.inner.stream(request), move |end| {
            *told.lock().unwrap_or_else(PoisonError::into_inner) = self.keep(request, &end);
        });
        let checked = chunks.map(move |chunk| {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *kept, Ok(())).and(chunk)
        });
        checked.boxed()
    }

    forward!(inner);

    fn describe(&self) -> String {
        format!("record → {}", self.inner.describe())
    }
}

impl<L: Lm> fmt::Debug for Recorder<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recorder({})", self.describe())
    }
}

/// Answers from a recording that a [`Recorder`] made, and calls nothing.
///
/// - A request is found by all that a cache goes by: messages, settings, constraint, tools, rollout…
///   It has the capabilities of the LM that was recorded, so that programs ask the same.
/// - Equal requests get the recorded answers in their order, errors included; the last is repeated.
/// - A request that was not recorded is an error of the kind [`LmErrorKind::NotRecorded`], which says
///   how it differs from the nearest one that was.
/// - A stream gives the text in pieces, word by word.
/// - Usage and cost are those of the calls that were recorded.
///
/// See [`Recorder`] for an example.
pub struct Replay {
    name: String,
    capabilities: Capabilities,
    answers: Mutex<HashMap<Key, Answers>>,
    asked: Vec<Asked>,
}

/// The answers to equal requests.
#[derive(Default)]
struct Answers {
    all: Vec<Result<LmResponse, LmError>>,
    given: usize,
}

impl Replay {
    /// Reads a recording.
    ///
    /// # Errors
    /// [`Error::Io`](teleprompt_core::Error::Io): the file cannot be read.
    /// [`Error::Data`](teleprompt_core::Error::Data): it is no recording, of another version, or
    /// damaged. A last line that was not written whole is left out.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let (header, exchanges) = file::read(path.as_ref())?;
        let mut answers: HashMap<Key, Answers> = HashMap::new();
        let mut asked = Vec::new();
        for exchange in exchanges {
            let (key, request, outcome) = exchange.into_parts();
            let equal = answers.entry(key).or_default();
            if equal.all.is_empty() {
                asked.push(request);
            }
            equal.all.push(outcome);
        }
        Ok(Self {
            capabilities: header.capabilities(),
            name: header.lm,
            answers: Mutex::new(answers),
            asked,
        })
    }

    fn answer(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(equal) = answers.get_mut(&file::key(request)) else {
            return Err(self.not_recorded(request));
        };
        let answer = equal.all.get(equal.given).cloned();
        equal.given = (equal.given + 1).min(equal.all.len().saturating_sub(1));
        answer.unwrap_or_else(|| Err(self.not_recorded(request)))
    }

    fn not_recorded(&self, request: &LmRequest) -> LmError {
        let message = match nearest::difference(&Asked::of(request), &self.asked) {
            None => "this request was not recorded, nor was any other".to_owned(),
            Some(difference) => format!(
                "this request was not recorded; the nearest one differs: {difference}; record again, \
                 or ask as before"
            ),
        };
        LmError::new(LmErrorKind::NotRecorded, self.name.as_str(), message)
    }
}

impl Lm for Replay {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        self.answer(request)
    }

    fn stream<'a>(&'a self, request: &'a LmRequest) -> LmStream<'a> {
        let answer = async move { pieces(self.answer(request)) };
        stream::once(answer)
            .flat_map(|chunks| stream::iter(chunks.into_iter().flat_map(words)))
            .boxed()
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn describe(&self) -> String {
        format!("replay({})", self.name)
    }
}

/// A piece of text as many pieces of one word each.
fn words(chunk: Result<LmChunk, LmError>) -> Vec<Result<LmChunk, LmError>> {
    match chunk {
        Ok(LmChunk::Text { index, text }) => {
            let words = text.split_inclusive(char::is_whitespace);
            words.map(|word| Ok(LmChunk::Text { index, text: word.into() })).collect()
        }
        other => vec![other],
    }
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay")
            .field("name", &self.name)
            .field("requests", &self.asked.len())
            .finish_non_exhaustive()
    }
}
