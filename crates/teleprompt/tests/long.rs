//! The long tier of the LM layer and of the optimizers: `cargo test --release --workspace --test long -- --ignored`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod optimizer_suite;
mod storm;

use optimizer_suite::cases::CASES;
use optimizer_suite::{kill, pairs};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "about a minute"]
async fn twenty_thousand_calls_at_512_in_flight() {
    storm::run(20_000, 512).await;
}

/// What each process of the test below does; on its own it does nothing.
#[tokio::test]
#[ignore = "a part of the other test"]
async fn killed_child() {
    kill::child().await;
}

#[tokio::test]
#[ignore = "minutes"]
async fn every_recipe_survives_thirty_kills() {
    let mut findings = Vec::new();
    for case in CASES {
        match kill::check(case, 30, "killed_child").await {
            Ok(lost) => println!("{}: 30 kills, {lost} calls lost in flight", case.name),
            Err(finding) => findings.push(format!("{}: {finding}", case.name)),
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

/// `TELEPROMPT_AUTO_TABLE=FILE` writes the table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a minute or two"]
async fn auto_is_as_good_as_the_best_single_recipe() {
    let (table, passed) = pairs::all().await;
    println!("{table}");
    if let Some(out) = std::env::var_os("TELEPROMPT_AUTO_TABLE") {
        std::fs::write(out, &table).unwrap();
    }
    assert!(passed >= 5, "{passed} of 6\n{table}");
}
