//! One call of a model: within the budget, told while it comes, and whether its answer is of use.

use std::pin::pin;

use futures::future::{Either, select};
use teleprompt_core::{
    Completion, Context, Error, FinishReason, Lm, LmError, LmErrorKind, LmHandle, LmRequest,
    LmResponse, Need, Reservation, Result, Usage,
};

use super::ready::Ready;
use super::telling::Teller;

/// How often a streamed reply may break off and be asked for anew.
const MOST_BREAKS: u32 = 2;

pub(super) async fn generate(
    cx: &Context,
    lm: &LmHandle,
    request: &LmRequest,
) -> Result<LmResponse> {
    within(cx, &Need::of(lm, request), |r| &r.usage, lm.generate(request)).await
}

/// One call, told while it comes. A reply that breaks off after it began is asked for anew: the layers
/// below cannot do that, as they have given its pieces away.
pub(super) async fn told(
    cx: &Context,
    lm: &LmHandle,
    request: &LmRequest,
    ready: &Ready,
    teller: &mut Teller<'_>,
) -> Result<LmResponse> {
    let need = || Need::of(lm, request);
    for _ in 0..MOST_BREAKS {
        let reader = ready.adapter.reader(&ready.signature);
        match within(cx, &need(), |r| &r.usage, teller.follow(lm, request, reader)).await {
            Err(Error::Lm(error)) if error.is_retryable() && teller.has_begun() => teller.restart(),
            outcome => return outcome,
        }
    }
    let reader = ready.adapter.reader(&ready.signature);
    within(cx, &need(), |r| &r.usage, teller.follow(lm, request, reader)).await
}

/// One call, within the budget; ended when the context is cancelled or its time is over.
pub(super) async fn within<T>(
    cx: &Context,
    need: &Need,
    usage: impl Fn(&T) -> &Usage,
    call: impl Future<Output = Result<T, LmError>>,
) -> Result<T> {
    if cx.cancel().is_cancelled() {
        return Err(Error::Cancelled);
    }
    let work = async {
        let flight = Flight(Some(cx.meter().reserve(need).await?));
        let outcome = call.await;
        flight.land(outcome.as_ref().map(&usage));
        Ok(outcome?)
    };
    let timed = async {
        match cx.meter().time_left() {
            None => work.await,
            Some(left) => match tokio::time::timeout(left, work).await {
                Ok(result) => result,
                Err(_) => Err(cx.meter().time_is_over().into()),
            },
        }
    };
    match select(pin!(timed), pin!(cx.cancel().cancelled())).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(Error::Cancelled),
    }
}

/// A call that is under way. Dropped, it may be charged all the same.
struct Flight(Option<Reservation>);

impl Flight {
    fn land(mut self, outcome: Result<&Usage, &LmError>) {
        match (self.0.take(), outcome) {
            (Some(reservation), Ok(usage)) => reservation.settle(usage),
            (Some(reservation), Err(error)) => reservation.fail(error),
            (None, _) => {}
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if let Some(reservation) = self.0.take() {
            reservation.forfeit();
        }
    }
}

/// The completions that are what the LM wanted to say: neither cut off nor withheld.
pub(super) fn usable(response: &LmResponse) -> impl Iterator<Item = &Completion> {
    let broken =
        |c: &&Completion| !matches!(c.finish, FinishReason::Length | FinishReason::ContentFilter);
    response.completions.iter().filter(broken)
}

/// Why no completion is usable, if none is. A cut reply may well parse, with half a sentence or half a
/// number in its last field; asking again would be cut off again, and be refused again.
pub(super) fn unusable(
    path: &str,
    lm: &LmHandle,
    response: &LmResponse,
    request: &LmRequest,
) -> Option<Error> {
    if usable(response).next().is_some() {
        return None;
    }
    let first = response.completions.first()?;
    if let Some(cut) = response.completions.iter().find(|c| c.finish == FinishReason::Length) {
        let limit = request.settings.max_tokens;
        return Some(Error::Truncated {
            path: path.to_owned(),
            reply: cut.text.clone(),
            completion_tokens: response.usage.completion_tokens,
            limit: limit.map_or_else(|| "the LM's default".to_owned(), |n| n.to_string()),
        });
    }
    let said = first.finish_said.as_deref().unwrap_or("content filter");
    let said = if first.text.is_empty() { said } else { &first.text };
    let message = format!("{path}: the LM will not answer this: {said}; change the input");
    Some(LmError::new(LmErrorKind::ContentFilter, lm.name(), message).into())
}
