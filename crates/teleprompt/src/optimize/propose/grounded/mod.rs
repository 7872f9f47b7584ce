//! Instructions grounded in what can be known: the data, the program, demonstrations, past attempts.

mod describe;
mod prompts;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use teleprompt_core::{Program, Record, Result};

use super::words::{ask_with_examples, in_order, text_of};
use crate::data::Rng;
use crate::optimize::{Question, Task};

/// Examples or demonstrations that a proposal shows.
const SHOWN: usize = 3;

/// Answers without news, one after the other, after which no further examples are looked at.
const PATIENCE: usize = 2;

/// Writes instructions for predictors out of facts: what the data look like, what the program and the
/// step are for, some demonstrations, what was tried and how well it did.
///
/// Each kind of fact can be left out; questions on facts are asked once a search. All examples come
/// from the train split.
/// Source: the proposer of MIPRO, Opsahl-Ong et al. 2024, arXiv 2406.11695, section 3.1.
///
/// ```
/// use teleprompt::optimize::{Task, propose::Grounded};
/// # async fn search(task: &Task<'_>) -> teleprompt::Result<()> {
/// let ground = Grounded { looks: 2, ..Grounded::default() }.ground(task).await?;
/// // Five for the first predictor, the one in force included; no demonstrations, nothing tried yet.
/// for instructions in ground.instructions(task, 0, 5, &[], &[]).await? {
///     task.note(format!("to be tried: {instructions}"))?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grounded {
    /// Whether the LM looks at train examples first and sums up what it saw. Default: true.
    pub data: bool,
    /// Examples of one look. Default: 10.
    pub batch: usize,
    /// The most looks; they end early when two in a row bring nothing new. Default: 5.
    pub looks: usize,
    /// Whether the LM is shown the program's structure and asked what it and the step are for.
    /// Default: true.
    pub program: bool,
    /// Whether demonstrations are shown. Default: true.
    pub demos: bool,
    /// Whether a piece of advice on wording, drawn at random, goes with each proposal. Default: true.
    pub tips: bool,
    /// The sampling temperature of proposals. Default: 1.
    pub temperature: f64,
}

impl Default for Grounded {
    fn default() -> Self {
        Self {
            data: true,
            batch: 10,
            looks: 5,
            program: true,
            demos: true,
            tips: true,
            temperature: 1.0,
        }
    }
}

/// What is known before the first proposal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ground {
    settings: Grounded,
    /// The data in two or three sentences.
    pub data: Option<String>,
    /// The program's structure as text.
    pub outline: String,
    /// What the program is for.
    pub purpose: Option<String>,
    /// What each step is for, in the order of the predictors; none for a program of one step.
    pub roles: Vec<Option<String>>,
}

/// Instructions that were tried, with their mean score; higher is better.
pub type Attempt = (Arc<str>, f64);

impl Grounded {
    /// The most questions: facts, and `candidates` instructions for each of the predictors.
    pub fn questions(&self, predictors: usize, candidates: usize) -> u64 {
        let looks = if self.data && self.batch > 0 { self.looks } else { 0 };
        // What fails is asked again with fewer examples: looks up to three times, proposals once.
        let data = 4 * looks + usize::from(looks > 0);
        let program = match (self.program, predictors) {
            (false, _) | (_, 0) => 0,
            (true, 1) => 1,
            (true, n) => 1 + n,
        };
        let most = if self.demos { 2 } else { 1 };
        (data + program + most * predictors * candidates.saturating_sub(1)) as u64
    }

    /// Asks for the facts.
    ///
    /// # Errors
    /// Those of [`Task::ask`]; a question that fails leaves its fact out.
    pub async fn ground(&self, task: &Task<'_>) -> Result<Ground> {
        let mut ground = Ground { settings: *self, ..Ground::default() };
        if self.data {
            ground.data = self.data(task).await?;
        }
        if self.program {
            ground.outline = describe::outline(task);
            ground.purpose = purpose(task, &ground.outline).await?;
            ground.roles = roles(task, &ground).await?;
        }
        Ok(ground)
    }

    async fn data(&self, task: &Task<'_>) -> Result<Option<String>> {
        let mut places: Vec<usize> = (0..task.train.len()).collect();
        task.rng("looks").shuffle(&mut places);
        let mut observations: Vec<String> = Vec::new();
        let mut dull = 0;
        for batch in places.chunks(self.batch.max(1)).take(self.looks) {
            if self.batch == 0 || dull >= PATIENCE {
                break;
            }
            let examples: Vec<Record> =
                batch.iter().filter_map(|i| Some(task.train.get(*i)?.fields.clone())).collect();
            match look(task, &examples, &observations).await? {
                Some(news) if !prompts::is_nothing_new(&news) => {
                    observations.push(news);
                    dull = 0;
                }
                _ => dull += 1,
            }
        }
        if observations.len() < 2 {
            return Ok(observations.pop());
        }
        let program = prompts::sum_up()?;
        let mut inputs = Record::new();
        inputs.insert("observations", observations.join("\n"));
        let what = "summary of the data";
        let asked = task.ask(Question::new(what, &program, inputs)).await?;
        // What was seen first says more than what was added.
        Ok(text_of(task, what, &asked, "summary")?.or(observations.into_iter().next()))
    }
}

impl Ground {
    /// Up to `candidates` different instructions for a predictor: those in force, then one proposal
    /// for each further candidate. Proposals show demonstrations of one set each, in turn, or train
    /// examples where there are none; and past attempts, worst first.
    ///
    /// # Errors
    /// Those of [`Task::ask`]; a question that fails leaves its candidate out.
    pub async fn instructions(
        &self,
        task: &Task<'_>,
        predictor: usize,
        candidates: usize,
        demo_sets: &[Vec<Record>],
        past: &[Attempt],
    ) -> Result<Vec<Arc<str>>> {
        let Some((_, signature)) = task.predictors.get(predictor) else {
            return Ok(Vec::new());
        };
        let sets: Vec<&Vec<Record>> = demo_sets.iter().filter(|set| !set.is_empty()).collect();
        let proposal = |i: usize| {
            let turn = (i - 1).checked_rem(sets.len()).unwrap_or(0);
            let set = sets.get(turn).map(|set| set.as_slice());
            self.proposal(task, predictor, i as u64, set, past)
        };
        let proposals = in_order(task, (1..candidates).map(proposal)).await?;
        let mut known: Vec<Arc<str>> = vec![signature.instructions().into()];
        for text in proposals.into_iter().flatten() {
            if !known.iter().any(|k| **k == *text) {
                known.push(text.into());
            }
        }
        Ok(known)
    }

    /// One proposal; the number tells equal questions apart.
    pub(in crate::optimize) async fn proposal(
        &self,
        task: &Task<'_>,
        predictor: usize,
        number: u64,
        demos: Option<&[Record]>,
        past: &[Attempt],
    ) -> Result<Option<String>> {
        let Some((path, signature)) = task.predictors.get(predictor) else { return Ok(None) };
        let mut rng = task.rng("instructions").derive(path).derive(&number.to_string());
        let mut facts = self.facts(predictor, path);
        let step = signature.with_instructions("").to_string();
        facts.push(("tried", "earlier instructions with their scores, best last", tried(past)));
        facts.push(("step", "inputs -> outputs of the step", step));
        facts.push(("current_instructions", "", signature.instructions().to_owned()));
        if self.settings.tips {
            let tip = rng.choose(prompts::tips()).copied().unwrap_or_default();
            facts.push(("advice", "", tip.to_owned()));
        }
        facts.retain(|(_, _, text)| !text.is_empty());
        let wanted = self.settings.demos;
        let examples = if wanted { shown_to(task, demos, &mut rng) } else { Vec::new() };
        let mut known: Vec<_> = facts.iter().map(|(name, what, _)| (*name, *what)).collect();
        if !examples.is_empty() {
            known.insert(0, prompts::EXAMPLES);
        }
        let program = prompts::propose(&known)?;
        let inputs = facts.into_iter().map(|(name, _, text)| (Arc::from(name), Value::from(text)));
        let what = format!("instructions for {path}");
        let question = Question::new(&what, &program, inputs.collect())
            .sampled(number, self.settings.temperature);
        let asked = ask_with_examples(task, question, &examples).await?;
        text_of(task, &what, &asked, "instructions")
    }

    /// Names, meanings and texts; empty where a fact is not known.
    fn facts(&self, predictor: usize, path: &str) -> Vec<(&'static str, &'static str, String)> {
        let fact = |text: &Option<String>| text.clone().unwrap_or_default();
        let role = self.roles.get(predictor).and_then(Option::as_ref);
        let role = role.map(|role| format!("{path}: {role}")).unwrap_or_default();
        // The outline of a single step says what the step itself says.
        let outline = if self.roles.is_empty() { String::new() } else { self.outline.clone() };
        vec![
            ("data", "what the data look like", fact(&self.data)),
            (prompts::PROGRAM.0, prompts::PROGRAM.1, outline),
            ("purpose", "what the program is for", fact(&self.purpose)),
            ("role", "what the step is for", role),
        ]
    }
}

async fn look(
    task: &Task<'_>,
    examples: &[Record],
    observations: &[String],
) -> Result<Option<String>> {
    let first = observations.is_empty();
    let program = if first { prompts::first_look() } else { prompts::further_look() }?;
    let mut inputs = Record::new();
    if !first {
        inputs.insert("observations", observations.join("\n"));
    }
    let what = "look at examples";
    let asked = ask_with_examples(task, Question::new(what, &program, inputs), examples).await?;
    text_of(task, what, &asked, if first { "observations" } else { "new_observations" })
}

async fn purpose(task: &Task<'_>, outline: &str) -> Result<Option<String>> {
    let program = prompts::purpose()?;
    let mut inputs = Record::new();
    inputs.insert(prompts::PROGRAM.0, outline);
    let what = "purpose of the program";
    let asked = task.ask(Question::new(what, &program, inputs)).await?;
    text_of(task, what, &asked, "purpose")
}

async fn roles(task: &Task<'_>, ground: &Ground) -> Result<Vec<Option<String>>> {
    if task.predictors.len() < 2 {
        return Ok(Vec::new());
    }
    let program = prompts::role()?;
    in_order(task, task.predictors.iter().map(|(path, _)| role(task, ground, &program, path))).await
}

async fn role(
    task: &Task<'_>,
    ground: &Ground,
    program: &Program,
    path: &str,
) -> Result<Option<String>> {
    let mut inputs = Record::new();
    inputs.insert(prompts::PROGRAM.0, ground.outline.as_str());
    inputs.insert("purpose", ground.purpose.as_deref().unwrap_or("not known"));
    inputs.insert("step", path);
    let what = format!("role of {path}");
    let asked = task.ask(Question::new(&what, program, inputs)).await?;
    text_of(task, &what, &asked, "role")
}

/// Demonstrations of the set, or train examples where there are none.
fn shown_to(task: &Task<'_>, demos: Option<&[Record]>, rng: &mut Rng) -> Vec<Record> {
    match demos {
        Some(demos) => demos.iter().take(SHOWN).cloned().collect(),
        None => {
            let places = rng.sample(task.train.len(), SHOWN);
            places.iter().filter_map(|i| Some(task.train.get(*i)?.fields.clone())).collect()
        }
    }
}

/// Past attempts, worst first, so that the best stands next to what is to be written.
pub(in crate::optimize) fn tried(past: &[Attempt]) -> String {
    let mut past: Vec<&Attempt> = past.iter().collect();
    past.sort_by(|a, b| a.1.total_cmp(&b.1));
    let line = |(text, score): &&Attempt| format!("score {score:.3}: {text}");
    past.iter().map(line).collect::<Vec<_>>().join("\n")
}
