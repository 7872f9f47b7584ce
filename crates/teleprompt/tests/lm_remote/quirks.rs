//! What is learned from a refusal holds for what was refused, and for nothing else.

use std::sync::Arc;

use serde_json::{Value, json};
use teleprompt::lm::{DialectOptions, Remote};
use teleprompt::{Constraint, Lm, LmRequest, ReasoningEffort};
use teleprompt_testkit::{FakeServer, Request, Response};

use super::{chat, endpoint, request, response_of, responses};

/// A server that refuses bodies of this kind with this message.
async fn refuses(
    wrong: fn(&Value) -> bool,
    message: &'static str,
    good: fn() -> Response,
) -> FakeServer {
    FakeServer::start(move |request: &Request| match wrong(&request.json()) {
        true => Response::api_error(400, "invalid_request_error", message),
        false => good(),
    })
    .await
    .unwrap()
}

fn sampled(temperature: Option<f32>, top_p: Option<f32>) -> LmRequest {
    let mut sampled = request();
    sampled.settings.temperature = temperature;
    sampled.settings.top_p = top_p;
    sampled
}

fn has(request: &Request, field: &str) -> bool {
    request.json().get(field).is_some()
}

fn sent(server: &FakeServer) -> Vec<(bool, bool)> {
    let requests = server.requests();
    requests.iter().map(|r| (has(r, "temperature"), has(r, "top_p"))).collect()
}

#[tokio::test]
async fn a_refused_temperature_leaves_top_p() {
    let wrong = |body: &Value| body.get("temperature").is_some();
    let server = refuses(wrong, "temperature is not supported", || Response::chat("ok")).await;
    let lm = chat(&server);
    lm.generate(&sampled(Some(0.5), Some(0.9))).await.unwrap();
    lm.generate(&sampled(None, Some(0.9))).await.unwrap();
    assert_eq!(sent(&server), [(true, true), (false, true), (false, true)]);
}

#[tokio::test]
async fn of_two_that_do_not_go_together_one_is_sent() {
    let wrong = |body: &Value| body.get("temperature").is_some() && body.get("top_p").is_some();
    let message =
        "`temperature` and `top_p` cannot both be specified for this model. Use only one.";
    let good = || {
        let text = json!([{"type": "text", "text": "ok"}]);
        Response::json(200, &json!({"content": text, "stop_reason": "end_turn"}))
    };
    let server = refuses(wrong, message, good).await;
    let lm = Remote::new("m", endpoint(&server, "anthropic")).unwrap();
    for (temperature, top_p) in [(Some(0.5), Some(0.9)), (Some(0.5), Some(0.9)), (None, Some(0.9))]
    {
        lm.generate(&sampled(temperature, top_p)).await.unwrap();
    }
    assert_eq!(sent(&server), [(true, true), (true, false), (true, false), (false, true)]);
}

#[tokio::test]
async fn what_is_refused_beside_reasoning_is_sent_without_it() {
    let wrong =
        |body: &Value| body.get("temperature").is_some() && body.get("reasoning_effort").is_some();
    let message = "temperature may only be set to 1 when thinking is enabled";
    let server = refuses(wrong, message, || Response::chat("ok")).await;
    let lm = chat(&server);
    let mut thinks = sampled(Some(0.5), None);
    thinks.settings.reasoning = Some(ReasoningEffort::High);
    for request in [&thinks, &thinks, &sampled(Some(0.5), None)] {
        lm.generate(request).await.unwrap();
    }
    let efforts: Vec<bool> = server.requests().iter().map(|r| has(r, "reasoning_effort")).collect();
    assert_eq!(efforts, [true, true, true, false], "the reasoning stays");
    let temperatures: Vec<bool> = sent(&server).iter().map(|(t, _)| *t).collect();
    assert_eq!(temperatures, [true, false, false, true]);
}

#[tokio::test]
async fn a_server_of_single_completions_is_asked_for_each() {
    let wrong = |body: &Value| body.get("n").is_some();
    let server = refuses(wrong, "'n' : number must be at most 1", || Response::chat("ok")).await;
    let lm = chat(&server);
    let mut three = request();
    three.n = 3;
    for _ in 0..2 {
        assert_eq!(lm.generate(&three).await.unwrap().completions.len(), 3);
    }
    assert_eq!(server.hits(), 1 + 3 + 3);
    assert_eq!(server.requests().iter().filter(|r| has(r, "n")).count(), 1);
    let known = DialectOptions { n: Some(false), ..DialectOptions::default() };
    let lm = Remote::new("m", endpoint(&server, "openai-chat").with_dialect(known)).unwrap();
    assert_eq!(lm.generate(&three).await.unwrap().completions.len(), 3);
    assert_eq!(server.hits(), 7 + 3);
}

#[tokio::test]
async fn too_many_completions_at_once_do_not_forbid_a_few() {
    let wrong = |body: &Value| body["n"].as_u64() > Some(2);
    let server = refuses(wrong, "n must be at most 2", || Response::chat_n(&["a", "b"])).await;
    let lm = chat(&server);
    let of = |n| LmRequest { n, ..request() };
    assert_eq!(lm.generate(&of(3)).await.unwrap().completions.len(), 3);
    let before = server.hits();
    assert_eq!(lm.generate(&of(2)).await.unwrap().completions.len(), 2);
    assert_eq!(server.hits(), before + 1);
}

#[tokio::test]
async fn refused_logprobs_are_left_out() {
    let wrong = |body: &Value| body.get("logprobs").is_some();
    let message = "logprobs is not supported with this model";
    let server = refuses(wrong, message, || Response::chat("ok")).await;
    let mut with = request();
    with.settings.logprobs = Some(0);
    let lm = chat(&server);
    for _ in 0..2 {
        lm.generate(&with).await.unwrap();
    }
    assert_eq!((server.hits(), lm.capabilities().logprobs), (3, false));
    let known = DialectOptions { logprobs: Some(false), ..DialectOptions::default() };
    let lm = Remote::new("m", endpoint(&server, "openai-chat").with_dialect(known)).unwrap();
    assert!(!lm.capabilities().logprobs);
    lm.generate(&with).await.unwrap();
    assert_eq!(server.hits(), 4);
}

#[tokio::test]
async fn anthropics_refusal_of_a_schema_is_understood() {
    let cases = [
        ("output_config.format.schema: for type object, additionalProperties must be false", true),
        ("output_config: Extra inputs are not permitted", false),
        ("output_format: structured outputs are not supported by this model", false),
    ];
    for (message, others_stay) in cases {
        let wrong = |body: &Value| body.get("output_config").is_some();
        let good = || {
            let text = json!([{"type": "text", "text": "{}"}]);
            Response::json(200, &json!({"content": text, "stop_reason": "end_turn"}))
        };
        let server = refuses(wrong, message, good).await;
        let lm = Remote::new("m", endpoint(&server, "anthropic")).unwrap();
        let schema = json!({
            "type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"],
            "additionalProperties": false,
        });
        let constraint = Constraint::new(Some(Arc::new(schema)), None);
        let bound = LmRequest { constraint: Some(Arc::new(constraint)), ..request() };
        for _ in 0..2 {
            lm.generate(&bound).await.unwrap();
        }
        assert_eq!(server.hits(), 3, "{message}");
        assert_eq!(lm.capabilities().json_schema, others_stay, "{message}");
    }
}

#[tokio::test]
async fn a_summary_of_the_thoughts_is_asked_for_until_it_is_refused() {
    let wrong = |body: &Value| body.pointer("/reasoning/summary").is_some();
    let message = "Your organization must be verified to generate reasoning summaries.";
    let good = || Response::json(200, &response_of("ok"));
    let server = refuses(wrong, message, good).await;
    let lm = responses(&server);
    let mut thinks = request();
    thinks.settings.reasoning = Some(ReasoningEffort::High);
    for _ in 0..2 {
        lm.generate(&thinks).await.unwrap();
    }
    let asked: Vec<Value> =
        server.requests().iter().map(|r| r.json()["reasoning"].clone()).collect();
    let without = json!({"effort": "high"});
    assert_eq!(asked, [json!({"effort": "high", "summary": "auto"}), without.clone(), without]);
}
