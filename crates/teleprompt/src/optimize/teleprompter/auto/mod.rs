//! Auto: decides what to try, in which order, within a budget.

mod moves;
mod plan;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use teleprompt_core::Result;

use self::moves::Moves;
use self::plan::{Kind, Move, Plan};
use crate::optimize::race::Race;
use crate::optimize::{Candidate, Cost, Optimizer, Racing, Sizes, Task};

/// Tries what usually pays first, sees what pays here, and spends the rest of its budget on that.
///
/// There are seven kinds of moves, each from the best candidate so far: labelled demonstrations, the
/// labelled demonstrations nearest to each call,
/// bootstrapped demonstrations, rules induced from labels, instructions grounded in data and program,
/// instructions from reflection on runs with feedback, and other instructions after a look at those
/// that were tried. Every move is tried once, few-shot first, instructions for one predictor at a time;
/// after that the move that promises most for a run is next: what it gained, less for each failure in
/// a row. Candidates race, so that one that is
/// clearly worse is dropped after a few examples. It ends when the budget is used up, when no
/// example is left to gain, or when no move has gained for a while; remarks in the report
/// say what it did and why.
///
/// Cost: `budget` program runs, which the last move may exceed, and at most as many questions as moves. Use it when you do not know
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
    /// How often each move may fail in a row before the search ends. Default: 6.
    pub patience: usize,
    /// The best score there is; the search ends when every validation example has it. Default: 1.
    pub perfect_score: f64,
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
            perfect_score: 1.0,
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

    /// What may be tried, in the order of the first tries.
    fn moves(&self, task: &Task<'_>) -> Vec<Move> {
        let learns = !task.train.is_empty();
        let whole = |kind| Move { kind, predictor: None };
        let mut moves = Vec::new();
        if learns && self.max_labeled_demos > 0 {
            moves.push(whole(Kind::Labels));
            moves.push(whole(Kind::Nearest));
        }
        if learns && self.max_bootstrapped_demos > 0 {
            moves.push(whole(Kind::Bootstrap));
        }
        let reflects = learns && self.reflection_minibatch_size > 0;
        let kinds = [
            (Kind::Rules, learns),
            (Kind::Ground, true),
            (Kind::Reflect, reflects),
            (Kind::Vary, true),
        ];
        for (kind, _) in kinds.into_iter().filter(|(_, able)| *able && self.instructions) {
            let each = 0..task.predictors.len();
            moves.extend(each.map(|place| Move { kind, predictor: Some(place) }));
        }
        moves
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
        // The last move may go beyond the budget: a race, and the runs that its candidate is made of.
        let calibration = self.calibration_examples.min(sizes.train);
        let made = (sizes.train + calibration).max(2 * self.reflection_minibatch_size);
        let runs = self.runs_for(sizes.val).max(sizes.val as u64) + (sizes.val + made) as u64;
        let tries = (4 * sizes.predictors * self.patience) as u64 + runs / 5;
        Cost { runs, questions: if self.instructions { tries + 20 } else { 0 } }
    }

    async fn search(&self, task: &Task<'_>) -> Result<Candidate> {
        let mut search = Searching {
            auto: self,
            task,
            racing: Racing::new(task, &self.race),
            moves: Moves::new(self),
            plan: Plan::new(self.moves(task), self.patience),
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
        // A mean above it says that the setting is not for this metric.
        if (self.best - self.auto.perfect_score).abs() < 1e-9 {
            self.task.note("auto: every validation example has the full score")?;
            return Ok(false);
        }
        let Some((what, why)) = self.plan.next() else {
            self.task.note(format!(
                "auto: no move gained in its last {} tries; {} of {} runs used",
                self.auto.patience, used, self.budget
            ))?;
            return Ok(false);
        };
        let from = self.task.winner();
        let gain = match self.moves.make(self.task, &what, &from).await? {
            Some(candidate) => self.race(&candidate).await?,
            None => None,
        };
        self.best += gain.unwrap_or(0.0);
        let spent = self.task.used().runs - used;
        let scale = self.auto.perfect_score.abs().max(self.best.abs()).max(1e-9);
        self.plan.learn(&what, gain.unwrap_or(0.0) / scale, spent);
        let result = match gain {
            None => "nothing new to try".to_owned(),
            Some(gain) if gain > 0.0 => format!("{:.4}, a gain of {gain:.4}", self.best),
            Some(_) => format!("no gain on {:.4}", self.best),
        };
        let name = self.name(&what);
        self.task.note(format!("auto: {name} ({why}): {result}; {spent} runs"))?;
        Ok(true)
    }

    fn name(&self, what: &Move) -> String {
        let several = self.task.predictors.len() > 1;
        let path = what.predictor.filter(|_| several).and_then(|i| self.task.predictors.get(i));
        match path {
            Some((path, _)) => format!("{} for {path}", what.kind.name()),
            None => what.kind.name().to_owned(),
        }
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
