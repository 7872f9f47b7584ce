//! What each option of GEPA changes.

use std::collections::{BTreeMap, BTreeSet};

use teleprompt::optimize::Report;
use teleprompt::optimize::race::Race;
use teleprompt::optimize::search::{FrontKind, Selection};
use teleprompt::optimize::study::CandidateFacts;
use teleprompt::optimize::teleprompter::{
    Acceptance, ComponentSelection, Gepa, GepaBudget, Keep, MinibatchSampling, Parents, Proposals,
};

use crate::world::{Says, World, Writer, compiled, compiler, data, pair, pair_metric, rules_in};

fn gepa() -> Gepa {
    Gepa { budget: GepaBudget::MaxMetricCalls(400), ..Gepa::default() }
}

async fn report(recipe: Gepa, writer: Writer) -> Report {
    compiled(recipe, Says::Truth, &World::new(writer)).await
}

async fn pair_report(recipe: Gepa, writer: Writer) -> Report {
    let dir = tempfile::tempdir().unwrap();
    let compiler = compiler(recipe, pair_metric, &dir);
    let world = World::new(writer);
    compiler.compile(&world.context(), &pair(), &data("train", 24)).await.unwrap().report
}

/// Candidates that were run on all validation examples, with the start.
fn validated(report: &Report) -> Vec<&CandidateFacts> {
    report.candidates.iter().filter(|c| c.scores.len() == 18).collect()
}

fn parents(report: &Report) -> Vec<&str> {
    report.candidates.iter().filter_map(|c| c.parents.first().map(String::as_str)).collect()
}

/// For each candidate made, whether its parent was the best validated at that time.
fn from_the_best(report: &Report) -> Vec<bool> {
    let mean = |c: &CandidateFacts| c.scores.values().sum::<f64>() / c.scores.len() as f64;
    let mut best: Option<(&str, f64)> = None;
    let mut greedy = Vec::new();
    for candidate in &report.candidates {
        if let (Some(parent), Some((best, _))) = (candidate.parents.first(), best) {
            greedy.push(parent == best);
        }
        if candidate.scores.len() == 18 && best.is_none_or(|(_, b)| mean(candidate) > b) {
            best = Some((&candidate.candidate, mean(candidate)));
        }
    }
    greedy
}

#[tokio::test]
async fn candidate_selection_decides_who_is_a_parent() {
    let run = |candidate_selection| async move {
        let recipe = Gepa { candidate_selection, ..gepa() };
        from_the_best(&report(recipe, Writer::Forgets).await)
    };
    let greedy = run(Selection::CurrentBest).await;
    assert!(greedy.len() > 5 && greedy.iter().all(|best| *best), "{greedy:?}");
    let top = run(Selection::TopKPareto { k: 1 }).await;
    assert!(top.iter().all(|best| *best), "{top:?}");
    for selection in [Selection::Pareto, Selection::EpsilonGreedy { epsilon: 0.9 }] {
        let parents = run(selection).await;
        assert!(parents.iter().any(|best| !best), "{selection:?}: {parents:?}");
    }
}

#[tokio::test]
async fn component_selection_rewrites_one_in_turn_or_all() {
    let origins = |report: &Report| -> Vec<String> {
        let names = report.candidates.iter().filter(|c| c.origin.starts_with("reflection"));
        names.map(|c| c.origin.split_once(" on ").unwrap().1.to_owned()).collect()
    };
    let recipe = |component_selection| Gepa {
        component_selection,
        use_merge: false,
        candidate_selection: Selection::CurrentBest,
        ..gepa()
    };
    let robin = pair_report(recipe(ComponentSelection::RoundRobin), Writer::Collects).await;
    assert_eq!(origins(&robin)[..4], ["first", "second", "first", "second"]);
    let all = pair_report(recipe(ComponentSelection::All), Writer::Collects).await;
    assert!(origins(&all).iter().all(|o| o == "first, second"), "{:?}", origins(&all));
    assert_eq!(all.winner.score, 1.0);
}

#[tokio::test]
async fn feedback_on_a_predictor_reaches_that_predictor_alone() {
    // Both steps are called with the same input, and each needs rules of its own.
    let report = pair_report(gepa(), Writer::Collects).await;
    for change in &report.changes {
        let rules = rules_in(change.instructions.as_deref().unwrap_or_default());
        assert!(rules.len() > 3, "{change:?}");
        assert!(rules.iter().all(|r| r.starts_with(&change.predictor)), "{change:?}");
    }
    assert_eq!(report.changes.len(), 2);
}

#[tokio::test]
async fn minibatches_are_as_large_as_told() {
    for size in [1, 3, 7] {
        let recipe = Gepa { minibatch_size: size, ..gepa() };
        let report = report(recipe, Writer::Babbles).await;
        let children = report.candidates.iter().filter(|c| !c.parents.is_empty());
        let sizes: BTreeSet<usize> = children.map(|c| c.train_scores.len()).collect();
        assert_eq!(sizes, [size].into());
    }
}

#[tokio::test]
async fn sampling_goes_through_all_examples_or_draws_any() {
    let covered = |minibatch_sampling| async move {
        // 18 for the start, then 8 iterations of 3 + 3, with room to validate.
        let budget = GepaBudget::MaxMetricCalls(18 + 8 * 6 + 18);
        let recipe = Gepa { budget, minibatch_sampling, ..gepa() };
        let report = report(recipe, Writer::Babbles).await;
        report.candidates[0].train_scores.len()
    };
    assert_eq!(covered(MinibatchSampling::EpochShuffled).await, 24);
    assert!(covered(MinibatchSampling::Random).await < 24);
}

#[tokio::test]
async fn acceptance_of_equals_validates_what_is_no_better() {
    let count = |acceptance| async move {
        let report = report(Gepa { acceptance, ..gepa() }, Writer::Babbles).await;
        validated(&report).len()
    };
    assert_eq!(count(Acceptance::Improvement).await, 1);
    assert!(count(Acceptance::ImprovementOrEqual).await > 5);
}

#[tokio::test]
async fn several_proposals_come_from_one_parent_or_several_and_one_or_all_are_kept() {
    let run = |count, parents, keep, writer| async move {
        let proposals = Proposals { count, parents, keep };
        report(Gepa { proposals, ..gepa() }, writer).await
    };
    // At the beginning there is one parent: three proposals on three minibatches, or on the same one.
    let batches = |report: &Report| -> BTreeSet<Vec<usize>> {
        let first = report.candidates.iter().filter(|c| !c.parents.is_empty()).take(3);
        first.map(|c| c.train_scores.keys().copied().collect()).collect()
    };
    let independent = run(3, Parents::Independent, Keep::All, Writer::Babbles).await;
    assert_eq!(batches(&independent).len(), 3);
    let same = run(3, Parents::Same, Keep::All, Writer::Babbles).await;
    assert_eq!(batches(&same).len(), 1);
    let left = |report: &Report| {
        report.candidates.iter().filter(|c| c.why.contains("only the best is kept")).count()
    };
    let all = run(3, Parents::Independent, Keep::All, Writer::Forgets).await;
    assert_eq!(left(&all), 0);
    let best = run(3, Parents::Independent, Keep::Best, Writer::Forgets).await;
    assert!(left(&best) > 0);
}

#[tokio::test]
async fn a_parent_that_is_perfect_on_its_minibatch_is_left_alone() {
    let questions = |skip_perfect_score, perfect_score| async move {
        let world = World::new(Writer::Collects);
        let recipe = Gepa { skip_perfect_score, perfect_score, ..gepa() };
        compiled(recipe, Says::Truth, &world).await;
        world.questions()
    };
    let skipped = questions(true, 1.0).await;
    assert!(questions(false, 1.0).await > skipped);
    assert!(questions(true, 2.0).await > skipped);
    assert_eq!(questions(true, 0.0).await, 0, "all are perfect then");
}

#[tokio::test]
async fn objectives_decide_who_stays_a_parent() {
    let bases = |frontier, objectives: &[&str]| {
        let objectives = objectives.iter().map(|o| (*o).into()).collect();
        let recipe = Gepa { frontier, objectives, ..gepa() };
        async move {
            let report = report(recipe, Writer::Collects).await;
            let base = report.candidates[0].candidate.clone();
            let children = parents(&report);
            let late = &children[children.len() / 2..];
            (late.iter().filter(|p| **p == base).count(), late.len())
        }
    };
    // The start is the worst and the shortest.
    let (quality, of) = bases(FrontKind::Objective, &["quality"]).await;
    assert!(quality == 0 && of > 0);
    let (tokens, of) = bases(FrontKind::Objective, &["tokens"]).await;
    assert_eq!(tokens, of);
    for frontier in [FrontKind::Hybrid, FrontKind::Cartesian] {
        let (both, of) = bases(frontier, &["quality", "tokens"]).await;
        assert!(both > 0 && both < of, "{frontier:?}: {both} of {of}");
    }
}

#[tokio::test]
async fn a_race_validates_on_fewer_examples() {
    let runs = |validation| async move {
        let recipe = Gepa { validation, acceptance: Acceptance::ImprovementOrEqual, ..gepa() };
        let report = report(recipe, Writer::Forgets).await;
        let mut sizes: BTreeMap<usize, usize> = BTreeMap::new();
        for candidate in &report.candidates {
            *sizes.entry(candidate.scores.len()).or_default() += 1;
            assert!(candidate.accepted.is_some() && !candidate.why.is_empty(), "{candidate:?}");
        }
        sizes
    };
    let full = runs(Race::Full).await;
    assert!(full.keys().all(|n| [0, 18].contains(n)), "{full:?}");
    for race in [
        Race::Minibatch { size: 5, promote_every: 3 },
        Race::Halving { start: 4, factor: 2, entrants: 4 },
        Race::Wilcoxon { start: 6, step: 4, alpha: 0.2 },
    ] {
        let sizes = runs(race).await;
        assert!(sizes.keys().any(|n| (1..18).contains(n)), "{race:?}: {sizes:?}");
    }
}

#[tokio::test]
async fn the_budget_is_never_exceeded() {
    for most in [18, 40, 75, 150] {
        let world = World::new(Writer::Forgets);
        let budget = GepaBudget::MaxMetricCalls(most);
        let report = compiled(Gepa { budget, ..gepa() }, Says::Truth, &world).await;
        let used = report.spent.evaluation.calls;
        assert!(used <= most, "{used} of {most}");
        assert!(most < 75 || used > most / 2, "{used} of {most}");
    }
    let full =
        report(Gepa { budget: GepaBudget::MaxFullEvals(3), ..gepa() }, Writer::Forgets).await;
    assert!(full.spent.evaluation.calls <= 3 * 42);
    let light = report(Gepa { budget: GepaBudget::Light, ..gepa() }, Writer::Babbles).await;
    let heavy = report(Gepa { budget: GepaBudget::Heavy, ..gepa() }, Writer::Babbles).await;
    assert!(light.spent.evaluation.calls * 2 < heavy.spent.evaluation.calls);
}

#[tokio::test]
async fn the_writer_is_told_the_background_and_kept_to_the_length_and_the_temperature() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(Writer::Collects);
    let recipe = Gepa {
        background: Some("The labels are Greek.".into()),
        max_instruction_chars: Some(60),
        temperature: Some(0.25),
        ..gepa()
    };
    let compiler = compiler(recipe, crate::world::metric(Says::Truth), &dir);
    let program = crate::world::program();
    let train = data("train", 24);
    let done = compiler.compile(&world.context(), &program, &train).await.unwrap();
    assert_eq!(*world.temperature.lock().unwrap(), Some(0.25));
    let journal = std::fs::read_to_string(dir.path().join("trial/journal.jsonl")).unwrap();
    assert!(journal.contains("The labels are Greek."));
    assert!(journal.contains("\"what\":\"a shorter text\""));
    assert!(
        done.report.notes.iter().any(|n| n.contains("more than 60")),
        "{:?}",
        done.report.notes
    );
    for change in &done.report.changes {
        assert!(change.instructions.as_ref().unwrap().chars().count() <= 60);
    }
}
