//! Many calls at once through the usual layers, against a server that makes every mistake there is.
//! What each call must come to follows from the faults that it meets.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use teleprompt::lm::{Endpoint, KeySource, Remote, RetryConfig, Stack, StackOptions, Timeouts};
use teleprompt::{Lm, LmHandle, LmRequest, Message};
use teleprompt_testkit::server::{Answer, Expected, Fault, Wire};
use teleprompt_testkit::{FakeServer, Request, Response};

/// The share of attempts that meet a fault, in hundredths.
const FAULTY: u64 = 20;
/// From this attempt on there are none, so that a call that is repeated comes to an end.
const MERCY: u64 = 4;
const LATENCY: Duration = Duration::from_millis(50);
/// Far beyond the time limit of an attempt.
const STALL: Duration = Duration::from_secs(120);
const ATTEMPT: Duration = Duration::from_secs(10);

fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Stalls cost the time limit each, so they are rarer than the others.
fn fault(faults: &[Fault], text: &str, attempt: u64) -> Option<Fault> {
    if attempt >= MERCY || hash((text, attempt, "whether")) % 100 >= FAULTY {
        return None;
    }
    let drawn = |n: u64| &faults[(hash((text, attempt, n)) % faults.len() as u64) as usize];
    let stalls = |fault: &Fault| matches!(fault, Fault::StallBeforeHead(_) | Fault::StallInBody(_));
    Some((0..4).map(drawn).find(|f| !stalls(f)).unwrap_or_else(|| drawn(4)).clone())
}

/// What the call must come to: the answer, or this kind of error.
fn expected(faults: &[Fault], text: &str) -> Result<String, String> {
    for attempt in 0.. {
        match fault(faults, text, attempt).map(|fault| fault.expected()) {
            None | Some(Expected::Answer) => break,
            Some(Expected::Retry) => {}
            Some(Expected::Fail(kind)) => return Err(plain(kind)),
        }
    }
    Ok(format!("echo:{text}"))
}

/// The name of a kind of error, however it is written.
fn plain(kind: &str) -> String {
    kind.replace('_', "").to_lowercase()
}

/// One of each. A drip ends before the time limit.
fn faults() -> Vec<Fault> {
    let drip = Fault::SlowDrip(Duration::from_millis(1));
    let all = Fault::all(STALL).into_iter();
    all.map(|f| if matches!(f, Fault::SlowDrip(_)) { drip.clone() } else { f }).collect()
}

fn handler(faults: Arc<Vec<Fault>>) -> impl Fn(&Request) -> Response + Send + Sync + 'static {
    let attempts: Mutex<HashMap<String, u64>> = Mutex::default();
    move |request| {
        let wire = Wire::OpenAiChat;
        let parsed = match wire.check(request, "m") {
            Ok(parsed) => parsed,
            Err(refusal) => return refusal,
        };
        let text = parsed.last_user().unwrap_or_default().to_owned();
        let attempt = {
            let mut attempts = attempts.lock().unwrap();
            let count = attempts.entry(text.clone()).or_default();
            *count += 1;
            *count - 1
        };
        let answer = Answer::text(format!("echo:{text}")).with_model("m");
        let response = match fault(&faults, &text, attempt) {
            Some(fault) => fault.response(wire, &answer, false),
            None => wire.reply(&answer),
        };
        response.after(LATENCY)
    }
}

fn stack(server: &FakeServer) -> LmHandle {
    let timeouts = Timeouts { total: ATTEMPT, ..Timeouts::default() };
    let endpoint = Endpoint::new("openai-chat", &server.base_url()).unwrap();
    let endpoint = endpoint.with_key(KeySource::value("some-key")).with_timeouts(timeouts);
    let remote = Remote::new("m", endpoint).unwrap();
    let first_wait = Duration::from_millis(20);
    let retry = RetryConfig { retries: MERCY as u32, first_wait, ..RetryConfig::default() };
    let options = StackOptions { cache: None, retry: Some(retry), ..StackOptions::default() };
    Stack::new(options).wrap(LmHandle::new(remote))
}

/// Makes the calls; every one comes to what it must, and the server saw nothing twice that it had
/// answered whole.
pub async fn run(calls: u64, in_flight: usize) {
    let faults = Arc::new(faults());
    let server = FakeServer::start_lean(0, handler(faults.clone())).await.unwrap();
    let lm = stack(&server);
    let each = futures::stream::iter(0..calls).map(|i| {
        let (lm, faults) = (lm.clone(), faults.clone());
        tokio::spawn(async move {
            let text = format!("question {i}");
            let reply = lm.generate(&LmRequest::new(vec![Message::user(text.clone())])).await;
            let got = match reply {
                Ok(reply) => Ok(reply.completions[0].text.clone()),
                Err(error) => Err(plain(error.kind.code())),
            };
            let wanted = expected(&faults, &text);
            assert_eq!(got, wanted, "{text}");
            got.is_ok()
        })
    });
    let answered: Vec<bool> =
        each.buffer_unordered(in_flight).map(|outcome| outcome.unwrap()).collect().await;
    assert_eq!(answered.len() as u64, calls);
    let failed = answered.iter().filter(|well| !**well).count();
    assert!(failed > 0 && failed < answered.len() / 5, "{failed} failed");
    let ledger = server.ledger();
    assert_eq!(ledger.len() as u64, calls);
    let again: Vec<_> = ledger.iter().filter(|entry| entry.asked_again > 0).collect();
    assert!(again.is_empty(), "asked again after a whole reply: {again:?}");
    let arrived: u64 = ledger.iter().map(|entry| entry.arrived).sum();
    println!("{calls} calls, {failed} failed as they must, {arrived} requests");
}
