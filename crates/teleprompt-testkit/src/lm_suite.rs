//! What every [`Lm`] has to keep, as code: run [`check`] over yours.

use futures::future::{join_all, poll_immediate};
use futures::stream::StreamExt;
use serde_json::{Value, json};
use std::sync::Arc;

use teleprompt_core::{
    Completion, Constraint, FinishReason, Lm, LmChunk, LmError, LmErrorKind, LmRequest, LmResponse,
    Media, Message, Money, Part, Tool, ToolCall,
};

/// Runs all checks, one after another. The LM must answer any prompt, twice the same way (greedy,
/// scripted or cached), and with JSON if it claims to enforce JSON schemas. What it does not claim,
/// images and tools, it must refuse as unsupported.
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
    counts_and_charges(lm).await?;
    tells_abilities_truly(lm).await?;
    refuses_what_it_cannot(lm).await?;
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

/// What a completion says: text, thoughts and calls of tools.
#[derive(Clone, Debug, Default, PartialEq)]
struct Said {
    text: String,
    reasoning: String,
    tool_calls: Vec<ToolCall>,
}

impl Said {
    fn whole(completion: &Completion) -> Self {
        Self {
            text: completion.text.clone(),
            reasoning: completion.reasoning.as_ref().map(|r| r.text.clone()).unwrap_or_default(),
            tool_calls: completion.tool_calls.clone(),
        }
    }

    /// Adds a piece to the completion that it is of.
    fn add(all: &mut Vec<Said>, chunk: LmChunk) {
        let (LmChunk::Text { index, .. }
        | LmChunk::Reasoning { index, .. }
        | LmChunk::ToolCall { index, .. }) = &chunk
        else {
            return;
        };
        let index = *index;
        all.resize(all.len().max(index + 1), Said::default());
        let Some(said) = all.get_mut(index) else { return };
        match chunk {
            LmChunk::Text { text, .. } => said.text.push_str(&text),
            LmChunk::Reasoning { text, .. } => said.reasoning.push_str(&text),
            LmChunk::ToolCall { call, .. } => said.tool_calls.push(call),
            _ => {}
        }
    }
}

/// The pieces of a stream put together are the completions of its last chunk and of `generate`.
async fn stream_folds_to_generate(lm: &impl Lm) -> Result<(), String> {
    const CHECK: &str = "stream";
    let request = request("stream");
    let whole = ask(lm, &request, CHECK).await?;
    let (mut pieces, mut done) = (Vec::new(), None);
    let mut stream = lm.stream(&request);
    while let Some(chunk) = stream.next().await {
        ensure(done.is_none(), CHECK, || "something came after the end".into())?;
        match chunk.map_err(|e| format!("{CHECK}: failed: {e}"))? {
            LmChunk::Done(response) => done = Some(response),
            piece => Said::add(&mut pieces, piece),
        }
    }
    let done = done.ok_or(format!("{CHECK}: it ended without `Done`"))?;
    let told: Vec<Said> = done.completions.iter().map(Said::whole).collect();
    // A completion that says nothing has no pieces.
    pieces.resize(pieces.len().max(told.len()), Said::default());
    ensure(pieces == told, CHECK, || format!("the pieces give {pieces:?}, `Done` has {told:?}"))?;
    let calls = done.usage.calls;
    ensure(calls == 1, CHECK, || format!("usage.calls is 1 a call, not {calls}"))?;
    ensure(done.completions == whole.completions, CHECK, || {
        format!("`Done` has {:?}, generate gave {:?}", done.completions, whole.completions)
    })
}

/// Tokens that are counted beforehand are enough, and what a call costs fits the price.
async fn counts_and_charges(lm: &impl Lm) -> Result<(), String> {
    const CHECK: &str = "tokens and money";
    let request = request("tokens and money");
    let usage = ask(lm, &request, CHECK).await?.usage;
    if let Some(most) = lm.count_tokens(&request) {
        let used = usage.prompt_tokens;
        ensure(used <= most, CHECK, || format!("count_tokens says {most}, the prompt had {used}"))?;
    }
    let (priced, free) = (usage.priced_calls, usage.cache_hits);
    ensure(priced + free <= usage.calls, CHECK, || {
        format!("{} call, but {priced} priced_calls and {free} cache_hits", usage.calls)
    })?;
    ensure(priced > 0 || usage.cost == Money::ZERO, CHECK, || {
        format!("a cost of {} without priced_calls", usage.cost)
    })?;
    let Some(price) = lm.price().filter(|_| free == 0) else { return Ok(()) };
    let told = usage.prompt_tokens + usage.completion_tokens > 0;
    ensure(priced == usage.calls || !told, CHECK, || {
        "the price is known, but the call is not among priced_calls".into()
    })?;
    let most = price.of(&usage);
    ensure(usage.cost <= most, CHECK, || format!("the cost is {}, by price() {most}", usage.cost))
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
        // What was cut off at the token limit is no whole JSON, whoever enforces it.
        let whole = reply.completions.iter().filter(|c| c.finish != FinishReason::Length);
        let wrong = whole.map(|c| c.text.as_str()).find(|text| !fits(text)).map(str::to_owned);
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

/// A pixel.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0\x3a\x7e\x9b\x55\
    \0\0\0\nIDATx\x9cc\x60\0\0\0\x02\0\x01\x48\xaf\xa4\x71\0\0\0\0IEND\xaeB\x60\x82";

/// Tools and images are taken or refused, never left out in silence.
async fn refuses_what_it_cannot(lm: &impl Lm) -> Result<(), String> {
    let can = lm.capabilities();
    let mut tools = request("tools");
    let schema = json!({"type": "object", "properties": {}});
    tools.tools = Arc::from([Tool::new("now", "The time.", schema)]);
    takes_or_refuses(lm, "tools", can.tools, &tools).await?;
    let mut media = request("media");
    let image = Part::Image(Media::data(PNG, "image/png"));
    media.messages.push(Message::user([Part::text("What is this?"), image]));
    takes_or_refuses(lm, "media", can.media, &media).await
}

async fn takes_or_refuses(
    lm: &impl Lm,
    what: &str,
    claimed: bool,
    request: &LmRequest,
) -> Result<(), String> {
    let mut stream = lm.stream(request);
    let mut streamed = Ok(());
    while let Some(chunk) = stream.next().await {
        streamed = streamed.and(chunk.map(drop));
    }
    for result in [lm.generate(request).await.map(drop), streamed] {
        let refused = |e: &LmError| e.kind == LmErrorKind::Unsupported;
        match result {
            // Which media, and how large, is up to the model.
            Ok(()) if claimed => {}
            Err(e) if claimed && !refused(&e) && what == "media" => {}
            Err(e) if !claimed && refused(&e) => {}
            Ok(()) => return Err(format!("{what}: not claimed, but not refused either")),
            Err(e) if claimed => return Err(format!("{what}: claimed, but refused: {e}")),
            Err(e) => {
                return Err(format!("{what}: not claimed, but the refusal is not so called: {e}"));
            }
        }
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
