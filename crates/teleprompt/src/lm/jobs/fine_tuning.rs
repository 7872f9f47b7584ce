//! Fine-tuning jobs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use teleprompt_core::{Cancel, LmError, LmErrorKind};

use super::{JobStatus, OpenAiJobs, WaitConfig};

/// Numbers of a training. What is `None` is left to the provider.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Hyperparameters {
    /// How often the data are gone through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_epochs: Option<u32>,
    /// Examples in a step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<u32>,
    /// Factor on the provider's learning rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_rate_multiplier: Option<f64>,
    /// Others, by the provider's names, such as `beta` for preferences.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What is learned from.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FineTuningMethod {
    /// Answers to imitate.
    Supervised(Hyperparameters),
    /// Pairs of answers, one liked better (direct preference optimisation).
    Preferences(Hyperparameters),
    /// Scores of a grader, in the provider's JSON.
    Reinforcement {
        /// The grader.
        grader: Value,
        /// Numbers of the training.
        hyperparameters: Hyperparameters,
    },
}

impl FineTuningMethod {
    fn said(&self) -> Value {
        match self {
            FineTuningMethod::Supervised(numbers) => {
                json!({"type": "supervised", "supervised": {"hyperparameters": numbers}})
            }
            FineTuningMethod::Preferences(numbers) => {
                json!({"type": "dpo", "dpo": {"hyperparameters": numbers}})
            }
            FineTuningMethod::Reinforcement { grader, hyperparameters } => json!({
                "type": "reinforcement",
                "reinforcement": {"grader": grader, "hyperparameters": hyperparameters},
            }),
        }
    }
}

/// A job to be made. [`FineTuningRequest::new`] has what it must have.
#[derive(Clone, Debug, PartialEq)]
pub struct FineTuningRequest {
    /// The model to start from.
    pub model: String,
    /// The id of the file with training examples.
    pub training_file: String,
    /// The id of the file with validation examples.
    pub validation_file: Option<String>,
    /// What is added to the name of the new model.
    pub suffix: Option<String>,
    /// Seed of the training.
    pub seed: Option<u64>,
    /// What is learned from. `None` leaves it to the provider (supervised).
    pub method: Option<FineTuningMethod>,
    /// Notes that the provider keeps with the job.
    pub metadata: BTreeMap<String, String>,
    /// Fields that are merged into the body, over ours.
    pub extra: Map<String, Value>,
}

impl FineTuningRequest {
    /// A job that trains this model on this file.
    pub fn new(model: impl Into<String>, training_file: impl Into<String>) -> Self {
        Self {
            model: model.into(),
            training_file: training_file.into(),
            validation_file: None,
            suffix: None,
            seed: None,
            method: None,
            metadata: BTreeMap::new(),
            extra: Map::new(),
        }
    }

    fn body(&self) -> Value {
        let mut body = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        put("model", Some(self.model.as_str().into()));
        put("training_file", Some(self.training_file.as_str().into()));
        put("validation_file", self.validation_file.as_deref().map(Value::from));
        put("suffix", self.suffix.as_deref().map(Value::from));
        put("seed", self.seed.map(Value::from));
        put("method", self.method.as_ref().map(FineTuningMethod::said));
        put("metadata", (!self.metadata.is_empty()).then(|| json!(self.metadata)));
        body.extend(self.extra.clone());
        body.into()
    }
}

/// A job as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FineTuningJob {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub status: JobStatus,
    /// The model that it started from.
    #[serde(default)]
    pub model: Option<String>,
    /// The new model, once it is there; see [`FineTuningJob::outcome`].
    #[serde(default)]
    pub fine_tuned_model: Option<String>,
    /// The file it trains on.
    #[serde(default)]
    pub training_file: Option<String>,
    /// The file it validates on.
    #[serde(default)]
    pub validation_file: Option<String>,
    /// Files with its figures.
    #[serde(default)]
    pub result_files: Vec<String>,
    /// Tokens that it was trained on and that are charged for.
    #[serde(default)]
    pub trained_tokens: Option<u64>,
    /// When it was made, in seconds since 1970.
    #[serde(default)]
    pub created_at: Option<u64>,
    /// When it ended, in seconds since 1970.
    #[serde(default)]
    pub finished_at: Option<u64>,
    /// What went wrong, in the provider's JSON; see [`FineTuningJob::outcome`].
    #[serde(default)]
    pub error: Option<Value>,
    /// All that the provider says beyond that.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl FineTuningJob {
    /// The new model, if the job made one.
    ///
    /// # Errors
    /// [`LmErrorKind::Model`]: it has not ended or made none; the message says why.
    pub fn outcome(&self) -> Result<&str, LmError> {
        if let (true, Some(model)) = (self.status.is_success(), &self.fine_tuned_model) {
            return Ok(model);
        }
        let said = self.error.as_ref().and_then(|e| e.get("message")).and_then(Value::as_str);
        let why = said.map_or_else(String::new, |said| format!(": {said}"));
        let message = format!("it is {} and made no model{why}", self.status);
        Err(LmError::new(LmErrorKind::Model, format!("fine-tuning job {}", self.id), message))
    }
}

/// Something that happened to a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FineTuningEvent {
    /// Its id.
    pub id: String,
    /// What happened.
    #[serde(default)]
    pub message: String,
    /// `info`, `warn` or `error`.
    #[serde(default)]
    pub level: Option<String>,
    /// When, in seconds since 1970.
    #[serde(default)]
    pub created_at: Option<u64>,
    /// All that the provider says beyond that.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A model that was kept in the middle of a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Checkpoint {
    /// Its id.
    pub id: String,
    /// The name under which it can be called.
    #[serde(default)]
    pub fine_tuned_model_checkpoint: Option<String>,
    /// After how many steps it was kept.
    #[serde(default)]
    pub step_number: Option<u64>,
    /// Losses and accuracies at that step, by the provider's names.
    #[serde(default)]
    pub metrics: Map<String, Value>,
    /// All that the provider says beyond that.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

const JOBS: &str = "/fine_tuning/jobs";

impl OpenAiJobs {
    /// Makes a fine-tuning job.
    ///
    /// # Errors
    /// What the provider refuses, such as a model that cannot be trained, and what any call can fail
    /// with.
    pub async fn create_fine_tuning(
        &self,
        request: &FineTuningRequest,
    ) -> Result<FineTuningJob, LmError> {
        self.post(JOBS, &request.body()).await
    }

    /// The job of this id.
    ///
    /// # Errors
    /// [`LmErrorKind::NotFound`]: there is none; and what any call can fail with.
    pub async fn fine_tuning(&self, id: &str) -> Result<FineTuningJob, LmError> {
        self.get(&format!("{JOBS}/{}", self.id(id)?)).await
    }

    /// At most so many jobs, newest first.
    ///
    /// # Errors
    /// What any call can fail with.
    pub async fn fine_tunings(&self, most: usize) -> Result<Vec<FineTuningJob>, LmError> {
        self.list(JOBS, most).await
    }

    /// Ends a job, which gives it back as it stands then.
    ///
    /// # Errors
    /// The provider refuses, as for a job that has ended; and what any call can fail with.
    pub async fn cancel_fine_tuning(&self, id: &str) -> Result<FineTuningJob, LmError> {
        self.post(&format!("{JOBS}/{}/cancel", self.id(id)?), &json!({})).await
    }

    /// At most so many events of a job, newest first.
    ///
    /// # Errors
    /// [`LmErrorKind::NotFound`]: there is no such job; and what any call can fail with.
    pub async fn fine_tuning_events(
        &self,
        id: &str,
        most: usize,
    ) -> Result<Vec<FineTuningEvent>, LmError> {
        self.list(&format!("{JOBS}/{}/events", self.id(id)?), most).await
    }

    /// At most so many checkpoints of a job, newest first.
    ///
    /// # Errors
    /// [`LmErrorKind::NotFound`]: there is no such job; and what any call can fail with.
    pub async fn checkpoints(&self, id: &str, most: usize) -> Result<Vec<Checkpoint>, LmError> {
        self.list(&format!("{JOBS}/{}/checkpoints", self.id(id)?), most).await
    }

    /// Waits until the job has ended, well or not: see [`FineTuningJob::outcome`]. `progress` gets
    /// each state that is seen, the last one too. Dropping the future or cancelling ends the waiting,
    /// not the job.
    ///
    /// # Errors
    /// [`LmErrorKind::Cancelled`]; [`LmErrorKind::Timeout`]: it goes on for longer than
    /// [`WaitConfig::limit`]; and what any call can fail with.
    pub async fn wait_for_fine_tuning(
        &self,
        id: &str,
        config: &WaitConfig,
        cancel: &Cancel,
        progress: impl FnMut(&FineTuningJob) + Send,
    ) -> Result<FineTuningJob, LmError> {
        let ask = || self.fine_tuning(id);
        self.wait(id, config, cancel, ask, |job| &job.status, progress).await
    }
}
