//! Ending work from outside.

use std::future::pending;
use std::sync::Arc;

use tokio::sync::watch;

/// How far a [`Cancel`] has gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    #[default]
    Running,
    /// No further call begins.
    Finishing,
    /// Calls in flight are dropped too.
    Cancelled,
}

/// Ends all work under the contexts that share it. Cloning shares it.
///
/// ```
/// use teleprompt_core::Cancel;
///
/// let run = Cancel::default();
/// let part = run.child();
/// part.cancel();
/// assert!(part.is_cancelled() && !run.is_cancelled());
/// ```
#[derive(Clone, Debug)]
pub struct Cancel {
    own: Arc<watch::Sender<State>>,
    /// Cancelling one of these cancels this one too.
    parents: Arc<[Arc<watch::Sender<State>>]>,
}

impl Default for Cancel {
    fn default() -> Self {
        Self { own: Arc::default(), parents: Arc::from([]) }
    }
}

impl Cancel {
    /// Ends the work: every predictor call from now on returns
    /// [`Error::Cancelled`](crate::Error::Cancelled), and those in flight are dropped, which closes
    /// their connections.
    pub fn cancel(&self) {
        self.own.send_replace(State::Cancelled);
    }

    /// Ends the work without losing what is paid for: no further predictor call begins, those in
    /// flight go on to their end.
    pub fn finish(&self) {
        self.own.send_modify(|state| *state = (*state).max(State::Finishing));
    }

    /// Whether it was ended, in either way: nothing new should begin.
    pub fn is_cancelled(&self) -> bool {
        self.all().any(|sender| *sender.borrow() != State::Running)
    }

    /// Waits until calls in flight have to end: until [`Cancel::cancel`].
    pub async fn cancelled(&self) {
        let waits = self.all().map(|sender| {
            let mut receiver = sender.subscribe();
            Box::pin(async move {
                if receiver.wait_for(|state| *state == State::Cancelled).await.is_err() {
                    // The sender is kept alive by `self`, so this does not happen.
                    pending::<()>().await;
                }
            })
        });
        futures::future::select_all(waits).await;
    }

    /// One that ends with this one, or earlier.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { own: Arc::default(), parents: self.all().cloned().collect() }
    }

    fn all(&self) -> impl Iterator<Item = &Arc<watch::Sender<State>>> {
        self.parents.iter().chain([&self.own])
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::future::poll_immediate;

    use super::*;

    #[test]
    fn who_waits_is_woken_by_any_ancestor() {
        let root = Cancel::default();
        let leaf = root.child().child();
        assert!(block_on(poll_immediate(Box::pin(leaf.cancelled()))).is_none());
        let waiter = leaf.clone();
        let waiting = std::thread::spawn(move || block_on(waiter.cancelled()));
        root.cancel();
        waiting.join().unwrap();
        assert!(leaf.is_cancelled());
        block_on(leaf.cancelled());
    }

    #[test]
    fn finishing_lets_calls_in_flight_go_on() {
        let root = Cancel::default();
        let leaf = root.child();
        root.finish();
        assert!(leaf.is_cancelled());
        assert!(block_on(poll_immediate(Box::pin(leaf.cancelled()))).is_none());
        root.cancel();
        root.finish();
        block_on(leaf.cancelled());
    }
}
