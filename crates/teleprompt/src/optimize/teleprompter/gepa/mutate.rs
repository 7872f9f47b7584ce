//! Reflective mutation: rewrite what a minibatch showed to be wrong.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream;
use teleprompt_core::Result;

use super::evolve::Evolution;
use super::options::{Keep, Parents};
use crate::data::Rng;
use crate::optimize::propose::{Draft, Observation, Subject, observations};
use crate::optimize::search::Components;
use crate::optimize::study::{Run, Split};
use crate::optimize::{Call, Candidate};

/// A parent and the train examples to learn from.
struct Pick {
    parent: usize,
    places: Vec<usize>,
}

/// Predictors to be rewritten by what a minibatch showed.
struct Job {
    pick: Pick,
    /// The parent's sum of scores on it.
    before: f64,
    texts: Components,
    /// Place and observations of each predictor to rewrite.
    shown: Vec<(usize, Vec<Observation>)>,
    /// Whose turn it is in the child.
    turn: usize,
    number: u64,
}

/// New texts by the paths of their predictors.
type Drafts = Vec<(Arc<str>, Draft)>;

/// A new candidate to be tried on its parent's minibatch.
struct Child {
    candidate: Candidate,
    job: Job,
}

impl Evolution<'_, '_> {
    /// One iteration: parents on minibatches, proposals, children on the same minibatches, and the
    /// better ones validated.
    pub async fn mutate(&mut self, iteration: u64, rng: Rng) -> Result<()> {
        self.merging.found = false;
        let picks = self.picks(iteration, &mut rng.derive("select"));
        let runs = self.train_runs(&picks).await?;
        let mut jobs = Vec::new();
        for (k, (pick, runs)) in picks.into_iter().zip(runs).enumerate() {
            let number = iteration * self.recipe.count() as u64 + k as u64;
            jobs.extend(self.job(pick, &runs, number, &mut rng.derive(&format!("job {k}"))));
        }
        let children = self.children(jobs).await?;
        self.compete(children).await
    }

    fn picks(&self, iteration: u64, rng: &mut Rng) -> Vec<Pick> {
        let count = self.recipe.count();
        let mut pick = |number: usize| {
            let parent = self.front.select(self.recipe.candidate_selection, rng)?;
            let (size, n) = (self.recipe.minibatch_size, self.task.train.len());
            let places = self.recipe.minibatch_sampling.draw(number, size, n, &self.rng);
            Some(Pick { parent, places })
        };
        let iteration = iteration as usize;
        match self.recipe.proposals.parents {
            Parents::Independent => {
                (0..count).filter_map(|k| pick(iteration * count + k)).collect()
            }
            Parents::Same => pick(iteration)
                .into_iter()
                .flat_map(|Pick { parent, places }| {
                    (0..count).map(move |_| Pick { parent, places: places.clone() })
                })
                .collect(),
        }
    }

    /// The runs of each parent on its minibatch.
    async fn train_runs(&self, picks: &[Pick]) -> Result<Vec<Vec<Run>>> {
        let named = |pick: &Pick| {
            let candidate = self.members.get(pick.parent).map(|m| m.candidate.clone());
            (candidate, pick.places.clone())
        };
        let wanted: Vec<_> = picks.iter().map(named).collect();
        let wanted: Vec<(&Candidate, &[usize])> = wanted
            .iter()
            .filter_map(|(candidate, places)| Some((candidate.as_ref()?, &**places)))
            .collect();
        self.run_distinct(&wanted).await
    }

    /// The runs of each candidate on its places; what two have in common is run once.
    async fn run_distinct(&self, wanted: &[(&Candidate, &[usize])]) -> Result<Vec<Vec<Run>>> {
        let mut calls: Vec<Call<'_>> = Vec::new();
        let mut at: Vec<Vec<usize>> = Vec::new();
        for (candidate, places) in wanted {
            let mut mine = Vec::new();
            for place in *places {
                let same = |c: &Call<'_>| c.candidate.hash == candidate.hash && c.place == *place;
                mine.push(calls.iter().position(same).unwrap_or(calls.len()));
                if mine.last() == Some(&calls.len()) {
                    calls.push(Call::new(candidate, Split::Train, *place));
                }
            }
            at.push(mine);
        }
        let runs = self.task.run_all(&calls).await?;
        let taken = |mine: Vec<usize>| mine.iter().filter_map(|i| runs.get(*i).cloned()).collect();
        Ok(at.into_iter().map(taken).collect())
    }

    /// What to rewrite of a parent; none if there is nothing to learn.
    fn job(&mut self, pick: Pick, runs: &[Run], number: u64, rng: &mut Rng) -> Option<Job> {
        let perfect = |run: &Run| !run.failed() && run.score >= self.recipe.perfect_score;
        if self.recipe.skip_perfect_score && runs.iter().all(perfect) {
            self.tally.perfect += 1;
            return None;
        }
        let paths = self.task.predictors.iter().map(|(path, _)| path);
        let mut seen: Vec<Vec<Observation>> =
            paths.map(|path| observations(path, runs, &mut rng.derive(path))).collect();
        let shown: Vec<bool> = seen.iter().map(|seen| !seen.is_empty()).collect();
        let texts = self.texts(pick.parent);
        let member = self.members.get_mut(pick.parent)?;
        let (chosen, turn) = self.recipe.component_selection.choose(member.turn, &shown);
        member.turn = turn;
        if chosen.is_empty() {
            self.tally.failed += 1;
            return None;
        }
        let take = |i: usize| Some((i, std::mem::take(seen.get_mut(i)?)));
        let shown = chosen.into_iter().filter_map(take).collect();
        let before = runs.iter().map(|run| run.score).sum();
        Some(Job { pick, before, texts, shown, turn, number })
    }

    /// Asks for all new texts, several at a time, and makes candidates of them.
    async fn children(&mut self, jobs: Vec<Job>) -> Result<Vec<Child>> {
        let asking: Vec<_> = jobs.iter().map(|job| self.drafts(job)).collect();
        let drafts: Vec<Result<Drafts>> =
            stream::iter(asking).buffered(self.task.concurrency).collect().await;
        let mut children = Vec::new();
        for (mut job, drafts) in jobs.into_iter().zip(drafts) {
            let mut changed = Vec::new();
            for (path, draft) in drafts? {
                match draft {
                    Ok(text) => changed.push((path, text)),
                    Err(why) => {
                        self.tally.failed += 1;
                        self.task
                            .note(format!("proposal {} for `{path}`: {why}", job.number + 1))?;
                    }
                }
            }
            if changed.is_empty() {
                continue;
            }
            let paths: Vec<&str> = changed.iter().map(|(path, _)| &**path).collect();
            let origin = format!("reflection {} on {}", job.number + 1, paths.join(", "));
            job.texts.extend(changed);
            match self.child(origin, &job.texts, &[job.pick.parent])? {
                Some(candidate) => children.push(Child { candidate, job }),
                None => self.tally.known += 1,
            }
        }
        Ok(children)
    }

    async fn drafts(&self, job: &Job) -> Result<Drafts> {
        let reflect = self.recipe.reflect();
        let mut drafts = Vec::new();
        for (place, seen) in &job.shown {
            let Some((path, signature)) = self.task.predictors.get(*place) else { continue };
            let current = job.texts.get(path).map(|text| &**text).unwrap_or_default();
            let subject = Subject { path, signature, current };
            let draft = reflect.propose(self.task, subject, seen, job.number).await?;
            drafts.push((path.clone(), draft));
        }
        Ok(drafts)
    }

    /// Runs children on their minibatches and admits those that are better than their parents.
    async fn compete(&mut self, children: Vec<Child>) -> Result<()> {
        let wanted: Vec<(&Candidate, &[usize])> =
            children.iter().map(|child| (&child.candidate, &*child.job.pick.places)).collect();
        let runs = self.run_distinct(&wanted).await?;
        let mut better: Vec<(f64, Child)> = Vec::new();
        for (child, runs) in children.into_iter().zip(runs) {
            let after: f64 = runs.iter().map(|run| run.score).sum();
            let (before, n) = (child.job.before, runs.len());
            if self.recipe.acceptance.accepts(before, after) {
                better.push((after - before, child));
                continue;
            }
            self.tally.no_better += 1;
            let why = format!("{after:.4} in sum on a minibatch of {n}, its parent {before:.4}");
            let mean = Some(after / n.max(1) as f64);
            self.task.decide(&child.candidate, false, mean, n, why)?;
        }
        for (_, child) in self.kept(better)? {
            self.admit(child.candidate, vec![child.job.pick.parent], child.job.turn).await?;
        }
        Ok(())
    }

    fn kept(&mut self, better: Vec<(f64, Child)>) -> Result<Vec<(f64, Child)>> {
        if self.recipe.proposals.keep == Keep::All {
            return Ok(better);
        }
        let most = better.iter().map(|(gain, _)| *gain).fold(f64::NEG_INFINITY, f64::max);
        let mut kept = Vec::new();
        for (gain, child) in better {
            if kept.is_empty() && gain >= most {
                kept.push((gain, child));
                continue;
            }
            self.tally.no_better += 1;
            let why = format!(
                "it gained {gain:.4} on its minibatch, another proposal of the same time {most:.4}; \
                 only the best is kept"
            );
            self.task.reject(&child.candidate, why)?;
        }
        Ok(kept)
    }
}
