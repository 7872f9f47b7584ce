//! An LM that answers nothing: for commands that call none, and to see what would be sent.

use std::sync::{Arc, Mutex, PoisonError};

use teleprompt_core::{Capabilities, Lm, LmError, LmErrorKind, LmRequest, LmResponse};

/// Keeps the first request and refuses them all.
#[derive(Clone, Debug, Default)]
pub(super) struct Offline(Arc<Mutex<Option<LmRequest>>>);

impl Offline {
    /// The first request.
    pub fn first(&self) -> Option<LmRequest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Lm for Offline {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_with(|| request.clone());
        Err(LmError::new(LmErrorKind::Unsupported, self.name(), "no LM is called here"))
    }
    fn name(&self) -> &str {
        "none"
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities::none()
    }
}
