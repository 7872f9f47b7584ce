//! The handle: an [`Lm`] whose weights are in this process.

use std::fmt;
use std::path::Path;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use futures::channel::{mpsc as stream_channel, oneshot};
use futures::stream;
use teleprompt_core::{
    Capabilities, Lm, LmChunk, LmError, LmErrorKind, LmRequest, LmResponse, LmStream, Message,
    Price,
};

use crate::config::EngineConfig;
use crate::engine::{self, Parts};
use crate::job::{Job, Reply};
use crate::prompt::Prompter;
use crate::weights::Weights;

/// A language model that runs in this process. Cloning shares it; the last clone's drop stops the
/// engine thread and frees the memory (it waits for the decoding step that is under way).
///
/// Requests are answered one at a time, in the order of their arrival. Temperature `None` is
/// greedy. With equal settings, seeds and order of requests the answers are equal; what was asked
/// before decides how much of a prompt is computed anew and in what batches, which may change a
/// score in its last digits and so, rarely, a token.
///
/// Log-probabilities are those at temperature 1; under a constraint, among the tokens that it
/// allows. [`Usage::completion_tokens`](teleprompt_core::Usage) counts generated and forced tokens,
/// not the mark that ends a completion.
///
/// ```no_run
/// use teleprompt_core::{Lm, LmRequest, Message};
/// use teleprompt_local::{EngineConfig, LocalLm};
///
/// let path = std::path::Path::new("smollm2.gguf");
/// let lm = LocalLm::load("local:smollm2", path, EngineConfig::default())?;
/// let request = LmRequest::new(vec![Message::user("What is the capital of France?")]);
/// let reply = futures::executor::block_on(lm.generate(&request))?;
/// println!("{}", reply.completions[0].text);
/// # Ok::<(), teleprompt_core::LmError>(())
/// ```
#[derive(Clone)]
pub struct LocalLm(Arc<Inner>);

struct Inner {
    name: Arc<str>,
    identity: String,
    window: u32,
    max_tokens_default: u32,
    threads: u32,
    weights: Arc<Weights>,
    prompter: Arc<Prompter>,
    jobs: Mutex<Option<Sender<Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl LocalLm {
    /// Loads a model in GGUF format and starts its engine. `name` is what [`Lm::name`] gives, such
    /// as `local:smollm2`. It blocks for as long as reading the file once takes.
    ///
    /// # Errors
    /// [`LmErrorKind::Model`] if the file is missing, damaged or no model,
    /// [`LmErrorKind::Unsupported`] if the model cannot generate text,
    /// [`LmErrorKind::InvalidRequest`] if the settings make no sense.
    pub fn load(name: &str, path: &Path, config: EngineConfig) -> Result<Self, LmError> {
        let error = |kind, text: String| LmError::new(kind, name, text);
        config.check().map_err(|text| error(LmErrorKind::InvalidRequest, text))?;
        let weights = Arc::new(Weights::load(name, path)?);
        let fault = |text| error(LmErrorKind::Model, text);
        let prompter = Arc::new(Prompter::new(weights.model()).map_err(fault)?);
        let identity = format!("local:{}{}", weights.hash(), config.identity_suffix());
        let threads = config.thread_count();
        let max_tokens_default = config.max_tokens_default;
        let name: Arc<str> = name.into();
        let parts = Parts {
            name: name.clone(),
            weights: weights.clone(),
            prompter: prompter.clone(),
            config,
        };
        let (jobs, thread, window) = start(parts).map_err(fault)?;
        Ok(Self(Arc::new(Inner {
            name,
            identity,
            window: u32::try_from(window).unwrap_or(u32::MAX),
            max_tokens_default,
            threads,
            weights,
            prompter,
            jobs: Mutex::new(Some(jobs)),
            thread: Some(thread),
        })))
    }

    /// The prompt that the model gets for these messages, by its chat template, for people.
    pub fn render(&self, messages: &[Message]) -> String {
        self.0.prompter.text(messages)
    }

    fn submit(&self, request: &LmRequest, reply: Reply) -> Result<(), LmError> {
        if !request.tools.is_empty() || request.messages.iter().any(|m| !m.content.is_text()) {
            let text = "the embedded engine takes text alone, no tools, images, sound or files; \
                        name an LM that has them";
            return Err(LmError::new(LmErrorKind::Unsupported, self.0.name.clone(), text));
        }
        let job = Job { request: request.clone(), reply };
        let jobs = self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        if sent { Ok(()) } else { Err(self.gone()) }
    }

    fn gone(&self) -> LmError {
        let text = "the engine thread has ended; load the model again";
        LmError::new(LmErrorKind::Model, self.0.name.clone(), text)
    }
}

/// Starts the engine thread and waits until it is ready.
fn start(parts: Parts) -> Result<(Sender<Job>, JoinHandle<()>, usize), String> {
    let (jobs, queue) = mpsc::channel();
    let (ready, readiness) = mpsc::channel();
    let thread = thread::Builder::new().name("teleprompt-engine".to_owned()).spawn(move || {
        engine::run(&parts, &queue, |outcome| drop(ready.send(outcome)));
    });
    let thread = thread.map_err(|e| format!("the engine thread could not be started: {e}"))?;
    let window = readiness.recv().map_err(|_| "the engine thread died".to_owned())??;
    Ok((jobs, thread, window))
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.jobs.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported where it happened.
            drop(thread.join());
        }
    }
}

impl Lm for LocalLm {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let (sender, answer) = oneshot::channel();
        self.submit(request, Reply::Whole(sender))?;
        answer.await.unwrap_or_else(|_| Err(self.gone()))
    }

    fn stream<'a>(&'a self, request: &'a LmRequest) -> LmStream<'a> {
        let (sender, chunks) = stream_channel::unbounded::<Result<LmChunk, LmError>>();
        match self.submit(request, Reply::Stream(sender)) {
            Ok(()) => Box::pin(chunks),
            Err(error) => Box::pin(stream::iter([Err(error)])),
        }
    }

    fn name(&self) -> &str {
        &self.0.name
    }

    fn identity(&self) -> String {
        self.0.identity.clone()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::none()
            .with_json_schema(true)
            .with_lark(true)
            .with_logprobs(true)
            .with_label_bias(true)
            .with_context_window(self.0.window)
            .with_max_output(self.0.max_tokens_default)
    }

    fn count_tokens(&self, request: &LmRequest) -> Option<u64> {
        let vocab = self.0.weights.model().vocab();
        Some(self.0.prompter.tokens(&vocab, &request.messages).len() as u64)
    }

    /// It runs on the user's own machine.
    fn price(&self) -> Option<Price> {
        Some(Price::FREE)
    }

    fn describe(&self) -> String {
        let Inner { name, window, threads, .. } = &*self.0;
        format!("{name} (window {window}, threads {threads})")
    }
}

impl fmt::Debug for LocalLm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalLm({})", self.describe())
    }
}
