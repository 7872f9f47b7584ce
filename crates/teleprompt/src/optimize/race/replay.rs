//! A race over recorded scores.

use super::{Race, Racer};

/// What a race over recorded scores comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The entrant that wins; none of none.
    pub winner: Option<usize>,
    /// The cells that were run.
    pub cells_used: usize,
}

/// Races the rows of a matrix, each the scores of one entrant on all examples, entering as many at
/// once as the race likes. It shows what a race would have saved and chosen where everything was
/// evaluated. The first row says how many examples there are; what is missing in a row scores 0.
///
/// ```
/// use teleprompt::optimize::race::{Race, replay};
/// let scores = [vec![0.0; 50], vec![1.0; 50], vec![0.0; 50]];
/// let outcome = replay(&Race::wilcoxon(), &scores, 1);
/// assert_eq!(outcome.winner, Some(1));
/// assert!(outcome.cells_used < 150);
/// ```
pub fn replay(race: &Race, matrix: &[Vec<f64>], seed: u64) -> Outcome {
    let examples = matrix.first().map_or(0, Vec::len);
    let mut racer = Racer::new(race, examples, seed);
    let mut cells_used = 0;
    for rows in matrix.chunks(racer.batch()) {
        rows.iter().for_each(|_| {
            racer.enter();
        });
        cells_used += run(&mut racer, matrix);
    }
    racer.finish();
    cells_used += run(&mut racer, matrix);
    Outcome { winner: racer.best(), cells_used }
}

fn run(racer: &mut Racer, matrix: &[Vec<f64>]) -> usize {
    let mut used = 0;
    loop {
        let cells = racer.next();
        if cells.is_empty() {
            return used;
        }
        used += cells.len();
        for cell in cells {
            let score = matrix.get(cell.entrant).and_then(|row| row.get(cell.example));
            racer.tell(cell, score.copied().unwrap_or(0.0));
        }
    }
}
