use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use futures::future::poll_immediate;
use serde_json::{Value, json};
use teleprompt::lm::{Cached, Priced, Traced};
use teleprompt::{
    Capabilities, Completion, FinishReason, Lm, LmErrorKind, LmRequest, Media, Message, Part,
    Price, ToolCall,
};
use teleprompt_testkit::ScriptedLm;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::support::{Drip, answering, failing, request};

type Fields = BTreeMap<String, Value>;

/// The fields of all spans, in the order in which they began.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<(Id, Fields)>>>);

struct Into<'a>(&'a mut Fields);

impl Visit for Into<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().into(), format!("{value:?}").into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().into(), value.into());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().into(), value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().into(), value.into());
    }
}

impl<S: tracing::Subscriber> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let mut fields = Fields::from([("span".into(), attributes.metadata().name().into())]);
        attributes.record(&mut Into(&mut fields));
        self.0.lock().unwrap().push((id.clone(), fields));
    }
    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut spans = self.0.lock().unwrap();
        let (_, fields) = spans.iter_mut().rev().find(|(other, _)| other == id).unwrap();
        values.record(&mut Into(fields));
    }
}

/// The spans of this work.
async fn spans(work: impl Future<Output = ()>) -> Vec<Fields> {
    let spans = Spans::default();
    let subscriber = tracing_subscriber::registry().with(spans.clone());
    let guard = tracing::subscriber::set_default(subscriber);
    work.await;
    drop(guard);
    let spans = spans.0.lock().unwrap();
    spans.iter().map(|(_, fields)| fields.clone()).collect()
}

fn full_request() -> LmRequest {
    let mut request = request("hi");
    request.settings.temperature = Some(0.7);
    request.settings.top_p = Some(0.9);
    request.settings.max_tokens = Some(64);
    request.settings.seed = Some(7);
    request.settings.stop = vec!["END".into()];
    request.n = 2;
    request
}

#[tokio::test]
async fn a_call_is_a_span_with_the_conventional_names() {
    let priced =
        Priced::at(answering("gemini:m@https://example.org"), Price::per_million(1.0, 1.0));
    let lm = Traced::new(priced);
    let fields = spans(async { drop(lm.generate(&full_request()).await.unwrap()) }).await.remove(0);
    let wanted = json!({
        "span": "chat",
        "otel.name": "chat m",
        "otel.kind": "client",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "gcp.gemini",
        "gen_ai.request.model": "m",
        "gen_ai.request.temperature": 0.7,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.seed": 7,
        "gen_ai.request.choice.count": 2,
        "gen_ai.request.stop_sequences": "[\"END\"]",
        "gen_ai.response.model": "gemini:m@https://example.org",
        "gen_ai.response.finish_reasons": "[\"stop\",\"stop\"]",
        "gen_ai.usage.input_tokens": 1,
        "gen_ai.usage.output_tokens": 4,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "teleprompt.cache_hit": false,
        "teleprompt.cost_usd": 5e-6,
    });
    assert_eq!(json!(fields), wanted);
}

#[tokio::test(start_paused = true)]
async fn failures_hits_and_streams_are_told() {
    let cached = Traced::new(Cached::in_memory(answering("openai:m")));
    let broken = Traced::new(failing("openai:m", LmErrorKind::RateLimit));
    let drip = Traced::new(Drip::new(&[(1, Ok("a")), (1, Ok("b"))]));
    let all = spans(async {
        cached.generate(&request("x")).await.unwrap();
        cached.generate(&request("x")).await.unwrap();
        broken.generate(&request("x")).await.unwrap_err();
        assert_eq!(drip.stream(&request("x")).collect::<Vec<_>>().await.len(), 3);
        let request = request("x");
        let mut left = drip.stream(&request);
        left.next().await.unwrap().unwrap();
        drop(left);
        assert!(poll_immediate(Box::pin(drip.generate(&request))).await.is_none());
    })
    .await;
    let field = |name: &str| all.iter().map(|f| f.get(name).cloned()).collect::<Vec<_>>();
    let yes = |b: bool| Some(Value::from(b));
    let hits = field("teleprompt.cache_hit");
    assert_eq!(hits, [yes(false), yes(true), None, yes(false), None, None]);
    let kind = |kind: &str| Some(Value::from(kind));
    let errors = field("error.type");
    let wanted = [None, None, kind("rate_limit"), None, kind("cancelled"), kind("cancelled")];
    assert_eq!(errors, wanted);
    assert_eq!(field("otel.status_code")[2], kind("ERROR"));
    let unknown = field("teleprompt.cost_usd")[0].clone();
    assert_eq!(unknown, None, "a cost that is not known is not 0");
}

#[tokio::test]
async fn prompts_and_replies_are_told_only_if_asked_for() {
    let answer = Completion {
        finish: FinishReason::ToolCalls,
        tool_calls: vec![ToolCall::new("1", "add", r#"{"a":1}"#)],
        ..Completion::text("let me see")
    };
    let able = Capabilities::none().with_media(true);
    let lm = ScriptedLm::new(move |_| answer.clone()).with_capabilities(able);
    let image = Part::Image(Media::data(vec![1_u8, 2, 3], "image/png"));
    let asked = LmRequest::new(vec![
        Message::system("secret prompt"),
        Message::user([Part::text("look"), image]),
    ]);
    let told = async |content: bool| {
        let lm = Traced::new(lm.clone()).with_content(content);
        spans(async { drop(lm.generate(&asked).await.unwrap()) }).await.remove(0)
    };
    assert!(!json!(told(false).await).to_string().contains("secret prompt"));
    let fields = told(true).await;
    let read = |name: &str| serde_json::from_str::<Value>(fields[name].as_str().unwrap()).unwrap();
    let input = json!([
        {"role": "system", "parts": [{"type": "text", "content": "secret prompt"}]},
        {"role": "user", "parts": [
            {"type": "text", "content": "look"},
            {"type": "blob", "modality": "image", "mime_type": "image/png", "bytes": 3},
        ]},
    ]);
    let output = json!([{"role": "assistant", "finish_reason": "tool_calls", "parts": [
        {"type": "text", "content": "let me see"},
        {"type": "tool_call", "id": "1", "name": "add", "arguments": {"a": 1}},
    ]}]);
    assert_eq!(read("gen_ai.input.messages"), input);
    assert_eq!(read("gen_ai.output.messages"), output);
}
