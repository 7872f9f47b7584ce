//! LMs for these tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use teleprompt::{
    Lm, LmChunk, LmError, LmErrorKind, LmHandle, LmRequest, LmResponse, LmStream, Message,
};
use teleprompt_testkit::{Reply, ScriptedLm};
use tokio::time::sleep;

pub fn request(text: &str) -> LmRequest {
    LmRequest::new(vec![Message::user(text)])
}

pub fn text(response: &LmResponse) -> &str {
    &response.completions[0].text
}

pub fn error(kind: LmErrorKind) -> LmError {
    LmError::new(kind, "m", format!("{} for the test", kind.code()))
}

/// Fails with this kind, always.
pub fn failing(name: &str, kind: LmErrorKind) -> ScriptedLm {
    ScriptedLm::new(move |_| Reply::from(error(kind))).with_name(name)
}

pub fn answering(name: &str) -> ScriptedLm {
    let answer = format!("from {name}");
    ScriptedLm::new(move |_| answer.clone()).with_name(name)
}

pub fn handle(lm: &ScriptedLm) -> LmHandle {
    LmHandle::new(lm.clone())
}

/// Streams its pieces with a pause before each, and counts the streams that were let go of.
#[derive(Clone)]
pub struct Drip {
    pub pieces: Vec<(u64, Result<&'static str, LmErrorKind>)>,
    pub begun: Arc<AtomicUsize>,
    pub dropped: Arc<AtomicUsize>,
}

impl Drip {
    /// Pieces and the seconds before each.
    pub fn new(pieces: &[(u64, Result<&'static str, LmErrorKind>)]) -> Self {
        Self { pieces: pieces.to_vec(), begun: Arc::default(), dropped: Arc::default() }
    }

    pub fn dropped(&self) -> usize {
        self.dropped.load(Ordering::Relaxed)
    }
}

struct CountDrop(Arc<AtomicUsize>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Lm for Drip {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let mut chunks = self.stream(request);
        while let Some(chunk) = chunks.next().await {
            if let LmChunk::Done(response) = chunk? {
                return Ok(response);
            }
        }
        Err(error(LmErrorKind::Protocol))
    }

    fn stream<'a>(&'a self, _: &'a LmRequest) -> LmStream<'a> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let guard = CountDrop(self.dropped.clone());
        let whole: String = self.pieces.iter().filter_map(|(_, piece)| piece.ok()).collect();
        let pieces = stream::iter(self.pieces.clone()).then(move |(seconds, piece)| {
            let _held = &guard;
            async move {
                sleep(Duration::from_secs(seconds)).await;
                let text = piece.map_err(error)?.to_owned();
                Ok(LmChunk::Text { index: 0, text })
            }
        });
        // A piece that fails is the last one.
        let well = self.pieces.iter().all(|(_, piece)| piece.is_ok());
        let end = well.then(|| Ok(LmChunk::Done(LmResponse::text(whole))));
        pieces.chain(stream::iter(end)).boxed()
    }
}
