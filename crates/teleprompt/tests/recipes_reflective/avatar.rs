//! What each option of AvatarOptimizer changes.

use teleprompt::optimize::Report;
use teleprompt::optimize::teleprompter::Avatar;

use crate::world::{Says, World, Writer, compiler, data, metric, pair, pair_metric, program};

/// The report, and the number of good and bad runs that each comparison was asked about.
async fn compared(recipe: Avatar, world: &World) -> (Report, Vec<(usize, usize)>) {
    let dir = tempfile::tempdir().unwrap();
    let compiler = compiler(recipe, metric(Says::Truth), &dir);
    let train = data("train", 24);
    let done = compiler.compile(&world.context(), &program(), &train).await.unwrap();
    let journal = std::fs::read_to_string(dir.path().join("trial/journal.jsonl")).unwrap();
    let lines = journal.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
    let asked = lines.filter(|l| l["what"] == "findings on good and bad runs");
    let counts = asked.filter_map(|line| {
        let prompt = line["asked"]["prompt"].as_array()?.last()?[1].as_str()?.to_owned();
        let (good, bad) = prompt.split_once("[[ ## bad_runs ## ]]")?;
        Some((good.matches("\nRun ").count(), bad.matches("\nRun ").count()))
    });
    (done.report, counts.collect())
}

#[tokio::test]
async fn as_many_good_and_bad_runs_are_shown_as_told() {
    let recipe = |max_positive_inputs, max_negative_inputs| Avatar {
        max_positive_inputs,
        max_negative_inputs,
        max_iters: 6,
        ..Avatar::default()
    };
    let (_, counts) = compared(recipe(2, 1), &World::new(Writer::Collects)).await;
    assert_eq!(counts[0], (0, 1), "nothing is right as written");
    assert_eq!(counts[1], (2, 1));
    let (_, counts) = compared(recipe(10, 4), &World::new(Writer::Collects)).await;
    assert_eq!(counts[0], (0, 4));
    assert!(counts.len() > 1 && counts[1].0 > 2);
}

#[tokio::test]
async fn what_is_good_and_bad_is_told_by_the_bounds() {
    let few = Avatar { max_negative_inputs: 2, ..Avatar::default() };
    let (_, counts) = compared(few.clone(), &World::new(Writer::Collects)).await;
    assert!(counts[1].0 > 0);
    let unreached = Avatar { upper_bound: 2.0, ..few.clone() };
    let (_, counts) = compared(unreached, &World::new(Writer::Collects)).await;
    assert!(counts.len() > 1 && counts.iter().all(|(good, _)| *good == 0), "{counts:?}");
    let (report, counts) =
        compared(Avatar { lower_bound: -1.0, ..few }, &World::new(Writer::Collects)).await;
    assert!(counts.is_empty());
    assert!(report.notes.iter().any(|n| n.contains("nothing is left to contrast")));
}

#[tokio::test]
async fn iterations_are_as_many_as_told_and_end_when_nothing_is_bad() {
    let recipe = |max_iters| Avatar { max_iters, max_negative_inputs: 1, ..Avatar::default() };
    let (report, counts) = compared(recipe(2), &World::new(Writer::Collects)).await;
    assert_eq!(counts.len(), 2);
    assert!(report.winner.score < 0.5, "two of six rules");
    let (report, counts) = compared(recipe(12), &World::new(Writer::Collects)).await;
    assert!((6..12).contains(&counts.len()));
    assert_eq!(report.winner.score, 1.0);
}

#[tokio::test]
async fn a_rewrite_that_is_no_better_on_the_train_examples_is_not_validated() {
    let (report, counts) = compared(Avatar::default(), &World::new(Writer::Babbles)).await;
    assert_eq!((counts.len(), report.candidates.len()), (10, 11));
    for rewrite in &report.candidates[1..] {
        assert_eq!((rewrite.train_scores.len(), rewrite.scores.len()), (24, 0));
        assert!(rewrite.why.contains("not above 0.0000"), "{rewrite:?}");
    }
}

#[tokio::test]
async fn an_lm_with_little_room_is_shown_fewer_runs() {
    let mut world = World::new(Writer::Collects);
    world.room = 900;
    let (report, counts) = compared(Avatar::default(), &world).await;
    let bad: Vec<usize> = counts.iter().map(|(_, bad)| *bad).collect();
    assert!(bad.starts_with(&[10, 5]), "the first is refused: {bad:?}");
    assert!(report.winner.score > 0.4, "{report}");
}

#[tokio::test]
async fn avatar_rewrites_only_the_predictor_that_is_named_and_refuses_one_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(Writer::Collects);
    let recipe = Avatar { predictor: Some("second".into()), max_iters: 3, ..Avatar::default() };
    let only = compiler(recipe, pair_metric, &dir);
    let done = only.compile(&world.context(), &pair(), &data("train", 24)).await.unwrap();
    assert_eq!(done.report.changes.len(), 1);
    assert_eq!(done.report.changes[0].predictor, "second");
    let dir = tempfile::tempdir().unwrap();
    let recipe = Avatar { predictor: Some("labels".into()), ..Avatar::default() };
    let compiler = compiler(recipe, metric(Says::Truth), &dir);
    let failed = compiler.compile(&world.context(), &program(), &data("train", 24)).await;
    let message = failed.err().unwrap().to_string();
    assert!(message.contains("`labels`") && message.contains("predict"), "{message}");
}
