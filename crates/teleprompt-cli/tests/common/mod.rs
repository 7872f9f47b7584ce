//! Running the command against a fake LM server.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use teleprompt_testkit::{FakeServer, Request, Response};
use tokio::runtime::Runtime;

/// A working directory of its own, with a server whose LM is `openai:fake@URL`.
pub struct World {
    pub dir: tempfile::TempDir,
    pub server: FakeServer,
    _runtime: Runtime,
}

impl World {
    pub fn new(handler: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let server = runtime.block_on(FakeServer::start(handler)).unwrap();
        Self { dir: tempfile::tempdir().unwrap(), server, _runtime: runtime }
    }

    /// A server whose LM knows labels when it is shown demonstrations.
    pub fn learner() -> Self {
        Self::new(|request| Response::chat(&learner(&request.json())))
    }

    pub fn lm(&self) -> String {
        format!("openai:fake@{}", self.server.base_url())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap();
        name.to_owned()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_teleprompt"));
        command
            .args(args)
            .current_dir(self.dir.path())
            .env("TELEPROMPT_LM", self.lm())
            .env("TELEPROMPT_CACHE_DIR", self.path("cache"))
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env_remove("OPENAI_API_KEY")
            .env_remove("TELEPROMPT_STUDIES_DIR");
        command
    }

    pub fn run(&self, args: &[&str]) -> Done {
        self.run_with(args, "")
    }

    pub fn run_with(&self, args: &[&str], stdin: &str) -> Done {
        let mut child = self.spawn(args);
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        Done::from(child.wait_with_output().unwrap())
    }

    pub fn spawn(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// 60 messages of two labels as JSONL.
    pub fn train(&self) -> String {
        self.write("train.jsonl", &rows(60))
    }
}

const WORDS: [&str; 10] =
    ["ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine"];

pub fn rows(n: usize) -> String {
    let row = |i: usize| {
        let (kind, label) = if i % 2 == 1 { ("beta", "b") } else { ("alpha", "a") };
        let (x, y) = (WORDS[i % 10], WORDS[(i / 10) % 10]);
        let row =
            serde_json::json!({"text": format!("{x} {kind} {y} {}", i * 7919), "label": label});
        format!("{row}\n")
    };
    (0..n).map(row).collect()
}

pub const SIGNATURE: &str = r#"text -> label: enum["a", "b"]"#;

fn learner(body: &Value) -> String {
    let messages = body["messages"].as_array().unwrap();
    let demos = messages.iter().filter(|m| m["role"] == "assistant").count();
    let text = messages.last().unwrap()["content"].as_str().unwrap();
    let label = if demos >= 4 && text.contains("beta") { "b" } else { "a" };
    format!("[[ ## label ## ]]\n{label}")
}

/// What a command did.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

impl Done {
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    #[track_caller]
    pub fn json(self) -> Value {
        let this = self.ok();
        serde_json::from_str(&this.stdout).unwrap_or_else(|e| panic!("{e}: {this:#?}"))
    }

    /// The command failed with this code and a message that has these parts.
    #[track_caller]
    pub fn fails(self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for part in parts {
            assert!(self.stderr.contains(part), "`{part}` is missing in {self:#?}");
        }
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
    }
}
