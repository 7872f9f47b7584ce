//! Calls as spans, and the last of them to look at.

mod content;

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use futures::stream::Stream;
use serde_json::json;
use teleprompt_core::{FinishReason, Lm, LmChunk, LmError, LmRequest, LmResponse, LmStream};
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::forward::{End, forward, watch_call, watch_stream};
use super::history::{History, HistoryEntry};
use super::price::split_address;

/// A `tracing` span for each call, with the names of OpenTelemetry's conventions for generative AI.
///
/// The span is `chat`, of level INFO and target `teleprompt::lm`. Its fields: `otel.name` (`chat
/// MODEL`), `otel.kind`, `gen_ai.operation.name`, `gen_ai.provider.name`, `gen_ai.request.*` (model,
/// temperature, top_p, max_tokens, seed, choice.count, stop_sequences), and at the end
/// `gen_ai.response.*` (model, id, finish_reasons), `gen_ai.usage.*` (input_tokens, output_tokens,
/// cache_read.input_tokens), `error.type` and `otel.status_code` where it failed, and of our own
/// `teleprompt.cache_hit` and `teleprompt.cost_usd` (where the cost is known).
///
/// Prompts and replies are in a span only if asked for, since they may be confidential: as JSON in
/// `gen_ai.input.messages` and `gen_ai.output.messages`.
///
/// With a [`History`] it also keeps the last calls in memory, texts included.
///
/// ```
/// use teleprompt::lm::Traced;
/// use teleprompt::{Lm, LmRequest, Message};
/// use teleprompt_testkit::ScriptedLm;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// // Whatever collects spans in your program gets one for each call.
/// let lm = Traced::new(ScriptedLm::new(|_| "ok")).with_content(true);
/// lm.generate(&LmRequest::new(vec![Message::user("hi")])).await.unwrap();
/// # }
/// ```
pub struct Traced<L> {
    inner: L,
    content: bool,
    history: Option<History>,
    provider: String,
    model: String,
    span_name: String,
}

impl<L: Lm> Traced<L> {
    /// Wraps an LM. Prompts and replies are in the spans only if the environment variable
    /// `TELEPROMPT_TRACE_CONTENT` is `1`.
    pub fn new(inner: L) -> Self {
        let (name, _) = split_address(inner.name());
        let (scheme, model) = name.split_once(':').unwrap_or((name, name));
        let (provider, model) = (provider(scheme).to_owned(), model.to_owned());
        Self {
            content: std::env::var("TELEPROMPT_TRACE_CONTENT").is_ok_and(|v| v == "1"),
            history: None,
            provider,
            span_name: format!("chat {model}"),
            model,
            inner,
        }
    }

    /// Whether prompts and replies are in the spans.
    #[must_use]
    pub fn with_content(mut self, yes: bool) -> Self {
        self.content = yes;
        self
    }

    /// Keeps the last calls in this history too.
    #[must_use]
    pub fn with_history(mut self, history: History) -> Self {
        self.history = Some(history);
        self
    }

    fn span(&self, request: &LmRequest) -> Span {
        let settings = &request.settings;
        let stop = &settings.stop;
        tracing::info_span!(
            target: "teleprompt::lm",
            "chat",
            otel.name = self.span_name,
            otel.kind = "client",
            otel.status_code = Empty,
            gen_ai.operation.name = "chat",
            gen_ai.provider.name = self.provider,
            gen_ai.request.model = self.model,
            gen_ai.request.temperature = settings.temperature.map(as_written),
            gen_ai.request.top_p = settings.top_p.map(as_written),
            gen_ai.request.max_tokens = settings.max_tokens,
            gen_ai.request.seed = settings.seed,
            gen_ai.request.choice.count = (request.n != 1).then_some(request.n),
            gen_ai.request.stop_sequences = (!stop.is_empty()).then(|| json!(stop).to_string()),
            gen_ai.response.model = Empty,
            gen_ai.response.id = Empty,
            gen_ai.response.finish_reasons = Empty,
            gen_ai.usage.input_tokens = Empty,
            gen_ai.usage.output_tokens = Empty,
            gen_ai.usage.cache_read.input_tokens = Empty,
            "error.type" = Empty,
            teleprompt.cache_hit = Empty,
            teleprompt.cost_usd = Empty,
            gen_ai.input.messages = self.content.then(|| content::input(&request.messages)),
            gen_ai.output.messages = Empty,
        )
    }

    fn end(&self, begun: &Begun<'_>, end: &End<'_>) {
        let span = &begun.span;
        match end {
            End::Done(response) => self.answered(span, response),
            End::Failed(error) => failed(span, error.kind.code()),
            End::Dropped => failed(span, "cancelled"),
        }
        if let Some(history) = &self.history {
            let outcome = match end {
                End::Done(response) => Some(Ok(&**response)),
                End::Failed(error) => Some(Err(*error)),
                End::Dropped => None,
            };
            let took = begun.at.elapsed();
            history.push(HistoryEntry::of(self.name(), took, begun.request, outcome));
        }
    }

    fn answered(&self, span: &Span, response: &LmResponse) {
        if span.is_disabled() {
            return;
        }
        let usage = &response.usage;
        let finish: Vec<&str> =
            response.completions.iter().map(|c| finish_reason(c.finish)).collect();
        span.record("gen_ai.response.model", &*response.model);
        span.record("gen_ai.response.id", response.request_id.as_deref());
        span.record("gen_ai.response.finish_reasons", json!(finish).to_string());
        if usage.prompt_tokens + usage.completion_tokens > 0 {
            span.record("gen_ai.usage.input_tokens", usage.prompt_tokens);
            span.record("gen_ai.usage.output_tokens", usage.completion_tokens);
            span.record("gen_ai.usage.cache_read.input_tokens", usage.cached_prompt_tokens);
        }
        span.record("teleprompt.cache_hit", usage.cache_hits > 0);
        span.record("teleprompt.cost_usd", usage.total_cost().map(|cost| cost.as_dollars()));
        if self.content {
            span.record("gen_ai.output.messages", content::output(&response.completions));
        }
    }
}

/// A call under way.
struct Begun<'a> {
    span: Span,
    at: Instant,
    request: &'a LmRequest,
}

fn failed(span: &Span, kind: &str) {
    span.record("error.type", kind);
    span.record("otel.status_code", "ERROR");
}

/// The convention's name for who runs the LM.
fn provider(scheme: &str) -> &str {
    match scheme {
        "gemini" => "gcp.gemini",
        "vertex" => "gcp.vertex_ai",
        "bedrock" => "aws.bedrock",
        "azure" => "azure.ai.openai",
        "mistral" => "mistral_ai",
        "xai" => "x_ai",
        other => other,
    }
}

fn finish_reason(finish: FinishReason) -> &'static str {
    match finish {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
        FinishReason::ContentFilter => "content_filter",
        FinishReason::ToolCalls => "tool_calls",
        _ => "other",
    }
}

/// 0.7 as 0.7, not as what is left of it in 32 bits.
fn as_written(number: f32) -> f64 {
    number.to_string().parse().unwrap_or_else(|_| f64::from(number))
}

/// Polled inside a span.
struct InSpan<'a> {
    stream: LmStream<'a>,
    span: Span,
}

impl Stream for InSpan<'_> {
    type Item = Result<LmChunk, LmError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { stream, span } = &mut *self;
        let _inside = span.enter();
        stream.as_mut().poll_next(cx)
    }
}

impl<L: Lm> Lm for Traced<L> {
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        let begun = Begun { span: self.span(request), at: Instant::now(), request };
        let call = self.inner.generate(request).instrument(begun.span.clone());
        watch_call(call, |end| self.end(&begun, &end)).await
    }

    fn stream<'a>(&'a self, request: &'a LmRequest) -> LmStream<'a> {
        let begun = Begun { span: self.span(request), at: Instant::now(), request };
        let stream = begun.span.in_scope(|| self.inner.stream(request));
        let inside = InSpan { stream, span: begun.span.clone() };
        watch_stream(Box::pin(inside), move |end| self.end(&begun, &end))
    }

    forward!(inner);

    fn describe(&self) -> String {
        let with = if self.content { "(content)" } else { "" };
        format!("trace{with} → {}", self.inner.describe())
    }
}

impl<L: Lm> fmt::Debug for Traced<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Traced({})", self.describe())
    }
}
