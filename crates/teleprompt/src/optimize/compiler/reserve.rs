//! What the search must leave for the evaluation of its result.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use futures::future::BoxFuture;
use teleprompt_core::{Limits, Meter, Money, Result, Usage};

use crate::optimize::study::{Run, Split};
use crate::optimize::{Candidate, RunCall, Runner, Task};

/// Runs candidates for the search, and before each run lowers the search's limits to what leaves
/// enough for the test examples: under the winner so far or under the candidate that is run,
/// whichever needs more by its own runs on validation examples. A candidate that is too dear to be
/// measured in the end so ends the search before it can win.
pub(super) struct Reserve<'a> {
    /// With the runner that really runs.
    task: Task<'a>,
    /// The search's share of the budget.
    share: Meter,
    /// For the search and the evaluation of its result together, counted by `share`.
    limits: Limits,
    /// Held as long as nothing is measured.
    guess: Needs,
    measured: Mutex<HashMap<String, Tally>>,
}

/// What an evaluation needs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Needs {
    calls: u64,
    tokens: u64,
    cost: Money,
}

impl Needs {
    /// Before any candidate is known: a compiled prompt is longer than that of the program as
    /// written, so three times its tokens.
    pub fn guessed(plain: Usage) -> Self {
        let tokens = plain.prompt_tokens + plain.completion_tokens;
        Self { calls: plain.calls, tokens: 3 * tokens, cost: plain.cost.times(3) }
    }

    fn max(self, other: Self) -> Self {
        Self {
            calls: self.calls.max(other.calls),
            tokens: self.tokens.max(other.tokens),
            cost: self.cost.max(other.cost),
        }
    }

    /// What these limits leave.
    pub fn taken_from(self, limits: Limits) -> Limits {
        Limits {
            calls: limits.calls.map(|n| n.saturating_sub(self.calls)),
            tokens: limits.tokens.map(|n| n.saturating_sub(self.tokens)),
            cost: limits.cost.map(|c| c.saturating_sub(self.cost)),
            time: limits.time,
        }
    }
}

/// Calls, tokens and dollars of runs, summed: themselves and squared.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    n: u64,
    sums: [f64; 3],
    squares: [f64; 3],
}

impl Tally {
    fn add(&mut self, run: &Run) {
        let mut usage = run.usage;
        usage += run.judged;
        // What came from a cache would have cost as much as the rest; the test examples will.
        let paid = usage.calls as f64 / usage.priced_calls.max(1) as f64;
        let tokens = usage.prompt_tokens + usage.completion_tokens;
        let values = [usage.calls as f64, tokens as f64, usage.cost.as_dollars() * paid];
        self.n += 1;
        let sums = self.sums.iter_mut().zip(&mut self.squares);
        for ((sum, square), value) in sums.zip(values) {
            *sum += value;
            *square += value * value;
        }
    }

    /// What `runs` further runs need, two standard deviations above what is to be expected; none
    /// if nothing is known.
    fn needs(&self, runs: usize) -> Option<Needs> {
        let (n, runs) = (self.n as f64, runs as f64);
        let need = |(sum, square): (&f64, &f64)| {
            let mean = sum / n;
            let deviation = (square / n - mean * mean).max(0.0).sqrt();
            // Rounding is no need.
            runs * mean + 2.0 * deviation * runs.sqrt() - 1e-6 * mean
        };
        let all: Vec<f64> = self.sums.iter().zip(&self.squares).map(need).collect();
        match (self.n, all.as_slice()) {
            (1.., [calls, tokens, dollars]) => Some(Needs {
                calls: calls.ceil() as u64,
                tokens: tokens.ceil() as u64,
                cost: Money::dollars(*dollars),
            }),
            _ => None,
        }
    }
}

impl<'a> Reserve<'a> {
    /// `share` counts the search; `limits` are those of search and result together.
    pub fn new(task: Task<'a>, share: Meter, limits: Limits, guess: Needs) -> Self {
        Self { task, share, limits, guess, measured: Mutex::default() }
    }

    fn is_limited(&self) -> bool {
        let Limits { calls, tokens, cost, .. } = self.limits;
        calls.is_some() || tokens.is_some() || cost.is_some()
    }

    /// Leaves what the winner so far and this candidate need.
    fn hold(&self, candidate: &Candidate) {
        let winner = self.task.winner();
        let needs = self.needs(&winner).max(self.needs(candidate));
        self.share.set_limits(needs.taken_from(self.limits));
    }

    fn needs(&self, candidate: &Candidate) -> Needs {
        let tests = self.task.examples(Split::Test).len();
        self.with_tally(candidate, |tally| tally.needs(tests)).unwrap_or(self.guess)
    }

    fn with_tally<T>(&self, candidate: &Candidate, look: impl FnOnce(&mut Tally) -> T) -> T {
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        let known = || {
            let mut tally = Tally::default();
            let runs = self.task.known(candidate, Split::Val);
            runs.iter().flatten().for_each(|run| tally.add(run));
            tally
        };
        look(measured.entry(candidate.hash.clone()).or_insert_with(known))
    }
}

impl Runner for Reserve<'_> {
    fn run<'a>(&'a self, call: RunCall<'a>) -> BoxFuture<'a, Result<Run>> {
        if !self.is_limited() || call.split != Split::Val {
            return self.task.runner.run(call);
        }
        Box::pin(async move {
            self.hold(call.candidate);
            let run = self.task.runner.run(call).await?;
            self.with_tally(call.candidate, |tally| tally.add(&run));
            Ok(run)
        })
    }

    fn identity(&self) -> String {
        self.task.runner.identity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(calls: &[u64]) -> Tally {
        let mut tally = Tally::default();
        for calls in calls {
            let usage = Usage {
                calls: *calls,
                prompt_tokens: 10 * calls,
                priced_calls: 1,
                cost: Money::dollars(0.5),
                ..Usage::default()
            };
            tally.add(&Run { usage, ..Run::default() });
        }
        tally
    }

    #[test]
    fn equal_runs_need_no_more_than_they_used_and_unequal_ones_some_more() {
        let cost = Money::dollars(0.5 * 3.0 * 20.0);
        let even = tally(&[3, 3, 3]).needs(20).unwrap();
        assert_eq!((even.calls, even.tokens), (60, 600));
        assert!((even.cost.as_dollars() - cost.as_dollars()).abs() < 1e-3, "{:?}", even.cost);
        let uneven = tally(&[1, 3, 5]).needs(20).unwrap();
        assert!(uneven.calls > 70 && uneven.calls < 80, "{uneven:?}");
        assert_eq!(tally(&[]).needs(20), None);
    }
}
