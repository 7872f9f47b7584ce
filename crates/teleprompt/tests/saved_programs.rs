//! Saving and loading: round trips, checks, DSPy's files.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::path::PathBuf;
use std::sync::Arc;

use teleprompt::prelude::*;
use teleprompt::saved::SavedProgram;
use teleprompt::{Parameters, ProgramState};

fn state() -> ProgramState {
    let mut state = ProgramState::default();
    let demos = Some(vec![record! { question: "1+1?", answer: 2 }]);
    let instructions = Some(Arc::from("Count."));
    state.insert("predict", Parameters { demos, instructions, ..Parameters::default() });
    state
}

fn math() -> Predict {
    Predict::of("question -> answer: int").unwrap()
}

fn write(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.json");
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

#[test]
fn what_is_saved_is_loaded_and_readable() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/math.json");
    let tuned = Tuned::new(math(), state());
    tuned.save(&path).unwrap();
    assert_eq!(Tuned::load(math(), &path).unwrap().state(), tuned.state());
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(r#""signature": "question -> answer: int""#), "{text}");
    assert!(text.contains(r#""teleprompt": 1"#), "{text}");
    tuned.save(&path).unwrap();
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

/// (what is wrong with the file, what the error says)
#[test]
fn what_does_not_fit_is_told_with_its_place() {
    let good = r#"{"teleprompt": 1, "predictors": {"predict": {"signature": "question -> answer: int",
        "parameters": {"demos": [{"question": "1+1?", "answer": 2}]}}}}"#;
    let cases = [
        (good.replace(": 1, \"pred", ": 2, \"pred"), "newer version"),
        (
            good.replace("\"predict\"", "\"predct\""),
            "no predictor `predct`; did you mean `predict`?",
        ),
        (good.replace("answer: int", "answer: str"), "predict: the signature is another one"),
        (good.replace("\"answer\": 2", "\"answer\": \"many\""), "predict: demos[0]: `answer`"),
        (good.replace("\"answer\": 2", "\"anwser\": 2"), "did you mean `answer`?"),
        (good.replace("\"demos\"", "\"demoz\""), "predictor `predict`"),
        (good.replace("\"predictors\"", "\"parts\""), "has no `predictors`"),
        ("[]".into(), "is no saved program"),
        ("{}".into(), "is no saved program"),
        ("{".into(), "is no JSON"),
    ];
    for (text, expected) in cases {
        let (_dir, path) = write(&text);
        let error = Tuned::load(math(), &path).err().expect(expected).to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let (_dir, path) = write(good);
    assert!(Tuned::load(math(), &path).is_ok());
}

#[derive(Clone, Module)]
struct TwoSteps {
    query: Predict,
    answer: ChainOfThought,
}

impl Module for TwoSteps {
    type Input = Record;
    type Output = Record;
    async fn forward(&self, cx: &Context, input: Record) -> Result<Prediction> {
        let query = self.query.call(cx, input).await?;
        self.answer.call(cx, query.output).await
    }
}

fn two_steps() -> TwoSteps {
    TwoSteps {
        query: Predict::of("question -> search_query").unwrap(),
        answer: ChainOfThought::of("search_query -> answer").unwrap(),
    }
}

const DSPY_BARE: &str = r#"{
  "traces": [], "train": [],
  "demos": [
    {"context": ["a"], "question": "q?", "answer": "b"},
    {"augmented": true, "question": "q2", "context": ["c"], "answer": "c"}
  ],
  "signature": {
    "instructions": "Answer briefly.",
    "fields": [
      {"prefix": "Context:", "description": "passages"},
      {"prefix": "Question:", "description": "${question}"},
      {"prefix": "Answer:", "description": "short"}
    ]
  },
  "lm": {"_dspy_lm_class": "dspy.clients.lm.LM", "model": "openai/gpt-4o-mini", "api_base": "http://x",
         "temperature": 0.5, "max_tokens": 500, "headers": {"Authorization": "secret"}},
  "metadata": {"dependency_versions": {"python": "3.11", "dspy": "3.3.1", "cloudpickle": "3.1"}}
}"#;

#[test]
fn a_bare_predict_that_dspy_saved_loads_with_a_signature() {
    let (_dir, path) = write(DSPY_BARE);
    let program = Predict::of("context: list[str], question -> answer").unwrap();
    let loaded = Tuned::load(program, &path).unwrap();
    let parameters = loaded.state().get("predict").unwrap();
    assert_eq!(parameters.instructions.as_deref(), Some("Answer briefly."));
    assert_eq!(&*parameters.descriptions["context"], "passages");
    assert!(!parameters.descriptions.contains_key("question"));
    assert_eq!(parameters.demos().len(), 2);
    assert!(!parameters.demos()[1].contains("augmented"));
    assert_eq!(parameters.settings.temperature, Some(0.5));
    assert_eq!(parameters.lm, None, "a file never chooses where calls go");
    let text = serde_json::to_string(&**loaded.state()).unwrap();
    assert!(!text.contains("secret") && !text.contains("http://x"), "{text}");
}

#[test]
fn without_a_signature_names_come_from_prefixes_and_demos() {
    let saved = SavedProgram::parse(DSPY_BARE).unwrap();
    let interface = saved.program(None).unwrap().interface().unwrap();
    assert_eq!(
        interface.with_instructions("").to_string(),
        "context: list[str] \"passages\", question -> answer \"short\""
    );
    let given = "context: list[str], question -> answer: enum[\"b\", \"c\"]".parse().unwrap();
    assert_eq!(saved.program(Some(&given)).unwrap().interface(), Some(given));
}

#[test]
fn a_nested_program_that_dspy_saved_loads_into_its_twin() {
    let predictor = |instructions: &str, fields: &str| {
        format!(
            r#"{{"traces": [], "train": [], "demos": [], "lm": null,
                "signature": {{"instructions": "{instructions}", "fields": [{fields}]}}}}"#
        )
    };
    let field = |prefix: &str| format!(r#"{{"prefix": "{prefix}", "description": ""}}"#);
    let query = predictor("Search.", &[field("Question:"), field("Search Query:")].join(","));
    let fields = [
        field("Search Query:"),
        field("Reasoning: Let's think step by step in order to"),
        field("Answer:"),
    ];
    let answer = predictor("Answer.", &fields.join(","));
    let text = format!(r#"{{"query": {query}, "answer.predict": {answer}, "metadata": {{}}}}"#);
    let (_dir, path) = write(&text);
    let loaded = Tuned::load(two_steps(), &path).unwrap();
    let answer = loaded.state().get("answer").unwrap();
    assert_eq!(answer.instructions.as_deref(), Some("Answer."));
    // Its list is empty, so it shows none, whatever the twin is written with.
    assert_eq!(answer.demos, Some(Vec::new()));
    let wrong = text.replace("\"query\"", "\"qeury\"");
    let (_dir, path) = write(&wrong);
    let error = Tuned::load(two_steps(), &path).err().unwrap().to_string();
    assert!(error.contains("did you mean `query`?"), "{error}");
}

#[test]
fn dspy_fields_that_do_not_match_are_refused() {
    let (_dir, path) = write(DSPY_BARE);
    let fewer = Predict::of("question -> answer").unwrap();
    let error = Tuned::load(fewer, &path).err().unwrap().to_string();
    assert!(error.contains("DSPy saved 3 fields"), "{error}");
    let swapped = Predict::of("question, context: list[str] -> answer").unwrap();
    let error = Tuned::load(swapped, &path).err().unwrap().to_string();
    assert!(error.contains("DSPy saved `context` where"), "{error}");
}
