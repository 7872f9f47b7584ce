//! Pulling models from a fake hub on a real socket.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy knows test functions as tests, their helpers not"
)]

use std::time::Duration;

use store_hub::{FakeHub, Notes, Reply, config, files, gguf, sha256, store, tiny, until};
use teleprompt::store::{
    FetchError, HfFile, ModelStore, Silent, Source, SourceFailure, StoreConfig, StoreError,
};

mod store_hub;

const ETAG: &str = "\"v1\"";

fn failures(error: StoreError) -> Vec<SourceFailure> {
    match error {
        StoreError::NoSource { failures, .. } => failures,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn pulls_once_and_keeps_the_file() {
    let content = gguf(700_000);
    let sent = content.clone();
    let hub = FakeHub::start(move |r, _| Reply::file(r, &sent, ETAG)).await;
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir, &hub.url, tiny(&content));
    assert!(matches!(store.path("tiny"), Err(StoreError::NotPulled { .. })));

    let notes = Notes::default();
    let path = store.ensure("tiny", &notes).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), content);
    assert_eq!(notes.lines().len(), 1, "{:?}", notes.lines());
    let line = &notes.lines()[0];
    for part in ["tiny", "Tiny Test Model", "700.00 kB", "CC0-1.0"] {
        assert!(line.contains(part), "{line}");
    }
    assert_eq!(notes.last_progress(), Some((700_000, Some(700_000))));
    assert_eq!(files(dir.path()), ["tiny.gguf", "tiny.gguf.lock", "tiny.gguf.verified"]);

    assert_eq!(store.ensure("tiny", &Silent).await.unwrap(), path);
    assert_eq!(store.pull("tiny", &Silent).await.unwrap(), path);
    assert_eq!(store.path("tiny").unwrap(), path);
    let requests = hub.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].path, "/acme/tiny/resolve/v1/tiny.gguf");
    assert_eq!(requests[0].header("authorization"), None);
    assert!(requests[0].header("user-agent").unwrap().starts_with("teleprompt/"));
}

#[tokio::test]
async fn goes_on_where_the_connection_was_cut() {
    let content = gguf(600_000);
    let sent = content.clone();
    let hub = FakeHub::start(move |r, n| {
        let reply = Reply::file(r, &sent, ETAG);
        if n == 0 { reply.cut(400_000) } else { reply }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let path = store(&dir, &hub.url, tiny(&content)).pull("tiny", &Silent).await.unwrap();
    assert_eq!(std::fs::read(path).unwrap(), content);
    let requests = hub.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[1].header("range"), Some("bytes=400000-"));
    assert_eq!(requests[1].header("if-range"), Some(ETAG));
}

#[tokio::test]
async fn gives_up_after_three_retries_and_the_next_pull_goes_on() {
    let content = gguf(1000);
    let sent = content.clone();
    let hub = FakeHub::start(move |r, n| {
        let reply = Reply::file(r, &sent, ETAG);
        if n < 4 { reply.cut(100) } else { reply }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir, &hub.url, tiny(&content));
    let failures = failures(store.pull("tiny", &Silent).await.unwrap_err());
    assert!(matches!(failures[0].error, FetchError::Broken { have: 400, .. }), "{failures:?}");
    assert_eq!(hub.requests().len(), 4);
    store.pull("tiny", &Silent).await.unwrap();
    assert_eq!(hub.requests()[4].header("range"), Some("bytes=400-"));
}

#[tokio::test]
async fn a_pull_that_was_dropped_lets_the_next_one_go_on() {
    let content = gguf(600_000);
    let sent = content.clone();
    let hub = FakeHub::start(move |r, n| {
        let reply = Reply::file(r, &sent, ETAG);
        if n == 0 { reply.stall(600_000 - 5) } else { reply }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir, &hub.url, tiny(&content));
    let part = dir.path().join("tiny.gguf.part");
    tokio::select! {
        _ = store.pull("tiny", &Silent) => panic!("the server stalls"),
        () = until(|| part.metadata().is_ok_and(|m| m.len() > 0)) => {}
    }
    let path = store.pull("tiny", &Silent).await.unwrap();
    assert_eq!(std::fs::read(path).unwrap(), content);
    let requests = hub.requests();
    assert!(requests[1].header("range").is_some(), "{requests:?}");
}

#[tokio::test]
async fn a_stalled_download_is_taken_up_again() {
    let content = gguf(5000);
    let sent = content.clone();
    let hub = FakeHub::start(move |r, n| {
        let reply = Reply::file(r, &sent, ETAG);
        if n == 0 { reply.stall(3000) } else { reply }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let short = StoreConfig { stall_timeout: Duration::from_millis(200), ..config(&hub.url) };
    let store = store(&dir, &hub.url, tiny(&content)).with_config(short);
    store.pull("tiny", &Silent).await.unwrap();
    assert_eq!(hub.requests()[1].header("range"), Some("bytes=3000-"));
}

#[tokio::test]
async fn starts_over_when_the_server_ignores_the_range() {
    let content = gguf(5000);
    let sent = content.clone();
    let hub = FakeHub::start(move |_, n| {
        let reply = Reply::full(&sent).with("etag", ETAG);
        if n == 0 { reply.cut(3000) } else { reply }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let path = store(&dir, &hub.url, tiny(&content)).pull("tiny", &Silent).await.unwrap();
    assert!(hub.requests()[1].header("range").is_some());
    assert_eq!(std::fs::read(path).unwrap(), content);
}

/// Between two requests the branch moved: the hub names another checksum, the storage knows no
/// validator and sends the range of the new file.
#[tokio::test]
async fn starts_over_when_the_file_on_the_hub_changed() {
    let (old, new) = (gguf(5000), gguf(6000));
    let sent = new.clone();
    let hub = FakeHub::start(move |r, n| {
        let content = if n == 0 { &old } else { &sent };
        let mut reply = Reply::file(r, content, ETAG);
        reply.headers.retain(|(name, _)| *name != "etag");
        let reply = reply.with("x-linked-etag", format!("\"{}\"", sha256(content)));
        if n == 0 { reply.cut(4000) } else { reply }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let store = ModelStore::at(dir.path()).with_config(config(&hub.url));
    let path = store.pull("hf:acme/big/big.gguf", &Silent).await.unwrap();
    assert_eq!(std::fs::read(path).unwrap(), new);
    let ranges: Vec<bool> = hub.requests().iter().map(|r| r.header("range").is_some()).collect();
    assert_eq!(ranges, [false, true, false]);
}

/// No validator and no checksum: nothing says that the rest would be of the same file.
#[tokio::test]
async fn starts_over_when_nothing_vouches_for_the_rest() {
    let content = gguf(5000);
    let sent = content.clone();
    let hub = FakeHub::start(move |r, n| {
        let mut reply = Reply::file(r, &sent, ETAG);
        reply.headers.retain(|(name, _)| *name != "etag");
        if n < 5 { reply.cut(3000) } else { reply }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let store = ModelStore::at(dir.path()).with_config(config(&hub.url));
    store.pull("hf:acme/x/x.gguf", &Silent).await.unwrap_err();
    let path = store.pull("hf:acme/x/x.gguf", &Silent).await.unwrap();
    assert_eq!(std::fs::read(path).unwrap(), content);
    assert!(hub.requests().iter().all(|r| r.header("range").is_none()));
    assert_eq!(hub.requests().len(), 6);
}

#[tokio::test]
async fn starts_over_when_the_range_is_not_there() {
    let content = gguf(5000);
    let sent = content.clone();
    let hub = FakeHub::start(move |r, n| match n {
        0 => Reply::file(r, &sent, ETAG).cut(3000),
        1 => Reply::status(416),
        _ => Reply::file(r, &sent, ETAG),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    store(&dir, &hub.url, tiny(&content)).pull("tiny", &Silent).await.unwrap();
    assert_eq!(hub.requests()[2].header("range"), None);
}

#[tokio::test]
async fn the_token_goes_to_the_hub_and_no_other_host() {
    let content = gguf(5000);
    let sent = content.clone();
    let storage = FakeHub::start(move |r, _| Reply::file(r, &sent, ETAG)).await;
    let target = format!("{}/blob?signature=secret", storage.url);
    let hub = FakeHub::start(move |r, _| match r.path.as_str() {
        "/acme/tiny/resolve/v1/tiny.gguf" => Reply::status(307).with("location", "/moved"),
        _ => Reply::status(302).with("location", target.clone()),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let with_token = StoreConfig { hf_token: Some("hf_secret".into()), ..config(&hub.url) };
    assert!(!format!("{with_token:?}").contains("hf_secret"));
    let store = store(&dir, &hub.url, tiny(&content)).with_config(with_token);
    store.pull("tiny", &Silent).await.unwrap();
    let sent: Vec<_> =
        hub.requests().iter().map(|r| r.header("authorization").map(String::from)).collect();
    assert_eq!(sent, [Some("Bearer hf_secret".into()), Some("Bearer hf_secret".into())]);
    let stored = storage.requests();
    assert_eq!(stored[0].path, "/blob?signature=secret");
    assert!(!format!("{stored:?}").contains("hf_secret"));
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let hub = FakeHub::start(|r, _| match r.path.split('/').nth(2) {
        Some("private") => Reply::status(401),
        Some("gated") => Reply::status(403),
        Some("broken") => Reply::status(503),
        Some("loop") => Reply::status(302).with("location", r.path.clone()),
        Some("unsafe") => Reply::status(302).with("location", "file:///etc/passwd"),
        _ => Reply::status(404),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let plain = ModelStore::at(dir.path()).with_config(config(&hub.url));
    let token = StoreConfig { hf_token: Some("hf_secret".into()), ..config(&hub.url) };
    let with_token = plain.clone().with_config(token);
    for (store, repo, expected) in [
        (
            &plain,
            "private",
            "status 401: the repository is private or gated, or does not exist; set HF_TOKEN",
        ),
        (&with_token, "private", "status 401: the token in HF_TOKEN may not read"),
        (&plain, "gated", "status 403"),
        (&plain, "none", "no such file, repository or revision (status 404)"),
        (&plain, "broken", "answered with status 503"),
        (&plain, "loop", "more than 10 redirects"),
        (&plain, "unsafe", "unsafe address"),
    ] {
        let name = format!("hf:acme/{repo}/x.gguf");
        let error = store.pull(&name, &Silent).await.unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("{name}: could not be pulled\n  127.0.0.1: ")),
            "{error}"
        );
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("hf_secret"));
    }
    assert!(files(dir.path()).iter().all(|f| f.ends_with(".lock")), "{:?}", files(dir.path()));
}

#[tokio::test]
async fn a_wrong_checksum_leads_to_the_next_source() {
    let content = gguf(5000);
    let mut wrong = content.clone();
    wrong[4000] ^= 1;
    let (good, bad) = (content.clone(), wrong.clone());
    let hub =
        FakeHub::start(move |r, n| Reply::file(r, if n == 0 { &bad } else { &good }, ETAG)).await;
    let dir = tempfile::tempdir().unwrap();
    let mut model = tiny(&content);
    model.sources.push(Source::Hub(HfFile::parse("other/tiny/tiny.gguf").unwrap()));
    let notes = Notes::default();
    let path = store(&dir, &hub.url, model).pull("tiny", &notes).await.unwrap();
    assert_eq!(std::fs::read(path).unwrap(), content);
    let line = &notes.lines()[1];
    for part in ["wrong checksum", &sha256(&content), &sha256(&wrong), "trying 127.0.0.1"] {
        assert!(line.contains(part), "{line}");
    }
    assert_eq!(hub.requests()[1].header("range"), None, "the wrong bytes were removed");
}

#[tokio::test]
async fn a_wrong_checksum_everywhere_is_an_error_and_leaves_nothing() {
    let content = gguf(5000);
    let hub = FakeHub::start(|r, _| Reply::file(r, &[7; 5000], ETAG)).await;
    let dir = tempfile::tempdir().unwrap();
    let error = store(&dir, &hub.url, tiny(&content)).pull("tiny", &Silent).await.unwrap_err();
    let failures = failures(error);
    assert!(
        matches!(&failures[0].error, FetchError::WrongChecksum { expected, found }
            if *expected == sha256(&content) && *found == sha256(&[7; 5000])),
        "{failures:?}"
    );
    assert_eq!(files(dir.path()), ["tiny.gguf.lock"]);
}

#[tokio::test]
async fn a_file_of_another_size_is_refused_before_it_is_fetched() {
    let content = gguf(5000);
    let hub = FakeHub::start(|r, _| Reply::file(r, &[7; 6000], ETAG)).await;
    let dir = tempfile::tempdir().unwrap();
    let error = store(&dir, &hub.url, tiny(&content)).pull("tiny", &Silent).await.unwrap_err();
    let error = failures(error).remove(0).error;
    assert!(matches!(error, FetchError::WrongSize { expected: 5000, found: 6000 }), "{error}");
}

#[tokio::test]
async fn hub_files_are_checked_against_the_hubs_checksum() {
    let content = gguf(5000);
    let sent = content.clone();
    let hub = FakeHub::start(move |r, _| {
        let linked = if r.path.contains("wrong") { sha256(b"x") } else { sha256(&sent) };
        Reply::file(r, &sent, ETAG).with("x-linked-etag", format!("\"{linked}\""))
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let store = ModelStore::at(dir.path()).with_config(config(&hub.url));
    let notes = Notes::default();
    let name = "hf:acme/good/sub/x.gguf@refs/pr/1";
    let path = store.ensure(name, &notes).await.unwrap();
    assert!(path.ends_with("hf/acme/good/refs%2Fpr%2F1/sub/x.gguf"), "{path:?}");
    assert_eq!(hub.requests()[0].path, "/acme/good/resolve/refs%2Fpr%2F1/sub/x.gguf");
    assert!(notes.lines()[0].contains("127.0.0.1/acme/good"), "{:?}", notes.lines());
    store.ensure(name, &Silent).await.unwrap();
    assert_eq!(hub.requests().len(), 1);

    let error = store.pull("hf:acme/wrong/x.gguf", &Silent).await.unwrap_err();
    assert_eq!(hub.requests()[1].path, "/acme/wrong/resolve/main/x.gguf");
    assert!(matches!(failures(error)[0].error, FetchError::WrongChecksum { .. }));
    let listed = store.list().unwrap();
    let names: Vec<&str> = listed.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names, ["smollm2-135m", name]);
    assert_eq!((listed[1].present, listed[1].size), (true, Some(5000)));
    assert!(!listed[0].present);
}

#[tokio::test]
async fn what_is_no_model_does_not_enter_the_store() {
    let hub = FakeHub::start(|r, _| match r.path.contains("cut") {
        true => Reply::full(&gguf(32)[..20]),
        false => Reply::full(b"<html>please log in</html>"),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let store = ModelStore::at(dir.path()).with_config(config(&hub.url));
    for (name, expected) in [
        ("hf:acme/page/x.gguf", "not a GGUF file (it begins with \"<htm\")"),
        ("hf:acme/cut/x.gguf", "truncated: has 20 bytes"),
    ] {
        let error = store.pull(name, &Silent).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(matches!(store.path(name), Err(StoreError::NotPulled { .. })));
    }
}

#[tokio::test]
async fn no_network_is_one_quiet_line_and_then_the_next_source() {
    let content = gguf(5000);
    let dir = tempfile::tempdir().unwrap();
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let mut model = tiny(&content);
    model.sources.push(Source::Hub(HfFile::parse("other/tiny/tiny.gguf").unwrap()));
    let notes = Notes::default();
    let began = std::time::Instant::now();
    let error = store(&dir, &url, model).pull("tiny", &notes).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(5), "a dead hub is not asked again and again");
    assert_eq!(notes.lines().len(), 2, "{:?}", notes.lines());
    assert!(notes.lines()[1].starts_with("127.0.0.1: cannot be reached ("), "{:?}", notes.lines());
    let text = error.to_string();
    assert!(text.contains("HTTPS_PROXY") && text.contains("put the file at"), "{text}");
    assert_eq!(failures(error).len(), 2);
    assert_eq!(files(dir.path()), ["tiny.gguf.lock"]);
}

#[tokio::test]
async fn a_bad_endpoint_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = store(&dir, "my mirror", tiny(b"x")).pull("tiny", &Silent).await.unwrap_err();
    assert!(error.to_string().contains("`my mirror` is no address; set HF_ENDPOINT"), "{error}");
}

#[tokio::test]
async fn two_tasks_pull_once() {
    let content = gguf(5000);
    let sent = content.clone();
    let hub = FakeHub::start(move |r, n| {
        let reply = Reply::file(r, &sent, ETAG);
        if n == 0 { reply.cut(100) } else { reply }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir, &hub.url, tiny(&content));
    let (a, b) = (Notes::default(), Notes::default());
    let (one, two) = tokio::join!(store.ensure("tiny", &a), store.ensure("tiny", &b));
    assert_eq!(one.unwrap(), two.unwrap());
    assert_eq!(hub.requests().len(), 2, "one download in two pieces");
    let waited = [a, b].iter().flat_map(|n| n.lines()).filter(|l| l.contains("waiting")).count();
    assert_eq!(waited, 1);
}

const CHILD: &str = "TELEPROMPT_TEST_STORE_CHILD";

/// Runs this test program again as other processes, which call [`child_pull`].
#[tokio::test]
async fn two_processes_pull_once() {
    let content = gguf(5000);
    let hub = FakeHub::start(move |r, n| {
        let reply = Reply::file(r, &content, ETAG);
        if n == 0 { reply.cut(100) } else { reply }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let spawn = || {
        tokio::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_pull", "--ignored", "--nocapture"])
            .env(CHILD, format!("{}|{}", hub.url, dir.path().display()))
            .output()
    };
    let (one, two) = tokio::join!(spawn(), spawn());
    for output in [one.unwrap(), two.unwrap()] {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    }
    assert_eq!(hub.requests().len(), 2, "one download in two pieces");
}

#[tokio::test]
#[ignore = "run by two_processes_pull_once"]
async fn child_pull() {
    let given = std::env::var(CHILD).unwrap();
    let (url, dir) = given.split_once('|').unwrap();
    let content = gguf(5000);
    let store = ModelStore::at(dir).with_config(config(url)).with_models(vec![tiny(&content)]);
    let path = store.ensure("tiny", &Silent).await.unwrap();
    assert_eq!(std::fs::read(path).unwrap(), content);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_says_how_much_is_needed() {
    let content = gguf(5000);
    let sent = content.clone();
    let hub = FakeHub::start(move |r, _| Reply::file(r, &sent, ETAG)).await;
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", dir.path().join("tiny.gguf.part")).unwrap();
    let mut model = tiny(&content);
    model.sources.push(Source::Hub(HfFile::parse("other/tiny/tiny.gguf").unwrap()));
    let error = store(&dir, &hub.url, model).pull("tiny", &Silent).await.unwrap_err();
    assert!(matches!(error, StoreError::DiskFull { needed: 5000, .. }), "{error}");
    assert!(
        error.to_string().contains("no space left: 5.00 kB more needed (5000 bytes)"),
        "{error}"
    );
    assert_eq!(hub.requests().len(), 1, "no other source can help");
    assert!(matches!(teleprompt::Error::from(error), teleprompt::Error::Io { .. }));
}

#[tokio::test]
async fn a_damaged_file_is_found_and_replaced() {
    let content = gguf(5000);
    let sent = content.clone();
    let hub = FakeHub::start(move |r, _| Reply::file(r, &sent, ETAG)).await;
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir, &hub.url, tiny(&content));
    let path = store.ensure("tiny", &Silent).await.unwrap();
    std::fs::write(&path, [9; 5000]).unwrap();
    let error = store.path("tiny").unwrap_err();
    assert!(matches!(&error, StoreError::Changed { found, .. } if *found == sha256(&[9; 5000])));
    let notes = Notes::default();
    assert_eq!(store.ensure("tiny", &notes).await.unwrap(), path);
    assert!(notes.lines()[0].contains("damaged"), "{:?}", notes.lines());
    assert_eq!(std::fs::read(&path).unwrap(), content);
}

/// Hashing gigabytes at every start would be too slow, so the mark of an earlier check is believed.
#[tokio::test]
async fn a_checked_file_is_not_read_again_unless_it_was_written() {
    let content = gguf(5000);
    let sent = content.clone();
    let hub = FakeHub::start(move |r, _| Reply::file(r, &sent, ETAG)).await;
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir, &hub.url, tiny(&content));
    let path = store.ensure("tiny", &Silent).await.unwrap();
    let written = path.metadata().unwrap().modified().unwrap();
    std::fs::write(&path, [9; 5000]).unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(written).unwrap();
    store.ensure("tiny", &Silent).await.unwrap();
    assert_eq!(hub.requests().len(), 1, "believed");
    store.pull("tiny", &Silent).await.unwrap();
    assert_eq!(hub.requests().len(), 2, "an explicit pull reads every byte");
    assert_eq!(std::fs::read(&path).unwrap(), content);
}

/// The file was put there by hand, as the error message of a machine without network advises.
#[tokio::test]
async fn a_file_put_there_by_hand_is_taken_if_its_checksum_is_right() {
    let content = gguf(5000);
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir, "http://127.0.0.1:1", tiny(&content));
    std::fs::write(dir.path().join("tiny.gguf"), &content).unwrap();
    assert!(store.list().unwrap()[0].present);
    store.ensure("tiny", &Silent).await.unwrap();
    assert!(dir.path().join("tiny.gguf.verified").exists());
}

#[tokio::test]
async fn paths_are_checked_and_never_pulled() {
    let dir = tempfile::tempdir().unwrap();
    let store = ModelStore::at(dir.path().join("store")).with_config(config("http://127.0.0.1:1"));
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let good = file("good.gguf", &gguf(64));
    assert_eq!(store.path(&good).unwrap().display().to_string(), good);
    assert_eq!(store.ensure(&good, &Silent).await.unwrap().display().to_string(), good);
    let missing = dir.path().join("none.gguf").display().to_string();
    for (name, expected) in [
        (file("cut.gguf", &gguf(32)[..31]), "truncated: has 31 bytes, needs 32; download it again"),
        (file("page.gguf", b"<html>"), "not a GGUF file"),
        (missing, "check the path"),
    ] {
        for error in [store.path(&name).unwrap_err(), store.pull(&name, &Silent).await.unwrap_err()]
        {
            let text = teleprompt::Error::from(error).to_string();
            assert!(text.starts_with(&format!("{name}: ")) && text.contains(expected), "{text}");
            assert_eq!(text.matches(&name).count(), 1, "{text}");
        }
    }
    let unknown = teleprompt::Error::from(store.path("smollm-135m").unwrap_err());
    assert!(matches!(unknown, teleprompt::Error::Config(_)));
    assert!(unknown.to_string().contains("did you mean `smollm2-135m`?"), "{unknown}");
}
