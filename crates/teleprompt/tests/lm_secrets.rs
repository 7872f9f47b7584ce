//! A key shows up nowhere in the library: not in Debug, errors, panics, recordings, caches, histories,
//! on no wire, in no encoding. What the command prints and writes is searched by the command's tests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::error::Error as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use teleprompt::lm::{
    CacheConfig, Endpoint, History, KeySource, Recorder, Remote, RetryConfig, Stack, StackOptions,
};
use teleprompt::{Lm, LmError, LmHandle, LmRequest, Message};
use teleprompt_testkit::{FakeServer, Request, Response};

const KEY: &str = "sk-Ma+rk/er?7Q&z%3D=secret~x";
const HEADER: &str = "team-t0ken/with+marks";

fn forms(secret: &str) -> Vec<String> {
    let encoded: String = secret
        .bytes()
        .map(|b| match b {
            b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect();
    let mut forms = vec![secret.to_owned(), encoded];
    for engine in [STANDARD, URL_SAFE] {
        for before in 0..3 {
            let text = [&b"xxx"[..before], secret.as_bytes()].concat();
            let whole = engine.encode(text);
            let whole = whole.trim_end_matches('=');
            forms.push(whole[4..whole.len() - 2].to_owned());
        }
    }
    forms
}

/// What a server could say of a secret: itself, as in a URL, inside something in base64.
fn echoes(secret: &str) -> Vec<String> {
    let mut all: Vec<String> = forms(secret).into_iter().take(2).collect();
    for engine in [STANDARD, URL_SAFE] {
        all.extend((0..3).map(|n| engine.encode(format!("{}{secret}", &"xxx"[..n]))));
    }
    all
}

#[track_caller]
fn clean(what: &str, text: &str) {
    for secret in [KEY, HEADER] {
        for form in forms(secret) {
            assert!(!text.contains(&form), "{what} has a secret as {form}:\n{text}");
        }
    }
}

fn sweep(dir: &Path) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files += sweep(&path);
        } else {
            files += 1;
            let bytes = std::fs::read(&path).unwrap();
            clean(&path.display().to_string(), &String::from_utf8_lossy(&bytes));
        }
    }
    files
}

/// Everything that a client of the server could be told of its own secrets.
fn echo(request: &Request) -> String {
    let headers: Vec<String> = request.headers.iter().map(|(n, v)| format!("{n}: {v}")).collect();
    let all = headers.join("; ");
    assert!(all.contains(KEY) && all.contains(HEADER), "the server gets them: {all}");
    let hidden: Vec<String> = echoes(KEY).into_iter().chain(echoes(HEADER)).collect();
    format!("{all} {} {}", hidden.join(" "), STANDARD.encode(&all))
}

async fn failing(wire: &str, kind: usize) -> (FakeServer, Endpoint) {
    let server = FakeServer::start(move |request| match kind {
        0 => Response::api_error(401, "invalid_api_key", &echo(request)),
        1 => Response::status(500, format!("<html>{}</html>", echo(request))),
        2 => Response::status(200, format!("no JSON: {}", echo(request))),
        3 => Response::status(200, format!("{{\"error\": {{\"message\": {:?}}}}}", echo(request))),
        _ => Response::status(302, echo(request)).with_header("location", "http://127.0.0.1:1/x"),
    })
    .await
    .unwrap();
    let endpoint = Endpoint::new(wire, &server.base_url())
        .and_then(|e| e.with_header("x-team-token", HEADER))
        .unwrap();
    (server, endpoint.with_key(KeySource::value(KEY)))
}

fn told(error: &LmError) -> String {
    let mut text = format!("{error} {error:?} {error:#?} {:?}", error.body);
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(" {cause} {cause:?}"));
        source = cause.source();
    }
    text
}

#[tokio::test]
async fn no_wire_tells_a_secret() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::new();
    for wire in ["openai-chat", "openai-responses", "anthropic", "gemini"] {
        for kind in 0..5 {
            let (server, endpoint) = failing(wire, kind).await;
            clean("Debug of an endpoint", &format!("{endpoint:?} {endpoint:#?}"));
            let remote = Remote::new("m", endpoint).unwrap();
            clean("Debug of a remote", &format!("{remote:?} {}", remote.identity()));
            let options = StackOptions {
                history: Some(history.clone()),
                cache: Some(CacheConfig::on_disk(dir.path().join("cache"))),
                retry: Some(RetryConfig { retries: 0, ..RetryConfig::default() }),
                ..StackOptions::default()
            };
            let recorded = Recorder::new(LmHandle::new(remote), dir.path().join("tape.jsonl"));
            let lm = Stack::new(options).wrap(LmHandle::new(recorded.unwrap()));
            clean("the stack", &format!("{lm:?} {} {}", lm.describe(), lm.identity()));
            let request = LmRequest::new(vec![Message::user(format!("{wire} {kind}"))]);
            let error = lm.generate(&request).await.unwrap_err();
            clean(&format!("the error of {wire}, {kind}"), &told(&error));
            let mut chunks = lm.stream(&request);
            while let Some(chunk) = futures::StreamExt::next(&mut chunks).await {
                let Err(error) = chunk else { continue };
                clean(&format!("the streamed error of {wire}, {kind}"), &told(&error));
            }
            assert!(server.hits() >= 2);
            // What a user's code prints when it gives up.
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                panic!("{error:?} with {lm:?}");
            }));
            let payload = panicked.unwrap_err();
            clean("a panic", payload.downcast_ref::<String>().unwrap());
        }
    }
    for entry in history.last(100) {
        clean(
            "the history",
            &format!("{entry} {entry:?} {}", serde_json::to_string(&*entry).unwrap()),
        );
    }
    assert!(!history.is_empty());
    assert!(sweep(dir.path()) > 0, "nothing was written");
}
