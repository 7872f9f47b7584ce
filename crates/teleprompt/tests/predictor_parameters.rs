//! What a compiler may change in a predictor beside its texts: which demonstrations a call shows, and
//! how outputs are decided from probabilities.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;
use serde_json::{Value, json};
use teleprompt::adapter::{ChatAdapter, JsonAdapter};
use teleprompt::optimize::propose::decide::{default_rule, fit};
use teleprompt::prelude::*;
use teleprompt::saved::SavedProgram;
use teleprompt::{
    Capabilities, Decision, Embedder, EmbedderHandle, Embeddings, Event, Evidence, EvidenceSource,
    Labels, Likeness, Limits, LmError, LmRequest, Nearest, Parameters, ProgramState, Repair, Role,
    Rule, Streamed, TraceRecorder, Usage, bind,
};
use teleprompt_testkit::scripted::{Reply, ScriptedLm};

fn context(lm: &ScriptedLm) -> Context {
    Context::new(LmHandle::new(lm.clone()), Arc::new(ChatAdapter))
}

fn demo(question: &str, answer: &str) -> Record {
    record! { question: question, answer: answer }
}

/// Answers anything, and keeps what it was asked.
fn answering() -> ScriptedLm {
    ScriptedLm::new(|_: &LmRequest| "[[ ## answer ## ]]\nx").recording()
}

/// The questions of the demonstrations that a request shows.
fn shown(request: &LmRequest) -> Vec<String> {
    let turns = request.messages.iter().filter(|m| m.role == Role::User);
    let mut questions: Vec<String> =
        turns.map(|m| m.content.lines().last().unwrap().to_owned()).collect();
    questions.pop();
    questions
}

fn pool() -> Vec<Record> {
    vec![
        demo("the red apple", "fruit"),
        demo("a fast red car", "vehicle"),
        demo("the slow train", "vehicle"),
        demo("one green apple", "fruit"),
    ]
}

fn nearest(k: usize, by: Likeness) -> Parameters {
    let nearest = Nearest { k, pool: pool(), by };
    Parameters { nearest: Some(Arc::new(nearest)), ..Parameters::default() }
}

#[tokio::test]
async fn the_nearest_demos_stand_behind_the_fixed_ones_the_most_similar_last() {
    let lm = answering();
    let parameters = Parameters {
        demos: Some(vec![demo("always here", "yes")]),
        ..nearest(2, Likeness::Lexical)
    };
    let program = Predict::of("question -> answer").unwrap().with_parameters(parameters);
    let cx = context(&lm);
    for question in ["my green apple", "a car, a fast car", "nothing of it"] {
        program.call(&cx, record! { question: question }).await.unwrap();
    }
    let requests = lm.requests();
    assert_eq!(shown(&requests[0]), ["always here", "the red apple", "one green apple"]);
    assert_eq!(shown(&requests[1])[2], "a fast red car");
    // Equally similar ones stand as they do in the pool.
    assert_eq!(shown(&requests[2]), ["always here", "the red apple", "a fast red car"]);
    // What is the same for all calls: the system part and the fixed demonstration.
    assert!(requests.iter().all(|r| r.shared_prefix == 3), "{requests:?}");
    assert_eq!(requests[0].messages[..3], requests[1].messages[..3]);
}

#[tokio::test]
async fn only_inputs_are_compared() {
    let lm = answering();
    let pool = vec![demo("x", "zebra"), demo("zebra", "x"), demo("y", "y")];
    let nearest = Some(Arc::new(Nearest { k: 1, pool, by: Likeness::Lexical }));
    let program = Predict::of("question -> answer")
        .unwrap()
        .with_parameters(Parameters { nearest, ..Parameters::default() });
    program.call(&context(&lm), record! { question: "a zebra" }).await.unwrap();
    assert_eq!(shown(&lm.requests()[0]), ["zebra"]);
}

#[tokio::test]
async fn a_candidate_can_say_that_there_are_no_demos() {
    let lm = answering();
    let own = Parameters { demos: Some(vec![demo("own", "x")]), ..nearest(1, Likeness::Lexical) };
    let program = Predict::of("question -> answer").unwrap().with_parameters(own);
    bind(&program);
    let candidate = |json: Value| -> Arc<ProgramState> {
        Arc::new(serde_json::from_value(json!({ "predict": json })).unwrap())
    };
    let cases = [
        (json!({}), vec!["own", "the red apple"]),
        (json!({"demos": []}), vec!["the red apple"]),
        (json!({"nearest": {"k": 0}}), vec!["own"]),
        (json!({"demos": [], "nearest": {"k": 0}}), vec![]),
    ];
    for (i, (json, expected)) in cases.into_iter().enumerate() {
        let cx = context(&lm).with_candidate(candidate(json.clone()));
        program.call(&cx, record! { question: "red apple" }).await.unwrap();
        assert_eq!(shown(&lm.requests()[i]), expected, "{json}");
    }
}

#[test]
fn parameters_without_anything_are_short_and_unknown_ones_are_told() {
    assert_eq!(json!(Parameters::default()), json!({}));
    let none = Parameters { demos: Some(Vec::new()), ..Parameters::default() };
    assert_eq!(json!(none), json!({"demos": []}));
    let decision = Decision { from: EvidenceSource::Logprobs, rule: Rule::Threshold(0.25) };
    let stated = EvidenceSource::Stated { field: "p".into() };
    let full = Parameters {
        decisions: [
            ("a".into(), decision),
            ("b".into(), Decision { from: stated, rule: Rule::even_cuts(3) }),
        ]
        .into(),
        ..nearest(2, Likeness::Embedder("small".into()))
    };
    let written = json!(full);
    assert_eq!(written["nearest"]["by"], json!({"embedder": "small"}));
    assert_eq!(written["decisions"]["a"], json!({"from": "logprobs", "rule": {"threshold": 0.25}}));
    assert_eq!(serde_json::from_value::<Parameters>(written.clone()).unwrap(), full);
    for (place, key) in [("/nearest", "kk"), ("/decisions/a", "when")] {
        let mut wrong = written.clone();
        wrong.pointer_mut(place).unwrap()[key] = json!(1);
        assert!(serde_json::from_value::<Parameters>(wrong).is_err(), "{place}");
    }
}

#[test]
fn a_bias_learnt_with_demos_goes_when_other_demos_come() {
    let base = Parameters { label_bias: [("x".into(), 1.0)].into(), ..Parameters::default() };
    let none = Parameters { demos: Some(Vec::new()), ..Parameters::default() };
    assert!(none.or(&base).label_bias.is_empty());
    assert!(nearest(1, Likeness::Lexical).or(&base).label_bias.is_empty());
    assert_eq!(Parameters::default().or(&base), base);
}

/// Vectors of three letters' counts; counts the texts that it was given.
#[derive(Clone, Default)]
struct Letters(Arc<AtomicUsize>);

impl Embedder for Letters {
    async fn embed(&self, texts: &[String]) -> Result<Embeddings, LmError> {
        self.0.fetch_add(texts.len(), Ordering::Relaxed);
        let count = |text: &String, letter: char| text.matches(letter).count() as f32;
        let vectors = texts.iter().map(|t| ['p', 'c', 't'].map(|l| count(t, l)).to_vec()).collect();
        Ok(Embeddings::new(vectors, Usage::one_call()))
    }
}

#[tokio::test]
async fn an_embedding_model_is_asked_once_for_the_pool_and_once_a_call() {
    let (lm, letters) = (answering(), Letters::default());
    let named = Likeness::Embedder("letters".into());
    let program = Predict::of("question -> answer").unwrap().with_parameters(nearest(1, named));
    let cx = context(&lm).with_embedder("letters", EmbedderHandle::new(letters.clone()));
    let ask = |cx: Context, question: &'static str| {
        let program = &program;
        async move { program.call(&cx, record! { question: question }).await.unwrap() }
    };
    let (first, _) = futures::join!(ask(cx.clone(), "ccc"), ask(cx.clone(), "pp"));
    // A candidate over the same pool shares the vectors.
    let other = Parameters { instructions: Some("Other.".into()), ..Parameters::default() };
    let mut state = ProgramState::default();
    state.insert("predict", other);
    ask(cx.with_candidate(Arc::new(state)), "tt").await;
    assert_eq!(letters.0.load(Ordering::Relaxed), 4 + 3);
    let shown: Vec<String> = lm.requests().iter().flat_map(shown).collect();
    assert_eq!(shown, ["a fast red car", "one green apple", "the slow train"]);
    // The pool, the question and the LM.
    assert_eq!((first.usage.calls, cx.meter().usage().calls), (3, 7));
    let poor = cx.with_limits(Limits { calls: Some(1), ..Limits::default() });
    let error = program.call(&poor, record! { question: "c" }).await.unwrap_err();
    assert!(matches!(error, Error::Budget(_)), "{error}");
}

#[tokio::test]
async fn an_unknown_embedding_model_is_an_error_that_says_what_to_do() {
    let lm = answering();
    let named = Likeness::Embedder("letters".into());
    let program = Predict::of("question -> answer").unwrap().with_parameters(nearest(1, named));
    let error = program.call(&context(&lm), record! { question: "c" }).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("`letters`") && text.contains("with_embedder"), "{text}");
    assert_eq!(lm.calls(), 0);
}

fn decided(field: &str, from: EvidenceSource, rule: Rule) -> Parameters {
    let decisions = [(field.into(), Decision { from, rule })].into();
    Parameters { decisions, ..Parameters::default() }
}

/// Says `false` at a probability of 0.6.
fn shy() -> ScriptedLm {
    let reply = |_: &LmRequest| {
        let why: &[(&str, f32)] = &[("It", 0.9), ("true", 0.1)];
        Reply::tokens(&[
            ("[[ ## why ## ]]\n", &[]),
            ("It", why),
            (" looks so.\n\n[[ ## ok ## ]]\n", &[]),
            ("false", &[("false", 0.6), ("true", 0.3), ("tr", 0.1)]),
        ])
    };
    let able = Capabilities::none().with_logprobs(true);
    ScriptedLm::new(reply).with_capabilities(able).recording()
}

#[tokio::test]
async fn a_bool_is_decided_by_log_probabilities_and_the_evidence_is_kept() {
    let lm = shy();
    let rule = Rule::Threshold(0.35);
    let program = Predict::of("q -> why, ok: bool").unwrap().with_parameters(decided(
        "ok",
        EvidenceSource::Logprobs,
        rule,
    ));
    let trace = TraceRecorder::new();
    let cx = context(&lm).with_trace(trace.clone());
    let prediction = program.call(&cx, record! { q: "?" }).await.unwrap();
    assert_eq!(prediction["ok"], true);
    assert_eq!(prediction.completions[0].fields["ok"], true);
    assert!(prediction.flags().is_empty());
    let evidence = &prediction.evidence["ok"];
    assert_eq!(evidence.said, false);
    assert!((evidence.labels["true"] - 0.4).abs() < 1e-5, "{evidence:?}");
    assert_eq!(lm.requests()[0].settings.logprobs, Some(20));
    // Enough to decide anew, also when read from a file.
    let step = &trace.steps()[0];
    assert_eq!((&step.outputs["ok"], &step.evidence), (&true.into(), &prediction.evidence));
    let read: teleprompt::TraceStep = serde_json::from_value(json!(step)).unwrap();
    assert_eq!(&read, step);
}

#[tokio::test]
async fn the_json_form_is_read_as_well() {
    let lm = ScriptedLm::new(|_: &LmRequest| {
        Reply::tokens(&[
            ("{\"kind\":", &[]),
            (" \"", &[(" \"", 1.0)]),
            ("bill", &[("bill", 0.5), ("tech", 0.4), ("te", 0.1)]),
            ("ing\"}", &[]),
        ])
    })
    .with_capabilities(Capabilities::none().with_logprobs(true));
    let rule = Rule::Weights([("technical".into(), 1.5)].into());
    let program = Predict::of(r#"q -> kind: enum["billing", "technical"]"#)
        .unwrap()
        .with_parameters(decided("kind", EvidenceSource::Logprobs, rule));
    let cx = context(&lm).with_adapter(Arc::new(JsonAdapter));
    let prediction = program.call(&cx, record! { q: "?" }).await.unwrap();
    assert_eq!(
        (&prediction["kind"], &prediction.evidence["kind"].said),
        (&"technical".into(), &"billing".into())
    );
}

#[tokio::test]
async fn without_evidence_the_lms_value_stands_with_a_flag() {
    // It claims nothing, so it is not asked for log-probabilities; and one that claims them gives none.
    for able in [Capabilities::none(), Capabilities::none().with_logprobs(true)] {
        let lm = ScriptedLm::replies(["[[ ## ok ## ]]\nfalse"]).with_capabilities(able).recording();
        let rule = Rule::Threshold(0.0);
        let program = Predict::of("q -> ok: bool").unwrap().with_parameters(decided(
            "ok",
            EvidenceSource::Logprobs,
            rule,
        ));
        let prediction = program.call(&context(&lm), record! { q: "?" }).await.unwrap();
        assert_eq!(prediction["ok"], false);
        let flags: Vec<_> = prediction.flags().iter().map(|f| (&*f.field, f.repair)).collect();
        assert_eq!(flags, [("ok", Repair::NoEvidence)]);
        let nothing = Evidence { said: false.into(), labels: [].into() };
        assert_eq!(prediction.evidence["ok"], nothing);
        assert_eq!(lm.requests()[0].settings.logprobs.is_some(), able.logprobs);
    }
}

#[tokio::test]
async fn what_the_model_states_decides() {
    let cases = [
        ("ok: bool", "true", "0.4", Rule::Threshold(0.5), json!(false), 0),
        ("ok: bool", "true", "0.5", Rule::Threshold(0.5), json!(true), 0),
        ("ok: bool", "true", "7", Rule::Threshold(0.5), json!(true), 1),
        (r#"ok: enum["a", "b"]"#, "a", "0.4", Rule::Weights([].into()), json!("b"), 0),
        (r#"ok: enum["a", "b"]"#, "a", "0.5", Rule::Weights([].into()), json!("a"), 0),
        // The expected level is 0.8 * 2 + 0.1 * 1 from 1.
        ("ok: int(1..3)", "3", "0.8", Rule::Cuts(vec![0.5, 1.7]), json!(3), 0),
        ("ok: int(1..3)", "3", "0.8", Rule::Cuts(vec![0.5, 1.71]), json!(2), 0),
    ];
    for (field, said, p, rule, expected, flags) in cases {
        let reply = format!("[[ ## ok ## ]]\n{said}\n\n[[ ## p ## ]]\n{p}");
        let lm = ScriptedLm::replies([reply]).recording();
        let from = EvidenceSource::Stated { field: "p".into() };
        let program = Predict::of(format!("q -> {field}, p: float").as_str())
            .unwrap()
            .with_parameters(decided("ok", from, rule));
        let prediction = program.call(&context(&lm), record! { q: "?" }).await.unwrap();
        assert_eq!(prediction["ok"], expected, "{field} {said} {p}");
        assert_eq!(prediction.flags().len(), flags, "{field} {said} {p}");
        assert_eq!(lm.requests()[0].settings.logprobs, None);
    }
}

/// The LM reports what it chose from, after the bias; that is what is decided on.
#[tokio::test]
async fn evidence_is_taken_after_the_label_bias() {
    let lm = ScriptedLm::new(|request: &LmRequest| {
        let bias = request.label_bias.as_ref().map_or(0.0, |b| b["no"]);
        let no = 0.2 * bias.exp();
        let (yes, no) = (0.8 / (0.8 + no), no / (0.8 + no));
        let said = if yes > no { "yes" } else { "no" };
        Reply::tokens(&[("[[ ## a ## ]]\n", &[]), (said, &[("yes", yes), ("no", no)])])
    })
    .with_capabilities(Capabilities::none().with_logprobs(true).with_label_bias(true));
    let label_bias = [("yes".into(), 0.0), ("no".into(), 8f32.ln())].into();
    let rule = Rule::Weights([].into());
    let parameters = Parameters { label_bias, ..decided("a", EvidenceSource::Logprobs, rule) };
    let program = Predict::of(r#"q -> a: enum["yes", "no"]"#).unwrap().with_parameters(parameters);
    let prediction = program.call(&context(&lm), record! { q: "?" }).await.unwrap();
    let evidence = &prediction.evidence["a"];
    assert_eq!((&evidence.said, &prediction["a"]), (&"no".into(), &"no".into()));
    assert!((evidence.labels["no"] - 1.6 / 2.4).abs() < 1e-4, "{evidence:?}");
}

#[tokio::test]
async fn who_streams_is_told_the_decided_value() {
    let lm = shy();
    let program = Predict::of("q -> why, ok: bool").unwrap().with_parameters(decided(
        "ok",
        EvidenceSource::Logprobs,
        Rule::Threshold(0.35),
    ));
    let cx = context(&lm);
    let streamed: Vec<_> = program.stream(&cx, record! { q: "?" }).collect().await;
    let mut told = streamed.iter().filter_map(|s| match s {
        Ok(Streamed::Event(Event::Field { field, value, .. })) if **field == *"ok" => Some(value),
        _ => None,
    });
    assert_eq!(told.next_back(), Some(&true.into()));
}

#[tokio::test]
async fn a_decision_that_does_not_fit_is_told_before_a_call() {
    let lm = shy();
    let cases = [
        ("okay", EvidenceSource::Logprobs, Rule::Threshold(0.5), "no output; did you mean `ok`?"),
        ("why", EvidenceSource::Logprobs, Rule::Threshold(0.5), "cannot be decided"),
        ("ok", EvidenceSource::Logprobs, Rule::even_cuts(2), "cuts are for"),
        (
            "ok",
            EvidenceSource::Stated { field: "why".into() },
            Rule::Threshold(0.5),
            "`why` must be a float",
        ),
    ];
    for (field, from, rule, part) in cases {
        let parameters = decided(field, from, rule);
        let program =
            Predict::of("q -> why, ok: bool").unwrap().with_parameters(parameters.clone());
        let error = program.call(&context(&lm), record! { q: "?" }).await.unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
        // Nor is it loaded.
        let mut saved = SavedProgram::of(&bind(&Predict::of("q -> why, ok: bool").unwrap()));
        saved.predictors.get_mut("predict").unwrap().parameters = parameters;
        let fresh = Predict::of("q -> why, ok: bool").unwrap();
        let error = saved.state_for(&bind(&fresh)).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(lm.calls(), 0);
}

#[test]
fn a_saved_pool_is_checked_like_demos() {
    let file = |answer: Value| {
        json!({"teleprompt": 1, "program": {"module": "predict"}, "predictors": {"predict": {
            "signature": "question -> answer: int",
            "parameters": {"nearest": {"k": 1, "pool": [{"question": "1+1?", "answer": answer}]}}
        }}})
        .to_string()
    };
    let load = |answer: Value| {
        let saved = SavedProgram::parse(&file(answer)).unwrap();
        saved.state_for(&bind(&Predict::of("question -> answer: int").unwrap()))
    };
    let state = load(json!("2")).unwrap();
    assert_eq!(state.get("predict").unwrap().nearest.as_ref().unwrap().pool[0]["answer"], 2);
    let error = load(json!("many")).unwrap_err().to_string();
    assert!(error.contains("predict: nearest.pool[0]: `answer`"), "{error}");
}

/// The whole way: record runs, fit on what was recorded, lay the rule over the program.
#[tokio::test]
async fn a_rule_is_fitted_on_recorded_traces_without_a_call() {
    // It knows, but is shy: the probability of true is a tenth of the number.
    let lm = ScriptedLm::new(|request: &LmRequest| {
        let question = request.messages.last().unwrap().content.to_string();
        let n: f32 = question.lines().last().unwrap().parse().unwrap();
        let p = n / 100.0;
        Reply::tokens(&[("[[ ## big ## ]]\n", &[]), ("false", &[("false", 1.0 - p), ("true", p)])])
    })
    .with_capabilities(Capabilities::none().with_logprobs(true));
    let signature: Signature = "n: int -> big: bool".parse().unwrap();
    let labels = Labels::of(&signature.outputs()[0].ty).unwrap();
    let start = default_rule(&labels);
    let program = Predict::of(signature).unwrap().with_parameters(decided(
        "big",
        EvidenceSource::Logprobs,
        start.clone(),
    ));
    let trace = TraceRecorder::new();
    let cx = context(&lm).with_trace(trace.clone());
    for n in 1..=30 {
        program.call(&cx, record! { n: n }).await.unwrap();
    }
    let calls = lm.calls();
    let rows: Vec<Evidence> = trace.steps().iter().map(|s| s.evidence["big"].clone()).collect();
    let right = |row: usize, value: &Value| f64::from(*value == (row >= 15));
    let fitted = fit(&labels, &rows, &right, &start, 7).unwrap();
    assert_eq!(lm.calls(), calls);
    assert!(fitted.accepted, "{fitted:?}");
    assert_eq!((fitted.before, fitted.after), (0.5, 1.0));
    let mut state = ProgramState::default();
    state.insert("predict", decided("big", EvidenceSource::Logprobs, fitted.rule));
    let tuned = Tuned::new(program, state);
    for (n, big) in [(3, false), (29, true)] {
        assert_eq!(tuned.call(&cx, record! { n: n }).await.unwrap()["big"], big);
    }
}
