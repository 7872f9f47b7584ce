//! How often a search succeeds, and whether that differs from how often another one does.

use futures::StreamExt;
use teleprompt::Result;
use teleprompt::optimize::{Candidate, Cost, Optimizer, OptimizerHandle, Sizes, Task};

use super::run::{Setup, compile};
use super::toy::{Draw, SUCCESS, Toy};

/// Seeds of each search.
pub const SEEDS: u64 = 20;

/// On how many of the seeds the search succeeds, within the toy's budget.
///
/// # Errors
/// A compile that failed; a toy that the program as written already solves.
pub async fn successes(
    optimizer: &OptimizerHandle,
    toy: impl Fn(u64) -> Toy,
) -> Result<u64, String> {
    let mut wins = 0;
    let runs = (0..SEEDS).map(|seed| one(optimizer, toy(seed), seed));
    let mut runs = futures::stream::iter(runs).buffer_unordered(2);
    while let Some(won) = runs.next().await {
        wins += u64::from(won?);
    }
    Ok(wins)
}

async fn one(optimizer: &OptimizerHandle, toy: Toy, seed: u64) -> Result<bool, String> {
    let setup = Setup { seed, calls: Some(toy.calls()), ..Setup::default() };
    let done = compile(optimizer, &toy, &setup).await?;
    if done.report.baseline.score > 0.5 {
        return Err(format!("seed {seed}: the baseline has {}", done.report.baseline.score));
    }
    if done.count.answered > toy.calls() {
        return Err(format!("seed {seed}: {} calls of {}", done.count.answered, toy.calls()));
    }
    Ok(done.report.improved && done.report.winner.score >= SUCCESS)
}

/// Draws candidates until the budget is used up.
pub struct Blind(pub Draw);

impl Optimizer for Blind {
    fn name(&self) -> &'static str {
        "blind"
    }
    fn settings(&self) -> serde_json::Value {
        serde_json::Value::Null
    }
    fn validates(&self) -> bool {
        true
    }
    fn cost(&self, _: Sizes) -> Cost {
        Cost::runs(u64::MAX)
    }
    async fn search(&self, task: &Task<'_>) -> Result<Candidate> {
        let mut rng = task.rng("blind");
        loop {
            let candidate = task.propose("a draw", (self.0)(&mut rng))?;
            task.validate(&candidate).await?;
        }
    }
}

/// How often blind search succeeds with the same budget.
///
/// # Errors
/// As [`successes`].
pub async fn blind_successes(toy: impl Fn(u64) -> Toy) -> Result<u64, String> {
    let mut wins = 0;
    for seed in 0..SEEDS {
        let toy = toy(seed);
        let blind = OptimizerHandle::new(Blind(toy.draw.clone()));
        wins += u64::from(one(&blind, toy, seed).await?);
    }
    Ok(wins)
}

/// The probability of so few successes or fewer on the left, if both sides are equally likely to
/// succeed (Fisher's exact test, one-sided), of `n` each.
pub fn fisher(left: u64, right: u64, n: u64) -> f64 {
    let ways = |n: u64, k: u64| super::toy::choose(n, k);
    let hits = left + right;
    let all = ways(2 * n, hits);
    let least = hits.saturating_sub(n);
    (least..=left).map(|k| ways(n, k) * ways(n, hits - k) / all).sum()
}
