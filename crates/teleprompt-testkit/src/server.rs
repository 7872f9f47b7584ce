//! A small HTTP/1.1 server on a real socket, with faults on demand.
//!
//! The handler is any `Fn(&Request) -> Response`; [`Response`] has constructors for the replies of
//! an OpenAI-compatible server and for files with byte ranges, [`Wire`] those for the wire formats
//! of four APIs, and [`Fault`] what can go wrong. The server keeps a ledger of what came and what
//! went out whole.

mod fault;
mod http;
mod ledger;
mod openai;
mod response;
mod wire;

pub use fault::{Expected, Fault};
pub use ledger::Entry;
pub use response::{Part, Response};
pub use wire::{
    Answer, Finish, ParsedMessage, ParsedRequest, TokenLogprob, Tokens, ToolCall, Wire,
};

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Sent;
use ledger::Ledger;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// One request as the server read it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST`…
    pub method: String,
    /// The path with the query, such as `/v1/chat/completions`.
    pub path: String,
    /// Names (lower case) and values, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// The first header of this name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; `null` if it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

type Handler = dyn Fn(&Request) -> Response + Send + Sync;

#[derive(Default)]
struct Seen {
    /// Drops the requests once they are answered.
    lean: bool,
    requests: Mutex<Vec<Request>>,
    hits: AtomicUsize,
    abandoned: AtomicU64,
    ledger: Mutex<Ledger>,
    open: AtomicUsize,
    most_open: AtomicUsize,
}

/// A server that answers on `127.0.0.1` until it is dropped.
///
/// ```
/// use teleprompt_testkit::{FakeServer, Response};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let server = FakeServer::start(|_| Response::chat("Hello")).await.unwrap();
/// assert!(server.url().starts_with("http://127.0.0.1:"));
/// assert_eq!(server.hits(), 0);
/// # });
/// ```
pub struct FakeServer {
    address: SocketAddr,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

impl FakeServer {
    /// Starts a server on a free port. The handler runs once a request, on the server's task; it
    /// must not block.
    ///
    /// # Errors
    /// No port could be had.
    pub async fn start(
        handler: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        Self::start_on(0, Seen::default(), Arc::new(handler)).await
    }

    /// Like [`FakeServer::start`], but keeps no request ([`FakeServer::requests`] stays empty), for
    /// loads of many thousand calls; the ledger keeps a tag and four numbers for each distinct
    /// request. Port 0 is any free one.
    ///
    /// # Errors
    /// The port could not be had.
    pub async fn start_lean(
        port: u16,
        handler: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let seen = Seen { lean: true, ..Seen::default() };
        Self::start_on(port, seen, Arc::new(handler)).await
    }

    async fn start_on(port: u16, seen: Seen, handler: Arc<Handler>) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let address = listener.local_addr()?;
        let seen = Arc::new(seen);
        let task = tokio::spawn(accept(listener, handler, seen.clone()));
        Ok(Self { address, seen, task })
    }

    /// A server whose answers are these, in order; the last one is repeated.
    ///
    /// # Errors
    /// No port could be had.
    pub async fn script(responses: impl IntoIterator<Item = Response>) -> std::io::Result<Self> {
        let responses: Vec<Response> = responses.into_iter().collect();
        let next = AtomicU64::new(0);
        Self::start(move |_| {
            let index = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap_or(usize::MAX);
            let response = responses.get(index).or(responses.last());
            response.cloned().unwrap_or_else(|| Response::status(500, "the script is empty"))
        })
        .await
    }

    /// `http://127.0.0.1:PORT`, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The base URL for an OpenAI-compatible client.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// How many requests came in whole.
    pub fn hits(&self) -> usize {
        self.seen.hits.load(Ordering::Relaxed)
    }

    /// The story of each logical request, in the order of their first arrival.
    ///
    /// ```
    /// use teleprompt_testkit::{FakeServer, Response};
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let server = FakeServer::start(|_| Response::chat("Hello")).await.unwrap();
    /// // …calls…
    /// assert!(server.ledger().iter().all(|entry| entry.asked_again == 0));
    /// # });
    /// ```
    pub fn ledger(&self) -> Vec<Entry> {
        lock(&self.seen.ledger).entries()
    }

    /// The highest number of connections that were open at once.
    pub fn most_connections(&self) -> usize {
        self.seen.most_open.load(Ordering::Relaxed)
    }

    /// The requests so far, in the order they came; none of a lean server.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.seen.requests).clone()
    }

    /// How many responses the client did not wait for.
    pub fn abandoned(&self) -> u64 {
        self.seen.abandoned.load(Ordering::Relaxed)
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, handler: Arc<Handler>, seen: Arc<Seen>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, handler.clone(), Open::new(seen.clone())));
        while connections.try_join_next().is_some() {}
    }
}

/// Counts a connection as long as it lives.
struct Open(Arc<Seen>);

impl Open {
    fn new(seen: Arc<Seen>) -> Self {
        let open = seen.open.fetch_add(1, Ordering::Relaxed) + 1;
        seen.most_open.fetch_max(open, Ordering::Relaxed);
        Self(seen)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn serve(mut stream: TcpStream, handler: Arc<Handler>, open: Open) {
    let seen = &open.0;
    // Small pieces have to reach the client as the script splits them.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let mut buffer = Vec::new();
    while let Some(request) = http::read_request(&mut stream, &mut buffer).await {
        let place = lock(&seen.ledger).arrived(ledger::tag(&request));
        let response = handler(&request);
        let last = request.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"));
        seen.hits.fetch_add(1, Ordering::Relaxed);
        if !seen.lean {
            lock(&seen.requests).push(request);
        }
        let (status, answers) = (response.status, response.answers);
        let sent = http::write_response(&mut stream, response).await;
        let whole = matches!(sent, Ok(Sent::Whole));
        lock(&seen.ledger).replied(place, status, whole && answers);
        if sent.is_err() {
            seen.abandoned.fetch_add(1, Ordering::Relaxed);
        }
        if last || !whole {
            return;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
