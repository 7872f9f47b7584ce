//! A budget of an LM's own.

use std::fmt;

use futures::stream::{self, StreamExt};
use teleprompt_core::{
    Error, Limits, Lm, LmError, LmErrorKind, LmHandle, LmRequest, LmResponse, LmStream, Meter,
    Need, Reservation,
};

use super::forward::{End, begin_later, forward, watch_call, watch_stream};

/// An LM with a budget, for code that calls an LM directly; programs have one in their
/// [`Context`](teleprompt_core::Context).
///
/// Each call reserves the most that it can use and settles what it did use, so the limits hold with
/// any number of calls in flight. A call that is not allowed fails with the kind
/// [`LmErrorKind::Budget`], and its message says what is left; so does one that is in flight when the
/// time is over. A call that fails or is dropped gives back what it reserved.
///
/// ```
/// use teleprompt::lm::Metered;
/// use teleprompt::{Limits, Lm, LmErrorKind, LmRequest, Message};
/// use teleprompt_testkit::ScriptedLm;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let limits = Limits { calls: Some(1), ..Limits::default() };
/// let lm = Metered::new(ScriptedLm::new(|_| "ok"), limits);
/// let request = LmRequest::new(vec![Message::user("hi")]);
/// lm.generate(&request).await.unwrap();
/// let error = lm.generate(&request).await.unwrap_err();
/// assert_eq!((error.kind, lm.meter().usage().calls), (LmErrorKind::Budget, 1));
/// assert!(error.message.contains("0 left"));
/// # }
/// ```
pub struct Metered {
    inner: LmHandle,
    meter: Meter,
}

impl Metered {
    /// Wraps an LM, with these limits from now on.
    pub fn new(inner: impl Lm, limits: Limits) -> Self {
        Self::with_meter(LmHandle::new(inner), Meter::new(limits))
    }

    /// Wraps an LM, with a meter that others may share.
    pub fn with_meter(inner: LmHandle, meter: Meter) -> Self {
        Self { inner, meter }
    }

    /// What counts the calls.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    async fn reserve(&self, request: &LmRequest) -> Result<Reservation, LmError> {
        let need = Need::of(&self.inner, request);
        self.in_time(self.meter.reserve(&need)).await?.map_err(|error| self.denied(&error))
    }

    /// The work, unless the time is over first.
    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, LmError> {
        match self.meter.time_left() {
            None => Ok(work.await),
            Some(left) => tokio::time::timeout(left, work).await.map_err(|_| self.time_is_over()),
        }
    }

    fn time_is_over(&self) -> LmError {
        self.denied(&self.meter.time_is_over().into())
    }

    fn denied(&self, error: &Error) -> LmError {
        LmError::new(LmErrorKind::Budget, self.name(), error.to_string())
    }
}

fn settle(reservation: Reservation, end: &End<'_>) {
    match end {
        End::Done(response) => reservation.settle(&response.usage),
        End::Failed(error) => reservation.fail(error),
        End::Dropped => reservation.forfeit(),
    }
}

impl Lm for Metered {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let reservation = self.reserve(request).await?;
        let call = watch_call(self.inner.generate(request), |end| settle(reservation, &end));
        self.in_time(call).await?
    }

    fn stream<'a>(&'a self, request: &'a LmRequest) -> LmStream<'a> {
        begin_later(async move {
            let reservation = self.reserve(request).await?;
            let chunks = watch_stream(self.inner.stream(request), |end| settle(reservation, &end));
            let timed = stream::unfold(Some(chunks), move |chunks| async move {
                let mut chunks = chunks?;
                match self.in_time(chunks.next()).await {
                    Ok(chunk) => Some((chunk?, Some(chunks))),
                    Err(error) => Some((Err(error), None)),
                }
            });
            Ok(timed.boxed())
        })
    }

    forward!(inner);

    fn describe(&self) -> String {
        format!("budget → {}", self.inner.describe())
    }
}

impl fmt::Debug for Metered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metered({})", self.describe())
    }
}
