//! The time limits of one call.

use std::time::Duration;

use tokio::time::Instant;

use super::super::endpoint::Timeouts;

/// When a call must have begun to answer, and when it must be over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    limits: Timeouts,
    first: Option<Instant>,
    total: Instant,
}

/// What a call waits for.
pub(super) enum Awaited {
    First,
    Next,
    End,
}

impl Clock {
    pub(super) fn start(limits: Timeouts) -> Self {
        let total = Instant::now() + limits.total;
        Self { limits, first: None, total }.renewed()
    }

    /// For a further request of the same call: its answer may begin as late as that of the first.
    pub(crate) fn renewed(self) -> Self {
        Self { first: self.limits.first.map(|first| Instant::now() + first), ..self }
    }

    /// How long the call may still take.
    pub(crate) fn left(&self) -> Duration {
        self.total.saturating_duration_since(Instant::now())
    }

    /// When the next piece must be there.
    pub(super) fn next(&self, begun: bool) -> (Instant, Awaited) {
        let limit = match (begun, self.first, self.limits.stall) {
            (false, Some(first), _) => (first, Awaited::First),
            (true, _, Some(stall)) => (Instant::now() + stall, Awaited::Next),
            _ => (self.total, Awaited::End),
        };
        if limit.0 < self.total { limit } else { (self.total, Awaited::End) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_further_request_has_its_own_first_token_but_the_same_end() {
        let second = Duration::from_secs(1);
        let clock = Clock::start(Timeouts { first: Some(second), ..Timeouts::default() });
        let (first, _) = clock.next(false);
        tokio::time::advance(second * 5).await;
        let (renewed, awaited) = clock.renewed().next(false);
        assert_eq!(renewed, first + second * 5);
        assert!(matches!(awaited, Awaited::First));
        assert_eq!(clock.renewed().total, clock.total);
        tokio::time::advance(second * 594 + second / 2).await;
        let (last, awaited) = clock.renewed().next(false);
        assert!(last == clock.total && matches!(awaited, Awaited::End));
    }
}
