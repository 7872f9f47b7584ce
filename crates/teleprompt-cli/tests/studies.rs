//! `teleprompt studies` and `optimizers`, and what `compile` tells before and after.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod common;

use common::{Done, SIGNATURE, World};
use serde_json::{Value, json};
use teleprompt_testkit::Response;

/// The arguments of a compile of `train.jsonl`.
fn compile<'a>(optimizer: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let base = ["compile", SIGNATURE, "--train", "train.jsonl", "--metric", "exact_match"];
    [&base[..], &["--optimizer", optimizer, "--study", "mine"], more].concat()
}

const SMALL: [&str; 4] = ["--set", "num_candidate_programs=1", "--set", "max_labeled_demos=6"];

/// A world with a study `mine` by random search.
fn searched() -> World {
    let world = World::learner();
    world.train();
    world.run(&compile("random_search", &SMALL)).ok();
    world
}

#[test]
fn optimizers_are_listed_with_settings_and_defaults() {
    let world = World::learner();
    let text = world.run(&["optimizers"]).ok().stdout;
    for part in ["labeled_few_shot\n", "k=16", "also: bootstrap_rs, random_search"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(world.run(&["compile", "--optimizer", "help"]).ok().stdout, text);
    let one = world.run(&["optimizers", "ensemble"]).ok().stdout;
    for part in ["for: calls to spare", "cost: ", "source: Khattab", "size=3\n", "members\n"] {
        assert!(one.contains(part), "{part} in {one}");
    }
    assert!(one.contains("majority (field), mean (field), median (field), first"), "{one}");
    let json = world.run(&["optimizers", "RandomSearch", "--json"]).json();
    let one = &json["optimizers"].as_array().unwrap()[..];
    assert_eq!(one.len(), 1);
    assert_eq!(one[0]["name"], "bootstrap_few_shot_with_random_search");
    assert_eq!(one[0]["settings"]["max_rounds"], 1);
    assert_eq!((&one[0]["validates"], &one[0]["writes"]), (&json!(true), &json!(false)));
    world.run(&["optimizers", "labeld"]).fails(2, &["did you mean `labeled_few_shot`?"]);
}

#[test]
fn a_compile_tells_its_estimate_and_what_it_changed() {
    let world = World::learner();
    world.train();
    let done = world.run(&compile("labeled", &["--set", "k=6", "--max-calls", "10000"])).ok();
    for part in ["estimate     at most ", "LM calls", "limits       at most 10000 LM calls"] {
        assert!(done.stderr.contains(part), "{part} in {done:?}");
    }
    for part in ["changed      predict: 6 demos", "points on the program as written"] {
        assert!(done.stdout.contains(part), "{part} in {done:?}");
    }
    let json = world.run(&compile("labeled", &["--set", "k=6", "--json"])).json();
    let estimate = &json["estimate"];
    let used = json["calls"].as_u64().unwrap();
    assert!(estimate["lm_calls"].as_u64().unwrap() >= used, "{json}");
    assert_eq!(estimate["final_runs"], 30);
    assert!(estimate["cost"].is_null(), "no price is known: {json}");
    let real = json["prompt_tokens"].as_u64().unwrap();
    assert!(real > 0 && estimate["prompt_tokens"].as_u64().unwrap() > 0);
    for key in ["verdict", "changes", "candidates", "spent", "notes", "improved", "settings"] {
        assert!(!json[key].is_null(), "{key} in {json}");
    }
    let tight = world.run(&compile("random_search", &["--study", "x", "--max-calls", "40"]));
    assert_eq!(tight.code, Some(2), "--study twice: {tight:?}");
}

#[test]
fn an_estimate_above_a_limit_is_told() {
    let world = World::learner();
    world.train();
    let tight = world.run(&compile("random_search", &["--max-calls", "70"])).ok();
    assert!(tight.stderr.contains("more than the limit of 70"), "{tight:?}");
    assert!(tight.stdout.contains("ended early"), "{tight:?}");
}

/// Where it costs money, somebody has to agree; nobody is at a terminal here.
#[test]
fn money_is_only_spent_when_somebody_agreed() {
    let world = World::learner();
    world.train();
    std::fs::create_dir_all(world.path("config/teleprompt")).unwrap();
    let price = format!("[price.\"{}\"]\ninput = 3.0\noutput = 15.0\n", world.lm());
    world.write("config/teleprompt/config.toml", &price);
    let args = compile("labeled", &[]);
    world.run(&args).fails(2, &["may cost about $", "--yes", "--max-cost"]);
    assert_eq!(world.server.hits(), 0);
    assert!(!world.path(".teleprompt").exists(), "nothing was begun");
    let json = world.run(&[&args[..], &["--yes", "--json"]].concat()).json();
    assert!(json["estimate"]["cost"].as_f64().unwrap() > 0.0, "{json}");
    world.run(&[&args[..], &["--max-cost", "5", "--max-tokens", "50", "--fork"]].concat()).ok();
}

#[test]
fn a_compile_that_gains_nothing_saves_the_program_as_written_and_says_so() {
    let world = World::new(|_| Response::chat("[[ ## label ## ]]\na"));
    world.train();
    let done = world.run(&compile("labeled", &["-o", "out.json"])).ok();
    assert!(done.stdout.contains("which is no gain; you get the program as written"), "{done:?}");
    assert!(done.stdout.contains("as written   out.json"), "{done:?}");
    let saved: Value =
        serde_json::from_str(&std::fs::read_to_string(world.path("out.json")).unwrap()).unwrap();
    assert_eq!(saved["compiled"]["improved"], false);
    assert_eq!(saved["predictors"]["predict"]["parameters"], json!({}));
}

#[test]
fn stops_and_objectives_reach_the_search() {
    let world = World::learner();
    world.train();
    world.write("stop", "");
    let stopped = |more: &[&str]| -> String {
        let name = format!("s{}", more.join("").replace(|c: char| !c.is_alphanumeric(), ""));
        let mut args = compile("random_search", more);
        let at = args.iter().position(|a| *a == "mine").unwrap();
        args[at] = &name;
        let json = world.run(&[&args[..], &SMALL, &["--json"]].concat()).json();
        json["stopped"].as_str().unwrap_or_default().to_owned()
    };
    assert!(stopped(&["--stop-file", "stop"]).contains("stop file"));
    assert!(stopped(&["--stop-at-score", "0.9"]).contains("reached 0.9"));
    assert!(stopped(&["--stop-without-improvement", "1"]).contains("no better"));
    assert_eq!(stopped(&["--objective", "cost", "--margin", "0.1"]), "");
    world.run(&compile("labeled", &["--margin", "0.1"])).fails(2, &["--objective cost"]);
    world.run(&compile("labeled", &["--stop-at-score", "nan"])).fails(2, &["must be a number"]);
}

/// The LM behind the other name knows the labels without demonstrations.
#[test]
fn predictors_may_choose_among_lms() {
    let world = World::new(|request| {
        let body = request.json();
        let text = body["messages"].as_array().unwrap().last().unwrap()["content"].clone();
        let knows = body["model"] == "clever" && text.as_str().unwrap().contains("beta");
        Response::chat(&format!("[[ ## label ## ]]\n{}", if knows { "b" } else { "a" }))
    });
    world.train();
    let clever = world.lm().replace("fake", "clever");
    let args = compile("labeled", &["--lm-choice", &clever, "-o", "out.json"]);
    let done = world.run(&args).ok();
    assert!(done.stderr.contains(&format!("--also-lm {clever}")), "{done:?}");
    assert!(done.stdout.contains("changed      predict: "), "{done:?}");
    world.run(&["run", "out.json", "text=oak beta"]).fails(2, &["does not have"]);
    let answer = ["run", "out.json", "text=oak beta", "--also-lm", &clever, "--json"];
    assert_eq!(world.run(&answer).json()["fields"]["label"], "b");
}

#[test]
fn studies_are_listed_and_shown() {
    let world = World::learner();
    assert!(world.run(&["studies", "list"]).ok().stdout.contains("no studies in"));
    let world = searched();
    std::fs::create_dir_all(world.path(".teleprompt/studies/broken")).unwrap();
    world.write(".teleprompt/studies/broken/journal.jsonl", "hello\n");
    let text = world.run(&["studies", "list"]).ok().stdout;
    let mine = text.lines().find(|l| l.starts_with("mine ")).unwrap();
    for part in ["bootstrap_few_shot_with_random_search", "finished", "→ 100.0%", "just now"] {
        assert!(mine.contains(part), "{part} in {mine}");
    }
    assert!(text.contains("is no journal of a study"), "{text}");
    let json = world.run(&["studies", "list", "--json"]).json();
    assert_eq!(json["studies"][1]["name"], "mine");
    assert_eq!(
        (&json["studies"][1]["winner"], &json["studies"][1]["improved"]),
        (&json!(1.0), &json!(true))
    );
    let shown = world.run(&["studies", "show", "mine"]).ok().stdout;
    for part in [
        "study        mine, finished",
        "train, ",
        "started by   teleprompt compile",
        "  teacher    ",
        "  as written  ",
        "labelled demos",
        "compile 'text -> label: enum[\"a\", \"b\"]' --train train.jsonl",
        "validation examples, best before",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let json = world.run(&["studies", "show", "mine", "--json"]).json();
    let candidates = json["candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 4);
    assert!(candidates.iter().all(|c| !c["why"].as_str().unwrap().is_empty()), "{json}");
    assert_eq!(json["state"], "finished");
    assert_eq!(json["report"]["winner"]["score"], 1.0);
    let hash = candidates[1]["candidate"].as_str().unwrap();
    let one = world.run(&["studies", "show", "mine", "--candidate", &hash[..8], "--json"]).json();
    assert_eq!(one["parameters"]["predict"]["demos"].as_array().unwrap().len(), 6);
    let one = world.run(&["studies", "show", "mine", "--candidate", hash]).ok().stdout;
    assert!(one.contains("demos         6"), "{one}");
    world.run(&["studies", "show", "mind"]).fails(2, &["did you mean `mine`?"]);
    world.run(&["studies", "show", "mine", "--candidate", "xyz"]).fails(2, &["no candidate"]);
}

#[test]
fn a_study_is_exported() {
    let world = searched();
    let text = world.run(&["studies", "export", "mine"]).ok().stdout;
    let rows: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let show = world.run(&["studies", "show", "mine", "--json"]).json();
    let calls: u64 = rows.iter().map(|r| r["calls"].as_u64().unwrap()).sum();
    assert_eq!(calls, show["usage"]["calls"].as_u64().unwrap(), "every call is in a row");
    world.run(&["studies", "export", "mine", "-o", "scores.csv"]).ok();
    let csv = std::fs::read_to_string(world.path("scores.csv")).unwrap();
    assert_eq!(csv.lines().count(), rows.len() + 1);
    assert!(csv.starts_with("candidate,origin,by,split,example,rollout,score,"), "{csv}");
    let matrix = world.run(&["studies", "export", "mine", "--matrix"]).json();
    let scores = matrix["scores"].as_array().unwrap();
    assert_eq!(scores.len(), matrix["candidates"].as_array().unwrap().len());
    let n = matrix["examples"].as_u64().unwrap() as usize;
    assert!(scores.iter().all(|row| row.as_array().unwrap().len() == n), "{matrix}");
    for (row, facts) in scores.iter().zip(show["candidates"].as_array().unwrap()) {
        let all: Vec<f64> = row.as_array().unwrap().iter().map(|s| s.as_f64().unwrap()).collect();
        let mean = all.iter().sum::<f64>() / n as f64;
        assert!((mean - facts["score"].as_f64().unwrap()).abs() < 1e-9, "{facts}");
    }
    world.run(&["studies", "export", "mine", "--program", "-o", "winner.json"]).ok();
    let file = |name: &str| std::fs::read_to_string(world.path(name)).unwrap();
    let winner: Value = serde_json::from_str(&file("winner.json")).unwrap();
    let saved: Value =
        serde_json::from_str(&file(".teleprompt/studies/mine/program.json")).unwrap();
    assert_eq!(winner, saved, "the program that the compile saved");
    let hash = show["candidates"][1]["candidate"].as_str().unwrap();
    let args = ["studies", "export", "mine", "--program", "--candidate", hash, "-o", "one.json"];
    world.run(&args).ok();
    assert_eq!(
        world.run(&["run", "one.json", "text=oak beta", "--json"]).json()["fields"]["label"],
        "b"
    );
    world.run(&["studies", "export", "mine", "-o", "scores.xlsx"]).fails(2, &[".csv or .jsonl"]);
    world.run(&["studies", "export", "mine", "--program"]).fails(2, &["-o OUT.json"]);
}

#[test]
fn a_study_is_resumed_from_anywhere_with_other_limits() {
    let world = World::learner();
    world.train();
    std::fs::create_dir(world.path("elsewhere")).unwrap();
    let out = [&compile("random_search", &SMALL)[..], &["-o", "out/tuned.json"]].concat();
    world.run(&[&out[..], &["--max-calls", "50"]].concat()).ok();
    let paid =
        |usage: &Value| usage["calls"].as_u64().unwrap() - usage["cache_hits"].as_u64().unwrap();
    let spent = paid(&world.run(&["studies", "show", "mine", "--json"]).json()["usage"]);
    assert!(spent <= 50);
    world.run(&["cache", "clear"]).ok();
    let before = world.server.hits();
    let resume = |more: &[&str]| {
        let args = [&["studies", "resume", "mine", "--json"][..], more].concat();
        let mut command = world.command(&args);
        command.current_dir(world.path("elsewhere"));
        command.env("TELEPROMPT_STUDIES_DIR", "../.teleprompt/studies");
        // The LM is the one that the study began with.
        command.env("TELEPROMPT_LM", "openai:another@http://127.0.0.1:9/v1");
        Done::from(command.output().unwrap())
    };
    let json = resume(&["--max-calls", "5000"]).json();
    assert_eq!(json["study"], "mine");
    assert!(json["stopped"].is_null() && json["improved"] == true, "{json}");
    let again = world.server.hits() - before;
    assert_eq!(spent + again as u64, paid(&json), "nothing was paid twice");
    assert!(world.path("out/tuned.json").exists());
    let saved = world.server.hits();
    let json = resume(&["--max-calls", "5000", "-o", "here.json"]).json();
    assert_eq!(world.server.hits(), saved, "a finished study is free");
    assert!(world.path("elsewhere/here.json").exists(), "{json}");
    resume(&["--seed", "7"]).fails(2, &["--seed: a study goes on with what it was started with"]);
    resume(&["--lm", "openai:x"]).fails(2, &["--lm: ", "--fork"]);
    world.run(&["studies", "resume", "nobody"]).fails(2, &["there is no study `nobody`"]);
    // Data that changed meanwhile is told as in any compile.
    world.write("train.jsonl", &common::rows(64));
    resume(&[]).fails(1, &["is about something else", "train data"]);
    std::fs::remove_file(world.path(".teleprompt/studies/mine/command.json")).unwrap();
    resume(&[]).fails(2, &["not by a command"]);
}

#[test]
fn a_fork_is_resumed_as_what_it_is() {
    let world = searched();
    world.write("train.jsonl", &common::rows(64));
    let fork = [&compile("random_search", &SMALL)[..], &["--fork"]].concat();
    assert_eq!(world.run(&[&fork[..], &["--json"]].concat()).json()["study"], "mine-2");
    let hits = world.server.hits();
    let json = world.run(&["studies", "resume", "mine-2", "--json"]).json();
    assert_eq!((json["study"].as_str(), world.server.hits()), (Some("mine-2"), hits));
}

#[test]
fn a_study_is_removed_when_somebody_agrees_and_it_does_not_run() {
    let world = searched();
    world.run(&["studies", "rm", "mine"]).fails(2, &["--yes"]);
    let journal = world.path(".teleprompt/studies/mine/journal.jsonl");
    let file = std::fs::OpenOptions::new().append(true).open(&journal).unwrap();
    file.lock().unwrap();
    let list = world.run(&["studies", "list", "--json"]).json();
    assert_eq!(list["studies"][0]["state"], "running");
    world.run(&["studies", "rm", "mine", "--yes"]).fails(1, &["is running"]);
    drop(file);
    world.run(&["studies", "rm", "mine", "--yes"]).ok();
    assert!(!world.path(".teleprompt/studies/mine").exists());
}

#[test]
fn a_study_with_a_damaged_journal_is_removed_and_unknown_names_get_hints() {
    let world = World::learner();
    for name in ["one", "alpha", "beta", "gamma", "delta", "broken"] {
        let folder = format!(".teleprompt/studies/{name}");
        std::fs::create_dir_all(world.path(&folder)).unwrap();
        world.write(&format!("{folder}/journal.jsonl"), "hello\n");
    }
    let journal = world.path(".teleprompt/studies/broken/journal.jsonl");
    let file = std::fs::File::open(&journal).unwrap();
    file.lock().unwrap();
    world.run(&["studies", "rm", "broken", "--yes"]).fails(1, &["is running"]);
    drop(file);
    world.run(&["studies", "rm", "broken"]).fails(2, &["--yes"]);
    assert!(journal.exists());
    world.run(&["studies", "rm", "broken", "--yes"]).ok();
    assert!(!world.path(".teleprompt/studies/broken").exists());
    world.run(&["studies", "rm", "../studies", "--yes"]).fails(2, &["there is no study"]);
    let nearest = ["; the nearest: ", "alpha", "studies list"];
    world.run(&["studies", "show", "xyzzyxyz"]).fails(2, &nearest);
    world.run(&["studies", "show", "alhpa"]).fails(2, &["did you mean `alpha`?"]);
}

/// A study that was killed in the middle is shown, exported and resumed.
#[cfg(unix)]
#[test]
fn a_killed_study_goes_on() {
    let world = World::new(|request| {
        let text = request.json()["messages"].to_string();
        let label = if text.contains("beta") { "b" } else { "a" };
        Response::chat(&format!("[[ ## label ## ]]\n{label}"))
            .after(std::time::Duration::from_millis(20))
    });
    world.train();
    let more = [&SMALL[..], &["--concurrency", "1"]].concat();
    let mut child = world.spawn(&compile("random_search", &more));
    while world.server.hits() < 40 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let list = world.run(&["studies", "list"]).ok().stdout;
    assert!(list.contains("stopped"), "{list}");
    world.run(&["studies", "show", "mine"]).ok();
    world.run(&["studies", "export", "mine", "-o", "scores.csv"]).ok();
    let journaled = std::fs::read_to_string(world.path("scores.csv")).unwrap().lines().count() - 1;
    world.run(&["cache", "clear"]).ok();
    let before = world.server.hits();
    let json = world.run(&["studies", "resume", "mine", "--json"]).json();
    let again = world.server.hits() - before;
    assert_eq!((again + journaled) as u64, json["calls"].as_u64().unwrap(), "{json}");
}
