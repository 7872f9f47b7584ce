//! The cache layer: single-flight among tasks and processes, and what can go wrong on disk.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use futures::future::{join_all, poll_immediate};
use teleprompt::lm::cache::{clear, prune, stats};
use teleprompt::lm::{CacheConfig, CacheUse, Cached, Endpoint, Recorder, Remote};
use teleprompt::{Completion, FinishReason, Lm, LmErrorKind, LmRequest, LmResponse, Message};
use teleprompt_testkit::{FakeServer, Reply, Response, ScriptedLm};

fn request(text: &str) -> LmRequest {
    LmRequest::new(vec![Message::system("Be brief."), Message::user(text)])
}

fn text(response: &LmResponse) -> &str {
    &response.completions[0].text
}

/// Numbers its calls.
fn counting() -> ScriptedLm {
    let calls = AtomicUsize::new(0);
    ScriptedLm::new(move |_| format!("call {}", calls.fetch_add(1, Ordering::Relaxed)))
}

fn on_disk(lm: &ScriptedLm, dir: &Path) -> Cached<ScriptedLm> {
    Cached::new(lm.clone(), CacheConfig::on_disk(dir))
}

fn entry_files(dir: &Path) -> Vec<PathBuf> {
    let folders = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    let folders = folders.filter(|p| p.is_dir() && !p.ends_with("locks"));
    folders.flat_map(|f| fs::read_dir(f).unwrap().map(|e| e.unwrap().path())).collect()
}

#[tokio::test]
async fn a_hit_tells_that_it_is_one_and_what_the_call_took() {
    let dir = tempfile::tempdir().unwrap();
    let lm = counting();
    let first = on_disk(&lm, dir.path());
    let miss = first.generate(&request("two words")).await.unwrap();
    let memory = first.generate(&request("two words")).await.unwrap();
    let disk = on_disk(&lm, dir.path()).generate(&request("two words")).await.unwrap();
    assert_eq!(lm.calls(), 1);
    assert_eq!((miss.usage.cache_hits, miss.usage.prompt_tokens), (0, 4));
    for hit in [memory, disk] {
        assert_eq!((hit.usage.calls, hit.usage.cache_hits, hit.usage.prompt_tokens), (1, 1, 4));
        assert_eq!((hit.completions, hit.model), (miss.completions.clone(), miss.model.clone()));
    }
}

#[tokio::test]
async fn another_rollout_or_another_lm_is_another_call() {
    let dir = tempfile::tempdir().unwrap();
    let lm = counting();
    let cached = on_disk(&lm, dir.path());
    let mut warm = request("x");
    warm.settings.temperature = Some(1.0);
    let mut other = warm.clone();
    other.rollout = 1;
    let answers = [
        cached.generate(&warm).await.unwrap(),
        cached.generate(&other).await.unwrap(),
        cached.generate(&warm).await.unwrap(),
        on_disk(&lm.clone().with_name("another"), dir.path()).generate(&warm).await.unwrap(),
    ];
    assert_eq!(answers.each_ref().map(text), ["call 0", "call 1", "call 0", "call 2"]);
}

#[tokio::test]
async fn fifty_tasks_make_one_request() {
    let server = FakeServer::start(|_| Response::chat("ok").after(Duration::from_millis(50)));
    let server = server.await.unwrap();
    let lm = Remote::new("m", Endpoint::new("openai-chat", &server.base_url()).unwrap()).unwrap();
    let lm = Cached::in_memory(lm);
    let request = request("x");
    let replies = join_all((0..50).map(|_| lm.generate(&request))).await;
    assert_eq!(server.hits(), 1);
    let hits: u64 = replies.iter().map(|r| r.as_ref().unwrap().usage.cache_hits).sum();
    assert_eq!(hits, 49);
    assert!(replies.iter().all(|r| text(r.as_ref().unwrap()) == "ok"));
}

#[tokio::test]
async fn who_waits_shares_an_error_and_it_is_not_kept() {
    let lm = ScriptedLm::replies([Reply::error(LmErrorKind::Server), "ok".into()])
        .with_delay(Duration::from_millis(20));
    let cached = Cached::in_memory(lm.clone());
    let request = request("x");
    let replies = join_all((0..50).map(|_| cached.generate(&request))).await;
    assert!(replies.iter().all(|r| r.as_ref().unwrap_err().kind == LmErrorKind::Server));
    assert_eq!(lm.calls(), 1);
    assert_eq!(text(&cached.generate(&request).await.unwrap()), "ok");
}

#[tokio::test]
async fn an_answer_that_is_bad_is_given_and_not_kept() {
    let ending = |text: &str, finish| Completion { finish, ..Completion::text(text) };
    let cases = [
        (ending("a", FinishReason::Stop), true),
        (ending("a", FinishReason::Length), true),
        (ending("a", FinishReason::ToolCalls), true),
        (ending("a", FinishReason::Other), false),
        (ending("a", FinishReason::ContentFilter), false),
        (ending("", FinishReason::Stop), false),
        (ending("", FinishReason::Length), false),
    ];
    for (completion, kept) in cases {
        let dir = tempfile::tempdir().unwrap();
        let reply = completion.clone();
        let lm = ScriptedLm::new(move |_| Reply::from(reply.clone()));
        let lm = lm.with_delay(Duration::from_millis(5));
        let cached = on_disk(&lm, dir.path());
        let request = request("x");
        let both = join_all([cached.generate(&request), cached.generate(&request)]).await;
        assert!(both.iter().all(|r| r.as_ref().unwrap().completions[0] == completion));
        assert_eq!(lm.calls(), 1, "who waits for it gets it");
        cached.generate(&request).await.unwrap();
        let chunks: Vec<_> = cached.stream(&request).collect().await;
        assert!(chunks.iter().all(Result::is_ok));
        on_disk(&lm, dir.path()).generate(&request).await.unwrap();
        let calls = if kept { 1 } else { 4 };
        assert_eq!(
            (lm.calls(), entry_files(dir.path()).len()),
            (calls, usize::from(kept)),
            "{completion:?}"
        );
    }
}

#[tokio::test]
async fn a_bad_answer_of_an_earlier_version_is_a_miss() {
    let dir = tempfile::tempdir().unwrap();
    on_disk(&counting(), dir.path()).generate(&request("x")).await.unwrap();
    let file = entry_files(dir.path()).remove(0);
    let good = fs::read_to_string(&file).unwrap();
    let bad = good.replace("\"stop\"", "\"content_filter\"");
    assert_ne!(good, bad);
    fs::write(&file, bad).unwrap();
    let reply = on_disk(&counting(), dir.path()).generate(&request("x")).await.unwrap();
    assert_eq!(reply.usage.cache_hits, 0);
}

#[tokio::test]
async fn a_leader_that_no_one_reads_holds_equal_calls_up_for_the_longest_wait_only() {
    let config = CacheConfig { longest_wait: Duration::from_millis(50), ..CacheConfig::default() };
    let cached = Cached::new(counting(), config);
    let request = request("x");
    let mut unread = cached.stream(&request);
    unread.next().await.unwrap().unwrap();
    let call = tokio::time::timeout(Duration::from_secs(60), cached.generate(&request));
    assert_eq!(text(&call.await.unwrap().unwrap()), "call 1");
    assert_eq!(cached.generate(&request).await.unwrap().usage.cache_hits, 1);
    assert!(unread.all(|chunk| async move { chunk.is_ok() }).await);
}

#[cfg(unix)]
#[tokio::test]
async fn no_other_user_can_read_what_is_on_disk() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let dir = tempfile::tempdir().unwrap();
    let (root, tape) = (dir.path().join("cache"), dir.path().join("tapes").join("a.jsonl"));
    let recorder = Recorder::new(counting(), &tape).unwrap();
    let cached = Cached::new(recorder, CacheConfig::on_disk(&root));
    cached.generate(&request("x")).await.unwrap();
    let entry = entry_files(&root).remove(0);
    for file in [&entry, &tape] {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
    for folder in [&root, entry.parent().unwrap(), tape.parent().unwrap()] {
        assert_eq!(mode(folder), 0o700, "{}", folder.display());
    }
}

#[tokio::test]
async fn a_dropped_call_is_taken_over_by_who_waits() {
    let dir = tempfile::tempdir().unwrap();
    let lm = counting().with_delay(Duration::from_millis(20));
    let cached = on_disk(&lm, dir.path());
    let request = request("x");
    let mut first = Box::pin(cached.generate(&request));
    assert!(poll_immediate(&mut first).await.is_none());
    let mut second = Box::pin(cached.generate(&request));
    assert!(poll_immediate(&mut second).await.is_none());
    drop(first);
    let reply = tokio::time::timeout(Duration::from_secs(5), second).await.unwrap().unwrap();
    assert_eq!((text(&reply), lm.calls()), ("call 0", 2));
}

#[tokio::test]
async fn streams_are_kept_and_answered_too() {
    let lm = counting();
    let cached = Cached::in_memory(lm.clone());
    let request = request("x");
    let first: Vec<_> = cached.stream(&request).map(Result::unwrap).collect().await;
    let second: Vec<_> = cached.stream(&request).map(Result::unwrap).collect().await;
    assert_eq!((lm.calls(), &first[0], first.len()), (1, &second[0], second.len()));
    assert_eq!(text(&cached.generate(&request).await.unwrap()), "call 0");
    // A stream that is left before its end is not kept and stops no one.
    let other = self::request("y");
    drop(cached.stream(&other).next().await);
    assert_eq!(text(&cached.generate(&other).await.unwrap()), "call 2");
}

#[tokio::test]
async fn an_entry_is_readable_and_holds_no_more_than_it_should() {
    let dir = tempfile::tempdir().unwrap();
    let long = "x".repeat(5000);
    on_disk(&counting(), dir.path()).generate(&request(&long)).await.unwrap();
    let files = entry_files(dir.path());
    let entry: serde_json::Value = serde_json::from_slice(&fs::read(&files[0]).unwrap()).unwrap();
    assert_eq!((files.len(), &entry["lm"]), (1, &"scripted".into()));
    assert_eq!(entry["request"]["messages"][0]["content"], "Be brief.");
    assert_eq!(entry["response"]["completions"][0]["text"], "call 0");
    assert!(entry.to_string().len() < 1000, "the long message is cut");
}

#[tokio::test]
async fn a_broken_or_foreign_entry_is_a_miss_and_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    on_disk(&counting(), dir.path()).generate(&request("x")).await.unwrap();
    let file = entry_files(dir.path()).remove(0);
    let good = fs::read_to_string(&file).unwrap();
    let newer = good.replace("\"teleprompt_lm_cache\":1", "\"teleprompt_lm_cache\":2");
    let moved = good.replace("\"key\":\"", "\"key\":\"00");
    let empty =
        "{\"teleprompt_lm_cache\":1,\"key\":\"K\",\"response\":{\"completions\":[],\"usage\":{}}}";
    let cut = &good[..good.len() / 2];
    for bad in [cut, "", "null", "[1]", &newer, &moved, empty] {
        fs::write(&file, bad).unwrap();
        let reply = on_disk(&counting(), dir.path()).generate(&request("x")).await.unwrap();
        assert_eq!(reply.usage.cache_hits, 0, "{bad}");
        let reply = on_disk(&counting(), dir.path()).generate(&request("x")).await.unwrap();
        assert_eq!(reply.usage.cache_hits, 1, "{bad}");
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_gives_warnings_once_and_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    // A file where the folder should be: refused to any user, root too.
    let blocked = dir.path().join("file");
    fs::write(&blocked, "").unwrap();
    let warnings = Arc::new(Mutex::new(Vec::new()));
    let sink = warnings.clone();
    let config = CacheConfig {
        warn: Arc::new(move |w: &str| sink.lock().unwrap().push(w.to_owned())),
        ..CacheConfig::on_disk(&blocked)
    };
    let lm = counting();
    let cached = Cached::new(lm.clone(), config);
    for name in ["a", "b", "a", "b"] {
        cached.generate(&request(name)).await.unwrap();
    }
    assert_eq!(lm.calls(), 2, "memory goes on");
    let warnings = warnings.lock().unwrap();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings.iter().all(|w| w.contains("cannot be written")), "{warnings:?}");
}

#[tokio::test]
async fn entries_are_counted_and_cleared_and_nothing_else_is() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(stats(&dir.path().join("none")).unwrap(), CacheUse::default());
    let cached = on_disk(&counting(), dir.path());
    for name in ["a", "b", "c"] {
        cached.generate(&request(name)).await.unwrap();
    }
    let files = entry_files(dir.path());
    let bytes = files.iter().map(|f| fs::metadata(f).unwrap().len()).sum();
    let foreign = dir.path().join("notes.txt");
    fs::write(&foreign, "mine").unwrap();
    fs::write(files[0].with_extension("1-1.tmp"), "half").unwrap();
    assert_eq!(stats(dir.path()).unwrap(), CacheUse { entries: 3, bytes });
    assert_eq!(clear(dir.path()).unwrap(), CacheUse { entries: 3, bytes });
    assert_eq!(stats(dir.path()).unwrap(), CacheUse::default());
    assert!(foreign.exists() && entry_files(dir.path()).is_empty());
}

#[tokio::test]
async fn a_cache_inside_a_cache_of_the_same_folder_does_not_wait_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let nested = Cached::new(on_disk(&counting(), dir.path()), CacheConfig::on_disk(dir.path()));
    let request = request("x");
    let call = tokio::time::timeout(Duration::from_secs(5), nested.generate(&request));
    assert_eq!(text(&call.await.unwrap().unwrap()), "call 0");
}

/// Sets the time at which a file was used last.
fn age(file: &Path, hours: u64) {
    let then = std::time::SystemTime::now() - Duration::from_secs(hours * 3600);
    fs::File::options().write(true).open(file).unwrap().set_modified(then).unwrap();
}

fn used(file: &Path) -> std::time::SystemTime {
    fs::metadata(file).unwrap().modified().unwrap()
}

/// Fills a folder with entries of one size and gives their files; the first was not used for the
/// longest time.
async fn filled(dir: &Path, entries: u64) -> (Vec<PathBuf>, u64) {
    let cached = on_disk(&ScriptedLm::new(|_| "ok"), dir);
    let mut files: Vec<PathBuf> = Vec::new();
    for i in 0..entries {
        cached.generate(&request(&format!("{i:04}"))).await.unwrap();
        let new = entry_files(dir).into_iter().find(|f| !files.contains(f)).unwrap();
        age(&new, 1000 - i);
        files.push(new);
    }
    let size = fs::metadata(&files[0]).unwrap().len();
    (files, size)
}

#[tokio::test]
async fn what_was_not_used_for_the_longest_time_is_pruned_first() {
    let dir = tempfile::tempdir().unwrap();
    let (files, size) = filled(dir.path(), 10).await;
    let foreign = dir.path().join("notes.txt");
    fs::write(&foreign, "x".repeat(100_000)).unwrap();
    let half_written = files[0].with_extension("1-1.tmp");
    fs::write(&half_written, "half").unwrap();
    assert_eq!(prune(dir.path(), 10 * size).unwrap(), CacheUse::default());
    assert!(half_written.exists(), "it may be in the making");
    age(&half_written, 2);
    // A hit makes the oldest the youngest.
    on_disk(&counting(), dir.path()).generate(&request("0000")).await.unwrap();
    let removed = prune(dir.path(), 4 * size + size / 2).unwrap();
    assert_eq!(removed, CacheUse { entries: 6, bytes: 6 * size });
    let left: Vec<usize> = (0..10).filter(|i| files[*i].exists()).collect();
    assert_eq!(left, [0, 7, 8, 9]);
    assert!(foreign.exists() && !half_written.exists());
    assert_eq!(prune(dir.path(), 0).unwrap().entries, 4);
    assert_eq!(prune(&dir.path().join("none"), 0).unwrap(), CacheUse::default());
}

#[tokio::test]
async fn a_hit_touches_its_file_at_most_once_a_day() {
    let dir = tempfile::tempdir().unwrap();
    let (files, _) = filled(dir.path(), 1).await;
    for (hours, touched) in [(23, false), (25, true)] {
        age(&files[0], hours);
        let before = used(&files[0]);
        let hit = on_disk(&counting(), dir.path()).generate(&request("0000")).await.unwrap();
        assert_eq!((hit.usage.cache_hits, used(&files[0]) > before), (1, touched), "{hours} h");
    }
}

/// Waits until the thread of the cache has done its work.
async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

#[tokio::test]
async fn the_folder_is_kept_below_its_bound_when_opened_and_while_written() {
    let dir = tempfile::tempdir().unwrap();
    let (_, size) = filled(dir.path(), 40).await;
    let config = CacheConfig { disk_bytes: 20 * size, ..CacheConfig::on_disk(dir.path()) };
    let bytes = || stats(dir.path()).unwrap().bytes;
    // The folder was looked at when it was opened first: that holds for an hour.
    let stamp = dir.path().join("locks").join("prune.lock");
    eventually("looked at", || fs::read_to_string(&stamp).is_ok_and(|s| !s.is_empty())).await;
    drop(Cached::new(counting(), config.clone()));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(bytes(), 40 * size);
    age(&stamp, 2);
    let cached = Cached::new(counting(), config);
    eventually("pruned when opened", || bytes() <= 20 * size).await;
    // Bytes of a thirty-second part of the bound are less than one entry here.
    for i in 0..100 {
        cached.generate(&request(&format!("more {i}"))).await.unwrap();
    }
    eventually("pruned while written", || bytes() <= 20 * size).await;
    assert!(bytes() > 5 * size, "and not emptied");
    // What this process asked last is still known, from memory at least.
    assert_eq!(cached.generate(&request("more 99")).await.unwrap().usage.cache_hits, 1);
}

#[tokio::test]
async fn pruning_while_others_read_and_write_disturbs_no_one() {
    let dir = tempfile::tempdir().unwrap();
    let config = CacheConfig {
        disk_bytes: 4096,
        memory_entries: 0,
        warn: Arc::new(|w: &str| panic!("{w}")),
        ..CacheConfig::on_disk(dir.path())
    };
    let all: Vec<_> =
        (0..3).map(|_| Cached::new(ScriptedLm::new(|_| "ok"), config.clone())).collect();
    let requests: Vec<LmRequest> = (0..50).map(|i| request(&format!("{i}"))).collect();
    for _ in 0..4 {
        let calls = all.iter().flat_map(|lm| requests.iter().map(|r| lm.generate(r)));
        for reply in join_all(calls).await {
            assert_eq!(text(&reply.unwrap()), "ok");
        }
        prune(dir.path(), 1000).unwrap();
    }
}

#[test]
fn it_works_without_tokio() {
    let dir = tempfile::tempdir().unwrap();
    let cached = on_disk(&counting(), dir.path());
    let request = request("x");
    for hits in [0, 1] {
        let mut call = Box::pin(cached.generate(&request));
        let waker = futures::task::noop_waker();
        let polled = call.as_mut().poll(&mut std::task::Context::from_waker(&waker));
        let std::task::Poll::Ready(reply) = polled else { panic!("it waits for a runtime") };
        assert_eq!(reply.unwrap().usage.cache_hits, hits);
    }
    assert_eq!(entry_files(dir.path()).len(), 1);
}

const CHILD: &str = "TELEPROMPT_TEST_CHILD";

/// What the processes of the next test do.
#[tokio::test]
#[ignore = "run by the next test in processes of its own"]
async fn child_asks_ten_questions() {
    let job = std::env::var(CHILD).unwrap();
    let (url, dir) = job.split_once(' ').unwrap();
    let lm = Remote::new("m", Endpoint::new("openai-chat", url).unwrap()).unwrap();
    let lm = Cached::new(lm, CacheConfig::on_disk(dir));
    let requests: Vec<LmRequest> = (0..10).map(|i| request(&format!("question {i}"))).collect();
    for reply in join_all(requests.iter().map(|r| lm.generate(r))).await {
        assert!(text(&reply.unwrap()).starts_with("question"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_ask_the_same_at_once_make_each_request_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = FakeServer::start(|request| {
        let question = request.json()["messages"][1]["content"].as_str().unwrap().to_owned();
        Response::chat(&question).after(Duration::from_millis(500))
    })
    .await
    .unwrap();
    let job = format!("{} {}", server.base_url(), dir.path().display());
    let start = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["child_asks_ten_questions", "--exact", "--ignored"]);
        command.env(CHILD, &job).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap()
    };
    let children: Vec<_> = (0..3).map(|_| start()).collect();
    for mut child in children {
        let status = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
        assert!(status.success());
    }
    assert_eq!(server.hits(), 10);
    assert_eq!(stats(dir.path()).unwrap().entries, 10);
}

/// The cost of a call: the best of many short runs, which a busy machine disturbs least.
async fn best_of_runs(lm: &impl Lm, request: &LmRequest) -> Duration {
    const CALLS: u32 = 50;
    let mut best = Duration::MAX;
    for _ in 0..500 {
        let begin = std::time::Instant::now();
        for _ in 0..CALLS {
            lm.generate(request).await.unwrap();
        }
        best = best.min(begin.elapsed() / CALLS);
    }
    best
}

/// Not a test of behaviour but of cost, on release builds: run by hand with
/// `cargo test --release -p teleprompt --test lm_cache -- --ignored --nocapture costs`.
#[tokio::test]
#[ignore = "measures; see above"]
async fn costs_of_hits() {
    let dir = tempfile::tempdir().unwrap();
    let request = request(&"word ".repeat(800));
    let lm = ScriptedLm::new(|_| "an answer of some length, as a few-shot classifier gives it");
    let in_memory = on_disk(&lm, dir.path());
    in_memory.generate(&request).await.unwrap();
    println!("memory hit: {:?}", best_of_runs(&in_memory, &request).await);
    let config = CacheConfig { memory_entries: 0, ..CacheConfig::on_disk(dir.path()) };
    println!("disk hit: {:?}", best_of_runs(&Cached::new(lm.clone(), config), &request).await);
    assert_eq!(lm.calls(), 1);
}
