//! One pull of a file at a time, across tasks and processes.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use super::error::StoreError;

/// Held while a file is pulled; dropping it, or the end of the process, releases it.
///
/// The lock file stays: removing it would let two processes lock two files of the same name.
#[derive(Debug)]
pub(super) struct PullLock {
    _file: File,
}

/// How often a waiting pull looks whether it may start.
const POLL: Duration = Duration::from_millis(100);

impl PullLock {
    /// Waits for the lock; `on_wait` is called once if another holds it.
    ///
    /// Asks again and again instead of blocking a thread, so that a dropped wait leaves nothing
    /// behind that would keep the runtime from ending.
    pub(super) async fn acquire(path: &Path, on_wait: impl FnOnce()) -> Result<Self, StoreError> {
        let open = File::options().create(true).truncate(false).write(true).open(path);
        let file = open.map_err(|e| StoreError::io(path, e))?;
        let mut on_wait = Some(on_wait);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) => {
                    if let Some(tell) = on_wait.take() {
                        tell();
                    }
                    tokio::time::sleep(POLL).await;
                }
                Err(TryLockError::Error(e)) => return Err(StoreError::io(path, e)),
            }
        }
    }
}
