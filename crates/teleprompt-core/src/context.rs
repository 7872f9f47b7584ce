//! The context: everything a run depends on, passed by hand.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::adapter::Adapter;
use crate::budget::{Limits, Meter};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::example::Example;
use crate::lm::{EmbedderHandle, Lm, LmHandle, LmSettings};
use crate::module::LONE;
use crate::parameters::{Parameters, ProgramState};
use crate::streaming::{Event, EventSink};
use crate::trace::TraceRecorder;

/// LM, adapter, settings, parameters in force, trace, budget, cancellation and seed of a run.
///
/// Cloning is cheap; `with_*` gives a changed copy. Nothing is global: hand the context to the
/// tasks that you spawn.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    lm: LmHandle,
    adapter: Arc<dyn Adapter>,
    lms: HashMap<Arc<str>, LmHandle>,
    embedders: HashMap<Arc<str>, EmbedderHandle>,
    settings: LmSettings,
    candidate: Option<Arc<ProgramState>>,
    layers: Option<Arc<Layer>>,
    trace: Option<TraceRecorder>,
    events: Option<EventSink>,
    meter: Meter,
    cancel: Cancel,
    seed: u64,
    rollout: u64,
    held_out: Option<Arc<Example>>,
    n: u32,
    reply_retries: u32,
}

/// Parameters that a part of a program brings along, below any candidate.
struct Layer {
    /// Where in the whole program the part is, empty for the root.
    prefix: Arc<str>,
    state: Arc<ProgramState>,
    outer: Option<Arc<Layer>>,
}

impl Context {
    /// A context with this LM and adapter and defaults for the rest: no trace, no limits, seed 0,
    /// one completion, two retries of a reply that does not parse.
    pub fn new(lm: LmHandle, adapter: Arc<dyn Adapter>) -> Self {
        Self(Arc::new(Inner {
            lm,
            adapter,
            lms: HashMap::new(),
            embedders: HashMap::new(),
            settings: LmSettings::default(),
            candidate: None,
            layers: None,
            trace: None,
            events: None,
            meter: Meter::default(),
            cancel: Cancel::default(),
            seed: 0,
            rollout: 0,
            held_out: None,
            n: 1,
            reply_retries: 2,
        }))
    }

    fn edit(&self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = (*self.0).clone();
        change(&mut inner);
        Self(Arc::new(inner))
    }

    /// With another LM for predictors that name none.
    #[must_use]
    pub fn with_lm(&self, lm: LmHandle) -> Self {
        self.edit(|c| c.lm = lm)
    }

    /// With an LM that predictors may name in their parameters. Names that no one gave here are
    /// never resolved: a loaded file cannot choose where calls go.
    #[must_use]
    pub fn with_named_lm(&self, name: impl Into<Arc<str>>, lm: LmHandle) -> Self {
        self.edit(|c| {
            c.lms.insert(name.into(), lm);
        })
    }

    /// With an embedding model that predictors may name in their parameters, to find the nearest
    /// demonstrations. As with LMs, names that no one gave here are never resolved.
    #[must_use]
    pub fn with_embedder(&self, name: impl Into<Arc<str>>, embedder: EmbedderHandle) -> Self {
        self.edit(|c| {
            c.embedders.insert(name.into(), embedder);
        })
    }

    /// With another adapter.
    #[must_use]
    pub fn with_adapter(&self, adapter: Arc<dyn Adapter>) -> Self {
        self.edit(|c| c.adapter = adapter)
    }

    /// With these sampling settings; those not set stay as they are.
    #[must_use]
    pub fn with_settings(&self, settings: &LmSettings) -> Self {
        self.edit(|c| c.settings = settings.or(&c.settings))
    }

    /// With a candidate's parameters, which come before all others.
    #[must_use]
    pub fn with_candidate(&self, state: Arc<ProgramState>) -> Self {
        self.edit(|c| c.candidate = Some(state))
    }

    /// With parameters that come before all others, a candidate's included, where they are set; the
    /// candidate's stay in force for the rest. For modules that run a part of theirs again in
    /// another way.
    #[must_use]
    pub fn with_overlay(&self, state: ProgramState) -> Self {
        if state.0.is_empty() {
            return self.clone();
        }
        self.edit(|c| {
            let mut all = c.candidate.as_deref().cloned().unwrap_or_default();
            for (path, above) in state.0 {
                let laid = match all.get(&path) {
                    Some(below) => Arc::new(above.or(below)),
                    None => above,
                };
                all.0.insert(path, laid);
            }
            c.candidate = Some(Arc::new(all));
        })
    }

    /// With the parameters of a part of the program that stands at `prefix`.
    #[must_use]
    pub fn with_layer(&self, prefix: Arc<str>, state: Arc<ProgramState>) -> Self {
        self.edit(|c| {
            let outer = c.layers.take();
            c.layers = Some(Arc::new(Layer { prefix, state, outer }));
        })
    }

    /// With a recorder for predictor calls.
    #[must_use]
    pub fn with_trace(&self, trace: TraceRecorder) -> Self {
        self.edit(|c| c.trace = Some(trace))
    }

    /// With a sink for events: predictors then stream their replies. See [`Module::stream`].
    ///
    /// [`Module::stream`]: crate::Module::stream
    #[must_use]
    pub fn with_events(&self, sink: EventSink) -> Self {
        self.edit(|c| c.events = Some(sink))
    }

    /// With a meter of its own, inside the one in force.
    #[must_use]
    pub fn with_limits(&self, limits: Limits) -> Self {
        self.edit(|c| c.meter = c.meter.child(limits))
    }

    /// Counting on this meter instead.
    #[must_use]
    pub fn with_meter(&self, meter: Meter) -> Self {
        self.edit(|c| c.meter = meter)
    }

    /// Without a recorder: calls made under it are in no trace.
    #[must_use]
    pub fn without_trace(&self) -> Self {
        self.edit(|c| c.trace = None)
    }

    /// With another cancellation.
    #[must_use]
    pub fn with_cancel(&self, cancel: Cancel) -> Self {
        self.edit(|c| c.cancel = cancel)
    }

    /// With another seed for everything random.
    #[must_use]
    pub fn with_seed(&self, seed: u64) -> Self {
        self.edit(|c| c.seed = seed)
    }

    /// With another rollout: equal calls of different rollouts are answered each on its own.
    #[must_use]
    pub fn with_rollout(&self, rollout: u64) -> Self {
        self.edit(|c| c.rollout = rollout)
    }

    /// For a run on this example, which demonstrations may have been made of: predictors leave out
    /// those that have the example's inputs, its columns as their own inputs, or the very inputs that
    /// they are called with, both of fixed demonstrations and of those that are chosen for each call.
    /// Without this, a program that was compiled on an example is shown its answer when it runs on
    /// it.
    ///
    /// ```
    /// # use teleprompt_core::{Context, Example, record};
    /// # fn run(cx: &Context) {
    /// let example = Example::new(record! { question: "6 × 7?", answer: 42 }, ["question"]);
    /// let cx = cx.with_held_out(example);
    /// assert_eq!(cx.held_out().unwrap()["answer"], 42);
    /// # }
    /// ```
    #[must_use]
    pub fn with_held_out(&self, example: Example) -> Self {
        self.edit(|c| c.held_out = Some(Arc::new(example)))
    }

    /// With `n` completions a call, at least 1.
    #[must_use]
    pub fn with_n(&self, n: u32) -> Self {
        self.edit(|c| c.n = n.max(1))
    }

    /// With this many further attempts after a reply that does not parse.
    #[must_use]
    pub fn with_reply_retries(&self, retries: u32) -> Self {
        self.edit(|c| c.reply_retries = retries)
    }

    /// For a program that is no part of the one that runs, such as an LM judge: the same LMs,
    /// embedding models, adapter, settings, meter, cancellation, seed and rollout, but no candidate or
    /// other laid-over parameters (its predictors may have the same paths), no trace, no events, no
    /// example held out, and one completion a call.
    #[must_use]
    pub fn detached(&self) -> Self {
        self.edit(|c| {
            c.events = None;
            c.candidate = None;
            c.layers = None;
            c.trace = None;
            c.held_out = None;
            c.n = 1;
        })
    }

    /// The LM for predictors that name none.
    pub fn lm(&self) -> &LmHandle {
        &self.0.lm
    }

    /// The LM of this name, or the context's own for `None`.
    ///
    /// # Errors
    /// [`Error::Config`]: no one gave this context an LM of that name.
    pub fn lm_named(&self, name: Option<&str>) -> Result<&LmHandle> {
        let Some(name) = name else { return Ok(&self.0.lm) };
        if name == self.0.lm.name() {
            return Ok(&self.0.lm);
        }
        self.0.lms.get(name).ok_or_else(|| {
            Error::Config(format!(
                "a predictor wants the LM `{name}`, which this context does not have; connect it \
                 and add it with `with_named_lm`, or set another LM"
            ))
        })
    }

    /// The embedding model of this name.
    ///
    /// # Errors
    /// [`Error::Config`]: no one gave this context an embedding model of that name.
    pub fn embedder(&self, name: &str) -> Result<&EmbedderHandle> {
        self.0.embedders.get(name).ok_or_else(|| {
            Error::Config(format!(
                "a predictor finds its demos by the embedding model `{name}`, which this context \
                 does not have; connect it and add it with `with_embedder`, or compile the program \
                 with lexical likeness"
            ))
        })
    }

    /// The adapter.
    pub fn adapter(&self) -> &Arc<dyn Adapter> {
        &self.0.adapter
    }

    /// The sampling settings.
    pub fn settings(&self) -> &LmSettings {
        &self.0.settings
    }

    /// The recorder, if calls are traced.
    pub fn trace(&self) -> Option<&TraceRecorder> {
        self.0.trace.as_ref()
    }

    /// The sink for events, if the run is streamed.
    pub fn events(&self) -> Option<&EventSink> {
        self.0.events.as_ref()
    }

    /// Tells those who stream this run what is going on, for people: `searching the archive…`.
    /// Without a stream nothing happens.
    pub fn status(&self, message: impl Into<String>) {
        if let Some(events) = &self.0.events {
            events.send(Event::Status { message: message.into() });
        }
    }

    /// The meter.
    pub fn meter(&self) -> &Meter {
        &self.0.meter
    }

    /// The cancellation.
    pub fn cancel(&self) -> &Cancel {
        &self.0.cancel
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.0.seed
    }

    /// The rollout.
    pub fn rollout(&self) -> u64 {
        self.0.rollout
    }

    /// The example whose demonstrations predictors leave out.
    pub fn held_out(&self) -> Option<&Example> {
        self.0.held_out.as_deref()
    }

    /// Completions a call.
    pub fn n(&self) -> u32 {
        self.0.n
    }

    /// Further attempts after a reply that does not parse.
    pub fn reply_retries(&self) -> u32 {
        self.0.reply_retries
    }

    /// The parameters laid over a predictor, strongest first: the candidate's, then those of the
    /// parts it stands in, outermost first. Empty if only the predictor's own are in force.
    pub fn parameters(&self, path: &str) -> Vec<&Arc<Parameters>> {
        let mut laid = Vec::new();
        let mut layer = self.0.layers.as_ref();
        while let Some(l) = layer {
            laid.extend(path_inside(path, &l.prefix).and_then(|p| l.state.get(p)));
            layer = l.outer.as_ref();
        }
        laid.extend(self.0.candidate.as_ref().and_then(|s| s.get(path)));
        laid.reverse();
        laid
    }
}

/// The path inside the part at `prefix`, as the part's own state has it: a part that is itself a
/// predictor has the path [`LONE`].
pub(crate) fn path_inside<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    if prefix.is_empty() {
        return Some(path);
    }
    let rest = path.strip_prefix(prefix)?;
    match rest.chars().next() {
        None => Some(LONE),
        Some('.') => rest.get(1..),
        Some('[') => Some(rest),
        Some(_) => None,
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("lm", &self.0.lm)
            .field("adapter", &self.0.adapter.name())
            .field("settings", &self.0.settings)
            .field("seed", &self.0.seed)
            .finish_non_exhaustive()
    }
}
