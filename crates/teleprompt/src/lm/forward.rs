//! What layers share: handing methods on, and being told how a call ended.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::stream::{self, Stream, StreamExt};
use teleprompt_core::{LmChunk, LmError, LmResponse, LmStream};

/// Inside `impl Lm for …`: hands the methods named on to the LM in a field, or all that tell of the
/// LM and do not call it, except `describe`.
macro_rules! forward {
    ($inner:ident) => {
        $crate::lm::forward::forward!($inner: name, identity, capabilities, count_tokens, price);
    };
    ($inner:ident: $($method:ident),+) => {
        $($crate::lm::forward::forward!(@ $inner $method);)+
    };
    (@ $inner:ident name) => {
        fn name(&self) -> &str {
            ::teleprompt_core::Lm::name(&self.$inner)
        }
    };
    (@ $inner:ident identity) => {
        fn identity(&self) -> String {
            ::teleprompt_core::Lm::identity(&self.$inner)
        }
    };
    (@ $inner:ident capabilities) => {
        fn capabilities(&self) -> ::teleprompt_core::Capabilities {
            ::teleprompt_core::Lm::capabilities(&self.$inner)
        }
    };
    (@ $inner:ident count_tokens) => {
        fn count_tokens(&self, request: &::teleprompt_core::LmRequest) -> Option<u64> {
            ::teleprompt_core::Lm::count_tokens(&self.$inner, request)
        }
    };
    (@ $inner:ident price) => {
        fn price(&self) -> Option<::teleprompt_core::Price> {
            ::teleprompt_core::Lm::price(&self.$inner)
        }
    };
}

pub(crate) use forward;

/// How a call ended.
pub(crate) enum End<'r> {
    /// With this answer, which may be changed before it goes up.
    Done(&'r mut LmResponse),
    /// With this error.
    Failed(&'r LmError),
    /// The caller went away, or a stream ended without its last piece.
    Dropped,
}

/// Runs the call and tells how it ended, also if it is dropped before that.
pub(crate) async fn watch_call<F: FnOnce(End<'_>)>(
    call: impl Future<Output = Result<LmResponse, LmError>>,
    at_end: F,
) -> Result<LmResponse, LmError> {
    let ending = Ending(Some(at_end));
    let mut outcome = call.await;
    ending.of(match &mut outcome {
        Ok(response) => End::Done(response),
        Err(error) => End::Failed(error),
    });
    outcome
}

/// The same stream; tells how it ended, also if it is dropped before that.
pub(crate) fn watch_stream<'a, F>(stream: LmStream<'a>, at_end: F) -> LmStream<'a>
where
    F: FnOnce(End<'_>) + Send + Unpin + 'a,
{
    Box::pin(Watched { stream, ending: Some(Ending(Some(at_end))) })
}

/// The same stream, whose answer tells of so many attempts that were lost before it.
pub(crate) fn with_lost(stream: LmStream<'_>, lost: u64) -> LmStream<'_> {
    if lost == 0 {
        return stream;
    }
    let add = move |chunk: Result<LmChunk, LmError>| match chunk {
        Ok(LmChunk::Done(mut response)) => {
            response.usage.lost_attempts += lost;
            Ok(LmChunk::Done(response))
        }
        Err(mut error) => {
            error.lost_attempts += lost;
            Err(error)
        }
        other => other,
    };
    stream.map(add).boxed()
}

/// A stream whose beginning has to be waited for.
pub(crate) fn begin_later<'a>(
    begin: impl Future<Output = Result<LmStream<'a>, LmError>> + Send + 'a,
) -> LmStream<'a> {
    let begun =
        async move { begin.await.unwrap_or_else(|error| stream::iter([Err(error)]).boxed()) };
    stream::once(begun).flatten().boxed()
}

/// The pieces of a whole answer.
pub(crate) fn pieces(answer: Result<LmResponse, LmError>) -> Vec<Result<LmChunk, LmError>> {
    match answer {
        Ok(response) => response.into_chunks().into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    }
}

/// Tells its function once: of the end, or that it was dropped.
struct Ending<F: FnOnce(End<'_>)>(Option<F>);

impl<F: FnOnce(End<'_>)> Ending<F> {
    fn of(mut self, end: End<'_>) {
        if let Some(tell) = self.0.take() {
            tell(end);
        }
    }
}

impl<F: FnOnce(End<'_>)> Drop for Ending<F> {
    fn drop(&mut self) {
        if let Some(tell) = self.0.take() {
            tell(End::Dropped);
        }
    }
}

struct Watched<'a, F: FnOnce(End<'_>)> {
    stream: LmStream<'a>,
    ending: Option<Ending<F>>,
}

impl<F: FnOnce(End<'_>) + Unpin> Stream for Watched<'_, F> {
    type Item = Result<LmChunk, LmError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut polled = self.stream.as_mut().poll_next(cx);
        let end = match &mut polled {
            Poll::Ready(Some(Ok(LmChunk::Done(response)))) => End::Done(response),
            Poll::Ready(Some(Err(error))) => End::Failed(error),
            Poll::Ready(None) => End::Dropped,
            _ => return polled,
        };
        if let Some(ending) = self.ending.take() {
            ending.of(end);
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::Mutex;

    use teleprompt_core::{Lm, LmErrorKind, LmRequest};
    use teleprompt_testkit::{Reply, ScriptedLm};

    use super::*;

    fn word(end: End<'_>) -> &'static str {
        match end {
            End::Done(_) => "done",
            End::Failed(_) => "failed",
            End::Dropped => "dropped",
        }
    }

    #[tokio::test]
    async fn each_end_is_told_once() {
        let lm = ScriptedLm::replies([Reply::from("a"), Reply::error(LmErrorKind::Server)]);
        let request = LmRequest::new(Vec::new());
        let told = RefCell::new(Vec::new());
        let tell = |end: End<'_>| told.borrow_mut().push(word(end));
        watch_call(lm.generate(&request), tell).await.unwrap();
        watch_call(lm.generate(&request), tell).await.unwrap_err();
        drop(watch_call(lm.generate(&request), tell));
        assert_eq!(*told.borrow(), ["done", "failed"], "a call that was never begun has no end");
        drop(futures::FutureExt::now_or_never(watch_call(std::future::pending(), tell)));
        assert_eq!(told.borrow().last(), Some(&"dropped"));
    }

    #[tokio::test]
    async fn so_is_each_end_of_a_stream() {
        let lm = ScriptedLm::new(|_| "a");
        let request = LmRequest::new(Vec::new());
        let told = Mutex::new(Vec::new());
        let tell = |end: End<'_>| told.lock().unwrap().push(word(end));
        let chunks: Vec<_> = watch_stream(lm.stream(&request), tell).collect().await;
        assert_eq!((chunks.len(), &**told.lock().unwrap()), (2, &["done"][..]));
        let mut left = watch_stream(lm.stream(&request), tell);
        left.next().await.unwrap().unwrap();
        drop(left);
        drop(watch_stream(stream::empty().boxed(), tell));
        assert_eq!(*told.lock().unwrap(), ["done", "dropped", "dropped"]);
    }
}
