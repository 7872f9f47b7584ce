//! The questions of the grounded proposer. Short and concrete, so that small LMs can answer them.

use teleprompt_core::{Program, Result};

use crate::optimize::propose::words::writer;

const TIPS: [&str; 6] = [
    "Keep it to one or two short sentences.",
    "Say step by step how to get from the inputs to the output.",
    "Name the mistake that is most easily made here, and how to avoid it.",
    "Describe exactly what the output must look like.",
    "Begin with the kind of expert who does this task well.",
    "Say how to decide in doubtful cases.",
];

/// Pieces of advice on how to word instructions, of which a proposal gets one.
pub(super) fn tips() -> &'static [&'static str] {
    &TIPS
}

/// Names and meanings of the inputs that questions have in common.
pub(super) const EXAMPLES: (&str, &str) = ("examples", "some inputs with the right outputs");
pub(super) const PROGRAM: (&str, &str) = ("program", "its steps, each with inputs -> outputs");

/// What a look at the first examples shows.
pub(super) fn first_look() -> Result<Program> {
    writer(
        "Look at the examples of a task. Note what the inputs are about and how they are written, \
         what the outputs look like, and what decides which output is right. Two to four \
         sentences. Do not repeat the examples.",
        &[EXAMPLES],
        ("observations", ""),
    )
}

/// What further examples add. [`is_nothing_new`] knows the answer that they add nothing.
pub(super) fn further_look() -> Result<Program> {
    writer(
        "Look at further examples of a task. Note in one or two sentences what the observations so \
         far do not say yet. If there is nothing to add, write only: nothing new",
        &[EXAMPLES, ("observations", "what was seen so far")],
        ("new_observations", ""),
    )
}

pub(super) fn is_nothing_new(text: &str) -> bool {
    let start: String = text.trim().to_lowercase().chars().take(11).collect();
    start == "nothing new"
}

/// The observations in short.
pub(super) fn sum_up() -> Result<Program> {
    writer(
        "Sum up the observations on the data of a task in two or three sentences, for somebody who \
         has to do the task and has not seen the data.",
        &[("observations", "")],
        ("summary", ""),
    )
}

/// What a program is for.
pub(super) fn purpose() -> Result<Program> {
    writer(
        "A program asks a language model in one or several steps. Say in one or two sentences what \
         the program is for and how its steps work together.",
        &[PROGRAM],
        ("purpose", ""),
    )
}

/// What one of its steps is for.
pub(super) fn role() -> Result<Program> {
    writer(
        "Say in one sentence what the named step has to do for the program to succeed.",
        &[PROGRAM, ("purpose", "what the program is for"), ("step", "the step's name")],
        ("role", ""),
    )
}

/// New instructions; the inputs are those facts that are known.
pub(super) fn propose(known: &[(&str, &str)]) -> Result<Program> {
    writer(
        "Write better instructions for one step that a language model does. The model sees only \
         your instructions and the inputs of the step. Say what to do and what decides the right \
         output; be concrete. Write the instructions and nothing else.",
        known,
        ("instructions", "the new instructions"),
    )
}
