//! What the crate `genai` gives back, as a reply of ours.

use ::genai::chat::{ChatResponse, ContentPart, MessageContent, StopReason, StreamEnd};
use teleprompt_core::{Completion, FinishReason, LmChunk, LmResponse, Reasoning, ToolCall, Usage};

use super::Cloud;

/// `None`: it has neither content nor a reason why it ended, so it is none.
pub(super) fn whole(cloud: Cloud, reply: ChatResponse) -> Option<LmResponse> {
    if reply.content.is_empty() && reply.stop_reason.is_none() {
        return None;
    }
    let completion = completion(reply.content, reply.reasoning_content, reply.stop_reason);
    Some(LmResponse {
        completions: vec![completion],
        usage: usage(cloud, &reply.usage),
        model: reply.provider_model_iden.model_name.to_string().into(),
        ..LmResponse::default()
    })
}

/// The last pieces of a stream: calls of tools, which are whole only now, and the reply. None where
/// the stream broke off before it told why it ended.
pub(super) fn end(cloud: Cloud, end: StreamEnd) -> Option<Vec<LmChunk>> {
    end.captured_stop_reason.as_ref()?;
    let completion = completion(
        end.captured_content.unwrap_or_default(),
        end.captured_reasoning_content,
        end.captured_stop_reason,
    );
    let calls = completion.tool_calls.iter().cloned();
    let mut chunks: Vec<LmChunk> = calls.map(|call| LmChunk::ToolCall { index: 0, call }).collect();
    let told = end.captured_usage.unwrap_or_default();
    chunks.push(LmChunk::Done(LmResponse {
        completions: vec![completion],
        usage: usage(cloud, &told),
        ..LmResponse::default()
    }));
    Some(chunks)
}

fn completion(
    content: MessageContent,
    thoughts: Option<String>,
    stop: Option<StopReason>,
) -> Completion {
    let mut completion = Completion {
        finish: stop.as_ref().map_or(FinishReason::Other, finish),
        finish_said: stop.as_ref().map(|stop| stop.raw().into()),
        ..Completion::default()
    };
    let (mut seals, mut told) = (Vec::new(), String::new());
    for part in content.into_parts() {
        match part {
            ContentPart::Text(text) => completion.text += &text,
            ContentPart::ToolCall(call) => completion.tool_calls.push(ToolCall {
                id: call.call_id,
                name: call.fn_name,
                arguments: call.fn_arguments.to_string(),
                signature: call.thought_signatures.and_then(|seals| seals.into_iter().next()),
            }),
            ContentPart::ThoughtSignature(seal) => seals.push(seal),
            ContentPart::ReasoningContent(text) => told += &text,
            _ => {}
        }
    }
    let text = thoughts.unwrap_or(told);
    // Several seals belong to several blocks, which are not told apart here, so none can go back.
    let signature = if seals.len() == 1 { seals.pop() } else { None };
    if !text.is_empty() || signature.is_some() {
        completion.reasoning = Some(Reasoning { text, signature });
    }
    completion
}

fn finish(stop: &StopReason) -> FinishReason {
    match stop {
        StopReason::Completed(_) | StopReason::StopSequence(_) => FinishReason::Stop,
        StopReason::MaxTokens(_) => FinishReason::Length,
        StopReason::ToolCall(_) => FinishReason::ToolCalls,
        StopReason::ContentFilter(_) => FinishReason::ContentFilter,
        StopReason::Other(said) if said == "guardrail_intervened" || said == "content_filtered" => {
            FinishReason::ContentFilter
        }
        StopReason::Other(_) => FinishReason::Other,
    }
}

fn usage(cloud: Cloud, told: &::genai::chat::Usage) -> Usage {
    let count = |n: Option<i32>| n.and_then(|n| u64::try_from(n).ok()).unwrap_or_default();
    let prompt = told.prompt_tokens_details.as_ref();
    let read = count(prompt.and_then(|d| d.cached_tokens));
    let written = count(prompt.and_then(|d| d.cache_creation_tokens));
    let thought = told.completion_tokens_details.as_ref().and_then(|d| d.reasoning_tokens);
    // Bedrock counts only the tokens that its cache had no part in.
    let cached = if cloud == Cloud::Bedrock { read + written } else { 0 };
    Usage {
        prompt_tokens: count(told.prompt_tokens) + cached,
        completion_tokens: count(told.completion_tokens),
        cached_prompt_tokens: read,
        cache_write_tokens: written,
        reasoning_tokens: count(thought),
        ..Usage::one_call()
    }
}
