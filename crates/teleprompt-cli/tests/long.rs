//! The long tier, minutes each: what the project exists for, on the real model and unseen examples.
//! `cargo test --release --workspace --test long -- --ignored --nocapture`

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod common;
mod real;

use std::collections::BTreeSet;
use std::path::PathBuf;

use real::Real;
use serde_json::Value;

#[test]
#[ignore = "minutes: the long tier"]
fn the_quickstart_gains_significantly() {
    let Some(real) = Real::new() else { return };
    let report = real.run(&["quickstart", "--json"]).json();
    println!("{report:#}");
    assert!(report["winner"]["score"].as_f64() > report["baseline"]["score"].as_f64());
    assert!(report["p_value"].as_f64().unwrap() < 0.05, "{report}");
    let saved = report["output"].as_str().unwrap();
    let answer = real.run(&["run", saved, "message=where is my parcel?", "--json"]).json();
    assert!(answer["fields"]["intent"].is_string());
}

/// `../shared/data/banking77` beside the repository, as CI lays it.
fn banking() -> Option<PathBuf> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/banking77");
    if dir.join("train.jsonl").exists() {
        return Some(dir);
    }
    let required = std::env::var("TELEPROMPT_REQUIRE_DATA").is_ok_and(|v| v == "1");
    assert!(!required, "{} is required", dir.display());
    println!("skipped: there is no {}", dir.display());
    None
}

fn rows(path: PathBuf, intents: &BTreeSet<String>) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().map(|l| serde_json::from_str::<Value>(l).unwrap());
    rows.filter(|r| intents.contains(r["intent"].as_str().unwrap())).collect()
}

/// The recipe of the quickstart, unchanged, on ten intents of Banking77: every seventh of the sorted
/// names, so that nobody chose them.
#[test]
#[ignore = "minutes: the long tier"]
fn the_same_recipe_gains_15_points_on_ten_intents_of_banking77() {
    let (Some(real), Some(dir)) = (Real::new(), banking()) else { return };
    let all = std::fs::read_to_string(dir.join("train.jsonl")).unwrap();
    let intent =
        |l: &str| serde_json::from_str::<Value>(l).unwrap()["intent"].as_str().unwrap().to_owned();
    let names: BTreeSet<String> = all.lines().map(intent).collect();
    let intents: BTreeSet<String> = names.into_iter().step_by(7).take(10).collect();
    let train = rows(dir.join("train.jsonl"), &intents);
    let lines = |rows: &[Value]| rows.iter().map(|r| format!("{r}\n")).collect::<String>();
    real.world.write("train.jsonl", &lines(&train[..240]));
    real.world.write("val.jsonl", &lines(&train[240..300]));
    real.world.write("test.jsonl", &lines(&rows(dir.join("dev.jsonl"), &intents)));
    let labels: Vec<String> = intents.iter().map(|i| format!("{i:?}")).collect();
    let signature =
        format!("\"What does the customer want?\" text -> intent: enum[{}]", labels.join(", "));
    let data = ["--train", "train.jsonl", "--val", "val.jsonl", "--test", "test.jsonl"];
    let recipe = [
        "--metric",
        "exact_match",
        "--optimizer",
        "random_search",
        "--set",
        "max_labeled_demos=8",
        "--set",
        "num_candidate_programs=1",
        "--set",
        "calibration_examples=40",
    ];
    let report =
        real.run(&[&["compile", &signature][..], &data, &recipe, &["--json"]].concat()).json();
    println!("{report:#}");
    let score = |side: &str| report[side]["score"].as_f64().unwrap();
    assert!(score("winner") - score("baseline") >= 0.15, "{report}");
    assert!(report["p_value"].as_f64().unwrap() < 0.05, "{report}");
}
