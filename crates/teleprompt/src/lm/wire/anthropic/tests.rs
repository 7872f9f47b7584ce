use std::sync::Arc;

use serde_json::{Value, json};
use teleprompt_core::{
    Constraint, FinishReason, LmChunk, LmRequest, LmResponse, Media, Message, Part, Reasoning,
    ReasoningEffort, Tool, ToolCall, ToolChoice, ToolResult, Usage,
};

use super::super::{Call, Dialect, StreamReader, Unsupported, Wire, WireFault};
use super::Anthropic;

const ALL: Dialect = Dialect {
    schema: true,
    new_limit_name: false,
    random_seed: false,
    stream_options: false,
    sampling: true,
    prompt_cache: true,
    effort: true,
    reasoning_back: true,
    summary: true,
};

fn body_of(model: &str, request: &LmRequest, dialect: Dialect) -> Result<Value, Unsupported> {
    Anthropic.body(&Call { model, request, dialect, stream: false })
}

fn body(request: &LmRequest) -> Value {
    body_of("claude-sonnet-4-5", request, ALL).unwrap()
}

fn weather() -> Tool {
    Tool::new("weather", "The weather of a place.", json!({"type": "object", "properties": {}}))
}

#[test]
fn a_plain_request() {
    let mut request = LmRequest::new(vec![
        Message::system("Be short."),
        Message::user("1"),
        Message::user("2"),
        Message::assistant("3"),
        Message::user("4"),
    ]);
    request.settings.temperature = Some(0.7);
    request.settings.top_p = Some(0.9);
    request.settings.stop = vec!["END".into()];
    request.settings.seed = Some(1);
    request.settings.logprobs = Some(2);
    request.n = 3;
    let text = |text: &str| json!({"type": "text", "text": text});
    let expected = json!({
        "model": "claude-sonnet-4-5",
        "max_tokens": 4096,
        "system": [text("Be short.")],
        "messages": [
            {"role": "user", "content": [text("1"), text("2")]},
            {"role": "assistant", "content": [text("3")]},
            {"role": "user", "content": [text("4")]},
        ],
        "temperature": 0.7,
        "top_p": 0.9,
        "stop_sequences": ["END"],
    });
    assert_eq!(body(&request), expected);
    let told = Anthropic.capabilities();
    assert_eq!(told.max_output, Some(4096));
    assert!(!told.logprobs);
    let call = Call { model: "m", request: &request, dialect: ALL, stream: true };
    assert_eq!(Anthropic.body(&call).unwrap()["stream"], true);
    let no_sampling = Dialect { sampling: false, ..ALL };
    let body = body_of("m", &request, no_sampling).unwrap();
    assert!(body.get("temperature").is_none() && body.get("top_p").is_none());
}

#[test]
fn media_have_three_sources() {
    let request = LmRequest::new(vec![Message::user([
        Part::Image(Media::data(vec![1_u8, 2], "image/png")),
        Part::Image(Media::url("https://e.org/a.png", "image/png")),
        Part::Image(Media::id("file_1", "image/png")),
        Part::File(Media::data(vec![3_u8], "application/pdf").named("a.pdf")),
        Part::File(Media::url("https://e.org/a.pdf", "application/pdf")),
        Part::File(Media::data(*b"hi", "text/markdown")),
    ])]);
    let expected = json!([
        {"type": "image",
         "source": {"type": "base64", "media_type": "image/png", "data": "AQI="}},
        {"type": "image", "source": {"type": "url", "url": "https://e.org/a.png"}},
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "document",
         "source": {"type": "base64", "media_type": "application/pdf", "data": "Aw=="},
         "title": "a.pdf"},
        {"type": "document", "source": {"type": "url", "url": "https://e.org/a.pdf"}},
        {"type": "document",
         "source": {"type": "text", "media_type": "text/plain", "data": "hi"}},
    ]);
    assert_eq!(body(&request)["messages"][0]["content"], expected);
    let fault = |part: Part| {
        let request = LmRequest::new(vec![Message::user([part])]);
        body_of("m", &request, ALL).unwrap_err().0
    };
    assert_eq!(fault(Part::Audio(Media::data(vec![0_u8], "audio/wav"))), "sound");
    let zip = fault(Part::File(Media::data(vec![0_u8], "application/zip")));
    assert!(zip.contains("application/zip"), "{zip}");
}

#[test]
fn tools_are_offered_called_and_answered() {
    let mut request = LmRequest::new(vec![
        Message::user("Weather?"),
        Message::assistant([
            Part::Reasoning(Reasoning { text: "hm".into(), signature: Some("c2ln".into()) }),
            Part::Reasoning(Reasoning { text: "not sealed".into(), signature: None }),
            Part::ToolCall(ToolCall::new("t1", "weather", r#"{"at":"Bonn"}"#)),
            Part::ToolCall(ToolCall::new("t2", "weather", "{")),
        ]),
        Message::tool([
            ToolResult {
                id: "t1".into(),
                name: "weather".into(),
                content: "rain".into(),
                is_error: false,
            },
            ToolResult {
                id: "t2".into(),
                name: "weather".into(),
                content: "no JSON".into(),
                is_error: true,
            },
        ]),
    ]);
    request.tools = Arc::from([weather()]);
    let choices = [
        (ToolChoice::Auto, json!({"type": "auto"})),
        (ToolChoice::None, json!({"type": "none"})),
        (ToolChoice::Required, json!({"type": "any"})),
        (ToolChoice::Named("weather".into()), json!({"type": "tool", "name": "weather"})),
    ];
    for (choice, said) in choices {
        request.tool_choice = Some(choice);
        assert_eq!(body(&request)["tool_choice"], said);
    }
    let body = body(&request);
    assert_eq!(
        body["tools"],
        json!([{
            "name": "weather",
            "description": "The weather of a place.",
            "input_schema": {"type": "object", "properties": {}},
        }])
    );
    let expected = json!([
        {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
            {"type": "tool_use", "id": "t1", "name": "weather", "input": {"at": "Bonn"}},
            {"type": "tool_use", "id": "t2", "name": "weather", "input": {"text": "{"}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t1",
             "content": [{"type": "text", "text": "rain"}]},
            {"type": "tool_result", "tool_use_id": "t2",
             "content": [{"type": "text", "text": "no JSON"}], "is_error": true},
        ]},
    ]);
    assert_eq!(body["messages"], expected);
    let without = body_of("m", &request, Dialect { reasoning_back: false, ..ALL }).unwrap();
    assert!(!without.to_string().contains("thinking"));
}

#[test]
fn the_shared_prefix_is_marked_on_its_last_block() {
    let messages = vec![Message::system("S"), Message::user("a"), Message::assistant("b")];
    let marked = |prefix: usize| {
        let mut request = LmRequest::new(messages.clone());
        request.shared_prefix = prefix;
        let body = body(&request);
        let blocks = [&body["system"][0], &body["messages"][0]["content"][0]];
        let blocks = blocks.into_iter().chain([&body["messages"][1]["content"][0]]);
        blocks.map(|b| b.get("cache_control").is_some()).collect::<Vec<_>>()
    };
    assert_eq!(marked(0), [false, false, false]);
    assert_eq!(marked(1), [true, false, false]);
    assert_eq!(marked(2), [false, true, false]);
    assert_eq!(marked(9), [false, false, true]);
    let mut request = LmRequest::new(messages.clone());
    request.shared_prefix = 1;
    let plain = body_of("m", &request, Dialect { prompt_cache: false, ..ALL }).unwrap();
    assert!(!plain.to_string().contains("cache_control"));
}

#[test]
fn thinking_stays_below_the_limit() {
    let said = |model: &str, effort, limit| {
        let mut request = LmRequest::new(vec![Message::user("?")]);
        request.settings.reasoning = Some(effort);
        request.settings.max_tokens = limit;
        request.settings.temperature = Some(0.0);
        let body = body_of(model, &request, ALL).unwrap();
        assert_eq!(body.get("thinking").is_none(), body.get("temperature").is_some());
        let budget = body["thinking"]["budget_tokens"].as_u64();
        (budget, body["output_config"]["effort"].as_str().map(str::to_owned))
    };
    use ReasoningEffort::{High, Low, Medium, Minimal, Off, Tokens};
    let old = "claude-sonnet-4-20250514";
    assert_eq!(said(old, Minimal, Some(32_000)), (Some(1024), None));
    assert_eq!(said(old, Low, Some(32_000)), (Some(2048), None));
    assert_eq!(said(old, Medium, Some(32_000)), (Some(8192), None));
    assert_eq!(said(old, High, Some(32_000)), (Some(16_384), None));
    assert_eq!(said(old, Tokens(5000), Some(32_000)), (Some(5000), None));
    assert_eq!(said(old, High, None), (Some(3072), None));
    assert_eq!(said(old, High, Some(1000)), (None, None));
    assert_eq!(said(old, Off, None), (None, None));
    assert_eq!(said("claude-3-5-haiku-latest", High, None), (None, None));
    for (effort, level) in [(Minimal, "low"), (Medium, "medium"), (Tokens(9000), "high")] {
        assert_eq!(said("claude-opus-4-7", effort, Some(100)), (None, Some(level.to_owned())));
    }
    assert_eq!(said("claude-opus-4-7", Off, None), (None, None));
    let mut request = LmRequest::new(vec![Message::user("?")]);
    request.settings.reasoning = Some(High);
    let body = body_of("claude-opus-4-7", &request, Dialect { effort: false, ..ALL }).unwrap();
    assert!(body.get("thinking").is_none() && body.get("output_config").is_none());
}

#[test]
fn a_schema_goes_into_the_output_configuration() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let mut request = LmRequest::new(vec![Message::user("?")]);
    request.constraint = Some(Arc::new(Constraint::new(Some(Arc::new(schema)), None)));
    let expected = json!({"format": {"type": "json_schema", "schema": {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "additionalProperties": false,
    }}});
    assert_eq!(body(&request)["output_config"], expected);
    let without = body_of("m", &request, Dialect { schema: false, ..ALL }).unwrap();
    assert!(without.get("output_config").is_none());
}

#[test]
fn a_reply_with_all_kinds_of_blocks() {
    let reply = json!({
        "type": "message", "id": "msg_1", "model": "claude-x", "stop_reason": "tool_use",
        "content": [
            {"type": "thinking", "thinking": "First. ", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "b3BhcXVl"},
            {"type": "text", "text": "I will "},
            {"type": "server_tool_use", "id": "x", "name": "web_search", "input": {}},
            {"type": "text", "text": "look."},
            {"type": "tool_use", "id": "t1", "name": "weather", "input": {"at": "Bonn"}},
        ],
        "usage": {"input_tokens": 10, "output_tokens": 20, "cache_read_input_tokens": 300,
                  "cache_creation_input_tokens": 4,
                  "output_tokens_details": {"thinking_tokens": 7}},
    });
    let response = Anthropic.read(&reply).unwrap();
    let [completion] = response.completions.as_slice() else { panic!("{response:?}") };
    assert_eq!(completion.text, "I will look.");
    assert_eq!(completion.finish, FinishReason::ToolCalls);
    assert_eq!(completion.finish_said.as_deref(), Some("tool_use"));
    assert_eq!(completion.tool_calls, [ToolCall::new("t1", "weather", r#"{"at":"Bonn"}"#)]);
    assert_eq!(
        response.usage,
        Usage {
            prompt_tokens: 314,
            completion_tokens: 20,
            cached_prompt_tokens: 300,
            cache_write_tokens: 4,
            reasoning_tokens: 7,
            ..Usage::one_call()
        }
    );
    assert_eq!(&*response.model, "claude-x");
    // Both blocks of thought come back as they were.
    let reasoning = completion.reasoning.clone().unwrap();
    assert_eq!(reasoning.text, "First. ");
    let request = LmRequest::new(vec![Message::assistant([Part::Reasoning(reasoning)])]);
    assert_eq!(
        body(&request)["messages"][0]["content"],
        json!([
            {"type": "thinking", "thinking": "First. ", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "b3BhcXVl"},
        ])
    );
}

#[test]
fn stop_reasons_are_mapped_and_kept() {
    let cases = [
        ("end_turn", FinishReason::Stop),
        ("stop_sequence", FinishReason::Stop),
        ("max_tokens", FinishReason::Length),
        ("model_context_window_exceeded", FinishReason::Length),
        ("refusal", FinishReason::ContentFilter),
        ("pause_turn", FinishReason::Other),
        ("of_tomorrow", FinishReason::Other),
    ];
    for (said, finish) in cases {
        let reply = json!({"type": "message", "content": [], "stop_reason": said});
        let completion = Anthropic.read(&reply).unwrap().completions.remove(0);
        assert_eq!((completion.finish, completion.finish_said.as_deref()), (finish, Some(said)));
    }
}

#[test]
fn what_is_no_reply_is_told_apart() {
    let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}});
    assert_eq!(Anthropic.read(&error), Err(WireFault::Refused(error.to_string())));
    for reply in [json!({}), json!([]), json!("text"), json!({"content": "text"})] {
        let fault = Anthropic.read(&reply);
        assert!(matches!(fault, Err(WireFault::Malformed(_))), "{reply}: {fault:?}");
    }
}

fn feed(events: &[Value]) -> (Vec<LmChunk>, Box<dyn StreamReader>) {
    let mut reader = Anthropic.reader();
    let chunks = events.iter().flat_map(|event| reader.event(&event.to_string()).unwrap());
    (chunks.collect(), reader)
}

fn events() -> Vec<Value> {
    let delta = |index: u32, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let stop = |index: u32| json!({"type": "content_block_stop", "index": index});
    let begin = |index: u32, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    vec![
        json!({"type": "message_start", "message": {"type": "message", "model": "claude-x",
            "content": [], "usage": {"input_tokens": 9, "cache_read_input_tokens": 5,
            "output_tokens": 1}}}),
        json!({"type": "ping"}),
        begin(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        delta(0, json!({"type": "thinking_delta", "thinking": "So"})),
        delta(0, json!({"type": "signature_delta", "signature": "c2"})),
        delta(0, json!({"type": "signature_delta", "signature": "ln"})),
        stop(0),
        begin(1, json!({"type": "text", "text": ""})),
        delta(1, json!({"type": "text_delta", "text": "Hel"})),
        delta(1, json!({"type": "citations_delta", "citation": {}})),
        delta(1, json!({"type": "text_delta", "text": "lo"})),
        stop(1),
        begin(2, json!({"type": "tool_use", "id": "t1", "name": "weather", "input": {}})),
        delta(2, json!({"type": "input_json_delta", "partial_json": ""})),
        delta(2, json!({"type": "input_json_delta", "partial_json": "{\"at\":"})),
        delta(2, json!({"type": "input_json_delta", "partial_json": "\"Bonn\"}"})),
        stop(2),
        begin(3, json!({"type": "tool_use", "id": "t2", "name": "now", "input": {}})),
        stop(3),
        json!({"type": "of_tomorrow"}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"},
            "usage": {"output_tokens": 42}}),
        json!({"type": "message_stop"}),
    ]
}

#[test]
fn a_stream_is_put_together() {
    let (chunks, reader) = feed(&events());
    assert!(reader.is_done());
    let calls =
        [ToolCall::new("t1", "weather", r#"{"at":"Bonn"}"#), ToolCall::new("t2", "now", "{}")];
    let expected = [
        LmChunk::Reasoning { index: 0, text: "So".into() },
        LmChunk::Text { index: 0, text: "Hel".into() },
        LmChunk::Text { index: 0, text: "lo".into() },
        LmChunk::ToolCall { index: 0, call: calls[0].clone() },
        LmChunk::ToolCall { index: 0, call: calls[1].clone() },
    ];
    assert_eq!(chunks, expected);
    let response: LmResponse = reader.finish().unwrap();
    let completion = &response.completions[0];
    assert_eq!(completion.text, "Hello");
    assert_eq!(completion.tool_calls, calls);
    let sealed = Reasoning { text: "So".into(), signature: Some("c2ln".into()) };
    assert_eq!(completion.reasoning, Some(sealed));
    assert_eq!(completion.finish, FinishReason::ToolCalls);
    let usage = response.usage;
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (14, 42));
    assert_eq!(&*response.model, "claude-x");
}

#[test]
fn a_stream_that_breaks_off_is_not_whole() {
    let events = events();
    let (_, reader) = feed(&events[..events.len() - 2]);
    assert!(!reader.is_done());
    assert_eq!(reader.finish(), None);
    // It told why it ended, so only the end mark is missing.
    let (_, reader) = feed(&events[..events.len() - 1]);
    assert!(reader.finish().is_some());
}

#[test]
fn a_reply_without_words_has_a_reason_to_stop() {
    let reply = |stop: Value| json!({"type": "message", "content": [], "stop_reason": stop});
    let silent = Anthropic.read(&reply(json!("end_turn"))).unwrap();
    assert_eq!(silent.completions[0].text, "");
    assert!(matches!(Anthropic.read(&reply(Value::Null)), Err(WireFault::Malformed(_))));
    let events = events();
    let end = events.last().unwrap().clone();
    let (_, none) = feed(&[events[0].clone(), end.clone()]);
    assert!(none.is_empty());
    assert_eq!(none.finish(), None);
    let stop = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}});
    let (_, silent) = feed(&[events[0].clone(), stop, end]);
    assert_eq!(silent.finish().unwrap().completions[0].text, "");
}

#[test]
fn faults_in_a_stream() {
    let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#;
    let fault = Anthropic.reader().event(error);
    assert_eq!(fault, Err(WireFault::Refused(error.to_owned())));
    let orphan = r#"{"type":"content_block_delta","index":4,"delta":{"type":"text_delta"}}"#;
    for data in ["{", "<html>", orphan, r#"{"type":"content_block_start"}"#] {
        let fault = Anthropic.reader().event(data);
        assert!(matches!(fault, Err(WireFault::Malformed(_))), "{data}: {fault:?}");
    }
}
