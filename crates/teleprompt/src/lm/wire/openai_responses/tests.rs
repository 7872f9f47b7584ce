use std::sync::Arc;

use serde_json::{Value, json};
use teleprompt_core::{
    Completion, Constraint, FinishReason, LmRequest, LmResponse, Media, Message, Part, Reasoning,
    ReasoningEffort, TokenLogprob, Tool, ToolCall, ToolChoice, ToolResult, Usage,
};

use super::super::tests::{ALL, folded, said, sse, stream_cut_anywhere};
use super::super::{Call, Dialect, Wire, WireFault};
use super::OpenAiResponses;

fn body(request: &LmRequest, dialect: Dialect) -> Value {
    OpenAiResponses.body(&Call { model: "m", request, dialect, stream: true }).unwrap()
}

#[test]
fn a_conversation_becomes_items() {
    let result =
        ToolResult { id: "c1".into(), name: "add".into(), content: "3".into(), is_error: false };
    let request = LmRequest::new(vec![
        Message::system("Be brief."),
        Message::user([
            Part::text("Look"),
            Part::Image(Media::data(vec![1_u8, 2], "image/png")),
            Part::Image(Media::id("file-2", "image/png")),
            Part::Audio(Media::data(vec![3_u8], "audio/x-wav")),
            Part::File(Media::url("https://example.org/a.pdf", "application/pdf")),
            Part::File(Media::id("file-1", "application/pdf")),
            Part::File(Media::data(vec![4_u8], "application/pdf").named("a.pdf")),
        ]),
        Message::assistant([
            Part::Reasoning(Reasoning { text: "hm".into(), signature: Some("seal".into()) }),
            Part::text("I add."),
            Part::ToolCall(ToolCall::new("c1", "add", "{}")),
        ]),
        Message::tool([result]),
    ]);
    let expected = json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [
            {"type": "input_text", "text": "Look"},
            {"type": "input_image", "image_url": "data:image/png;base64,AQI="},
            {"type": "input_image", "file_id": "file-2"},
            {"type": "input_audio", "input_audio": {"data": "Aw==", "format": "wav"}},
            {"type": "input_file", "file_url": "https://example.org/a.pdf"},
            {"type": "input_file", "file_id": "file-1"},
            {"type": "input_file", "filename": "a.pdf",
             "file_data": "data:application/pdf;base64,BA=="},
        ]},
        {"type": "reasoning", "summary": [], "encrypted_content": "seal"},
        {"role": "assistant", "content": "I add."},
        {"type": "function_call", "call_id": "c1", "name": "add", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "3"},
    ]);
    assert_eq!(body(&request, ALL)["input"], expected);
    let without = body(&request, Dialect { reasoning_back: false, ..ALL });
    assert!(!without.to_string().contains("encrypted"), "{without}");
}

#[test]
fn settings_have_their_place() {
    let mut request = LmRequest::new(vec![Message::user("u")]);
    request.settings.temperature = Some(0.5);
    request.settings.max_tokens = Some(9);
    request.settings.reasoning = Some(ReasoningEffort::High);
    request.settings.logprobs = Some(2);
    request.settings.stop = vec!["END".into()];
    request.settings.seed = Some(1);
    request.n = 3;
    request.tools = [Tool::new("f", "", json!({"type": "object"}))].into();
    request.tool_choice = Some(ToolChoice::Named("f".into()));
    let schema = json!({"type": "object"});
    request.constraint = Some(Arc::new(Constraint::new(Some(Arc::new(schema.clone())), None)));
    let expected = json!({
        "model": "m", "input": [{"role": "user", "content": "u"}], "store": false,
        "temperature": 0.5, "max_output_tokens": 9, "top_logprobs": 2,
        "reasoning": {"effort": "high", "summary": "auto"},
        "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
        "tools": [{"name": "f", "parameters": schema, "type": "function", "strict": false}],
        "tool_choice": {"type": "function", "name": "f"},
        "text": {"format": {
            "type": "json_schema", "name": "reply", "strict": true, "schema": schema,
        }},
        "stream": true,
    });
    assert_eq!(body(&request, ALL), expected);
}

fn whole() -> Value {
    json!({
        "id": "resp_1", "status": "completed", "error": null, "model": "m-1",
        "output": [
            {"type": "reasoning", "encrypted_content": "seal 1", "summary": [
                {"type": "summary_text", "text": "First."},
                {"type": "summary_text", "text": "Then."},
            ]},
            {"type": "message", "content": [
                {"type": "output_text", "text": "Grüße",
                 "logprobs": [{"token": "Grüße", "logprob": -0.5, "top_logprobs": []}]},
            ]},
            {"type": "function_call", "call_id": "c1", "name": "add", "arguments": "{\"a\":1}"},
        ],
        "usage": {
            "input_tokens": 10, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
            "output_tokens": 7, "output_tokens_details": {"reasoning_tokens": 5},
        },
    })
}

fn expected() -> LmResponse {
    let completion = Completion {
        text: "Grüße".into(),
        finish: FinishReason::ToolCalls,
        finish_said: Some("completed".into()),
        reasoning: Some(Reasoning {
            text: "First.\n\nThen.".into(),
            signature: Some("seal 1".into()),
        }),
        tool_calls: vec![ToolCall::new("c1", "add", "{\"a\":1}")],
        logprobs: Some(vec![TokenLogprob {
            token: "Grüße".into(),
            logprob: -0.5,
            top: Vec::new(),
        }]),
    };
    let usage = Usage {
        prompt_tokens: 10,
        completion_tokens: 7,
        cached_prompt_tokens: 4,
        cache_write_tokens: 1,
        reasoning_tokens: 5,
        ..Usage::one_call()
    };
    LmResponse {
        completions: vec![completion],
        usage,
        model: "m-1".into(),
        ..LmResponse::default()
    }
}

#[test]
fn a_reply_with_everything_is_read() {
    assert_eq!(OpenAiResponses.read(&whole()).unwrap(), expected());
}

/// The same reply in events.
fn events() -> Vec<Value> {
    let whole = whole();
    let done = |at: usize| {
        let item = &whole["output"][at];
        json!({"type": "response.output_item.done", "output_index": at, "item": item})
    };
    let summary = |part: u64, text: &str| {
        json!({
            "type": "response.reasoning_summary_text.delta", "output_index": 0,
            "summary_index": part, "delta": text,
        })
    };
    let text = |text: &str, logprobs: Value| {
        json!({
            "type": "response.output_text.delta", "output_index": 1, "delta": text,
            "logprobs": logprobs,
        })
    };
    let logprobs = whole["output"][1]["content"][0]["logprobs"].clone();
    vec![
        json!({"type": "response.created", "response": {"status": "in_progress"}}),
        summary(0, "Fir"),
        summary(0, "st."),
        summary(1, "Then."),
        done(0),
        text("Grü", logprobs),
        text("ße", json!([])),
        done(1),
        json!({"type": "response.function_call_arguments.delta", "delta": "{", "output_index": 2}),
        done(2),
        json!({"type": "response.completed", "response": whole}),
    ]
}

#[test]
fn a_stream_cut_anywhere_gives_the_same_and_folds_to_the_whole() {
    let (chunks, whole) = stream_cut_anywhere(&OpenAiResponses, &sse(&events(), None));
    assert_eq!(whole, expected());
    assert_eq!(folded(&chunks), said(&whole));
}

#[test]
fn a_server_that_tells_all_at_the_end_is_understood() {
    let event = json!({"type": "response.completed", "response": whole()});
    let mut reader = OpenAiResponses.reader();
    let chunks = reader.event(&event.to_string()).unwrap();
    assert!(reader.is_done());
    assert_eq!(folded(&chunks), said(&expected()));
    assert_eq!(reader.finish(), Some(expected()));
}

#[test]
fn ends_are_told_apart() {
    let text = json!([{"type": "message", "content": [{"type": "output_text", "text": "x"}]}]);
    let refusal = json!([{"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}]);
    let cut = |reason: &str| json!({"reason": reason});
    let cases = [
        ("completed", Value::Null, &text, FinishReason::Stop, "completed"),
        ("completed", Value::Null, &refusal, FinishReason::ContentFilter, "completed"),
        ("incomplete", cut("max_output_tokens"), &text, FinishReason::Length, "max_output_tokens"),
        ("incomplete", cut("content_filter"), &text, FinishReason::ContentFilter, "content_filter"),
        ("incomplete", cut("a new one"), &text, FinishReason::Other, "a new one"),
    ];
    for (status, details, output, finish, words) in cases {
        let reply = json!({"status": status, "incomplete_details": details, "output": output});
        let read = OpenAiResponses.read(&reply).unwrap();
        assert_eq!(read.completions[0].finish, finish, "{reply}");
        assert_eq!(read.completions[0].finish_said.as_deref(), Some(words));
    }
}

#[test]
fn several_seals_survive_a_turn() {
    let item = |seal: &str| json!({"type": "reasoning", "summary": [], "encrypted_content": seal});
    let reply = json!({"status": "completed", "output": [item("a"), item("b")]});
    let read = OpenAiResponses.read(&reply).unwrap();
    let reasoning = read.completions[0].reasoning.clone().unwrap();
    let request = LmRequest::new(vec![Message::assistant([Part::Reasoning(reasoning)])]);
    assert_eq!(body(&request, ALL)["input"], json!([item("a"), item("b")]));
}

#[test]
fn faults_are_told_apart() {
    let failed = json!({"status": "failed", "output": [], "error": {"message": "no"}});
    assert!(matches!(OpenAiResponses.read(&failed), Err(WireFault::Refused(_))));
    for reply in [json!({}), json!([]), json!({"output": 1}), json!({"output": []})] {
        assert!(matches!(OpenAiResponses.read(&reply), Err(WireFault::Malformed(_))), "{reply}");
    }
    let events = [
        json!({"type": "response.failed", "response": failed}),
        json!({"type": "error", "code": "server_error", "message": "no"}),
        json!({"error": {"message": "no"}}),
    ];
    for event in events {
        let fault = OpenAiResponses.reader().event(&event.to_string()).unwrap_err();
        assert!(matches!(fault, WireFault::Refused(_)), "{event}");
    }
    let mut reader = OpenAiResponses.reader();
    reader.event(r#"{"type":"response.output_text.delta","delta":"x"}"#).unwrap();
    assert!(reader.finish().is_none(), "a stream without its end is not whole");
}
