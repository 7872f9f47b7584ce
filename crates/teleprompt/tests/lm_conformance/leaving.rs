//! Calls that are let go of end on the wire.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use teleprompt::adapter::ChatAdapter;
use teleprompt::lm::{Stack, StackOptions};
use teleprompt::prelude::*;
use teleprompt_testkit::{Answer, FakeServer, Fault};
use tokio::time::{sleep, timeout};

use super::support::{Checked, MODEL, Subject, ask, holds, on_every_wire, same};

const LONG: Duration = Duration::from_secs(3600);

/// A server that never comes to the end of its answer.
async fn server(subject: &Subject, fault: Fault) -> FakeServer {
    let wire = subject.wire;
    let answer = Answer::in_pieces(&["Grüße ", "aus ", "Köln"]);
    let handler = move |request: &_| match wire.check(request, MODEL) {
        Ok(parsed) => fault.response(wire, &answer, parsed.stream),
        Err(refusal) => refusal,
    };
    FakeServer::start(handler).await.unwrap()
}

/// Waits until it is so, but not for ever.
async fn comes_true(what: &str, it: impl Fn() -> bool) -> Checked {
    let wait = async {
        while !it() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(Duration::from_secs(5), wait).await.map_err(|_| format!("never: {what}"))
}

async fn closed(server: &FakeServer) -> Checked {
    comes_true("the connection is closed", || server.abandoned() == 1).await?;
    same("requests", &server.hits(), &1)
}

pub async fn dropped_call(subject: &Subject) -> Checked {
    for fault in [Fault::StallBeforeHead(LONG), Fault::StallInBody(LONG)] {
        let server = server(subject, fault).await;
        let lm = subject.lm(&server);
        let request = ask("hi");
        {
            let call = lm.generate(&request);
            tokio::select! {
                _ = call => return Err("an answer came".into()),
                asked = comes_true("it is asked", || server.hits() == 1) => asked?,
            }
        }
        closed(&server).await?;
    }
    Ok(())
}

pub async fn dropped_stream(subject: &Subject) -> Checked {
    let server = server(subject, Fault::StallInBody(LONG)).await;
    let lm = subject.lm(&server);
    let request = ask("hi");
    let mut stream = lm.stream(&request);
    let first = timeout(Duration::from_secs(5), stream.next()).await;
    holds("a piece came", matches!(first, Ok(Some(Ok(_)))))?;
    drop(stream);
    closed(&server).await
}

pub async fn cancelled_predict(subject: &Subject) -> Checked {
    let server = server(subject, Fault::StallBeforeHead(LONG)).await;
    let cx = Context::new(subject.lm(&server), Arc::new(ChatAdapter));
    let math = Predict::of("question -> answer: int").unwrap();
    let call = math.call(&cx, record! { question: "6 × 7?" });
    let cancel = async {
        comes_true("it is asked", || server.hits() == 1).await?;
        cx.cancel().cancel();
        Ok::<_, String>(())
    };
    let both = timeout(Duration::from_secs(10), futures::future::join(call, cancel)).await;
    let (result, cancelled) = both.map_err(|_| "the call goes on")?;
    cancelled?;
    holds(&format!("{result:?} is a cancellation"), {
        let error = result.err().map(|error| error.to_string()).unwrap_or_default();
        error.contains("cancel")
    })?;
    closed(&server).await
}

fn stacked(subject: &Subject) -> Subject {
    let wrap = |remote| Stack::new(StackOptions::default()).wrap(LmHandle::new(remote));
    Subject { wrap, ..*subject }
}

#[tokio::test]
async fn a_dropped_call_closes_its_connection() {
    on_every_wire(dropped_call).await;
    on_every_wire(async |subject| dropped_call(&stacked(subject)).await).await;
}

#[tokio::test]
async fn a_dropped_stream_closes_its_connection() {
    on_every_wire(dropped_stream).await;
    on_every_wire(async |subject| dropped_stream(&stacked(subject)).await).await;
}

#[tokio::test]
async fn cancelling_a_predict_closes_its_connection() {
    on_every_wire(cancelled_predict).await;
    on_every_wire(async |subject| cancelled_predict(&stacked(subject)).await).await;
}
