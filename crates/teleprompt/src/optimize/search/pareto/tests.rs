use proptest::prelude::*;

use super::*;
use crate::data::Rng;

fn entry(parents: &[usize], components: [&str; 2], scores: &[f64]) -> Entry {
    let keys = ["first", "second"].map(Arc::from);
    Entry {
        components: keys.into_iter().zip(components.map(Arc::from)).collect(),
        parents: parents.to_vec(),
        scores: scores.iter().copied().enumerate().collect(),
        objectives: BTreeMap::new(),
    }
}

fn front(scores: &[&[f64]]) -> Front {
    let mut front = Front::new(FrontKind::Instance, Vec::new()).unwrap();
    for scores in scores {
        front.add(entry(&[], ["", ""], scores));
    }
    front
}

fn objectives() -> Vec<Objective> {
    let quality = Objective { name: "quality".into(), direction: Direction::Maximize };
    vec![quality, Objective { name: "tokens".into(), direction: Direction::Minimize }]
}

#[test]
fn whoever_is_covered_in_all_its_cells_is_dominated() {
    // 1 shares its only cell with 0, which is alone at the second.
    assert_eq!(
        front(&[&[1.0, 1.0, 0.0], &[1.0, 0.0, 0.0], &[0.0, 0.0, 1.0]]).non_dominated(),
        [0, 2].into()
    );
    // Equal candidates: one stays, the first.
    assert_eq!(front(&[&[0.5, 0.5], &[0.5, 0.5], &[0.5, 0.5]]).non_dominated(), [0].into());
    // Covered by two others together.
    let covered = front(&[&[1.0, 0.9, 0.0], &[1.0, 0.0, 1.0], &[0.0, 0.95, 1.0], &[0.0, 0.9, 0.9]]);
    assert_eq!(covered.non_dominated(), [1, 2].into());
    assert!(front(&[]).non_dominated().is_empty());
}

#[test]
fn kinds_compare_what_they_say() {
    let cells = |kind| {
        let mut front = Front::new(kind, objectives()).unwrap();
        for (score, tokens) in [(1.0, [30.0, 10.0]), (0.0, [5.0, 20.0])] {
            let id = front.add(Entry::default());
            front.tell(id, 0, score, vec![score, tokens[0]]);
            front.tell(id, 1, score, vec![score, tokens[1]]);
        }
        front.cells().into_values().map(|ids| ids.into_iter().collect()).collect::<Vec<Vec<_>>>()
    };
    assert_eq!(cells(FrontKind::Instance), [[0], [0]]);
    // Quality 1 against 0, tokens 20 against 12.5 on average.
    assert_eq!(cells(FrontKind::Objective), [[0], [1]]);
    assert_eq!(cells(FrontKind::Hybrid), [[0], [0], [0], [1]]);
    assert_eq!(cells(FrontKind::Cartesian), [[0], [1], [0], [0]]);
    let error = Front::new(FrontKind::Hybrid, Vec::new()).unwrap_err().to_string();
    assert!(error.contains("name one"), "{error}");
}

#[test]
fn selections_choose_as_they_say() {
    // 0 holds three cells, 1 one, 2 none.
    let front = front(&[&[1.0, 1.0, 1.0, 0.0], &[0.0, 0.0, 0.0, 1.0], &[0.5, 0.5, 0.5, 0.5]]);
    let mut rng = Rng::new(4);
    let mut count = |selection| {
        let mut counts = [0; 3];
        (0..4000).for_each(|_| counts[front.select(selection, &mut rng).unwrap()] += 1);
        counts
    };
    let near = |count: i32, expected: i32| (count - expected).abs() < 140; // five deviations
    let [first, second, none] = count(Selection::Pareto);
    assert!(near(first, 3000) && near(second, 1000) && none == 0);
    assert_eq!(count(Selection::CurrentBest), [4000, 0, 0]);
    let [first, second, third] = count(Selection::EpsilonGreedy { epsilon: 0.3 });
    assert!(near(first, 3200) && near(second, 400) && near(third, 400));
    // Of the two best only 0 and 2 are left: 2 takes over the cell of 1.
    let [first, second, third] = count(Selection::TopKPareto { k: 2 });
    assert!(near(first, 4000) && second == 0 && third == 0);
}

#[test]
fn selections_have_names_and_defaults() {
    let read = |text: &str| serde_json::from_str::<Selection>(text).map_err(|e| e.to_string());
    assert_eq!(read("\"pareto\""), Ok(Selection::Pareto));
    assert_eq!(read("\"epsilon_greedy\""), Ok(Selection::EpsilonGreedy { epsilon: 0.1 }));
    assert_eq!(read("{\"top_k_pareto\": {}}"), Ok(Selection::TopKPareto { k: 5 }));
    assert!(read("\"greedy\"").unwrap_err().contains("epsilon_greedy"));
    assert!(read("{\"top_k_pareto\": {\"n\": 1}}").is_err());
    for selection in [Selection::CurrentBest, Selection::TopKPareto { k: 2 }] {
        let text = serde_json::to_string(&selection).unwrap();
        assert_eq!(read(&text), Ok(selection), "{text}");
    }
}

/// 0 as written; 1 changed the first component, 2 the second; 3 both, from 1.
fn family() -> Front {
    let mut front = Front::new(FrontKind::Instance, Vec::new()).unwrap();
    front.add(entry(&[], ["a", "b"], &[0.0, 0.0, 0.4, 0.5]));
    front.add(entry(&[0], ["A", "b"], &[1.0, 0.0, 0.4, 0.5]));
    front.add(entry(&[0], ["a", "B"], &[0.0, 1.0, 0.4, 0.5]));
    front.add(entry(&[1], ["AA", "BB"], &[0.0, 0.0, 0.9, 0.5]));
    front
}

#[test]
fn merges_take_from_each_what_it_changed() {
    let front = family();
    let mut rng = Rng::new(3);
    let mut tried = BTreeSet::new();
    while let Some(merge) = front.merge_pair(&tried, &mut rng) {
        tried.insert(merge);
    }
    // 1 is an ancestor of 3. The means are 0.225, 0.475, 0.475, 0.35.
    let expected = [Merge { a: 1, b: 2, ancestor: 0 }, Merge { a: 2, b: 3, ancestor: 0 }];
    assert_eq!(tried, expected.into());
    let texts = |merge, rng: &mut Rng| front.merge(&merge, rng).into_values().collect::<Vec<_>>();
    assert_eq!(texts(expected[0], &mut rng), ["A".into(), "B".into()]);
    // The first was changed by 3 alone; the second by both, and 2 has the higher mean.
    assert_eq!(texts(expected[1], &mut rng), ["AA".into(), "B".into()]);
}

#[test]
fn an_ancestor_that_is_better_or_all_changed_is_no_reason_to_merge() {
    let mut front = Front::new(FrontKind::Instance, Vec::new()).unwrap();
    front.add(entry(&[], ["a", "b"], &[0.6, 0.6, 0.9]));
    front.add(entry(&[0], ["A", "b"], &[1.0, 0.0, 0.0]));
    front.add(entry(&[0], ["a", "B"], &[0.0, 1.0, 0.0]));
    assert_eq!(front.merge_pair(&BTreeSet::new(), &mut Rng::new(1)), None);
    let mut front = Front::new(FrontKind::Instance, Vec::new()).unwrap();
    front.add(entry(&[], ["a", "b"], &[0.0, 0.0]));
    front.add(entry(&[0], ["A", "B"], &[1.0, 0.0]));
    front.add(entry(&[0], ["AA", "BB"], &[0.0, 1.0]));
    assert_eq!(front.merge_pair(&BTreeSet::new(), &mut Rng::new(1)), None);
}

#[test]
fn merge_samples_have_a_third_of_each_kind() {
    let mut front = Front::new(FrontKind::Instance, Vec::new()).unwrap();
    let scores = |better: std::ops::Range<usize>| -> Vec<f64> {
        (0..30).map(|i| f64::from(u8::from(better.contains(&i)))).collect()
    };
    front.add(entry(&[], ["", ""], &scores(0..10)));
    front.add(entry(&[], ["", ""], &scores(10..12)));
    let merge = Merge { a: 0, b: 1, ancestor: 0 };
    let sample = front.merge_sample(&merge, 9, &mut Rng::new(1));
    let count = |range: std::ops::Range<usize>| sample.iter().filter(|i| range.contains(i)).count();
    // Only two where the second is better: one more of another kind.
    assert_eq!((count(0..10) + count(12..30), count(10..12)), (7, 2));
    assert!(count(0..10) >= 3 && count(12..30) >= 3);
    assert_eq!(sample.iter().collect::<BTreeSet<_>>().len(), 9);
    assert_eq!(front.merge_sample(&merge, 99, &mut Rng::new(1)).len(), 30);
    assert_eq!(front.merge_sample(&merge, 1, &mut Rng::new(1)).len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn nothing_crashes_and_all_cells_stay_held(
        rows in prop::collection::vec(prop::collection::vec(prop_oneof![
            Just(0.0), Just(-1.0), Just(f64::NAN), Just(f64::INFINITY), -2.0..2.0f64
        ], 0..5), 1..8),
        seed: u64,
    ) {
        for kind in [FrontKind::Instance, FrontKind::Hybrid, FrontKind::Cartesian, FrontKind::Objective] {
            let mut front = Front::new(kind, objectives()).unwrap();
            for (i, row) in rows.iter().enumerate() {
                let components = if i % 2 == 0 { ["a", "b"] } else { ["a", "B"] };
                let id = front.add(entry(&[i.saturating_sub(1) / 2][..usize::from(i > 0)], components, row));
                (0..row.len()).for_each(|k| front.tell(id, k, row[k], vec![row[k]; k % 3]));
            }
            let left = front.non_dominated();
            prop_assert!(front.cells().values().all(|ids| !ids.is_disjoint(&left)));
            let rng = &mut Rng::new(seed);
            for selection in [
                Selection::Pareto,
                Selection::CurrentBest,
                Selection::EpsilonGreedy { epsilon: 0.5 },
                Selection::TopKPareto { k: 2 },
            ] {
                prop_assert!(front.select(selection, rng).is_some_and(|id| id < rows.len()));
            }
            if let Some(merge) = front.merge_pair(&BTreeSet::new(), rng) {
                prop_assert!(left.contains(&merge.a) && left.contains(&merge.b));
                prop_assert_eq!(front.merge(&merge, rng).len(), 2);
                front.merge_sample(&merge, 3, rng);
            }
        }
    }
}
