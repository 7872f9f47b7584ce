//! Which member of a balance is to be asked.

use std::time::Duration;

use tokio::time::Instant;

use crate::lm::rate::LONGEST;

/// The rest after the first failure; each further one doubles it.
const FIRST_REST: Duration = Duration::from_secs(1);
/// The longest rest.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// What is known of the members.
pub(super) struct Health {
    members: Vec<Member>,
    /// Counts the calls, to tell who was asked longest ago.
    clock: u64,
}

#[derive(Clone, Default)]
struct Member {
    in_flight: u64,
    asked: u64,
    /// Failures without a success between them.
    failed: u32,
    rests_until: Option<Instant>,
    /// The end of the rest that the member asked for itself.
    asked_until: Option<Instant>,
}

impl Member {
    fn asks_for_rest(&self, now: Instant) -> bool {
        self.asked_until.is_some_and(|until| until > now)
    }
}

impl Health {
    pub(super) fn new(members: usize) -> Self {
        Self { members: vec![Member::default(); members], clock: 0 }
    }

    /// Chooses a member that was not tried yet and counts a call for it: of the well ones the one
    /// with the fewest calls in flight, and of those the one that was asked longest ago. One that
    /// failed gets one call at a time once its rest is over, before all others; if all rest, the one
    /// that rests the shortest is asked, but none that asked to be left alone.
    pub(super) fn choose(&mut self, now: Instant, tried: &[usize]) -> Option<usize> {
        let free = |(i, m): &(usize, &Member)| !tried.contains(i) && !m.asks_for_rest(now);
        let rank = |m: &Member| match m.rests_until {
            Some(until) if until <= now && m.in_flight == 0 => (0, Some(until), 0, m.asked),
            None => (1, None, m.in_flight, m.asked),
            Some(until) => (2, Some(until), m.in_flight, m.asked),
        };
        let candidates = self.members.iter().enumerate().filter(free);
        let (index, _) = candidates.min_by_key(|(_, m)| rank(m))?;
        self.clock += 1;
        let clock = self.clock;
        let member = self.members.get_mut(index)?;
        member.in_flight += 1;
        member.asked = clock;
        Some(index)
    }

    /// A call is over, however.
    pub(super) fn leave(&mut self, index: usize) {
        if let Some(member) = self.members.get_mut(index) {
            member.in_flight = member.in_flight.saturating_sub(1);
        }
    }

    /// The member answered. It may have asked for a rest since that call began: that is kept.
    pub(super) fn well(&mut self, now: Instant, index: usize) {
        if let Some(member) = self.members.get_mut(index) {
            member.failed = 0;
            member.asked_until = member.asked_until.filter(|until| *until > now);
            member.rests_until = member.asked_until;
        }
    }

    /// How long until a member may be asked; `None` if none of them asked to be left alone.
    pub(super) fn shortest_rest(&self, now: Instant) -> Option<Duration> {
        if !self.members.iter().any(|m| m.asks_for_rest(now)) {
            return None;
        }
        let rest = |m: &Member| m.rests_until.map_or(Duration::ZERO, |until| until - now);
        self.members.iter().map(rest).min()
    }

    /// The member failed, and may have asked to be left alone for some time.
    pub(super) fn ill(&mut self, now: Instant, index: usize, asked: Option<Duration>) {
        if let Some(member) = self.members.get_mut(index) {
            // Calls that were in flight together fail together: that is one failure.
            if member.rests_until.is_none_or(|until| until <= now) {
                member.failed = member.failed.saturating_add(1);
            }
            let doubled = 2_u32.saturating_pow(member.failed.saturating_sub(1));
            let rest = FIRST_REST.saturating_mul(doubled).min(LONGEST_REST);
            let asked = asked.map(|wait| now + wait.min(LONGEST));
            member.asked_until = member.asked_until.max(asked);
            member.rests_until = member.rests_until.max(Some(asked.unwrap_or(now + rest)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: u64) -> Instant {
        // One beginning for all tests of a thread is enough: only differences count.
        thread_local!(static BEGIN: Instant = Instant::now());
        BEGIN.with(|b| *b) + Duration::from_secs(seconds)
    }

    #[test]
    fn the_least_busy_is_asked_and_equal_ones_in_turn() {
        let mut health = Health::new(3);
        let mut next = || health.choose(after(0), &[]).unwrap();
        assert_eq!([next(), next(), next(), next()], [0, 1, 2, 0]);
        health.leave(2);
        assert_eq!(health.choose(after(0), &[]), Some(2));
        assert_eq!(health.choose(after(0), &[1, 2]), Some(0));
        assert_eq!(health.choose(after(0), &[0, 1, 2]), None);
    }

    #[test]
    fn rests_grow_and_end_with_one_probe() {
        let mut health = Health::new(2);
        let mut now = 0;
        for rest in [1, 2, 4, 8, 16, 32, 60, 60] {
            health.ill(after(now), 0, None);
            for _ in 0..3 {
                assert_eq!(health.choose(after(now), &[]), Some(1), "while it rests");
            }
            now += rest;
            assert_eq!(health.choose(after(now), &[]), Some(0), "after {rest} s");
            assert_eq!(health.choose(after(now), &[]), Some(1), "one probe at a time");
            health.leave(0);
        }
        health.well(after(now), 0);
        assert_eq!(health.choose(after(now), &[]), Some(0), "well, and has less to do");
    }

    #[test]
    fn failures_at_the_same_time_are_one_and_a_rest_asked_for_is_kept() {
        let mut health = Health::new(2);
        for _ in 0..10 {
            health.ill(after(0), 0, None);
        }
        assert_eq!(health.choose(after(1), &[]), Some(0));
        health.leave(0);
        health.ill(after(1), 0, Some(Duration::from_secs(7)));
        assert_eq!(health.choose(after(7), &[]), Some(1));
        assert_eq!(health.choose(after(8), &[]), Some(0));
    }

    #[test]
    fn if_all_rest_the_first_to_be_well_again_is_asked() {
        let mut health = Health::new(2);
        health.ill(after(0), 0, None);
        health.ill(after(0), 1, None);
        health.ill(after(1), 0, None);
        health.ill(after(1), 0, None);
        assert_eq!(health.choose(after(1), &[]), Some(1));
    }

    #[test]
    fn a_rest_that_was_asked_for_is_neither_cut_short_nor_disturbed() {
        let mut health = Health::new(2);
        let seconds = |n| Some(Duration::from_secs(n));
        health.ill(after(0), 0, seconds(60));
        health.ill(after(1), 0, None);
        health.ill(after(1), 0, seconds(5));
        health.well(after(2), 0);
        assert_eq!(health.choose(after(59), &[1]), None);
        assert_eq!(health.choose(after(59), &[]), Some(1), "which needs no rest");
        assert_eq!(health.shortest_rest(after(59)), Some(Duration::ZERO));
        health.ill(after(59), 1, seconds(10));
        assert_eq!(health.choose(after(59), &[]), None);
        assert_eq!(health.shortest_rest(after(59)), seconds(1));
        assert_eq!(health.choose(after(60), &[]), Some(0));
        health.ill(after(61), 1, Some(Duration::MAX));
        assert_eq!(health.shortest_rest(after(70)), Some(Duration::ZERO));
    }
}
