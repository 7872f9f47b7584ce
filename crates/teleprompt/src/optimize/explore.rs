//! Any search with any race: points become candidates, candidates race on validation examples.

use futures::future::BoxFuture;
use teleprompt_core::Result;

use super::race::{Cell, Race, Racer, Standing, State};
use super::search::{Search, Told};
use super::study::{Run, Split};
use super::{Call, Candidate, Task};

/// Makes the candidate for a point of a search.
///
/// Under [`Race::KFold`] it is asked for one a fold, with the fold's examples taken out of
/// [`Task::train`].
pub trait Make<P>: Sync {
    /// The candidate.
    ///
    /// # Errors
    /// Those of the task's methods.
    fn make<'a>(&'a self, task: &'a Task<'_>, point: &'a P) -> BoxFuture<'a, Result<Candidate>>;
}

/// Runs a search to its end: asks it for points, makes their candidates, races them on the
/// validation examples, and tells it their scores. Gives the best candidate of those that were run
/// on all validation examples.
///
/// [`Task::base`] is entered first, so that a race that prunes has something to compare with and
/// the start is always a candidate. `start` is its point, for searches that have one; it is told its
/// score before the first point is asked for.
///
/// # Errors
/// A fatal error of the LM, the budget or the journal, or a stop condition.
pub async fn explore<S: Search>(
    task: &Task<'_>,
    search: &mut S,
    start: Option<S::Point>,
    race: &Race,
    make: &dyn Make<S::Point>,
) -> Result<Candidate> {
    let mut racing = Racing::new(task, race);
    let base = racing.enter_base().await?;
    if let Some(start) = start {
        let standing = racing.standing(base);
        search.tell(&start, Told { mean: standing.mean, n: standing.n });
    }
    let mut entered: Vec<(S::Point, usize, usize)> = Vec::new();
    loop {
        let mut batch = 0;
        while batch < racing.racer.batch() {
            let Some(point) = search.ask() else { break };
            let entrant = racing.enter(make, &point).await?;
            entered.push((point, entrant, 0));
            batch += 1;
        }
        if batch == 0 {
            break;
        }
        racing.run().await?;
        racing.conclude_new()?;
        // What was promoted has a better founded score now than when it was told first.
        for (point, entrant, told) in &mut entered {
            let standing = racing.racer.standing(*entrant);
            if standing.n > *told {
                *told = standing.n;
                search.tell(point, Told { mean: standing.mean, n: standing.n });
            }
        }
    }
    racing.finish().await
}

/// Candidates racing on the validation examples of a task. Recipes that make candidates one after
/// another, each from what the ones before taught, drive it themselves.
pub struct Racing<'t, 'a> {
    task: &'t Task<'a>,
    /// The validation examples, or under [`Race::KFold`] those to learn from as well.
    pool: Task<'a>,
    folds: usize,
    racer: Racer,
    entrants: Vec<Entrant>,
}

struct Entrant {
    candidate: Candidate,
    /// By fold; empty where the race has none, or the candidate is the same for all.
    folds: Vec<Candidate>,
    /// By example.
    runs: Vec<Option<Run>>,
    /// The examples that the last word on it rests on.
    concluded: Option<usize>,
    /// It was said that it is out.
    out: bool,
}

impl<'t, 'a> Racing<'t, 'a> {
    /// A race with no entrants yet.
    pub fn new(task: &'t Task<'a>, race: &Race) -> Self {
        let folds = if let Race::KFold { folds } = race { *folds } else { 0 };
        let pool = match folds {
            0 => task.clone(),
            _ => {
                let all: Vec<_> = task.train.iter().chain(task.val.iter()).cloned().collect();
                let all = crate::data::Dataset::new(task.train.name(), all);
                Task { folded: true, ..task.with_examples(all.clone(), all) }
            }
        };
        let racer = Racer::new(race, pool.val.len(), task.rng("race").seed());
        Self { task, pool, folds, racer, entrants: Vec::new() }
    }

    /// Enters what the search starts from, runs it on all examples, and gives its number.
    ///
    /// # Errors
    /// Those of [`Task::run`].
    pub async fn enter_base(&mut self) -> Result<usize> {
        let base = self.task.base().clone();
        self.keep(base, Vec::new());
        let entrant = self.racer.enter_whole();
        self.run().await?;
        self.conclude(entrant)?;
        Ok(entrant)
    }

    /// Enters a candidate that is the same whatever it is compared on, and gives its number.
    pub fn enter_candidate(&mut self, candidate: Candidate) -> usize {
        self.push(candidate, Vec::new())
    }

    /// Enters the candidate of a point, made for each fold where the race has folds.
    ///
    /// # Errors
    /// Those of [`Make::make`].
    pub async fn enter<P>(&mut self, make: &dyn Make<P>, point: &P) -> Result<usize> {
        let mut folds = Vec::new();
        for fold in 0..self.folds {
            let places: Vec<usize> = (0..self.pool.val.len())
                .filter(|example| self.racer.fold(*example) != Some(fold))
                .collect();
            let train = self.pool.train.select(&places);
            let task = self.task.with_examples(train, self.pool.val.clone());
            folds.push(make.make(&task, point).await?);
        }
        let candidate = make.make(&self.pool, point).await?;
        Ok(self.push(candidate, folds))
    }

    fn push(&mut self, candidate: Candidate, folds: Vec<Candidate>) -> usize {
        self.keep(candidate, folds);
        self.racer.enter()
    }

    fn keep(&mut self, candidate: Candidate, folds: Vec<Candidate>) {
        let runs = vec![None; self.pool.val.len()];
        self.entrants.push(Entrant { candidate, folds, runs, concluded: None, out: false });
    }

    /// Runs what the race wants run until every entrant is judged.
    ///
    /// # Errors
    /// Those of [`Task::run`].
    pub async fn run(&mut self) -> Result<()> {
        loop {
            let cells = self.racer.next();
            if cells.is_empty() {
                return Ok(());
            }
            let calls: Vec<Call<'_>> = cells.iter().filter_map(|cell| self.call(cell)).collect();
            let runs = self.pool.run_told(&self.label(&cells), Split::Val, &calls).await?;
            for (cell, run) in cells.iter().zip(runs) {
                self.racer.tell(*cell, run.score);
                let entrant = self.entrants.get_mut(cell.entrant);
                if let Some(slot) = entrant.and_then(|e| e.runs.get_mut(cell.example)) {
                    *slot = Some(run);
                }
            }
        }
    }

    fn call(&self, cell: &Cell) -> Option<Call<'_>> {
        let entrant = self.entrants.get(cell.entrant)?;
        let fold = cell.fold.and_then(|fold| entrant.folds.get(fold));
        Some(Call::new(fold.unwrap_or(&entrant.candidate), Split::Val, cell.example))
    }

    /// Who is run, for people.
    fn label(&self, cells: &[Cell]) -> String {
        let mut numbers: Vec<usize> = cells.iter().map(|c| c.entrant).collect();
        numbers.dedup();
        match numbers.as_slice() {
            [one] => self.entrants.get(*one).map_or("", |e| &e.candidate.origin).to_owned(),
            many => format!("{} candidates", many.len()),
        }
    }

    /// Whether a candidate of these parameters was entered before.
    pub fn knows(&self, candidate: &Candidate) -> bool {
        self.entrants.iter().any(|entrant| entrant.candidate.hash == candidate.hash)
    }

    /// How an entrant stands.
    pub fn standing(&self, entrant: usize) -> Standing {
        self.racer.standing(entrant)
    }

    /// An entrant's candidate.
    pub fn candidate(&self, entrant: usize) -> Option<&Candidate> {
        self.entrants.get(entrant).map(|e| &e.candidate)
    }

    /// The best entrant of those that were run on all examples.
    pub fn best(&self) -> Option<usize> {
        self.racer.best()
    }

    /// Journals what became of an entrant; whether it is the best now.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub fn conclude(&mut self, entrant: usize) -> Result<bool> {
        let standing = self.racer.standing(entrant);
        let Some(entered) = self.entrants.get_mut(entrant) else { return Ok(false) };
        entered.concluded = Some(standing.n);
        let candidate = entered.candidate.clone();
        let (mean, n) = (standing.mean, standing.n);
        let why = match standing.state {
            State::Complete => {
                let runs: Vec<Run> = entered.runs.iter().flatten().cloned().collect();
                return self.pool.consider(&candidate, &runs);
            }
            State::Pruned { why } => why,
            State::Racing => {
                format!("{mean:.4} on {n} validation examples, not run on all of them")
            }
        };
        self.task.decide(&candidate, false, Some(mean), n, why).map(|()| false)
    }

    /// Concludes entrants about which more is known than when they were concluded last.
    fn conclude_new(&mut self) -> Result<()> {
        for entrant in 0..self.entrants.len() {
            let standing = self.racer.standing(entrant);
            let last = self.entrants.get(entrant).and_then(|e| e.concluded);
            let pruned = matches!(standing.state, State::Pruned { .. });
            let said = self.entrants.get(entrant).is_some_and(|e| e.out);
            if last != Some(standing.n) || (pruned && !said) {
                if let Some(entered) = self.entrants.get_mut(entrant) {
                    entered.out = pruned;
                }
                self.conclude(entrant)?;
            }
        }
        Ok(())
    }

    /// Completes what may still win, and gives the winner.
    ///
    /// # Errors
    /// Those of [`Racing::run`].
    pub async fn finish(mut self) -> Result<Candidate> {
        self.racer.finish();
        self.run().await?;
        self.conclude_new()?;
        Ok(self.pool.winner())
    }
}
