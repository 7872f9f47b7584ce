//! Which demonstrations a call shows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use teleprompt::prelude::*;
use teleprompt::saved::SavedProgram;
use teleprompt::{
    Embedder, EmbedderHandle, Embeddings, Likeness, Limits, LmError, LmRequest, Nearest,
    Parameters, ProgramState, Role, Usage, bind,
};
use teleprompt_testkit::scripted::ScriptedLm;

use super::context;

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

pub fn nearest(k: usize, by: Likeness) -> Parameters {
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
