//! `local:NAME`: the embedded engine, its model from the store.

use teleprompt_core::{Error, LmHandle, Result};
use teleprompt_local::{EngineConfig, LocalLm};

use super::registry::LmTarget;
use crate::store::ModelStore;

/// Loads the model, after pulling it if need be.
pub(super) async fn connect(target: LmTarget) -> Result<LmHandle> {
    let path = ModelStore::default()?.ensure(&target.model).await?;
    let name = target.name();
    let mut config = EngineConfig::default();
    if let Some(threads) = target.options.threads {
        config.threads = threads;
    }
    // Reading the weights takes long, and so does the check of the file.
    let load = tokio::task::spawn_blocking(move || LocalLm::load(&name, &path, config));
    let lm = load.await.map_err(|e| Error::Other(format!("loading the model failed: {e}")))??;
    Ok(LmHandle::new(lm))
}
