//! A scripted LM that keeps its own books: what it was asked, what it used, what it refused.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use teleprompt::data::Rng;
use teleprompt::{Lm, LmError, LmErrorKind, LmRequest, LmResponse, Role, Usage};

/// What a toy's LM knows.
pub trait Brain: Send + Sync {
    /// The reply as it comes.
    fn reply(&self, ask: &Ask<'_>, dice: &mut Dice) -> String;
}

/// A request, as a script looks at it.
pub struct Ask<'r>(pub &'r LmRequest);

impl<'r> Ask<'r> {
    pub fn system(&self) -> &'r str {
        let first = self.0.messages.first().filter(|m| m.role == Role::System);
        first.map_or("", |m| &m.content)
    }

    /// The names of the fields that the reply must have.
    pub fn outputs(&self) -> Vec<&'r str> {
        let system = self.system();
        let form = system.rfind("Reply with [[").or(system.rfind("Reply in this form:"));
        let mut rest = &system[form.unwrap_or(system.len())..];
        let mut names = Vec::new();
        while let Some(start) = rest.find("[[ ## ") {
            rest = &rest[start + 6..];
            let Some(end) = rest.find(" ## ]]") else { break };
            names.push(&rest[..end]);
            rest = &rest[end..];
        }
        names
    }

    /// The demonstrations: inputs and outputs as text.
    pub fn demos(&self) -> Vec<(&'r str, &'r str)> {
        let turns: Vec<_> = self.0.messages.iter().filter(|m| m.role != Role::System).collect();
        let pairs = turns.chunks_exact(2);
        pairs.map(|pair| (&*pair[0].content, &*pair[1].content)).collect()
    }

    /// The last turn.
    pub fn question(&self) -> &'r str {
        self.0.messages.last().map_or("", |m| &m.content)
    }

    /// The number behind the last `case ` of the last turn.
    pub fn case(&self) -> Option<usize> {
        case_in(self.question())
    }
}

/// The number behind the last `case `.
pub fn case_in(text: &str) -> Option<usize> {
    let after = &text[text.rfind("case ")? + 5..];
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Randomness that depends on the request alone, unless the LM is a sampling one.
pub struct Dice {
    /// From 0 to 1; the same for the same input, whatever instructions and demonstrations are shown.
    pub luck: f64,
    /// Depends on all of the request.
    pub rng: Rng,
}

impl Dice {
    fn new(request: &LmRequest, salt: u64) -> Self {
        let sampled = request.settings.temperature.is_some_and(|t| t > 0.0);
        let rollout = if sampled { request.rollout } else { 0 };
        let question = request.messages.last().map_or("", |m| &m.content);
        let input = format!("{question} {rollout} {salt}");
        let all: String = request.messages.iter().map(|m| m.content.to_string()).collect();
        Self {
            luck: Rng::new(hash(&input)).unit(),
            rng: Rng::new(hash(&format!("{all} {rollout} {salt}"))),
        }
    }
}

/// The same on every machine.
pub fn hash(text: &str) -> u64 {
    Rng::new(0).derive(text).seed()
}

/// How an LM misbehaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Faults {
    None,
    /// Fails three calls in ten, by what is asked and how often it was.
    Fails,
    /// Never says anything that can be read.
    Babbles,
}

/// The LM's own books.
#[derive(Debug, Default)]
pub struct Books {
    pub answered: AtomicU64,
    pub failed: AtomicU64,
    pub prompt_tokens: AtomicU64,
    pub completion_tokens: AtomicU64,
    asked: Mutex<HashMap<u64, u64>>,
}

/// What is in the [`Books`] at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub answered: u64,
    pub failed: u64,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
}

impl Books {
    pub fn count(&self) -> Count {
        let read = |n: &AtomicU64| n.load(Ordering::SeqCst);
        Count {
            answered: read(&self.answered),
            failed: read(&self.failed),
            prompt_tokens: read(&self.prompt_tokens),
            completion_tokens: read(&self.completion_tokens),
        }
    }

    /// How often this was asked before.
    fn before(&self, request: &LmRequest) -> u64 {
        let mut asked = self.asked.lock().unwrap();
        let n = asked.entry(hash(&format!("{request:?}"))).or_default();
        *n += 1;
        *n - 1
    }
}

/// Answers from a [`Brain`] and keeps [`Books`].
#[derive(Clone)]
pub struct ToyLm {
    pub brain: Arc<dyn Brain>,
    pub books: Arc<Books>,
    pub faults: Faults,
    /// Every call lets others go first a random number of times, another one in each run of the
    /// test: what depends on the order of arrival shows.
    pub jitter: Arc<(RandomState, AtomicU64)>,
}

impl ToyLm {
    pub fn new(brain: Arc<dyn Brain>, faults: Faults) -> Self {
        Self { brain, books: Arc::default(), faults, jitter: Arc::default() }
    }

    fn is_unlucky(&self, request: &LmRequest) -> bool {
        let before = self.books.before(request);
        Rng::new(hash(&format!("{before} {request:?}"))).unit() < 0.3
    }

    async fn wait(&self) {
        let n = self.jitter.1.fetch_add(1, Ordering::Relaxed);
        for _ in 0..self.jitter.0.hash_one(n) % 4 {
            tokio::task::yield_now().await;
        }
    }
}

pub fn words(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}

/// A reply with its usage in words.
pub fn response(request: &LmRequest, text: String) -> LmResponse {
    let prompt_tokens = request.messages.iter().map(|m| words(&m.content)).sum();
    let completion_tokens = words(&text);
    let mut response = LmResponse::text(text);
    response.usage = Usage { calls: 1, prompt_tokens, completion_tokens, ..Usage::default() };
    response
}

/// What a brain says to a request; `salt` tells apart calls of an LM that samples.
pub fn said(brain: &dyn Brain, request: &LmRequest, salt: u64) -> String {
    brain.reply(&Ask(request), &mut Dice::new(request, salt))
}

impl Lm for ToyLm {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        self.wait().await;
        if self.faults == Faults::Fails && self.is_unlucky(request) {
            self.books.failed.fetch_add(1, Ordering::SeqCst);
            return Err(LmError::new(LmErrorKind::Server, "toy", "out of order"));
        }
        let text = match self.faults {
            Faults::Babbles => String::new(),
            _ => said(&*self.brain, request, 0),
        };
        let response = response(request, text);
        self.books.answered.fetch_add(1, Ordering::SeqCst);
        self.books.prompt_tokens.fetch_add(response.usage.prompt_tokens, Ordering::SeqCst);
        self.books.completion_tokens.fetch_add(response.usage.completion_tokens, Ordering::SeqCst);
        Ok(response)
    }
    fn name(&self) -> &str {
        "toy"
    }
}
