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
use optimizer_suite::wrong::{self, WHEN_KILLED};

/// What each process does; on its own it does nothing.
#[tokio::test]
#[ignore = "a part of the other test"]
async fn killed_child() {
    kill::child().await;
}

#[tokio::test]
async fn every_recipe_survives_three_kills() {
    let (mut findings, mut lost) = (Vec::new(), 0);
    for case in CASES {
        match kill::check(case, 3, "killed_child").await {
            Ok(calls) => lost += calls,
            Err(finding) => findings.push(format!("{}: {finding}", case.name)),
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    assert!(lost > 0, "no kill hit a study at work");
}

#[tokio::test]
async fn wrong_recipes_do_not_survive() {
    // When the kill comes decides which check sees the fault first: calls that no event accounts for
    // are lost, too many for a kill, or, made before it, asked again; what wavers wants something
    // else after it.
    let said: [&[&str]; 3] =
        [&["lost ", "asked again"], &["lost ", "asked again"], &["compiled again", "asked again"]];
    for (fault, words) in WHEN_KILLED.into_iter().zip(said) {
        let finding = kill::check(&wrong::case(fault), 1, "killed_child").await;
        let finding = finding.expect_err(&format!("{fault:?} is not found"));
        let named = words.iter().any(|word| finding.contains(word));
        assert!(named, "{fault:?}: {finding}");
    }
}
