//! Ending work from outside.

use std::future::pending;
use std::sync::Arc;

use tokio::sync::watch;

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
    own: Arc<watch::Sender<bool>>,
    /// Cancelling one of these cancels this one too.
    parents: Arc<[Arc<watch::Sender<bool>>]>,
}

impl Default for Cancel {
    fn default() -> Self {
        Self { own: Arc::new(watch::Sender::new(false)), parents: Arc::from([]) }
    }
}

impl Cancel {
    /// Ends the work: every predictor call from now on returns
    /// [`Error::Cancelled`](crate::Error::Cancelled), and those in flight are dropped, which closes
    /// their connections.
    pub fn cancel(&self) {
        self.own.send_replace(true);
    }

    /// Whether it was ended.
    pub fn is_cancelled(&self) -> bool {
        *self.own.borrow() || self.parents.iter().any(|p| *p.borrow())
    }

    /// Waits until it is ended.
    pub async fn cancelled(&self) {
        let all = self.parents.iter().chain([&self.own]);
        let waits = all.map(|sender| {
            let mut receiver = sender.subscribe();
            Box::pin(async move {
                if receiver.wait_for(|cancelled| *cancelled).await.is_err() {
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
        let parents = self.parents.iter().chain([&self.own]).cloned();
        Self { own: Arc::new(watch::Sender::new(false)), parents: parents.collect() }
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
}
