//! Which kind of move comes next.

/// A kind of move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Labelled demonstrations.
    Labels,
    /// The demonstrations nearest to each call.
    Nearest,
    /// Bootstrapped demonstrations.
    Bootstrap,
    /// Instructions grounded in data and program.
    Ground,
    /// Instructions from reflection on runs.
    Reflect,
    /// Rules induced from labelled examples.
    Rules,
    /// Other instructions, after a look at those that were tried.
    Vary,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Labels => "labelled demos",
            Kind::Nearest => "nearest demos",
            Kind::Bootstrap => "bootstrapped demos",
            Kind::Ground => "grounded instructions",
            Kind::Reflect => "reflection",
            Kind::Rules => "rules",
            Kind::Vary => "other instructions",
        }
    }
}

/// What may be tried: a kind of move, on one predictor where it changes only one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Move {
    pub kind: Kind,
    /// The predictor's place.
    pub predictor: Option<usize>,
}

/// The gain that a try is expected to have before anything is known.
const PRIOR_GAIN: f64 = 0.03;

/// The runs that a try is expected to cost before anything is known.
const PRIOR_RUNS: f64 = 30.0;

/// What each failure in a row leaves of the expectation.
const DECAY: f64 = 0.5;

/// Learns what each move gains and costs.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    arms: Vec<Arm>,
    patience: usize,
}

#[derive(Clone, Debug)]
struct Arm {
    what: Move,
    tries: usize,
    gain: f64,
    runs: f64,
    /// Tries in a row without a gain.
    failed: usize,
}

impl Arm {
    /// Expected gain of a run. One imagined try of every move keeps those with bad luck alive.
    fn value(&self) -> f64 {
        let failed = i32::try_from(self.failed).unwrap_or(i32::MAX);
        DECAY.powi(failed) * (self.gain + PRIOR_GAIN) / (self.runs + PRIOR_RUNS)
    }
}

impl Plan {
    pub fn new(moves: Vec<Move>, patience: usize) -> Self {
        let arm = |what| Arm { what, tries: 0, gain: 0.0, runs: 0.0, failed: 0 };
        Self { arms: moves.into_iter().map(arm).collect(), patience: patience.max(1) }
    }

    /// The next move and why; none when all have failed too often.
    pub fn next(&self) -> Option<(Move, String)> {
        if let Some(arm) = self.arms.iter().find(|arm| arm.tries == 0) {
            return Some((arm.what.clone(), "for the first time".into()));
        }
        let alive = self.arms.iter().filter(|arm| arm.failed < self.patience);
        // `max_by` would take the last of equal ones.
        let best = alive.rev().max_by(|a, b| a.value().total_cmp(&b.value()))?;
        let why = format!(
            "gained {:.4} in {} tries and {:.0} runs, {} in a row without",
            best.gain, best.tries, best.runs, best.failed
        );
        Some((best.what.clone(), why))
    }

    /// A gain by one move gives the others another chance: there is a new place to start from.
    pub fn learn(&mut self, what: &Move, gain: f64, runs: u64) {
        for arm in &mut self.arms {
            if arm.what == *what {
                arm.tries += 1;
                arm.gain += gain;
                arm.runs += runs as f64;
                arm.failed = if gain > 0.0 { 0 } else { arm.failed + 1 };
            } else if gain > 0.0 {
                arm.failed = arm.failed.min(self.patience - 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let kinds = [Kind::Labels, Kind::Bootstrap, Kind::Ground];
        Plan::new(kinds.map(|kind| Move { kind, predictor: None }).into(), 3)
    }

    fn tries(plan: &mut Plan, n: usize, gain: impl Fn(Kind) -> f64) -> Vec<Kind> {
        let mut kinds = Vec::new();
        for _ in 0..n {
            let Some((what, _)) = plan.next() else { break };
            plan.learn(&what, gain(what.kind), 20);
            kinds.push(what.kind);
        }
        kinds
    }

    #[test]
    fn each_move_is_tried_before_gains_decide() {
        use Kind::{Bootstrap, Ground, Labels};
        let kinds = tries(&mut plan(), 7, |kind| if kind == Ground { 0.1 } else { 0.0 });
        assert_eq!(kinds[..3], [Labels, Bootstrap, Ground]);
        assert_eq!(kinds[3..], [Ground; 4]);
    }

    #[test]
    fn what_stops_gaining_is_left_for_something_else() {
        let mut plan = plan();
        tries(&mut plan, 4, |kind| if kind == Kind::Ground { 0.05 } else { 0.0 });
        let later = tries(&mut plan, 20, |_| 0.0);
        assert!(later.contains(&Kind::Labels) && later.contains(&Kind::Bootstrap), "{later:?}");
    }

    #[test]
    fn it_ends_when_every_move_has_failed_often_enough() {
        let mut plan = plan();
        assert_eq!(tries(&mut plan, 100, |_| 0.0).len(), 9);
        assert!(plan.next().is_none());
    }
}
