//! Two processes with one cache folder: each distinct request reaches the server once, and different
//! ones do not wait for each other.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use teleprompt::lm::{CacheConfig, CacheMode, Cached, ConnectOptions, Registry, from_fn};
use teleprompt::{Lm, LmRequest, Message};
use teleprompt_testkit::{FakeServer, Request, Response, ScriptedLm};
use tokio::sync::{Barrier, watch};

/// Calls of each process: half of them ask the same, half one of [`DISTINCT`] others.
const CALLS: u64 = 5000;
const DISTINCT: u64 = 1250;
const IN_FLIGHT: usize = 64;

fn text_of(request: &Request) -> String {
    request.json()["messages"][0]["content"].as_str().unwrap_or_default().to_owned()
}

/// What the call of this number asks. Each process goes through them in another order.
fn question(call: u64) -> String {
    if call.is_multiple_of(2) {
        "the same".into()
    } else {
        format!("number {}", call / 2 % DISTINCT)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_distinct_request_reaches_the_server_once() {
    let server = FakeServer::start(|request| {
        Response::chat(&format!("echo {}", text_of(request))).after(Duration::from_millis(3))
    })
    .await
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let children: Vec<_> = ["7", "4999"].map(|step| child(&server, dir.path(), step)).into();
    for child in children {
        let output =
            tokio::task::spawn_blocking(|| child.wait_with_output()).await.unwrap().unwrap();
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && out.contains("all answered"), "{out}\n{err}");
    }
    let mut asked: HashMap<String, u64> = HashMap::new();
    for request in server.requests() {
        *asked.entry(text_of(&request)).or_default() += 1;
    }
    let twice: Vec<_> = asked.iter().filter(|(_, n)| **n != 1).collect();
    assert!(twice.is_empty(), "{} asked again, such as {:?}", twice.len(), twice.first());
    assert_eq!(asked.len() as u64, DISTINCT + 1);
}

fn child(server: &FakeServer, dir: &Path, step: &str) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_process", "--ignored", "--nocapture"])
        .env("TELEPROMPT_TEST_SERVER", server.base_url())
        .env("TELEPROMPT_TEST_CACHE", dir)
        .env("TELEPROMPT_TEST_STEP", step)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What each process does; on its own it does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a part of the other test"]
async fn child_process() {
    let Ok(url) = std::env::var("TELEPROMPT_TEST_SERVER") else { return };
    let dir = std::env::var("TELEPROMPT_TEST_CACHE").unwrap().into();
    let step: u64 = std::env::var("TELEPROMPT_TEST_STEP").unwrap().parse().unwrap();
    let options = ConnectOptions { cache: CacheMode::Folder(dir), ..ConnectOptions::default() };
    let lm = Registry::default().connect_with(&format!("openai:m@{url}"), options).await.unwrap();
    let paid = AtomicU64::new(0);
    let calls = futures::stream::iter(0..CALLS).map(|i| {
        let (lm, paid) = (&lm, &paid);
        async move {
            let text = question(i * step % CALLS);
            let request = LmRequest::new(vec![Message::user(text.clone())]);
            let reply = lm.generate(&request).await.unwrap();
            assert_eq!(reply.completions[0].text, format!("echo {text}"));
            paid.fetch_add(1 - reply.usage.cache_hits, Ordering::Relaxed);
        }
    });
    calls.buffer_unordered(IN_FLIGHT).collect::<Vec<()>>().await;
    println!("all answered, {} paid", paid.load(Ordering::Relaxed));
}

/// Calls of each process that are in flight together.
const TOGETHER: usize = 512;

/// All calls of both processes have to be in flight at the same time: none of them waits for another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn different_questions_of_two_processes_do_not_wait_for_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let children = ["a", "b"].map(|name| asking_all_at_once(name, dir.path()));
    let in_flight = children.map(|mut child| {
        tokio::task::spawn_blocking(move || {
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let found = lines.any(|line| line.unwrap().contains("all in flight"));
            (child, lines, found)
        })
    });
    let both = futures::future::join_all(in_flight);
    let both = tokio::time::timeout(Duration::from_secs(120), both).await;
    for child in both.expect("they wait for each other") {
        let (mut child, lines, found) = child.unwrap();
        assert!(found);
        child.stdin.take().unwrap().write_all(b"go on\n").unwrap();
        let rest: Vec<String> = lines.map(Result::unwrap).collect();
        assert!(child.wait().unwrap().success(), "{rest:?}");
    }
    let kept = teleprompt::lm::cache::stats(dir.path()).unwrap();
    assert_eq!(kept.entries, 2 * TOGETHER as u64);
    let locks: Vec<_> = std::fs::read_dir(dir.path().join("locks")).unwrap().collect();
    assert!(locks.len() < 10, "a claim is gone after the call: {} are left", locks.len());
}

/// Ends with the test, however that ends: its input is closed.
fn asking_all_at_once(name: &str, dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_with_all_in_flight", "--ignored", "--nocapture"])
        .env("TELEPROMPT_TEST_CACHE", dir)
        .env("TELEPROMPT_TEST_NAME", name)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What each process does; on its own it does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a part of the other test"]
async fn child_with_all_in_flight() {
    let Ok(name) = std::env::var("TELEPROMPT_TEST_NAME") else { return };
    let dir = std::env::var("TELEPROMPT_TEST_CACHE").unwrap();
    let barrier = std::sync::Arc::new(Barrier::new(TOGETHER));
    let (go, gone) = watch::channel(false);
    let lm = from_fn(ScriptedLm::new(|_| "ok"), move |request, next| {
        let (barrier, mut gone) = (barrier.clone(), gone.clone());
        async move {
            if barrier.wait().await.is_leader() {
                println!("all in flight");
            }
            gone.wait_for(|gone| *gone).await.unwrap();
            next.generate(&request).await
        }
    });
    std::thread::spawn(move || {
        let told = std::io::stdin().lines().next().is_some();
        // The other end is gone: so is the test.
        if !told {
            std::process::exit(1);
        }
        go.send(true).unwrap();
    });
    // Longer than the test waits: none gives up and asks without a claim.
    let longest_wait = Duration::from_secs(3600);
    let lm = Cached::new(lm, CacheConfig { longest_wait, ..CacheConfig::on_disk(dir) });
    let calls = (0..TOGETHER).map(|i| {
        let (lm, text) = (&lm, format!("{name} {i}"));
        async move { lm.generate(&LmRequest::new(vec![Message::user(text)])).await.unwrap() }
    });
    let replies = futures::future::join_all(calls).await;
    assert!(replies.iter().all(|reply| reply.usage.cache_hits == 0));
}
