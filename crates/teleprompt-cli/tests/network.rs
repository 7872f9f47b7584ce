//! Nothing phones home: under `strace`, every address that the command connects or sends to is the
//! configured endpoint. Skipped without `strace` (Linux), unless TELEPROMPT_REQUIRE_STRACE is 1.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod common;

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use common::{SIGNATURE, World};
use teleprompt_testkit::Response;

/// Whether there is a `strace` that may trace.
fn can_trace() -> bool {
    let traced = Command::new("strace").args(["-f", "true"]).stderr(Stdio::null()).status();
    let can = traced.is_ok_and(|status| status.success());
    let required = std::env::var("TELEPROMPT_REQUIRE_STRACE").is_ok_and(|v| v == "1");
    assert!(can || !required, "TELEPROMPT_REQUIRE_STRACE=1, but strace does not work");
    if !can {
        eprintln!("skipped: no strace that works; install it to run this test");
    }
    can
}

/// The internet addresses that the command talks to, as `HOST:PORT`.
fn addresses(world: &World, args: &[&str]) -> BTreeSet<String> {
    let log = world.path("strace.log");
    let plain = world.command(args);
    let mut traced = Command::new("strace");
    traced.args(["-f", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o"]).arg(&log);
    traced.arg(plain.get_program()).args(plain.get_args()).current_dir(world.dir.path());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => traced.env(name, value),
            None => traced.env_remove(name),
        };
    }
    let output = traced.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let log = std::fs::read_to_string(&log).unwrap();
    log.lines().filter_map(address).collect()
}

/// The address in a line such as
/// `12 connect(9, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("1.2.3.4")}, 16) = 0`.
fn address(line: &str) -> Option<String> {
    let between = |from: &str, to: &str| line.split_once(from)?.1.split_once(to).map(|(x, _)| x);
    if line.contains("AF_INET6") {
        let port = between("sin6_port=htons(", ")")?;
        return Some(format!(
            "[{}]:{port}",
            between("inet_pton(AF_INET6, \"", "\"").unwrap_or("?")
        ));
    }
    let port = between("sin_port=htons(", ")")?;
    Some(format!("{}:{port}", between("inet_addr(\"", "\"").unwrap_or("?")))
}

#[test]
fn a_line_of_strace_is_read() {
    let four = r#"7 connect(9, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("1.2.3.4")}, 16) = -1"#;
    assert_eq!(address(four).as_deref(), Some("1.2.3.4:443"));
    let six = r#"7 connect(9, {sa_family=AF_INET6, sin6_port=htons(53), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "::1", &sin6_addr), sin6_scope_id=0}, 28) = 0"#;
    assert_eq!(address(six).as_deref(), Some("[::1]:53"));
    assert_eq!(address(r#"7 connect(3, {sa_family=AF_UNIX, sun_path="/x"}, 110) = -1"#), None);
}

#[test]
fn only_the_configured_endpoint_is_talked_to() {
    if !can_trace() {
        return;
    }
    let world = World::learner();
    let endpoint = world.server.url().trim_start_matches("http://").to_owned();
    let train = world.train();
    let text = "text=an alpha";
    let metric = ["--metric", "exact_match"];
    let compile = [
        &[
            "compile",
            SIGNATURE,
            "--train",
            &train,
            "--optimizer",
            "labeled_few_shot",
            "-o",
            "o.json",
        ],
        &metric[..],
    ];
    let calling: &[&[&str]] = &[
        &["run", SIGNATURE, text],
        &[&["eval", SIGNATURE, &train, "--limit", "10"], &metric[..]].concat(),
        &compile.concat(),
    ];
    for args in calling {
        let found = addresses(&world, args);
        assert_eq!(found, BTreeSet::from([endpoint.clone()]), "{args:?}");
    }
    let silent: &[&[&str]] = &[
        &["render", SIGNATURE, text],
        &["show", "o.json"],
        &["models", "list"],
        &["cache", "stats"],
    ];
    for args in silent {
        assert_eq!(addresses(&world, args), BTreeSet::new(), "{args:?}");
    }
}

#[test]
fn a_server_that_does_not_answer_is_not_replaced_by_another() {
    if !can_trace() {
        return;
    }
    let world = World::new(|_| Response::api_error(401, "invalid_api_key", "no"));
    let endpoint = world.server.url().trim_start_matches("http://").to_owned();
    // The command fails, which `addresses` takes for a failure; a shell makes it well.
    let binary = env!("CARGO_BIN_EXE_teleprompt");
    let log = world.path("strace.log");
    let script = format!("'{binary}' run 'a -> b' a=1; true");
    let status = Command::new("strace")
        .args(["-f", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o"])
        .arg(&log)
        .args(["sh", "-c", &script])
        .current_dir(world.dir.path())
        .env("TELEPROMPT_LM", world.lm())
        .env("TELEPROMPT_CACHE_DIR", world.path("cache"))
        .env("XDG_CONFIG_HOME", world.path("config"))
        .stderr(Stdio::null())
        .status();
    assert!(status.unwrap().success());
    let log = std::fs::read_to_string(&log).unwrap();
    let found: BTreeSet<String> = log.lines().filter_map(address).collect();
    assert_eq!(found, BTreeSet::from([endpoint]));
    assert_eq!(world.server.hits(), 1);
}
