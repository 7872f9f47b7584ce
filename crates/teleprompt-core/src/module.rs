//! Modules and programs: how predictors are composed, and how a compiler finds them.

use std::any::Any;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};

use futures::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::Context;
use crate::error::Result;
use crate::parameters::{Parameters, ProgramState};
use crate::prediction::Prediction;
use crate::record::Record;
use crate::signature::Signature;
use crate::streaming::Run;

/// Anything that turns inputs into a prediction by calling predictors.
///
/// Write `forward` as plain async Rust, with loops, `if` and `?`; `#[derive(Module)]` on the
/// struct gives [`Predictors`], by which compilers find what they may change. Call other modules
/// by [`Module::call`].
pub trait Module: Predictors + Sized + Send + Sync + 'static {
    /// What it takes: any serde struct, or [`Record`].
    type Input: Serialize + DeserializeOwned + Send + Any;
    /// What it gives: any serde struct, or [`Record`].
    type Output: Serialize + DeserializeOwned + Send + Any;

    /// Runs it once.
    ///
    /// # Errors
    /// What the predictors and your own code return.
    fn forward(
        &self,
        cx: &Context,
        input: Self::Input,
    ) -> impl Future<Output = Result<Prediction<Self::Output>>> + Send;

    /// Runs it once; what callers use. Never override it.
    ///
    /// # Errors
    /// Those of [`Module::forward`].
    fn call(
        &self,
        cx: &Context,
        input: Self::Input,
    ) -> impl Future<Output = Result<Prediction<Self::Output>>> + Send {
        self.forward(cx, input)
    }

    /// Runs it once and tells events on the way: pieces of output fields as they come, fields when
    /// they are whole, tool calls, status messages; the prediction at the end is that of
    /// [`Module::call`]. Dropping the stream ends the run. Never override it.
    fn stream<'a>(&'a self, cx: &Context, input: Self::Input) -> Run<'a, Self::Output> {
        Run::new(self, cx, input)
    }

    /// Its interface as a signature, where it has one that is known before it runs. The command
    /// and `show` use it; a single predictor gives its own. Default: none.
    fn interface(&self) -> Option<Signature> {
        None
    }

    /// A text of all that decides what it does besides its predictors, such as the wiring of a
    /// pipeline: a study refuses to go on when it changed. Default: empty.
    fn fingerprint(&self) -> String {
        String::new()
    }
}

/// A predictor as compilers see it: the only thing that calls an LM.
pub trait Predictor: Send + Sync {
    /// Its signature as the program was written.
    fn signature(&self) -> &Signature;
    /// Its parameters as the program was written.
    fn parameters(&self) -> &Arc<Parameters>;
    /// Where its path is kept.
    fn slot(&self) -> &PathSlot;
}

/// Shows its predictors to a visitor, in a stable order.
///
/// `#[derive(Module)]` writes this: every field is visited, at any depth; mark a field that holds
/// no predictors and is of a type of your own with `#[module(skip)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be searched for predictors",
    label = "a compiler would not see what is in here",
    note = "if it holds predictors: `#[derive(Module)]` on it; if it holds none: \
            `#[module(skip)]` on the field"
)]
pub trait Predictors {
    /// Shows each part to the visitor.
    fn visit<'a>(&'a self, visit: &mut Visit<'a>);
}

/// The path of a predictor that is a whole program.
pub(crate) const LONE: &str = "predict";

/// The path of a predictor or other part, set when its program is bound. Clones start with the same path and go
/// their own way from there.
#[derive(Debug, Default)]
pub struct PathSlot(RwLock<Option<Arc<str>>>);

impl PathSlot {
    /// The path; `predict` before it was bound.
    pub fn get(&self) -> Arc<str> {
        let path = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        path.unwrap_or_else(|| Arc::from(LONE))
    }

    /// Sets the path.
    pub fn set(&self, path: Arc<str>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(path);
    }
}

impl Clone for PathSlot {
    fn clone(&self) -> Self {
        Self(RwLock::new(self.0.read().unwrap_or_else(PoisonError::into_inner).clone()))
    }
}

/// Walks a program and collects its predictors.
#[derive(Default)]
pub struct Visit<'a> {
    path: String,
    found: Vec<(Arc<str>, &'a dyn Predictor)>,
    aliases: BTreeMap<Arc<str>, Arc<str>>,
    parameters: BTreeMap<Arc<str>, Arc<Parameters>>,
    layers: Vec<(String, Arc<ProgramState>)>,
    seen: HashMap<*const PathSlot, Arc<str>>,
}

impl<'a> Visit<'a> {
    /// Visits a named part.
    pub fn field(&mut self, name: &str, part: &'a (impl Predictors + ?Sized)) {
        let dot = if self.path.is_empty() { "" } else { "." };
        self.step(&format!("{dot}{name}"), part);
    }

    /// Visits an element of a sequence.
    pub fn index(&mut self, index: usize, part: &'a (impl Predictors + ?Sized)) {
        self.step(&format!("[{index}]"), part);
    }

    /// Visits an entry of a map.
    pub fn key(&mut self, key: &str, part: &'a (impl Predictors + ?Sized)) {
        self.step(&format!("[{key}]"), part);
    }

    fn step(&mut self, step: &str, part: &'a (impl Predictors + ?Sized)) {
        let before = self.path.len();
        self.path.push_str(step);
        part.visit(self);
        self.path.truncate(before);
    }

    /// Visits a part over which parameters are laid.
    pub fn layer(&mut self, state: &Arc<ProgramState>, part: &'a (impl Predictors + ?Sized)) {
        self.layers.push((self.path.clone(), state.clone()));
        part.visit(self);
        self.layers.pop();
    }

    /// Tells a part where it stands, if it has to know when it runs. One that is met again keeps its
    /// first place, as the predictors inside keep their paths.
    pub fn place(&mut self, slot: &'a PathSlot) {
        if let Entry::Vacant(unseen) = self.seen.entry(slot) {
            let path: Arc<str> = Arc::from(self.path.as_str());
            slot.set(path.clone());
            unseen.insert(path);
        }
    }

    /// Where the visit is now.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Reports a predictor at the present path. One that was met before is an alias.
    pub fn predictor(&mut self, predictor: &'a dyn Predictor) {
        let path: Arc<str> =
            if self.path.is_empty() { LONE.into() } else { self.path.as_str().into() };
        match self.seen.get(&std::ptr::from_ref(predictor.slot())) {
            Some(first) => {
                self.aliases.insert(path, first.clone());
            }
            None => {
                self.seen.insert(predictor.slot(), path.clone());
                self.parameters.insert(path.clone(), self.in_force(&path, predictor));
                self.found.push((path, predictor));
            }
        }
    }
}

impl Visit<'_> {
    /// The predictor's own parameters under those laid over it, outermost strongest.
    fn in_force(&self, path: &str, predictor: &dyn Predictor) -> Arc<Parameters> {
        let laid = self.layers.iter().rev().filter_map(|(prefix, state)| {
            crate::context::path_inside(path, prefix).and_then(|p| state.get(p))
        });
        laid.fold(predictor.parameters().clone(), |below, above| Arc::new(above.or(&below)))
    }
}

/// The predictors of a program by path, in order, after binding them.
pub struct Bound<'a> {
    /// Each predictor once, under its first path.
    pub predictors: Vec<(Arc<str>, &'a dyn Predictor)>,
    /// Further paths of shared predictors, each with the first one.
    pub aliases: BTreeMap<Arc<str>, Arc<str>>,
    /// The parameters in force for each: its own, under those laid over the parts it stands in.
    pub parameters: BTreeMap<Arc<str>, Arc<Parameters>>,
}

/// Finds all predictors of a program and gives each its path.
pub fn bind<'a>(program: &'a (impl Predictors + ?Sized)) -> Bound<'a> {
    let mut visit = Visit::default();
    program.visit(&mut visit);
    for (path, predictor) in &visit.found {
        predictor.slot().set(path.clone());
    }
    Bound { predictors: visit.found, aliases: visit.aliases, parameters: visit.parameters }
}

/// Finds the predictors of a part of a program that is bound, under the paths that they have there.
/// `place` is where the part stands: what [`Visit::path`] was when it was visited. No path is
/// changed, so that it can be called while the program runs.
pub fn find<'a>(place: &str, part: &'a (impl Predictors + ?Sized)) -> Bound<'a> {
    let mut visit = Visit { path: place.to_owned(), ..Visit::default() };
    part.visit(&mut visit);
    let mut found = Bound {
        predictors: Vec::with_capacity(visit.found.len()),
        aliases: visit.aliases,
        parameters: BTreeMap::new(),
    };
    for (here, predictor) in visit.found {
        // One that is shared with another part may have got its path there.
        let path = predictor.slot().get();
        if let Some(parameters) = visit.parameters.remove(&here) {
            found.parameters.insert(path.clone(), parameters);
        }
        found.predictors.push((path, predictor));
    }
    found
}

macro_rules! no_predictors {
    ($($ty:ty),+ $(,)?) => {
        $(impl Predictors for $ty { fn visit<'a>(&'a self, _: &mut Visit<'a>) {} })+
    };
}

no_predictors!(
    (),
    bool,
    char,
    u8,
    u16,
    u32,
    u64,
    usize,
    i8,
    i16,
    i32,
    i64,
    isize,
    f32,
    f64,
    str,
    String,
    Record,
    Signature,
    serde_json::Value,
    std::time::Duration,
    std::path::PathBuf,
);

impl<T: ?Sized> Predictors for std::marker::PhantomData<T> {
    fn visit<'a>(&'a self, _: &mut Visit<'a>) {}
}

macro_rules! through_deref {
    ($($ty:ty),+) => {
        $(impl<T: Predictors + ?Sized> Predictors for $ty {
            fn visit<'a>(&'a self, visit: &mut Visit<'a>) { (**self).visit(visit) }
        })+
    };
}

through_deref!(Arc<T>, Box<T>, &T);

impl<T: Predictors> Predictors for Option<T> {
    fn visit<'a>(&'a self, visit: &mut Visit<'a>) {
        self.iter().for_each(|part| part.visit(visit));
    }
}

impl<T: Predictors> Predictors for [T] {
    fn visit<'a>(&'a self, visit: &mut Visit<'a>) {
        self.iter().enumerate().for_each(|(i, part)| visit.index(i, part));
    }
}

impl<T: Predictors> Predictors for Vec<T> {
    fn visit<'a>(&'a self, visit: &mut Visit<'a>) {
        self.as_slice().visit(visit);
    }
}

impl<T: Predictors, const N: usize> Predictors for [T; N] {
    fn visit<'a>(&'a self, visit: &mut Visit<'a>) {
        self.as_slice().visit(visit);
    }
}

macro_rules! tuples {
    ($($part:ident . $at:tt),+) => {
        impl<$($part: Predictors),+> Predictors for ($($part,)+) {
            fn visit<'a>(&'a self, visit: &mut Visit<'a>) {
                $( visit.field(stringify!($at), &self.$at); )+
            }
        }
    };
}

tuples!(A.0);
tuples!(A.0, B.1);
tuples!(A.0, B.1, C.2);
tuples!(A.0, B.1, C.2, D.3);
tuples!(A.0, B.1, C.2, D.3, E.4);
tuples!(A.0, B.1, C.2, D.3, E.4, F.5);

/// Keys in sorted order, so that paths do not depend on the hasher.
impl<K: ToString, T: Predictors, S> Predictors for HashMap<K, T, S> {
    fn visit<'a>(&'a self, visit: &mut Visit<'a>) {
        let mut parts: Vec<_> = self.iter().map(|(k, part)| (k.to_string(), part)).collect();
        parts.sort_by(|a, b| a.0.cmp(&b.0));
        parts.into_iter().for_each(|(key, part)| visit.key(&key, part));
    }
}

impl<K: ToString, T: Predictors> Predictors for BTreeMap<K, T> {
    fn visit<'a>(&'a self, visit: &mut Visit<'a>) {
        self.iter().for_each(|(key, part)| visit.key(&key.to_string(), part));
    }
}

/// The private twin of [`Module`] over records.
trait ErasedModule: Send + Sync {
    fn call<'a>(&'a self, cx: &'a Context, input: Record) -> BoxFuture<'a, Result<Prediction>>;
    fn predictors(&self) -> &dyn Predictors;
    fn interface(&self) -> Option<Signature>;
    fn fingerprint(&self) -> String;
}

impl<M: Module> ErasedModule for M {
    fn call<'a>(&'a self, cx: &'a Context, input: Record) -> BoxFuture<'a, Result<Prediction>> {
        Box::pin(async move {
            let prediction = self.forward(cx, input.into_typed()?).await?;
            prediction.try_map(Record::from_typed)
        })
    }
    fn predictors(&self) -> &dyn Predictors {
        self
    }
    fn interface(&self) -> Option<Signature> {
        Module::interface(self)
    }
    fn fingerprint(&self) -> String {
        Module::fingerprint(self)
    }
}

/// Any module, over records: what optimizers, evaluations and the command hold. Its predictors are
/// bound. Cloning is cheap.
#[derive(Clone)]
pub struct Program(Arc<dyn ErasedModule>);

impl Program {
    /// Holds a module and binds its predictors.
    pub fn new(module: impl Module) -> Self {
        let program = Self(Arc::new(module));
        bind(program.0.predictors());
        program
    }

    /// Its predictors by path.
    pub fn bound(&self) -> Bound<'_> {
        bind(self.0.predictors())
    }

    /// The parameters in force for all its predictors.
    pub fn state(&self) -> ProgramState {
        ProgramState(self.bound().parameters)
    }
}

impl Predictors for Program {
    fn visit<'a>(&'a self, visit: &mut Visit<'a>) {
        self.0.predictors().visit(visit);
    }
}

impl Module for Program {
    type Input = Record;
    type Output = Record;
    async fn forward(&self, cx: &Context, input: Record) -> Result<Prediction> {
        self.0.call(cx, input).await
    }
    fn interface(&self) -> Option<Signature> {
        self.0.interface()
    }
    fn fingerprint(&self) -> String {
        self.0.fingerprint()
    }
}

impl<M: Module> Module for Arc<M> {
    type Input = M::Input;
    type Output = M::Output;
    async fn forward(&self, cx: &Context, input: M::Input) -> Result<Prediction<M::Output>> {
        (**self).forward(cx, input).await
    }
    fn interface(&self) -> Option<Signature> {
        (**self).interface()
    }
    fn fingerprint(&self) -> String {
        (**self).fingerprint()
    }
}
