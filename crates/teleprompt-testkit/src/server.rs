//! A small HTTP/1.1 server on a real socket, with faults on demand.
//!
//! The handler is any `Fn(&Request) -> Response`; [`Response`] has constructors for the replies of
//! an OpenAI-compatible server and for files with byte ranges.

mod http;
mod openai;
mod response;

pub use response::{Part, Response};

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    requests: Mutex<Vec<Request>>,
    abandoned: AtomicU64,
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
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let seen = Arc::new(Seen::default());
        let task = tokio::spawn(accept(listener, Arc::new(handler), seen.clone()));
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
        lock(&self.seen.requests).len()
    }

    /// The requests so far, in the order they came.
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
        connections.spawn(serve(stream, handler.clone(), seen.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(mut stream: TcpStream, handler: Arc<Handler>, seen: Arc<Seen>) {
    // Small pieces have to reach the client as the script splits them.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let mut buffer = Vec::new();
    while let Some(request) = http::read_request(&mut stream, &mut buffer).await {
        let response = handler(&request);
        lock(&seen.requests).push(request);
        match http::write_response(&mut stream, response).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(_) => {
                seen.abandoned.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
