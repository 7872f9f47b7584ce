//! Several completions where each takes a request of its own.

#[cfg(feature = "genai")]
use std::future::ready;

use futures::future::try_join_all;
#[cfg(feature = "genai")]
use futures::future::{Either, join_all};
use teleprompt_core::{LmError, LmRequest, LmResponse};

use super::retry::RetryConfig;

/// The request for the completion of this number alone: its seed is raised by the number.
pub(crate) fn single(request: &LmRequest, index: usize) -> LmRequest {
    let mut single = request.clone();
    single.n = 1;
    single.settings.seed = request.settings.seed.map(|seed| seed.wrapping_add(index as u64));
    single
}

/// Asks for all of these at once, beside others that have arrived. A request that fails in passing is
/// repeated on its own, so that nothing that has arrived is asked for, and paid, again.
///
/// # Errors
/// The first failure that stays; it is marked, so that [`Retry`](super::Retry) does not repeat the
/// whole.
pub(crate) async fn missing<'r, F>(
    requests: &'r [LmRequest],
    retry: &RetryConfig,
    ask: impl Fn(&'r LmRequest) -> F,
) -> Result<Vec<LmResponse>, LmError>
where
    F: Future<Output = Result<LmResponse, LmError>>,
{
    let ask = &ask;
    let calls = requests.iter().map(|request| retry.call(move || ask(request)));
    try_join_all(calls).await.map_err(|error| given_up(error, requests.len()))
}

/// What has arrived or is under way is lost, and so may be charged for nothing.
fn given_up(mut error: LmError, others: usize) -> LmError {
    error.lost_attempts += others as u64;
    error.with_no_retry(true)
}

/// Asks for all of these at once. Once one has arrived, as [`missing`] for the others.
///
/// # Errors
/// The first failure, unmarked if none has arrived.
#[cfg(feature = "genai")]
pub(crate) async fn all<'r, F>(
    requests: &'r [LmRequest],
    retry: &RetryConfig,
    ask: impl Fn(&'r LmRequest) -> F,
) -> Result<Vec<LmResponse>, LmError>
where
    F: Future<Output = Result<LmResponse, LmError>>,
{
    let ask = &ask;
    let first = join_all(requests.iter().map(ask)).await;
    if first.iter().all(Result::is_err) {
        return first.into_iter().collect();
    }
    let calls = requests.iter().zip(first).map(|(request, first)| {
        let mut first = Some(first);
        retry.call(move || match first.take() {
            Some(reply) => Either::Left(ready(reply)),
            None => Either::Right(ask(request)),
        })
    });
    try_join_all(calls).await.map_err(|error| given_up(error, requests.len() - 1))
}
