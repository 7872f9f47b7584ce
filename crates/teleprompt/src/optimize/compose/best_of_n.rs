//! `BestOfN`: several attempts, the best counts.

use teleprompt_core::{
    Context, Module, Prediction, Predictors, Record, Result, Score, Signature, Visit, bind,
};

use super::goal::{Goal, Search, run};
use super::part::Part;
use super::trials::Trials;

/// Runs a module up to `n` times until a reward reaches a threshold, and gives the best prediction
/// (of equal ones the first).
///
/// The first attempt is the module as written; each later one samples at temperature 1 with a
/// rollout of its own. Costs up to `n` runs of the module. The predictors inside have the prefix
/// `inner`.
///
/// ```
/// use teleprompt::optimize::compose::BestOfN;
/// use teleprompt::prelude::*;
///
/// let short = |_: &Record, p: &Prediction| p.str("title").is_some_and(|t| t.len() < 40);
/// let title = BestOfN::new(Predict::of("story -> title")?, 4, short);
/// let program = Program::new(title);
/// assert_eq!(&*program.bound().predictors[0].0, "inner");
/// # Ok::<(), teleprompt::Error>(())
/// ```
#[derive(Clone)]
pub struct BestOfN<M> {
    inner: Part<M>,
    goal: Goal,
}

impl<M: Module> BestOfN<M> {
    /// At most `n` attempts (at least 1). The reward gets the inputs and a prediction and gives a
    /// number, a bool or a [`Score`]; higher is better, and what is no number is worst.
    pub fn new<S: Into<Score>>(
        module: M,
        n: u32,
        reward: impl Fn(&Record, &Prediction) -> S + Send + Sync + 'static,
    ) -> Self {
        let this = Self { inner: Part::new(module), goal: Goal::new(n, reward) };
        bind(&this);
        this
    }

    /// A reward of this or more ends the attempts. Default: 1.
    #[must_use]
    pub fn threshold(mut self, reward: f64) -> Self {
        self.goal.threshold = reward;
        self
    }

    /// After more failed attempts than this in one call, no further one is made: the best so far
    /// counts, or the first error if there is none. Default: all may fail.
    #[must_use]
    pub fn max_failures(mut self, n: u32) -> Self {
        self.goal.max_failures = n;
        self
    }

    /// The module inside.
    pub fn inner(&self) -> &M {
        &self.inner.module
    }
}

impl<M: Module> Predictors for BestOfN<M> {
    fn visit<'a>(&'a self, visit: &mut Visit<'a>) {
        visit.field("inner", &self.inner);
    }
}

impl<M: Module> Module for BestOfN<M> {
    type Input = M::Input;
    type Output = M::Output;

    async fn forward(&self, cx: &Context, input: M::Input) -> Result<Prediction<M::Output>> {
        let inputs = Record::from_typed(input)?;
        let trials = Trials::new(cx);
        let mut search = Search::new(&self.goal);
        for i in 0..self.goal.n {
            let cx = self.inner.attempt(trials.cx(), i);
            let trial = run(&trials, &cx, &self.inner.module, &inputs).await?;
            let score = self.goal.judge(&inputs, &trial)?;
            let over = search.ends_with(score.as_ref());
            search.keep(score, trial);
            if over {
                break;
            }
        }
        search.finish(&trials)?.try_map(Record::into_typed)
    }

    fn interface(&self) -> Option<Signature> {
        self.inner.module.interface()
    }

    fn fingerprint(&self) -> String {
        format!("best of {} {}", self.goal.fingerprint(), self.inner.module.fingerprint())
    }
}
