//! Traces: the predictor calls of one run.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::decision::EvidenceByField;
use crate::record::Record;

/// One predictor call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TraceStep {
    /// The predictor's path.
    pub path: Arc<str>,
    /// Counts calls by when they began, from 0.
    pub order: u64,
    /// What it got.
    pub inputs: Record,
    /// What it gave; empty if it failed.
    pub outputs: Record,
    /// What the outputs that are decisions were decided from: enough to decide them anew by another
    /// rule.
    #[serde(default, skip_serializing_if = "EvidenceByField::is_empty")]
    pub evidence: EvidenceByField,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Collects the steps of one run from all the tasks that it spawns. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct TraceRecorder(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    next: AtomicU64,
    steps: Mutex<Vec<TraceStep>>,
}

impl TraceRecorder {
    /// A recorder with no steps.
    pub fn new() -> Self {
        Self::default()
    }

    /// The place of a call that begins now.
    pub fn begin(&self) -> u64 {
        self.0.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Adds a step that ended.
    pub fn push(&self, step: TraceStep) {
        self.0.steps.lock().unwrap_or_else(PoisonError::into_inner).push(step);
    }

    /// The steps so far, ordered by when they began.
    pub fn steps(&self) -> Vec<TraceStep> {
        let mut steps = self.0.steps.lock().unwrap_or_else(PoisonError::into_inner).clone();
        steps.sort_by_key(|s| s.order);
        steps
    }
}
