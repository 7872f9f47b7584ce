//! Waiting for a job to end.

use std::time::Duration;

use teleprompt_core::{Cancel, LmError, LmErrorKind};
use tokio::time::{Instant, sleep};

use super::{JobStatus, OpenAiJobs};
use crate::lm::retry::{backoff, random_part};

/// How often a job is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitConfig {
    /// The wait after the first look; each later one is twice as long. A random part, up to half,
    /// is taken off. Default: 2 s.
    pub first: Duration,
    /// The longest such wait. Default: 60 s.
    pub longest: Duration,
    /// How long to wait in all. Default: without end.
    pub limit: Option<Duration>,
}

impl Default for WaitConfig {
    fn default() -> Self {
        Self { first: Duration::from_secs(2), longest: Duration::from_secs(60), limit: None }
    }
}

impl OpenAiJobs {
    /// Asks until the status is final.
    pub(super) async fn wait<T, F>(
        &self,
        id: &str,
        config: &WaitConfig,
        cancel: &Cancel,
        ask: impl Fn() -> F,
        status: impl Fn(&T) -> &JobStatus,
        mut progress: impl FnMut(&T),
    ) -> Result<T, LmError>
    where
        F: Future<Output = Result<T, LmError>>,
    {
        let begin = Instant::now();
        let mut looks = 0;
        loop {
            let job = tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(self.cancelled(id)),
                job = ask() => job?,
            };
            progress(&job);
            if status(&job).is_final() {
                return Ok(job);
            }
            looks += 1;
            let pause = backoff(config.first, config.longest, looks, random_part());
            if let Some(limit) = config.limit.filter(|limit| begin.elapsed() + pause > *limit) {
                return Err(self.late(id, status(&job), limit));
            }
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(self.cancelled(id)),
                () = sleep(pause) => {}
            }
        }
    }

    fn cancelled(&self, id: &str) -> LmError {
        let message = format!("the wait for {id} was cancelled; the job itself goes on");
        self.client.error(LmErrorKind::Cancelled, message)
    }

    fn late(&self, id: &str, status: &JobStatus, limit: Duration) -> LmError {
        let message = format!(
            "{id} is still {status} after {} s; the job goes on, so wait for it again",
            limit.as_secs()
        );
        self.client.error(LmErrorKind::Timeout, message)
    }
}
