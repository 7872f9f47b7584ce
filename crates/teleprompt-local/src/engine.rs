//! The engine thread: one request after the other, in the order of their arrival.
//!
//! The completions of one request are written together: they share the prompt and every decoding
//! step has one row for each.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use llama_cpp_2::token::LlamaToken;
use teleprompt_core::{LmError, LmErrorKind, LmRequest, LmResponse, Usage};

use crate::config::EngineConfig;
use crate::draft::Draft;
use crate::grammar::Grammars;
use crate::job::{Job, Reply};
use crate::kv::{Kv, KvFault, Part, SCRATCH};
use crate::plan::Plan;
use crate::prompt::Prompter;
use crate::weights::Weights;

/// What the thread needs.
pub(crate) struct Parts {
    pub(crate) name: Arc<str>,
    pub(crate) weights: Arc<Weights>,
    pub(crate) prompter: Arc<Prompter>,
    pub(crate) config: EngineConfig,
}

/// Why a request has no answer.
enum Fault {
    /// The request cannot be answered as it is.
    Lm(LmErrorKind, String),
    /// A grammar failed on the way.
    Grammar(String),
    /// The context failed, or nobody waits any more.
    Kv(KvFault),
}

impl From<KvFault> for Fault {
    fn from(fault: KvFault) -> Self {
        Fault::Kv(fault)
    }
}

fn invalid(message: String) -> Fault {
    Fault::Lm(LmErrorKind::InvalidRequest, message)
}

fn overflow(needed: usize, limit: usize) -> Fault {
    let (needed, limit) = (needed as u64, limit as u64);
    let message = format!(
        "the prompt has {needed} tokens, but the window {limit}, and the reply needs room too: use \
         fewer demos, a shorter input, a larger context_length, or a model with a larger window"
    );
    Fault::Lm(LmErrorKind::ContextOverflow { needed, limit }, message)
}

/// Runs until the last sender is gone. `ready` gets the window, or why there is no engine.
pub(crate) fn run(parts: &Parts, jobs: &Receiver<Job>, ready: impl FnOnce(Result<usize, String>)) {
    let mut engine = match Engine::new(parts) {
        Ok(engine) => engine,
        Err(error) => return ready(Err(error)),
    };
    ready(Ok(engine.kv.window()));
    while let Ok(job) = jobs.recv() {
        if !job.reply.is_cancelled() {
            engine.serve(job);
        }
    }
}

struct Engine<'p> {
    parts: &'p Parts,
    kv: Kv<'p>,
    grammars: Grammars,
}

impl<'p> Engine<'p> {
    fn new(parts: &'p Parts) -> Result<Self, String> {
        let kv = Kv::new(&parts.weights, &parts.config)?;
        Ok(Self { parts, kv, grammars: Grammars::new(parts.weights.clone()) })
    }

    /// Answers one job. Whatever goes wrong is the answer, and the engine goes on.
    fn serve(&mut self, job: Job) {
        let answer = catch_unwind(AssertUnwindSafe(|| self.answer(&job.request, &job.reply)));
        let fault = match answer {
            Ok(Ok(response)) => return job.reply.finish(Ok(response)),
            Ok(Err(fault)) => fault,
            Err(panic) => Fault::Kv(KvFault::Broken(panic_text(panic.as_ref()))),
        };
        let (kind, message) = match fault {
            Fault::Kv(KvFault::Cancelled) => return,
            Fault::Kv(fault) => {
                self.kv.clear();
                self.grammars.clear();
                (LmErrorKind::Server, format!("the engine failed and was reset: {fault}"))
            }
            Fault::Grammar(message) => {
                self.grammars.clear();
                (LmErrorKind::InvalidRequest, message)
            }
            Fault::Lm(kind, message) => (kind, message),
        };
        job.reply.finish(Err(LmError::new(kind, self.parts.name.clone(), message)));
    }

    fn answer(&mut self, request: &LmRequest, reply: &Reply) -> Result<LmResponse, Fault> {
        #[cfg(test)]
        tests::provoke(request);
        let Parts { name, weights, prompter, config } = self.parts;
        let plan = Plan::new(request, config.max_tokens_default).map_err(invalid)?;
        let matcher = match &request.constraint {
            Some(constraint) => self.grammars.matcher(constraint).map_err(invalid)?,
            None => None,
        };
        let prompt = prompter.tokens(&weights.model().vocab(), &request.messages);
        let window = self.kv.window();
        if prompt.is_empty() {
            return Err(invalid("the prompt is empty; give a message with text".to_owned()));
        }
        if prompt.len() >= window {
            return Err(overflow(prompt.len(), window));
        }
        let budget = plan.max_tokens.min(window - prompt.len());
        // As many at once as surely fit into the window; the others come after them.
        let together = ((window - prompt.len()) / budget).clamp(1, SCRATCH + 1);
        // It runs on the user's own machine.
        let mut usage =
            Usage { prompt_tokens: prompt.len() as u64, priced_calls: 1, ..Usage::one_call() };
        let mut completions = Vec::new();
        while completions.len() < plan.n {
            let end = plan.n.min(completions.len() + together);
            let bias = match (&request.label_bias, &matcher) {
                (Some(bias), Some(_)) => self.grammars.token_bias(bias),
                _ => Vec::new(),
            };
            let draft = |index| Draft::new(&plan, index, matcher.clone(), budget).biased(&bias);
            let mut drafts: Vec<Draft> = (completions.len()..end).map(draft).collect();
            let reused = self.write(&prompt, &mut drafts, reply)?;
            if completions.is_empty() {
                usage.cached_prompt_tokens = reused as u64;
            }
            usage.completion_tokens += drafts.iter().map(|d| d.generated() as u64).sum::<u64>();
            completions.extend(drafts.into_iter().map(Draft::into_completion));
        }
        Ok(LmResponse { completions, usage, model: name.clone(), ..LmResponse::default() })
    }

    /// Writes completions of one prompt together. Returns how much of the prompt was known.
    fn write(
        &mut self,
        prompt: &[LlamaToken],
        drafts: &mut [Draft],
        reply: &Reply,
    ) -> Result<usize, Fault> {
        let (slot, reused) = self.kv.admit(prompt)?;
        for (i, draft) in drafts.iter_mut().enumerate() {
            draft.seq = if i == 0 { slot } else { self.kv.scratch(i - 1) };
        }
        let result = self.write_from(slot, reused, prompt, drafts, reply);
        for draft in drafts.iter().filter(|draft| draft.seq != slot) {
            self.kv.release(draft.seq)?;
        }
        result.map(|()| reused)
    }

    /// The same, in a slot that knows the first tokens of the prompt.
    fn write_from(
        &mut self,
        slot: usize,
        reused: usize,
        prompt: &[LlamaToken],
        drafts: &mut [Draft],
        reply: &Reply,
    ) -> Result<(), Fault> {
        let vocab = self.parts.weights.model().vocab();
        // One grammar forces the same beginning on all, so it is as good as part of the prompt.
        let mut begun = prompt.to_vec();
        for (i, draft) in drafts.iter_mut().enumerate() {
            reply.text(draft.index, draft.force(&vocab).map_err(Fault::Grammar)?);
            let forced = draft.decoded();
            if i == 0 {
                begun.extend(forced);
            }
        }
        if drafts.iter().all(Draft::is_done) {
            return Ok(());
        }
        let rest = begun.get(reused..).unwrap_or_default();
        let row = self.kv.extend(slot, rest, || reply.is_cancelled())?;
        for draft in drafts.iter_mut() {
            if draft.seq != slot {
                self.kv.fork(slot, draft.seq)?;
            }
            draft.position = begun.len();
            self.choose(draft, row, reply)?;
        }
        while drafts.iter().any(|draft| !draft.is_done()) {
            self.step(slot, drafts, reply)?;
        }
        Ok(())
    }

    /// One token more for every draft that is not done.
    fn step(&mut self, slot: usize, drafts: &mut [Draft], reply: &Reply) -> Result<(), Fault> {
        if reply.is_cancelled() {
            return Err(KvFault::Cancelled.into());
        }
        let mut live: Vec<&mut Draft> = drafts.iter_mut().filter(|d| !d.is_done()).collect();
        let mut rest = live.as_mut_slice();
        while !rest.is_empty() {
            let fitting = self.kv.fitting(rest.iter().map(|d| d.pending().len()));
            let (group, later) = rest.split_at_mut(fitting);
            let parts: Vec<Part<'_>> = group.iter().map(|d| part(d)).collect();
            let rows = self.kv.step(slot, &parts)?;
            for (draft, row) in group.iter_mut().zip(rows) {
                draft.decoded();
                self.choose(draft, row, reply)?;
            }
            rest = later;
        }
        Ok(())
    }

    /// Lets a draft choose its next token by a row of scores.
    fn choose(&self, draft: &mut Draft, row: i32, reply: &Reply) -> Result<(), Fault> {
        let vocab = self.parts.weights.model().vocab();
        let text = draft.advance(&vocab, self.kv.scores(row)).map_err(Fault::Grammar)?;
        reply.text(draft.index, text);
        Ok(())
    }
}

fn part(draft: &Draft) -> Part<'_> {
    Part { seq: draft.seq, start: draft.position, tokens: draft.pending() }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".to_owned())
}

#[cfg(test)]
mod tests {
    use futures::channel::oneshot;
    use futures::executor::block_on;
    use teleprompt_core::Message;

    use super::*;

    const PANIC: &str = "the engine must panic at this";

    /// Stands for an error of ours in the midst of a request.
    pub(super) fn provoke(request: &LmRequest) {
        assert!(request.messages.iter().all(|m| &*m.content != PANIC), "provoked");
    }

    fn serve(engine: &mut Engine<'_>, text: &str) -> Result<LmResponse, LmError> {
        let (sender, answer) = oneshot::channel();
        let mut request = LmRequest::new(vec![Message::user(text)]);
        request.settings.max_tokens = Some(2);
        engine.serve(Job { request, reply: Reply::Whole(sender) });
        block_on(answer).unwrap()
    }

    #[test]
    fn a_panic_is_one_requests_error_and_resets_the_context() {
        let Some(path) = std::env::var_os("TELEPROMPT_TEST_MODEL") else { return };
        let weights = Arc::new(Weights::load("local:test", path.as_ref()).unwrap());
        let prompter = Arc::new(Prompter::new(weights.model()).unwrap());
        let config =
            EngineConfig { context_length: Some(256), threads: Some(1), ..EngineConfig::default() };
        let parts = Parts { name: "local:test".into(), weights, prompter, config };
        let mut engine = Engine::new(&parts).unwrap();
        let cached = |engine: &mut _| serve(engine, "Hello").unwrap().usage.cached_prompt_tokens;
        assert_eq!(cached(&mut engine), 0);
        assert!(cached(&mut engine) > 0);
        let error = serve(&mut engine, PANIC).unwrap_err();
        assert_eq!(error.kind, LmErrorKind::Server);
        assert!(error.message.contains("provoked"), "{error}");
        assert_eq!(cached(&mut engine), 0);
    }
}
