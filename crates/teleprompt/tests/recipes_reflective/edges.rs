//! Too little data, metrics that say nothing or fail, LMs that fail: no crash, an honest report.

use teleprompt::optimize::Optimizer;
use teleprompt::optimize::teleprompter::{Avatar, Gepa, Proposals, Simba};
use teleprompt::prelude::*;

use crate::gains::recipes;
use crate::world::{
    Says, World, Writer, compiled, compiled_with, compiler, data, metric, pair, pair_metric,
    program,
};

#[tokio::test]
async fn any_number_of_train_examples_will_do() {
    for recipe in recipes() {
        for train in [0, 1, 2, 5] {
            let world = World::new(Writer::Collects);
            let report = compiled_with(recipe.clone(), Says::Truth, &world, train, 3).await;
            let name = recipe.name();
            assert_eq!(report.improved, report.winner.score > 0.0, "{name} of {train}");
            if train == 0 {
                assert!(!report.improved && world.questions() == 0, "{name}");
            }
        }
    }
}

#[tokio::test]
async fn all_splits_may_be_empty() {
    for recipe in recipes() {
        let dir = tempfile::tempdir().unwrap();
        let world = World::new(Writer::Collects);
        let nothing = data("train", 0);
        let compiler = compiler(recipe, metric(Says::Truth), &dir).val(&nothing).test(&nothing);
        let done = compiler.compile(&world.context(), &program(), &nothing).await.unwrap();
        assert_eq!(world.calls(), 0);
        assert!(!done.report.improved);
    }
}

#[tokio::test]
async fn a_metric_that_is_always_0_or_fails_gives_the_program_as_written() {
    let zero = |_: &Example, _: &Prediction| 0.0;
    let nan = |_: &Example, _: &Prediction| f64::NAN;
    for recipe in recipes() {
        for broken in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let world = World::new(Writer::Collects);
            let (cx, train) = (world.context(), data("train", 24));
            let done = match broken {
                false => {
                    compiler(recipe.clone(), zero, &dir).compile(&cx, &program(), &train).await
                }
                true => compiler(recipe.clone(), nan, &dir).compile(&cx, &program(), &train).await,
            };
            let report = done.unwrap().report;
            assert!(!report.improved, "{}", recipe.name());
            assert_eq!(report.winner.score, 0.0);
        }
    }
}

#[tokio::test]
async fn an_lm_that_fails_one_call_in_three_is_no_reason_to_give_up() {
    for recipe in recipes() {
        let name = recipe.name();
        let mut world = World::new(Writer::Collects);
        world.fails_one_in = Some(3);
        let report = compiled(recipe.clone(), Says::Truth, &world).await;
        assert!(report.winner.failed > 0, "{name}");
        assert!(report.winner.score > 0.2, "{name}: {report}");
        let said = report.notes.iter().any(|note| note.contains("overloaded"));
        assert!(said, "{name} tells of questions that failed: {:?}", report.notes);
    }
}

#[tokio::test]
async fn an_lm_that_never_answers_in_form_gives_an_honest_report() {
    for recipe in recipes() {
        let mut world = World::new(Writer::Collects);
        world.garbles = true;
        let report = compiled(recipe.clone(), Says::Truth, &world).await;
        assert!(!report.improved, "{}", recipe.name());
        assert_eq!(report.baseline.failed, 24);
        assert_eq!(report.usage.calls, world.calls());
    }
}

#[tokio::test]
async fn settings_of_zero_are_no_crash() {
    let world = World::new(Writer::Collects);
    let proposals = Proposals { count: 0, ..Proposals::default() };
    compiled(Gepa { minibatch_size: 0, proposals, ..Gepa::default() }, Says::Truth, &world).await;
    let simba = Simba { bsize: 0, num_candidates: 0, max_demos: 0, ..Simba::default() };
    compiled(simba, Says::Truth, &world).await;
    let avatar = Avatar { max_positive_inputs: 0, max_negative_inputs: 0, ..Avatar::default() };
    let report = compiled(avatar, Says::Truth, &world).await;
    assert!(!report.improved);
}

#[tokio::test]
async fn every_recipe_works_on_programs_of_several_steps() {
    for recipe in recipes() {
        let dir = tempfile::tempdir().unwrap();
        let world = World::new(Writer::Collects);
        let compiler = compiler(recipe.clone(), pair_metric, &dir);
        let train = data("train", 24);
        let done = compiler.compile(&world.context(), &pair(), &train).await.unwrap();
        let report = done.report;
        assert!(report.winner.score > 0.4, "{}: {report}", recipe.name());
        assert_eq!(report.usage.calls, world.calls());
    }
}

#[test]
fn settings_are_read_with_defaults_and_unknown_ones_are_refused() {
    let gepa: Gepa = serde_json::from_str(
        r#"{"budget": {"max_metric_calls": 9}, "candidate_selection": "top_k_pareto",
            "proposals": {"count": 3, "parents": "same"}, "validation": "wilcoxon"}"#,
    )
    .unwrap();
    assert_eq!(gepa.proposals.count, 3);
    assert_eq!(gepa.minibatch_size, 3);
    let text = serde_json::to_string(&gepa).unwrap();
    assert_eq!(serde_json::from_str::<Gepa>(&text).unwrap(), gepa);
    for unknown in [r#"{"k": 1}"#, r#"{"budget": "tiny"}"#, r#"{"proposals": {"n": 1}}"#] {
        assert!(serde_json::from_str::<Gepa>(unknown).is_err(), "{unknown}");
    }
    assert!(serde_json::from_str::<Simba>(r#"{"k": 1}"#).is_err());
    assert!(serde_json::from_str::<Avatar>(r#"{"k": 1}"#).is_err());
    let few: Simba = serde_json::from_str(r#"{"max_steps": 2}"#).unwrap();
    assert_eq!((few.max_steps, few.bsize), (2, 32));
}
