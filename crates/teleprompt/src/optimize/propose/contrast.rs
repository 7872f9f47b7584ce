//! Findings from good and bad runs beside each other, and instructions rewritten by them.

use std::fmt::Write;
use std::sync::Arc;

use teleprompt_core::Result;

use super::reflect::{Draft, Subject, answer, new_only, or_none};
use super::{show, words};
use crate::optimize::study::Run;
use crate::optimize::{Question, Task};

const COMPARE: &str = "Some runs of a program went well and some went badly. Compare them: what was \
    done in the good runs that was not done in the bad ones, which steps or tools were chosen or \
    used wrongly, and which rules and facts does the feedback name? Say what the program has to do \
    differently, as a short list of concrete rules that hold for other inputs, too.";

const REWRITE: &str = "Rewrite the instructions of one step of a program by the findings on its runs. \
    Keep what works, take over every finding that concerns this step, and name rules and facts as \
    they are. Write at most three paragraphs, the instructions alone.";

/// What makes the good runs good and the bad ones bad, in words; why nothing could be found.
/// `rollout` tells equal questions apart.
///
/// Source: the comparison of AVATAR (Wu et al. 2024, arXiv 2406.11200), section 4.
///
/// # Errors
/// Those of [`Task::ask`].
pub async fn compare(
    task: &Task<'_>,
    program: &str,
    good: &[&Run],
    bad: &[&Run],
    rollout: u64,
) -> Result<Draft> {
    let fields =
        [("program", "its steps and their instructions"), ("good_runs", ""), ("bad_runs", "")];
    let writer = words::writer(COMPARE, &fields, ("findings", ""))?;
    let inputs =
        [("program", program.to_owned()), ("good_runs", runs(good)), ("bad_runs", runs(bad))];
    let mut question =
        Question::new("findings on good and bad runs", &writer, inputs.into_iter().collect());
    question.rollout = rollout;
    answer(task, question, "findings").await
}

/// New instructions for a predictor by such findings.
///
/// # Errors
/// Those of [`Task::ask`].
pub async fn rewrite(
    task: &Task<'_>,
    subject: Subject<'_>,
    findings: &str,
    rollout: u64,
) -> Result<Draft> {
    let fields = [
        ("step", "its name, what comes in and what must come out"),
        ("instructions", "as they are now"),
        ("findings", ""),
    ];
    let writer = words::writer(REWRITE, &fields, ("new_instructions", ""))?;
    let inputs = [
        ("step", format!("{}: {}", subject.path, subject.signature)),
        ("instructions", or_none(subject.current)),
        ("findings", findings.to_owned()),
    ];
    let what = format!("instructions for {}", subject.path);
    let mut question = Question::new(&what, &writer, inputs.into_iter().collect());
    question.rollout = rollout;
    let draft = answer(task, question, "new_instructions").await?;
    Ok(draft.and_then(|text| new_only(text, subject.current)))
}

/// A program's steps with their signatures and instructions.
pub(in crate::optimize) fn outline<'s>(
    steps: impl IntoIterator<Item = (&'s Arc<str>, &'s teleprompt_core::Signature, &'s str)>,
) -> String {
    let mut out = String::new();
    for (path, signature, instructions) in steps {
        let _ = writeln!(out, "{path}: {signature}\n{}", or_none(instructions));
    }
    out.trim_end().to_owned()
}

fn runs(runs: &[&Run]) -> String {
    let mut out = String::new();
    for (i, run) in runs.iter().enumerate() {
        let _ = write!(
            out,
            "{}Run {}\n{}",
            if i > 0 { "\n" } else { "" },
            i + 1,
            show::trajectory(run)
        );
    }
    if out.is_empty() { "(none)".into() } else { out.trim_end().to_owned() }
}
