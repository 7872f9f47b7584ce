//! `local:NAME`: the embedded engine, its model from the store.

use teleprompt_core::{Error, LmHandle, Result};
use teleprompt_local::{EngineConfig, LocalLm};

use super::registry::LmTarget;
use crate::store::{ModelStore, TerminalObserver};

/// Loads the model, after pulling it if need be.
pub(super) async fn connect(target: LmTarget) -> Result<LmHandle> {
    let observer = TerminalObserver::new(target.options.quiet);
    let path = ModelStore::open().ensure(&target.model, &observer).await?;
    let name = target.name();
    let config = EngineConfig { threads: target.options.threads, ..EngineConfig::default() };
    // Weights are read and checked meanwhile, which takes long.
    let load = tokio::task::spawn_blocking(move || LocalLm::load(&name, &path, config));
    let lm = load.await.map_err(|e| Error::Other(format!("loading the model failed: {e}")))??;
    Ok(LmHandle::new(lm))
}
