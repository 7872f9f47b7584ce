//! Programs that tell how they go: events while they run, the prediction at the end.
//!
//! [`Module::stream`] runs a program with an [`EventSink`] in its context. Every predictor under
//! that context, however deep and in whatever task, then asks its LM for a stream and tells each
//! piece of each output field as it comes. The prediction at the end is the one that
//! [`Module::call`] gives.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context as TaskContext, Poll};

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::future::BoxFuture;
use futures::stream::{FusedStream, Stream};
use serde::Serialize;
use serde_json::Value;

use crate::cancel::Cancel;
use crate::context::Context;
use crate::error::Result;
use crate::lm::ToolCall;
use crate::module::Module;
use crate::prediction::Prediction;

/// Which predictor call an [`Event`] is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct CallId {
    /// The predictor's path.
    pub path: Arc<str>,
    /// Counts the calls of a run by when they began, from 0: it tells calls of one predictor apart.
    pub number: u64,
}

/// Something that happened in a running program.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// More text of an output field. Pieces of a text field put together are its value, if the
    /// reply needed no repair; those of other fields are the text that the value is read from.
    Text {
        /// The call.
        #[serde(flatten)]
        call: CallId,
        /// The output field.
        field: Arc<str>,
        /// The new text.
        text: String,
    },
    /// A field is whole. This value counts, whatever its pieces were.
    Field {
        /// The call.
        #[serde(flatten)]
        call: CallId,
        /// The output field.
        field: Arc<str>,
        /// Its value.
        value: Value,
    },
    /// More of what the LM thinks before it answers.
    Reasoning {
        /// The call.
        #[serde(flatten)]
        call: CallId,
        /// The new text.
        text: String,
    },
    /// The LM wants a tool called.
    ToolCall {
        /// The call.
        #[serde(flatten)]
        call: CallId,
        /// The tool and its arguments.
        tool: ToolCall,
    },
    /// The reply of this call did not parse and the LM is asked again: what was told of the call's
    /// fields so far is void.
    Restart {
        /// The call.
        #[serde(flatten)]
        call: CallId,
    },
    /// A message for people, from [`Context::status`].
    Status {
        /// The message.
        message: String,
    },
}

/// Takes the events of a run. Cloning shares it.
#[derive(Clone, Debug)]
pub struct EventSink {
    sender: UnboundedSender<Event>,
    calls: Arc<AtomicU64>,
}

impl EventSink {
    /// A sink and what comes out of it: for code that runs a program by itself. Most use
    /// [`Module::stream`].
    pub fn channel() -> (Self, UnboundedReceiver<Event>) {
        let (sender, receiver) = unbounded();
        (Self { sender, calls: Arc::default() }, receiver)
    }

    /// Tells an event. If nobody listens any more, nothing happens.
    pub fn send(&self, event: Event) {
        let _ = self.sender.unbounded_send(event);
    }

    /// The id of a call that begins now.
    pub fn begin(&self, path: Arc<str>) -> CallId {
        CallId { path, number: self.calls.fetch_add(1, Ordering::Relaxed) }
    }
}

/// An item of a [`Run`].
#[derive(Clone, Debug, PartialEq)]
pub enum Streamed<O> {
    /// Something happened.
    Event(Event),
    /// The end: what [`Module::call`] would have given.
    Done(Prediction<O>),
}

/// A program that runs while it is polled: events, then the prediction or an error. Dropping it
/// ends the run, tasks that it spawned included (by [`Cancel`]).
#[must_use = "nothing runs unless it is polled"]
pub struct Run<'a, O> {
    events: UnboundedReceiver<Event>,
    work: Option<BoxFuture<'a, Result<Prediction<O>>>>,
    result: Option<Result<Prediction<O>>>,
    cancel: Cancel,
}

impl<'a, O: 'a> Run<'a, O> {
    /// Starts nothing yet; see [`Module::stream`].
    pub(crate) fn new<M: Module<Output = O>>(module: &'a M, cx: &Context, input: M::Input) -> Self {
        let (sink, events) = EventSink::channel();
        // Its own, so that dropping the run ends what it spawned and nothing else.
        let cancel = cx.cancel().child();
        let cx = cx.with_events(sink).with_cancel(cancel.clone());
        let work = Box::pin(async move { module.call(&cx, input).await });
        Self { events, work: Some(work), result: None, cancel }
    }
}

impl<O> Drop for Run<'_, O> {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl<O: Unpin> Stream for Run<'_, O> {
    type Item = Result<Streamed<O>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            // What happened before the end is told before it. Spawned tasks may hold the sink
            // longer than the run lasts, so the end of the channel is not waited for.
            if !this.events.is_terminated()
                && let Poll::Ready(Some(event)) = Pin::new(&mut this.events).poll_next(cx)
            {
                return Poll::Ready(Some(Ok(Streamed::Event(event))));
            }
            if let Some(result) = this.result.take() {
                return Poll::Ready(Some(result.map(Streamed::Done)));
            }
            let Some(work) = &mut this.work else { return Poll::Ready(None) };
            match work.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(result) => {
                    this.result = Some(result);
                    this.work = None;
                }
            }
        }
    }
}
