//! A predictor's prompt, rendered once for the parameters in force.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use teleprompt_core::{
    Adapter, Capabilities, Completion, Context, EvidenceByField, LabelBias, LmRequest, Message,
    Parameters, ParseError, Parsed, Prompt, Record, Result, Signature, Usage,
};

use super::evidence::{Decisions, RIVALS};
use super::held_out::tells;
use super::pool::Pool;
use super::predictor::Core;

/// What is constant while the same parameters and adapter are in force.
pub(super) struct Ready {
    /// The predictor's own parameters and those laid over it, strongest first: kept so that the
    /// addresses, by which it is found again, stay theirs.
    own: Arc<Parameters>,
    laid: Vec<Arc<Parameters>>,
    pub adapter: Arc<dyn Adapter>,
    /// All of them together.
    pub parameters: Parameters,
    pub signature: Signature,
    prompt: Prompt,
    bias: Option<Arc<LabelBias>>,
    decisions: Decisions,
    pool: Option<Arc<Pool>>,
    /// The turns of each demonstration of the pool that was shown so far.
    turns: Vec<OnceLock<[Message; 2]>>,
}

/// The completions that parse, and what the first one's outputs were decided from.
pub(super) struct Read {
    pub completions: Vec<Parsed>,
    pub evidence: EvidenceByField,
}

impl Ready {
    /// # Errors
    /// A decision does not fit the signature.
    pub fn new(
        laid: &[&Arc<Parameters>],
        core: &Core,
        adapter: &Arc<dyn Adapter>,
        others: &[Arc<Ready>],
    ) -> Result<Self, String> {
        let parameters =
            laid.iter().rev().fold((*core.parameters).clone(), |below, above| above.or(&below));
        let signature = parameters.apply(&core.signature);
        let bias = Some(&parameters.label_bias).filter(|b| !b.is_empty()).cloned().map(Arc::new);
        // Candidates that share a pool share its index and vectors.
        let pool = parameters.nearest.as_ref().map(|nearest| {
            let pools = others.iter().filter_map(|r| r.pool.as_ref());
            let known = pools.into_iter().find(|p| Arc::ptr_eq(&p.of, nearest));
            known.cloned().unwrap_or_else(|| Arc::new(Pool::new(nearest.clone(), &signature)))
        });
        let demos = pool.as_ref().map_or(0, |p| p.of.pool.len());
        Ok(Self {
            own: core.parameters.clone(),
            laid: laid.iter().map(|p| (*p).clone()).collect(),
            adapter: adapter.clone(),
            prompt: adapter.prompt(&signature, parameters.demos()),
            decisions: Decisions::new(&parameters, &signature)?,
            turns: (0..demos).map(|_| OnceLock::new()).collect(),
            parameters,
            signature,
            bias,
            pool,
        })
    }

    pub fn is_for(
        &self,
        own: &Arc<Parameters>,
        laid: &[&Arc<Parameters>],
        adapter: &Arc<dyn Adapter>,
    ) -> bool {
        Arc::ptr_eq(&self.own, own)
            && self.laid.len() == laid.len()
            && self.laid.iter().zip(laid).all(|(a, b)| Arc::ptr_eq(a, b))
            && Arc::ptr_eq(&self.adapter, adapter)
    }

    /// The turns of the demonstrations nearest to these inputs.
    pub async fn near(
        &self,
        cx: &Context,
        inputs: &Record,
        usage: &mut Usage,
    ) -> Result<Vec<Message>> {
        let Some(pool) = &self.pool else { return Ok(Vec::new()) };
        let places = pool.nearest(cx, &self.signature, inputs, usage).await?;
        let turns = places.into_iter().filter_map(|place| {
            let demo = pool.of.pool.get(place)?;
            let write = || self.adapter.demo(&self.signature, demo);
            Some(self.turns.get(place)?.get_or_init(write).clone())
        });
        Ok(turns.flatten().collect())
    }

    /// The prompt without the demonstrations that these inputs may not see; the one kept ready, where
    /// there are none.
    fn prompt_for(&self, cx: &Context, inputs: &Record) -> Cow<'_, Prompt> {
        let Some(example) = cx.held_out() else { return Cow::Borrowed(&self.prompt) };
        let demos = self.parameters.demos();
        let hidden = |demo: &&Record| tells(demo, &self.signature, example, inputs);
        if !demos.iter().any(|demo| hidden(&demo)) {
            return Cow::Borrowed(&self.prompt);
        }
        let shown: Vec<Record> = demos.iter().filter(|demo| !hidden(demo)).cloned().collect();
        Cow::Owned(self.adapter.prompt(&self.signature, &shown))
    }

    pub fn request(
        &self,
        cx: &Context,
        inputs: &Record,
        near: Vec<Message>,
        able: Capabilities,
    ) -> LmRequest {
        let prompt = self.prompt_for(cx, inputs);
        let mut messages = Vec::with_capacity(prompt.messages.len() + near.len() + 1);
        messages.extend_from_slice(&prompt.messages);
        messages.extend(near);
        messages.push(Message::user(self.adapter.user(&self.signature, inputs)));
        let mut request = LmRequest::new(messages);
        request.settings = self.parameters.settings.or(cx.settings());
        if self.decisions.want_logprobs() && able.logprobs {
            let own = request.settings.logprobs.unwrap_or(0);
            request.settings.logprobs = Some(own.max(RIVALS));
        }
        request.n = cx.n();
        request.constraint = prompt.constraint.clone();
        request.rollout = cx.rollout();
        request.label_bias = self.bias.clone().filter(|_| able.label_bias);
        request.shared_prefix = prompt.messages.len();
        // Sampling LMs get a seed of their own for each rollout, or all would answer alike.
        if request.settings.temperature.is_some_and(|t| t > 0.0) && request.settings.seed.is_none()
        {
            request.settings.seed =
                Some(cx.seed().wrapping_add(cx.rollout().wrapping_mul(0x9E37_79B9)));
        }
        request
    }

    /// All completions that parse; the first one's error if none does.
    pub fn read<'t>(
        &self,
        completions: impl Iterator<Item = &'t Completion>,
    ) -> Result<Read, ParseError> {
        let mut read =
            Read { completions: Vec::with_capacity(1), evidence: EvidenceByField::new() };
        let mut first_error = None;
        for completion in completions {
            match self.adapter.parse(&self.signature, &completion.text) {
                Ok(mut reply) => {
                    let adapter = &*self.adapter;
                    let evidence =
                        self.decisions.apply(adapter, &self.signature, completion, &mut reply);
                    if read.completions.is_empty() {
                        read.evidence = evidence;
                    }
                    read.completions.push(reply);
                }
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        match first_error {
            Some(error) if read.completions.is_empty() => Err(error),
            _ => Ok(read),
        }
    }
}
