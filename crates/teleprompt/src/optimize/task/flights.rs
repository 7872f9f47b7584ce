//! Equal wishes at the same time: one pays, the others wait for its result.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use teleprompt_core::{Error, Result};

/// Held by who pays; holds the error if that failed.
type Flight = tokio::sync::Mutex<Option<Error>>;

/// What is being paid, by key.
#[derive(Default)]
pub(super) struct Flights(Mutex<HashMap<String, Weak<Flight>>>);

impl Flights {
    /// What is known under this key, else what is paid for now. Of several that want the same at the
    /// same time the first pays; if that fails, it fails for all that waited.
    pub async fn once<T>(
        &self,
        key: &str,
        known: impl Fn() -> Option<T>,
        pay: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let flight = self.flight(key);
        let mut failed = flight.lock().await;
        if let Some(result) = known() {
            return Ok(result);
        }
        if let Some(error) = &*failed {
            return Err(error.clone());
        }
        let result = pay.await;
        *failed = result.as_ref().err().cloned();
        result
    }

    fn flight(&self, key: &str) -> Arc<Flight> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = all.get(key).and_then(Weak::upgrade) {
            return flight;
        }
        // There are as many as are in flight, and a few that ended.
        all.retain(|_, flight| flight.strong_count() > 0);
        let flight = Arc::new(Flight::default());
        all.insert(key.to_owned(), Arc::downgrade(&flight));
        flight
    }
}
