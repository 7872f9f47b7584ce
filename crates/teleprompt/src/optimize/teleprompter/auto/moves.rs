//! Making candidates, each from the best one so far.

use std::collections::BTreeMap;
use std::sync::Arc;

use teleprompt_core::{Parameters, ProgramState, Record, Result};

use super::Auto;
use super::plan::{Kind, Move};
use crate::optimize::propose::{
    Attempt, Ground, Grounded, Reflect, Subject, induce_rules, labeled_demos, observations,
    vary_instructions,
};
use crate::optimize::study::{Run, Split};
use crate::optimize::teleprompter::infer_rules::ruled;
use crate::optimize::teleprompter::{BootstrapFewShot, KnnFewShot, LabeledFewShot};
use crate::optimize::{Candidate, Optimizer, Task, mean_score};

/// Rules of an induction, and the examples that it sees.
const RULES: usize = 10;
const EXAMPLES: usize = 30;

/// Attempts that a writer is shown, the best ones.
const SHOWN: usize = 8;

/// The temperature of questions that are asked again and again.
const TEMPERATURE: f64 = 1.0;

/// Makes moves; it counts them, so that no two are the same.
pub(super) struct Moves<'s> {
    auto: &'s Auto,
    made: BTreeMap<Move, u64>,
    /// Looked at once, when the first instructions are written.
    ground: Option<Ground>,
    /// By predictor.
    tried: BTreeMap<Arc<str>, Vec<Attempt>>,
}

impl<'s> Moves<'s> {
    pub fn new(auto: &'s Auto) -> Self {
        Self { auto, made: BTreeMap::new(), ground: None, tried: BTreeMap::new() }
    }

    /// How good a candidate was: what writers are shown of the instructions that were tried.
    pub fn learn(&mut self, task: &Task<'_>, candidate: &Candidate, mean: f64) {
        for (path, signature) in &task.predictors {
            let laid = candidate.state().get(path).and_then(|p| p.instructions.clone());
            let text = laid.unwrap_or_else(|| signature.instructions().into());
            let tried = self.tried.entry(path.clone()).or_default();
            match tried.iter_mut().find(|(t, _)| *t == text) {
                Some((_, best)) => *best = best.max(mean),
                None => tried.push((text, mean)),
            }
            tried.sort_by(|a, b| b.1.total_cmp(&a.1));
            tried.truncate(SHOWN);
        }
    }

    fn tried(&self, path: &str) -> &[Attempt] {
        self.tried.get(path).map_or(&[], Vec::as_slice)
    }

    /// The next candidate of this kind; none if nothing came of it.
    pub async fn make(
        &mut self,
        start: &Task<'_>,
        what: &Move,
        from: &Candidate,
    ) -> Result<Option<Candidate>> {
        let made = self.made.entry(what.clone()).or_default();
        let number = *made;
        *made += 1;
        let task = start.based_on(from);
        let place = what.predictor.unwrap_or_default();
        match what.kind {
            Kind::Labels => self.labels(&task, number).await.map(Some),
            Kind::Nearest => self.nearest(&task, number).await.map(Some),
            Kind::Bootstrap => self.bootstrap(&task, number).await.map(Some),
            Kind::Ground => self.grounded(&task, place, number).await,
            Kind::Reflect => self.reflected(&task, place, number).await,
            Kind::Rules => self.rules(start, &task, place, number).await,
            Kind::Vary => self.varied(&task, place, number).await,
        }
    }

    async fn labels(&self, task: &Task<'_>, number: u64) -> Result<Candidate> {
        // As many as allowed, then half, then as many again but others, and so on: small LMs may lose the
        // thread over many.
        let most = self.auto.max_labeled_demos;
        let k = if number.is_multiple_of(2) { most } else { most.div_ceil(2) };
        let recipe = LabeledFewShot { k, calibration_examples: self.auto.calibration_examples };
        let rng = task.rng("auto labels").derive(&number.to_string());
        recipe.candidate(task, &rng, &format!("{k} labelled demos, draw {}", number + 1)).await
    }

    /// In place of fixed demonstrations; from the third time on beside them.
    async fn nearest(&self, task: &Task<'_>, number: u64) -> Result<Candidate> {
        let most = self.auto.max_labeled_demos;
        let k = if number.is_multiple_of(2) { most.min(4) } else { most };
        // Labels alone, so that the pool costs no run.
        let recipe = KnnFewShot { k, max_bootstrapped_demos: Some(0), ..KnnFewShot::default() };
        let candidate = recipe.search(task).await?;
        if number > 1 {
            return Ok(candidate);
        }
        let mut state = ProgramState::default();
        for (path, parameters) in &candidate.state().0 {
            let mut alone = (**parameters).clone();
            alone.demos = Some(Vec::new());
            // It was measured with the demonstrations that are gone.
            alone.label_bias.clear();
            state.insert(path.clone(), alone);
        }
        task.propose(format!("the {k} nearest demos alone"), state)
    }

    async fn bootstrap(&self, task: &Task<'_>, number: u64) -> Result<Candidate> {
        let mut rng = task.rng("auto bootstrap").derive(&number.to_string());
        let mut order: Vec<usize> = (0..task.train.len()).collect();
        rng.shuffle(&mut order);
        let most = self.auto.max_bootstrapped_demos;
        let wanted = if number == 0 { most } else { 1 + rng.below(most) };
        let recipe = BootstrapFewShot {
            max_bootstrapped_demos: wanted,
            // Labels fill up one time in two: they may be wrong where accepted runs are not.
            max_labeled_demos: if number.is_multiple_of(2) {
                wanted
            } else {
                self.auto.max_labeled_demos
            },
            calibration_examples: self.auto.calibration_examples,
            ..BootstrapFewShot::default()
        };
        recipe.candidate(task, &order, &rng, &format!("bootstrap {}", number + 1)).await
    }

    /// New instructions for one predictor.
    async fn grounded(
        &mut self,
        task: &Task<'_>,
        place: usize,
        number: u64,
    ) -> Result<Option<Candidate>> {
        let Some(path) = path_of(task, place) else { return Ok(None) };
        let ground = match self.ground.take() {
            Some(ground) => ground,
            None => Grounded::default().ground(task).await?,
        };
        let demos = task.parameters(&path).demos.filter(|demos| !demos.is_empty());
        let text =
            ground.proposal(task, place, number + 1, demos.as_deref(), self.tried(&path)).await;
        self.ground = Some(ground);
        let current = task.parameters(&path).instructions;
        let text = text?.map(Arc::from).filter(|text| Some(text) != current.as_ref());
        self.instructed(task, &path, text, &format!("grounded instructions {}", number + 1))
    }

    /// Rules for one predictor, behind the instructions that the search started with: rules
    /// on rules would only grow.
    async fn rules(
        &self,
        start: &Task<'_>,
        task: &Task<'_>,
        place: usize,
        number: u64,
    ) -> Result<Option<Candidate>> {
        let Some(path) = path_of(task, place) else { return Ok(None) };
        let Some((_, signature)) = start.predictors.get(place) else { return Ok(None) };
        let mut rng = task.rng("auto rules").derive(&path).derive(&number.to_string());
        let labeled = labeled_demos(signature, &task.train, EXAMPLES, &mut rng);
        let mut examples: Vec<Record> = labeled.into_iter().map(|(_, demo)| demo).collect();
        if examples.is_empty() {
            examples = task.parameters(&path).demos.unwrap_or_default();
        }
        let rules = induce_rules(start, place, &examples, RULES, number, TEMPERATURE).await?;
        let text = rules.map(|rules| ruled(signature.instructions(), &rules).into());
        self.instructed(task, &path, text, &format!("rules {}", number + 1))
    }

    async fn varied(
        &self,
        task: &Task<'_>,
        place: usize,
        number: u64,
    ) -> Result<Option<Candidate>> {
        let Some(path) = path_of(task, place) else { return Ok(None) };
        let past = self.tried(&path);
        let rollouts = number..number + 1;
        let texts = vary_instructions(task, place, past, rollouts, TEMPERATURE).await?;
        let text = texts.into_iter().next();
        self.instructed(task, &path, text, &format!("other instructions {}", number + 1))
    }

    async fn reflected(
        &self,
        task: &Task<'_>,
        place: usize,
        number: u64,
    ) -> Result<Option<Candidate>> {
        let Some(path) = path_of(task, place) else { return Ok(None) };
        let mut rng = task.rng("auto reflection").derive(&path).derive(&number.to_string());
        let places = rng.sample(task.train.len(), self.auto.reflection_minibatch_size);
        let runs = task.runs(task.base(), Split::Train, &places).await?;
        let before: f64 = runs.iter().map(|run| run.score).sum();
        // What went as well as can be teaches little.
        let scores = runs.iter().map(|run| run.score);
        let top = scores.fold(self.auto.perfect_score, f64::max);
        let poor: Vec<Run> = runs.into_iter().filter(|run| run.score < top).collect();
        let seen = observations(&path, &poor, &mut rng);
        let Some((_, signature)) = task.predictors.get(place).filter(|_| !seen.is_empty()) else {
            return Ok(None);
        };
        let current = signature.instructions();
        let subject = Subject { path: &path, signature, current };
        match Reflect::default().propose(task, subject, &seen, number).await? {
            Ok(text) => {
                let origin = format!("reflection {}", number + 1);
                let candidate = self.instructed(task, &path, Some(text), &origin)?;
                self.better_there(task, candidate, &places, before).await
            }
            Err(why) => {
                task.note(format!("auto: reflection on {path} gave nothing: {why}"))?;
                Ok(None)
            }
        }
    }

    /// The candidate, if it does better on the examples that it was made from: only then is it worth
    /// a race.
    async fn better_there(
        &self,
        task: &Task<'_>,
        candidate: Option<Candidate>,
        places: &[usize],
        before: f64,
    ) -> Result<Option<Candidate>> {
        let Some(candidate) = candidate else { return Ok(None) };
        let runs = task.runs(&candidate, Split::Train, places).await?;
        let (after, n) = (runs.iter().map(|run| run.score).sum::<f64>(), runs.len());
        if after > before {
            return Ok(Some(candidate));
        }
        let why =
            format!("{after:.2} in sum on the {n} examples it reflects on, before {before:.2}");
        task.decide(&candidate, false, Some(mean_score(&runs)), n, why)?;
        Ok(None)
    }

    fn instructed(
        &self,
        task: &Task<'_>,
        path: &str,
        text: Option<Arc<str>>,
        origin: &str,
    ) -> Result<Option<Candidate>> {
        let Some(text) = text else { return Ok(None) };
        let mut state = ProgramState::default();
        let parameters = Parameters { instructions: Some(text), ..Parameters::default() };
        state.insert(path, parameters);
        task.propose(format!("{origin} on {}", task.base().origin), state).map(Some)
    }
}

fn path_of(task: &Task<'_>, place: usize) -> Option<Arc<str>> {
    task.predictors.get(place).map(|(path, _)| path.clone())
}
