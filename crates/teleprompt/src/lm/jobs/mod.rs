//! OpenAI's files, fine-tuning jobs and batches, and those of servers that follow it.

mod batch;
mod file;
mod fine_tuning;
mod wait;

pub use batch::{Batch, BatchLine, BatchRequest, BatchResult, RequestCounts, batch_input};
pub use file::{FilePurpose, RemoteFile};
pub use fine_tuning::{
    Checkpoint, FineTuningEvent, FineTuningJob, FineTuningMethod, FineTuningRequest,
    Hyperparameters,
};
pub use wait::WaitConfig;

use std::fmt;

use reqwest::Method;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use teleprompt_core::{LmError, LmErrorKind};

use super::client::{Answer, Body, Client};
use super::endpoint::Endpoint;
use super::retry::RetryConfig;

/// Where a job stands, in the provider's word.
///
/// ```
/// use teleprompt::lm::jobs::JobStatus;
/// let status = JobStatus::from("succeeded");
/// assert!(status.is_final() && status.is_success());
/// assert!(!JobStatus::from("in_progress").is_final());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobStatus(String);

impl JobStatus {
    /// The provider's word, such as `queued` or `in_progress`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nothing more will happen. A word that this version does not know is not final.
    pub fn is_final(&self) -> bool {
        self.is_success() || matches!(&*self.0, "failed" | "cancelled" | "expired")
    }

    /// Whether it did what it was made for. A batch can have requests in it that failed all the
    /// same.
    pub fn is_success(&self) -> bool {
        matches!(&*self.0, "succeeded" | "completed")
    }
}

impl From<&str> for JobStatus {
    fn from(word: &str) -> Self {
        Self(word.to_owned())
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A client for OpenAI's files, fine-tuning jobs and batches.
///
/// What only reads is repeated like any call ([`RetryConfig`]). What makes, ends or deletes
/// something is repeated only if the server said that it had too much to do, as then nothing was
/// done; after a broken connection it may have been, so look before you do it again.
///
/// ```no_run
/// use teleprompt::Cancel;
/// use teleprompt::lm::jobs::{
///     BatchLine, BatchRequest, FilePurpose, OpenAiJobs, WaitConfig, batch_input,
/// };
/// use teleprompt::lm::{Endpoint, KeySource};
///
/// # async fn example() -> teleprompt::Result<()> {
/// let openai = Endpoint::new("openai-chat", "https://api.openai.com/v1")?
///     .with_key(KeySource::env("OPENAI_API_KEY"));
/// let jobs = OpenAiJobs::new(openai)?;
/// let body = serde_json::json!({
///     "model": "gpt-5-mini", "messages": [{"role": "user", "content": "Hello"}],
/// });
/// let input = batch_input(&[BatchLine::chat("first", body)])?;
/// let file = jobs.upload("input.jsonl", input, FilePurpose::Batch).await?;
/// let batch = jobs.create_batch(&BatchRequest::chat(file.id)).await?;
/// let wait = WaitConfig::default();
/// let batch = jobs.wait_for_batch(&batch.id, &wait, &Cancel::default(), |_| {}).await?;
/// println!("{:?}", jobs.batch_results(&batch).await?.get("first"));
/// # Ok(())
/// # }
/// ```
pub struct OpenAiJobs {
    client: Client,
    retry: RetryConfig,
}

impl OpenAiJobs {
    /// A client for this endpoint. Nothing is sent yet.
    ///
    /// # Errors
    /// [`LmErrorKind::Transport`]: the machine's certificates cannot be read.
    pub fn new(endpoint: Endpoint) -> Result<Self, LmError> {
        let name = format!("{} jobs", endpoint.provider());
        Ok(Self { client: Client::new(name, endpoint)?, retry: RetryConfig::default() })
    }

    /// With other rules for repeating calls that failed in passing.
    #[must_use]
    pub fn with_retry(mut self, config: RetryConfig) -> Self {
        self.retry = config;
        self
    }

    /// Reads something.
    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, LmError> {
        let read = || async {
            let sent = self.client.send(Method::GET, path, Body::Empty, self.client.clock());
            self.object(sent.await?).await
        };
        self.retry.run(read).await
    }

    /// Makes, ends or deletes something.
    async fn change<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: impl Fn() -> Body,
    ) -> Result<T, LmError> {
        let attempt = || async {
            let sent = self.client.send(method.clone(), path, body(), self.client.clock());
            match sent.await {
                Ok(answer) => self.object(answer).await.map_err(Sent::Maybe),
                Err(error) if is_untouched(&error) => Err(Sent::No(error)),
                Err(error) => Err(Sent::Maybe(error)),
            }
        };
        // An error after which something may have been done ends the loop as a result.
        let attempt = || async {
            match attempt().await {
                Ok(made) => Ok(Ok(made)),
                Err(Sent::Maybe(error)) => Ok(Err(error)),
                Err(Sent::No(error)) => Err(error),
            }
        };
        self.retry.run(attempt).await?
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, LmError> {
        self.change(Method::POST, path, || Body::Json(body.to_string())).await
    }

    async fn object<T: DeserializeOwned>(&self, answer: Answer<'_>) -> Result<T, LmError> {
        let headers = answer.headers().clone();
        // Not `Answer::json`: a job that failed has an `error`, and is no refusal.
        let body = answer.text().await?;
        serde_json::from_str(&body).map_err(|e| {
            let what = format!("something other than the object that was asked for ({e})");
            self.client.protocol(&what, &headers, &body)
        })
    }

    /// The elements of a list, page by page, newest first as the provider has them; at most so many.
    async fn list<T: DeserializeOwned>(&self, path: &str, most: usize) -> Result<Vec<T>, LmError> {
        let mark = if path.contains('?') { '&' } else { '?' };
        let (mut found, mut after) = (Vec::new(), String::new());
        while found.len() < most {
            let limit = (most - found.len()).min(PAGE);
            let page: Page = self.get(&format!("{path}{mark}limit={limit}{after}")).await?;
            let last = page.data.last().and_then(|item| item.get("id")).and_then(Value::as_str);
            after = last.map_or_else(String::new, |id| format!("&after={id}"));
            let (more, before) = (page.has_more && !after.is_empty(), found.len());
            for item in page.data.into_iter().take(limit) {
                let item = serde_json::from_value(item);
                found.push(item.map_err(|e| self.broken(&format!("a list with {e}")))?);
            }
            if !more || found.len() == before {
                break;
            }
        }
        Ok(found)
    }

    /// The error for a reply that is not what the provider promises.
    fn broken(&self, what: &str) -> LmError {
        let place = self.client.endpoint().base_url();
        self.client.error(LmErrorKind::Protocol, format!("{place} answered with {what}"))
    }

    /// An id that goes into a path must not lead elsewhere.
    fn id<'i>(&self, id: &'i str) -> Result<&'i str, LmError> {
        let good = |c: char| c.is_ascii_alphanumeric() || "-_:".contains(c);
        if !id.is_empty() && id.chars().all(good) {
            return Ok(id);
        }
        let message = format!("`{id}` is no id of the provider's; take it from what was listed");
        Err(self.client.error(LmErrorKind::InvalidRequest, message))
    }
}

impl fmt::Debug for OpenAiJobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiJobs")
            .field("client", &self.client)
            .field("retry", &self.retry)
            .finish()
    }
}

/// Elements of a page.
const PAGE: usize = 100;

#[derive(Deserialize)]
struct Page {
    data: Vec<Value>,
    #[serde(default)]
    has_more: bool,
}

/// A change that failed: whether the server can have made it.
enum Sent {
    No(LmError),
    Maybe(LmError),
}

/// Whether the server refused because it had too much to do.
fn is_untouched(error: &LmError) -> bool {
    matches!(error.kind, LmErrorKind::RateLimit | LmErrorKind::Overloaded)
}
