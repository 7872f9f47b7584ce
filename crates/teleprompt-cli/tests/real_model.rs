//! The command on the real default model, which is fetched once. Skipped, with a line that says so,
//! when it cannot be had; TELEPROMPT_REQUIRE_MODEL=1 makes that a failure.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod common;
mod real;

use common::World;
use real::Real;
use serde_json::json;
use teleprompt_testkit::Response;

#[test]
fn typed_replies_always_parse() {
    let Some(real) = Real::new() else { return };
    let signature = r#"text -> mood: enum["good", "bad"], stars: int(1..5), tags: list[str(len 1..12)](len 1..2), who: {name: str(len 1..12), age: int(0..120)?}"#;
    for text in ["A lovely lamp, my sister Ann (34) adores it.", "It broke. Never again!", "¿?"] {
        let fields =
            real.run(&["run", signature, &format!("text={text}"), "--json"]).json()["fields"]
                .clone();
        assert!(["good", "bad"].contains(&fields["mood"].as_str().unwrap()), "{fields}");
        assert!((1..=5).contains(&fields["stars"].as_i64().unwrap()), "{fields}");
        assert!((1..=2).contains(&fields["tags"].as_array().unwrap().len()), "{fields}");
        assert!(fields["who"]["name"].is_string(), "{fields}");
    }
}

#[test]
fn the_json_adapter_is_constrained_too() {
    let Some(real) = Real::new() else { return };
    let args = ["run", "question -> yes: bool, why: str(len 1..60)", "question=Is the sea wet?"];
    let done = real.run(&[&args[..], &["--adapter", "json", "--json"]].concat()).json();
    assert!(done["fields"]["yes"].is_boolean(), "{done}");
    assert_eq!(done["flags"], json!([]));
}

#[test]
fn a_reply_cut_by_max_tokens_is_an_error_of_its_own() {
    let Some(real) = Real::new() else { return };
    let args = [
        "run",
        "question -> answer: list[str](len 5..9)",
        "question=Name ten rivers.",
        "--max-tokens",
        "9",
    ];
    real.run(&args).fails(1, &["cut off", "raise max_tokens (now 9)"]);
}

#[test]
fn a_prompt_longer_than_the_window_says_both_lengths() {
    let Some(real) = Real::new() else { return };
    std::fs::write(real.world.path("long.txt"), "river ".repeat(9000)).unwrap();
    real.run(&["run", "text -> answer", "text=@long.txt"])
        .fails(1, &["90", "window 8192", "fewer demos"]);
}

#[test]
fn a_truncated_model_is_refused_with_what_it_lacks() {
    let Some(real) = Real::new() else { return };
    let whole = std::fs::read(&real.model).unwrap();
    std::fs::write(real.world.path("cut.gguf"), &whole[..whole.len() / 2]).unwrap();
    real.run(&["run", "q -> a", "q=?", "--lm", "local:cut.gguf"])
        .fails(1, &["cut.gguf", "truncated"]);
}

#[test]
fn sampling_is_reproducible_by_seed_and_n_differ() {
    let Some(real) = Real::new() else { return };
    let run = |seed: &str| {
        let args = [
            "run",
            "topic -> line: str(len 1..80)",
            "topic=the sea",
            "--temperature",
            "1",
            "--n",
            "3",
        ];
        real.run(&[&args[..], &["--seed", seed, "--json"]].concat()).json()["completions"].clone()
    };
    let first = run("1");
    std::fs::remove_dir_all(real.world.path("cache")).unwrap();
    assert_eq!(first, run("1"));
    assert_ne!(first, run("2"));
    assert_ne!(first[0], first[1]);
}

/// The server in the test is never asked: the embedded LM needs no network.
#[test]
fn a_compile_on_the_embedded_lm_learns_a_label_bias_with_the_demos() {
    let Some(real) = Real::with(World::new(|_| Response::status(500, "not me"))) else { return };
    let data = real.world.train();
    let args = ["compile", common::SIGNATURE, "--train", &data, "--metric", "exact_match"];
    let more =
        ["--optimizer", "labeled_few_shot", "--set", "k=4", "--set", "calibration_examples=8"];
    real.run(&[&args[..], &more, &["-o", "tuned.json"]].concat()).ok();
    let saved: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(real.world.path("tuned.json")).unwrap())
            .unwrap();
    let parameters = &saved["predictors"]["predict"]["parameters"];
    assert_eq!(parameters["demos"].as_array().unwrap().len(), 4);
    let bias: f64 =
        parameters["label_bias"].as_object().unwrap().values().map(|v| v.as_f64().unwrap()).sum();
    assert!(bias.abs() < 0.01, "{parameters}");
    assert_eq!(real.world.server.hits(), 0);
}
