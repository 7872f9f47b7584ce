//! A key shows up nowhere: not in what commands print, not in any byte they write, in no encoding.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod common;

use std::path::Path;
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use common::{SIGNATURE, World};
use teleprompt_testkit::{Request, Response};

/// A key with characters that encodings change.
const KEY: &str = "sk-Ma+rk/er?7Q&z%3D=secret~x";

/// All forms in which the key could be hidden in a text.
fn forms() -> Vec<Vec<u8>> {
    let encoded = |upper: bool| -> String {
        let byte = |b: u8| match b {
            b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => char::from(b).to_string(),
            b if upper => format!("%{b:02X}"),
            b => format!("%{b:02x}"),
        };
        KEY.bytes().map(byte).collect()
    };
    let hex: String = KEY.bytes().map(|b| format!("{b:02x}")).collect();
    let mut forms = vec![KEY.to_owned(), encoded(true), encoded(false), hex];
    // In base64 the text depends on what stands before it, modulo three bytes; the characters at
    // both ends mix with the neighbours.
    for engine in [STANDARD, URL_SAFE] {
        for before in 0..3 {
            let whole = engine.encode(["x".repeat(before).as_bytes(), KEY.as_bytes()].concat());
            let whole = whole.trim_end_matches('=');
            forms.push(whole[4..whole.len() - 2].to_owned());
        }
    }
    forms.into_iter().map(String::into_bytes).collect()
}

fn find(bytes: &[u8]) -> Option<String> {
    let hit = |form: &Vec<u8>| bytes.windows(form.len()).any(|w| w == form.as_slice());
    forms().into_iter().find(hit).map(|form| String::from_utf8(form).unwrap())
}

#[track_caller]
fn clean(what: &str, bytes: &[u8]) {
    if let Some(form) = find(bytes) {
        panic!("the key is in {what} as {form}:\n{}", String::from_utf8_lossy(bytes));
    }
}

/// Reads every file below a folder; gives how many there were.
fn sweep(dir: &Path) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        clean("a file name", path.as_os_str().as_encoded_bytes());
        if path.is_dir() {
            files += sweep(&path);
        } else {
            files += 1;
            clean(&path.display().to_string(), &std::fs::read(&path).unwrap());
        }
    }
    files
}

/// A server that repeats the key wherever a server could, but for good replies' text.
fn server(request: &Request) -> Response {
    let sent = request.header("authorization").unwrap_or("none").trim_start_matches("Bearer ");
    let body = request.json();
    match body["model"].as_str().unwrap_or_default() {
        "deny" => {
            let encoded = STANDARD.encode(format!("Bearer {sent}"));
            let message = format!("wrong key {sent}, base64 {encoded}, {}", forms_text(sent));
            Response::api_error(401, "invalid_api_key", &message)
        }
        "crash" => Response::status(400, format!("<html>your header was {sent}</html>")),
        "nonsense" => Response::status(200, format!("not JSON: {sent}")),
        _ if body["stream"] == true => {
            Response::chat_stream(&["[[ ## label ## ]]\na"], 7, std::time::Duration::ZERO)
        }
        _ => Response::chat("[[ ## label ## ]]\na").with_header("x-request-id", "req-1"),
    }
}

/// What a server could say of the key: as in a URL, inside something in base64.
fn forms_text(sent: &str) -> String {
    assert_eq!(sent, KEY, "the server gets the key itself");
    let urls = forms().into_iter().skip(1).take(2).map(|f| String::from_utf8(f).unwrap());
    let inside = |n: usize| format!("{}{KEY}", &"xxx"[..n]);
    let base64 = (0..3).flat_map(|n| [STANDARD, URL_SAFE].map(|e| e.encode(inside(n))));
    urls.chain(base64).collect::<Vec<_>>().join(" ")
}

fn run(world: &World, lm: &str, args: &[&str]) -> Option<i32> {
    let mut command = world.command(args);
    command.env("TELEPROMPT_LM", lm).env("TELEPROMPT_STUDIES_DIR", world.path("studies"));
    command.env("TELEPROMPT_LOG", "trace").env("TELEPROMPT_TRACE_CONTENT", "1");
    command.env("RUST_BACKTRACE", "full");
    for name in ["TELEPROMPT_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"] {
        command.env(name, KEY);
    }
    command.env("TELEPROMPT_KEY_GATE", KEY);
    let output = command.stdin(Stdio::null()).output().unwrap();
    clean(&format!("the output of {args:?}"), &output.stdout);
    clean(&format!("the errors of {args:?}"), &output.stderr);
    output.status.code()
}

#[test]
fn a_key_is_found_in_every_form() {
    for form in forms() {
        let text = [b"before ", form.as_slice(), b" after"].concat();
        assert!(find(&text).is_some(), "{}", String::from_utf8_lossy(&form));
    }
    let inside = STANDARD.encode(format!("Authorization: Bearer {KEY}\r\n"));
    assert!(find(inside.as_bytes()).is_some());
    assert!(find(b"nothing of that kind").is_none());
}

#[test]
fn no_command_prints_or_writes_the_key() {
    let world = World::new(server);
    let train = world.train();
    let url = world.server.base_url();
    // The command that prints the key reads a file outside of what is swept.
    let vault = tempfile::tempdir().unwrap();
    std::fs::write(vault.path().join("key"), KEY).unwrap();
    std::fs::create_dir_all(world.path("config/teleprompt")).unwrap();
    let provider = format!(
        "[trust]\ngate = \"{}\"\n\n[provider.mine]\nwire = \"openai-chat\"\nurl = \"{url}\"\n\
         key_command = \"cat {}\"\n",
        world.server.url(),
        vault.path().join("key").display()
    );
    world.write("config/teleprompt/config.toml", &provider);
    world.write(
        "teleprompt.toml",
        &format!(
            "[provider.gate]\nwire = \"openai-chat\"\nurl = \"{url}\"\n\
        key_env = \"TELEPROMPT_KEY_GATE\"\n"
        ),
    );
    let metric = ["--metric", "exact_match"];
    let eval =
        [&["eval", SIGNATURE, &train, "--limit", "5", "--out", "rows.jsonl"][..], &metric].concat();
    let compile = [
        "compile",
        SIGNATURE,
        "--train",
        &train,
        "--optimizer",
        "labeled_few_shot",
        "-o",
        "o.json",
    ];
    let compile = [&compile[..], &metric].concat();
    let commands: &[&[&str]] = &[
        &["run", SIGNATURE, "text=one"],
        &["run", SIGNATURE, "text=two", "--json"],
        &["run", SIGNATURE, "text=three", "--stream"],
        &["render", SIGNATURE, "text=one", "--curl"],
        &["lm", "show"],
        &["lm", "list"],
        &["lm", "list", "--json"],
        &["show", "o.json"],
        &["history"],
        &["history", "--json"],
        &eval,
        &compile,
    ];
    for name in ["fake", "deny", "crash", "nonsense"] {
        for lm in [format!("openai:{name}@{url}"), format!("mine:{name}"), format!("gate:{name}")] {
            for args in commands {
                let code = run(&world, &lm, args);
                // `eval` and `compile` take failures of single examples for scores, and there is
                // nothing to show before the first compile.
                let wanted = match args[0] {
                    "run" => Some(name == "fake"),
                    "eval" | "compile" if name != "fake" => None,
                    "show" if args.len() == 2 && args[1] == "o.json" => None,
                    _ => Some(true),
                };
                let well = code == Some(0);
                assert!(wanted.is_none_or(|wanted| wanted == well), "{lm} {args:?}: {code:?}");
                assert_ne!(code, Some(101), "{lm} {args:?} panicked");
            }
        }
    }
    assert!(sweep(world.dir.path()) > 20, "hardly anything was written");
    assert!(world.server.hits() > 30);
}
