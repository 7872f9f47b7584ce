//! Bad input: one clear error with a remedy, the right exit code, nothing lost.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod common;

use common::{SIGNATURE, World};
use teleprompt_testkit::Response;

fn eval(world: &World, data: &str) -> common::Done {
    world.run(&["eval", SIGNATURE, data, "--metric", "exact_match"])
}

#[test]
fn programs() {
    let world = World::learner();
    let run = |program: &str| world.run(&["run", program, "text=x"]);
    run("text -> label: lst[str]").fails(2, &["^^^", "did you mean `list`?"]);
    run("nonsense").fails(2, &["is no program"]);
    run("missing.json").fails(1, &["missing.json"]);
    run("missing.toml").fails(1, &["missing.toml"]);
    world.write("newer.json", r#"{"teleprompt": 99, "predictors": {}}"#);
    run("newer.json").fails(1, &["newer.json", "written by a newer version", "update teleprompt"]);
    world.write("broken.json", "{");
    run("broken.json").fails(1, &["broken.json", "is no JSON"]);
    world.write("broken.toml", "[[step]\n");
    run("broken.toml").fails(2, &["broken.toml"]);
}

#[test]
fn inputs() {
    let world = World::learner();
    let run = |args: &[&str]| world.run(&[&["run", SIGNATURE][..], args].concat());
    run(&["txt=x"]).fails(2, &["there is no input `txt`", "did you mean `text`?"]);
    run(&["x"]).fails(2, &["write name=value"]);
    run(&["text=x", "text=y"]).fails(2, &["given twice"]);
    run(&["text=@nowhere.txt"]).fails(1, &["nowhere.txt"]);
    run(&[]).fails(2, &["no inputs"]);
    world.run(&["run", "a, b -> c", "a=1"]).fails(2, &["the input `b` is missing"]);
    world.run(&["run", "a: int -> c", "a=many"]).fails(2, &["the input `a`"]);
    world.run_with(&["run", SIGNATURE], "[1]").fails(2, &["one JSON object"]);
    world.run_with(&["run", SIGNATURE], "{").fails(2, &["no JSON"]);
    assert_eq!(world.server.hits(), 0);
}

#[test]
fn data() {
    let world = World::learner();
    let good = world.train();
    world.write("bad.jsonl", "{\"text\": \"a\", \"label\": \"a\"}\n{oops\n");
    eval(&world, "bad.jsonl").fails(1, &["bad.jsonl:2"]);
    world.write("columns.jsonl", "{\"txt\": \"a\", \"label\": \"a\"}\n");
    eval(&world, "columns.jsonl").fails(1, &["text", "did you mean `txt`?"]);
    world.write("empty.jsonl", "\n");
    eval(&world, "empty.jsonl").fails(1, &["empty.jsonl"]);
    world.write("data.xlsx", "");
    eval(&world, "data.xlsx").fails(1, &["data.xlsx"]);
    eval(&world, "nowhere.jsonl").fails(1, &["nowhere.jsonl"]);
    let metric = |m: &str| world.run(&["eval", SIGNATURE, &good, "--metric", m]);
    metric("exact_match:lable").fails(2, &["did you mean `label`?"]);
    metric("exakt_match").fails(2, &["did you mean `exact_match`?"]);
    assert_eq!(world.server.hits(), 0);
}

#[test]
fn compile_flags() {
    let world = World::learner();
    let data = world.train();
    let base = ["compile", SIGNATURE, "--train", &data, "--metric", "exact_match", "--optimizer"];
    let run = |more: &[&str]| world.run(&[&base[..], more].concat());
    run(&["labelled_few_shots"]).fails(2, &["did you mean `labeled_few_shot`?"]);
    run(&["labeled", "--set", "n=3"]).fails(2, &["no such setting"]);
    run(&["labeled", "--set", "k=many"])
        .fails(2, &["--set", "k=\"many\": expected a whole number"]);
    run(&["gepa", "--set", "minibatch_size=0"]).fails(2, &["a whole number of 1 or more"]);
    run(&["copro", "--set", "race={\"k_fold\":{\"folds\":0}}"]).fails(2, &["race.k_fold.folds=0"]);
    run(&["labeled", "--teacher-lm", "openai:x"]).fails(2, &["no use for a teacher"]);
    run(&["copro", "--teacher", "x.json"]).fails(2, &["--teacher x.json: `copro`"]);
    run(&["labeled", "--max-seconds", "0"]).fails(2, &["--max-seconds"]);
    run(&["labeled", "--max-cost", "1"]).fails(2, &["a limit of money needs a bound"]);
    run(&["labeled", "-o", "."]).fails(2, &["it is a folder"]);
    run(&["labeled", "-o", "train.jsonl/out.json"]).fails(2, &["train.jsonl is no folder"]);
    assert!(!world.path(".teleprompt").exists(), "nothing was begun");
    run(&["labeled", "--prompt-lm", "openai:x"]).fails(2, &["writes no instructions"]);
    run(&["labeled", "--lm", "opnai:x"]).fails(2, &["did you mean `openai:`?"]);
    world.run(&["compile", SIGNATURE]).fails(2, &["--train"]);
    assert_eq!(world.server.hits(), 0);
}

#[test]
fn an_lm_that_is_not_there_or_refuses() {
    let world = World::new(|request| match request.header("x-none") {
        _ if request.json()["model"] == "gone" => {
            Response::api_error(404, "model_not_found", "no such model")
        }
        _ => Response::api_error(401, "invalid_api_key", "wrong key"),
    });
    let run = |lm: &str| world.run(&["run", "q -> a", "q=?", "--lm", lm]);
    run("openai:x@http://127.0.0.1:9/v1").fails(1, &["127.0.0.1:9"]);
    run(&world.lm().replace("fake", "gone")).fails(1, &["gone"]);
    run(&world.lm()).fails(1, &["key"]);
}

#[test]
fn a_reply_that_never_parses() {
    let world = World::new(|_| Response::chat("[[ ## answer ## ]]\nperhaps"));
    let args = ["run", "question -> answer: int", "question=?"];
    world.run(&args).fails(1, &["answer", "perhaps"]);
    assert_eq!(world.server.hits(), 3);
    let done = world.run(&[&args[..], &["--json"]].concat());
    let json: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(json["error"]["kind"], "reply");
}

#[test]
fn model_files() {
    let world = World::learner();
    world.write("text.gguf", "this is no model at all");
    world.write("short.gguf", "GGUF");
    let run = |lm: &str| world.run(&["run", "q -> a", "q=?", "--lm", lm]);
    run("local:text.gguf").fails(1, &["text.gguf", "GGUF"]);
    run("local:short.gguf").fails(1, &["short.gguf"]);
    run("local:nowhere.gguf").fails(1, &["nowhere.gguf"]);
    run("local:smollm3").fails(2, &["smollm2-135m"]);
}

/// Ctrl-C in a compile: the journal is whole, and the same command goes on.
#[cfg(unix)]
#[test]
fn ctrl_c_keeps_the_study_and_the_same_command_goes_on() {
    let world = World::new(|request| {
        let text = request.json()["messages"].to_string();
        let label = if text.contains("beta") { "b" } else { "a" };
        Response::chat(&format!("[[ ## label ## ]]\n{label}"))
            .after(std::time::Duration::from_millis(40))
    });
    let data = world.train();
    let args = [
        "compile",
        SIGNATURE,
        "--train",
        &data,
        "--metric",
        "exact_match",
        "--optimizer",
        "random_search",
        "--concurrency",
        "1",
        "--study",
        "mine",
        "--set",
        "num_candidate_programs=1",
    ];
    let child = world.spawn(&args);
    while world.server.hits() < 12 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    common::Done::from(child.wait_with_output().unwrap())
        .fails(1, &["run the same command again", "studies resume mine`"]);
    let journal =
        std::fs::read_to_string(world.path(".teleprompt/studies/mine/journal.jsonl")).unwrap();
    let rows = journal.lines().filter(|l| l.contains("\"event\":\"ran\"")).count();
    assert!(rows >= 10, "{journal}");
    let before = world.server.hits();
    world.run(&["cache", "clear"]).ok();
    let json = world.run(&[&args[..], &["--json"]].concat()).json();
    let again = world.server.hits() - before;
    assert!(
        again as u64 + rows as u64 <= json["calls"].as_u64().unwrap() + 1,
        "{again} {rows} {json}"
    );
}

#[test]
fn a_study_over_changed_data_is_refused() {
    let world = World::learner();
    let data = world.train();
    let args = [
        "compile",
        SIGNATURE,
        "--train",
        &data,
        "--metric",
        "exact_match",
        "--optimizer",
        "labeled",
        "--study",
        "mine",
    ];
    world.run(&args).ok();
    world.write("train.jsonl", &common::rows(64));
    world.run(&args).fails(1, &["train data", "was", "now", "--fork"]);
    let json = world.run(&[&args[..], &["--fork", "--json"]].concat()).json();
    assert_eq!(json["study"], "mine-2");
}

/// `/dev/full` takes no byte: what a full disk does.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk() {
    let world = World::learner();
    let data = world.train();
    std::os::unix::fs::symlink("/dev/full", world.path("rows.csv")).unwrap();
    let args = ["eval", SIGNATURE, &data, "--metric", "exact_match", "--out", "rows.csv"];
    world.run(&args).fails(1, &["rows.csv", "disk space"]);
}

/// A limit on the size of files stands for a disk that fills up in the middle of a compile.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_up_keeps_the_study() {
    let world = World::learner();
    let data = world.train();
    let args = [
        "compile",
        SIGNATURE,
        "--train",
        &data,
        "--metric",
        "exact_match",
        "--optimizer",
        "labeled",
        "--study",
        "mine",
    ];
    let quoted: Vec<String> = args.iter().map(|a| format!("'{a}'")).collect();
    let binary = env!("CARGO_BIN_EXE_teleprompt");
    let script = format!("trap '' XFSZ; ulimit -f 4; exec '{binary}' {}", quoted.join(" "));
    let like = world.command(&[]);
    let mut shell = std::process::Command::new("bash");
    shell.args(["-c", &script]).current_dir(world.dir.path());
    shell.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    common::Done::from(shell.output().unwrap()).fails(1, &["journal.jsonl"]);
    let journal = world.path(".teleprompt/studies/mine/journal.jsonl");
    let kept = std::fs::read_to_string(&journal).unwrap();
    assert!(kept.ends_with('\n') && kept.lines().count() > 3, "{kept}");
    world.run(&args).ok();
    assert!(std::fs::read_to_string(&journal).unwrap().starts_with(&kept));
}
