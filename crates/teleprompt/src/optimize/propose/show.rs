//! Runs as text, for an LM that reads them.

use std::fmt::Write;

use teleprompt_core::{Record, TraceStep};

use crate::optimize::study::Run;
use crate::parse::write::compact;

/// Characters of one value that are shown: enough for a page, too little to fill a small context.
pub(super) const LONGEST: usize = 4000;

/// One line a field, a text plainly, everything else as JSON; what is longer than `most` characters is
/// cut.
pub(super) fn fields(out: &mut String, record: &Record, most: usize) {
    for (name, value) in record.iter() {
        let text = value.as_str().map_or_else(|| compact(value), str::to_owned);
        let _ = writeln!(out, "{name}: {}", cut(&text, most));
    }
}

/// The first characters of a text, with a mark if there are more.
pub(in crate::optimize) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// What came in and what a predictor made of it.
pub(super) fn step(out: &mut String, step: &TraceStep) {
    fields(out, &step.inputs, LONGEST);
    if let Some(error) = &step.error {
        let _ = writeln!(out, "Answer:\n(none) The call failed: {}", cut(error, LONGEST));
    } else if !step.outputs.is_empty() {
        out.push_str("Answer:\n");
        fields(out, &step.outputs, LONGEST);
    }
}

/// All predictor calls of a run in order, tool calls among their fields, and what was said of it.
pub(super) fn trajectory(run: &Run) -> String {
    let mut out = String::new();
    for (i, call) in run.steps.iter().enumerate() {
        let _ = writeln!(out, "Step {}, {}", i + 1, call.path);
        step(&mut out, call);
    }
    if run.steps.is_empty() {
        out.push_str("(no step was reached)\n");
    }
    let _ = writeln!(out, "{}", verdict(run));
    for (path, feedback) in &run.by_predictor {
        let _ = writeln!(out, "On {path}: {}", cut(feedback, LONGEST));
    }
    out
}

/// The score of a run, and the metric's words on all of it.
pub(super) fn verdict(run: &Run) -> String {
    let score = score(run.score);
    match (&run.error, &run.feedback) {
        (Some(error), _) => format!("Score {score}. The run failed: {}", cut(error, LONGEST)),
        (None, Some(feedback)) => format!("Score {score}. {}", cut(feedback, LONGEST)),
        (None, None) => format!("Score {score}, without further words."),
    }
}

/// At most four decimals, and no more than are needed.
pub(super) fn score(score: f64) -> String {
    let text = format!("{score:.4}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use teleprompt_core::record;

    use super::*;

    #[test]
    fn a_run_is_told_step_by_step_with_its_failures_and_feedback() {
        let call = |path: &str, error: Option<&str>| TraceStep {
            path: path.into(),
            order: 0,
            inputs: record! { question: "why?" },
            outputs: error
                .map_or(record! { tool: serde_json::json!({"name": "look", "n": 2}) }, |_| {
                    Record::new()
                }),
            error: error.map(str::to_owned),
            evidence: teleprompt_core::EvidenceByField::new(),
        };
        let run = Run {
            score: 0.25,
            feedback: Some("Too short.".into()),
            steps: vec![call("plan", None), call("act", Some("no field `answer`"))],
            by_predictor: [("plan".into(), "Look twice.".to_owned())].into(),
            ..Run::default()
        };
        assert_eq!(
            trajectory(&run),
            "Step 1, plan\nquestion: why?\nAnswer:\ntool: {\"name\": \"look\", \"n\": 2}\n\
             Step 2, act\nquestion: why?\nAnswer:\n(none) The call failed: no field `answer`\n\
             Score 0.25. Too short.\nOn plan: Look twice.\n"
        );
        assert_eq!(verdict(&Run::default()), "Score 0, without further words.");
        let failed = Run { error: Some("no LM".into()), ..Run::default() };
        assert_eq!(verdict(&failed), "Score 0. The run failed: no LM");
    }

    #[test]
    fn scores_and_long_values_are_short() {
        assert_eq!(score(1.0), "1");
        assert_eq!(score(-12.34567), "-12.3457");
        assert_eq!(score(100.0), "100");
        assert_eq!(cut("ééé", 2), "éé…");
        assert_eq!(cut("éé", 2), "éé");
    }
}
