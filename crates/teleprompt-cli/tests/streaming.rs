//! `teleprompt run --stream`: what people and scripts see while a reply comes in.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod common;

use std::io::Read;
use std::time::Duration;

use common::World;
use serde_json::{Value, json};
use teleprompt_testkit::Response;

const TEXTS: &[&str] =
    &["[[ ## rea", "soning ## ]]\nsix ti", "mes seven\n\n[[ ## ", "answer ## ]]\n4", "2"];
const PROGRAM: &str = "question -> reasoning, answer: int";

fn streaming(pause: Duration) -> World {
    World::new(move |request| {
        assert_eq!(request.json()["stream"], true);
        Response::chat_stream(TEXTS, 40, pause)
    })
}

#[test]
fn fields_stand_below_each_other() {
    let world = streaming(Duration::ZERO);
    let done = world.run(&["run", PROGRAM, "question=6 x 7?", "--stream"]).ok();
    assert_eq!(done.stdout, "reasoning: six times seven\nanswer: 42\n");
    // The second time the answer comes from the cache, in one piece.
    let again = world.run(&["run", PROGRAM, "question=6 x 7?", "--stream"]).ok();
    assert_eq!(again.stdout, done.stdout);
    assert_eq!(world.server.hits(), 1);
}

#[test]
fn machines_get_an_event_a_line() {
    let world = streaming(Duration::ZERO);
    let done = world.run(&["run", PROGRAM, "question=?", "--stream", "--json"]).ok();
    let lines: Vec<Value> = done.stdout.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let pieces = lines.iter().filter(|l| l["event"] == "text" && l["field"] == "reasoning");
    let text: String = pieces.map(|l| l["text"].as_str().unwrap()).collect();
    assert_eq!(text, "six times seven");
    assert!(
        lines.iter().any(|l| l["event"] == "field" && l["field"] == "answer" && l["value"] == 42)
    );
    let last = lines.last().unwrap();
    assert_eq!(last["event"], "prediction");
    assert_eq!(last["fields"], json!({"reasoning": "six times seven", "answer": 42}));
    assert_eq!(last["usage"]["calls"], 1);
}

#[test]
fn pieces_come_before_the_end_and_a_killed_command_leaves_the_server() {
    let world = streaming(Duration::from_millis(200));
    let mut child = world.spawn(&["run", PROGRAM, "question=?", "--stream"]);
    let mut out = child.stdout.take().unwrap();
    let mut seen = String::new();
    while !seen.contains("six ti") {
        let mut byte = [0_u8; 1];
        assert_eq!(out.read(&mut byte).unwrap(), 1, "it ended after {seen:?}");
        seen.push(char::from(byte[0]));
    }
    assert_eq!(world.server.abandoned(), 0);
    child.kill().unwrap();
    child.wait().unwrap();
    let gone = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        world.server.abandoned() == 1
    });
    assert!(gone, "the server still sends");
}

#[test]
fn several_completions_are_not_streamed() {
    let world = streaming(Duration::ZERO);
    world
        .run(&["run", PROGRAM, "question=?", "--stream", "--n", "2"])
        .fails(2, &["--stream shows one completion; leave out --n"]);
    assert_eq!(world.server.hits(), 0);
}

#[test]
fn a_pipeline_shows_whose_fields_they_are() {
    let world = World::new(|_| {
        Response::chat_stream(
            &["[[ ## note ## ]]\na not", "e\n\n[[ ## answer ## ]]\nyes"],
            9,
            Duration::ZERO,
        )
    });
    world.write(
        "two.toml",
        "[[step]]\nname = \"first\"\nsignature = \"question -> note\"\n\n[[step]]\nname = \"second\"\nsignature = \"note -> answer\"\n",
    );
    let done = world.run(&["run", "two.toml", "question=?", "--stream"]).ok();
    for part in ["── first ──\nnote: a note\n", "── second ──\nanswer: yes\n", "── result ──\n"]
    {
        assert!(done.stdout.contains(part), "{}", done.stdout);
    }
}

/// Members run at the same time; whose text is whose must be seen, and what was elected.
#[test]
fn an_ensemble_shows_its_members_and_the_elected_answer() {
    let world = World::new(|request| {
        let body = request.json();
        let label = if body["messages"].to_string().contains("SAY_B") { "b" } else { "a" };
        let reply = format!("[[ ## label ## ]]\n{label}");
        match body["stream"] == true {
            true => Response::chat_stream(&[&reply], 9, Duration::ZERO),
            false => Response::chat(&reply),
        }
    });
    world.train();
    let compile = ["compile", common::SIGNATURE, "--train", "train.jsonl"];
    let more = ["--metric", "exact_match", "--optimizer", "labeled", "-o", "one.json"];
    world.run(&[&compile[..], &more].concat()).ok();
    let text = std::fs::read_to_string(world.path("one.json")).unwrap();
    let mut saved: Value = serde_json::from_str(&text).unwrap();
    let other = |text: &str| json!({"predict": {"instructions": text}});
    saved["ensemble"] =
        json!({"vote": {"majority": {}}, "others": [other("SAY_B"), other("SAY_B, please")]});
    world.write("three.json", &saved.to_string());
    let done = world.run(&["run", "three.json", "text=oak", "--stream"]).ok();
    for part in ["member 1 ──\nlabel: a\n", "member 2 ──\nlabel: b\n", "member 3 ──\nlabel: b\n"]
    {
        assert!(done.stdout.contains(part), "{part} in {done:?}");
    }
    assert!(done.stdout.ends_with("── result ──\nlabel: b\n"), "{done:?}");
    assert!(done.stderr.contains("3 members vote"), "{done:?}");
    let shown = world.run(&["show", "three.json"]).ok().stdout;
    assert!(shown.contains("member 3  predict, 0 demos\n      SAY_B, please"), "{shown}");
    assert!(shown.contains("every call runs the program 3 times"), "{shown}");
}
