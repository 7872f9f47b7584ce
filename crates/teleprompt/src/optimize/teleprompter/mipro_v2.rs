//! MIPROv2: instructions and demonstrations, searched together.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use teleprompt_core::{Metric, Result};

use super::BootstrapFewShot;
use super::combine::{Choices, Combine};
use super::demo_sets::DemoSets;
use super::trials::{Limited, race_runs, times_made};
use crate::optimize::propose::Grounded;
use crate::optimize::race::Race;
use crate::optimize::search::{Tpe, TpeSettings};
use crate::optimize::{Candidate, Compiler, Cost, Optimizer, Sizes, Task, explore};

/// How much a [`MiproV2`] tries where it is not told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effort {
    /// 6 sets of demonstrations, at most 100 validation examples.
    #[default]
    Light,
    /// 12 sets, at most 300 validation examples.
    Medium,
    /// 18 sets, at most 1,000 validation examples.
    Heavy,
}

impl Effort {
    fn sets(self) -> usize {
        match self {
            Self::Light => 6,
            Self::Medium => 12,
            Self::Heavy => 18,
        }
    }

    fn val_size(self) -> usize {
        match self {
            Self::Light => 100,
            Self::Medium => 300,
            Self::Heavy => 1000,
        }
    }
}

/// Makes sets of demonstrations, has an LM write instructions that are grounded in data, program and
/// demonstrations, and searches the combinations for all predictors with TPE, racing on minibatches:
/// only what does well there is run on all validation examples, and only such a candidate can win.
///
/// With both demo limits 0 it searches instructions alone; demonstrations then only show the writer
/// what the task is like.
///
/// Cost with `n` demo sets: as trials `max(2 × D × log2(n), 1.5 × n)`, where `D` is 2 for each
/// predictor and 1 without demonstrations; for 1 predictor 10, 18 and 27 for light, medium and heavy;
/// each trial 35 runs, every fifth the rest of the validation examples. About 7 questions on facts,
/// and `n / 2` a predictor (`n` without demonstrations). Bootstraps pay each train example at most
/// `max_rounds` times. Use it when instructions matter and a few hundred runs are affordable.
/// Source: Opsahl-Ong et al. 2024, arXiv 2406.11695; sizes as in DSPy. The search learns from the
/// first trials on ([`Tpe`]), and minibatches are the same examples for all.
///
/// Under [`Race::KFold`], demonstrations are made anew for each fold; instructions are written once,
/// from the train examples.
///
/// ```
/// use teleprompt::optimize::teleprompter::{Effort, MiproV2};
/// let recipe: MiproV2 = serde_json::from_str(
///     r#"{"auto": "medium", "num_trials": 30, "proposer": {"tips": false}, "race": "full"}"#,
/// )?;
/// assert_eq!(recipe.auto, Effort::Medium);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MiproV2 {
    /// Sizes of all that is not set below. Default: light.
    pub auto: Effort,
    /// Instructions that each predictor can choose from, those in force included.
    pub num_instructions: Option<usize>,
    /// Sets of demonstrations that each predictor can choose from, none included.
    pub num_demo_sets: Option<usize>,
    /// Combinations tried, besides the program as written.
    pub num_trials: Option<usize>,
    /// The most validation examples used, drawn at random.
    pub val_size: Option<usize>,
    /// The most accepted runs of a set; each shuffled one draws from 1 to this. Default: 4.
    pub max_bootstrapped_demos: usize,
    /// Demonstrations of a set in all. Default: 4.
    pub max_labeled_demos: usize,
    /// Attempts an example; from the second on the teacher samples at temperature 1. Default: 1.
    pub max_rounds: u64,
    /// A run is accepted at this score or above. Default: any score above 0.
    pub metric_threshold: Option<f64>,
    /// Train inputs, without their labels, over which the LM's liking for single labels is measured
    /// and taken off for each set; 0 for none. Only where an output is an enum and the LM tells
    /// log-probabilities. Default: 48.
    pub calibration_examples: usize,
    /// What instructions are grounded in.
    pub proposer: Grounded,
    /// Settings of the search.
    pub tpe: TpeSettings,
    /// How much evaluation a candidate earns. Default: minibatches of 35 examples, with one
    /// promotion for every 5 candidates.
    pub race: Race,
}

impl Default for MiproV2 {
    fn default() -> Self {
        Self {
            auto: Effort::Light,
            num_instructions: None,
            num_demo_sets: None,
            num_trials: None,
            val_size: None,
            max_bootstrapped_demos: 4,
            max_labeled_demos: 4,
            max_rounds: 1,
            metric_threshold: None,
            calibration_examples: 48,
            proposer: Grounded::default(),
            tpe: TpeSettings::default(),
            race: Race::Minibatch { size: 35, promote_every: 5 },
        }
    }
}

impl MiproV2 {
    /// A compiler with the light sizes.
    pub fn light(metric: impl Metric) -> Compiler<Self> {
        Self { auto: Effort::Light, ..Self::default() }.compiler(metric)
    }

    /// A compiler with the medium sizes.
    pub fn medium(metric: impl Metric) -> Compiler<Self> {
        Self { auto: Effort::Medium, ..Self::default() }.compiler(metric)
    }

    /// A compiler with the heavy sizes.
    pub fn heavy(metric: impl Metric) -> Compiler<Self> {
        Self { auto: Effort::Heavy, ..Self::default() }.compiler(metric)
    }

    fn zero_shot(&self) -> bool {
        self.max_bootstrapped_demos == 0 && self.max_labeled_demos == 0
    }

    fn demo_sets(&self) -> usize {
        self.num_demo_sets.unwrap_or(self.auto.sets()).max(1)
    }

    fn instructions(&self) -> usize {
        let n = self.auto.sets();
        self.num_instructions.unwrap_or(if self.zero_shot() { n } else { n / 2 }).max(1)
    }

    fn trials(&self, predictors: usize) -> usize {
        let n = self.auto.sets() as f64;
        let dimensions = predictors * if self.zero_shot() { 1 } else { 2 };
        let usual = (2.0 * dimensions as f64 * n.log2()).max(1.5 * n);
        self.num_trials.unwrap_or(usual as usize)
    }

    fn val_size(&self) -> usize {
        self.val_size.unwrap_or(self.auto.val_size())
    }

    fn sets(&self) -> DemoSets {
        let few_shot = BootstrapFewShot {
            max_bootstrapped_demos: self.max_bootstrapped_demos,
            max_labeled_demos: self.max_labeled_demos,
            max_rounds: self.max_rounds,
            metric_threshold: self.metric_threshold,
            calibration_examples: self.calibration_examples,
        };
        // Only for the writer of instructions to see.
        let shown =
            BootstrapFewShot { max_bootstrapped_demos: 3, calibration_examples: 0, ..few_shot };
        DemoSets::new(if self.zero_shot() { shown } else { few_shot })
    }

    /// How many sets are made at all.
    fn sets_made(&self) -> usize {
        if self.zero_shot() && !self.proposer.demos { 1 } else { self.demo_sets() }
    }

    async fn combine(&self, task: &Task<'_>) -> Result<Combine> {
        let sets = self.sets();
        let numbers = sets.different(task, self.sets_made()).await?;
        let n = self.instructions();
        let ground = match n {
            1 => None,
            _ => Some(self.proposer.ground(task).await?),
        };
        let mut choices = Vec::new();
        for (predictor, ((path, signature), mut demos)) in
            task.predictors.iter().zip(numbers).enumerate()
        {
            let shown = sets.demos(task, path, &demos).await?;
            let instructions = match &ground {
                None => vec![signature.instructions().into()],
                Some(ground) => ground.instructions(task, predictor, n, &shown, &[]).await?,
            };
            demos.truncate(if self.zero_shot() { 1 } else { demos.len() });
            choices.push(Choices { instructions, demos });
        }
        Ok(Combine { choices, sets })
    }

    async fn choose(&self, task: &Task<'_>) -> Result<Candidate> {
        let combine = self.combine(task).await?;
        let space = combine.space()?;
        let start = vec![0; space.sizes().len()];
        let tpe = Tpe::new(space, task.rng("tpe").seed()).settings(self.tpe);
        let mut search = Limited { search: tpe, left: self.trials(task.predictors.len()) };
        explore(task, &mut search, Some(start), &self.race, &combine).await
    }
}

impl Optimizer for MiproV2 {
    fn name(&self) -> &'static str {
        "mipro_v2"
    }
    fn settings(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
    fn validates(&self) -> bool {
        true
    }
    fn writes(&self) -> bool {
        self.instructions() > 1
    }
    fn cost(&self, sizes: Sizes) -> Cost {
        let sizes = Sizes { val: sizes.val.min(self.val_size()), ..sizes };
        let entrants = 1 + self.trials(sizes.predictors) as u64;
        let sets = self.sets().runs(self.sets_made(), sizes);
        let writes = self.writes();
        let questions = self.proposer.questions(sizes.predictors, self.instructions());
        Cost {
            runs: race_runs(&self.race, entrants, sizes) + times_made(&self.race) * sets,
            questions: if writes { questions } else { 0 },
        }
    }
    async fn search(&self, task: &Task<'_>) -> Result<Candidate> {
        let n = self.val_size();
        if task.val.len() <= n {
            return self.choose(task).await;
        }
        task.note(format!("{n} of the {} validation examples are used", task.val.len()))?;
        let mut places = task.rng("validation examples").sample(task.val.len(), n);
        places.sort_unstable();
        let val = task.val.select(&places);
        self.choose(&task.with_examples(task.train.clone(), val)).await
    }
}
