//! One call in flight for each key: who comes later waits for its result.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{Either, pending, select};
use teleprompt_core::{LmError, LmResponse};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::key::{Key, KeyMap};

pub(super) type Outcome = Result<Arc<LmResponse>, LmError>;
type Slot = Arc<AsyncMutex<Option<Outcome>>>;

/// The calls in flight.
#[derive(Default)]
pub(super) struct Flights(Arc<Mutex<KeyMap<Slot>>>);

/// Joining a flight makes one either its leader, who has to call, or hands the result over, or one
/// has waited long enough and is to call too.
pub(super) enum Joined {
    Leader(Leader),
    Landed(Outcome),
    TooLong,
}

impl Flights {
    /// Waits while another one leads. If that one is dropped without a result, the next in line
    /// leads; if it fails, all who waited get its error. A leader may be a stream that no one reads.
    pub(super) async fn join(&self, key: Key, longest_wait: Duration) -> Joined {
        let ticket = self.ticket(key);
        let guard = match ticket.slot.clone().try_lock_owned() {
            Ok(guard) => guard,
            Err(_) => {
                let turn = pin!(ticket.slot.clone().lock_owned());
                match select(turn, pin!(patience(longest_wait))).await {
                    Either::Left((guard, _)) => guard,
                    Either::Right(_) => return Joined::TooLong,
                }
            }
        };
        match &*guard {
            Some(outcome) => Joined::Landed(outcome.clone()),
            None => Joined::Leader(Leader { guard, ticket }),
        }
    }

    fn ticket(&self, key: Key) -> Ticket {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.entry(key).or_default().clone();
        Ticket { slots: self.0.clone(), key, slot }
    }
}

/// Over after this time on tokio's clock; without one, never.
async fn patience(time: Duration) {
    match tokio::runtime::Handle::try_current() {
        Ok(_) => tokio::time::sleep(time).await,
        Err(_) => pending().await,
    }
}

/// The one who calls.
pub(super) struct Leader {
    // Dropped first: the next in line needs the lock before the ticket is gone.
    guard: OwnedMutexGuard<Option<Outcome>>,
    ticket: Ticket,
}

impl Leader {
    /// Hands the result to all who wait; who comes from now on starts anew.
    pub(super) fn land(mut self, outcome: Outcome) {
        self.ticket.forget();
        *self.guard = Some(outcome);
    }
}

/// A place in a flight. The last one to leave takes the flight out of the map.
struct Ticket {
    slots: Arc<Mutex<KeyMap<Slot>>>,
    key: Key,
    slot: Slot,
}

impl Ticket {
    fn forget(&self) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.get(&self.key).is_some_and(|slot| Arc::ptr_eq(slot, &self.slot)) {
            slots.remove(&self.key);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = slots.get(&self.key).is_some_and(|slot| Arc::ptr_eq(slot, &self.slot));
        // The map's and ours: no one else is in it, and no one can join while we hold the map.
        if mine && Arc::strong_count(&self.slot) <= 2 {
            slots.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use teleprompt_core::LmRequest;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn key() -> Key {
        Key::of("lm", &LmRequest::new(Vec::new()))
    }

    #[tokio::test]
    async fn a_dropped_leader_leaves_the_lead_to_the_next_and_nothing_behind() {
        let flights = Flights::default();
        let Joined::Leader(first) = flights.join(key(), HOUR).await else { panic!("no leader") };
        let mut second = Box::pin(flights.join(key(), HOUR));
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        let Joined::Leader(second) = second.await else { panic!("no second leader") };
        drop(second);
        assert!(flights.0.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn who_waits_gets_the_result_and_who_comes_later_starts_anew() {
        let flights = Flights::default();
        let Joined::Leader(first) = flights.join(key(), HOUR).await else { panic!("no leader") };
        let mut second = Box::pin(flights.join(key(), HOUR));
        assert!(futures::poll!(&mut second).is_pending());
        first.land(Ok(Arc::new(LmResponse::text("x"))));
        assert!(matches!(flights.join(key(), HOUR).await, Joined::Leader(_)));
        let Joined::Landed(Ok(got)) = second.await else { panic!("no result") };
        assert_eq!(got.completions[0].text, "x");
        assert!(flights.0.lock().unwrap().is_empty());
    }
}
