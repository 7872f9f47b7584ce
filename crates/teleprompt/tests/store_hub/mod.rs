//! A small fake of the Hugging Face hub on a real socket, and what the store's tests share.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};
use teleprompt::store::{HfFile, KnownModel, ModelStore, PullObserver, Source, StoreConfig};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    pub headers: HashMap<String, String>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// What the server answers.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// Send only so many bytes of the body, then close the connection.
    pub cut: Option<usize>,
    /// Send only so many bytes of the body, then nothing more.
    pub stall: Option<usize>,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub fn full(body: &[u8]) -> Self {
        Self { body: body.to_vec(), ..Self::status(200) }
    }

    /// The file as a server with ranges sends it.
    pub fn file(request: &Request, body: &[u8], etag: &str) -> Self {
        let start = request
            .header("range")
            .and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok())
            .filter(|_| request.header("if-range").is_none_or(|tag| tag == etag));
        let reply = match start {
            Some(start) if start >= body.len() => Self::status(416),
            Some(start) => Self { body: body[start..].to_vec(), ..Self::status(206) }
                .with("content-range", format!("bytes {start}-{}/{}", body.len() - 1, body.len())),
            None => Self::full(body),
        };
        reply.with("etag", etag)
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn cut(self, after: usize) -> Self {
        Self { cut: Some(after), ..self }
    }

    pub fn stall(self, after: usize) -> Self {
        Self { stall: Some(after), ..self }
    }
}

/// The server; it stops with the runtime of the test.
pub struct FakeHub {
    pub url: String,
    log: Arc<Mutex<Vec<Request>>>,
}

impl FakeHub {
    /// `answer` gets each request and how many came before it.
    pub async fn start(answer: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let (answer, seen) = (Arc::new(answer), Arc::clone(&log));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    let Some(request) = read_request(&mut stream).await else { return };
                    let number = {
                        let mut seen = seen.lock().unwrap();
                        seen.push(request.clone());
                        seen.len() - 1
                    };
                    let reply = answer(&request, number);
                    // The client may go away in the middle.
                    let _ = send(stream.get_mut(), reply).await;
                });
            }
        });
        Self { url, log }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.log.lock().unwrap().clone()
    }
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        match stream.read_line(&mut line).await {
            Ok(1..) if !line.trim().is_empty() => lines.push(line.trim().to_owned()),
            Ok(1..) => break,
            _ => return None,
        }
    }
    let path = lines.first()?.split(' ').nth(1)?.to_owned();
    let header = |line: &String| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_lowercase(), value.trim().to_owned()))
    };
    Some(Request { path, headers: lines[1..].iter().filter_map(header).collect() })
}

async fn send(stream: &mut TcpStream, reply: Reply) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} X\r\nconnection: close\r\n", reply.status);
    if !reply.headers.iter().any(|(name, _)| *name == "content-length") {
        head += &format!("content-length: {}\r\n", reply.body.len());
    }
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).await?;
    let sent = reply.cut.or(reply.stall).unwrap_or(reply.body.len());
    stream.write_all(&reply.body[..sent.min(reply.body.len())]).await?;
    stream.flush().await?;
    if reply.stall.is_some() {
        std::future::pending::<()>().await;
    }
    stream.shutdown().await
}

/// Remembers all that it is told.
#[derive(Debug, Default)]
pub struct Notes {
    lines: Mutex<Vec<String>>,
    progress: Mutex<Vec<(u64, Option<u64>)>>,
}

impl Notes {
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    pub fn last_progress(&self) -> Option<(u64, Option<u64>)> {
        self.progress.lock().unwrap().last().copied()
    }
}

impl PullObserver for Notes {
    fn note(&self, line: &str) {
        assert!(!line.contains('\n'), "a note is one line: {line}");
        self.lines.lock().unwrap().push(line.to_owned());
    }

    fn progress(&self, done: u64, total: Option<u64>) {
        self.progress.lock().unwrap().push((done, total));
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// A well-formed GGUF file of at least 32 bytes with no tensor; the rest is filled up.
pub fn gguf(size: usize) -> Vec<u8> {
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.resize(32, 0);
    bytes.extend((32..size).map(|i| (i * 31 % 251) as u8));
    bytes
}

/// A known model `tiny` with this content, from the hub.
pub fn tiny(content: &[u8]) -> KnownModel {
    KnownModel {
        name: "tiny".into(),
        title: "Tiny Test Model".into(),
        file_name: "tiny.gguf".into(),
        size: content.len() as u64,
        sha256: sha256(content),
        licence: "CC0-1.0".into(),
        sources: vec![Source::Hub(HfFile::parse("acme/tiny/tiny.gguf@v1").unwrap())],
    }
}

pub fn config(endpoint: &str) -> StoreConfig {
    StoreConfig { hf_endpoint: endpoint.to_owned(), pip: Vec::new(), ..StoreConfig::default() }
}

pub fn store(dir: &tempfile::TempDir, endpoint: &str, model: KnownModel) -> ModelStore {
    ModelStore::at(dir.path()).with_config(config(endpoint)).with_models(vec![model])
}

/// The names of all files below the directory.
pub fn files(dir: &std::path::Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            names.extend(files(&entry.path()));
        } else {
            names.push(entry.file_name().into_string().unwrap());
        }
    }
    names.sort();
    names
}

/// Waits until `done`, at most ten seconds.
pub async fn until(done: impl Fn() -> bool) {
    for _ in 0..500 {
        if done() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("waited ten seconds in vain");
}
