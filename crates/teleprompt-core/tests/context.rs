//! The context: which parameters and LM are in force, and that changing a copy changes no other.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::sync::Arc;

use teleprompt_core::{
    Adapter, Cancel, Context, Lm, LmError, LmHandle, LmRequest, LmResponse, LmSettings, Parameters,
    ParseError, Parsed, ProgramState, Record, Signature, TraceRecorder, TraceStep,
};

struct Named(&'static str);

impl Lm for Named {
    fn name(&self) -> &str {
        self.0
    }
    async fn generate(&self, _: &LmRequest) -> Result<LmResponse, LmError> {
        Ok(LmResponse::text("x"))
    }
}

struct Plain;

impl Adapter for Plain {
    fn name(&self) -> &'static str {
        "plain"
    }
    fn system(&self, _: &Signature) -> String {
        String::new()
    }
    fn user(&self, _: &Signature, _: &Record) -> String {
        String::new()
    }
    fn assistant(&self, _: &Signature, _: &Record) -> String {
        String::new()
    }
    fn parse(&self, _: &Signature, _: &str) -> Result<Parsed, ParseError> {
        Ok(Parsed::default())
    }
}

fn context() -> Context {
    Context::new(LmHandle::new(Named("one")), Arc::new(Plain))
}

/// A state in which each path has its own path and the state's name as instructions.
fn state(name: &str, paths: &[&str]) -> Arc<ProgramState> {
    let mut state = ProgramState::default();
    for path in paths {
        let instructions = Some(Arc::from(format!("{name}/{path}")));
        state.insert(*path, Parameters { instructions, ..Parameters::default() });
    }
    Arc::new(state)
}

fn in_force(cx: &Context, path: &str) -> Option<String> {
    cx.parameters(path).first().and_then(|p| p.instructions.as_deref().map(str::to_owned))
}

#[test]
fn a_candidate_comes_before_layers_and_outer_layers_before_inner_ones() {
    let bare = context();
    let inner = bare.with_layer("rag.hop".into(), state("inner", &["query", "answer", "rank"]));
    // The layers are laid on from the outside in, as the calls go.
    let cx = bare
        .with_layer("".into(), state("outer", &["rag.hop.query"]))
        .with_layer("rag".into(), state("middle", &["hop.query", "hop.answer"]))
        .with_layer("rag.hop".into(), state("inner", &["query", "answer", "rank"]));
    let with_candidate = cx.with_candidate(state("candidate", &["rag.hop.rank"]));

    let table = [
        (&bare, "rag.hop.query", None),
        (&inner, "rag.hop.query", Some("inner/query")),
        (&cx, "rag.hop.query", Some("outer/rag.hop.query")),
        (&cx, "rag.hop.answer", Some("middle/hop.answer")),
        (&cx, "rag.hop.rank", Some("inner/rank")),
        (&cx, "rag.hop.other", None),
        (&cx, "query", None),
        (&with_candidate, "rag.hop.rank", Some("candidate/rag.hop.rank")),
        (&with_candidate, "rag.hop.query", Some("outer/rag.hop.query")),
    ];
    for (cx, path, expected) in table {
        assert_eq!(in_force(cx, path).as_deref(), expected, "{path}");
    }
}

#[test]
fn an_overlay_comes_before_a_candidate_and_leaves_the_rest_of_it_in_force() {
    let cx = context()
        .with_layer("".into(), state("layer", &["a", "b", "c"]))
        .with_candidate(state("candidate", &["a", "b"]));
    let mut over = (*state("over", &["a"])).clone();
    let demos = vec![Record::new()];
    over.insert("b", Parameters { demos: Some(demos.clone()), ..Parameters::default() });
    let laid = cx.with_overlay(over);
    let table = [("a", "over/a"), ("b", "candidate/b"), ("c", "layer/c")];
    for (path, expected) in table {
        assert_eq!(in_force(&laid, path).as_deref(), Some(expected), "{path}");
    }
    assert_eq!(laid.parameters("b")[0].demos(), demos);
    assert_eq!(in_force(&cx, "a").as_deref(), Some("candidate/a"), "the first copy is as it was");
    let bare = context().with_overlay((*state("over", &["a"])).clone());
    assert_eq!(in_force(&bare, "a").as_deref(), Some("over/a"));
}

#[test]
fn a_prefix_ends_where_a_part_of_the_path_ends() {
    let cx = context().with_layer(
        "hop".into(),
        state("part", &["query", "[1].query", "predict", "s.query", "2.query"]),
    );
    let table = [
        ("hop.query", Some("part/query")),
        ("hop[1].query", Some("part/[1].query")),
        // A part that is itself a predictor has its state under the path of a lone predictor.
        ("hop", Some("part/predict")),
        ("hops.query", None),
        ("hop2.query", None),
        ("query", None),
    ];
    for (path, expected) in table {
        assert_eq!(in_force(&cx, path).as_deref(), expected, "{path}");
    }
}

#[test]
fn a_lone_predictor_finds_the_state_of_its_program() {
    let cx = context().with_layer("".into(), state("saved", &["predict"]));
    assert_eq!(in_force(&cx, "predict").as_deref(), Some("saved/predict"));
}

#[test]
fn only_lms_that_were_given_can_be_named() {
    let cx = context().with_named_lm("judge", LmHandle::new(Named("two")));
    assert_eq!(cx.lm_named(None).unwrap().name(), "one");
    assert_eq!(cx.lm_named(Some("one")).unwrap().name(), "one");
    assert_eq!(cx.lm_named(Some("judge")).unwrap().name(), "two");
    let error = cx.lm_named(Some("openai:gpt")).unwrap_err();
    assert!(error.to_string().contains("`openai:gpt`") && error.is_fatal(), "{error}");
    assert!(context().lm_named(Some("judge")).is_err());
}

#[test]
fn a_changed_copy_leaves_the_first_alone() {
    let cx = context();
    let settings = |t| LmSettings { temperature: Some(t), ..LmSettings::default() };
    let tokens = LmSettings { max_tokens: Some(9), ..LmSettings::default() };
    let changed = cx
        .with_seed(7)
        .with_n(0)
        .with_rollout(3)
        .with_settings(&settings(0.5))
        .with_settings(&tokens);
    assert_eq!((changed.seed(), changed.n(), changed.rollout()), (7, 1, 3));
    assert_eq!(changed.settings().temperature, Some(0.5));
    assert_eq!(changed.settings().max_tokens, Some(9));
    assert_eq!(changed.with_settings(&settings(1.0)).settings().temperature, Some(1.0));
    assert_eq!((cx.seed(), cx.n(), cx.rollout(), cx.reply_retries()), (0, 1, 0, 2));
    assert_eq!(*cx.settings(), LmSettings::default());
}

#[test]
fn cancelling_reaches_every_copy() {
    let cancel = Cancel::default();
    let cx = context().with_cancel(cancel.clone());
    let copy = cx.with_seed(1);
    assert!(!copy.cancel().is_cancelled());
    cancel.cancel();
    assert!(cx.cancel().is_cancelled() && copy.cancel().is_cancelled());
}

#[test]
fn a_trace_orders_calls_by_their_beginning() {
    let cx = context().with_trace(TraceRecorder::new());
    let trace = cx.trace().unwrap();
    let orders: Vec<u64> = (0..3).map(|_| trace.begin()).collect();
    let step = |order: u64| TraceStep {
        path: Arc::from(format!("p{order}")),
        order,
        inputs: Record::new(),
        outputs: Record::new(),
        evidence: Default::default(),
        error: None,
    };
    // They end in another order, in threads of their own.
    std::thread::scope(|scope| {
        for order in [orders[2], orders[0], orders[1]] {
            let recorder = trace.clone();
            scope.spawn(move || recorder.push(step(order))).join().unwrap();
        }
    });
    let paths: Vec<String> = trace.steps().iter().map(|s| s.path.to_string()).collect();
    assert_eq!(paths, ["p0", "p1", "p2"]);
}
