//! `#[derive(Module)]`: every predictor is found, in order, under a stable path.
#![deny(warnings)]
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;
use std::sync::Arc;

use teleprompt::{
    Context, Module, Parameters, PathSlot, Prediction, Predictor, Predictors, Program, Record,
    Result, Signature, Visit, bind,
};

/// A predictor that calls nothing.
#[derive(Clone)]
struct Leaf {
    signature: Signature,
    parameters: Arc<Parameters>,
    slot: PathSlot,
}

fn leaf() -> Leaf {
    Leaf {
        signature: "question -> answer".parse().unwrap(),
        parameters: Arc::default(),
        slot: PathSlot::default(),
    }
}

impl Predictor for Leaf {
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

impl Predictors for Leaf {
    fn visit<'a>(&'a self, visit: &mut Visit<'a>) {
        visit.predictor(self);
    }
}

fn paths(program: &impl Predictors) -> Vec<String> {
    bind(program).predictors.iter().map(|(path, _)| path.to_string()).collect()
}

/// A type that knows nothing of predictors.
struct Foreign;

#[derive(Module, Clone)]
struct Hop {
    generate_query: Leaf,
    retries: usize,
    rank: Option<Leaf>,
}

fn hop() -> Hop {
    Hop { generate_query: leaf(), retries: 2, rank: None }
}

#[derive(Module)]
struct Baleen {
    hop: Vec<Hop>,
    #[module(skip)]
    foreign: Foreign,
    by_topic: HashMap<String, Leaf>,
    pair: (Leaf, Box<Hop>),
    votes: [Leaf; 2],
    r#final: Leaf,
}

fn baleen() -> Baleen {
    let ranked = Hop { rank: Some(leaf()), ..hop() };
    let topics = ["west", "east", "north", "south"].map(|name| (name.to_owned(), leaf()));
    Baleen {
        hop: vec![hop(), ranked],
        foreign: Foreign,
        by_topic: HashMap::from(topics),
        pair: (leaf(), Box::new(hop())),
        votes: [leaf(), leaf()],
        r#final: leaf(),
    }
}

impl Module for Baleen {
    type Input = Record;
    type Output = Record;
    async fn forward(&self, _: &Context, input: Record) -> Result<Prediction> {
        let Foreign = self.foreign;
        Ok(Prediction::new(input))
    }
}

const BALEEN: [&str; 12] = [
    "hop[0].generate_query",
    "hop[1].generate_query",
    "hop[1].rank",
    "by_topic[east]",
    "by_topic[north]",
    "by_topic[south]",
    "by_topic[west]",
    "pair.0",
    "pair.1.generate_query",
    "votes[0]",
    "votes[1]",
    "final",
];

#[test]
fn every_field_is_visited_in_order_at_any_depth() {
    assert_eq!(paths(&baleen()), BALEEN);
}

#[test]
fn binding_sets_the_path_that_the_predictor_knows() {
    let program = baleen();
    assert_eq!(&*program.hop[1].generate_query.slot.get(), "predict");
    bind(&program);
    assert_eq!(&*program.hop[1].generate_query.slot.get(), "hop[1].generate_query");
    assert_eq!(&*program.r#final.slot.get(), "final");
}

#[test]
fn a_program_has_the_state_of_all_its_predictors() {
    let state = Program::new(baleen()).state();
    assert_eq!(state.0.len(), BALEEN.len());
    assert!(BALEEN.iter().all(|path| state.get(path).is_some()));
}

#[test]
fn a_clone_goes_its_own_way() {
    #[derive(Module)]
    struct Two {
        first: Hop,
        second: Hop,
    }
    let first = hop();
    bind(&first);
    let two = Two { second: first.clone(), first };
    assert_eq!(paths(&two), ["first.generate_query", "second.generate_query"]);
    assert_eq!(&*two.second.generate_query.slot.get(), "second.generate_query");
    assert_eq!(two.first.retries, 2);
}

#[test]
fn a_shared_predictor_has_one_path_and_aliases() {
    #[derive(Module)]
    struct Shared {
        ask: Arc<Leaf>,
        again: Arc<Leaf>,
        deep: Vec<Arc<Leaf>>,
    }
    let one = Arc::new(leaf());
    let program =
        Shared { ask: one.clone(), again: one.clone(), deep: vec![one, Arc::new(leaf())] };
    let bound = bind(&program);
    let found: Vec<&str> = bound.predictors.iter().map(|(path, _)| &**path).collect();
    assert_eq!(found, ["ask", "deep[1]"]);
    let aliases: Vec<(&str, &str)> = bound.aliases.iter().map(|(a, b)| (&**a, &**b)).collect();
    assert_eq!(aliases, [("again", "ask"), ("deep[0]", "ask")]);
    assert_eq!(&*program.again.slot.get(), "ask");
}

#[test]
fn tuple_structs_count_their_fields() {
    #[derive(Module)]
    struct Chain(
        Leaf,
        #[module(skip)]
        #[allow(dead_code)]
        Foreign,
        BTreeMap<u8, Leaf>,
    );
    let program = Chain(leaf(), Foreign, BTreeMap::from([(10, leaf()), (9, leaf())]));
    assert_eq!(paths(&program), ["0", "2[9]", "2[10]"]);

    #[derive(Module)]
    struct Nothing;
    assert!(paths(&Nothing).is_empty());
}

#[test]
fn of_an_enum_the_variant_at_hand_is_visited() {
    #[derive(Module)]
    #[allow(dead_code)]
    enum Step {
        Plain(Leaf),
        Routed {
            router: Leaf,
            __visit: Hop,
            #[module(skip)]
            foreign: Foreign,
        },
        Done,
    }
    #[derive(Module)]
    enum Never {}

    assert_eq!(paths(&Step::Plain(leaf())), ["0"]);
    let routed = Step::Routed { router: leaf(), __visit: hop(), foreign: Foreign };
    assert_eq!(paths(&vec![routed]), ["[0].router", "[0].__visit.generate_query"]);
    assert!(paths(&Step::Done).is_empty());
    assert!(paths(&None::<Never>).is_empty());
}

#[test]
fn generic_modules_visit_what_they_are_given() {
    trait Task {}
    impl Task for Foreign {}

    /// `S` is a mark that holds no predictors; `'a` and `visit` are names that the derive uses.
    #[derive(Module)]
    struct Best<'a, M, S: Task, const N: usize>
    where
        M: Clone,
    {
        inner: &'a M,
        visit: [M; N],
        mark: PhantomData<S>,
    }
    #[derive(Module)]
    struct Tree<T> {
        leaf: T,
        branches: Vec<Tree<T>>,
    }

    let inner = hop();
    let best = Best::<Hop, Foreign, 1> { inner: &inner, visit: [hop()], mark: PhantomData };
    assert_eq!(paths(&best), ["inner.generate_query", "visit[0].generate_query"]);
    let branch = Tree { leaf: leaf(), branches: vec![] };
    let tree = Tree { leaf: leaf(), branches: vec![branch] };
    assert_eq!(paths(&tree), ["leaf", "branches[0].leaf"]);
}

#[test]
fn fields_made_by_a_macro_are_visited() {
    macro_rules! module {
        ($name:ident { $($field:ident : $ty:ty),+ }) => {
            #[derive(Module)]
            struct $name { $($field: $ty),+ }
        };
    }
    module!(Made { ask: Leaf, hops: Vec<Hop> });
    assert_eq!(paths(&Made { ask: leaf(), hops: vec![hop()] }), ["ask", "hops[0].generate_query"]);
}
