//! What is made of a reply: right, and the same whether it comes whole or streamed.
//!
//! Two things cannot be equal. Anthropic streams a tool's arguments as the text that the LM wrote and
//! sends them as an object in a whole reply, so their white space may differ. And where a wire has no
//! `n`, the further completions come in any order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use teleprompt::{
    Completion, FinishReason, Lm, LmRequest, LmResponse, RateStatus, Reasoning, TokenLogprob,
    ToolCall, Usage,
};
use teleprompt_testkit::server::{Finish, Tokens};
use teleprompt_testkit::{Answer, FakeServer, Response, Wire};

use super::support::{Checked, MODEL, Subject, ask, on_every_wire, same, stream, told};

fn finish(wire: Wire, finish: &Finish) -> (FinishReason, &str) {
    use FinishReason as F;
    let place = Wire::ALL.iter().position(|w| *w == wire).unwrap();
    match finish {
        Finish::Stop => (F::Stop, ["stop", "completed", "end_turn", "STOP"][place]),
        Finish::Length => {
            (F::Length, ["length", "max_output_tokens", "max_tokens", "MAX_TOKENS"][place])
        }
        Finish::ToolCalls => (F::ToolCalls, ["tool_calls", "completed", "tool_use", "STOP"][place]),
        Finish::ContentFilter => {
            (F::ContentFilter, ["content_filter", "content_filter", "refusal", "SAFETY"][place])
        }
        Finish::Unknown(word) => (F::Other, word),
    }
}

fn usage(wire: Wire, tokens: Tokens) -> Usage {
    Usage {
        prompt_tokens: tokens.prompt,
        completion_tokens: tokens.completion,
        cached_prompt_tokens: tokens.cached,
        // Gemini writes its cache unasked and does not tell; Anthropic does not count thoughts.
        cache_write_tokens: if wire == Wire::Gemini { 0 } else { tokens.cache_write },
        reasoning_tokens: if wire == Wire::Anthropic { 0 } else { tokens.reasoning },
        ..Usage::one_call()
    }
}

/// Chat completions have no seal, and Gemini's stands on the call if no text comes before it.
fn seals(wire: Wire, answer: &Answer) -> (Option<String>, Option<String>) {
    let on_call =
        wire == Wire::Gemini && answer.texts[0].is_empty() && !answer.tool_calls.is_empty();
    match wire {
        Wire::OpenAiChat => (None, None),
        _ if on_call => (None, answer.signature.clone()),
        _ => (answer.signature.clone(), None),
    }
}

fn completion(wire: Wire, answer: &Answer, index: usize) -> Completion {
    let (finish, said) = finish(wire, &answer.finish);
    let mut completion = Completion {
        finish,
        finish_said: Some(said.into()),
        ..Completion::text(&*answer.texts[index])
    };
    if index > 0 {
        return completion;
    }
    let (seal, call_seal) = seals(wire, answer);
    let thought = answer.reasoning.clone();
    completion.reasoning = thought.map(|text| Reasoning { text, signature: seal });
    let calls = answer.tool_calls.iter();
    completion.tool_calls =
        calls.map(|call| ToolCall::new(&call.id, &call.name, compact(&call.arguments))).collect();
    if let Some(first) = completion.tool_calls.first_mut() {
        first.signature = call_seal;
    }
    let token = |t: &teleprompt_testkit::server::TokenLogprob| TokenLogprob {
        token: t.token.clone(),
        logprob: t.logprob as f32,
        top: t.top.iter().map(|(token, p)| (token.clone(), *p as f32)).collect(),
    };
    let logprobs: Vec<_> = answer.logprobs.iter().map(token).collect();
    completion.logprobs = Some(logprobs).filter(|all| !all.is_empty());
    completion
}

fn expected(wire: Wire, answer: &Answer) -> LmResponse {
    LmResponse {
        completions: (0..answer.texts.len()).map(|i| completion(wire, answer, i)).collect(),
        usage: usage(wire, answer.tokens),
        model: MODEL.into(),
        // Gemini names no request.
        request_id: (wire != Wire::Gemini).then(|| "req_1".into()),
        rate: None,
    }
}

fn compact(arguments: &str) -> String {
    serde_json::from_str::<Value>(arguments).map_or_else(|_| arguments.into(), |v| v.to_string())
}

fn compacted(mut response: LmResponse) -> LmResponse {
    let calls = response.completions.iter_mut().flat_map(|c| &mut c.tool_calls);
    calls.for_each(|call| call.arguments = compact(&call.arguments));
    response
}

/// Asks for this answer, whole and streamed.
async fn alike(subject: &Subject, answer: Answer) -> Checked {
    let want = expected(subject.wire, &answer);
    let mut request = ask("hi");
    request.n = answer.texts.len() as u32;
    request.settings.logprobs = (!answer.logprobs.is_empty()).then_some(2);
    let server = subject.server(move |_| answer.clone()).await;
    let lm = subject.lm(&server);
    let whole = told("whole", lm.generate(&request).await)?;
    same("whole", &compacted(whole), &want)?;
    let streamed = stream(&lm, &request).await?;
    let done = compacted(told("streamed", streamed.end)?);
    same("streamed", &done, &want)?;
    let field = |of: fn(&Completion) -> String| want.completions.iter().map(of).collect::<Vec<_>>();
    same("pieces of text", &streamed.texts, &field(|c| c.text.clone()))?;
    let thought = |c: &Completion| c.reasoning.clone().unwrap_or_default().text;
    same("pieces of thought", &streamed.thoughts, &field(thought))?;
    let mut calls = streamed.calls;
    calls.iter_mut().flatten().for_each(|call| call.arguments = compact(&call.arguments));
    let told: Vec<_> = want.completions.iter().map(|c| c.tool_calls.clone()).collect();
    same("pieces with calls", &calls, &told)
}

pub async fn texts(subject: &Subject) -> Checked {
    alike(subject, Answer::text("Grüße 👋, \"Welt\"\n\\ Ende")).await?;
    alike(subject, Answer::in_pieces(&["Gr", "ü", "ße ", "👋🏽", "\n\n", "data: x\r\n"])).await
}

pub async fn thoughts(subject: &Subject) -> Checked {
    let answer = Answer::text("ja").with_reasoning("Erst überlegen, 👋 dann so.", Some("c2VhbA=="));
    alike(subject, answer).await
}

pub async fn tool_calls(subject: &Subject) -> Checked {
    let arguments = r#"{"at": "Köln \"Süd\"", "days": [1, 2], "deep": {"a": null}}"#;
    let silent = Answer::text("").with_tool_call("c1", "weather", arguments);
    let silent = silent.with_tool_call("c2", "now", "{}");
    alike(subject, silent.clone()).await?;
    alike(subject, silent.with_reasoning("Ich rufe.", Some("c2VhbA=="))).await?;
    alike(subject, Answer::text("Moment").with_tool_call("c1", "weather", arguments)).await
}

pub async fn logprobs(subject: &Subject) -> Checked {
    if subject.wire == Wire::Anthropic {
        return Ok(());
    }
    let answer = Answer::text("Grüße")
        .with_logprob("Gr", -0.25, &[("Gr", -0.25), ("Hal", -2.5)])
        .with_logprob("üße", -1.5, &[]);
    alike(subject, answer).await
}

pub async fn usages(subject: &Subject) -> Checked {
    let tokens = Tokens { prompt: 100, completion: 40, cached: 30, cache_write: 20, reasoning: 25 };
    alike(subject, Answer::text("ja").with_tokens(tokens)).await
}

pub async fn finishes(subject: &Subject) -> Checked {
    let odd = Finish::Unknown("because_i_say_so".into());
    for finish in [Finish::Stop, Finish::Length, Finish::ContentFilter, odd] {
        alike(subject, Answer::text("ja").with_finish(finish)).await?;
    }
    Ok(())
}

/// One request where the wire has `n`, else one for each.
pub async fn several(subject: &Subject) -> Checked {
    let texts = ["eins", "zwei 👋", "drei"];
    if matches!(subject.wire, Wire::OpenAiChat | Wire::Gemini) {
        return alike(subject, Answer::texts(texts)).await;
    }
    for streamed in [false, true] {
        let asked = AtomicUsize::new(0);
        let next = move |_: &_| Answer::text(texts[asked.fetch_add(1, Ordering::Relaxed) % 3]);
        let server = subject.server(next).await;
        let lm = subject.lm(&server);
        let request = LmRequest::new(ask("hi").messages);
        let request = with_n(request, 3);
        let response = match streamed {
            true => stream(&lm, &request).await?.end,
            false => lm.generate(&request).await,
        };
        let response = told("n = 3", response)?;
        let mut got: Vec<_> = response.completions.iter().map(|c| &*c.text).collect();
        got.sort_unstable();
        same("texts", got.as_slice(), &["drei", "eins", "zwei 👋"])?;
        same("requests", &server.hits(), &3)?;
        let usage = response.usage;
        same("usage", &(usage.calls, usage.prompt_tokens, usage.completion_tokens), &(1, 21, 9))?;
    }
    Ok(())
}

fn with_n(mut request: LmRequest, n: u32) -> LmRequest {
    request.n = n;
    request
}

/// The server's word on its rate limits.
pub async fn rates(subject: &Subject) -> Checked {
    let subject = Subject {
        serve: |wire, parsed, answer| {
            let response = if parsed.stream {
                wire.stream(answer, usize::MAX, Duration::ZERO)
            } else {
                wire.reply(answer)
            };
            let header = |what, unit| match wire {
                Wire::Anthropic => format!("anthropic-ratelimit-{unit}-{what}"),
                _ => format!("x-ratelimit-{what}-{unit}"),
            };
            response
                .with_header(&header("limit", "requests"), "60")
                .with_header(&header("remaining", "requests"), "59")
                .with_header(&header("remaining", "tokens"), "7000")
        },
        ..*subject
    };
    let want = RateStatus {
        limit_requests: Some(60),
        remaining_requests: Some(59),
        remaining_tokens: Some(7000),
        ..RateStatus::default()
    };
    let server = subject.server(|_| Answer::text("ja")).await;
    let lm = subject.lm(&server);
    same("whole", &told("whole", lm.generate(&ask("hi")).await)?.rate, &Some(want))?;
    let streamed = stream(&lm, &ask("hi")).await?.end;
    same("streamed", &told("streamed", streamed)?.rate, &Some(want))
}

/// Cut by us where the wire has no stop texts, by the server elsewhere.
pub async fn stops(subject: &Subject) -> Checked {
    let cuts = subject.wire == Wire::OpenAiResponses;
    let said = if cuts { "eins ENDzwei" } else { "eins " };
    let server = subject.server(move |_| Answer::text(said)).await;
    let lm = subject.lm(&server);
    let mut request = ask("hi");
    request.settings.stop = vec!["END".into()];
    let whole = told("whole", lm.generate(&request).await)?;
    same("whole", whole.completions[0].text.as_str(), "eins ")?;
    let streamed = stream(&lm, &request).await?;
    same("pieces", streamed.texts.as_slice(), &["eins ".to_owned()])?;
    same("streamed", &told("streamed", streamed.end)?, &whole)
}

/// llama.cpp's server mixes the choices of a stream, and its first delta says that there is no
/// content yet.
async fn mixed_choices() -> Checked {
    let event = |index: usize, delta: Value, finish: Value| {
        let choice = json!({"index": index, "delta": delta, "finish_reason": finish});
        format!("data: {}\n\n", json!({"model": MODEL, "choices": [choice]}))
    };
    let mut events = String::new();
    for index in [1, 0] {
        events += &event(index, json!({"role": "assistant", "content": null}), Value::Null);
    }
    for (a, b) in [("Gr", "Ha"), ("üß", "l"), ("e", "lo")] {
        events += &event(0, json!({"content": a}), Value::Null);
        events += &event(1, json!({"content": b}), Value::Null);
    }
    events += &event(1, json!({}), json!("length"));
    events += &event(0, json!({}), json!("stop"));
    events += "data: [DONE]\n\n";
    let server =
        FakeServer::start(move |_| Response::event_stream(&events, 11, Duration::ZERO)).await;
    let server = server.unwrap();
    let lm = Subject::of(Wire::OpenAiChat).lm(&server);
    let streamed = stream(&lm, &with_n(ask("hi"), 2)).await?;
    same("texts", streamed.texts.as_slice(), &["Grüße", "Hallo"].map(String::from))?;
    let done = told("streamed", streamed.end)?;
    let ends: Vec<_> = done.completions.iter().map(|c| (&*c.text, c.finish)).collect();
    let want = [("Grüße", FinishReason::Stop), ("Hallo", FinishReason::Length)];
    same("completions", ends.as_slice(), &want)?;
    same("requests", &server.hits(), &1)
}

#[tokio::test]
async fn texts_and_thoughts() {
    on_every_wire(texts).await;
    on_every_wire(thoughts).await;
}

#[tokio::test]
async fn calls_of_tools() {
    on_every_wire(tool_calls).await;
}

#[tokio::test]
async fn log_probabilities() {
    on_every_wire(logprobs).await;
}

#[tokio::test]
async fn every_kind_of_token_is_counted() {
    on_every_wire(usages).await;
}

#[tokio::test]
async fn finish_reasons_and_the_providers_word_for_them() {
    on_every_wire(finishes).await;
}

#[tokio::test]
async fn several_completions() {
    on_every_wire(several).await;
    mixed_choices().await.unwrap();
}

#[tokio::test]
async fn rate_limits() {
    on_every_wire(rates).await;
}

#[tokio::test]
async fn stop_texts() {
    on_every_wire(stops).await;
}
