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

/// Candidates by examples; the files say where they come from. The defaults of the races were settled
/// with the first in sight; the second was recorded after that, and its candidates differ more.
fn recorded() -> [Vec<Vec<f64>>; 2] {
    let near = include_str!("fixtures/scores_banking77_10.json");
    let mixed = include_str!("fixtures/scores_banking77_10_mixed.json");
    [near, mixed].map(|text| {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        serde_json::from_value(value["scores"].clone()).unwrap()
    })
}

fn best(matrix: &[Vec<f64>]) -> usize {
    let sum = |row: &Vec<f64>| row.iter().sum::<f64>();
    let top = matrix.iter().map(sum).fold(f64::MIN, f64::max);
    matrix.iter().position(|row| sum(row) == top).unwrap()
}

fn mean(row: &[f64]) -> f64 {
    row.iter().sum::<f64>() / row.len() as f64
}

/// Over 100 orders of the examples.
#[derive(Debug)]
struct Raced {
    /// The part of the cells that was run, on average.
    cells: f64,
    /// How often the winner is that of full evaluation.
    same: usize,
    /// How often the paired test does not tell the winner from that of full evaluation.
    tied: usize,
    /// What the winner's mean over all examples is below that of the best, on average.
    regret: f64,
}

fn raced(race: &Race, matrix: &[Vec<f64>]) -> Raced {
    let all = (matrix.len() * matrix[0].len()) as f64;
    let full = best(matrix);
    let mut raced = Raced { cells: 0.0, same: 0, tied: 0, regret: 0.0 };
    for seed in 0..100 {
        let outcome = replay(race, matrix, seed);
        let winner = outcome.winner.unwrap();
        raced.cells += outcome.cells_used as f64 / all / 100.0;
        raced.same += usize::from(winner == full);
        raced.tied += usize::from(paired(&matrix[winner], &matrix[full]).p_value > 0.05);
        raced.regret += (mean(&matrix[full]) - mean(&matrix[winner])) / 100.0;
    }
    raced
}

#[test]
fn races_find_the_winner_of_full_evaluation_at_half_its_calls() {
    for matrix in recorded() {
        assert!(matrix.len() >= 12 && matrix.iter().all(|row| row.len() == 100));
        for race in [Race::minibatch(), Race::halving(), Race::wilcoxon()] {
            let found = raced(&race, &matrix);
            println!("{race:?}: {found:?}");
            assert!(found.cells <= 0.5, "{race:?}: {found:?}");
            assert!(found.tied >= 95, "{race:?}: {found:?}");
            assert!(found.regret <= 0.015, "{race:?}: {found:?}");
        }
        let full = raced(&Race::Full, &matrix);
        assert_eq!((full.same, full.regret), (100, 0.0));
    }
}

/// What the test above asks for is not had by chance: neither the start nor a blind choice has it.
#[test]
fn a_blind_choice_would_not_do() {
    for matrix in recorded() {
        let full = best(&matrix);
        assert!(paired(&matrix[0], &matrix[full]).p_value < 0.001);
        let blind: f64 = matrix.iter().map(|row| mean(row)).sum::<f64>() / matrix.len() as f64;
        assert!(mean(&matrix[full]) - blind > 0.04);
    }
}
