//! Races on scores recorded on a real model.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use teleprompt::evaluate::paired;
use teleprompt::optimize::race::{Race, replay};

/// Candidates by examples; the file says where they come from.
fn recorded() -> Vec<Vec<f64>> {
    let text = include_str!("fixtures/scores_banking77_10.json");
    let value: serde_json::Value = serde_json::from_str(text).unwrap();
    serde_json::from_value(value["scores"].clone()).unwrap()
}

fn best(matrix: &[Vec<f64>]) -> usize {
    let sum = |row: &Vec<f64>| row.iter().sum::<f64>();
    let top = matrix.iter().map(sum).fold(f64::MIN, f64::max);
    matrix.iter().position(|row| sum(row) == top).unwrap()
}

/// Over orders of the examples: the part of the cells that was run, on average and at most, and how
/// often the winner is that of full evaluation, or tied with it.
fn raced(race: &Race, matrix: &[Vec<f64>]) -> (f64, f64, usize, usize) {
    let cells = (matrix.len() * matrix[0].len()) as f64;
    let full = best(matrix);
    let (mut parts, mut same, mut tied) = (Vec::new(), 0, 0);
    for seed in 0..100 {
        let outcome = replay(race, matrix, seed);
        parts.push(outcome.cells_used as f64 / cells);
        let winner = outcome.winner.unwrap();
        same += usize::from(winner == full);
        tied += usize::from(paired(&matrix[winner], &matrix[full]).p_value > 0.05);
    }
    let most = parts.iter().copied().fold(0.0, f64::max);
    (parts.iter().sum::<f64>() / 100.0, most, same, tied)
}

#[test]
fn races_find_the_winner_of_full_evaluation_at_half_its_calls() {
    let matrix = recorded();
    assert!(matrix.len() >= 12 && matrix.iter().all(|row| row.len() == 100));
    for race in [Race::minibatch(), Race::halving(), Race::wilcoxon()] {
        let (mean, most, same, tied) = raced(&race, &matrix);
        println!("{race:?}: {mean:.3} of the cells, at most {most:.3}; same {same}, tied {tied}");
        assert!(mean <= 0.5, "{race:?} ran {mean} of the cells");
        assert!(tied >= 99, "{race:?}: {tied} of 100 winners tie with that of full evaluation");
    }
    let (mean, ..) = raced(&Race::Full, &matrix);
    assert_eq!(mean, 1.0);
}

/// The test above can fail: a race that keeps the first does not pass it.
#[test]
fn keeping_the_start_is_no_tie() {
    let matrix = recorded();
    assert!(paired(&matrix[0], &matrix[best(&matrix)]).p_value < 0.001);
}
