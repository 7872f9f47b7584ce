use proptest::prelude::*;

use super::*;
use crate::data::Rng;
use crate::evaluate::stats;

fn races() -> [Race; 5] {
    [Race::Full, Race::minibatch(), Race::k_fold(), Race::halving(), Race::wilcoxon()]
}

/// A deviate of the normal distribution (Box and Muller 1958).
fn normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.unit()).ln()).sqrt();
    radius * (2.0 * std::f64::consts::PI * rng.unit()).cos()
}

/// Scores of 0 and 1 of entrants of different skill on 100 examples of different difficulty.
fn matrix(entrants: usize, spread: f64, seed: u64) -> Vec<Vec<f64>> {
    let rng = Rng::new(seed);
    let mut draws = rng.derive("difficulty");
    let difficulty: Vec<f64> = (0..100).map(|_| 1.5 * normal(&mut draws)).collect();
    let mut draws = rng.derive("skill");
    let skills: Vec<f64> = (0..entrants).map(|_| spread * normal(&mut draws)).collect();
    let mut cells = rng.derive("cells");
    let mut score = |skill: f64, difficulty: f64| {
        f64::from(u8::from(cells.unit() < 1.0 / (1.0 + (difficulty - skill).exp())))
    };
    let mut row = |skill: &f64| difficulty.iter().map(|d| score(*skill, *d)).collect();
    skills.iter().map(&mut row).collect()
}

/// The part of the cells that a race uses, and of the matrices where its winner is the one of full
/// evaluation or not significantly different from it in a paired test.
fn measure(race: &Race, entrants: usize, spread: f64) -> (f64, f64) {
    let (mut used, mut right) = (0, 0);
    for seed in 0..200 {
        let matrix = matrix(entrants, spread, seed);
        let best = replay(&Race::Full, &matrix, seed).winner.unwrap();
        let outcome = replay(race, &matrix, seed);
        let winner = outcome.winner.unwrap();
        let pairs = || matrix[winner].iter().zip(&matrix[best]);
        let wins = pairs().filter(|(a, b)| a > b).count();
        let losses = pairs().filter(|(a, b)| a < b).count();
        right += u32::from(stats::mcnemar(wins, losses) > 0.05);
        used += outcome.cells_used;
    }
    (used as f64 / (200 * entrants * 100) as f64, f64::from(right) / 200.0)
}

#[test]
fn half_the_cells_find_the_winner_or_its_equal() {
    for race in [Race::minibatch(), Race::halving(), Race::wilcoxon()] {
        // The spread of skills: a standard deviation of the means of about 4, 8 and 15 points.
        for (entrants, spread) in [(12, 0.25), (18, 0.5), (24, 1.0)] {
            let (used, right) = measure(&race, entrants, spread);
            println!("{race:?} {entrants} × {spread}: {used:.3} of the cells, right {right:.3}");
            assert!(used <= 0.5 && right >= 0.95, "{race:?} {entrants} × {spread}: {used} {right}");
        }
    }
}

#[test]
fn full_and_folds_use_every_cell_and_choose_the_highest_mean() {
    let matrix = matrix(12, 0.5, 1);
    let highest = matrix.iter().map(|row| stats::mean(row)).fold(0.0, f64::max);
    for race in [Race::Full, Race::k_fold()] {
        let outcome = replay(&race, &matrix, 3);
        assert_eq!(outcome.cells_used, 1200);
        assert_eq!(stats::mean(&matrix[outcome.winner.unwrap()]), highest);
    }
    assert_eq!(replay(&Race::Full, &[], 1), Outcome { winner: None, cells_used: 0 });
    // Of equal ones the first.
    assert_eq!(replay(&Race::halving(), &vec![vec![1.0; 30]; 5], 1).winner, Some(0));
}

/// Runs all that is asked for with a score for each entrant; the cells in the order asked.
fn run(racer: &mut Racer, score: impl Fn(Cell) -> f64) -> Vec<Cell> {
    let mut all = Vec::new();
    loop {
        let cells = racer.next();
        if cells.is_empty() {
            return all;
        }
        cells.iter().for_each(|cell| racer.tell(*cell, score(*cell)));
        all.extend(cells);
    }
}

fn why(racer: &Racer, entrant: usize) -> String {
    match racer.standing(entrant).state {
        State::Pruned { why } => why,
        state => panic!("entrant {entrant} is {state:?}"),
    }
}

#[test]
fn folds_are_an_even_partition_of_the_seed() {
    let mut racer = Racer::new(&Race::KFold { folds: 4 }, 10, 5);
    racer.enter();
    let cells = run(&mut racer, |_| 1.0);
    let sizes: Vec<usize> =
        (0..4).map(|f| cells.iter().filter(|cell| cell.fold == Some(f)).count()).collect();
    assert_eq!(sizes, [3, 3, 2, 2]);
    assert!(cells.iter().all(|cell| racer.fold(cell.example) == cell.fold));
    let other = Racer::new(&Race::KFold { folds: 4 }, 10, 6);
    assert!((0..10).any(|example| other.fold(example) != racer.fold(example)));
    // More folds than examples: each example its own.
    let single = Racer::new(&Race::KFold { folds: 9 }, 3, 1);
    let mut folds: Vec<_> = (0..3).map(|example| single.fold(example).unwrap()).collect();
    folds.sort_unstable();
    assert_eq!(folds, [0, 1, 2]);
}

#[test]
fn minibatches_are_the_same_examples_and_the_best_are_promoted() {
    let mut racer = Racer::new(&Race::Minibatch { size: 4, promote_every: 3 }, 20, 1);
    let skills = [0.1, 0.5, 0.3, 0.4];
    let mut batches = Vec::new();
    for _ in skills {
        racer.enter();
        batches.push(run(&mut racer, |cell| skills[cell.entrant]));
    }
    // The third entrant brings the promotion of the second.
    assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 4 + 16, 4]);
    let examples = |cells: &[Cell]| cells[..4].iter().map(|cell| cell.example).collect::<Vec<_>>();
    assert!(batches.iter().all(|cells| examples(cells) == examples(&batches[0])));
    assert_eq!(racer.best(), Some(1));
    racer.finish();
    assert_eq!(run(&mut racer, |cell| skills[cell.entrant]), []);
    assert!(why(&racer, 3).contains("0.400 on the minibatch of 4"), "{}", why(&racer, 3));
}

#[test]
fn a_minibatch_race_that_ends_early_promotes_what_looks_best() {
    let mut racer = Racer::new(&Race::Minibatch { size: 4, promote_every: 9 }, 20, 1);
    let skills = [0.1, 0.5];
    skills.iter().for_each(|_| {
        racer.enter();
    });
    run(&mut racer, |cell| skills[cell.entrant]);
    assert_eq!(racer.best(), None);
    racer.finish();
    assert_eq!(run(&mut racer, |cell| skills[cell.entrant]).len(), 16);
    assert_eq!(racer.best(), Some(1));
    // An exhausted pool, or none, is no error.
    let mut empty = Racer::new(&Race::minibatch(), 20, 1);
    empty.finish();
    assert_eq!((empty.next(), empty.best()), (Vec::new(), None));
}

#[test]
fn halving_waits_for_its_bracket_and_halves_it() {
    let mut racer = Racer::new(&Race::Halving { start: 2, factor: 2, entrants: 4 }, 12, 1);
    assert_eq!(racer.batch(), 4);
    let score = |cell: Cell| cell.entrant as f64 / 10.0;
    (0..3).for_each(|_| {
        racer.enter();
    });
    assert_eq!(run(&mut racer, score).len(), 6);
    assert!((0..3).all(|entrant| racer.standing(entrant).state == State::Racing));
    racer.enter();
    // The fourth on 2, the better two on 2 more, the best on all.
    assert_eq!(run(&mut racer, score).len(), 2 + 4 + 8);
    assert_eq!(racer.best(), Some(3));
    assert!(why(&racer, 0).contains("0.000 on 2 examples is not among the best 2 of 4"));
    assert!(why(&racer, 2).contains("on 4 examples"));
    // Half a bracket is judged at the end.
    racer.enter();
    assert_eq!(run(&mut racer, score).len(), 2);
    racer.finish();
    assert_eq!(run(&mut racer, score).len(), 10);
    assert_eq!(racer.best(), Some(4));
}

#[test]
fn the_signed_rank_race_drops_what_is_worse_and_tells_why() {
    let race = Race::Wilcoxon { start: 5, step: 5, alpha: 0.05 };
    let mut racer = Racer::new(&race, 50, 1);
    racer.enter();
    assert_eq!(run(&mut racer, |_| 0.6).len(), 50);
    racer.enter();
    // Five losses of five: p = 1/32.
    assert_eq!(run(&mut racer, |_| 0.2).len(), 5);
    let reason = why(&racer, 1);
    assert!(reason.contains("entrant 0 by 0.400 on 5") && reason.contains("p = 0.031"), "{reason}");
    // Better, and equal, ones run on everything.
    racer.enter();
    assert_eq!(run(&mut racer, |_| 0.7).len(), 50);
    assert_eq!(racer.best(), Some(2));
    racer.enter();
    assert_eq!(run(&mut racer, |_| 0.7).len(), 50);
    assert_eq!(racer.best(), Some(2));
}

#[test]
fn the_signed_rank_race_drops_what_can_hardly_catch_up() {
    let race = Race::Wilcoxon { start: 10, step: 10, alpha: 0.05 };
    let mut racer = Racer::new(&race, 100, 1);
    racer.enter();
    let order: Vec<usize> = run(&mut racer, |_| 0.5).iter().map(|cell| cell.example).collect();
    // Of every ten examples it wins four and loses six: never significant (p = 0.08 after 60), but with 40 left hopeless.
    let place = |cell: Cell| order.iter().position(|e| *e == cell.example).unwrap();
    racer.enter();
    let cells = run(&mut racer, |cell| if place(cell) % 10 < 4 { 1.0 } else { 0.0 });
    assert_eq!(cells.len(), 60);
    assert!(why(&racer, 1).contains("behind entrant 0 by 6.00"), "{}", why(&racer, 1));
}

#[test]
fn scores_that_are_no_numbers_count_as_zero_and_are_noted() {
    let mut racer = Racer::new(&Race::Full, 4, 1);
    racer.enter();
    run(&mut racer, |cell| [0.5, f64::NAN, f64::INFINITY, 1.0][cell.example]);
    let standing = racer.standing(0);
    assert_eq!((standing.mean, standing.n, standing.invalid), (0.375, 4, 2));
    // Told again, out of range or not given: nothing changes.
    let entrant = racer.enter();
    for (entrant, example) in [(0, 0), (0, 9), (3, 0), (entrant, 0)] {
        racer.tell(Cell { entrant, example, fold: None }, 1.0);
    }
    assert_eq!(racer.standing(0), standing);
    assert_eq!((racer.standing(1).n, racer.next().len()), (0, 4));
}

#[test]
fn no_examples_make_all_complete() {
    for race in races() {
        let mut racer = Racer::new(&race, 0, 1);
        racer.enter();
        racer.finish();
        assert_eq!((racer.next(), racer.best()), (Vec::new(), Some(0)), "{race:?}");
        assert_eq!(racer.fold(0), None);
    }
}

#[test]
fn settings_are_read_by_name_with_defaults() {
    let read = |text: &str| serde_json::from_str::<Race>(text).map_err(|e| e.to_string());
    for (name, race) in
        ["full", "minibatch", "k_fold", "halving", "wilcoxon"].into_iter().zip(races())
    {
        assert_eq!(read(&format!("\"{name}\"")), Ok(race));
        assert_eq!(read(&serde_json::to_string(&race).unwrap()), Ok(race));
    }
    let halving = Race::Halving { start: 3, factor: 2, entrants: 12 };
    assert_eq!(read(r#"{"halving": {"start": 3}}"#), Ok(halving));
    assert!(read("\"fool\"").unwrap_err().contains("`k_fold`"));
    assert!(read(r#"{"wilcoxon": {"beta": 1}}"#).unwrap_err().contains("beta"));
}

/// Small settings of all races, for small numbers of examples.
fn any_race() -> impl Strategy<Value = Race> {
    let minibatch = (0usize..9, 0usize..5)
        .prop_map(|(size, promote_every)| Race::Minibatch { size, promote_every });
    let halving = (0usize..6, 0usize..4, 0usize..6)
        .prop_map(|(start, factor, entrants)| Race::Halving { start, factor, entrants });
    let wilcoxon = (0usize..6, 0usize..6, 0.0..1.0f64)
        .prop_map(|(start, step, alpha)| Race::Wilcoxon { start, step, alpha });
    let folds = (0usize..9).prop_map(|folds| Race::KFold { folds });
    prop_oneof![Just(Race::Full), minibatch, folds, halving, wilcoxon]
}

/// Runs a race to its end, telling the cells of each batch in an order of their own; checks what
/// every race must keep.
fn check_race(race: &Race, matrix: &[Vec<f64>], order: &mut Rng) -> Racer {
    let mut racer = Racer::new(race, matrix[0].len(), 3);
    let mut seen = std::collections::BTreeSet::new();
    let mut batch = racer.batch();
    for step in 0..=matrix.len() {
        if step == matrix.len() {
            racer.finish();
        } else {
            racer.enter();
            batch -= 1;
            if batch > 0 {
                continue;
            }
            batch = racer.batch();
        }
        loop {
            let mut cells = racer.next();
            if cells.is_empty() {
                break;
            }
            order.shuffle(&mut cells);
            for (i, cell) in cells.iter().enumerate() {
                assert!(seen.insert(*cell), "{cell:?} was given twice");
                racer.tell(*cell, matrix[cell.entrant][cell.example]);
                assert!(i + 1 == cells.len() || racer.next().is_empty());
            }
        }
    }
    let standings: Vec<Standing> = (0..matrix.len()).map(|id| racer.standing(id)).collect();
    assert!(standings.iter().all(|standing| standing.state != State::Racing));
    let best = standings[racer.best().unwrap()].clone();
    assert_eq!((best.state, best.n), (State::Complete, matrix[0].len()));
    for standing in standings.iter().filter(|standing| standing.state == State::Complete) {
        assert!(standing.n == matrix[0].len() && standing.mean <= best.mean);
    }
    racer
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn races_keep_the_contract(
        race in any_race(),
        matrix in (1usize..12).prop_flat_map(|examples| {
            let score = prop_oneof![Just(0.0), Just(1.0), -1.0..1.0f64, Just(f64::NAN)];
            prop::collection::vec(prop::collection::vec(score, examples), 1..9)
        }),
        seeds: (u64, u64),
    ) {
        let one = check_race(&race, &matrix, &mut Rng::new(seeds.0));
        let other = check_race(&race, &matrix, &mut Rng::new(seeds.1));
        for id in 0..matrix.len() {
            prop_assert_eq!(one.standing(id), other.standing(id));
        }
        let outcome = replay(&race, &matrix, 3);
        prop_assert_eq!(outcome.winner, one.best());
        let run: usize = (0..matrix.len()).map(|id| one.standing(id).n).sum();
        prop_assert_eq!(outcome.cells_used, run);
    }
}
