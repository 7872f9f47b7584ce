//! Auto: decides what to try, in which order, within a budget.

mod moves;
mod plan;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use teleprompt_core::Result;

use self::moves::Moves;
use self::plan::{Kind, Plan};
use crate::optimize::race::Race;
use crate::optimize::{Candidate, Cost, Optimizer, Racing, Sizes, Task};

/// Tries what usually pays first, sees what pays here, and spends the rest of its budget on that.
///
/// There are six kinds of moves, each from the best candidate so far: labelled demonstrations,
/// bootstrapped demonstrations, rules induced from labels, instructions grounded in data and program,
/// instructions from reflection on runs with feedback, and other instructions after a look at those
/// that were tried. Every kind is tried a few times, few-shot first; after that
/// the kind with the highest gain per run is tried next. Candidates race, so that one that is
/// clearly worse is dropped after a few examples. It ends when the budget is used up, when no
/// example is left to gain, or when no kind of move has gained for a while; remarks in the report
/// say what it did and why.
///
/// Cost: `budget` program runs and at most as many questions as moves. Use it when you do not know
/// which recipe fits.
/// Source: ours; the choice among moves is a bandit with optimism (Auer et al. 2002).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auto {
    /// Program runs that the search may take; 0 for what a limit on calls leaves, or else 12 times
    /// the validation examples and at least 300. Default: 0.
    pub budget: u64,
    /// Demonstrations a predictor in all. Default: 16.
    pub max_labeled_demos: usize,
    /// The most accepted runs of a bootstrap. Default: 4.
    pub max_bootstrapped_demos: usize,
    /// Train inputs over which the LM's liking for single labels is measured; see
    /// [`LabeledFewShot`](super::LabeledFewShot). Default: 48.
    pub calibration_examples: usize,
    /// Whether instructions are written. Default: yes.
    pub instructions: bool,
    /// Train examples that a reflection looks at. Default: 6.
    pub reflection_minibatch_size: usize,
    /// How often each kind of move may fail in a row before the search ends. Default: 6.
    pub patience: usize,
    /// How much evaluation a candidate earns. Default: `wilcoxon`.
    pub race: Race,
}

impl Default for Auto {
    fn default() -> Self {
        Self {
            budget: 0,
            max_labeled_demos: 16,
            max_bootstrapped_demos: 4,
            calibration_examples: 48,
            instructions: true,
            reflection_minibatch_size: 6,
            patience: 6,
            race: Race::wilcoxon(),
        }
    }
}

impl Auto {
    fn runs_for(&self, val: usize) -> u64 {
        match self.budget {
            0 => (12 * val as u64).max(300),
            runs => runs,
        }
    }

    /// Program runs that this search may take.
    fn budget(&self, task: &Task<'_>) -> u64 {
        let calls_a_run = task.predictors.len().max(1) as u64;
        let allowed = task.allowance.map(|calls| calls / calls_a_run);
        match (self.budget, allowed) {
            (0, Some(allowed)) => allowed,
            (_, Some(allowed)) => allowed.min(self.budget),
            (_, None) => self.runs_for(task.val.len()),
        }
    }

    fn kinds(&self, task: &Task<'_>) -> Vec<Kind> {
        let mut kinds = Vec::new();
        if !task.train.is_empty() && self.max_labeled_demos > 0 {
            kinds.push(Kind::Labels);
        }
        if !task.train.is_empty() && self.max_bootstrapped_demos > 0 {
            kinds.push(Kind::Bootstrap);
        }
        if self.instructions {
            if !task.train.is_empty() {
                kinds.push(Kind::Rules);
            }
            kinds.push(Kind::Ground);
            if !task.train.is_empty() && self.reflection_minibatch_size > 0 {
                kinds.push(Kind::Reflect);
            }
            kinds.push(Kind::Vary);
        }
        kinds
    }
}

impl Optimizer for Auto {
    fn name(&self) -> &'static str {
        "auto"
    }
    fn settings(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
    fn validates(&self) -> bool {
        true
    }
    fn writes(&self) -> bool {
        self.instructions
    }
    fn cost(&self, sizes: Sizes) -> Cost {
        let runs = self.runs_for(sizes.val);
        Cost { runs, questions: if self.instructions { runs / 10 + 8 } else { 0 } }
    }

    async fn search(&self, task: &Task<'_>) -> Result<Candidate> {
        let mut search = Searching {
            auto: self,
            task,
            racing: Racing::new(task, &self.race),
            moves: Moves::new(self),
            plan: Plan::new(self.kinds(task), self.patience),
            budget: self.budget(task),
            best: 0.0,
        };
        search.start().await?;
        while search.step().await? {}
        search.finish().await
    }
}

/// One search under way.
struct Searching<'s, 't, 'a> {
    auto: &'s Auto,
    task: &'t Task<'a>,
    racing: Racing<'t, 'a>,
    moves: Moves<'s>,
    plan: Plan,
    budget: u64,
    /// The best mean validation score so far.
    best: f64,
}

impl Searching<'_, '_, '_> {
    async fn start(&mut self) -> Result<()> {
        let start = self.racing.enter_base().await?;
        self.best = self.racing.standing(start).mean;
        self.moves.learn(self.task, self.task.base(), self.best);
        self.task.note(format!(
            "auto: {:.4} as it is on {} validation examples; {} runs to spend",
            self.best,
            self.task.val.len(),
            self.budget
        ))
    }

    /// One move; whether there may be another.
    async fn step(&mut self) -> Result<bool> {
        let used = self.task.used().runs;
        if used >= self.budget {
            self.task.note(format!("auto: the budget of {} runs is used up", self.budget))?;
            return Ok(false);
        }
        if self.best >= 1.0 {
            self.task.note("auto: every validation example has the full score")?;
            return Ok(false);
        }
        let Some((kind, why)) = self.plan.next() else {
            self.task.note(format!(
                "auto: no kind of move gained in its last {} tries; {} of {} runs used",
                self.auto.patience, used, self.budget
            ))?;
            return Ok(false);
        };
        let from = self.task.winner();
        let candidate = self.moves.make(self.task, kind, &from).await?;
        let gain = match candidate {
            Some(candidate) => self.race(&candidate).await?,
            None => None,
        };
        self.best += gain.unwrap_or(0.0);
        let spent = self.task.used().runs - used;
        self.plan.learn(kind, gain.unwrap_or(0.0), spent);
        let what = match gain {
            None => "nothing new to try".to_owned(),
            Some(gain) if gain > 0.0 => format!("{:.4}, a gain of {gain:.4}", self.best),
            Some(_) => format!("no gain on {:.4}", self.best),
        };
        self.task.note(format!("auto: {} ({why}): {what}; {spent} runs", kind.name()))?;
        Ok(true)
    }

    /// The gain of a candidate over the best so far; none if it was in the race before.
    async fn race(&mut self, candidate: &Candidate) -> Result<Option<f64>> {
        if self.racing.knows(candidate) {
            return Ok(None);
        }
        let entrant = self.racing.enter_candidate(candidate.clone());
        self.racing.run().await?;
        let won = self.racing.conclude(entrant)?;
        let mean = self.racing.standing(entrant).mean;
        self.moves.learn(self.task, candidate, mean);
        let gain = mean - self.best;
        Ok(Some(if won { gain.max(0.0) } else { 0.0 }))
    }

    async fn finish(self) -> Result<Candidate> {
        self.racing.finish().await
    }
}
