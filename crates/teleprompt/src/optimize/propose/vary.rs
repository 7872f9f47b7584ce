//! Variants of instructions, after a look at those that were tried.

use std::ops::Range;
use std::sync::Arc;

use teleprompt_core::{Program, Record, Result};

use super::grounded::{Attempt, tried};
use super::words::{in_order, text_of, writer};
use crate::optimize::{Question, Task};

const STEP: (&str, &str) = ("step", "inputs -> outputs of the step");
const CURRENT: (&str, &str) = ("current_instructions", "");
const TRIED: (&str, &str) = ("tried", "instructions with their scores, best last");
const OUTPUT: (&str, &str) = ("instructions", "the new instructions");

/// Has the LM write other instructions for a predictor, one for each of the rollouts; with past
/// attempts, after a look at them. Gives those that differ from each other and from the current ones.
///
/// Source: COPRO of DSPy, and OPRO, Yang et al. 2023, arXiv 2309.03409.
///
/// # Errors
/// Those of [`Task::ask`]; a question that fails leaves its variant out.
pub async fn vary_instructions(
    task: &Task<'_>,
    predictor: usize,
    past: &[Attempt],
    rollouts: Range<u64>,
    temperature: f64,
) -> Result<Vec<Arc<str>>> {
    let Some((path, signature)) = task.predictors.get(predictor) else { return Ok(Vec::new()) };
    let (program, mut inputs) = if past.is_empty() { first(signature)? } else { next(past)? };
    inputs.insert(STEP.0, signature.with_instructions("").to_string());
    let what = format!("instructions for {path}");
    let variant = async |number: u64| {
        let question = Question::new(&what, &program, inputs.clone()).sampled(number, temperature);
        let asked = task.ask(question).await?;
        text_of(task, &what, &asked, OUTPUT.0)
    };
    let written = in_order(task, rollouts.map(variant)).await?;
    let mut new: Vec<Arc<str>> = Vec::new();
    for text in written.into_iter().flatten() {
        if text != signature.instructions() && !new.iter().any(|n| **n == *text) {
            new.push(text.into());
        }
    }
    Ok(new)
}

fn first(signature: &teleprompt_core::Signature) -> Result<(Program, Record)> {
    let mut inputs = Record::new();
    let current = signature.instructions();
    let known: &[_] = if current.is_empty() { &[STEP] } else { &[STEP, CURRENT] };
    if !current.is_empty() {
        inputs.insert(CURRENT.0, current);
    }
    let program = writer(
        "Write instructions that make a language model do this step well. Say what to do and what \
         a good output is; be concrete, and do not shy away from a wording quite different from \
         the current one. Write the instructions and nothing else.",
        known,
        OUTPUT,
    )?;
    Ok((program, inputs))
}

fn next(past: &[Attempt]) -> Result<(Program, Record)> {
    let mut inputs = Record::new();
    inputs.insert(TRIED.0, tried(past));
    let program = writer(
        "These instructions for a step that a language model does were tried; higher scores are \
         better. Find out what the better ones have that the worse ones lack, and write new \
         instructions that can score higher than all of them. Write the instructions and nothing \
         else.",
        &[STEP, TRIED],
        OUTPUT,
    )?;
    Ok((program, inputs))
}
