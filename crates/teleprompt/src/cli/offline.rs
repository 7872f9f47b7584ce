//! An LM that answers nothing: for commands that call none, and to see what would be sent.

use std::sync::{Arc, Mutex, PoisonError};

use teleprompt_core::{Capabilities, Lm, LmError, LmErrorKind, LmRequest, LmResponse};

/// Keeps the first request and refuses them all. It can stand for an LM: it then has its name and
/// its abilities, so that the request is the one that the LM would get.
#[derive(Clone, Debug)]
pub(super) struct Offline {
    name: Arc<str>,
    able: Capabilities,
    first: Arc<Mutex<Option<Kept>>>,
}

/// A request, and the name of the LM that got it.
type Kept = (Arc<str>, LmRequest);

impl Default for Offline {
    fn default() -> Self {
        Self { name: "none".into(), able: Capabilities::none(), first: Arc::default() }
    }
}

impl Offline {
    /// The same, standing for this LM; the first request is shared.
    pub fn standing_for(&self, name: &str, able: Capabilities) -> Self {
        Self { name: name.into(), able, first: self.first.clone() }
    }

    /// The first request.
    pub fn first(&self) -> Option<Kept> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Lm for Offline {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        self.first
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_with(|| (self.name.clone(), request.clone()));
        Err(LmError::new(LmErrorKind::Unsupported, self.name(), "no LM is called here"))
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn capabilities(&self) -> Capabilities {
        self.able
    }
}
