use proptest::prelude::*;
use serde_json::Value;
use teleprompt_core::{Kind, Signature};

use super::*;
use crate::data::Rng;

fn labels(ty: &str) -> Labels {
    let signature: Signature = format!("a -> b: {ty}").parse().unwrap();
    Labels::of(&signature.outputs()[0].ty).unwrap()
}

fn evidence(labels: &Labels, said: usize, p: &[f64]) -> Evidence {
    let texts = labels.texts().iter().cloned();
    let said = labels.values()[said % labels.values().len()].clone();
    Evidence { said, labels: texts.zip(p.iter().copied()).collect() }
}

fn bools(p: &[f64]) -> Vec<Evidence> {
    let labels = Labels::of(&Kind::Bool.into()).unwrap();
    p.iter().map(|p| evidence(&labels, usize::from(*p >= 0.5), &[1.0 - p, *p])).collect()
}

#[test]
fn thresholds_stand_between_neighbours_and_at_an_observed_zero() {
    let labels = labels("bool");
    let found = |p: &[f64]| candidates(&Rule::Threshold(0.5), &labels, &bools(p));
    let thresholds = |t: &[f64]| t.iter().copied().map(Rule::Threshold).collect::<Vec<_>>();
    assert_eq!(found(&[0.0, 0.5, 0.5, 1.0]), thresholds(&[0.0, 0.2, 0.8]));
    assert_eq!(found(&[]), thresholds(&[0.5]));
    // Neighbouring floats: the upper one tells them apart.
    let next = f64::from_bits(0.5f64.to_bits() + 1);
    assert!(found(&[0.5, next]).contains(&Rule::Threshold(next)));
    let many: Vec<f64> = (0..500).map(|i| f64::from(i) / 500.0).collect();
    assert_eq!(found(&many).len(), 40);
}

#[test]
fn cuts_move_one_at_a_time_between_their_neighbours() {
    let labels = labels("int(0..2)");
    let rows = [evidence(&labels, 0, &[0.8, 0.2, 0.0]), evidence(&labels, 0, &[0.0, 0.4, 0.6])];
    let found = candidates(&Rule::even_cuts(3), &labels, &rows);
    let cuts = |all: &[[f64; 2]]| all.iter().map(|c| Rule::Cuts(c.to_vec())).collect::<Vec<_>>();
    // The expected levels are 0.2 and 1.6.
    assert_eq!(found, cuts(&[[0.1, 1.5], [1.0, 1.5], [0.5, 1.0], [0.5, 1.8]]));
}

#[test]
fn weights_are_tried_around_where_rows_flip() {
    let labels = labels(r#"enum["a", "b"]"#);
    let rows = [evidence(&labels, 0, &[0.8, 0.2]), evidence(&labels, 0, &[0.6, 0.4])];
    let found = candidates(&Rule::Weights([].into()), &labels, &rows);
    // `b` wins a row at a weight above 4, and above 1.5.
    let of_b: Vec<f64> = found[3..]
        .iter()
        .map(|rule| match rule {
            Rule::Weights(weights) => weights["b"],
            _ => panic!("{rule:?}"),
        })
        .collect();
    assert_eq!(found.len(), 6);
    assert!(of_b[0] < 1.5 && of_b[1] > 1.5 && of_b[1] < 4.0 && of_b[2] > 4.0, "{of_b:?}");
}

/// Scores each row and value once, whatever is searched.
#[test]
fn nothing_is_scored_twice() {
    let asked = std::cell::RefCell::new(Vec::new());
    let p: Vec<f64> = (0..50).map(|i| f64::from(i) / 50.0).collect();
    let mut rows = bools(&p);
    rows.push(Evidence { said: true.into(), labels: Default::default() });
    let score = |row: usize, value: &Value| {
        asked.borrow_mut().push((row, value.to_string()));
        f64::from(*value == (row > 9))
    };
    let fitted = fit(&labels("bool"), &rows, &score, &Rule::Threshold(0.5), 3).unwrap();
    assert!(fitted.accepted, "{fitted:?}");
    let mut asked = asked.into_inner();
    let n = asked.len();
    asked.sort();
    asked.dedup();
    // A row without evidence has one value.
    assert_eq!((n, asked.len()), (101, 101));
}

#[test]
fn labels_that_an_lm_neglects_get_more_weight() {
    let labels = labels(r#"enum["a", "b", "c"]"#);
    // `c` is right for every third row, where it has 0.2 and else 0.05.
    let rows: Vec<Evidence> = (0..60)
        .map(|i| {
            evidence(&labels, 0, if i % 3 == 0 { &[0.5, 0.3, 0.2] } else { &[0.6, 0.35, 0.05] })
        })
        .collect();
    let right = |row: usize, value: &Value| {
        f64::from(*value == if row.is_multiple_of(3) { "c" } else { "a" })
    };
    let fitted = fit(&labels, &rows, &right, &Rule::Weights([].into()), 5).unwrap();
    assert!(fitted.accepted && fitted.after == 1.0 && fitted.held_out == 1.0, "{fitted:?}");
    let again = fit(&labels, &rows, &right, &Rule::Weights([].into()), 5).unwrap();
    assert_eq!(fitted, again);
}

#[test]
fn cuts_follow_a_generous_judge() {
    let labels = labels("int(1..3)");
    // It never goes below an expected level of 0.8, from 0.
    let rows: Vec<Evidence> = (0..30)
        .map(|i| {
            let up = f64::from(i % 10) / 10.0;
            evidence(&labels, 2, &[0.2 - 0.2 * up, 0.8 - 0.8 * up, up])
        })
        .collect();
    let right =
        |row: usize, value: &Value| f64::from(*value == [1, 1, 1, 2, 2, 2, 2, 3, 3, 3][row % 10]);
    let fitted = fit(&labels, &rows, &right, &default_rule(&labels), 5).unwrap();
    assert!(fitted.accepted && fitted.after == 1.0, "{fitted:?}");
}

/// Scores that have nothing to do with the evidence: rows held out turn down most of what looks
/// better on the rows it was fitted on.
#[test]
fn noise_is_mostly_turned_down() {
    let (mut better, mut accepted) = (0, 0);
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let p: Vec<f64> = (0..40).map(|_| rng.unit()).collect();
        let truth: Vec<bool> = (0..40).map(|_| rng.below(2) == 0).collect();
        let right = |row: usize, value: &Value| f64::from(*value == truth[row]);
        let fitted = fit(&labels("bool"), &bools(&p), &right, &Rule::Threshold(0.5), seed).unwrap();
        better += u32::from(fitted.after > fitted.before);
        accepted += u32::from(fitted.accepted);
    }
    assert!(better >= 36 && accepted < 20, "{accepted} of {better}");
}

#[test]
fn too_few_rows_and_wrong_rules_are_told() {
    let fitted =
        fit(&labels("bool"), &bools(&[0.1; 9]), &|_, _| 1.0, &Rule::Threshold(0.5), 1).unwrap();
    assert_eq!((fitted.accepted, &*fitted.why), (false, "9 rows have evidence, and it takes 10"));
    assert!(fit(&labels("bool"), &[], &|_, _| f64::NAN, &Rule::Threshold(0.5), 1).is_ok());
    assert!(fit(&labels("bool"), &[], &|_, _| 1.0, &Rule::even_cuts(2), 1).is_err());
}

fn any_case() -> impl Strategy<Value = (Labels, Rule)> {
    let number = prop_oneof![4 => 0.0..1.0f64, 1 => any::<f64>()];
    (0..3usize, prop::collection::vec(number, 3)).prop_map(|(kind, n)| match kind {
        0 => (labels("bool"), Rule::Threshold(n[0])),
        1 => {
            let labels = labels(r#"enum["a", "b", "c"]"#);
            let weights = labels.texts().iter().cloned().zip(n).collect();
            (labels, Rule::Weights(weights))
        }
        _ => (labels("int(1..4)"), Rule::Cuts(n)),
    })
}

proptest! {
    #[test]
    fn decoding_never_fails_and_gives_a_label_or_what_was_said(
        (labels, rule) in any_case(),
        p in prop::collection::vec(any::<f64>(), 0..5),
        said in 0..9usize,
    ) {
        let evidence = evidence(&labels, said, &p);
        if let Ok(decider) = Decider::new(labels.clone(), &rule) {
            let value = decider.decode(&evidence);
            prop_assert!(labels.values().contains(&value));
        }
        // Nor does a search that starts there.
        let rows = vec![evidence; 12];
        let _ = fit(&labels, &rows, &|row, _| row as f64, &rule, 1);
        for rule in candidates(&default_rule(&labels), &labels, &rows) {
            prop_assert!(Decider::new(labels.clone(), &rule).is_ok(), "{:?}", rule);
        }
    }

    #[test]
    fn only_the_ratio_of_weights_matters(
        weights in prop::collection::vec(0.001..1000.0f64, 3),
        p in prop::collection::vec(0.0..1.0f64, 3),
        power in -8..8i32,
    ) {
        let labels = labels(r#"enum["a", "b", "c"]"#);
        let evidence = evidence(&labels, 0, &p);
        let decode = |factor: f64| {
            let weights = labels.texts().iter().cloned().zip(weights.iter().map(|w| w * factor));
            let rule = Rule::Weights(weights.collect());
            Decider::new(labels.clone(), &rule).unwrap().decode(&evidence)
        };
        prop_assert_eq!(decode(1.0), decode(2f64.powi(power)));
    }

    /// Whatever the rows and scores: an accepted rule is better on its own data, and its score is
    /// what deciding the rows by it gives.
    #[test]
    fn an_accepted_rule_is_better_on_its_own_rows(
        kind in 0..3usize,
        rows in prop::collection::vec((prop::collection::vec(0.0..1.0f64, 4), 0..4usize, 0..4usize), 0..40),
        seed in 0..4u64,
    ) {
        let labels = labels(["bool", r#"enum["a", "b", "c"]"#, "int(1..4)"][kind]);
        let n = labels.values().len();
        let observed: Vec<Evidence> =
            rows.iter().map(|(p, said, _)| evidence(&labels, *said, &p[..n])).collect();
        let score = |row: usize, value: &Value| f64::from(*value == labels.values()[rows[row].2 % n]);
        let start = default_rule(&labels);
        let fitted = fit(&labels, &observed, &score, &start, seed).unwrap();
        let mean = |rule: &Rule| {
            let decider = Decider::new(labels.clone(), rule).unwrap();
            let scores = observed.iter().enumerate().map(|(i, e)| score(i, &decider.decode(e)));
            scores.sum::<f64>() / observed.len().max(1) as f64
        };
        prop_assert!((mean(&start) - fitted.before).abs() < 1e-9);
        if fitted.accepted {
            prop_assert!((mean(&fitted.rule) - fitted.after).abs() < 1e-9, "{:?}", fitted);
            prop_assert!(fitted.after > fitted.before && fitted.held_out > fitted.before);
        } else {
            prop_assert_eq!(&fitted.rule, &start);
        }
    }
}
