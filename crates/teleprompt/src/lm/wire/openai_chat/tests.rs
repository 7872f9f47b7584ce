use std::sync::Arc;

use serde_json::{Value, json};
use teleprompt_core::{
    Completion, Constraint, Content, FinishReason, LmChunk, LmRequest, LmResponse, Media, Message,
    Part, Reasoning, ReasoningEffort, Tool, ToolCall, ToolChoice, ToolResult, Usage,
};

use super::super::tests::{ALL, folded, said, sse, stream_cut_anywhere};
use super::super::{Call, Dialect, Wire, WireFault};
use super::OpenAiChat;

fn body(request: &LmRequest, dialect: Dialect) -> Value {
    OpenAiChat.body(&Call { model: "m", request, dialect, stream: false }).unwrap()
}

#[test]
fn media_tools_and_thoughts_are_said() {
    let result =
        ToolResult { id: "c1".into(), name: "add".into(), content: "3".into(), is_error: false };
    let mut request = LmRequest::new(vec![
        Message::user([
            Part::text("What is this?"),
            Part::Image(Media::url("https://example.org/a.png", "image/png")),
            Part::Image(Media::data(vec![1_u8, 2], "image/png")),
            Part::Audio(Media::data(vec![3_u8], "audio/mpeg")),
            Part::File(Media::data(vec![4_u8], "application/pdf").named("a.pdf")),
            Part::File(Media::id("file-1", "application/pdf")),
        ]),
        Message::assistant([
            Part::Reasoning(Reasoning { text: "hm".into(), signature: None }),
            Part::ToolCall(ToolCall::new("c1", "add", r#"{"a":1}"#)),
        ]),
        Message::tool([result]),
    ]);
    request.tools = [Tool::new("add", "Adds.", json!({"type": "object"}))].into();
    request.tool_choice = Some(ToolChoice::Named("add".into()));
    let call = json!({
        "id": "c1", "type": "function", "function": {"name": "add", "arguments": "{\"a\":1}"},
    });
    let expected = json!({
        "model": "m",
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AQI="}},
                {"type": "input_audio", "input_audio": {"data": "Aw==", "format": "mp3"}},
                {"type": "file", "file": {
                    "filename": "a.pdf", "file_data": "data:application/pdf;base64,BA==",
                }},
                {"type": "file", "file": {"file_id": "file-1"}},
            ]},
            {"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "3"},
        ],
        "tools": [{"type": "function", "function": {
            "name": "add", "description": "Adds.", "parameters": {"type": "object"},
        }}],
        "tool_choice": {"type": "function", "function": {"name": "add"}},
    });
    assert_eq!(body(&request, ALL), expected);
    let turn = &body(&request, Dialect { reasoning_back: false, ..ALL })["messages"][1];
    assert_eq!(turn["reasoning_content"], Value::Null);
}

#[test]
fn what_cannot_be_said_is_told() {
    let wrong: [(Message, &str); 5] = [
        (Message::user([Part::Image(Media::id("x", "image/png"))]), "an image by its id"),
        (Message::user([Part::Audio(Media::url("http://x", "audio/wav"))]), "not given as bytes"),
        (Message::user([Part::File(Media::url("http://x", "a/b"))]), "a file at an address"),
        (Message::user([Part::ToolCall(ToolCall::default())]), "outside an assistant's turn"),
        (
            Message::tool([ToolResult {
                id: "1".into(),
                name: "f".into(),
                content: Content::from([Part::Image(Media::id("x", "image/png"))]),
                is_error: false,
            }]),
            "media in the answer of a tool",
        ),
    ];
    for (message, words) in wrong {
        let request = LmRequest::new(vec![message]);
        let call = Call { model: "m", request: &request, dialect: ALL, stream: false };
        assert!(OpenAiChat.body(&call).unwrap_err().0.contains(words), "{words}");
    }
}

#[test]
fn the_dialect_decides_over_settings() {
    let mut request = LmRequest::new(vec![Message::system("s"), Message::user("u")]);
    request.settings.temperature = Some(0.7);
    request.settings.top_p = Some(0.5);
    request.settings.max_tokens = Some(9);
    request.settings.reasoning = Some(ReasoningEffort::Low);
    request.shared_prefix = 1;
    let schema = Arc::new(json!({"type": "object"}));
    request.constraint = Some(Arc::new(Constraint::new(Some(schema), None)));
    request.settings.seed = Some(3);
    let full = body(&request, ALL);
    assert_eq!((&full["temperature"], &full["top_p"]), (&json!(0.7), &json!(0.5)));
    assert_eq!((&full["max_tokens"], &full["reasoning_effort"]), (&json!(9), &json!("low")));
    assert_eq!(full["response_format"]["json_schema"]["strict"], true);
    assert_eq!(full["prompt_cache_key"].as_str().unwrap().len(), 32);
    let least = Dialect {
        schema: false,
        new_limit_name: true,
        random_seed: true,
        stream_options: false,
        sampling: false,
        prompt_cache: false,
        effort: false,
        reasoning_back: false,
        summary: false,
    };
    let mut lean = body(&request, least);
    lean.as_object_mut().unwrap().remove("messages");
    assert_eq!(lean, json!({"model": "m", "max_completion_tokens": 9, "random_seed": 3}));
}

#[test]
fn a_reply_with_everything_is_read() {
    let reply = json!({
        "model": "m-1",
        "choices": [
            {"index": 1, "message": {"content": "second"}, "finish_reason": "length"},
            {"index": 0, "finish_reason": "stop", "message": {
                "content": null, "reasoning_content": "hm",
                "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": {"a": 1}}}],
            }},
        ],
        "usage": {
            "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
            "completion_tokens_details": {"reasoning_tokens": 3},
        },
    });
    let read = OpenAiChat.read(&reply).unwrap();
    let first = Completion {
        reasoning: Some(Reasoning { text: "hm".into(), signature: None }),
        tool_calls: vec![ToolCall::new("c1", "f", r#"{"a":1}"#)],
        finish: FinishReason::ToolCalls,
        finish_said: Some("stop".into()),
        ..Completion::default()
    };
    let second = Completion {
        finish: FinishReason::Length,
        finish_said: Some("length".into()),
        ..Completion::text("second")
    };
    let usage = Usage {
        prompt_tokens: 10,
        completion_tokens: 5,
        cached_prompt_tokens: 4,
        cache_write_tokens: 1,
        reasoning_tokens: 3,
        ..Usage::one_call()
    };
    let expected = LmResponse {
        completions: vec![first, second],
        usage,
        model: "m-1".into(),
        ..LmResponse::default()
    };
    assert_eq!(read, expected);
}

#[test]
fn thoughts_beside_the_completion_are_counted_in() {
    let usage = json!({
        "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 35,
        "completion_tokens_details": {"reasoning_tokens": 20},
    });
    let reply = json!({"choices": [{"message": {"content": "x"}}], "usage": usage});
    let read = OpenAiChat.read(&reply).unwrap().usage;
    assert_eq!((read.completion_tokens, read.reasoning_tokens), (25, 20));
}

#[test]
fn thoughts_come_under_several_names() {
    let thinking = json!([
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "x"},
    ]);
    let messages = [
        json!({"content": "x", "reasoning_content": "hm"}),
        json!({"content": "x", "reasoning": "hm"}),
        json!({"content": thinking}),
    ];
    for message in messages {
        let read = OpenAiChat.read(&json!({"choices": [{"message": message}]})).unwrap();
        let completion = &read.completions[0];
        assert_eq!(completion.text, "x");
        assert_eq!(completion.reasoning.as_ref().unwrap().text, "hm");
    }
}

fn delta(index: u64, delta: Value, finish: Option<&str>) -> Value {
    json!({"model": "m-1", "choices": [{"index": index, "delta": delta, "finish_reason": finish}]})
}

/// Two completions, thoughts, a call in parts.
fn events() -> Vec<Value> {
    let call = |name: Option<&str>, id: Option<&str>, part: &str| {
        let function = json!({"name": name, "arguments": part});
        json!({"tool_calls": [{"index": 0, "id": id, "function": function}]})
    };
    vec![
        delta(0, json!({"role": "assistant", "content": ""}), None),
        delta(0, json!({"reasoning": "hm…"}), None),
        delta(0, json!({"content": "Grü"}), None),
        delta(1, json!({"content": "zwei 😀"}), None),
        delta(0, json!({"content": "ße"}), None),
        delta(0, call(Some("add"), Some("c1"), "{\"a\""), None),
        delta(0, call(None, None, ":1}"), None),
        delta(0, json!({}), Some("tool_calls")),
        delta(1, json!({}), Some("stop")),
        json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}),
    ]
}

#[test]
fn a_stream_cut_anywhere_gives_the_same_and_folds_to_the_whole() {
    let bytes = sse(&events(), Some("[DONE]"));
    let (chunks, whole) = stream_cut_anywhere(&OpenAiChat, &bytes);
    let call = ToolCall::new("c1", "add", "{\"a\":1}");
    assert!(chunks.contains(&LmChunk::ToolCall { index: 0, call: call.clone() }));
    let folded = folded(&chunks);
    assert_eq!(folded[0], ("Grüße".into(), "hm…".into(), vec![call]));
    assert_eq!(folded[1].0, "zwei 😀");
    assert_eq!(folded, said(&whole));
    assert_eq!(whole.completions[0].finish, FinishReason::ToolCalls);
    assert_eq!((&*whole.model, whole.usage.prompt_tokens), ("m-1", 3));
}

#[test]
fn a_stream_without_its_end_is_whole_only_if_all_told_their_finish() {
    let mut reader = OpenAiChat.reader();
    for event in events() {
        reader.event(&event.to_string()).unwrap();
    }
    assert!(!reader.is_done());
    assert!(reader.finish().is_some());
    let mut reader = OpenAiChat.reader();
    for event in &events()[..8] {
        reader.event(&event.to_string()).unwrap();
    }
    assert!(reader.finish().is_none());
}

#[test]
fn calls_without_numbers_are_told_apart_by_their_ids() {
    let part = |id: Option<&str>, name: Option<&str>, arguments: &str| {
        let function = json!({"name": name, "arguments": arguments});
        delta(0, json!({"tool_calls": [{"id": id, "function": function}]}), None).to_string()
    };
    let mut reader = OpenAiChat.reader();
    reader.event(&part(Some("a"), Some("f"), "{")).unwrap();
    reader.event(&part(None, None, "}")).unwrap();
    reader.event(&part(Some("b"), Some("g"), "{}")).unwrap();
    let told = reader.event("[DONE]").unwrap();
    assert_eq!(told.len(), 2);
    let whole = reader.finish().unwrap();
    let calls = [ToolCall::new("a", "f", "{}"), ToolCall::new("b", "g", "{}")];
    assert_eq!(whole.completions[0].tool_calls, calls);
}

#[test]
fn faults_are_told_apart() {
    let refused = json!({"error": {"message": "no"}});
    assert!(matches!(OpenAiChat.read(&refused), Err(WireFault::Refused(_))));
    for reply in [json!({"choices": []}), json!({"choices": 1}), json!([]), json!("x")] {
        assert!(matches!(OpenAiChat.read(&reply), Err(WireFault::Malformed(_))), "{reply}");
    }
    let many_calls = json!({"tool_calls": [{"index": 70_000, "function": {}}]});
    for event in [delta(70_000, json!({}), None), delta(0, many_calls, None)] {
        let fault = OpenAiChat.reader().event(&event.to_string()).unwrap_err();
        assert!(matches!(fault, WireFault::Malformed(_)));
    }
}
