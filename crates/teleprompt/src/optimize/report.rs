//! What a compile found, as facts.

mod verdict;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use teleprompt_core::{Metric, MetricHandle, Program, ProgramState, Record, Signature, Usage};

use self::verdict::{Gain, gain, qualified, verdict};
use super::splits::Splits;
use super::study::{CandidateFacts, Run, Spend, Study};
use super::task::predictors;
use super::{Candidate, Objective};
use crate::evaluate::{paired, stats};

/// How one program did on the examples that the search never saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Side {
    /// Mean score; higher is better.
    pub score: f64,
    /// 95% confidence interval of the score.
    pub ci: (f64, f64),
    /// Number of examples.
    pub n: usize,
    /// Examples that failed (they score 0).
    pub failed: usize,
    /// Of the failures, those because the LM could not be reached, was overloaded or took too long.
    #[serde(default)]
    pub outages: usize,
    /// The first failure, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_error: Option<String>,
    /// How the candidate was made.
    pub origin: String,
    /// The score of each example, in their order.
    #[serde(default)]
    pub scores: Vec<f64>,
    /// Tokens a run, prompt and completion.
    #[serde(default)]
    pub tokens: f64,
}

impl Side {
    pub(super) fn of(origin: &str, runs: &[Run]) -> Self {
        let scores: Vec<f64> = runs.iter().map(|r| r.score).collect();
        let mut errors = runs.iter().filter_map(|r| r.error.clone());
        let failed = errors.clone().count();
        // Of nothing, nothing is known.
        let (score, ci) = match scores.is_empty() {
            true => (0.0, (0.0, 1.0)),
            false => {
                let interval = stats::interval(&scores);
                (stats::mean(&scores), (interval.low, interval.high))
            }
        };
        let tokens: u64 =
            runs.iter().map(|r| r.usage.prompt_tokens + r.usage.completion_tokens).sum();
        Self {
            score,
            ci,
            n: runs.len(),
            failed,
            outages: runs.iter().filter(|r| r.outage).count(),
            first_error: errors.next(),
            origin: origin.to_owned(),
            tokens: tokens as f64 / runs.len().max(1) as f64,
            scores,
        }
    }
}

/// What the winner changes in a predictor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Change {
    /// The predictor's path.
    pub predictor: String,
    /// Which member changes it, from 0, where the winner is several that vote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<usize>,
    /// The instructions as written, where they change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions_before: Option<String>,
    /// The winner's instructions, where they change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// The demonstrations that the winner shows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub demos: Vec<Record>,
    /// All the parameters that the winner sets.
    pub parameters: Value,
}

/// The result of a compile: the program as written beside the winner, on the same examples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// The optimizer's name.
    pub optimizer: String,
    /// Its settings.
    pub settings: Value,
    /// The metric's name.
    pub metric: String,
    /// `test`; `held-back` where no test examples were given and some were set aside; `used` where
    /// there were too few for that, or where more than one in ten test examples are train or validation
    /// examples, too, so that the scores prove nothing.
    pub split: String,
    /// The program as written. Where the budget ended while the winner was measured, both sides are
    /// on the examples that were done; where none was, this side alone is measured.
    pub baseline: Side,
    /// The candidate that the search chose.
    pub winner: Side,
    /// The hash of that candidate.
    #[serde(default)]
    pub candidate: String,
    /// Whether the compile gives the winner. If not, it gives the program as written: nothing was
    /// better.
    pub improved: bool,
    /// The result in a sentence.
    pub verdict: String,
    /// Mean difference, winner minus baseline.
    pub difference: f64,
    /// 95% confidence interval of the difference.
    pub difference_ci: (f64, f64),
    /// Two-sided p-value of the paired test that both are equally good.
    pub p_value: f64,
    /// The test.
    pub test: String,
    /// What the winner changes, member by member where it is several that vote.
    #[serde(default)]
    pub changes: Vec<Change>,
    /// Every candidate with its scores, in the order in which they were made.
    #[serde(default)]
    pub candidates: Vec<CandidateFacts>,
    /// What the recipe said on the way.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What the whole study used, all sessions and both evaluations included.
    #[serde(flatten)]
    pub usage: Usage,
    /// The same by what for.
    #[serde(default)]
    pub spent: Spend,
    /// Time of all sessions together.
    pub seconds: f64,
    /// The study's name.
    pub study: String,
    /// Why the search, or the evaluation of its result, ended early, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

/// What a report is made of.
pub(super) struct Facts<'a> {
    pub optimizer: (&'static str, Value),
    pub metric: MetricHandle,
    pub splits: &'a Splits,
    pub study: &'a Study,
    pub program: &'a Program,
    pub objective: Objective,
    pub winner: &'a Candidate,
    pub measured: Measured,
    pub seconds: f64,
}

/// The runs on the test examples.
pub(super) struct Measured {
    /// Of the program as written.
    pub plain: Vec<Run>,
    /// Of the winner, on the same examples; none if the budget ended before the first.
    pub tuned: Vec<Run>,
    /// The test examples that there are.
    pub of: usize,
    /// Why the search, or this evaluation, ended early.
    pub stopped: Option<String>,
}

impl Facts<'_> {
    pub fn report(self) -> Report {
        let scores = |runs: &[Run]| runs.iter().map(|r| r.score).collect::<Vec<_>>();
        let Measured { plain, tuned, of, .. } = &self.measured;
        let test = paired(&scores(plain), &scores(tuned));
        let (baseline, winner) =
            (Side::of("as written", plain), Side::of(&self.winner.origin, tuned));
        let same = self.winner.hash == Candidate::baseline().hash;
        let gain =
            if same { None } else { gain(self.objective, &self.measured, &baseline, &winner) };
        let improved = gain.is_some();
        let spent = self.study.spent();
        Report {
            verdict: qualified(
                verdict(same, gain, (self.splits.measured_on, *of), &baseline, &winner),
                test.p_value,
                !same && gain == Some(Gain::Score),
                (&baseline, &winner),
            ),
            improved,
            candidate: self.winner.hash.clone(),
            changes: if same { Vec::new() } else { self.changes() },
            optimizer: self.optimizer.0.into(),
            settings: self.optimizer.1,
            metric: self.metric.name(),
            split: self.splits.measured_on.name().into(),
            baseline,
            winner,
            difference: test.difference,
            difference_ci: (test.ci.low, test.ci.high),
            p_value: test.p_value,
            test: test.test.name().into(),
            candidates: self.study.candidates(),
            notes: self.study.notes(),
            usage: spent.total(),
            spent,
            seconds: self.seconds,
            study: self.study.name().into(),
            stopped: self.measured.stopped,
        }
    }

    fn changes(&self) -> Vec<Change> {
        let solution = self.winner.solution();
        let written = predictors(self.program, &Candidate::baseline());
        let member = |(place, state): (usize, &Arc<ProgramState>)| {
            let tuned = predictors(self.program, &Candidate::new("", (**state).clone()));
            let number = (!solution.is_single()).then_some(place);
            let both = written.iter().zip(&tuned);
            both.filter_map(|((path, before), (_, after))| {
                change(path, number, (before, after), state)
            })
            .collect::<Vec<_>>()
        };
        solution.members().iter().enumerate().flat_map(member).collect()
    }
}

/// What a state changes in a predictor of these signatures, before and after.
fn change(
    path: &str,
    member: Option<usize>,
    (before, after): (&Signature, &Signature),
    state: &ProgramState,
) -> Option<Change> {
    let parameters = state.get(path)?;
    let differ = before.instructions() != after.instructions();
    Some(Change {
        predictor: path.to_owned(),
        member,
        instructions_before: differ.then(|| before.instructions().to_owned()),
        instructions: differ.then(|| after.instructions().to_owned()),
        demos: parameters.demos().to_vec(),
        parameters: serde_json::to_value(&**parameters).unwrap_or_default(),
    })
}

/// The cost in words.
fn price_text(usage: &Usage) -> String {
    match usage.total_cost() {
        None if usage.priced_calls == 0 => "price unknown".to_owned(),
        _ => usage.cost_text(),
    }
}

fn tokens(usage: &Usage) -> u64 {
    usage.prompt_tokens + usage.completion_tokens
}

fn percent(x: f64) -> String {
    format!("{:5.1}", 100.0 * x)
}

fn side(f: &mut fmt::Formatter<'_>, name: &str, side: &Side) -> fmt::Result {
    let (low, high) = side.ci;
    let (score, low, high) = (percent(side.score), percent(low), percent(high));
    write!(f, "{name:<12} {score}%  95% CI {low} to {high}   n = {}", side.n)?;
    if side.failed > 0 {
        write!(f, "   {} failed", side.failed)?;
    }
    writeln!(f, "   ({})", side.origin)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} by {}, {} split", self.optimizer, self.metric, self.split)?;
        side(f, "as written", &self.baseline)?;
        side(f, "compiled", &self.winner)?;
        let (low, high) = self.difference_ci;
        writeln!(
            f,
            "difference  {:+6.1} points, 95% CI {:+.1} to {:+.1}   p = {}   ({})",
            100.0 * self.difference,
            100.0 * low,
            100.0 * high,
            p_text(self.p_value),
            self.test
        )?;
        write!(
            f,
            "cost         {} LM calls ({} from the cache), {} + {} tokens, {}, {:.0} s",
            self.usage.calls,
            self.usage.cache_hits,
            self.usage.prompt_tokens,
            self.usage.completion_tokens,
            price_text(&self.usage),
            self.seconds
        )?;
        for (name, part) in self.spent.parts() {
            write!(f, "\n  {name:<11}{} LM calls, {} tokens", part.calls, tokens(&part))?;
        }
        if let Some(why) = &self.stopped {
            write!(f, "\nended early: {why}")?;
        }
        write!(f, "\nresult       {}", self.verdict)?;
        for (name, side) in [("as written", &self.baseline), ("compiled", &self.winner)] {
            if let Some(error) = &side.first_error {
                let line = error.lines().next().unwrap_or("");
                write!(f, "\nthe first failure of {name}: {line}")?;
            }
        }
        if self.improved {
            self.changes.iter().try_for_each(|change| what_changes(f, change))?;
        }
        self.notes.iter().try_for_each(|note| write!(f, "\nremark       {note}"))
    }
}

/// A predictor's path, what was put into it, and the lines of its instructions that differ.
fn what_changes(f: &mut fmt::Formatter<'_>, change: &Change) -> fmt::Result {
    let parameters = change.parameters.as_object();
    let others = parameters.into_iter().flatten().map(|(name, _)| name.replace('_', " "));
    let mut parts: Vec<String> =
        others.filter(|name| name != "demos" && name != "instructions").collect();
    if !change.demos.is_empty() {
        parts.insert(0, format!("{} demos", change.demos.len()));
    }
    if change.instructions.is_some() {
        parts.insert(0, "instructions".into());
    }
    write!(f, "\nchanged      {}", change.predictor)?;
    if let Some(member) = change.member {
        write!(f, " of member {}", member + 1)?;
    }
    write!(f, ": {}", parts.join(", "))?;
    let (Some(before), Some(after)) = (&change.instructions_before, &change.instructions) else {
        return Ok(());
    };
    only_in(f, '-', before, after)?;
    only_in(f, '+', after, before)
}

/// The lines of a text that another one does not have, the first few of them.
fn only_in(f: &mut fmt::Formatter<'_>, sign: char, text: &str, other: &str) -> fmt::Result {
    const MOST: usize = 12;
    let kept: Vec<&str> = other.lines().collect();
    let own: Vec<&str> = text.lines().filter(|line| !kept.contains(line)).collect();
    own.iter().take(MOST).try_for_each(|line| write!(f, "\n  {sign} {line}"))?;
    match own.len().saturating_sub(MOST) {
        0 => Ok(()),
        more => write!(f, "\n  {sign} … {more} more lines"),
    }
}

fn p_text(p: f64) -> String {
    if p < 0.0001 { "below 0.0001".into() } else { format!("{p:.4}") }
}

#[cfg(test)]
mod tests;
