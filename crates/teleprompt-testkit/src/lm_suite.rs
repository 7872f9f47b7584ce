//! What every [`Lm`] has to keep, as code: run [`check`] over yours.

use futures::future::{join_all, poll_immediate};
use futures::stream::StreamExt;
use serde_json::{Value, json};
use std::sync::Arc;

use teleprompt_core::{Constraint, Lm, LmChunk, LmRequest, LmResponse, Message};

/// Runs all checks, one after another. The LM must answer any prompt, twice the same way (greedy,
/// scripted or cached), and with JSON if it claims to enforce JSON schemas.
///
/// ```
/// use teleprompt_testkit::{ScriptedLm, lm_suite};
///
/// let lm = ScriptedLm::new(|_| "always the same");
/// futures::executor::block_on(lm_suite::check(&lm)).unwrap();
/// ```
///
/// # Errors
/// The first broken promise, in words.
pub async fn check(lm: &impl Lm) -> Result<(), String> {
    identity_is_stable(lm).await?;
    gives_n_completions(lm).await?;
    stream_folds_to_generate(lm).await?;
    tells_abilities_truly(lm).await?;
    survives_dropped_calls(lm).await?;
    answers_at_once(lm).await
}

fn request(text: &str) -> LmRequest {
    let mut request =
        LmRequest::new(vec![Message::system("Be brief."), Message::user(text.to_owned())]);
    request.settings.temperature = Some(0.0);
    request.settings.max_tokens = Some(64);
    request
}

async fn ask(lm: &impl Lm, request: &LmRequest, check: &str) -> Result<LmResponse, String> {
    lm.generate(request).await.map_err(|e| format!("{check}: the call failed: {e}"))
}

fn ensure(holds: bool, check: &str, message: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{check}: {}", message())) }
}

/// Name and identity are there and stay the same over a call.
async fn identity_is_stable(lm: &impl Lm) -> Result<(), String> {
    const CHECK: &str = "identity";
    let before = (lm.name().to_owned(), lm.identity());
    ask(lm, &request("identity"), CHECK).await?;
    let after = (lm.name().to_owned(), lm.identity());
    ensure(before == after, CHECK, || format!("changed from {before:?} to {after:?}"))?;
    let told = !before.0.is_empty() && !before.1.is_empty() && !lm.describe().is_empty();
    ensure(told, CHECK, || "name, identity and description must not be empty".into())
}

/// As many completions as were asked for; one call in the usage.
async fn gives_n_completions(lm: &impl Lm) -> Result<(), String> {
    const CHECK: &str = "completions";
    for n in [1_u32, 3] {
        let mut request = request("completions");
        request.n = n;
        let reply = ask(lm, &request, CHECK).await?;
        let got = reply.completions.len();
        ensure(got == n as usize, CHECK, || format!("{n} wanted, {got} came"))?;
        let calls = reply.usage.calls;
        ensure(calls == 1, CHECK, || format!("usage.calls is 1 a call, not {calls}"))?;
        let hits = reply.usage.cache_hits;
        ensure(hits <= 1, CHECK, || format!("usage.cache_hits is {hits} for one call"))?;
    }
    Ok(())
}

/// The pieces of a stream put together are the completions of its last chunk and of `generate`.
async fn stream_folds_to_generate(lm: &impl Lm) -> Result<(), String> {
    const CHECK: &str = "stream";
    let request = request("stream");
    let whole = ask(lm, &request, CHECK).await?;
    let (mut texts, mut done) = (vec![String::new()], None);
    let mut stream = lm.stream(&request);
    while let Some(chunk) = stream.next().await {
        ensure(done.is_none(), CHECK, || "something came after the end".into())?;
        match chunk.map_err(|e| format!("{CHECK}: failed: {e}"))? {
            LmChunk::Text { index, text } => {
                texts.resize(texts.len().max(index + 1), String::new());
                if let Some(slot) = texts.get_mut(index) {
                    slot.push_str(&text);
                }
            }
            LmChunk::Done(response) => done = Some(response),
            _ => {}
        }
    }
    let done = done.ok_or(format!("{CHECK}: it ended without `Done`"))?;
    let told: Vec<String> = done.completions.iter().map(|c| c.text.clone()).collect();
    ensure(texts == told, CHECK, || format!("the pieces give {texts:?}, `Done` has {told:?}"))?;
    let calls = done.usage.calls;
    ensure(calls == 1, CHECK, || format!("usage.calls is 1 a call, not {calls}"))?;
    ensure(done.completions == whole.completions, CHECK, || {
        format!("`Done` has {:?}, generate gave {:?}", done.completions, whole.completions)
    })
}

/// Claimed abilities are real.
async fn tells_abilities_truly(lm: &impl Lm) -> Result<(), String> {
    const CHECK: &str = "capabilities";
    let schema = json!({
        "type": "object", "properties": {"answer": {"type": "string"}},
        "required": ["answer"], "additionalProperties": false,
    });
    let mut constrained = request("Answer in JSON.");
    constrained.constraint = Some(Arc::new(Constraint::new(Some(Arc::new(schema)), None)));
    let reply = ask(lm, &constrained, CHECK).await?;
    if lm.capabilities().json_schema {
        let texts = reply.completions.iter().map(|c| c.text.as_str());
        let wrong = texts.into_iter().find(|text| !fits(text)).map(str::to_owned);
        ensure(wrong.is_none(), CHECK, || {
            format!("json_schema is claimed, but this breaks the schema: {wrong:?}")
        })?;
    }
    if lm.capabilities().logprobs {
        let mut request = request("logprobs");
        request.settings.logprobs = Some(1);
        let reply = ask(lm, &request, CHECK).await?;
        let all = reply.completions.iter().all(|c| c.logprobs.is_some());
        ensure(all, CHECK, || "logprobs are claimed, but none came".into())?;
    }
    Ok(())
}

fn fits(text: &str) -> bool {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    value.as_object().is_some_and(|o| o.len() == 1 && o.get("answer").is_some_and(Value::is_string))
}

/// A call that was begun and dropped harms none of the later ones.
async fn survives_dropped_calls(lm: &impl Lm) -> Result<(), String> {
    const CHECK: &str = "dropped call";
    let request = request("dropped");
    for _ in 0..3 {
        drop(poll_immediate(lm.generate(&request)).await);
        drop(poll_immediate(lm.stream(&request).next()).await);
    }
    ask(lm, &request, CHECK).await.map(drop)
}

/// Many calls at once are all answered, equal ones alike.
async fn answers_at_once(lm: &impl Lm) -> Result<(), String> {
    const CHECK: &str = "concurrent calls";
    let requests: Vec<LmRequest> = (0..16).map(|i| request(&format!("number {}", i % 8))).collect();
    let replies = join_all(requests.iter().map(|r| ask(lm, r, CHECK))).await;
    let replies = replies.into_iter().collect::<Result<Vec<_>, _>>()?;
    for (first, second) in replies.iter().zip(replies.iter().skip(8)) {
        ensure(first.completions == second.completions, CHECK, || {
            format!("equal calls gave {:?} and {:?}", first.completions, second.completions)
        })?;
    }
    Ok(())
}
