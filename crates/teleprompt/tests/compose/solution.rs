use std::sync::Arc;

use serde_json::json;
use teleprompt::optimize::compose::{Solution, Vote, run_solution};
use teleprompt::prelude::*;
use teleprompt::saved::SavedProgram;
use teleprompt::{LmErrorKind, LmRequest, Parameters, ProgramState, TraceRecorder};
use teleprompt_testkit::scripted::{Reply, ScriptedLm};

use super::support::{
    Sum, SumInput, TwoSteps, ask, context, instructed, paths, qa, section, text, told,
};

/// Members that say who they are in their prompt.
fn members(path: &str, names: &[&str]) -> Vec<Arc<ProgramState>> {
    names.iter().map(|name| Arc::new(instructed(path, &format!("I am {name}.")))).collect()
}

fn three(path: &str) -> Solution {
    Solution::ensemble(members(path, &["one", "two", "three"]), Vote::majority("answer")).unwrap()
}

/// Answers by who asks.
fn script(replies: [(&'static str, &'static str); 3]) -> ScriptedLm {
    ScriptedLm::new(move |request: &LmRequest| {
        let prompt = text(request);
        let found = replies.iter().find(|(name, _)| prompt.contains(&format!("I am {name}.")));
        match found.map(|(_, reply)| *reply) {
            Some("!") => Reply::error(LmErrorKind::Server),
            Some(reply) => Reply::Text(reply.to_owned()),
            None => Reply::Text(section("answer", "nobody")),
        }
    })
    .recording()
}

const ROME: &str = "[[ ## answer ## ]]\nRome";
const PARIS: &str = "[[ ## answer ## ]]\nParis";

#[test]
fn one_member_is_written_as_its_state_and_several_with_their_vote() {
    let state = instructed("predict", "Be brief.");
    let one = Solution::single(state.clone());
    assert_eq!(serde_json::to_string(&one).unwrap(), serde_json::to_string(&state).unwrap());
    assert_eq!(one.hash(), state.hash());
    let several = three("predict");
    let json = serde_json::to_value(&several).unwrap();
    assert_eq!(json["vote"], json!({"majority": {"field": "answer"}}));
    assert_eq!(json["ensemble"][2], json!({"predict": {"instructions": "I am three."}}));
    for solution in [one, several, Solution::default()] {
        let text = serde_json::to_string(&solution).unwrap();
        assert_eq!(serde_json::from_str::<Solution>(&text).unwrap(), solution);
    }
}

#[test]
fn a_predictor_may_be_called_ensemble() {
    let state = instructed("ensemble", "Be brief.");
    let text = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<Solution>(&text).unwrap(), Solution::single(state));
    for bad in [r#"{"ensemble": [], "vote": "first"}"#, r#"{"ensemble": [{}]}"#, "3"] {
        assert!(serde_json::from_str::<Solution>(bad).is_err(), "{bad}");
    }
}

#[test]
fn hashes_tell_members_their_order_and_the_vote() {
    let make = |names: &[&str], vote| Solution::ensemble(members("p", names), vote).unwrap();
    let all = [
        make(&["a", "b"], Vote::First),
        make(&["b", "a"], Vote::First),
        make(&["a", "b"], Vote::default()),
        make(&["a"], Vote::First),
    ];
    let hashes: std::collections::BTreeSet<String> = all.iter().map(Solution::hash).collect();
    assert_eq!(hashes.len(), 4);
    assert_eq!(make(&["a", "b"], Vote::First).hash(), all[0].hash());
    assert!(all[3].is_single());
    assert_eq!(all[3], Solution::single(members("p", &["a"]).remove(0)));
    assert!(matches!(Solution::ensemble([], Vote::First), Err(Error::Config(_))));
}

#[tokio::test]
async fn a_tuned_program_lets_its_members_vote() {
    let tuned = Tuned::of(qa(), three("predict"));
    assert_eq!(paths(&tuned), ["predict"]);
    let state = Program::new(tuned.clone()).state();
    assert_eq!(state, instructed("predict", "I am one."));
    assert_eq!(**tuned.state(), state);
    let lm = script([("one", ROME), ("two", PARIS), ("three", PARIS)]);
    let trace = TraceRecorder::new();
    let cx = context(&lm).with_trace(trace.clone());
    let prediction = tuned.call(&cx, ask()).await.unwrap();
    assert_eq!((&prediction["answer"], prediction.usage.calls), (&"Paris".into(), 3));
    assert_eq!(prediction.usage, cx.meter().usage());
    assert_eq!(told(&trace), ["predict Paris"]);
    let lm = script([("one", ROME), ("two", "!"), ("three", PARIS)]);
    assert_eq!(tuned.call(&context(&lm), ask()).await.unwrap()["answer"], "Rome");
    let lm = script([("one", "!"), ("two", "!"), ("three", "!")]);
    assert!(matches!(tuned.call(&context(&lm), ask()).await, Err(Error::Lm(_))));
}

#[tokio::test]
async fn a_typed_program_keeps_its_types_when_it_votes() {
    let solution = Solution::ensemble(
        members("predict", &["one", "two", "three"]),
        Vote::Median { field: Some("sum".into()) },
    );
    let tuned = Tuned::of(Predict::<Sum>::new(), solution.unwrap());
    let lm = script([
        ("one", "[[ ## sum ## ]]\n1"),
        ("two", "[[ ## sum ## ]]\n9"),
        ("three", "[[ ## sum ## ]]\n5"),
    ]);
    let prediction = tuned.call(&context(&lm), SumInput { a: 2, b: 3 }).await.unwrap();
    assert_eq!(prediction.sum, 5);
    assert_eq!(prediction.completions[0].fields["sum"], 5);
}

#[derive(Clone, Module)]
struct Larger {
    part: Tuned<Predict>,
}

#[tokio::test]
async fn members_stay_in_force_in_a_part_of_a_larger_program_below_a_candidate() {
    let larger = Larger { part: Tuned::of(qa(), three("predict")) };
    assert_eq!(paths(&larger), ["part"]);
    let lm = script([("one", ROME), ("two", PARIS), ("three", PARIS)]);
    let cx = context(&lm);
    assert_eq!(larger.part.call(&cx, ask()).await.unwrap()["answer"], "Paris");
    let cx = cx.with_candidate(Arc::new(instructed("part", "I am one.")));
    assert_eq!(larger.part.call(&cx, ask()).await.unwrap()["answer"], "Rome");
}

#[tokio::test]
async fn a_solution_runs_as_a_candidate() {
    let program = Program::new(qa().with_instructions("I am nobody."));
    let lm = script([("one", ROME), ("two", PARIS), ("three", PARIS)]);
    let cx = context(&lm);
    let run = |solution: Solution| {
        let (cx, program) = (cx.clone(), program.clone());
        async move { run_solution(&cx, &program, &solution, ask()).await.unwrap() }
    };
    assert_eq!(run(Solution::default()).await["answer"], "nobody");
    let single = run(Solution::single(members("predict", &["one"]).remove(0))).await;
    assert_eq!((&single["answer"], single.usage.calls), (&"Rome".into(), 1));
    let several = run(three("predict")).await;
    assert_eq!((&several["answer"], several.usage.calls), (&"Paris".into(), 3));
}

/// An ensemble over two predictors, with demos in one member only.
fn two_members() -> Solution {
    let mut rich = instructed("query", "Search.");
    let demos = vec![record! { query: "q", answer: "a" }];
    rich.insert("answer", Parameters { demos: Some(demos), ..Parameters::default() });
    let poor = instructed("answer", "Answer.");
    Solution::ensemble([Arc::new(rich), Arc::new(poor)], Vote::First).unwrap()
}

#[test]
fn an_ensemble_that_is_saved_loads_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("two.json");
    let tuned = Tuned::of(TwoSteps::new(), two_members());
    tuned.save(&path).unwrap();
    let loaded = Tuned::load(TwoSteps::new(), &path).unwrap();
    assert_eq!(loaded.solution().vote(), &Vote::First);
    // What is in force is saved, so that it holds whatever the program as written becomes.
    let [rich, poor] = loaded.solution().members() else { panic!("two members") };
    assert_eq!(rich.get("query").unwrap().instructions.as_deref(), Some("Search."));
    assert_eq!(rich.get("answer").unwrap().demos().len(), 1);
    assert_eq!(poor.get("query").unwrap().instructions.as_deref(), Some("Write a query."));
    assert_eq!(poor.get("answer").unwrap().instructions.as_deref(), Some("Answer."));
    assert!(poor.get("answer").unwrap().demos().is_empty());
    let again = dir.path().join("again.json");
    loaded.save(&again).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(&again).unwrap());
}

#[test]
fn every_member_is_checked_when_it_is_loaded() {
    let saved = serde_json::to_string(&Tuned::of(TwoSteps::new(), two_members()).saved()).unwrap();
    let other = r#""others":[{"#;
    let cases = [
        (saved.replace("\"vote\":\"first\"", "\"vote\":\"last\""), "`ensemble`"),
        (saved.replace(other, r#""othesr":[{"#), "`ensemble`"),
        (saved.replace(other, r#""others":[{"qeury":{},"#), "did you mean `query`?"),
        (
            saved.replace(r#""instructions":"Answer.""#, r#""demos":[{"query":"q","anwser":"a"}]"#),
            "ensemble.others[0]: answer: demos[0]: there is no field `anwser`",
        ),
        (saved.replace(other, r#""others":[{},{"#), "ensemble.others[0]: the saved program has no"),
    ];
    let load = |text: &str| {
        let program = TwoSteps::new();
        let saved = SavedProgram::parse(text).map_err(Error::State)?;
        saved.solution_for(&teleprompt::bind(&program))
    };
    assert_eq!(load(&saved).unwrap().members().len(), 2);
    for (text, expected) in cases {
        assert_ne!(text, saved, "{expected}");
        let error = load(&text).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[tokio::test]
async fn the_command_builds_a_saved_ensemble_again() {
    let tuned = Tuned::of(qa(), three("predict"));
    let saved = tuned.saved();
    let text = serde_json::to_string(&saved).unwrap();
    let program = SavedProgram::parse(&text).unwrap().program(None).unwrap();
    let lm = script([("one", ROME), ("two", PARIS), ("three", PARIS)]);
    assert_eq!(program.call(&context(&lm), ask()).await.unwrap()["answer"], "Paris");
    // Saved as a part of a larger program, its predictor has another path there.
    let text = text.replace(r#""predict":"#, r#""part":"#);
    let program = SavedProgram::parse(&text).unwrap().program(None).unwrap();
    assert_eq!(program.call(&context(&lm), ask()).await.unwrap()["answer"], "Paris");
}

#[test]
fn what_has_one_member_is_saved_as_before() {
    let tuned = Tuned::new(qa(), instructed("predict", "Be brief."));
    let json = serde_json::to_value(tuned.saved()).unwrap();
    let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["teleprompt", "predictors"]);
}
