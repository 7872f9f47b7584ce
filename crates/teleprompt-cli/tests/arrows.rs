//! The layers of ARCHITECTURE.md: who may import whom.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::collections::BTreeSet;
use std::process::Command;

/// What each crate may depend on outside tests.
const ARROWS: &[(&str, &[&str])] = &[
    ("teleprompt-core", &[]),
    ("teleprompt-macros", &[]),
    ("teleprompt-local", &["teleprompt-core"]),
    ("teleprompt-testkit", &["teleprompt-core"]),
    ("teleprompt", &["teleprompt-core", "teleprompt-local", "teleprompt-macros"]),
    ("teleprompt-cli", &["teleprompt"]),
];

/// What the contracts must never pull in.
const NOT_IN_CORE: &[&str] = &["reqwest", "clap", "llama-cpp-2"];

fn metadata() -> serde_json::Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn dependencies(package: &serde_json::Value) -> BTreeSet<String> {
    let all = package["dependencies"].as_array().unwrap();
    let normal = all.iter().filter(|d| d["kind"] != "dev");
    normal.map(|d| d["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_arrows_point_one_way() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    assert_eq!(packages.len(), ARROWS.len(), "a crate is missing in the table of this test");
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let (_, allowed) = ARROWS.iter().find(|(n, _)| *n == name).expect(name);
        let ours = |d: &&String| d.starts_with("teleprompt");
        let found: Vec<String> = dependencies(package).iter().filter(ours).cloned().collect();
        let extra: Vec<&String> = found.iter().filter(|d| !allowed.contains(&d.as_str())).collect();
        assert!(extra.is_empty(), "{name} may not depend on {extra:?}");
    }
}

#[test]
fn the_contracts_stay_light() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let core = packages.iter().find(|p| p["name"] == "teleprompt-core").unwrap();
    let found = dependencies(core);
    let heavy: Vec<_> = NOT_IN_CORE.iter().filter(|d| found.contains(**d)).collect();
    assert!(heavy.is_empty(), "{heavy:?}");
    // Its channels and notices work under any executor; its runtime is not for the contracts.
    let all = core["dependencies"].as_array().unwrap();
    let tokio = all.iter().find(|d| d["name"] == "tokio" && d["kind"] != "dev").unwrap();
    assert_eq!(tokio["features"], serde_json::json!(["sync"]));
    assert_eq!(tokio["uses_default_features"], false);
}
