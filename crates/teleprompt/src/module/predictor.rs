//! The one place where an LM is called for a signature: render, generate, parse, retry.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::{Either, select};

use teleprompt_core::{
    Adapter, Completion, Context, Error, FinishReason, LabelBias, Lm, LmError, LmErrorKind,
    LmHandle, LmRequest, LmResponse, Message, Need, Parameters, ParseError, Parsed, PathSlot,
    Prediction, Predictor, Prompt, Record, Reservation, Result, Signature, TraceStep, Usage,
};

use super::inputs;
use super::telling::Teller;

/// Prompts kept ready per predictor: one a candidate in flight is enough.
const READY: usize = 8;
/// How often a streamed reply may break off and be asked for anew.
const MOST_BREAKS: u32 = 2;

/// A signature with parameters, ready to be called. Clones share the prompts rendered so far.
#[derive(Clone)]
pub(super) struct Core {
    pub signature: Signature,
    pub parameters: Arc<Parameters>,
    pub slot: PathSlot,
    ready: Arc<Mutex<Vec<Arc<Ready>>>>,
}

/// What is constant while the same parameters and adapter are in force.
struct Ready {
    /// The predictor's own parameters and those laid over it, strongest first: kept so that the
    /// addresses, by which it is found again, stay theirs.
    own: Arc<Parameters>,
    laid: Vec<Arc<Parameters>>,
    adapter: Arc<dyn Adapter>,
    /// All of them together.
    parameters: Parameters,
    signature: Signature,
    prompt: Prompt,
    bias: Option<Arc<LabelBias>>,
}

impl Core {
    pub fn new(signature: Signature) -> Self {
        Self {
            signature,
            parameters: Arc::new(Parameters::default()),
            slot: PathSlot::default(),
            ready: Arc::default(),
        }
    }

    /// Runs the predictor once and records the step.
    pub async fn run(&self, cx: &Context, inputs: Record) -> Result<Prediction> {
        let path = self.slot.get();
        let Some(trace) = cx.trace() else { return self.attempt(cx, &path, &inputs).await };
        let order = trace.begin();
        let result = self.attempt(cx, &path, &inputs).await;
        let (outputs, error) = match &result {
            Ok(prediction) => (prediction.output.clone(), None),
            Err(error) => (Record::new(), Some(error.to_string())),
        };
        trace.push(TraceStep { path, order, inputs, outputs, error });
        result
    }

    async fn attempt(&self, cx: &Context, path: &Arc<str>, inputs: &Record) -> Result<Prediction> {
        let ready = self.ready(cx, path);
        inputs::check(path, &ready.signature, inputs)?;
        let lm = cx.lm_named(ready.parameters.lm.as_deref())?;
        let mut request = ready.request(cx, inputs);
        request.label_bias = ready.bias.clone().filter(|_| lm.capabilities().label_bias);
        let mut teller = cx.events().map(|sink| Teller::new(sink, path));
        let mut usage = Usage::default();
        for attempt in 0.. {
            let response = match &mut teller {
                None => generate(cx, lm, &request).await?,
                Some(teller) => told(cx, lm, &request, &ready, teller).await?,
            };
            usage += response.usage;
            if let Some(error) = unusable(path, lm, &response, &request) {
                return Err(error);
            }
            let error = match ready.read(usable(&response).map(|c| c.text.as_str())) {
                Ok(completions) => {
                    if let (Some(teller), Some(first)) = (&mut teller, completions.first()) {
                        teller.whole(&first.fields);
                    }
                    return Ok(predicted(completions, usage));
                }
                Err(error) => error,
            };
            if attempt >= cx.reply_retries() {
                return Err(Error::Reply { path: path.to_string(), error: Box::new(error) });
            }
            if let Some(teller) = &mut teller {
                teller.restart();
            }
            let complaint = ready.adapter.complaint(&ready.signature, &error);
            request.messages.push(Message::assistant(error.reply));
            request.messages.push(Message::user(complaint));
        }
        Err(Error::Cancelled)
    }

    /// The prompt for the parameters and adapter in force, rendered at most once.
    fn ready(&self, cx: &Context, path: &str) -> Arc<Ready> {
        let laid = cx.parameters(path);
        let mut kept = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = kept.iter().find(|r| r.is_for(&self.parameters, &laid, cx.adapter())) {
            return found.clone();
        }
        let ready = Arc::new(Ready::new(&laid, self, cx.adapter()));
        if kept.len() >= READY {
            kept.remove(0);
        }
        kept.push(ready.clone());
        ready
    }
}

impl Ready {
    fn new(laid: &[&Arc<Parameters>], core: &Core, adapter: &Arc<dyn Adapter>) -> Self {
        let parameters =
            laid.iter().rev().fold((*core.parameters).clone(), |below, above| above.or(&below));
        let signature = parameters.apply(&core.signature);
        let prompt = adapter.prompt(&signature, &parameters.demos);
        let laid = laid.iter().map(|p| (*p).clone()).collect();
        let own = core.parameters.clone();
        let bias = Some(&parameters.label_bias).filter(|b| !b.is_empty()).cloned().map(Arc::new);
        Self { own, laid, adapter: adapter.clone(), parameters, signature, prompt, bias }
    }

    fn is_for(
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

    fn request(&self, cx: &Context, inputs: &Record) -> LmRequest {
        let mut messages = Vec::with_capacity(self.prompt.messages.len() + 1);
        messages.extend_from_slice(&self.prompt.messages);
        messages.push(Message::user(self.adapter.user(&self.signature, inputs)));
        let mut request = LmRequest::new(messages);
        request.settings = self.parameters.settings.or(cx.settings());
        request.n = cx.n();
        request.constraint = self.prompt.constraint.clone();
        request.rollout = cx.rollout();
        request.shared_prefix = self.prompt.messages.len();
        // Sampling LMs get a seed of their own for each rollout, or all would answer alike.
        if request.settings.temperature.is_some_and(|t| t > 0.0) && request.settings.seed.is_none()
        {
            request.settings.seed =
                Some(cx.seed().wrapping_add(cx.rollout().wrapping_mul(0x9E37_79B9)));
        }
        request
    }

    /// All completions that parse; the first one's error if none does.
    fn read<'t>(&self, texts: impl Iterator<Item = &'t str>) -> Result<Vec<Parsed>, ParseError> {
        let mut parsed = Vec::with_capacity(1);
        let mut first_error = None;
        for text in texts {
            match self.adapter.parse(&self.signature, text) {
                Ok(reply) => parsed.push(reply),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        match first_error {
            Some(error) if parsed.is_empty() => Err(error),
            _ => Ok(parsed),
        }
    }
}

fn predicted(completions: Vec<Parsed>, usage: Usage) -> Prediction {
    let output = completions.first().map(|c| c.fields.clone()).unwrap_or_default();
    Prediction::new(output).with_completions(completions, usage)
}

async fn generate(cx: &Context, lm: &LmHandle, request: &LmRequest) -> Result<LmResponse> {
    within(cx, lm, request, lm.generate(request)).await
}

/// One call, told while it comes. A reply that breaks off after it began is asked for anew: the layers
/// below cannot do that, as they have given its pieces away.
async fn told(
    cx: &Context,
    lm: &LmHandle,
    request: &LmRequest,
    ready: &Ready,
    teller: &mut Teller<'_>,
) -> Result<LmResponse> {
    for _ in 0..MOST_BREAKS {
        let reader = ready.adapter.reader(&ready.signature);
        match within(cx, lm, request, teller.follow(lm, request, reader)).await {
            Err(Error::Lm(error)) if error.is_retryable() && teller.has_begun() => teller.restart(),
            outcome => return outcome,
        }
    }
    let reader = ready.adapter.reader(&ready.signature);
    within(cx, lm, request, teller.follow(lm, request, reader)).await
}

/// One call, within the budget; ended when the context is cancelled or its time is over.
async fn within(
    cx: &Context,
    lm: &LmHandle,
    request: &LmRequest,
    call: impl Future<Output = Result<LmResponse, LmError>>,
) -> Result<LmResponse> {
    if cx.cancel().is_cancelled() {
        return Err(Error::Cancelled);
    }
    let work = async {
        let flight = Flight(Some(cx.meter().reserve(&Need::of(lm, request)).await?));
        let outcome = call.await;
        flight.land(&outcome);
        Ok(outcome?)
    };
    let timed = async {
        match cx.meter().time_left() {
            None => work.await,
            Some(left) => match tokio::time::timeout(left, work).await {
                Ok(result) => result,
                Err(_) => Err(cx.meter().time_is_over().into()),
            },
        }
    };
    match select(pin!(timed), pin!(cx.cancel().cancelled())).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(Error::Cancelled),
    }
}

/// A call that is under way. Dropped, it may be charged all the same.
struct Flight(Option<Reservation>);

impl Flight {
    fn land(mut self, outcome: &Result<LmResponse, LmError>) {
        match (self.0.take(), outcome) {
            (Some(reservation), Ok(response)) => reservation.settle(&response.usage),
            (Some(reservation), Err(error)) => reservation.fail(error),
            (None, _) => {}
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if let Some(reservation) = self.0.take() {
            reservation.forfeit();
        }
    }
}

/// The completions that are what the LM wanted to say: neither cut off nor withheld.
fn usable(response: &LmResponse) -> impl Iterator<Item = &Completion> {
    let broken =
        |c: &&Completion| !matches!(c.finish, FinishReason::Length | FinishReason::ContentFilter);
    response.completions.iter().filter(broken)
}

/// Why no completion is usable, if none is. A cut reply may well parse, with half a sentence or half a
/// number in its last field; asking again would be cut off again, and be refused again.
fn unusable(
    path: &str,
    lm: &LmHandle,
    response: &LmResponse,
    request: &LmRequest,
) -> Option<Error> {
    if usable(response).next().is_some() {
        return None;
    }
    let first = response.completions.first()?;
    if let Some(cut) = response.completions.iter().find(|c| c.finish == FinishReason::Length) {
        let limit = request.settings.max_tokens;
        return Some(Error::Truncated {
            path: path.to_owned(),
            reply: cut.text.clone(),
            completion_tokens: response.usage.completion_tokens,
            limit: limit.map_or_else(|| "the LM's default".to_owned(), |n| n.to_string()),
        });
    }
    let said = first.finish_said.as_deref().unwrap_or("content filter");
    let said = if first.text.is_empty() { said } else { &first.text };
    let message = format!("{path}: the LM will not answer this: {said}; change the input");
    Some(LmError::new(LmErrorKind::ContentFilter, lm.name(), message).into())
}

impl Predictor for Core {
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn parameters(&self) -> &Arc<Parameters> {
        &self.parameters
    }
    fn slot(&self) -> &PathSlot {
        &self.slot
    }
}
