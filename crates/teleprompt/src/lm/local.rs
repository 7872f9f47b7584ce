//! `local:NAME`: the embedded engine, its model from the store.

use teleprompt_core::{Error, LmHandle, Result};
use teleprompt_local::{EngineConfig, LocalLm, kernel_warning};

use super::registry::LmTarget;
use crate::store::{ModelStore, PullObserver, TerminalObserver};

/// Loads the model, after pulling it if need be.
pub(super) async fn connect(target: LmTarget) -> Result<LmHandle> {
    let observer = TerminalObserver::new(target.options.quiet);
    if let Some(warning) = kernel_warning() {
        observer.note(&warning);
    }
    let path = ModelStore::open().ensure(&target.model, &observer).await?;
    let name = target.name();
    let config = EngineConfig { threads: target.options.threads, ..EngineConfig::default() };
    // Reading the weights takes long, and so does the check of the file.
    let load = tokio::task::spawn_blocking(move || LocalLm::load(&name, &path, config));
    let lm = load.await.map_err(|e| Error::Other(format!("loading the model failed: {e}")))??;
    Ok(LmHandle::new(lm))
}
