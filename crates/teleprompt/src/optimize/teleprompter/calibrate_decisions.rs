//! CalibrateDecisions: thresholds, weights and cuts fitted to the metric.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use teleprompt_core::{
    Decision, Evidence, EvidenceSource, Example, Labels, Lm, Parameters, ProgramState, Record,
    Result, Rule, Signature,
};

use crate::optimize::propose::decide::{default_rule, fit};
use crate::optimize::propose::in_order;
use crate::optimize::study::{Run, Split};
use crate::optimize::task::over;
use crate::optimize::{Candidate, Cost, Optimizer, Sizes, Task};

/// Fits how outputs that are decisions (bools, enums, ints of few levels) are read off from their
/// probabilities: a threshold, a weight for each label, cuts between levels. No prompt changes.
///
/// The program runs once on each train example, and the probabilities are kept: the LM's own
/// log-probabilities, or what the model states in another output. All candidates are then scored on
/// what was kept, without another LM call, and a rule is taken only if it also is better under
/// cross-validation. Only outputs that the program gives on as they are can be fitted.
///
/// Cost: one run a train example; a metric that calls LMs itself is also asked once for each other
/// label on each train example, which the study remembers and counts as the metric's, and no estimate
/// tells beforehand. Use it last, on a program whose prompt is settled, when answers
/// lean to one side. It pays where probabilities are better than the answers made of them.
/// Source: the procedure of ReAnchor in DSPy 3.4, which runs the program anew for each candidate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CalibrateDecisions {
    /// By output, the output in which the model states its probability. Default: none, so that
    /// the LM's log-probabilities count.
    pub stated: BTreeMap<Arc<str>, Arc<str>>,
}

/// An output that may be fitted.
struct Decided {
    path: Arc<str>,
    field: Arc<str>,
    labels: Labels,
    from: EvidenceSource,
}

/// What a run gave, and what is known of one output of it.
struct Row {
    place: usize,
    outputs: Record,
    score: f64,
    evidence: Evidence,
}

impl CalibrateDecisions {
    fn decided(&self, task: &Task<'_>) -> Vec<Decided> {
        let logprobs = task.cx.lm().capabilities().logprobs;
        let mut found = Vec::new();
        for (path, signature) in &task.predictors {
            for output in signature.outputs() {
                let stated = self.stated.get(&output.name).cloned();
                let from = match stated {
                    Some(field) => EvidenceSource::Stated { field },
                    None if logprobs => EvidenceSource::Logprobs,
                    None => continue,
                };
                if let Some(labels) = Labels::of(&output.ty) {
                    found.push(Decided {
                        path: path.clone(),
                        field: output.name.clone(),
                        labels,
                        from,
                    });
                }
            }
        }
        found
    }

    /// The signature's decisions, all read plainly.
    fn plain(&self, task: &Task<'_>, decided: &[Decided]) -> Result<ProgramState> {
        let mut state = ProgramState::default();
        for one in decided {
            let decision = Decision { from: one.from.clone(), rule: default_rule(&one.labels) };
            check(task, one, &decision)?;
            insert(&mut state, one, decision);
        }
        Ok(state)
    }
}

fn signature<'t>(task: &'t Task<'_>, path: &str) -> Option<&'t Signature> {
    task.predictors.iter().find(|(p, _)| **p == *path).map(|(_, signature)| signature)
}

fn check(task: &Task<'_>, one: &Decided, decision: &Decision) -> Result<()> {
    let Some(signature) = signature(task, &one.path) else { return Ok(()) };
    let checked = decision.on(&one.field, signature).map(drop);
    checked.map_err(|why| teleprompt_core::Error::Config(format!("{}: {why}", one.path)))
}

fn insert(state: &mut ProgramState, one: &Decided, decision: Decision) {
    let mut parameters = state.get(&one.path).map(|p| (**p).clone()).unwrap_or_default();
    parameters.decisions.insert(one.field.clone(), decision);
    state.insert(one.path.clone(), parameters);
}

/// The runs whose output is what this predictor decided, with what is known of it.
fn rows(runs: &[Run], one: &Decided) -> Vec<Row> {
    let row = |(place, run): (usize, &Run)| {
        let mut calls = run.steps.iter().filter(|s| s.path == one.path && s.error.is_none());
        let last = calls.next_back().filter(|_| !run.failed())?;
        let passed_on = run.outputs.get(&one.field) == last.outputs.get(&one.field);
        let evidence = last.evidence.get(&one.field).filter(|_| passed_on)?.clone();
        Some(Row { place, outputs: run.outputs.clone(), score: run.score, evidence })
    };
    runs.iter().enumerate().filter_map(row).collect()
}

/// The metric's score of every label on every row. What a run was scored for is not asked again, nor
/// are outputs that several rows have in common.
async fn table(task: &Task<'_>, one: &Decided, rows: &[Row]) -> Result<Vec<Vec<f64>>> {
    let mut wanted: Vec<(&Example, Record)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut cells = Vec::with_capacity(rows.len());
    for row in rows {
        let example = task.train.get(row.place);
        let cell = |value: &Value| {
            let mut outputs = row.outputs.clone();
            outputs.insert(one.field.clone(), value.clone());
            let Some(example) = example.filter(|_| outputs != row.outputs) else {
                return Cell::Known(row.score);
            };
            let new = || {
                wanted.push((example, outputs.clone()));
                wanted.len() - 1
            };
            Cell::Asked(*places.entry(task.judge_key(example, &outputs)).or_insert_with(new))
        };
        cells.push(one.labels.values().iter().map(cell).collect::<Vec<_>>());
    }
    let asked = wanted.iter().map(|(example, outputs)| task.judge(example, outputs));
    let scores = in_order(task, asked).await?;
    let score = |cell: &Cell| match cell {
        Cell::Known(score) => *score,
        Cell::Asked(place) => scores.get(*place).copied().unwrap_or_default(),
    };
    Ok(cells.iter().map(|row| row.iter().map(score).collect()).collect())
}

/// Where a score comes from.
enum Cell {
    /// A run has it.
    Known(f64),
    /// The place among those that the metric is asked for.
    Asked(usize),
}

/// The rule for one output, if a better one was found; why or why not.
async fn fitted(task: &Task<'_>, one: &Decided, runs: &[Run]) -> Result<(Option<Rule>, String)> {
    let rows = rows(runs, one);
    let table = table(task, one, &rows).await?;
    let of = |row: usize, value: &Value| {
        let place = one.labels.place(value)?;
        table.get(row)?.get(place).copied()
    };
    let score = |row: usize, value: &Value| of(row, value).unwrap_or(0.0);
    let evidence: Vec<Evidence> = rows.iter().map(|r| r.evidence.clone()).collect();
    let said: f64 = evidence.iter().enumerate().map(|(i, e)| score(i, &e.said)).sum();
    let said = said / evidence.len().max(1) as f64;
    let start = default_rule(&one.labels);
    let seed = task.rng(&format!("decide {} {}", one.path, one.field)).seed();
    let found = fit(&one.labels, &evidence, &score, &start, seed)
        .map_err(teleprompt_core::Error::Config)?;
    let why = format!("{}, {}: {}", one.path, one.field, found.why);
    if found.accepted && found.held_out > said {
        return Ok((Some(found.rule), why));
    }
    let why = match found.accepted {
        true => format!("{why}, but the answers as they are have {said:.3}"),
        false => why,
    };
    Ok((None, why))
}

impl Optimizer for CalibrateDecisions {
    fn name(&self) -> &'static str {
        "calibrate_decisions"
    }
    fn settings(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
    fn validates(&self) -> bool {
        false
    }
    fn cost(&self, sizes: Sizes) -> Cost {
        Cost::runs(sizes.train as u64)
    }
    async fn search(&self, task: &Task<'_>) -> Result<Candidate> {
        let decided = self.decided(task);
        if decided.is_empty() {
            task.note(
                "no output is a decision (bool, enum, int of few levels) whose probabilities are \
                 known: the LM tells no log-probabilities, and no output is set in `stated`",
            )?;
            return Ok(task.base().clone());
        }
        let plain = task.propose("decisions read plainly", self.plain(task, &decided)?)?;
        let places: Vec<usize> = (0..task.train.len()).collect();
        let runs = task.runs(&plain, Split::Train, &places).await?;
        let mut state = ProgramState::default();
        for one in &decided {
            let (rule, why) = fitted(task, one, &runs).await?;
            task.note(why)?;
            if let Some(rule) = rule {
                insert(&mut state, one, Decision { from: one.from.clone(), rule });
            }
        }
        if state.0.is_empty() {
            task.reject(&plain, "no rule was better than the answers as they are")?;
            return Ok(task.base().clone());
        }
        let below = decisions_of(task);
        task.propose_from("fitted decisions", over(&state, &below), &[&plain])
    }
}

/// Decisions that are in force already: those on other outputs stay.
fn decisions_of(task: &Task<'_>) -> ProgramState {
    let mut state = ProgramState::default();
    for (path, _) in &task.predictors {
        let decisions = task.parameters(path).decisions;
        if !decisions.is_empty() {
            state.insert(path.clone(), Parameters { decisions, ..Parameters::default() });
        }
    }
    state
}
