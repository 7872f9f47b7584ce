use std::sync::Arc;

use serde_json::{Value, json};
use teleprompt_core::{
    Constraint, FinishReason, LmChunk, LmRequest, Media, Message, Part, Reasoning, ReasoningEffort,
    TokenLogprob, Tool, ToolCall, ToolChoice, ToolResult, Usage,
};

use super::super::{Call, Dialect, StreamReader, Wire, WireFault};
use super::Gemini;

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

fn body_of(model: &str, request: &LmRequest) -> Value {
    Gemini.body(&Call { model, request, dialect: ALL, stream: false }).unwrap()
}

fn body(request: &LmRequest) -> Value {
    body_of("gemini-3-flash", request)
}

#[test]
fn the_path_names_model_and_method() {
    assert_eq!(Gemini.path("gemini-3-flash", false), "/models/gemini-3-flash:generateContent");
    let streamed = "/tunedModels/mine:streamGenerateContent?alt=sse";
    assert_eq!(Gemini.path("tunedModels/mine", true), streamed);
}

#[test]
fn a_plain_request() {
    let mut request = LmRequest::new(vec![
        Message::system("Be short."),
        Message::user("1"),
        Message::assistant("2"),
        Message::user("3"),
    ]);
    request.n = 2;
    request.settings.temperature = Some(0.7);
    request.settings.top_p = Some(0.9);
    request.settings.max_tokens = Some(100);
    request.settings.stop = vec!["END".into()];
    request.settings.seed = Some(1 << 40 | 5);
    request.settings.logprobs = Some(3);
    let expected = json!({
        "systemInstruction": {"parts": [{"text": "Be short."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "1"}]},
            {"role": "model", "parts": [{"text": "2"}]},
            {"role": "user", "parts": [{"text": "3"}]},
        ],
        "generationConfig": {
            "temperature": 0.7,
            "topP": 0.9,
            "maxOutputTokens": 100,
            "candidateCount": 2,
            "stopSequences": ["END"],
            "seed": 5,
            "responseLogprobs": true,
            "logprobs": 3,
        },
    });
    assert_eq!(body(&request), expected);
    let bare = LmRequest::new(vec![Message::user("1")]);
    assert_eq!(body(&bare), json!({"contents": [{"role": "user", "parts": [{"text": "1"}]}]}));
}

#[test]
fn media_are_inline_or_named() {
    let request = LmRequest::new(vec![Message::user([
        Part::Image(Media::data(vec![1_u8, 2], "image/png")),
        Part::Audio(Media::url("https://e.org/a.wav", "audio/wav")),
        Part::File(Media::id("https://e.org/files/1", "application/pdf")),
    ])]);
    let expected = json!([
        {"inlineData": {"mimeType": "image/png", "data": "AQI="}},
        {"fileData": {"mimeType": "audio/wav", "fileUri": "https://e.org/a.wav"}},
        {"fileData": {"mimeType": "application/pdf", "fileUri": "https://e.org/files/1"}},
    ]);
    assert_eq!(body(&request)["contents"][0]["parts"], expected);
}

fn answer(id: &str, content: &str, is_error: bool) -> ToolResult {
    ToolResult { id: id.into(), name: "weather".into(), content: content.into(), is_error }
}

#[test]
fn tools_are_offered_called_and_answered() {
    let sealed = ToolCall {
        signature: Some("c2ln".into()),
        ..ToolCall::new("t1", "weather", r#"{"at":"Bonn"}"#)
    };
    let unnamed = ToolCall::new("teleprompt-call-r-0-1", "weather", "");
    let mut request = LmRequest::new(vec![
        Message::assistant([Part::ToolCall(sealed), Part::ToolCall(unnamed)]),
        Message::tool([
            answer("t1", r#"{"sky":"grey"}"#, false),
            answer("teleprompt-call-r-0-1", "rain", false),
            answer("t3", "{}", true),
        ]),
    ]);
    let parameters = json!({"type": "object", "properties": {"at": {"type": "string"}}});
    request.tools = Arc::from([Tool::new("weather", "Of a place.", parameters.clone())]);
    let choices = [
        (ToolChoice::Auto, json!({"mode": "AUTO"})),
        (ToolChoice::None, json!({"mode": "NONE"})),
        (ToolChoice::Required, json!({"mode": "ANY"})),
        (
            ToolChoice::Named("weather".into()),
            json!({"mode": "ANY", "allowedFunctionNames": ["weather"]}),
        ),
    ];
    for (choice, said) in choices {
        request.tool_choice = Some(choice);
        assert_eq!(body(&request)["toolConfig"], json!({"functionCallingConfig": said}));
    }
    let expected = json!([
        {"role": "model", "parts": [
            {"functionCall": {"name": "weather", "args": {"at": "Bonn"}, "id": "t1"},
             "thoughtSignature": "c2ln"},
            {"functionCall": {"name": "weather", "args": {}}},
        ]},
        {"role": "user", "parts": [
            {"functionResponse": {"name": "weather", "response": {"sky": "grey"}, "id": "t1"}},
            {"functionResponse": {"name": "weather", "response": {"result": "rain"}}},
            {"functionResponse": {"name": "weather", "response": {"error": "{}"}, "id": "t3"}},
        ]},
    ]);
    let body = body(&request);
    assert_eq!(body["contents"], expected);
    let declared = json!({
        "name": "weather", "description": "Of a place.", "parametersJsonSchema": parameters,
    });
    assert_eq!(body["tools"], json!([{"functionDeclarations": [declared]}]));
}

#[test]
fn seals_go_back_to_the_text_they_came_with() {
    let sealed = || Part::Reasoning(Reasoning { text: "hm".into(), signature: Some("s".into()) });
    let request = LmRequest::new(vec![
        Message::assistant([sealed(), Part::text("yes")]),
        Message::user("?"),
        Message::assistant([sealed()]),
    ]);
    let contents = &body(&request)["contents"];
    assert_eq!(contents[0]["parts"], json!([{"text": "yes", "thoughtSignature": "s"}]));
    assert_eq!(contents[2]["parts"], json!([{"text": "", "thoughtSignature": "s"}]));
    let dialect = Dialect { reasoning_back: false, ..ALL };
    let call = Call { model: "gemini-3-flash", request: &request, dialect, stream: false };
    assert!(!Gemini.body(&call).unwrap().to_string().contains("thoughtSignature"));
}

#[test]
fn thinking_depends_on_the_age_of_the_model() {
    use ReasoningEffort::{High, Low, Medium, Off, Tokens};
    let said = |model: &str, effort| {
        let mut request = LmRequest::new(vec![Message::user("?")]);
        request.settings.reasoning = Some(effort);
        body_of(model, &request)["generationConfig"]["thinkingConfig"].clone()
    };
    let counted = |n: u32| json!({"thinkingBudget": n, "includeThoughts": n > 0});
    for (effort, tokens) in [(Off, 0), (Low, 1024), (Medium, 8192), (High, 24_576), (Tokens(7), 7)]
    {
        assert_eq!(said("gemini-2.5-pro", effort), counted(tokens));
    }
    let level =
        |level: &str, thoughts: bool| json!({"thinkingLevel": level, "includeThoughts": thoughts});
    assert_eq!(said("gemini-3-pro", Off), level("MINIMAL", false));
    assert_eq!(said("gemini-3-pro", Medium), level("MEDIUM", true));
    assert_eq!(said("gemini-3-pro", Tokens(20_000)), level("HIGH", true));
    assert_eq!(said("gemini-2.0-flash", High), Value::Null);
}

#[test]
fn a_schema_is_sent_as_json_schema_where_it_is_taken() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let mut request = LmRequest::new(vec![Message::user("?")]);
    request.constraint = Some(Arc::new(Constraint::new(Some(Arc::new(schema.clone())), None)));
    let expected = json!({"responseMimeType": "application/json", "responseJsonSchema": schema});
    assert_eq!(body_of("gemini-2.5-flash", &request)["generationConfig"], expected);
    request.tools = Arc::from([Tool::new("f", "", json!({"type": "object"}))]);
    assert_eq!(body_of("gemini-2.5-flash", &request).get("generationConfig"), None);
    assert_eq!(body_of("gemini-3-flash", &request)["generationConfig"], expected);
}

#[test]
fn a_reply_with_all_kinds_of_parts() {
    let reply = json!({
        "candidates": [
            {"index": 1, "content": {"parts": [{"text": "second"}]}, "finishReason": "MAX_TOKENS"},
            {"content": {"role": "model", "parts": [
                {"text": "Let me see.", "thought": true},
                {"text": "I ", "thoughtSignature": "c2ln"},
                {"executableCode": {"code": "1"}},
                {"text": "look."},
                {"functionCall": {"name": "weather", "args": {"at": "Bonn"}},
                 "thoughtSignature": "c2Vh"},
                {"functionCall": {"name": "now", "id": "c9"}},
             ]}, "index": 0, "finishReason": "STOP", "logprobsResult": {
                "chosenCandidates": [{"token": "I", "logProbability": -0.5}, {"token": "!"}],
                "topCandidates": [{"candidates": [
                    {"token": "I", "logProbability": -0.5}, {"token": "We", "logProbability": -1.5},
                ]}]}},
        ],
        "modelVersion": "gemini-x", "responseId": "r1",
        "usageMetadata": {"promptTokenCount": 100, "cachedContentTokenCount": 40,
            "candidatesTokenCount": 20, "thoughtsTokenCount": 5, "toolUsePromptTokenCount": 3},
    });
    let response = Gemini.read(&reply).unwrap();
    assert_eq!(&*response.model, "gemini-x");
    assert_eq!(
        response.usage,
        Usage {
            prompt_tokens: 103,
            completion_tokens: 25,
            cached_prompt_tokens: 40,
            reasoning_tokens: 5,
            ..Usage::one_call()
        }
    );
    let [first, second] = response.completions.as_slice() else { panic!("{response:?}") };
    assert_eq!((&*second.text, second.finish), ("second", FinishReason::Length));
    assert_eq!((&*first.text, first.finish), ("I look.", FinishReason::ToolCalls));
    let thought = Reasoning { text: "Let me see.".into(), signature: Some("c2ln".into()) };
    assert_eq!(first.reasoning, Some(thought));
    let sealed = ToolCall {
        signature: Some("c2Vh".into()),
        ..ToolCall::new("teleprompt-call-r1-0-0", "weather", r#"{"at":"Bonn"}"#)
    };
    assert_eq!(first.tool_calls, [sealed, ToolCall::new("c9", "now", "{}")]);
    let top = vec![("I".to_owned(), -0.5), ("We".to_owned(), -1.5)];
    let token = |token: &str, logprob, top| TokenLogprob { token: token.into(), logprob, top };
    let expected = vec![token("I", -0.5, top), token("!", 0.0, vec![])];
    assert_eq!(first.logprobs.as_deref(), Some(&*expected));
}

#[test]
fn finish_reasons_are_mapped_and_kept() {
    let cases = [
        ("STOP", FinishReason::Stop),
        ("MAX_TOKENS", FinishReason::Length),
        ("SAFETY", FinishReason::ContentFilter),
        ("RECITATION", FinishReason::ContentFilter),
        ("MALFORMED_FUNCTION_CALL", FinishReason::Other),
        ("OF_TOMORROW", FinishReason::Other),
    ];
    for (said, finish) in cases {
        let reply = json!({"candidates": [{"finishReason": said}]});
        let completion = Gemini.read(&reply).unwrap().completions.remove(0);
        assert_eq!((completion.finish, completion.finish_said.as_deref()), (finish, Some(said)));
        assert_eq!(completion.text, "");
    }
}

#[test]
fn what_is_no_reply_is_told_apart() {
    let error = json!({"error": {"code": 503, "status": "UNAVAILABLE"}});
    let refused = Err(WireFault::Refused(error.to_string()));
    assert_eq!(Gemini.read(&error), refused);
    assert_eq!(Gemini.read(&json!([error])), refused);
    for reply in [json!({}), json!([]), json!("text"), json!({"candidates": []})] {
        let fault = Gemini.read(&reply);
        assert!(matches!(fault, Err(WireFault::Malformed(_))), "{reply}: {fault:?}");
    }
}

#[test]
fn a_blocked_prompt_is_refused_for_its_content() {
    let reply = json!({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}});
    let faults = [Gemini.read(&reply).unwrap_err(), {
        let mut reader = Gemini.reader();
        reader.event(&reply.to_string()).unwrap_err()
    }];
    for fault in faults {
        let WireFault::Refused(said) = fault else { panic!("{fault:?}") };
        assert!(said.contains("content_filter") && said.contains("PROHIBITED_CONTENT"), "{said}");
    }
}

fn feed(events: &[Value]) -> (Vec<LmChunk>, Box<dyn StreamReader>) {
    let mut reader = Gemini.reader();
    let chunks = events.iter().flat_map(|event| reader.event(&event.to_string()).unwrap());
    (chunks.collect(), reader)
}

fn piece(index: u32, part: Value) -> Value {
    json!({"candidates": [{"index": index, "content": {"parts": [part]}}], "responseId": "r"})
}

#[test]
fn a_stream_is_put_together() {
    let events = [
        piece(0, json!({"text": "hm", "thought": true})),
        piece(0, json!({"text": "Hel"})),
        piece(1, json!({"text": "Hi"})),
        piece(0, json!({"text": "lo"})),
        piece(0, json!({"functionCall": {"name": "now", "args": {}}})),
        json!({"candidates": [{"finishReason": "STOP", "content": {"parts": [
            {"text": "", "thoughtSignature": "s"}]}}]}),
        json!({"candidates": [{"index": 1, "finishReason": "STOP"}], "modelVersion": "g",
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2}}),
    ];
    let (chunks, reader) = feed(&events);
    let call = ToolCall::new("teleprompt-call-r-0-0", "now", "{}");
    let expected = [
        LmChunk::Reasoning { index: 0, text: "hm".into() },
        LmChunk::Text { index: 0, text: "Hel".into() },
        LmChunk::Text { index: 1, text: "Hi".into() },
        LmChunk::Text { index: 0, text: "lo".into() },
        LmChunk::ToolCall { index: 0, call: call.clone() },
    ];
    assert_eq!(chunks, expected);
    assert!(!reader.is_done(), "only the end of the connection ends it");
    let response = reader.finish().unwrap();
    let [first, second] = response.completions.as_slice() else { panic!("{response:?}") };
    assert_eq!((&*first.text, &*second.text), ("Hello", "Hi"));
    assert_eq!((first.finish, second.finish), (FinishReason::ToolCalls, FinishReason::Stop));
    assert_eq!(first.tool_calls, [call]);
    let thought = Reasoning { text: "hm".into(), signature: Some("s".into()) };
    assert_eq!(first.reasoning, Some(thought));
    assert_eq!((response.usage.prompt_tokens, response.usage.completion_tokens), (3, 2));
    assert_eq!(&*response.model, "g");
    let (_, broken) = feed(&events[..6]);
    assert!(!broken.is_empty());
    assert_eq!(broken.finish(), None, "the second candidate did not end");
    assert!(!Gemini.reader().is_empty());
    assert_eq!(Gemini.reader().finish(), None);
    let (_, empty) = feed(&[json!({"candidates": [], "usageMetadata": {"promptTokenCount": 1}})]);
    assert!(empty.is_empty());
}

#[test]
fn faults_in_a_stream() {
    let error = r#"{"error":{"code":429}}"#;
    let fault = Gemini.reader().event(error);
    assert_eq!(fault, Err(WireFault::Refused(error.to_owned())));
    for data in ["{", "<html>"] {
        let fault = Gemini.reader().event(data);
        assert!(matches!(fault, Err(WireFault::Malformed(_))), "{data}: {fault:?}");
    }
    for data in ["", "[DONE]"] {
        assert_eq!(Gemini.reader().event(data), Ok(Vec::new()), "what gateways add");
    }
}
