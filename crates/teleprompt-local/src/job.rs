//! A request on its way to the engine, and the way back.

use futures::channel::{mpsc, oneshot};
use teleprompt_core::{LmChunk, LmError, LmRequest, LmResponse};

/// What the engine is asked to do.
pub(crate) struct Job {
    pub(crate) request: LmRequest,
    pub(crate) reply: Reply,
}

/// Where the answer goes. The receiver's end is dropped when nobody waits any more.
pub(crate) enum Reply {
    /// All at once.
    Whole(oneshot::Sender<Result<LmResponse, LmError>>),
    /// Piece by piece.
    Stream(mpsc::UnboundedSender<Result<LmChunk, LmError>>),
}

impl Reply {
    /// Whether nobody waits for the answer.
    pub(crate) fn is_cancelled(&self) -> bool {
        match self {
            Reply::Whole(sender) => sender.is_canceled(),
            Reply::Stream(sender) => sender.is_closed(),
        }
    }

    /// More text of completion `index`, for those who read along.
    pub(crate) fn text(&self, index: usize, text: String) {
        if let Reply::Stream(sender) = self
            && !text.is_empty()
        {
            // A reader who is gone is noticed by `is_cancelled`.
            let _ = sender.unbounded_send(Ok(LmChunk::Text { index, text }));
        }
    }

    /// The end.
    pub(crate) fn finish(self, answer: Result<LmResponse, LmError>) {
        match self {
            Reply::Whole(sender) => drop(sender.send(answer)),
            Reply::Stream(sender) => drop(sender.unbounded_send(answer.map(LmChunk::Done))),
        }
    }
}
