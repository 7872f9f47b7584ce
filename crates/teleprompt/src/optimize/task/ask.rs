//! Asking the LM that writes instructions, rules and feedback.

use std::sync::{Arc, Mutex, PoisonError};

use teleprompt_core::{
    Context, Limits, Lm, LmError, LmHandle, LmRequest, LmResponse, LmSettings, Module, Program,
    Record, Result,
};

use super::Task;
use super::bill::Bill;
use crate::lm::forward::forward;
use crate::optimize::study::{Asked, Event, Part};

/// A question to the LM that writes: a program of one predictor, and its inputs.
#[derive(Clone)]
pub struct Question<'q> {
    /// What for, in a few words for the journal.
    pub what: &'q str,
    /// The program, usually a single `Predict`.
    pub program: &'q Program,
    /// Its inputs.
    pub inputs: Record,
    /// The sampling temperature; none: as the context says.
    pub temperature: Option<f64>,
    /// Which of several equal questions, from 0: each is answered on its own.
    pub rollout: u64,
}

impl<'q> Question<'q> {
    /// A question at the context's temperature.
    pub fn new(what: &'q str, program: &'q Program, inputs: Record) -> Self {
        Self { what, program, inputs, temperature: None, rollout: 0 }
    }

    /// One of several equal questions, sampled at this temperature.
    #[must_use]
    pub fn sampled(mut self, rollout: u64, temperature: f64) -> Self {
        (self.rollout, self.temperature) = (rollout, Some(temperature));
        self
    }
}

impl Task<'_> {
    /// Asks, or gives what the study knows of it. A question that failed has no outputs and says
    /// why.
    ///
    /// # Errors
    /// A fatal error of the LM, the budget or the journal, or a stop condition.
    pub async fn ask(&self, question: Question<'_>) -> Result<Asked> {
        let key = self.ask_key(&question);
        self.standing.count_question(&key);
        let known = || self.study.asked(&key);
        self.standing.flights.once(&key, known, self.ask_anew(&key, &question)).await
    }

    async fn ask_anew(&self, key: &str, question: &Question<'_>) -> Result<Asked> {
        self.standing.check()?;
        self.progress.question(question.what);
        let cx = self.prompt_cx.detached().with_limits(Limits::default());
        let bill = Bill::open(self.study, [(Part::Proposals, cx.meter().clone())]);
        let asked = ask(&cx, question).await?;
        let (key, what) = (key.to_owned(), question.what.to_owned());
        self.study.record(Event::Asked { key, what, asked: asked.clone(), inherited: false })?;
        bill.settle();
        Ok(asked)
    }
}

/// Under a context with a meter of its own.
async fn ask(cx: &Context, question: &Question<'_>) -> Result<Asked> {
    let listener = Listener { inner: cx.lm().clone(), heard: Arc::default() };
    let mut cx = cx.with_rollout(question.rollout);
    if question.temperature.is_some() {
        let temperature = question.temperature.map(|t| t as f32);
        cx = cx.with_settings(&LmSettings { temperature, ..LmSettings::default() });
    }
    let cx = cx.with_lm(LmHandle::new(listener.clone()));
    let (outputs, error) = match question.program.call(&cx, question.inputs.clone()).await {
        Ok(prediction) => (prediction.output, None),
        Err(error) if error.is_fatal() => return Err(error),
        Err(error) => (Record::new(), Some(error.to_string())),
    };
    let (prompt, reply) =
        std::mem::take(&mut *listener.heard.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Asked { prompt, reply, outputs, error, usage: cx.meter().usage() })
}

/// The last request's messages and the reply to it.
type Heard = (Vec<(String, String)>, String);

/// Keeps the last exchange, for the journal.
#[derive(Clone)]
struct Listener {
    inner: LmHandle,
    heard: Arc<Mutex<Heard>>,
}

impl Lm for Listener {
    forward!(inner);

    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let message =
            |m: &teleprompt_core::Message| (m.role.as_str().to_owned(), m.content.to_string());
        // Kept before the answer: what an LM refuses is worth looking at, too.
        let prompt = request.messages.iter().map(message).collect();
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = (prompt, String::new());
        let response = self.inner.generate(request).await?;
        let reply = response.completions.first().map(|c| c.text.clone()).unwrap_or_default();
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).1 = reply;
        Ok(response)
    }
}
