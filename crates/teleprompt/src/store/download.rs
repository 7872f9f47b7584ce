//! Downloading a file from a hub: resumed where it was cut, retried, checked.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;

use super::error::{FetchError, Stop};
use super::hub::{FileAnswer, Hub};
use super::lock::PullLock;
use super::name::HfFile;
use super::observer::PullObserver;
use super::part::{Origin, Part, SharedPart};
use super::place::Place;

/// How often a broken download is taken up again before the source counts as failed. An attempt
/// that brought [`PROGRESS`] bytes starts the count anew.
const RETRIES: u32 = 3;
const PROGRESS: u64 = 1 << 20;
/// The wait before the first retry; it doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Bytes collected before they are written.
const PIECE: usize = 1 << 18;

/// Downloads `file` to its place.
pub(super) async fn download(
    hub: &Hub,
    file: &HfFile,
    place: &Place,
    lock: &Arc<PullLock>,
    observer: &dyn PullObserver,
) -> Result<(), Stop> {
    let url = hub.url(file)?;
    let (owned, address, lock) = (place.clone(), url.to_string(), Arc::clone(lock));
    let part = SharedPart::open(move || Part::resume(&owned, &address, lock)).await?;
    let transfer = Transfer { hub, url, part, observer };
    if !transfer.part.peek(Part::is_complete)
        && let Err(stop) = transfer.run().await
    {
        transfer.part.work(Part::discard_empty).await??;
        return Err(stop);
    }
    transfer.part.work(Part::finish).await?
}

/// How one request ended.
enum Ended {
    Complete,
    /// The part was of another file and has been emptied.
    Restart,
    Broken(String),
}

struct Transfer<'a> {
    hub: &'a Hub,
    url: Url,
    part: SharedPart,
    observer: &'a dyn PullObserver,
}

impl Transfer<'_> {
    async fn run(&self) -> Result<(), Stop> {
        let mut failed = 0;
        let mut first = true;
        loop {
            let before = self.part.peek(Part::len);
            let reason = match self.attempt(first).await? {
                Ended::Complete => return Ok(()),
                Ended::Restart => continue,
                Ended::Broken(reason) => reason,
            };
            first = false;
            let have = self.part.peek(Part::len);
            failed = if have.saturating_sub(before) >= PROGRESS { 1 } else { failed + 1 };
            if failed > RETRIES {
                return Err(FetchError::Broken { have, reason }.into());
            }
            tokio::time::sleep(FIRST_WAIT * 2u32.pow(failed - 1)).await;
        }
    }

    async fn attempt(&self, first: bool) -> Result<Ended, Stop> {
        if !self.part.peek(Part::can_grow) {
            self.part.work(Part::reset).await??;
        }
        let (start, known) = self.part.peek(|p| (p.len(), p.origin().clone()));
        let answer = match self.hub.get(&self.url, start, known.etag.as_deref()).await {
            Ok(answer) => answer,
            // A hub that never answered is not waited for; one that broke off may come back.
            Err(FetchError::Unreachable(reason)) if !first => return Ok(Ended::Broken(reason)),
            Err(FetchError::Status(status)) if !first => {
                return Ok(Ended::Broken(format!("status {status}")));
            }
            Err(error) => return Err(error.into()),
        };
        let answer = match answer {
            Some(answer) if !is_other_file(&answer, &known) => answer,
            _ => {
                self.part.work(Part::reset).await??;
                return Ok(Ended::Restart);
            }
        };
        self.receive(answer, start).await
    }

    async fn receive(&self, mut answer: FileAnswer, asked: u64) -> Result<Ended, Stop> {
        let restart = answer.start < asked;
        let origin = Origin {
            url: self.url.to_string(),
            etag: answer.etag.take(),
            sha256: answer.sha256.take(),
            size: answer.size,
        };
        let prepare = move |part: &mut Part| {
            if restart {
                part.reset()?;
            }
            part.set_origin(origin)
        };
        self.part.work(prepare).await??;
        let total = self.part.peek(Part::total);
        if let (Some(expected), Some(found)) = (total, answer.size)
            && expected != found
        {
            return Err(FetchError::WrongSize { expected, found }.into());
        }
        let broken = self.body(answer.response, total).await?;
        let have = self.part.peek(Part::len);
        Ok(match broken {
            Some(reason) => Ended::Broken(reason),
            None if total.is_some_and(|total| have < total) => {
                Ended::Broken("the connection was closed early".into())
            }
            None => Ended::Complete,
        })
    }

    /// Writes the body to the part; `Some` tells why it ended early.
    async fn body(
        &self,
        mut response: reqwest::Response,
        total: Option<u64>,
    ) -> Result<Option<String>, Stop> {
        let mut written = self.part.peek(Part::len);
        let mut piece = Vec::with_capacity(PIECE);
        let broken = loop {
            match response.chunk().await {
                Ok(Some(bytes)) => piece.extend_from_slice(&bytes),
                Ok(None) => break None,
                Err(e) => break Some(self.hub.reason(&e)),
            }
            self.observer.progress(written + piece.len() as u64, total);
            if piece.len() >= PIECE {
                written += piece.len() as u64;
                let full = std::mem::replace(&mut piece, Vec::with_capacity(PIECE));
                self.part.work(move |part| part.append(&full)).await??;
            }
        };
        self.part.work(move |part| part.append(&piece)).await??;
        Ok(broken)
    }
}

/// Whether the hub now has another file under this name than the one the part was begun from.
fn is_other_file(answer: &FileAnswer, known: &Origin) -> bool {
    answer.start > 0
        && ((known.sha256.is_some() && answer.sha256 != known.sha256)
            || (known.size.is_some() && answer.size.is_some() && answer.size != known.size))
}
