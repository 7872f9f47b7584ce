//! Rules from a better and a worse run on the same example.

use std::fmt::Write;
use std::sync::Arc;

use teleprompt_core::{Example, Field, Program, Result, Signature, Type};

use super::{show, words};
use crate::module::Predict;
use crate::optimize::study::Run;
use crate::optimize::{Question, Task};

/// Two runs on the same example.
#[derive(Clone, Copy, Debug)]
pub struct Contrast<'r> {
    /// The example, with its labels.
    pub example: &'r Example,
    /// The better run; none if no run was good enough to learn from.
    pub better: Option<&'r Run>,
    /// The worse run; none if no run was bad enough.
    pub worse: Option<&'r Run>,
}

/// A rule for one predictor.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The predictor's path.
    pub path: Arc<str>,
    /// The rule, to stand behind its instructions.
    pub text: String,
}

const ADVISE: &str = "A program was run twice on the same example. Compare the runs and their \
    feedback. Which step made the difference, or could make it? Write one rule for that step by \
    which it does as in the better run and avoids what went wrong in the worse one. The rule must \
    be short and concrete, name what the feedback names, and hold for other inputs of this kind; \
    it must not be about this example alone.";

/// Asks for a rule for one of the program's predictors; why there is none. `outline` describes the
/// program; `rollout` tells equal questions apart.
///
/// Source: SIMBA, of DSPy 2.6.
///
/// # Errors
/// Those of [`Task::ask`].
pub async fn introspect(
    task: &Task<'_>,
    outline: &str,
    contrast: Contrast<'_>,
    rollout: u64,
) -> Result<Result<Rule, String>> {
    let paths: Vec<Arc<str>> = task.predictors.iter().map(|(path, _)| path.clone()).collect();
    let program = writer(&paths)?;
    let run = |run: Option<&Run>, none: &str| run.map_or_else(|| none.to_owned(), show::trajectory);
    let inputs = [
        ("program", outline.to_owned()),
        ("example", example(contrast.example)),
        ("better_run", run(contrast.better, "(none of the runs was good)")),
        ("worse_run", run(contrast.worse, "(none of the runs was bad)")),
    ];
    let mut question =
        Question::new("a rule from two runs", &program, inputs.into_iter().collect());
    question.rollout = rollout;
    let asked = task.ask(question).await?;
    if let Some(error) = asked.error {
        let error = error.lines().next().unwrap_or_default();
        return Ok(Err(format!("the question failed: {error}")));
    }
    let text = words::tidy(asked.outputs.str("rule").unwrap_or_default());
    let named = asked.outputs.str("for_step");
    let path = paths.iter().find(|p| named.is_none_or(|named| named == &***p)).cloned();
    Ok(match path {
        Some(path) if !text.is_empty() => Ok(Rule { path, text }),
        _ => Err("the answer is empty".into()),
    })
}

/// The step is asked for only where there are several.
fn writer(paths: &[Arc<str>]) -> Result<Program> {
    let text = |name: &str| Field::new(name, Type::str());
    let inputs = ["program", "example", "better_run", "worse_run"].map(text);
    let mut outputs = vec![text("rule")];
    if paths.len() > 1 {
        let steps = Type::enumeration(paths.iter().map(ToString::to_string));
        outputs.insert(0, Field::new("for_step", steps));
    }
    let signature = Signature::new(ADVISE, inputs.to_vec(), outputs, Default::default())?;
    Ok(Program::new(Predict::of(signature)?))
}

fn example(example: &Example) -> String {
    let mut out = String::new();
    show::fields(&mut out, &example.inputs(), show::LONGEST);
    let labels = example.labels();
    if !labels.is_empty() {
        let _ = writeln!(out, "Expected:");
        show::fields(&mut out, &labels, show::LONGEST);
    }
    out.trim_end().to_owned()
}
