//! The ascent: sample, learn, evaluate, one mini-batch after the other.

use std::collections::HashSet;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream;
use teleprompt_core::{ProgramState, Result, Signature};

use super::Simba;
use super::bucket::{Bounds, Bucket, sort};
use super::change::{Draft, Strategy};
use crate::data::Rng;
use crate::optimize::propose::{Contrast, Rule, introspect, outline};
use crate::optimize::search::Pool;
use crate::optimize::study::{Run, Split};
use crate::optimize::teleprompter::MinibatchSampling;
use crate::optimize::{Call, Candidate, Task, mean_score};

pub(super) struct Ascent<'s, 'a> {
    task: &'s Task<'a>,
    recipe: &'s Simba,
    pool: Pool<Candidate>,
    rng: Rng,
    /// Hashes of all candidates made: none is tried twice.
    known: HashSet<String>,
    winners: Vec<usize>,
}

/// A change that is worked on.
struct Plan<'b> {
    bucket: &'b Bucket,
    strategy: Strategy,
    source: usize,
    draft: Draft,
    rollout: u64,
}

impl<'s, 'a> Ascent<'s, 'a> {
    /// Starts from the base, with its validation score.
    pub fn new(task: &'s Task<'a>, recipe: &'s Simba, base: f64) -> Self {
        let mut pool = Pool::default();
        let id = pool.add(task.base().clone());
        pool.tell(id, base);
        let known = HashSet::from([task.base().hash.clone()]);
        Self { task, recipe, pool, rng: task.rng("simba"), known, winners: Vec::new() }
    }

    pub async fn step(&mut self, step: usize) -> Result<()> {
        let rng = self.rng.derive(&format!("step {step}"));
        let n = self.task.train.len();
        let places = MinibatchSampling::EpochShuffled.draw(step, self.recipe.bsize, n, &self.rng);
        let among = self.among();
        let mut buckets = self.sample(step, &places, &among, &mut rng.derive("sample")).await?;
        let bounds = Bounds::of(&buckets);
        sort(&mut buckets);
        let plans = self.plans(step, &buckets, bounds, &among, &rng);
        let children = self.children(step, plans).await?;
        self.evaluate(step, children, &places).await
    }

    /// The best candidates, the base always among them.
    fn among(&self) -> Vec<usize> {
        let mut top = self.pool.top(self.recipe.count());
        if !top.contains(&0) {
            top.pop();
            top.push(0);
        }
        top
    }

    /// Several runs of each example, each by a candidate drawn from the best, and one of them by the
    /// teacher, if there is one: its program, or the candidate under its context.
    async fn sample(
        &self,
        step: usize,
        places: &[usize],
        among: &[usize],
        rng: &mut Rng,
    ) -> Result<Vec<Bucket>> {
        let teacher = Candidate::new("the teacher", ProgramState::default());
        let (count, taught) = (self.recipe.count(), self.task.has_teacher());
        let mut calls = Vec::new();
        for place in places {
            for k in 0..count {
                let rollout = (step * count + k) as u64;
                let drawn = self.pool.draw(among, self.recipe.temperature_for_sampling, rng);
                let candidate = drawn.and_then(|id| self.pool.get(id));
                let call = match candidate {
                    Some(candidate) if k == 0 && taught => {
                        let own = self.task.teacher.map(|_| &teacher);
                        Call::new(own.unwrap_or(candidate), Split::Train, *place).by_teacher()
                    }
                    Some(candidate) => Call::new(candidate, Split::Train, *place),
                    None => continue,
                };
                calls.push(call.sampled(rollout, 1.0));
            }
        }
        let name = format!("samples of step {}", step + 1);
        let mut runs = self.task.run_told(&name, Split::Train, &calls).await?.into_iter();
        let bucket = |place: &usize| {
            let mut own: Vec<Run> = runs.by_ref().take(count).collect();
            if self.task.teacher.is_some() {
                own.iter_mut().take(1).for_each(|run| self.as_student(run));
            }
            Bucket::new(*place, own)
        };
        Ok(places.iter().map(bucket).collect())
    }

    /// Names the steps of a teacher's run by the student's paths.
    fn as_student(&self, run: &mut Run) {
        run.steps.retain_mut(|step| match self.task.taught.get(&step.path) {
            Some(path) => {
                step.path = path.clone();
                true
            }
            None => false,
        });
    }

    /// What to change by which example; examples that teach nothing are passed over.
    fn plans<'b>(
        &self,
        step: usize,
        buckets: &'b [Bucket],
        bounds: Bounds,
        among: &[usize],
        rng: &Rng,
    ) -> Vec<Plan<'b>> {
        let count = self.recipe.count();
        let mut plans: Vec<Plan<'b>> = Vec::new();
        for (i, bucket) in buckets.iter().enumerate() {
            if plans.len() == count {
                break;
            }
            let mut rng = rng.derive(&format!("bucket {i}"));
            let demos = self.recipe.max_demos > 0;
            let strategy = Strategy::choose(bucket, bounds, demos, &mut rng);
            let source = self.pool.draw(among, self.recipe.temperature_for_candidates, &mut rng);
            let (Some(strategy), Some(source)) = (strategy, source) else { continue };
            let Some(candidate) = self.pool.get(source) else { continue };
            let mut draft = Draft::of(self.task, candidate);
            draft.thin(self.recipe.max_demos, &mut rng);
            let rollout = (step * count + plans.len()) as u64;
            plans.push(Plan { bucket, strategy, source, draft, rollout });
        }
        plans
    }

    /// Carries the changes out, asking for several rules at a time.
    async fn children(&mut self, step: usize, plans: Vec<Plan<'_>>) -> Result<Vec<Candidate>> {
        let asking: Vec<_> = plans.iter().map(|plan| self.rule(plan)).collect();
        let rules: Vec<Result<Option<Result<Rule, String>>>> =
            stream::iter(asking).buffered(self.task.concurrency).collect().await;
        let mut children = Vec::new();
        for (mut plan, rule) in plans.into_iter().zip(rules) {
            let what = match rule? {
                Some(Ok(rule)) => {
                    plan.draft.add_rule(&rule);
                    format!("a rule for {}", rule.path)
                }
                Some(Err(why)) => {
                    self.task.note(format!("step {}: no rule: {why}", step + 1))?;
                    continue;
                }
                None => {
                    let longest = self.recipe.demo_input_field_maxlen;
                    let best = plan.bucket.best();
                    if !best.is_some_and(|run| plan.draft.add_demos(run, longest)) {
                        continue;
                    }
                    "a demo".to_owned()
                }
            };
            let Some(source) = self.pool.get(plan.source) else { continue };
            let origin =
                format!("step {}: {what} from train example {}", step + 1, plan.bucket.place);
            let state = plan.draft.finish();
            if !self.known.insert(Candidate::new("", state.clone()).hash) {
                self.task.note(format!("{origin} gives a candidate made before"))?;
                continue;
            }
            children.push(self.task.propose_from(origin, state, &[source])?);
        }
        Ok(children)
    }

    /// A rule, where the plan wants one.
    async fn rule(&self, plan: &Plan<'_>) -> Result<Option<Result<Rule, String>>> {
        let example = self.task.train.get(plan.bucket.place);
        let (Strategy::Rule, Some(example)) = (plan.strategy, example) else { return Ok(None) };
        let steps: Vec<(&Arc<str>, &Signature, Arc<str>)> = self
            .task
            .predictors
            .iter()
            .map(|(path, signature)| (path, signature, plan.draft.instructions(path)))
            .collect();
        let whole =
            outline(steps.iter().map(|(path, signature, text)| (*path, *signature, &**text)));
        let (best, worst) = (plan.bucket.best(), plan.bucket.worst());
        // Runs that are equally good teach nothing by their difference: the one is shown for what it is.
        let differ = best.map(|run| run.score) > worst.map(|run| run.score);
        let contrast = Contrast { example, better: best.filter(|_| differ), worse: worst };
        introspect(self.task, &whole, contrast, plan.rollout).await.map(Some)
    }

    /// Runs new candidates on the batch they were learnt from; the best one wins it.
    async fn evaluate(
        &mut self,
        step: usize,
        children: Vec<Candidate>,
        places: &[usize],
    ) -> Result<()> {
        let calls: Vec<Call<'_>> = children
            .iter()
            .flat_map(|child| places.iter().map(|place| Call::new(child, Split::Train, *place)))
            .collect();
        let name = format!("candidates of step {}", step + 1);
        let runs = self.task.run_told(&name, Split::Train, &calls).await?;
        let mut scored = Vec::new();
        for (child, runs) in children.into_iter().zip(runs.chunks(places.len().max(1))) {
            let id = self.pool.add(child.clone());
            runs.iter().for_each(|run| self.pool.tell(id, run.score));
            scored.push((id, child, mean_score(runs)));
        }
        let better = |best: (usize, f64), (id, _, mean): &(usize, Candidate, f64)| {
            if *mean > best.1 { (*id, *mean) } else { best }
        };
        let Some(first) = scored.first().map(|(id, _, mean)| (*id, *mean)) else { return Ok(()) };
        let (winner, top) = scored.iter().fold(first, better);
        self.pool.win(winner);
        self.winners.push(winner);
        for (id, child, mean) in &scored {
            let n = places.len();
            let why =
                format!("{mean:.4} on the mini-batch of step {}, the best {top:.4}", step + 1);
            self.task.decide(child, *id == winner, Some(*mean), n, why)?;
        }
        Ok(())
    }

    /// Validates winners of evenly spaced batches.
    pub async fn finish(&self) -> Result<()> {
        let chosen = self.pool.spaced_winners(self.recipe.count() + 1);
        let (all, some) = (self.winners.len(), chosen.len());
        for id in self.winners.iter().filter(|id| !chosen.contains(id)) {
            if let Some(candidate) = self.pool.get(*id) {
                let why =
                    format!("of {all} winners of mini-batches {some} are validated, not this");
                self.task.reject(candidate, why)?;
            }
        }
        for id in chosen {
            if let Some(candidate) = self.pool.get(id) {
                self.task.validate(candidate).await?;
            }
        }
        Ok(())
    }
}
