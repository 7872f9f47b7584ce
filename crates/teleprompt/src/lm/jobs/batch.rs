//! Batches: many requests in a file, answered within a day at a lower price.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use teleprompt_core::{Cancel, Error, LmError};

use super::{JobStatus, OpenAiJobs, WaitConfig};

/// One request of a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchLine {
    /// Tells the requests of a batch apart; its answer carries it.
    pub custom_id: String,
    /// `POST`.
    pub method: String,
    /// The path that the request would go to by itself, such as `/v1/chat/completions`.
    pub url: String,
    /// The body that it would have.
    pub body: Value,
}

impl BatchLine {
    /// A request to this path.
    pub fn new(custom_id: impl Into<String>, url: impl Into<String>, body: Value) -> Self {
        Self { custom_id: custom_id.into(), method: "POST".into(), url: url.into(), body }
    }

    /// A chat completion.
    pub fn chat(custom_id: impl Into<String>, body: Value) -> Self {
        Self::new(custom_id, "/v1/chat/completions", body)
    }
}

/// The content of the file that a batch is made from: a line of JSON for each request.
///
/// # Errors
/// [`Error::Config`]: two requests have the same `custom_id`, so that their answers could not be
/// told apart.
pub fn batch_input(lines: &[BatchLine]) -> Result<Vec<u8>, Error> {
    let mut seen = HashSet::new();
    let mut input = String::new();
    for line in lines {
        if !seen.insert(&line.custom_id) {
            let id = &line.custom_id;
            return Err(Error::Config(format!(
                "two requests of the batch have the custom_id `{id}`; give each its own"
            )));
        }
        input += &json!(line).to_string();
        input.push('\n');
    }
    Ok(input.into_bytes())
}

/// A batch to be made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BatchRequest {
    /// The id of the file with the requests.
    pub input_file_id: String,
    /// The path that all its requests go to.
    pub endpoint: String,
    /// How long the provider may take. Default: `24h`, which is all that OpenAI knows.
    pub completion_window: String,
    /// Notes that the provider keeps with the batch.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Other fields of the body, by the provider's names.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl BatchRequest {
    /// A batch of requests to this path.
    pub fn new(input_file_id: impl Into<String>, endpoint: impl Into<String>) -> Self {
        Self {
            input_file_id: input_file_id.into(),
            endpoint: endpoint.into(),
            completion_window: "24h".into(),
            metadata: BTreeMap::new(),
            extra: Map::new(),
        }
    }

    /// A batch of chat completions.
    pub fn chat(input_file_id: impl Into<String>) -> Self {
        Self::new(input_file_id, "/v1/chat/completions")
    }
}

/// How many requests of a batch are done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RequestCounts {
    /// In all.
    pub total: u64,
    /// Answered.
    pub completed: u64,
    /// Failed.
    pub failed: u64,
}

/// A batch as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Batch {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub status: JobStatus,
    /// The path that its requests go to.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// The file with its requests.
    #[serde(default)]
    pub input_file_id: Option<String>,
    /// The file with its answers, once there are any.
    #[serde(default)]
    pub output_file_id: Option<String>,
    /// The file with the requests that failed, once there are any.
    #[serde(default)]
    pub error_file_id: Option<String>,
    /// How many requests are done.
    #[serde(default)]
    pub request_counts: Option<RequestCounts>,
    /// Why the batch as a whole failed, in the provider's JSON.
    #[serde(default)]
    pub errors: Option<Value>,
    /// When it was made, in seconds since 1970.
    #[serde(default)]
    pub created_at: Option<u64>,
    /// All that the provider says beyond that.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What became of one request of a batch.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BatchResult {
    /// The HTTP status that it would have had by itself; `None` if it was never sent.
    pub status: Option<u16>,
    /// The body of the answer; `null` if there is none.
    pub body: Value,
    /// Why there is no answer, in the provider's JSON.
    pub error: Option<Value>,
    /// The provider's id of the request.
    pub request_id: Option<String>,
}

impl BatchResult {
    /// Whether it was answered with a good status.
    pub fn is_success(&self) -> bool {
        self.error.is_none() && self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

const BATCHES: &str = "/batches";

impl OpenAiJobs {
    /// Makes a batch.
    ///
    /// # Errors
    /// What the provider refuses, and what any call can fail with. Mistakes in the file show later,
    /// in [`Batch::errors`].
    pub async fn create_batch(&self, request: &BatchRequest) -> Result<Batch, LmError> {
        self.post(BATCHES, &json!(request)).await
    }

    /// The batch of this id.
    ///
    /// # Errors
    /// [`LmErrorKind::NotFound`](teleprompt_core::LmErrorKind::NotFound): there is none; and what
    /// any call can fail with.
    pub async fn batch(&self, id: &str) -> Result<Batch, LmError> {
        self.get(&format!("{BATCHES}/{}", self.id(id)?)).await
    }

    /// At most so many batches, newest first.
    ///
    /// # Errors
    /// What any call can fail with.
    pub async fn batches(&self, most: usize) -> Result<Vec<Batch>, LmError> {
        self.list(BATCHES, most).await
    }

    /// Ends a batch, which gives it back as it stands then. Answers that are there can be read.
    ///
    /// # Errors
    /// The provider refuses, as for a batch that has ended; and what any call can fail with.
    pub async fn cancel_batch(&self, id: &str) -> Result<Batch, LmError> {
        self.post(&format!("{BATCHES}/{}/cancel", self.id(id)?), &json!({})).await
    }

    /// Waits until the batch has ended, well or not. `progress` gets each state that is seen, the
    /// last one too. Dropping the future or cancelling ends the waiting, not the batch.
    ///
    /// # Errors
    /// As [`OpenAiJobs::wait_for_fine_tuning`].
    pub async fn wait_for_batch(
        &self,
        id: &str,
        config: &WaitConfig,
        cancel: &Cancel,
        progress: impl FnMut(&Batch) + Send,
    ) -> Result<Batch, LmError> {
        let ask = || self.batch(id);
        self.wait(id, config, cancel, ask, |batch| &batch.status, progress).await
    }

    /// What became of the requests, by their `custom_id`: answers and failures. Requests that were
    /// not reached are not there.
    ///
    /// # Errors
    /// [`LmErrorKind::Protocol`](teleprompt_core::LmErrorKind::Protocol): a line is not what the
    /// provider promises, or two have one `custom_id`; and what any call can fail with.
    pub async fn batch_results(
        &self,
        batch: &Batch,
    ) -> Result<BTreeMap<String, BatchResult>, LmError> {
        let mut results = BTreeMap::new();
        for file in [&batch.output_file_id, &batch.error_file_id].into_iter().flatten() {
            let content = self.file_content(file).await?;
            let fault = read_results(&String::from_utf8_lossy(&content), &mut results).err();
            if let Some(fault) = fault {
                return Err(self.broken(&format!("a file {file} that {fault}")));
            }
        }
        Ok(results)
    }
}

#[derive(Deserialize)]
struct ResultLine {
    custom_id: String,
    #[serde(default)]
    response: Option<ResultResponse>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct ResultResponse {
    #[serde(default)]
    status_code: Option<u16>,
    #[serde(default)]
    request_id: Option<String>,
    #[serde(default)]
    body: Value,
}

/// Adds the results of a file; `Err` says in words what is wrong with it.
fn read_results(content: &str, results: &mut BTreeMap<String, BatchResult>) -> Result<(), String> {
    for (number, line) in content.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let line: ResultLine = serde_json::from_str(line)
            .map_err(|e| format!("has no result in line {} ({e})", number + 1))?;
        let (status, body, request_id) = match line.response {
            Some(response) => (response.status_code, response.body, response.request_id),
            None => (None, Value::Null, None),
        };
        let result = BatchResult { status, body, error: line.error, request_id };
        if results.insert(line.custom_id.clone(), result).is_some() {
            return Err(format!("has a second result for `{}`", line.custom_id));
        }
    }
    Ok(())
}
