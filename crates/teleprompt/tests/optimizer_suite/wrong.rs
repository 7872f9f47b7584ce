//! Recipes that are wrong on purpose, each in one way.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use teleprompt::optimize::study::Split;
use teleprompt::optimize::{Candidate, Cost, Optimizer, OptimizerHandle, Sizes, Task};
use teleprompt::prelude::*;
use teleprompt::{LmRequest, Message};

use super::cases::{Case, Kind};
use super::toy::saying;
use super::toys;

/// What is wrong.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Gives any candidate, without a look at it.
    Guesses,
    /// Runs the program itself and journals nothing.
    Forgets,
    /// Asks the LM past context and meter.
    Smuggles,
    /// Depends on the clock and on the order of a hash map.
    Wavers,
    /// Cannot do without examples.
    Panics,
    /// Turns candidates down without a word.
    Sulks,
    /// Gives a candidate that was never proposed.
    Invents,
    /// Claims by its own journal what no example showed: takes a candidate as scored, undecided.
    Dithers,
}

struct Wrong(Fault);

fn any(task: &Task<'_>, n: u64) -> Result<Candidate> {
    let text = format!("Mind oak, ash, elm and fir, and {n}.");
    task.propose(format!("guess {n}"), saying(&task.predictors[0].0, text))
}

static CLOCK: AtomicU64 = AtomicU64::new(0);

impl Wrong {
    async fn run_unjournaled(task: &Task<'_>, candidate: &Candidate) -> Result<()> {
        let cx = task.cx.with_candidate(candidate.state().clone());
        for example in task.val.iter().take(3) {
            task.program.call(&cx, example.inputs()).await?;
        }
        Ok(())
    }

    async fn smuggle(task: &Task<'_>) -> Result<()> {
        let request = LmRequest::new(vec![Message::user("What would you do?")]);
        task.cx.lm().generate(&request).await?;
        Ok(())
    }
}

impl Optimizer for Wrong {
    fn name(&self) -> &'static str {
        "wrong"
    }
    fn settings(&self) -> Value {
        Value::Null
    }
    fn validates(&self) -> bool {
        true
    }
    fn cost(&self, _: Sizes) -> Cost {
        Cost::default()
    }
    async fn search(&self, task: &Task<'_>) -> Result<Candidate> {
        let first = any(task, 1)?;
        match self.0 {
            Fault::Guesses => return Ok(first),
            Fault::Forgets => Self::run_unjournaled(task, &first).await?,
            Fault::Smuggles => Self::smuggle(task).await?,
            Fault::Wavers => {
                let set: std::collections::HashSet<u64> = (0..64).collect();
                let n = set.into_iter().next().unwrap_or_default();
                let other = any(task, 64 * CLOCK.fetch_add(1, Ordering::SeqCst) + n)?;
                task.validate(&other).await?;
            }
            Fault::Panics => drop(task.train[0].inputs()),
            Fault::Sulks => task.reject(&any(task, 2)?, "")?,
            Fault::Invents => {
                let state = saying(&task.predictors[0].0, "Say what is right.".into());
                return Ok(Candidate::new("an idea", state));
            }
            Fault::Dithers => {
                let places: Vec<usize> = (0..task.val.len()).collect();
                task.runs(&any(task, 2)?, Split::Val, &places).await?;
            }
        }
        task.validate(&first).await?;
        Ok(first)
    }
}

/// A wrong recipe as a case, on a task of instructions.
pub fn case(fault: Fault) -> Case {
    macro_rules! case {
        ($($name:ident)*) => {
            match fault {
                $(Fault::$name => {
                    let make: fn() -> OptimizerHandle = || OptimizerHandle::new(Wrong(Fault::$name));
                    (stringify!($name), make)
                })*
            }
        };
    }
    let (name, make) = case!(Guesses Forgets Smuggles Wavers Panics Sulks Invents Dithers);
    Case { name, kind: Kind::Instructions, make, bare: make, toy: toys::vocabulary }
}

/// The wrong recipes that a kill test has to find.
pub const WHEN_KILLED: [Fault; 3] = [Fault::Forgets, Fault::Smuggles, Fault::Wavers];
