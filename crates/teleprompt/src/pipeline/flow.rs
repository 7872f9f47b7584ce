//! Which values can reach which step: reaching definitions, as in a compiler.
//!
//! Steps are followed in the order of the file. After a block that may be skipped, what held
//! before it may still hold. A repeated block is followed twice, which is enough: what the second
//! round can see is what every later round can see.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use teleprompt_core::{Type, TypeDefs};

use super::plan::{Block, Body, Condition, Read, Source, Step};
use super::scope::Scope;

/// What gives a value.
pub(super) struct Producer {
    /// How messages name it.
    pub label: String,
    /// None for an input whose type the file does not say.
    pub ty: Option<Type>,
    pub description: Arc<str>,
    pub nullable: bool,
    /// The step, if it is one.
    pub step: Option<Arc<str>>,
}

/// What may be under a key at some point.
#[derive(Clone, Default)]
struct Held {
    from: BTreeSet<usize>,
    /// Whether there may be nothing.
    maybe_nothing: bool,
}

type State = BTreeMap<Arc<str>, Held>;

/// What is known of a place that reads a value, over all rounds.
#[derive(Default)]
pub(super) struct Reached {
    /// Indices of producers.
    pub from: BTreeSet<usize>,
    /// Whether in some round nothing can have given it.
    pub never: bool,
    /// Whether it may be missing.
    pub maybe_nothing: bool,
}

/// The result: producers, and what reaches each reader.
pub(super) struct Flow {
    pub producers: Vec<Producer>,
    reads: BTreeMap<(usize, usize, Arc<str>), Reached>,
    end: State,
}

impl Flow {
    /// Follows the blocks.
    pub fn of(scope: &Scope<'_>, blocks: &[Block]) -> Self {
        let mut walk = Walk::new(scope);
        let mut state = walk.start.clone();
        walk.blocks(blocks, &mut state);
        Flow { producers: walk.producers, reads: walk.reads, end: state }
    }

    /// What reaches a field of a step.
    pub fn field(&self, step: &Step, read: &Read) -> Option<&Reached> {
        self.reads.get(&key(&step.span, &read.field))
    }

    /// What reaches a name in a condition.
    pub fn name(&self, condition: &Condition, name: &Arc<str>) -> Option<&Reached> {
        self.reads.get(&key(&condition.text.span, name))
    }

    /// What is under a key after the last step.
    pub fn at_end(&self, source: &Source) -> Reached {
        let mut reached = Reached::default();
        look(std::slice::from_ref(source), &self.end, &self.producers, &mut reached);
        reached
    }

    /// The producers of these indices.
    pub fn producers<'f>(&'f self, reached: &'f Reached) -> impl Iterator<Item = &'f Producer> {
        reached.from.iter().filter_map(|at| self.producers.get(*at))
    }
}

fn key(span: &Range<usize>, name: &Arc<str>) -> (usize, usize, Arc<str>) {
    (span.start, span.end, name.clone())
}

struct Walk {
    producers: Vec<Producer>,
    /// By key of the value: `step.field`, or the name of an input or list.
    by_key: BTreeMap<Arc<str>, usize>,
    reads: BTreeMap<(usize, usize, Arc<str>), Reached>,
    start: State,
}

impl Walk {
    fn new(scope: &Scope<'_>) -> Self {
        let mut walk = Walk {
            producers: Vec::new(),
            by_key: BTreeMap::new(),
            reads: BTreeMap::new(),
            start: State::new(),
        };
        walk.add_inputs(scope);
        for step in &scope.steps {
            walk.add_step(step, &scope.defs);
        }
        walk
    }

    fn add(&mut self, key: Arc<str>, producer: Producer) -> usize {
        let at = self.producers.len();
        self.producers.push(producer);
        self.by_key.insert(key, at);
        at
    }

    fn add_inputs(&mut self, scope: &Scope<'_>) {
        for input in &scope.inputs {
            let nullable = input.ty.as_ref().is_some_and(|ty| ty.is_nullable(&scope.defs));
            let at = self.add(
                input.name.clone(),
                Producer {
                    label: format!("the input `{}`", input.name),
                    ty: input.ty.clone(),
                    description: input.description.clone(),
                    nullable,
                    step: None,
                },
            );
            self.start.insert(input.name.clone(), always(at));
        }
    }

    fn add_step(&mut self, step: &Step, defs: &TypeDefs) {
        for (give, field) in step.gives.iter().zip(step.signature.outputs()) {
            self.add(
                give.key.clone(),
                Producer {
                    label: format!("`{}`", give.key),
                    ty: Some(field.ty.clone()),
                    description: field.description.clone(),
                    nullable: field.ty.is_nullable(defs),
                    step: Some(step.name.clone()),
                },
            );
            for list in step.collects.iter().filter(|c| c.field == give.field) {
                let at = self.add(
                    list.list.clone(),
                    Producer {
                        label: format!("the list `{}`", list.list),
                        ty: Some(Type::list(field.ty.clone())),
                        description: Arc::from(""),
                        nullable: false,
                        step: Some(step.name.clone()),
                    },
                );
                let held = self.start.entry(list.list.clone()).or_default();
                held.from.insert(at);
            }
        }
    }

    fn blocks(&mut self, blocks: &[Block], state: &mut State) {
        for block in blocks {
            let before = block.when.as_ref().map(|when| {
                self.condition(when, state);
                state.clone()
            });
            for _ in 0..block.times.min(2) {
                match &block.body {
                    Body::Step(step) => self.step(step, state),
                    Body::Group(inner) => self.blocks(inner, state),
                }
                if let Some(until) = &block.until {
                    self.condition(until, state);
                }
            }
            if let Some(before) = before {
                join(state, before);
            }
        }
    }

    fn condition(&mut self, condition: &Condition, state: &State) {
        for (name, _) in condition.expr.names() {
            let source = Source { key: name.clone(), span: 0..0 };
            let reached = self.reads.entry(key(&condition.text.span, name)).or_default();
            look(&[source], state, &self.producers, reached);
        }
    }

    fn step(&mut self, step: &Step, state: &mut State) {
        for read in &step.reads {
            let reached = self.reads.entry(key(&step.span, &read.field)).or_default();
            look(&read.sources, state, &self.producers, reached);
        }
        for give in &step.gives {
            if let Some(at) = self.by_key.get(&give.key) {
                state.insert(give.field.clone(), always(*at));
                state.insert(give.key.clone(), always(*at));
            }
        }
    }
}

fn always(producer: usize) -> Held {
    Held { from: BTreeSet::from([producer]), maybe_nothing: false }
}

/// Reads the first of the sources that has a value.
fn look(sources: &[Source], state: &State, producers: &[Producer], reached: &mut Reached) {
    let mut found = false;
    let mut certain = false;
    for held in sources.iter().filter_map(|source| state.get(&source.key)) {
        found = true;
        certain |= !held.maybe_nothing;
        reached.from.extend(&held.from);
        let null = held.from.iter().any(|at| producers.get(*at).is_some_and(|p| p.nullable));
        if !held.maybe_nothing && !null {
            break;
        }
    }
    reached.never |= !found;
    reached.maybe_nothing |= !certain;
}

fn join(state: &mut State, other: State) {
    for (key, held) in state.iter_mut() {
        if !other.contains_key(key) {
            held.maybe_nothing = true;
        }
    }
    for (key, held) in other {
        match state.get_mut(&key) {
            Some(here) => {
                here.from.extend(held.from);
                here.maybe_nothing |= held.maybe_nothing;
            }
            None => {
                state.insert(key, Held { maybe_nothing: true, ..held });
            }
        }
    }
}
