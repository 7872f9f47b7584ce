//! Reflection: new instructions from what runs did and what was said of them.

use std::fmt::Write;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use teleprompt_core::{Record, Result, Signature, TraceStep};

use super::{show, words};
use crate::data::Rng;
use crate::optimize::study::Run;
use crate::optimize::{Question, Task};

/// What one run shows of one predictor.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// The call.
    pub step: TraceStep,
    /// What was said of it: the metric's words on this predictor, else those on the run, else the
    /// score. A call that failed says why itself.
    pub feedback: String,
}

/// What runs show of a predictor, in their order: one call of each run in which it was called, if
/// possible one that failed, else any.
pub fn observations(path: &str, runs: &[Run], rng: &mut Rng) -> Vec<Observation> {
    let mut seen = Vec::new();
    for run in runs {
        let calls: Vec<&TraceStep> = run.steps.iter().filter(|s| &*s.path == path).collect();
        let failed = calls.iter().find(|s| s.error.is_some()).copied();
        let Some(step) = failed.or_else(|| rng.choose(&calls).copied()) else { continue };
        let feedback = match run.by_predictor.get(path) {
            Some(said) => format!("Score {}. {said}", show::score(run.score)),
            None => show::verdict(run),
        };
        seen.push(Observation { step: step.clone(), feedback });
    }
    seen
}

/// A new text, or why there is none.
pub type Draft = Result<Arc<str>, String>;

/// Writes new instructions for a predictor from the ones it has and from observations with
/// feedback.
///
/// One question, and one more if the text is longer than allowed.
/// Source: GEPA (Agrawal et al. 2025, arXiv 2507.19457), section 3.1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reflect {
    /// What the writer should know besides: what the program is for, what must stay as it is.
    /// Default: nothing.
    pub background: Option<String>,
    /// The most characters of a text. One that is longer is shortened by a second question, and
    /// given up if it still is. Default: no limit.
    pub max_chars: Option<usize>,
    /// The sampling temperature of the questions. Default: as the context says.
    pub temperature: Option<f64>,
}

/// What is to be rewritten.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'s> {
    /// The predictor's path.
    pub path: &'s str,
    /// Its signature.
    pub signature: &'s Signature,
    /// The instructions that it has now.
    pub current: &'s str,
}

const REWRITE: &str = "Improve the instructions of one step of a program. The step is done by a \
    language model that sees these instructions and its inputs, and nothing else. You get the \
    instructions and examples of what came in, what it answered, and feedback on that.\n\
    Find out what was wrong and why. Then write the whole instructions anew: keep what works, and \
    add every rule and every fact from the feedback that will help with other inputs of this kind. \
    Be concrete. Do not repeat the examples. Write the instructions alone.";

const SHORTEN: &str = "Say the same in fewer words: keep every rule and every fact, leave out what \
    is said twice or helps nobody. Stay below the limit. Write the shorter text alone.";

impl Reflect {
    /// Asks for new instructions. `rollout` tells equal questions apart.
    ///
    /// # Errors
    /// Those of [`Task::ask`]. A question that failed or gave nothing new is a [`Draft`] that says
    /// so.
    pub async fn propose(
        &self,
        task: &Task<'_>,
        subject: Subject<'_>,
        seen: &[Observation],
        rollout: u64,
    ) -> Result<Draft> {
        let mut inputs = vec![
            ("step", subject.signature.to_string()),
            ("instructions", or_none(subject.current)),
            ("examples", examples(seen)),
        ];
        let mut fields = vec![
            ("step", "what comes in and what must come out"),
            ("instructions", "as they are now"),
            ("examples", "with feedback"),
        ];
        if let Some(background) = &self.background {
            fields.push(("background", "what else to know"));
            inputs.push(("background", background.clone()));
        }
        if let Some(most) = self.max_chars {
            fields.push(("limit", "for the new instructions"));
            inputs.push(("limit", format!("{most} characters")));
        }
        let program = words::writer(REWRITE, &fields, ("new_instructions", ""))?;
        let what = format!("instructions for {}", subject.path);
        let inputs = inputs.into_iter().collect();
        let question = self.question(&what, &program, inputs, rollout);
        let draft = answer(task, question, "new_instructions").await?;
        let Ok(text) = draft else { return Ok(draft) };
        let draft = self.fitted(task, text, rollout).await?;
        Ok(draft.and_then(|text| new_only(text, subject.current)))
    }

    /// The text, shortened if it is too long.
    async fn fitted(&self, task: &Task<'_>, text: Arc<str>, rollout: u64) -> Result<Draft> {
        let length = |text: &str| text.chars().count();
        let Some(most) = self.max_chars.filter(|most| length(&text) > *most) else {
            return Ok(Ok(text));
        };
        let fields = [("text", ""), ("limit", "")];
        let program = words::writer(SHORTEN, &fields, ("shorter_text", ""))?;
        let inputs = [("text", text.to_string()), ("limit", format!("{most} characters"))];
        let inputs = inputs.into_iter().collect();
        let question = self.question("a shorter text", &program, inputs, rollout);
        let draft = answer(task, question, "shorter_text").await?;
        Ok(draft.and_then(|short| match length(&short) {
            n if n > most => Err(format!("{n} characters are more than {most}, even shortened")),
            _ => Ok(short),
        }))
    }

    fn question<'q>(
        &self,
        what: &'q str,
        program: &'q teleprompt_core::Program,
        inputs: Record,
        rollout: u64,
    ) -> Question<'q> {
        let mut question = Question::new(what, program, inputs);
        (question.rollout, question.temperature) = (rollout, self.temperature);
        question
    }
}

/// Asks, and tidies the text that comes.
pub(super) async fn answer(task: &Task<'_>, question: Question<'_>, output: &str) -> Result<Draft> {
    let asked = task.ask(question).await?;
    if let Some(error) = asked.error {
        let error = error.lines().next().unwrap_or_default();
        return Ok(Err(format!("the question failed: {error}")));
    }
    let text = words::tidy(asked.outputs.str(output).unwrap_or_default());
    Ok(if text.is_empty() { Err("the answer is empty".into()) } else { Ok(text.into()) })
}

/// The text, if it is not the present one.
pub(super) fn new_only(text: Arc<str>, current: &str) -> Draft {
    match text.trim() == current.trim() {
        true => Err("the answer is the present text".into()),
        false => Ok(text),
    }
}

/// A text that may be missing.
pub(super) fn or_none(text: &str) -> String {
    if text.trim().is_empty() { "(none yet)".into() } else { text.to_owned() }
}

fn examples(seen: &[Observation]) -> String {
    let mut out = String::new();
    for (i, observation) in seen.iter().enumerate() {
        let _ = writeln!(out, "{}Example {}", if i > 0 { "\n" } else { "" }, i + 1);
        show::step(&mut out, &observation.step);
        let _ = writeln!(out, "Feedback: {}", observation.feedback);
    }
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use teleprompt_core::record;

    use super::*;

    fn step(path: &str, text: &str, error: Option<&str>) -> TraceStep {
        TraceStep {
            path: path.into(),
            order: 0,
            inputs: record! { text: text },
            outputs: record! { label: "a" },
            error: error.map(str::to_owned),
            evidence: teleprompt_core::EvidenceByField::new(),
        }
    }

    #[test]
    fn feedback_on_the_predictor_comes_before_that_on_the_run_and_that_before_the_score() {
        let run = |on: Option<&str>, all: Option<&str>| Run {
            score: 0.5,
            steps: vec![step("one", "x", None)],
            feedback: all.map(str::to_owned),
            by_predictor: on.map(|on| ("one".into(), on.to_owned())).into_iter().collect(),
            ..Run::default()
        };
        let runs = [run(Some("on one"), Some("all")), run(None, Some("all")), run(None, None)];
        let seen = observations("one", &runs, &mut Rng::new(1));
        let said: Vec<&str> = seen.iter().map(|o| &*o.feedback).collect();
        assert_eq!(
            said,
            ["Score 0.5. on one", "Score 0.5. all", "Score 0.5, without further words."]
        );
        assert!(observations("two", &runs, &mut Rng::new(1)).is_empty());
    }

    #[test]
    fn of_several_calls_a_failed_one_is_shown_else_any() {
        let calls =
            |error| vec![step("one", "x", None), step("one", "y", error), step("one", "z", None)];
        let run = |error| Run { steps: calls(error), ..Run::default() };
        let failed = observations("one", &[run(Some("no label"))], &mut Rng::new(1));
        assert_eq!(failed[0].step.inputs["text"], "y");
        let text = examples(&failed);
        assert!(
            text.contains("text: y\nAnswer:\n(none) The call failed: no label\nFeedback:"),
            "{text}"
        );
        let runs: Vec<Run> = (0..60).map(|_| run(None)).collect();
        let seen = observations("one", &runs, &mut Rng::new(1));
        let shown: std::collections::BTreeSet<String> =
            seen.iter().map(|o| o.step.inputs["text"].to_string()).collect();
        assert_eq!(shown.len(), 3);
    }
}
