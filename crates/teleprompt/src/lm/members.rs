//! What layers over several LMs share.

use teleprompt_core::{Capabilities, Lm, LmError, LmHandle, LmRequest, LmResponse, Price};

/// What all of them can do.
pub(crate) fn capabilities<'a>(mut lms: impl Iterator<Item = &'a LmHandle>) -> Capabilities {
    let first = lms.next().map(Lm::capabilities).unwrap_or_default();
    lms.fold(first, |all, lm| all.both(lm.capabilities()))
}

/// The most that any of them counts, if all count.
pub(crate) fn count_tokens<'a>(
    lms: impl Iterator<Item = &'a LmHandle>,
    request: &LmRequest,
) -> Option<u64> {
    let counts: Option<Vec<u64>> = lms.map(|lm| lm.count_tokens(request)).collect();
    counts?.into_iter().max()
}

/// The dearest price of any, if all are known.
pub(crate) fn price<'a>(lms: impl Iterator<Item = &'a LmHandle>) -> Option<Price> {
    let prices: Option<Vec<Price>> = lms.map(Lm::price).collect();
    prices?.into_iter().reduce(Price::max)
}

/// The failures of one call, as it went from LM to LM.
#[derive(Default)]
pub(crate) struct Failures(Vec<LmError>);

impl Failures {
    pub(crate) fn push(&mut self, error: LmError) {
        self.0.push(error);
    }

    /// Attempts that may have been charged.
    pub(crate) fn lost(&self) -> u64 {
        self.0.iter().map(LmError::lost).sum()
    }

    /// The answer that came after them.
    pub(crate) fn told_in(&self, mut response: LmResponse) -> LmResponse {
        response.usage.lost_attempts += self.lost();
        response
    }

    /// The last error, with a note of those before it; `None` where there was none.
    pub(crate) fn into_error(mut self) -> Option<LmError> {
        let last = self.0.pop()?;
        Some(self.before(last))
    }

    /// This error, with a note of those before it.
    pub(crate) fn before(self, mut last: LmError) -> LmError {
        last.lost_attempts += self.lost();
        let notes: Vec<String> =
            self.0.iter().map(|e| format!("{} ({e})", e.kind.code())).collect();
        if !notes.is_empty() {
            last.message += &format!("; failed before: {}", notes.join("; "));
        }
        last
    }
}
