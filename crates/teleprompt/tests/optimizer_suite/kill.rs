//! Studies killed with SIGKILL and resumed, with an LM that answers differently every time and writes
//! down every answer before it gives it.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use teleprompt::adapter::ChatAdapter;
use teleprompt::data::Rng;
use teleprompt::optimize::{Optimizer, Report};
use teleprompt::{Context, Lm, LmError, LmErrorKind, LmHandle, LmRequest, LmResponse, LmSettings};

use super::cases::{CASES, Case};
use super::lm::{Brain, hash, response, said};
use super::run::untimed;
use super::wrong::{self, WHEN_KILLED};

const CONCURRENCY: usize = 8;

/// What the LM writes down of a call.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Line {
    /// The process.
    session: u64,
    /// The call's own number: its completion tokens, so that the journal names the calls of each run.
    id: u64,
    /// Hash of the request.
    request: u64,
    /// Whether the request repeats the reply to another call of the same run.
    repeats: bool,
    reply: String,
}

/// Answers by chance, and logs first.
struct Logging {
    brain: Arc<dyn Brain>,
    log: Mutex<File>,
    chance: RandomState,
    calls: AtomicU64,
    session: u64,
}

fn key(request: &LmRequest) -> u64 {
    hash(&format!("{request:?}"))
}

/// With the call's number in its usage.
fn numbered(request: &LmRequest, reply: &str, id: u64) -> LmResponse {
    let mut response = response(request, reply.to_owned());
    response.usage.completion_tokens = id;
    response
}

impl Lm for Logging {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let chance = self.chance.hash_one(call);
        tokio::time::sleep(Duration::from_millis(chance % 3)).await;
        // Sums of two stay apart and fit.
        let id = 1 + (chance >> 24);
        let reply = said(&*self.brain, request, chance);
        let repeats = request.messages.last().is_some_and(|m| m.content.contains("toy_code"));
        let (session, request_key) = (self.session, key(request));
        let line = Line { session, id, request: request_key, repeats, reply: reply.clone() };
        let mut text = serde_json::to_string(&line).unwrap();
        text.push('\n');
        // One write to a file opened for appending. A kill may tear it where it crosses a page; its
        // reply was never given then.
        self.log.lock().unwrap().write_all(text.as_bytes()).unwrap();
        tokio::time::sleep(Duration::from_millis((chance >> 8) % 2)).await;
        Ok(numbered(request, &reply, id))
    }
    fn name(&self) -> &str {
        "toy"
    }
}

/// Answers with what was said in earlier sessions, equal questions in the order of the log.
struct Recorded {
    replies: Mutex<HashMap<u64, Vec<(u64, String)>>>,
    calls: Arc<AtomicU64>,
}

impl Recorded {
    fn new(lines: &[Line]) -> Self {
        let mut replies: HashMap<u64, Vec<(u64, String)>> = HashMap::new();
        for line in lines.iter().rev() {
            replies.entry(line.request).or_default().push((line.id, line.reply.clone()));
        }
        Self { replies: Mutex::new(replies), calls: Arc::default() }
    }
}

impl Lm for Recorded {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let found = self.replies.lock().unwrap().get_mut(&key(request)).and_then(Vec::pop);
        let missing = || LmError::new(LmErrorKind::NotFound, "toy", "this was never asked before");
        let (id, reply) = found.ok_or_else(missing)?;
        Ok(numbered(request, &reply, id))
    }
    fn name(&self) -> &str {
        "toy"
    }
}

async fn compile(case: &Case, lm: impl Lm, dir: &Path) -> teleprompt::Result<Report> {
    let toy = (case.toy)(1);
    let settings = LmSettings { temperature: Some(1.0), ..LmSettings::default() };
    let cx = Context::new(LmHandle::new(lm), Arc::new(ChatAdapter)).with_settings(&settings);
    let compiler = (case.make)().compiler(toy.metric.clone()).val(&toy.val).test(&toy.test);
    let compiler = compiler.studies_in(dir).study("trial").concurrency(CONCURRENCY);
    Ok(compiler.compile(&cx, &toy.program, &toy.train).await?.report)
}

fn log_in(dir: &Path) -> std::path::PathBuf {
    dir.join("calls.jsonl")
}

fn logging(case: &Case, dir: &Path) -> Logging {
    let torn =
        std::fs::read(log_in(dir)).is_ok_and(|b| b.last().is_some_and(|last| *last != b'\n'));
    let mut log = OpenOptions::new().create(true).append(true).open(log_in(dir)).unwrap();
    if torn {
        log.write_all(b"\n").unwrap();
    }
    let chance = RandomState::new();
    let session = u64::from(std::process::id()) << 32 | chance.hash_one("session") >> 32;
    let brain = (case.toy)(1).brain;
    Logging { brain, log: Mutex::new(log), chance, calls: AtomicU64::new(0), session }
}

/// What each process does; without its variables it does nothing.
pub async fn child() {
    let (Ok(dir), Ok(name)) =
        (std::env::var("TELEPROMPT_KILL_DIR"), std::env::var("TELEPROMPT_KILL_CASE"))
    else {
        return;
    };
    let wrong = WHEN_KILLED.map(wrong::case);
    let case = CASES.iter().chain(&wrong).find(|case| case.name == name).unwrap();
    let dir = Path::new(&dir);
    let report = compile(case, logging(case, dir), dir).await.unwrap();
    std::fs::write(dir.join("report.json"), untimed(&report).to_string()).unwrap();
}

fn spawn(case: &Case, dir: &Path, test: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env("TELEPROMPT_KILL_DIR", dir)
        .env("TELEPROMPT_KILL_CASE", case.name)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn lines_of(dir: &Path) -> Vec<Line> {
    // A kill may tear a line within a character, too.
    let bytes = std::fs::read(log_in(dir)).unwrap_or_default();
    let read = |line: &str| match serde_json::from_str(line) {
        Ok(line) => Some(line),
        // A line that stops too early is a call whose reply nobody got; any other fault is ours.
        Err(error) if error.is_eof() => None,
        Err(error) => panic!("{error}: {line}"),
    };
    String::from_utf8_lossy(&bytes).lines().filter_map(read).collect()
}

/// Calls so far.
fn logged(dir: &Path) -> usize {
    std::fs::read(log_in(dir)).unwrap_or_default().iter().filter(|b| **b == b'\n').count()
}

/// Kills the study so many times, each time after a random number of further calls, then lets it end.
/// `test` is the name of the test that calls [`child`]. Gives the number of calls that were lost: in
/// flight at a kill.
///
/// # Errors
/// What was broken.
pub async fn check(case: &Case, kills: usize, test: &str) -> Result<usize, String> {
    let whole = {
        let dir = tempfile::tempdir().unwrap();
        compile(case, logging(case, dir.path()), dir.path()).await.map_err(|e| e.to_string())?;
        logged(dir.path())
    };
    let dir = tempfile::tempdir().unwrap();
    let mut rng = Rng::new(RandomState::new().hash_one("kills"));
    for kill in 0..kills {
        let wanted = logged(dir.path()) + rng.below(whole / (kills + 1) + 1);
        let mut child = spawn(case, dir.path(), test);
        while logged(dir.path()) < wanted {
            if let Some(status) = child.try_wait().unwrap() {
                return Err(format!("ended before kill {kill} of {kills}: {status}"));
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        std::thread::sleep(Duration::from_micros(rng.below(3000) as u64));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let output = spawn(case, dir.path(), test).wait_with_output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let lines = lines_of(dir.path());
    let journaled = nothing_is_paid_twice(&lines, dir.path(), kills)?;
    decides_the_same(case, dir.path(), &journaled).await?;
    Ok(lines.len() - journaled.len())
}

/// The numbers of the calls of each run and question in the journal.
struct Paid {
    /// The event's key.
    key: String,
    calls: u64,
    /// The sum of the calls' numbers.
    ids: u64,
}

fn paid(dir: &Path) -> Vec<Paid> {
    let journal = std::fs::read_to_string(dir.join("trial").join("journal.jsonl")).unwrap();
    let read = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        let result = event
            .get("run")
            .or(event.get("asked"))
            .or(event.get("calibration"))
            .or(event.get("judged"))?;
        let usage = &result["usage"];
        let number = |name: &str| usage[name].as_u64().unwrap_or_default();
        let key = event["key"].as_str()?.to_owned();
        Some(Paid { key, calls: number("calls"), ids: number("completion_tokens") })
    };
    journal.lines().filter_map(read).collect()
}

/// The places of the calls that an event is about: all in one session, and their numbers add up.
fn calls_of(event: &Paid, lines: &[Line], place: &HashMap<u64, usize>) -> Option<Vec<usize>> {
    if event.calls < 2 {
        return sum_of(event.calls, event.ids, 0..lines.len(), lines, place);
    }
    let mut start = 0;
    let sessions = lines.chunk_by(|a, b| a.session == b.session).map(|session| {
        start += session.len();
        start - session.len()..start
    });
    let sessions: Vec<Range<usize>> = sessions.collect();
    sessions.into_iter().find_map(|s| sum_of(event.calls, event.ids, s, lines, place))
}

/// So many calls in this range whose numbers have this sum; the last one is looked up.
fn sum_of(
    n: u64,
    sum: u64,
    mut range: Range<usize>,
    lines: &[Line],
    place: &HashMap<u64, usize>,
) -> Option<Vec<usize>> {
    if n < 2 {
        let last = || place.get(&sum).filter(|i| range.contains(i)).map(|i| vec![*i]);
        return if n == 0 { Some(Vec::new()) } else { last() };
    }
    let end = range.end;
    range.find_map(|i| {
        let rest = sum.checked_sub(lines[i].id)?;
        let mut others = sum_of(n - 1, rest, i + 1..end, lines, place)?;
        others.push(i);
        Some(others)
    })
}

/// Every call is in the journal once, or was in flight at a kill; gives the calls of the journal.
fn nothing_is_paid_twice(lines: &[Line], dir: &Path, kills: usize) -> Result<Vec<Line>, String> {
    let place: HashMap<u64, usize> = lines.iter().enumerate().map(|(i, l)| (l.id, i)).collect();
    let mut keys = std::collections::HashSet::new();
    let mut known = vec![false; lines.len()];
    let events = paid(dir);
    let a_run = events.iter().map(|event| event.calls).max().unwrap_or_default() as usize;
    for event in events {
        let Some(calls) = calls_of(&event, lines, &place) else {
            return Err(format!("the journal tells of calls that were not made: {}", event.key));
        };
        calls.into_iter().for_each(|i| known[i] = true);
        if event.calls > 0 && !keys.insert(event.key.clone()) {
            return Err(format!("{} was paid again after it was journaled", event.key));
        }
    }
    let of = |session: u64, i: usize| lines[i].session == session && !known[i];
    let mut sessions: Vec<u64> = lines.iter().map(|l| l.session).collect();
    sessions.dedup();
    if sessions.len() > kills + 1 {
        return Err(format!("{} sessions for {kills} kills", sessions.len()));
    }
    for (n, session) in sessions.iter().enumerate() {
        let lost: Vec<usize> = (0..lines.len()).filter(|i| of(*session, *i)).collect();
        let most = if n + 1 == sessions.len() { 0 } else { CONCURRENCY * a_run };
        if lost.len() > most {
            return Err(format!("session {n} lost {} calls, at most {most} in flight", lost.len()));
        }
        let start = lines.iter().position(|l| l.session == *session).unwrap_or_default();
        for i in lost.into_iter().filter(|i| !lines[*i].repeats) {
            // What was asked and lost was not in the journal yet: it is there later. What a run asked
            // by a reply that was lost, too, need never be asked again.
            let again =
                (start..lines.len()).any(|j| known[j] && lines[j].request == lines[i].request);
            if !again {
                return Err(format!("session {n} asked again what was journaled: {:?}", lines[i]));
            }
        }
    }
    Ok(lines.iter().zip(known).filter(|(_, known)| *known).map(|(l, _)| l.clone()).collect())
}

/// The finished study, compiled again, is free and says the same; a new one that hears the same
/// replies decides the same.
async fn decides_the_same(case: &Case, dir: &Path, journaled: &[Line]) -> Result<(), String> {
    let text = std::fs::read_to_string(dir.join("report.json")).map_err(|e| e.to_string())?;
    let report: Value = serde_json::from_str(&text).unwrap();
    let silent = Recorded::new(&[]);
    let calls = silent.calls.clone();
    let again = compile(case, silent, dir).await.map_err(|e| format!("compiled again: {e}"))?;
    if calls.load(Ordering::SeqCst) > 0 || untimed(&again) != report {
        return Err("the finished study, compiled again, is not the same".into());
    }
    let fresh = tempfile::tempdir().unwrap();
    let heard = compile(case, Recorded::new(journaled), fresh.path()).await;
    let heard = heard.map_err(|e| format!("with the same replies: {e}"))?;
    let decisions = |report: &Value| {
        let candidates = report["candidates"].as_array().cloned().unwrap_or_default();
        let said = |c: &Value| (c["candidate"].clone(), c["accepted"].clone(), c["why"].clone());
        (report["winner"].clone(), candidates.iter().map(said).collect::<Vec<_>>())
    };
    let (before, after) = (decisions(&report), decisions(&untimed(&heard)));
    if before != after {
        return Err(format!("the same replies, other decisions:\n{before:?}\n{after:?}"));
    }
    Ok(())
}
