//! The one place where an LM is called for a signature: render, generate, parse, retry.

use std::sync::{Arc, Mutex, PoisonError};

use teleprompt_core::{
    Context, Error, EvidenceByField, Lm, Message, Parameters, PathSlot, Prediction, Predictor,
    Record, Result, Signature, TraceStep, Usage,
};

use super::calling::{generate, told, unusable, usable};
use super::inputs;
use super::ready::{Read, Ready};
use super::telling::Teller;

/// Prompts kept ready per predictor, those used last: one a candidate in flight is enough.
const READY: usize = 8;

/// A signature with parameters, ready to be called. Clones share the prompts rendered so far.
#[derive(Clone)]
pub(super) struct Core {
    pub signature: Signature,
    pub parameters: Arc<Parameters>,
    pub slot: PathSlot,
    ready: Arc<Mutex<Vec<Arc<Ready>>>>,
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
        let (outputs, evidence, error) = match &result {
            Ok(prediction) => (prediction.output.clone(), prediction.evidence.clone(), None),
            Err(error) => (Record::new(), EvidenceByField::new(), Some(error.to_string())),
        };
        trace.push(TraceStep { path, order, inputs, outputs, evidence, error });
        result
    }

    async fn attempt(&self, cx: &Context, path: &Arc<str>, inputs: &Record) -> Result<Prediction> {
        let ready = self.ready(cx, path)?;
        inputs::check(path, &ready.signature, inputs)?;
        let lm = cx.lm_named(ready.parameters.lm.as_deref())?;
        let mut usage = Usage::default();
        let near = ready.near(cx, inputs, &mut usage).await?;
        let mut request = ready.request(cx, inputs, near, lm.capabilities());
        let mut teller = cx.events().map(|sink| Teller::new(sink, path));
        for attempt in 0.. {
            let response = match &mut teller {
                None => generate(cx, lm, &request).await?,
                Some(teller) => told(cx, lm, &request, &ready, teller).await?,
            };
            usage += response.usage;
            if let Some(error) = unusable(path, lm, &response, &request) {
                return Err(error);
            }
            let error = match ready.read(usable(&response)) {
                Ok(read) => {
                    if let (Some(teller), Some(first)) = (&mut teller, read.completions.first()) {
                        teller.whole(&first.fields);
                    }
                    return Ok(predicted(read, usage));
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
    fn ready(&self, cx: &Context, path: &str) -> Result<Arc<Ready>> {
        let laid = cx.parameters(path);
        let mut kept = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        let is_for = |r: &Arc<Ready>| r.is_for(&self.parameters, &laid, cx.adapter());
        if let Some(place) = kept.iter().position(is_for) {
            let found = kept.remove(place);
            kept.push(found.clone());
            return Ok(found);
        }
        let fault = |e| Error::State(format!("{path}: {e}"));
        let ready = Arc::new(Ready::new(&laid, self, cx.adapter(), &kept).map_err(fault)?);
        if kept.len() >= READY {
            kept.remove(0);
        }
        kept.push(ready.clone());
        Ok(ready)
    }
}

fn predicted(read: Read, usage: Usage) -> Prediction {
    let output = read.completions.first().map(|c| c.fields.clone()).unwrap_or_default();
    Prediction::new(output).with_completions(read.completions, usage).with_evidence(read.evidence)
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
