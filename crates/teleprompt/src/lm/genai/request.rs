//! A request in the words of the crate `genai`. Errors name what it cannot say.

use ::genai::chat::{
    ChatMessage, ChatOptions, ChatRequest, ChatResponseFormat, ChatRole, ContentPart, JsonSpec,
    MessageContent, ReasoningEffort as Effort, Tool, ToolCall, ToolChoice, ToolResponse,
};
use serde_json::json;
use teleprompt_core::{
    Content, LmRequest, Media, MediaSource, Part, ReasoningEffort, Role, ToolChoice as Choice,
};

use super::{Cloud, DEFAULT_MAX_TOKENS};

pub(super) fn said(
    cloud: Cloud,
    request: &LmRequest,
) -> Result<(ChatRequest, ChatOptions), String> {
    let mut chat = ChatRequest::new(Vec::new());
    for message in &request.messages {
        let role = match message.role {
            Role::System => {
                let system = chat.system.get_or_insert_default();
                if !system.is_empty() {
                    system.push_str("\n\n");
                }
                system.push_str(&message.content);
                continue;
            }
            Role::User => ChatRole::User,
            Role::Assistant => ChatRole::Assistant,
            Role::Tool => ChatRole::Tool,
        };
        say(&mut chat.messages, role, parts(cloud, &message.content)?);
    }
    if !request.tools.is_empty() {
        let tool = |tool: &teleprompt_core::Tool| {
            Tool::new(tool.name.to_string())
                .with_description(tool.description.to_string())
                .with_schema((*tool.parameters).clone())
        };
        chat.tools = Some(request.tools.iter().map(tool).collect());
    }
    Ok((chat, options(cloud, request)?))
}

/// Turns of one speaker that follow each other become one, as Bedrock wants it.
fn say(messages: &mut Vec<ChatMessage>, role: ChatRole, parts: Vec<ContentPart>) {
    match messages.last_mut() {
        Some(last) if last.role == role => parts.into_iter().for_each(|p| last.content.push(p)),
        _ => messages.push(ChatMessage::new(role, MessageContent::from_parts(parts))),
    }
}

fn parts(cloud: Cloud, content: &Content) -> Result<Vec<ContentPart>, String> {
    let Some(parts) = content.parts() else {
        return Ok(vec![ContentPart::Text(content.to_string())]);
    };
    let mut said = Vec::new();
    for part in parts {
        match part {
            Part::Text(text) => said.push(ContentPart::Text(text.to_string())),
            Part::Image(media) | Part::File(media) => said.push(binary(cloud, media)?),
            Part::Audio(media) if cloud == Cloud::Vertex => said.push(binary(cloud, media)?),
            Part::ToolCall(call) => {
                let seal = call.signature.clone().map(|seal| vec![seal]);
                said.push(ContentPart::ToolCall(ToolCall {
                    call_id: call.id.clone(),
                    fn_name: call.name.clone(),
                    fn_arguments: call.parsed().unwrap_or_else(|_| json!({"text": call.arguments})),
                    thought_signatures: seal,
                }));
            }
            Part::ToolResult(result) if result.content.is_text() => {
                let answer = ToolResponse::new(result.id.clone(), result.content.to_string());
                said.push(answer.with_fn_name(result.name.clone()).into());
            }
            // Thoughts without their seal cannot be given back.
            Part::Reasoning(told) => {
                if let Some(seal) = &told.signature {
                    said.push(ContentPart::ThoughtSignature(seal.clone()));
                    if !told.text.is_empty() {
                        said.push(ContentPart::ReasoningContent(told.text.clone()));
                    }
                }
            }
            Part::Audio(_) => return Err("sound".into()),
            Part::ToolResult(_) => return Err("the answer of a tool that is more than text".into()),
            _ => return Err("this kind of content".into()),
        }
    }
    Ok(said)
}

fn binary(cloud: Cloud, media: &Media) -> Result<ContentPart, String> {
    let name = media.name.as_deref().map(str::to_owned);
    match (&media.source, media.base64()) {
        (_, Some(data)) => Ok(ContentPart::from_binary_base64(media.mime.to_string(), data, name)),
        (MediaSource::Url(url), _) if cloud == Cloud::Vertex => {
            Ok(ContentPart::from_binary_url(media.mime.to_string(), url.to_string(), name))
        }
        _ => Err("media that are not given as bytes; read the file and give its bytes".into()),
    }
}

fn options(cloud: Cloud, request: &LmRequest) -> Result<ChatOptions, String> {
    let settings = &request.settings;
    if settings.extra_body.is_some() {
        return Err("fields of `extra_body`; leave them out".into());
    }
    let mut options = ChatOptions {
        temperature: settings.temperature.map(widened),
        top_p: settings.top_p.map(widened),
        max_tokens: Some(settings.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS)),
        stop_sequences: settings.stop.clone(),
        seed: settings.seed.map(|seed| seed & i32::MAX as u64),
        reasoning_effort: settings.reasoning.map(effort),
        ..ChatOptions::default()
    };
    if !request.tools.is_empty() {
        options.tool_choice = match (&request.tool_choice, cloud) {
            (None | Some(Choice::Auto), _) => None,
            (Some(_), Cloud::Bedrock) => {
                return Err("a choice among tools; leave it to the model".into());
            }
            (Some(Choice::None), _) => Some(ToolChoice::None),
            (Some(Choice::Required), _) => Some(ToolChoice::Required),
            (Some(Choice::Named(name)), _) => Some(ToolChoice::tool(name.to_string())),
        };
    }
    let schema = request.constraint.as_ref().and_then(|c| c.json_schema.as_deref());
    if let Some(schema) = schema.filter(|_| cloud == Cloud::Vertex) {
        let spec = JsonSpec::new("reply", schema.clone());
        options.response_format = Some(ChatResponseFormat::JsonSpec(spec));
    }
    Ok(options)
}

/// 0.7 as 0.7, not as the 0.699999988… that widening the bits gives.
fn widened(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_else(|_| f64::from(value))
}

fn effort(effort: ReasoningEffort) -> Effort {
    match effort {
        ReasoningEffort::Off => Effort::Zero,
        ReasoningEffort::Minimal | ReasoningEffort::Low => Effort::Low,
        ReasoningEffort::High => Effort::High,
        ReasoningEffort::Tokens(tokens) => Effort::Budget(tokens),
        _ => Effort::Medium,
    }
}
