//! The vocabulary and the contracts of Teleprompt, a compiler for language-model programs.
//!
//! Depend on this crate alone to write an extension: an LM ([`Lm`]), an [`Adapter`], a [`Module`],
//! a [`Metric`]. It has no HTTP and no runtime. Programs use the crate `teleprompt`, which
//! re-exports what is here.
//!
//! A [`Signature`] says what a step must do. A [`Module`] composes steps; its [`Predictors`] are
//! what a compiler changes, by laying [`Parameters`] over them through the [`Context`].

pub mod adapter;
pub mod budget;
pub mod cancel;
pub mod context;
pub mod decision;
pub mod error;
pub mod example;
pub mod lm;
pub mod metric;
pub mod module;
pub mod names;
pub mod parameters;
pub mod parse_error;
pub mod prediction;
pub mod record;
pub mod repair;
pub mod signature;
pub mod streaming;
pub mod trace;
pub mod types;

pub use adapter::{Adapter, FieldPiece, FieldReader, Prompt};
pub use budget::{Exhausted, Limits, Meter, Need, Reservation, Resource};
pub use cancel::Cancel;
pub use context::Context;
pub use decision::{Decider, Decision, Evidence, EvidenceByField, EvidenceSource, Labels, Rule};
pub use error::{Error, Result};
pub use example::Example;
pub use lm::{
    Capabilities, Completion, Constraint, Content, Embedder, EmbedderHandle, Embeddings,
    FinishReason, LabelBias, Lm, LmChunk, LmError, LmErrorKind, LmHandle, LmRequest, LmResponse,
    LmSettings, LmStream, Media, MediaSource, Message, Money, Part, Price, RateStatus, Reasoning,
    ReasoningEffort, Role, TokenLogprob, Tool, ToolCall, ToolChoice, ToolResult, Usage,
};
pub use metric::{Metric, MetricHandle, Score};
pub use module::{Bound, Module, PathSlot, Predictor, Predictors, Program, Visit, bind, find};
pub use parameters::{Likeness, Nearest, Parameters, ProgramState};
pub use parse_error::{FieldError, ParseError};
pub use prediction::{Parsed, Prediction};
pub use record::Record;
pub use repair::{Flag, Repair};
pub use signature::{Field, Signature, SignatureError};
pub use streaming::{CallId, Event, EventSink, Run, Streamed};
pub use trace::{TraceRecorder, TraceStep};
pub use types::{Constraints, Kind, ObjectField, Type, TypeDefs};

#[doc(hidden)]
pub mod __private {
    pub use serde_json::json;
}
