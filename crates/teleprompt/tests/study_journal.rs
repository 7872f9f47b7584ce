//! Studies on disk: replay, snapshots, cuts, versions, two processes, looking without running.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::*;
use serde_json::{Value, json};
use teleprompt::optimize::study::{
    Archive, Asked, By, Calibration, CandidateFacts, Command, Event, FORMAT, Identity, OnChange,
    Run, Source, Spend, Split, State, Study,
};
use teleprompt::{Parameters, ProgramState, Record, TraceStep, Usage, record};

fn identity() -> Identity {
    let source = |n: usize| Source { n, hash: format!("h{n}") };
    Identity {
        format: FORMAT,
        program: json!({"predictors": {}}),
        teacher: Value::Null,
        train: source(60),
        val: source(20),
        test: source(20),
        metric: "exact_match".into(),
        lm: json!({"student": {"lm": "fake"}}),
        optimizer: json!({"name": "made_up", "settings": {}}),
        seed: 0,
    }
}

fn open(dir: &Path) -> teleprompt::Result<Study> {
    Study::open(dir, "s", &identity(), OnChange::Refuse)
}

fn journal(dir: &Path) -> PathBuf {
    dir.join("s/journal.jsonl")
}

fn snapshot(dir: &Path) -> PathBuf {
    dir.join("s/snapshot.json")
}

/// A run on the train split with a trace, as recipes keep them.
fn ran(i: usize) -> Event {
    let fields = |n: usize| -> Record {
        record! { text: format!("input {n} ").repeat(4) }
    };
    let step = TraceStep {
        path: Arc::from("predict"),
        order: 0,
        inputs: fields(i),
        outputs: record! { label: "a" },
        evidence: Default::default(),
        error: None,
    };
    let split = if i.is_multiple_of(3) { Split::Train } else { Split::Val };
    let steps = if split == Split::Train { vec![step] } else { Vec::new() };
    let usage = Usage { calls: 1, prompt_tokens: 90, completion_tokens: 5, ..Usage::default() };
    Event::Ran {
        key: format!("{:032x}", i * 7919),
        candidate: format!("c{}", i / 100),
        by: if i.is_multiple_of(7) { By::Teacher } else { By::Student },
        split,
        example: i % 100,
        pooled: false,
        rollout: 0,
        run: Run { score: i as f64 / 7.0 % 1.0, steps, usage, millis: 12, ..Run::default() },
        inherited: false,
    }
}

fn key(i: usize) -> String {
    format!("{:032x}", i * 7919)
}

/// All that a study tells.
fn facts(study: &Study) -> (Vec<CandidateFacts>, Spend, Vec<String>, f64) {
    (study.candidates(), study.spent(), study.notes(), study.seconds())
}

fn event() -> impl Strategy<Value = Event> {
    let hash = || (0..5u8).prop_map(|n| format!("c{n}"));
    let number = || prop_oneof![4 => 0.0..1.0f64, 1 => Just(f64::NAN), 1 => Just(f64::INFINITY)];
    let usage = (0..9u64).prop_map(|calls| Usage { calls, ..Usage::default() });
    let proposed = (hash(), "[a-z\"\n]{0,6}", proptest::collection::vec(hash(), 0..2)).prop_map(
        |(candidate, origin, parents)| {
            let mut state = ProgramState::default();
            let instructions = Some(Arc::from(origin.as_str()));
            state.insert("predict", Parameters { instructions, ..Parameters::default() });
            Event::Proposed { candidate, origin, parents, state: state.into() }
        },
    );
    let ran = (0..40u8, hash(), 0..3u8, 0..2u64, number(), number(), usage.clone()).prop_map(
        |(key, candidate, split, rollout, score, objective, usage)| Event::Ran {
            key: format!("r{key}"),
            candidate,
            by: if key.is_multiple_of(5) { By::Teacher } else { By::Student },
            split: [Split::Train, Split::Val, Split::Test][usize::from(split)],
            example: usize::from(key % 8),
            pooled: false,
            rollout,
            run: Run {
                score,
                objectives: [(Arc::from("brevity"), objective)].into(),
                usage,
                ..Run::default()
            },
            inherited: false,
        },
    );
    let asked = (0..9u8, "[a-zé]{0,9}", usage.clone()).prop_map(|(key, reply, usage)| {
        let what = "tips".to_owned();
        Event::Asked {
            key: format!("a{key}"),
            what,
            asked: Asked { reply, usage, ..Asked::default() },
            inherited: false,
        }
    });
    let calibrated = (0..4u8, usage).prop_map(|(key, usage)| {
        let seen = vec![("g".to_owned(), vec![("a".to_owned(), f32::NEG_INFINITY)])];
        Event::Calibrated {
            key: format!("k{key}"),
            calibration: Calibration { seen, usage },
            inherited: false,
        }
    });
    let decided = (hash(), any::<bool>(), proptest::option::of(number()), 0..9usize).prop_map(
        |(candidate, accepted, score, n)| Event::Decided {
            candidate,
            accepted,
            score,
            n,
            why: "so".into(),
        },
    );
    prop_oneof![
        2 => proposed,
        6 => ran,
        2 => asked,
        1 => calibrated,
        2 => decided,
        1 => "[a-c]{1,2}".prop_map(|note| Event::Noted { note }),
        1 => (0.0..9.0f64).prop_map(|s| Event::Stopped { why: "out".into(), seconds: s }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// What a study tells before it is closed, it tells after it is opened again; cut anywhere, it
    /// tells what the whole lines before the cut say.
    #[test]
    fn replay_tells_what_was_told(events in proptest::collection::vec(event(), 0..40), at in 0.0..1.0f64) {
        let dir = tempfile::tempdir().unwrap();
        let mut after = Vec::new();
        {
            let study = open(dir.path()).unwrap();
            for event in events {
                study.record(event).unwrap();
                let bytes = std::fs::metadata(journal(dir.path())).unwrap().len();
                after.push((bytes, facts(&study), study.run("r3"), study.asked("a3"), study.calibration("k1")));
            }
        }
        if let Some((_, told, run, asked, calibration)) = after.last() {
            let again = open(dir.path()).unwrap();
            prop_assert_eq!(&facts(&again), told);
            prop_assert_eq!(&(again.run("r3"), again.asked("a3"), again.calibration("k1")),
                            &(run.clone(), asked.clone(), calibration.clone()));
        }
        let bytes = std::fs::read(journal(dir.path())).unwrap();
        let cut = (bytes.len() as f64 * at) as usize;
        std::fs::write(journal(dir.path()), &bytes[..cut]).unwrap();
        let again = open(dir.path()).unwrap();
        if let Some((_, told, run, ..)) = after.iter().rev().find(|(end, ..)| *end <= cut as u64) {
            prop_assert_eq!(&facts(&again), told);
            prop_assert_eq!(&again.run("r3"), run);
        } else {
            prop_assert_eq!(facts(&again), Default::default());
        }
    }
}

/// A journal of this many runs, closed.
fn long(dir: &Path, runs: usize) {
    let study = open(dir).unwrap();
    for i in 0..runs {
        study.record(ran(i)).unwrap();
    }
    study.record(Event::Noted { note: "through".into() }).unwrap();
}

#[test]
fn a_long_journal_gets_a_snapshot_that_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    long(dir.path(), 6000);
    assert!(std::fs::metadata(journal(dir.path())).unwrap().len() > 1 << 20);
    assert!(!snapshot(dir.path()).exists(), "nothing marked the end of the session");
    let told = {
        let study = open(dir.path()).unwrap();
        assert!(snapshot(dir.path()).exists());
        study.record(ran(6000)).unwrap();
        (facts(&study), study.run(&key(17)), study.run(&key(6000)), study.events())
    };
    assert!(told.1.is_some() && told.2.is_some());
    let small = std::fs::metadata(snapshot(dir.path())).unwrap().len();
    assert!(small < std::fs::metadata(journal(dir.path())).unwrap().len() / 3, "{small}");
    let again = open(dir.path()).unwrap();
    assert_eq!(
        (facts(&again), again.run(&key(17)), again.run(&key(6000))),
        (told.0, told.1, told.2)
    );
    assert_eq!(again.events(), told.3 + 1, "the session's own event");
    // Said before the snapshot, so not said again.
    again.record(Event::Noted { note: "through".into() }).unwrap();
    assert_eq!(again.events(), told.3 + 1);
    assert_eq!(again.run(&key(6001)), None);
}

#[test]
fn the_end_of_a_session_leaves_a_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    long(dir.path(), 6000);
    std::fs::remove_file(snapshot(dir.path())).ok();
    let study = open(dir.path()).unwrap();
    let first = std::fs::read(snapshot(dir.path())).unwrap();
    study.record(Event::Stopped { why: "enough".into(), seconds: 1.0 }).unwrap();
    assert_eq!(std::fs::read(snapshot(dir.path())).unwrap(), first, "too little was added");
    for i in 6000..12000 {
        study.record(ran(i)).unwrap();
    }
    study.record(Event::Finished { report: json!({"improved": true}), seconds: 1.0 }).unwrap();
    assert_ne!(std::fs::read(snapshot(dir.path())).unwrap(), first);
    drop(study);
    let mut archive = Archive::open(dir.path(), "s").unwrap();
    assert_eq!(archive.state(), State::Finished);
    assert_eq!(archive.report().unwrap().unwrap()["improved"], true);
    assert_eq!(archive.seconds(), 2.0);
}

/// A snapshot may be torn, old, changed, or of another journal; the journal may have been cut before
/// its end or at it.
#[test]
fn a_snapshot_that_does_not_hold_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    long(dir.path(), 6000);
    let (told, run) = {
        let study = open(dir.path()).unwrap();
        (facts(&study), study.run(&key(5)))
    };
    let good = std::fs::read(snapshot(dir.path())).unwrap();
    let text = String::from_utf8(good.clone()).unwrap();
    let version = text.replacen("\"snapshot\":1", "\"snapshot\":9", 1);
    let other = text.replacen("through", "Through", 1);
    assert!(version != text && other != text);
    let torn = [&good[..good.len() / 2], &good[..10], b""];
    for bad in torn.into_iter().chain([version.as_bytes(), other.as_bytes(), b"{}\n{}"]) {
        std::fs::write(snapshot(dir.path()), bad).unwrap();
        let study = open(dir.path()).unwrap();
        assert_eq!((facts(&study), study.run(&key(5))), (told.clone(), run.clone()));
        drop(study);
        assert_ne!(std::fs::read(snapshot(dir.path())).unwrap(), bad, "it is made again");
    }
    std::fs::write(snapshot(dir.path()), &good).unwrap();
    let bytes = std::fs::read(journal(dir.path())).unwrap();
    for cut in [0, 1, 700, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(journal(dir.path()), &bytes[..cut]).unwrap();
        std::fs::write(snapshot(dir.path()), &good).unwrap();
        let whole = bytes[..cut].iter().filter(|b| **b == b'\n').count();
        let study = open(dir.path()).unwrap();
        assert_eq!(
            study.events(),
            whole + 1,
            "cut at {cut}: the whole lines, and the session's own"
        );
        if cut < bytes.len() / 4 {
            assert!(!snapshot(dir.path()).exists(), "cut at {cut}");
            assert!(study.notes().is_empty());
        }
    }
}

/// Another journal of the same length beside an old snapshot: its results are its own.
#[test]
fn a_snapshot_of_another_journal_is_told() {
    let dir = tempfile::tempdir().unwrap();
    long(dir.path(), 6000);
    drop(open(dir.path()).unwrap());
    let mut text = std::fs::read_to_string(journal(dir.path())).unwrap();
    let at = text.rfind("\"calls\":1").unwrap() + "\"calls\":".len();
    text.replace_range(at..=at, "3");
    std::fs::write(journal(dir.path()), &text).unwrap();
    assert_eq!(open(dir.path()).unwrap().spent().total().calls, 6002);
}

#[test]
fn other_formats_are_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    let line = std::fs::read_to_string(journal(dir.path())).unwrap();
    let error = |text: &str| {
        std::fs::write(journal(dir.path()), text).unwrap();
        let opened = open(dir.path()).err().unwrap().to_string();
        let looked = Archive::open(dir.path(), "s").err().unwrap().to_string();
        assert_eq!(opened, looked);
        assert_eq!(std::fs::read_to_string(journal(dir.path())).unwrap(), text, "nothing is lost");
        opened
    };
    let newer = line.replace("\"format\":2", "\"format\":3,\"extra\":[]");
    let newer = error(&format!("{newer}{{\"event\":\"dreamt\"}}\n"));
    assert!(newer.contains("newer version") && newer.contains("update teleprompt"), "{newer}");
    let older = error(&line.replace("\"format\":2", "\"format\":1"));
    assert!(older.contains("format 1") && older.contains("another name"), "{older}");
    let none = error("{\"event\":\"resumed\"}\n");
    assert!(none.contains("no journal of a study"), "{none}");
    let none = error("hello\n");
    assert!(none.contains("no journal of a study"), "{none}");
    let bad = error(&format!("{line}oops\n"));
    assert!(bad.contains(&format!("the line at byte {}", line.len())), "{bad}");
    assert!(bad.contains("journal.jsonl"), "{bad}");
}

#[test]
fn looking_changes_nothing_and_tells_whether_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let study = open(dir.path()).unwrap();
    study.record(ran(1)).unwrap();
    let before = std::fs::read(journal(dir.path())).unwrap();
    let archive = Archive::open(dir.path(), "s").unwrap();
    assert_eq!((archive.state(), archive.events()), (State::Running, 2));
    assert!(archive.remove().unwrap_err().to_string().contains("another process"));
    let second = open(dir.path()).err().unwrap().to_string();
    assert!(second.contains("another process"), "{second}");
    drop(study);
    // A torn line stays where it is for one who only looks.
    let torn = [&before[..], b"{\"event\":\"ra"].concat();
    std::fs::write(journal(dir.path()), &torn).unwrap();
    let archive = Archive::open(dir.path(), "s").unwrap();
    assert_eq!((archive.state(), archive.events()), (State::Stopped, 2));
    assert_eq!(std::fs::read(journal(dir.path())).unwrap(), torn);
    assert_eq!(Archive::names(dir.path()).unwrap(), ["s"]);
    archive.remove().unwrap();
    assert!(Archive::names(dir.path()).unwrap().is_empty() && !dir.path().join("s").exists());
    let gone = Archive::open(dir.path(), "s").err().unwrap().to_string();
    assert!(gone.contains("there is no study `s`"), "{gone}");
    assert!(Archive::open(dir.path(), "../s").is_err());
}

#[test]
fn a_candidate_is_shown_with_what_was_asked_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let study = open(dir.path()).unwrap();
    let propose = |hash: &str, text: &str| {
        let mut state = ProgramState::default();
        let instructions = Some(Arc::from(text));
        state.insert("predict", Parameters { instructions, ..Parameters::default() });
        Event::Proposed {
            candidate: hash.into(),
            origin: "by hand".into(),
            parents: Vec::new(),
            state: state.into(),
        }
    };
    let ask = |key: &str, answer: &str| Event::Asked {
        key: key.into(),
        what: format!("for {key}"),
        asked: Asked {
            prompt: vec![("user".into(), "how?".into())],
            outputs: record! { instructions: answer },
            ..Asked::default()
        },
        inherited: false,
    };
    // Two questions at the same time, answered before either proposal.
    for event in [
        ask("one", "Look twice."),
        ask("two", "Be brief."),
        propose("aaa1", "Be brief."),
        propose("aab2", "Look twice."),
        ask("three", "no instruction at all"),
        propose("abc3", "Something put together."),
    ] {
        study.record(event).unwrap();
    }
    drop(study);
    let mut archive = Archive::open(dir.path(), "s").unwrap();
    let mut what = |hash: &str| -> Vec<String> {
        archive.questions(hash).unwrap().into_iter().map(|(what, _)| what).collect()
    };
    assert_eq!(what("aaa1"), ["for two"]);
    assert_eq!(what("aab2"), ["for one"]);
    assert_eq!(what("abc3"), ["for three"]);
    let state = archive.solution("aab2").unwrap();
    assert_eq!(state.first().get("predict").unwrap().instructions.as_deref(), Some("Look twice."));
    assert_eq!(archive.candidate("aab").unwrap().candidate, "aab2");
    assert!(archive.candidate("aa").unwrap_err().to_string().contains("several"));
    assert!(archive.candidate("x").unwrap_err().to_string().contains("no candidate"));
}

#[test]
fn the_command_is_kept_beside_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let study = open(dir.path()).unwrap();
    assert_eq!(Archive::open(dir.path(), "s").unwrap().command().unwrap(), None);
    let command = Command::new("/here", ["compile".to_owned(), "q -> a".to_owned()]);
    study.keep_command(&command).unwrap();
    assert_eq!(Archive::open(dir.path(), "s").unwrap().command().unwrap(), Some(command));
}

/// `cargo nextest run --release -p teleprompt --test study_journal --run-ignored all --no-capture
/// opening`: the time to open a journal of 100,000 runs, with and without its snapshot.
#[test]
#[ignore = "a measurement: prints times"]
fn opening_a_journal_of_100_000_runs() {
    let dir = tempfile::tempdir().unwrap();
    long(dir.path(), 100_000);
    let megabytes = |path: PathBuf| std::fs::metadata(path).unwrap().len() as f64 / 1e6;
    let timed = |what: &str| {
        let started = Instant::now();
        let archive = Archive::open(dir.path(), "s").unwrap();
        println!("{what}: {:?}, {} events", started.elapsed(), archive.events());
        archive.events()
    };
    let without = timed("without a snapshot");
    let started = Instant::now();
    drop(open(dir.path()).unwrap());
    println!("opened and a snapshot written: {:?}", started.elapsed());
    println!("{:.1} MB, {:.1} MB", megabytes(journal(dir.path())), megabytes(snapshot(dir.path())));
    assert_eq!(timed("with a snapshot"), without + 1);
    let study = open(dir.path()).unwrap();
    let started = Instant::now();
    assert!((0..100_000).all(|i| study.run(&key(i)).is_some()));
    println!("every result read back: {:?}", started.elapsed());
}
