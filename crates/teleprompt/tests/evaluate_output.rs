//! Evaluations as text, JSON and CSV.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod evaluate_support;

use evaluate_support::{context, echo, module, numbered};
use serde_json::{Value, json};
use teleprompt::evaluate::{Evaluate, Evaluation, metrics};
use teleprompt::{Context, Error, Example, Metric, Prediction, Record, Result, Score, record};

/// The first example fails, so that it has no prediction; the second has a field of its own.
async fn evaluation() -> Evaluation {
    let program = module(async |_, input: Record| match input.str("q") {
        Some("0") => Err(Error::Other("no\nanswer".into())),
        Some("1") => Ok(Prediction::new(record! { a: "x, \"y\"", extra: [1] })),
        _ => Ok(Prediction::new(record! { a: "2" })),
    });
    let evaluate = Evaluate::new(numbered(3), metrics::exact_match("a"));
    evaluate.run(&context(), &program).await.unwrap()
}

#[tokio::test]
async fn json_rows_have_the_fields_of_both_sides() {
    assert_eq!(
        evaluation().await.to_json(),
        json!([
            {"q": "0", "example_a": "0", "exact_match:a": 0.0, "error": "no\nanswer"},
            {"q": "1", "example_a": "1", "pred_a": "x, \"y\"", "extra": [1], "exact_match:a": 0.0},
            {"q": "2", "example_a": "2", "pred_a": "2", "exact_match:a": 1.0},
        ])
    );
}

#[tokio::test]
async fn csv_has_a_header_of_all_columns() {
    assert_eq!(
        evaluation().await.to_csv().unwrap(),
        "q,example_a,pred_a,extra,exact_match:a,error\n\
         0,0,,,0.0,\"no\nanswer\"\n\
         1,1,\"x, \"\"y\"\"\",[1],0.0,\n\
         2,2,2,,1.0,\n"
    );
}

#[tokio::test]
async fn names_that_collide_get_prefixes_until_they_do_not() {
    struct Odd;
    impl Metric for Odd {
        async fn score(&self, _: &Context, _: &Example, _: &Prediction) -> Result<Score> {
            Ok(Score::from(0.5).with_feedback("meh"))
        }
        fn name(&self) -> String {
            "a".into()
        }
    }
    let program =
        module(async |_, _| Ok(Prediction::new(record! { feedback: 1, a: 2, example_a: 3 })));
    let result = Evaluate::new(numbered(1), Odd).run(&context(), &program).await.unwrap();
    assert_eq!(
        result.to_json(),
        json!([{
            "q": "0", "example_example_a": "0",
            "pred_feedback": 1, "pred_a": 2, "example_a": 3,
            "a": 0.5, "feedback": "meh",
        }])
    );
}

#[tokio::test]
async fn the_table_shows_the_first_rows_on_one_line_each() {
    let table = evaluation().await.table(2);
    let expected = "\
#  q  example_a  pred_a  extra  exact_match:a  error
─  ─  ─────────  ──────  ─────  ─────────────  ─────────
1  0  0                         0.000          no answer
2  1  1          x, \"y\"  [1]    0.000
… 1 more
";
    assert_eq!(table, expected);
    assert!(!evaluation().await.table(9).contains('…'));
}

#[tokio::test]
async fn text_and_summary() {
    let result = evaluation().await;
    // Wilson for 1 of 3: 6.1% to 79.2%.
    assert_eq!(result.to_string(), "exact_match:a 33.3% (95% CI 6.1 to 79.2), n = 3, 1 failed");
    let summary = result.summary();
    for key in ["score", "n", "failed", "calls", "prompt_tokens", "completion_tokens", "seconds"] {
        assert!(summary[key].is_number(), "{key}");
    }
    let ci = summary["ci"].as_array().unwrap();
    assert!((ci[0].as_f64().unwrap() - 0.0615).abs() < 1e-3 && ci.len() == 2);
    assert!(summary.get("stopped").is_none());
    // Scores beyond 0 to 1 are no percentages.
    let metric = |_: &Example, _: &Prediction| 7.5;
    let wide = Evaluate::new(numbered(2), metric).run(&context(), &module(echo)).await.unwrap();
    assert_eq!(wide.to_string(), "metric 7.500 (95% CI 7.500 to 7.500), n = 2");
}

#[tokio::test]
async fn files_are_written_by_extension() {
    let result = evaluation().await;
    let dir = tempfile::tempdir().unwrap();
    let read = |name: &str| {
        let path = dir.path().join(name);
        result.write(&path).unwrap();
        std::fs::read_to_string(path).unwrap()
    };
    assert_eq!(serde_json::from_str::<Value>(&read("r.json")).unwrap(), result.to_json());
    assert_eq!(read("r.jsonl").lines().count(), 3);
    assert_eq!(read("r.CSV"), result.to_csv().unwrap());
    // Writing again replaces, and leaves nothing else behind.
    read("r.json");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
    assert!(matches!(result.write(dir.path().join("r.txt")), Err(Error::Config(_))));
    let nowhere = result.write(dir.path().join("none/r.csv")).unwrap_err();
    assert!(matches!(nowhere, Error::Io { .. }));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_is_told_with_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("full.csv");
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let e = evaluation().await.write(&path).unwrap_err().to_string();
    assert!(e.contains("full.csv") && e.contains("free some disk space"), "{e}");
}
