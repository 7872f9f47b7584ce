//! Studies of every recipe killed at random moments go on, pay nothing twice and decide the same. The
//! long form is in `long.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod optimizer_suite;

use optimizer_suite::cases::CASES;
use optimizer_suite::kill;

/// What each process does; on its own it does nothing.
#[tokio::test]
#[ignore = "a part of the other test"]
async fn killed_child() {
    kill::child().await;
}

#[tokio::test]
async fn every_recipe_survives_three_kills() {
    let mut findings = Vec::new();
    for case in CASES {
        if let Err(finding) = kill::check(case, 3, "killed_child").await {
            findings.push(format!("{}: {finding}", case.name));
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}
