//! Every fault on every wire, whole and streamed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use teleprompt::lm::{Remote, Retry, RetryConfig, Timeouts};
use teleprompt::{Lm, LmErrorKind, LmHandle};
use teleprompt_testkit::{Answer, Expected, FakeServer, Fault, Wire};

use super::support::{self, Checked, HANGS, MODEL, Subject, ask, holds, same};

const TEXT: &str = "Grüße aus Köln 👋, und noch ein paar Wörter mehr.";
/// The client's patience: long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(2);

/// One of each, with stalls that outlast the client and drips that do not.
fn faults() -> Vec<Fault> {
    let drip = Fault::SlowDrip(Duration::from_millis(1));
    let all = Fault::all(PATIENCE * 5).into_iter();
    all.map(|fault| if let Fault::SlowDrip(_) = fault { drip.clone() } else { fault }).collect()
}

pub fn with_retry(remote: Remote) -> LmHandle {
    let first_wait = Duration::from_millis(5);
    let config = RetryConfig { retries: 2, first_wait, ..RetryConfig::default() };
    LmHandle::new(Retry::with_config(remote, config))
}

fn answer() -> Answer {
    Answer::in_pieces(&["Grüße aus ", "Köln 👋, ", "und noch ein ", "paar Wörter mehr."])
}

/// A server that gives the fault once and then the answer.
async fn server(wire: Wire, fault: Fault) -> FakeServer {
    let given = AtomicBool::new(false);
    let handler = move |request: &_| match wire.check(request, MODEL) {
        Err(refusal) => refusal,
        Ok(parsed) if !given.swap(true, Ordering::Relaxed) => {
            fault.response(wire, &answer(), parsed.stream)
        }
        Ok(_) => wire.serve(request, &answer()),
    };
    FakeServer::start(handler).await.unwrap()
}

/// What came of a call.
struct Outcome {
    /// The text, or the kind of the error.
    result: Result<String, LmErrorKind>,
    /// The text that was given out on the way, if it was streamed.
    pieces: Option<String>,
}

async fn call(lm: &LmHandle, streamed: bool) -> Result<Outcome, String> {
    let request = ask("hi");
    let (result, pieces) = if streamed {
        let all = support::stream(lm, &request).await?;
        (all.end, Some(all.texts.concat()))
    } else {
        (lm.generate(&request).await, None)
    };
    let result = result.map(|r| r.completions.into_iter().map(|c| c.text).collect());
    Ok(Outcome { result: result.map_err(|error| error.kind), pieces })
}

/// Faults that come after the head, so that a piece may have been given out before them.
fn is_in_body(fault: &Fault) -> bool {
    use Fault as F;
    matches!(fault, F::StallInBody(_) | F::ResetInBody | F::Truncated | F::NoEnd)
}

fn judge(fault: &Fault, outcome: &Outcome, hits: usize) -> Checked {
    let Outcome { result, pieces } = outcome;
    if let (Ok(text), Some(pieces)) = (result, pieces) {
        same("pieces", pieces, text)?;
    }
    match (fault.expected(), result) {
        (Expected::Answer, Ok(text)) => {
            same("text", text.as_str(), TEXT)?;
            same("requests", &hits, &1)
        }
        (Expected::Retry, Ok(text)) => {
            same("text", text.as_str(), TEXT)?;
            same("requests", &hits, &2)
        }
        // What was given out cannot be taken back, so the call cannot begin anew.
        (Expected::Retry, Err(kind)) if is_in_body(fault) => {
            let begun = pieces.as_deref().unwrap_or_default();
            holds("it ends after a piece, with a part of the text", {
                !begun.is_empty() && begun != TEXT && TEXT.starts_with(begun)
            })?;
            let broken = matches!(kind, LmErrorKind::Transport | LmErrorKind::Timeout);
            holds(&format!("{kind:?} is a broken connection"), broken)?;
            same("requests", &hits, &1)
        }
        (Expected::Fail(name), Err(kind)) => {
            holds(&format!("{kind:?} is {name}"), format!("{kind:?}").starts_with(name))?;
            same("requests", &hits, &1)
        }
        (expected, result) => Err(format!("{result:?} where {expected:?} was due")),
    }
}

/// One fault, once.
pub async fn check(subject: &Subject, fault: &Fault, streamed: bool) -> Checked {
    let server = server(subject.wire, fault.clone()).await;
    let (first, stall) = (Some(PATIENCE), Some(PATIENCE));
    let timeouts = Timeouts { first, stall, ..Timeouts::default() };
    let lm = subject.lm_at(subject.endpoint(&server).with_timeouts(timeouts));
    let outcome = tokio::time::timeout(HANGS, call(&lm, streamed)).await;
    let outcome = outcome.map_err(|_| "it hangs".to_owned())??;
    judge(fault, &outcome, server.hits())?;
    let again: u64 = server.ledger().iter().map(|entry| entry.asked_again).sum();
    same("requests that had been answered whole", &again, &0)
}

#[tokio::test]
async fn every_fault_is_retried_taken_or_told() {
    let mut cases = Vec::new();
    for wire in Wire::ALL {
        for fault in faults() {
            cases.extend([false, true].map(|streamed| (wire, fault.clone(), streamed)));
        }
    }
    let total = cases.len();
    let checked = stream::iter(cases).map(async |(wire, fault, streamed)| {
        let result = check(&Subject::wrapped(wire, with_retry), &fault, streamed).await;
        result.err().map(|broken| format!("{wire:?} {fault:?} streamed={streamed}: {broken}"))
    });
    let broken: Vec<_> = checked.buffer_unordered(32).filter_map(async |b| b).collect().await;
    assert!(broken.is_empty(), "{} of {total} cases:\n{}", broken.len(), broken.join("\n"));
}

/// The same under load: one LM, one server, every fault in turn, many calls at once.
#[tokio::test]
async fn faults_of_one_call_do_not_touch_another() {
    let turn = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let faults = [Fault::ServerError, Fault::ResetBeforeHead, Fault::Truncated, Fault::NoEnd];
    for wire in Wire::ALL {
        let (turn, faults) = (turn.clone(), faults.clone());
        let handler = move |request: &_| {
            let at = turn.fetch_add(1, Ordering::Relaxed);
            let parsed = wire.check(request, MODEL).unwrap();
            let answer = Answer::text(parsed.last_user().unwrap());
            match faults.get(at % 9) {
                Some(fault) => fault.response(wire, &answer, parsed.stream),
                None => wire.serve(request, &answer),
            }
        };
        let server = FakeServer::start(handler).await.unwrap();
        let subject = Subject::wrapped(wire, |remote| {
            let first_wait = Duration::from_millis(1);
            let config = RetryConfig { retries: 40, first_wait, ..RetryConfig::default() };
            LmHandle::new(Retry::with_config(remote, config))
        });
        let lm = subject.lm(&server);
        let calls = stream::iter(0..100).map(async |i| {
            let text = format!("number {i} 👋");
            let reply = lm.generate(&ask(&text)).await.unwrap();
            assert_eq!(reply.completions[0].text, text, "{wire:?}");
        });
        calls.buffer_unordered(16).collect::<Vec<_>>().await;
        assert!(server.ledger().iter().all(|entry| entry.asked_again == 0), "{wire:?}");
        assert_eq!(server.ledger().len(), 100);
    }
}
