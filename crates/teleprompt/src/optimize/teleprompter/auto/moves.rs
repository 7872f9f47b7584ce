//! Making candidates, each from the best one so far.

use teleprompt_core::{Parameters, ProgramState, Result};

use super::Auto;
use super::plan::Kind;
use crate::optimize::propose::{Ground, Grounded, Reflect, Subject, observations};
use crate::optimize::study::{Run, Split};
use crate::optimize::teleprompter::{BootstrapFewShot, LabeledFewShot};
use crate::optimize::{Candidate, Task};

/// Makes moves; it counts them, so that no two are the same.
pub(super) struct Moves<'s> {
    auto: &'s Auto,
    made: [u64; 4],
    /// Looked at once, when the first instructions are written.
    ground: Option<Ground>,
}

impl<'s> Moves<'s> {
    pub fn new(auto: &'s Auto) -> Self {
        Self { auto, made: [0; 4], ground: None }
    }

    fn count(&mut self, kind: Kind) -> u64 {
        let place = match kind {
            Kind::Labels => &mut self.made[0],
            Kind::Bootstrap => &mut self.made[1],
            Kind::Ground => &mut self.made[2],
            Kind::Reflect => &mut self.made[3],
        };
        *place += 1;
        *place - 1
    }

    /// The next candidate of this kind; none if nothing came of it.
    pub async fn make(
        &mut self,
        task: &Task<'_>,
        kind: Kind,
        from: &Candidate,
    ) -> Result<Option<Candidate>> {
        let number = self.count(kind);
        let task = task.based_on(from);
        match kind {
            Kind::Labels => self.labels(&task, number).await.map(Some),
            Kind::Bootstrap => self.bootstrap(&task, number).await.map(Some),
            Kind::Ground => self.grounded(&task, number).await,
            Kind::Reflect => self.reflected(&task, number).await,
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

    async fn bootstrap(&self, task: &Task<'_>, number: u64) -> Result<Candidate> {
        let mut rng = task.rng("auto bootstrap").derive(&number.to_string());
        let mut order: Vec<usize> = (0..task.train.len()).collect();
        rng.shuffle(&mut order);
        let most = self.auto.max_bootstrapped_demos;
        let wanted = if number == 0 { most } else { 1 + rng.below(most) };
        let recipe = BootstrapFewShot {
            max_bootstrapped_demos: wanted,
            max_labeled_demos: self.auto.max_labeled_demos,
            calibration_examples: self.auto.calibration_examples,
            ..BootstrapFewShot::default()
        };
        recipe.candidate(task, &order, &rng, &format!("bootstrap {}", number + 1)).await
    }

    /// New instructions for one predictor, in turn.
    async fn grounded(&mut self, task: &Task<'_>, number: u64) -> Result<Option<Candidate>> {
        let Some((place, path)) = turn(task, number) else { return Ok(None) };
        let ground = match self.ground.take() {
            Some(ground) => ground,
            None => Grounded::default().ground(task).await?,
        };
        let demos = task.parameters(&path).demos.filter(|demos| !demos.is_empty());
        let text = ground.proposal(task, place, number + 1, demos.as_deref(), &[]).await;
        self.ground = Some(ground);
        let current = task.parameters(&path).instructions;
        let text = text?.map(std::sync::Arc::from).filter(|text| Some(text) != current.as_ref());
        self.instructed(task, &path, text, &format!("grounded instructions {}", number + 1))
    }

    async fn reflected(&self, task: &Task<'_>, number: u64) -> Result<Option<Candidate>> {
        let Some((place, path)) = turn(task, number) else { return Ok(None) };
        let mut rng = task.rng("auto reflection").derive(&number.to_string());
        let places = rng.sample(task.train.len(), self.auto.reflection_minibatch_size);
        let runs = task.runs(task.base(), Split::Train, &places).await?;
        // What went well teaches little.
        let poor: Vec<Run> = runs.into_iter().filter(|run| run.score < 1.0).collect();
        let seen = observations(&path, &poor, &mut rng);
        let Some((_, signature)) = task.predictors.get(place).filter(|_| !seen.is_empty()) else {
            return Ok(None);
        };
        let current = signature.instructions();
        let subject = Subject { path: &path, signature, current };
        match Reflect::default().propose(task, subject, &seen, number).await? {
            Ok(text) => {
                self.instructed(task, &path, Some(text), &format!("reflection {}", number + 1))
            }
            Err(why) => {
                task.note(format!("auto: reflection on {path} gave nothing: {why}"))?;
                Ok(None)
            }
        }
    }

    fn instructed(
        &self,
        task: &Task<'_>,
        path: &str,
        text: Option<std::sync::Arc<str>>,
        origin: &str,
    ) -> Result<Option<Candidate>> {
        let Some(text) = text else { return Ok(None) };
        let mut state = ProgramState::default();
        let parameters = Parameters { instructions: Some(text), ..Parameters::default() };
        state.insert(path, parameters);
        task.propose(format!("{origin} on {}", task.base().origin), state).map(Some)
    }
}

/// The predictor whose turn it is.
fn turn(task: &Task<'_>, number: u64) -> Option<(usize, std::sync::Arc<str>)> {
    let place = number as usize % task.predictors.len().max(1);
    task.predictors.get(place).map(|(path, _)| (place, path.clone()))
}
