//! Which candidates were scored, which is best, and whether the search is to stop.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use teleprompt_core::{Error, Result, Usage};

use super::Task;
use super::flights::Flights;
use super::objective::{Means, Objective};
use crate::evaluate::stats;
use crate::optimize::study::{Event, Run, Split};
use crate::optimize::{Candidate, Cost};

/// When a search ends besides its budget. Default: never.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stops {
    /// At this mean validation score.
    pub score: Option<f64>,
    /// After so many candidates in a row of which none was better, whether they were scored on all
    /// validation examples or turned down on some of them; each counts once.
    pub no_improvement: Option<usize>,
    /// When this file exists.
    pub file: Option<PathBuf>,
}

/// What the search knows of its candidates so far.
pub(in crate::optimize) struct Standing {
    stops: Stops,
    objective: Objective,
    pub(super) flights: Flights,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    scored: Vec<Scored>,
    runs: HashSet<String>,
    questions: HashSet<String>,
    /// The hashes of the candidates that were judged.
    concluded: HashSet<String>,
    since_best: usize,
    /// The worst score of a run that did not fail, 0 at most.
    worst: f64,
    stopped: Option<String>,
}

/// A candidate that was run on all examples of a validation set.
struct Scored {
    candidate: Candidate,
    set: Arc<str>,
    means: Means,
    /// The share of runs that failed, and what the others add to the mean score.
    failed: f64,
    others: f64,
}

impl Scored {
    /// The means, where failed runs have at most this score.
    fn means(&self, worst: f64) -> Means {
        match self.failed > 0.0 && worst < 0.0 {
            true => Means { score: self.others + self.failed * worst, ..self.means },
            false => self.means,
        }
    }
}

impl Inner {
    /// Those on this set; where there are none yet, those on the set that was used last.
    fn on<'s>(&'s self, set: &'s Arc<str>) -> impl Iterator<Item = &'s Scored> {
        let known = self.scored.iter().any(|s| s.set == *set);
        let set = if known { Some(set) } else { self.scored.last().map(|s| &s.set) };
        self.scored.iter().filter(move |s| Some(&s.set) == set)
    }
}

impl Standing {
    pub fn new(stops: Stops, objective: Objective) -> Self {
        Self { stops, objective, flights: Flights::default(), inner: Mutex::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the search may go on.
    pub fn check(&self) -> Result<()> {
        if let Some(why) = self.inner().stopped.clone() {
            return Err(Error::Stopped(why));
        }
        match &self.stops.file {
            Some(file) if file.exists() => {
                Err(Error::Stopped(format!("the stop file {} is there", file.display())))
            }
            _ => Ok(()),
        }
    }

    /// A run was wanted under this key.
    pub fn count_run(&self, key: &str) {
        self.inner().runs.insert(key.to_owned());
    }

    /// A question was wanted under this key.
    pub fn count_question(&self, key: &str) {
        self.inner().questions.insert(key.to_owned());
    }

    /// Whether any candidate was scored on this set.
    fn knows(&self, set: &Arc<str>) -> bool {
        self.inner().scored.iter().any(|s| s.set == *set)
    }

    fn used(&self) -> Cost {
        let inner = self.inner();
        Cost { runs: inner.runs.len() as u64, questions: inner.questions.len() as u64 }
    }

    /// The best candidate that was scored on all examples of the set.
    pub fn winner(&self, set: &Arc<str>) -> Option<(Candidate, f64)> {
        let inner = self.inner();
        let means: Vec<Means> = inner.on(set).map(|s| s.means(inner.worst)).collect();
        let place = self.objective.choose(&means)?;
        let winner = inner.on(set).nth(place)?;
        Some((winner.candidate.clone(), means.get(place)?.score))
    }

    /// All of them with their scores, in the order in which they were scored.
    pub fn scored(&self, set: &Arc<str>) -> Vec<(Candidate, f64)> {
        let inner = self.inner();
        let of = |s: &Scored| (s.candidate.clone(), s.means(inner.worst).score);
        inner.on(set).map(of).collect()
    }

    /// Gives failed runs the worst score seen so far, if that is below 0: where scores are negative,
    /// failing is not to be better than answering. Runs are told in the order of their calls, so a
    /// search that goes on comes to the same scores.
    pub(super) fn level(&self, runs: &mut [Run]) {
        let mut inner = self.inner();
        let answered = runs.iter().filter(|r| !r.failed()).map(|r| r.score);
        inner.worst = answered.fold(inner.worst, f64::min);
        runs.iter_mut().filter(|r| r.failed()).for_each(|r| r.score = inner.worst);
    }

    /// Takes a candidate scored on this set; whether it is the winner there now.
    fn enter(&self, candidate: &Candidate, set: &Arc<str>, runs: &[Run]) -> bool {
        let means = means(runs);
        let same = |s: &Scored| s.candidate.hash == candidate.hash && s.set == *set;
        let known = self.inner().scored.iter().any(same);
        if !known {
            let n = runs.len().max(1) as f64;
            let answered = runs.iter().filter(|r| !r.failed());
            self.inner().scored.push(Scored {
                candidate: candidate.clone(),
                set: set.clone(),
                means,
                failed: runs.iter().filter(|r| r.failed()).count() as f64 / n,
                others: answered.map(|r| r.score).sum::<f64>() / n,
            });
        }
        let won = self.winner(set).is_some_and(|(winner, _)| winner.hash == candidate.hash);
        if known {
            // Scored before: it counts neither as a gain nor as a failure.
            return won;
        }
        self.conclude(&candidate.hash, won);
        let mut inner = self.inner();
        if let Some(goal) = self.stops.score.filter(|goal| won && means.score >= *goal) {
            inner.stopped = Some(format!("the validation score reached {goal}"));
        }
        won
    }

    /// A candidate was better than those before it, or was not; what was no better counts once.
    fn conclude(&self, hash: &str, better: bool) {
        let mut inner = self.inner();
        let news = inner.concluded.insert(hash.to_owned());
        if better {
            inner.since_best = 0;
        } else if news {
            inner.since_best += 1;
        }
        if self.stops.no_improvement.is_some_and(|most| inner.since_best >= most.max(1)) {
            let n = inner.since_best;
            inner.stopped = Some(format!("{n} candidates in a row were no better"));
        }
    }
}

impl Task<'_> {
    /// Scores a candidate on all validation examples, takes it or turns it down, and gives its mean
    /// score.
    ///
    /// # Errors
    /// Those of [`Task::runs`].
    pub async fn validate(&self, candidate: &Candidate) -> Result<f64> {
        let places: Vec<usize> = (0..self.val.len()).collect();
        let runs = self.runs(candidate, Split::Val, &places).await?;
        self.consider(candidate, &runs)?;
        Ok(mean_score(&runs))
    }

    /// Takes a candidate that was run on all validation examples, or turns it down; whether it is the
    /// best so far. A tie goes to the earlier one.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub fn consider(&self, candidate: &Candidate, runs: &[Run]) -> Result<bool> {
        let set = self.places.set();
        let first = !self.standing.knows(set);
        let before = self.standing.winner(set).filter(|_| !first);
        let accepted = self.standing.enter(candidate, set, runs);
        let (n, score) = (runs.len(), mean_score(runs));
        let why = match before {
            None => format!("{score:.4} on {n} validation examples, the first"),
            Some((best, b)) if best.hash == candidate.hash => {
                format!("{score:.4} on {n} validation examples, as before ({b:.4})")
            }
            Some((_, b)) => format!("{score:.4} on {n} validation examples, best before {b:.4}"),
        };
        self.journal_decision(candidate, accepted, Some(score), n, why)?;
        Ok(accepted)
    }

    /// Turns a candidate down, or says why something became none.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub fn reject(&self, candidate: &Candidate, why: impl Into<String>) -> Result<()> {
        self.journal_decision(candidate, false, None, 0, why)
    }

    /// Journals a decision of the recipe's own, such as on a minibatch of `n` examples. It counts
    /// for [`Stops::no_improvement`].
    ///
    /// # Errors
    /// The journal cannot be written.
    pub fn decide(
        &self,
        candidate: &Candidate,
        accepted: bool,
        score: Option<f64>,
        n: usize,
        why: impl Into<String>,
    ) -> Result<()> {
        self.standing.conclude(&candidate.hash, accepted);
        self.journal_decision(candidate, accepted, score, n, why)
    }

    fn journal_decision(
        &self,
        candidate: &Candidate,
        accepted: bool,
        score: Option<f64>,
        n: usize,
        why: impl Into<String>,
    ) -> Result<()> {
        let (candidate, why) = (candidate.hash.clone(), why.into());
        self.study.record(Event::Decided { candidate, accepted, score, n, why })
    }

    /// The best candidate so far of those scored on all of the task's validation examples. Where
    /// there is none yet, it is the best on the validation examples that were used last; else the
    /// start.
    pub fn winner(&self) -> Candidate {
        let best = self.standing.winner(self.places.set());
        best.map_or_else(|| self.base.clone(), |(candidate, _)| candidate)
    }

    /// How many different runs and questions the search has wanted so far, those that the study knew
    /// from before among them: what recipes that plan by cost go by, so that they decide the same
    /// when they are resumed.
    pub fn used(&self) -> Cost {
        self.standing.used()
    }

    /// The candidates that [`Task::winner`] is chosen from, with their mean scores, in the order in
    /// which they were scored.
    pub fn scored(&self) -> Vec<(Candidate, f64)> {
        self.standing.scored(self.places.set())
    }
}

/// The mean score; higher is better. 0 for no runs.
pub fn mean_score(runs: &[Run]) -> f64 {
    if runs.is_empty() {
        return 0.0;
    }
    stats::mean(&runs.iter().map(|r| r.score).collect::<Vec<_>>())
}

fn means(runs: &[Run]) -> Means {
    let n = runs.len().max(1) as f64;
    let mut usage = Usage::default();
    runs.iter().for_each(|r| usage += r.usage);
    Means {
        score: mean_score(runs),
        dollars: usage.total_cost().map(|cost| cost.as_dollars() / n),
        tokens: (usage.prompt_tokens + usage.completion_tokens) as f64 / n,
        millis: runs.iter().map(|r| r.millis as f64).sum::<f64>() / n,
    }
}
