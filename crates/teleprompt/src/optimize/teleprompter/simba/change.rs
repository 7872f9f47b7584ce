//! Changes of a candidate: fewer demonstrations, one more, a rule.

use std::sync::Arc;

use serde_json::Value;
use teleprompt_core::{Parameters, ProgramState, Record, Signature, TraceStep};

use super::bucket::{Bounds, Bucket};
use crate::data::Rng;
use crate::optimize::compose::fit;
use crate::optimize::propose::{Rule, cut};
use crate::optimize::study::Run;
use crate::optimize::{Candidate, Task};

/// What is added to a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strategy {
    /// The best run as a demonstration.
    Demo,
    /// A rule from the best and the worst run.
    Rule,
}

impl Strategy {
    /// The one to use on a bucket: those that apply are equally likely.
    pub fn choose(bucket: &Bucket, bounds: Bounds, demos: bool, rng: &mut Rng) -> Option<Self> {
        let best = bucket.best()?.score;
        let worst = bucket.worst()?.score;
        // A run that is among the bad ones of its batch is nothing to go by.
        let good = best > bounds.low;
        let mut apply = Vec::new();
        if demos && good && bucket.best().is_some_and(|run| !run.failed()) {
            apply.push(Strategy::Demo);
        }
        if good && worst < bounds.high {
            apply.push(Strategy::Rule);
        }
        rng.choose(&apply).copied()
    }
}

/// How many of so many demonstrations are dropped, so that new ones can have their effect.
pub(super) fn dropped(demos: usize, most: usize, rng: &mut Rng) -> usize {
    let full = usize::from(demos > 0 && demos >= most);
    let drawn = poisson(demos as f64 / most.max(1) as f64, rng);
    drawn.max(full).min(demos)
}

/// A Poisson variate of a small mean (Knuth 1969, section 3.4.1).
fn poisson(mean: f64, rng: &mut Rng) -> usize {
    let (limit, mut product, mut n) = ((-mean).exp(), rng.unit(), 0);
    while product > limit {
        product *= rng.unit();
        n += 1;
    }
    n
}

/// A candidate's parameters while they are changed.
pub(super) struct Draft {
    state: ProgramState,
    written: Vec<Written>,
}

/// A predictor as the search found it.
struct Written {
    path: Arc<str>,
    signature: Signature,
    parameters: Parameters,
}

impl Draft {
    pub fn of(task: &Task<'_>, source: &Candidate) -> Self {
        let written = |(path, signature): &(Arc<str>, Signature)| Written {
            path: path.clone(),
            signature: signature.clone(),
            parameters: task.parameters(path),
        };
        let written = task.predictors.iter().map(written).collect();
        Self { state: (**source.state()).clone(), written }
    }

    fn demos(&self, path: &str) -> Vec<Record> {
        let own = self.state.get(path).and_then(|p| p.demos.clone());
        let written = || self.written(path).and_then(|w| w.parameters.demos.clone());
        own.or_else(written).unwrap_or_default()
    }

    fn written(&self, path: &str) -> Option<&Written> {
        self.written.iter().find(|written| *written.path == *path)
    }

    fn paths(&self) -> Vec<Arc<str>> {
        self.written.iter().map(|written| written.path.clone()).collect()
    }

    fn edit(&mut self, path: &Arc<str>, change: impl FnOnce(&mut Parameters)) {
        let mut parameters = self.state.get(path).map(|p| (**p).clone()).unwrap_or_default();
        change(&mut parameters);
        self.state.insert(path.clone(), parameters);
    }

    fn set_demos(&mut self, path: &Arc<str>, demos: Vec<Record>) {
        self.edit(path, |parameters| {
            parameters.demos = Some(demos);
            // It was measured with other demonstrations.
            parameters.label_bias.clear();
        });
    }

    /// Drops some demonstrations, of each predictor those at the same places.
    pub fn thin(&mut self, most: usize, rng: &mut Rng) {
        let paths = self.paths();
        let longest = paths.iter().map(|path| self.demos(path).len()).max().unwrap_or_default();
        let n = dropped(longest, most, rng);
        let places = rng.sample(longest, n);
        for path in paths {
            let before = self.demos(&path);
            let kept = before.iter().enumerate().filter(|(i, _)| !places.contains(i));
            let kept: Vec<Record> = kept.map(|(_, demo)| demo.clone()).collect();
            if kept.len() < before.len() {
                self.set_demos(&path, kept);
            }
        }
    }

    /// Adds the last call of each predictor in a run; whether there was one.
    pub fn add_demos(&mut self, run: &Run, longest: usize) -> bool {
        let mut any = false;
        for path in self.paths() {
            let good = |s: &&TraceStep| s.path == path && s.error.is_none();
            let Some(step) = run.steps.iter().rfind(good) else { continue };
            let inputs =
                step.inputs.iter().map(|(name, value)| (name.clone(), short(value, longest)));
            let outputs = step.outputs.iter().map(|(name, value)| (name.clone(), value.clone()));
            let fields: Record = inputs.chain(outputs).collect();
            // A teacher's predictor may have fields that the student's lacks.
            let Some(demo) = self.written(&path).and_then(|w| fit(&fields, &w.signature)) else {
                continue;
            };
            let mut demos = self.demos(&path);
            demos.push(demo);
            self.set_demos(&path, demos);
            any = true;
        }
        any
    }

    /// Adds a rule behind the instructions of its predictor.
    pub fn add_rule(&mut self, rule: &Rule) {
        let current = self.instructions(&rule.path);
        let text = format!("{current}\n\n{}", rule.text);
        self.edit(&rule.path, |parameters| {
            parameters.instructions = Some(text.trim_start().into());
        });
    }

    /// The instructions of a predictor as they are now.
    pub fn instructions(&self, path: &str) -> Arc<str> {
        let own = self.state.get(path).and_then(|p| p.instructions.clone());
        let written = || self.written(path).map(|w| w.signature.instructions().into());
        own.or_else(written).unwrap_or_default()
    }

    pub fn finish(self) -> ProgramState {
        self.state
    }
}

/// A text input no longer than this.
fn short(value: &Value, longest: usize) -> Value {
    value.as_str().map_or_else(|| value.clone(), |text| cut(text, longest).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_set_loses_at_least_one_and_an_empty_one_nothing() {
        let mut rng = Rng::new(1);
        let mut mean = |demos: usize| {
            (0..4000).map(|_| dropped(demos, 4, &mut rng)).sum::<usize>() as f64 / 4000.0
        };
        assert_eq!(mean(0), 0.0);
        // A Poisson of mean a half, hardly cut at 2: five standard deviations are 0.06.
        assert!((mean(2) - 0.5).abs() < 0.07);
        let mut rng = Rng::new(2);
        assert!((0..200).all(|_| (1..=4).contains(&dropped(4, 4, &mut rng))));
        assert!((0..200).all(|_| dropped(3, 0, &mut rng) >= 1));
    }

    #[test]
    fn strategies_that_do_not_apply_are_not_chosen() {
        let bucket = |scores: &[f64]| {
            let run = |score: &f64| Run { score: *score, ..Run::default() };
            Bucket::new(0, scores.iter().map(run).collect())
        };
        let bounds = Bounds { low: 0.2, high: 0.9 };
        let chosen = |scores: &[f64], demos: bool| {
            let mut rng = Rng::new(3);
            let all: std::collections::BTreeSet<String> = (0..40)
                .filter_map(|_| Strategy::choose(&bucket(scores), bounds, demos, &mut rng))
                .map(|s| format!("{s:?}"))
                .collect();
            all.into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(chosen(&[1.0, 0.0], true), "Demo Rule");
        assert_eq!(chosen(&[1.0, 0.0], false), "Rule");
        assert_eq!(chosen(&[1.0, 0.95], true), "Demo", "no run was bad");
        assert_eq!(chosen(&[0.2, 0.0], true), "", "no run was good");
    }
}
