//! The fake server over its socket.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::time::Duration;

use serde_json::json;
use teleprompt_testkit::{Answer, FakeServer, Fault, Request, Response, Wire};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends a chat request on a connection of its own and reads to the end, or to the reset.
async fn ask(server: &FakeServer, text: &str) -> Option<String> {
    let body = json!({"messages": [{"role": "user", "content": text}]}).to_string();
    let address = server.url();
    let mut stream = TcpStream::connect(address.trim_start_matches("http://")).await.unwrap();
    let head =
        format!("POST / HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok().map(|_| answer)
}

fn story(server: &FakeServer) -> Vec<(String, u64, u64, u64, u16)> {
    let entries = server.ledger().into_iter();
    entries.map(|e| (e.tag, e.arrived, e.answered_whole, e.asked_again, e.status_of_last)).collect()
}

#[tokio::test]
async fn the_ledger_tells_good_answers_from_others() {
    let answer = Answer::text("good");
    let wire = Wire::OpenAiChat;
    let faults = [Fault::ServerError, Fault::ResetBeforeHead, Fault::Truncated, Fault::HtmlOk];
    let mut script: Vec<Response> =
        faults.iter().map(|fault| fault.response(wire, &answer, false)).collect();
    script.push(wire.reply(&answer));
    let server = FakeServer::script(script).await.unwrap();
    for arrived in 1..=4_u64 {
        ask(&server, "a").await;
        let (_, came, good, ..) = story(&server)[0].clone();
        assert_eq!((came, good), (arrived, 0));
    }
    assert!(ask(&server, "a").await.unwrap().contains("good"));
    assert_eq!(story(&server), [("a".to_owned(), 5, 1, 0, 200)]);
    ask(&server, "a").await;
    ask(&server, "b").await;
    assert_eq!(story(&server), [("a".to_owned(), 6, 2, 1, 200), ("b".to_owned(), 1, 1, 0, 200)]);
}

#[tokio::test]
async fn five_hundred_and_twelve_at_once() {
    let slow = |request: &Request| {
        let text = request.json()["messages"][0]["content"].as_str().unwrap().to_owned();
        Response::chat(&format!("echo {text}")).after(Duration::from_millis(300))
    };
    let server = FakeServer::start_lean(0, slow).await.unwrap();
    let texts: Vec<String> = (0..512).map(|i| format!("<{i}>")).collect();
    let answers = futures::future::join_all(texts.iter().map(|text| ask(&server, text))).await;
    for (text, answer) in texts.iter().zip(answers) {
        assert!(answer.unwrap().contains(&format!("echo {text}")));
    }
    assert!(server.ledger().iter().all(|e| e.arrived == 1 && e.answered_whole == 1));
    assert_eq!((server.ledger().len(), server.requests().len(), server.hits()), (512, 0, 512));
    assert!(server.most_connections() > 1);
}
