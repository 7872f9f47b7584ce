use serde_json::json;
use teleprompt_core::record;

use super::*;

fn report(improved: bool) -> Report {
    let side = |score: f64| Side::of("made", &[Run { score, ..Run::default() }]);
    let change = Change {
        predictor: "answer".into(),
        member: None,
        instructions_before: Some("Answer.\nBe kind.".into()),
        instructions: Some("Answer in a word.\nBe kind.".into()),
        demos: vec![record! { q: "a" }, record! { q: "b" }],
        parameters: json!({"instructions": "…", "demos": [], "label_bias": {"a": 1.0}, "lm": "x"}),
    };
    Report {
        optimizer: "made_up".into(),
        settings: json!({}),
        metric: "m".into(),
        split: "test".into(),
        baseline: side(0.0),
        winner: side(1.0),
        candidate: "c0ffee".into(),
        improved,
        verdict: "what came of it".into(),
        difference: 1.0,
        difference_ci: (0.5, 1.0),
        p_value: 0.01,
        test: "t".into(),
        changes: vec![change],
        candidates: Vec::new(),
        notes: vec!["few examples".into()],
        usage: Usage::default(),
        spent: Spend::default(),
        seconds: 1.0,
        study: "s".into(),
        stopped: None,
    }
}

#[test]
fn a_report_tells_what_changed_line_by_line() {
    let text = report(true).to_string();
    let wanted = "\nresult       what came of it\
                  \nchanged      answer: instructions, 2 demos, label bias, lm\
                  \n  - Answer.\n  + Answer in a word.\nremark       few examples";
    assert!(text.contains(wanted), "{text}");
    assert!(!text.contains("Be kind."), "what stayed is not shown: {text}");
}

#[test]
fn a_change_of_a_member_says_which_it_is() {
    let mut voting = report(true);
    voting.changes[0].member = Some(1);
    let text = voting.to_string();
    assert!(text.contains("\nchanged      answer of member 2: instructions"), "{text}");
}

#[test]
fn a_report_without_gain_tells_no_change() {
    let text = report(false).to_string();
    assert!(text.contains("what came of it") && !text.contains("changed"), "{text}");
}

#[test]
fn long_instructions_are_cut_in_the_text() {
    let mut long = report(true);
    let lines: Vec<String> = (0..40).map(|i| format!("line {i}")).collect();
    long.changes[0].instructions = Some(lines.join("\n"));
    let text = long.to_string();
    assert!(text.contains("  + line 11\n  + … 28 more lines"), "{text}");
}
