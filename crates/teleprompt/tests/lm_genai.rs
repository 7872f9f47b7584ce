//! Bedrock and Vertex over a real socket; without the feature, what a name of theirs says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

#[cfg(not(feature = "genai"))]
#[tokio::test]
async fn a_name_says_which_feature_is_missing() {
    for name in ["bedrock:amazon.nova-lite-v1:0", "vertex:gemini-3-flash"] {
        let failed = teleprompt::lm::connect(name).await.unwrap_err().to_string();
        assert!(failed.contains(name) && failed.contains("--features genai"), "{failed}");
    }
}

#[cfg(feature = "genai")]
mod with_the_feature {
    use std::sync::Arc;
    use std::time::Duration;

    use futures::StreamExt;
    use serde_json::{Value, json};
    use teleprompt::lm::{CacheMode, Cloud, ConnectOptions, GenAi, KeySource, Registry, Retry};
    use teleprompt::{
        Constraint, FinishReason, Lm, LmChunk, LmErrorKind, LmRequest, Media, Message, Part, Tool,
        ToolCall, ToolChoice,
    };
    use teleprompt_testkit::{FakeServer, Response};

    fn lm(cloud: Cloud, server: &FakeServer) -> GenAi {
        let model = match cloud {
            Cloud::Vertex => "gemini-3-flash",
            _ => "amazon.nova-lite-v1:0",
        };
        GenAi::new(cloud, model, &server.url(), KeySource::value("marker-key")).unwrap()
    }

    fn request() -> LmRequest {
        LmRequest::new(vec![Message::system("Be short."), Message::user("hi")])
    }

    fn converse() -> Value {
        json!({
            "output": {"message": {"role": "assistant", "content": [
                {"text": "Hello"},
                {"toolUse": {"toolUseId": "t1", "name": "now", "input": {"at": "Bonn"}}},
            ]}},
            "stopReason": "tool_use",
            "usage": {"inputTokens": 5, "outputTokens": 2, "totalTokens": 7,
                      "cacheReadInputTokens": 10, "cacheWriteInputTokens": 1},
        })
    }

    fn gemini() -> Value {
        json!({
            "candidates": [{"content": {"parts": [{"text": "Hello"}]}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2,
                              "totalTokenCount": 5},
            "modelVersion": "gemini-3-flash-001",
        })
    }

    #[tokio::test]
    async fn bedrock_is_asked_and_answers() {
        let server = FakeServer::start(|_| Response::json(200, &converse())).await.unwrap();
        let mut request = request();
        request.settings.temperature = Some(0.7);
        request.settings.stop = vec!["END".into()];
        request.tools = Arc::from([Tool::new("now", "The time.", json!({"type": "object"}))]);
        request.n = 2;
        let lm = Arc::new(lm(Cloud::Bedrock, &server));
        let reply = {
            let (lm, request) = (lm.clone(), request.clone());
            tokio::spawn(async move { lm.generate(&request).await }).await.unwrap().unwrap()
        };
        let [first, second] = reply.completions.as_slice() else { panic!("{reply:?}") };
        assert_eq!(first, second);
        assert_eq!((&*first.text, first.finish), ("Hello", FinishReason::ToolCalls));
        assert_eq!(first.finish_said.as_deref(), Some("tool_use"));
        assert_eq!(first.tool_calls, [ToolCall::new("t1", "now", r#"{"at":"Bonn"}"#)]);
        let usage = reply.usage;
        assert_eq!((usage.calls, usage.prompt_tokens, usage.completion_tokens), (1, 32, 4));
        assert_eq!((usage.cached_prompt_tokens, usage.cache_write_tokens), (20, 2));
        let sent = &server.requests()[0];
        assert_eq!(sent.path, "/model/amazon.nova-lite-v1%3A0/converse");
        assert_eq!(sent.header("authorization"), Some("Bearer marker-key"));
        let body = sent.json();
        assert_eq!(body["system"], json!([{"text": "Be short."}]));
        assert_eq!(body["messages"], json!([{"role": "user", "content": [{"text": "hi"}]}]));
        let config = &body["inferenceConfig"];
        assert_eq!((&config["maxTokens"], &config["temperature"]), (&json!(4096), &json!(0.7)));
        assert_eq!(config["stopSequences"], json!(["END"]));
        assert_eq!(body["toolConfig"]["tools"][0]["toolSpec"]["name"], "now");
    }

    #[tokio::test]
    async fn what_bedrock_cannot_be_told_is_refused_before_it_is_sent() {
        let server = FakeServer::start(|_| Response::json(200, &converse())).await.unwrap();
        let bedrock = lm(Cloud::Bedrock, &server);
        let mut choice = request();
        choice.tools = Arc::from([Tool::new("now", "", json!({"type": "object"}))]);
        choice.tool_choice = Some(ToolChoice::Required);
        let image = Part::Image(Media::url("https://e.org/a.png", "image/png"));
        let sound = Part::Audio(Media::data(vec![0_u8], "audio/wav"));
        let with = |part| LmRequest::new(vec![Message::user([part])]);
        let mut extra = request();
        extra.settings.extra_body = Some(Arc::new(serde_json::Map::new()));
        for request in [choice, with(image), with(sound), extra] {
            let failed = bedrock.generate(&request).await.unwrap_err();
            assert_eq!(failed.kind, LmErrorKind::Unsupported, "{failed}");
        }
        assert_eq!(server.hits(), 0);
        assert!(!bedrock.capabilities().json_schema);
    }

    #[tokio::test]
    async fn vertex_is_asked_and_answers() {
        let server = FakeServer::start(|_| Response::json(200, &gemini())).await.unwrap();
        let mut request = request();
        let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
        request.constraint = Some(Arc::new(Constraint::new(Some(Arc::new(schema)), None)));
        let reply = lm(Cloud::Vertex, &server).generate(&request).await.unwrap();
        assert_eq!(reply.completions[0].text, "Hello");
        assert_eq!(reply.completions[0].finish, FinishReason::Stop);
        assert_eq!((reply.usage.prompt_tokens, reply.usage.completion_tokens), (3, 2));
        let sent = &server.requests()[0];
        assert_eq!(sent.path, "/publishers/google/models/gemini-3-flash:generateContent");
        assert_eq!(sent.header("authorization"), Some("Bearer marker-key"));
        let config = &sent.json()["generationConfig"];
        assert_eq!(config["responseMimeType"], "application/json");
        assert_eq!(config["maxOutputTokens"], 4096);
    }

    #[tokio::test]
    async fn a_stream_comes_piece_by_piece() {
        let server = FakeServer::start(|_| {
            let piece =
                |text: &str| json!({"candidates": [{"content": {"parts": [{"text": text}]}}]});
            let events = [piece("Hel"), gemini()];
            let data: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
            Response::status(200, data).with_header("content-type", "text/event-stream")
        });
        let server = server.await.unwrap();
        let (lm, request) = (lm(Cloud::Vertex, &server), request());
        let chunks: Vec<LmChunk> = lm.stream(&request).map(Result::unwrap).collect().await;
        let [LmChunk::Text { text: a, .. }, LmChunk::Text { text: b, .. }, LmChunk::Done(reply)] =
            chunks.as_slice()
        else {
            panic!("{chunks:?}")
        };
        assert_eq!((&**a, &**b), ("Hel", "Hello"));
        assert_eq!(reply.completions[0].text, "HelHello");
        assert_eq!(reply.usage.completion_tokens, 2);
    }

    #[tokio::test]
    async fn failures_have_their_kinds_and_no_key() {
        let cases = [
            (429, r#"{"message":"Too many requests"}"#, LmErrorKind::RateLimit),
            (403, r#"{"message":"key marker-key is not valid"}"#, LmErrorKind::Auth),
            (500, "oops", LmErrorKind::Server),
            (404, r#"{"message":"no such model"}"#, LmErrorKind::NotFound),
        ];
        for (status, body, kind) in cases {
            let server = FakeServer::start(move |_| {
                Response::status(status, body).with_header("retry-after", "7")
            });
            let server = server.await.unwrap();
            for cloud in [Cloud::Bedrock, Cloud::Vertex] {
                let (lm, request) = (lm(cloud, &server), request());
                let whole = lm.generate(&request).await.unwrap_err();
                let streamed = lm.stream(&request).next().await.unwrap().unwrap_err();
                for failed in [whole, streamed] {
                    assert_eq!((failed.kind, failed.status), (kind, Some(status)), "{failed}");
                    assert_eq!(failed.retry_after, Some(Duration::from_secs(7)));
                    assert!(!format!("{failed:?}").contains("marker-key"), "{failed:?}");
                }
            }
            assert!(!format!("{:?}", lm(Cloud::Bedrock, &server)).contains("marker-key"));
        }
    }

    #[tokio::test]
    async fn what_is_no_reply_is_a_fault_of_the_protocol() {
        for body in ["<html>", "{}"] {
            let server = FakeServer::start(move |_| {
                Response::status(200, body).with_header("content-type", "application/json")
            });
            let server = server.await.unwrap();
            let failed = lm(Cloud::Bedrock, &server).generate(&request()).await.unwrap_err();
            assert_eq!(failed.kind, LmErrorKind::Protocol, "{failed}");
            assert!(!failed.to_string().contains("Be short."), "{failed}");
        }
        let key = KeySource::value("k");
        let nowhere = GenAi::new(Cloud::Bedrock, "m", "http://127.0.0.1:9", key).unwrap();
        let failed = nowhere.generate(&request()).await.unwrap_err();
        assert_eq!(failed.kind, LmErrorKind::Unreachable);
    }

    #[tokio::test]
    async fn only_the_missing_completion_is_asked_again() {
        let busy = Response::status(503, "busy").with_header("retry-after-ms", "1");
        let good = || Response::json(200, &converse());
        let server = FakeServer::script([good(), busy, good(), good(), good()]).await.unwrap();
        let mut three = request();
        three.n = 3;
        let lm = Retry::new(lm(Cloud::Bedrock, &server));
        assert_eq!(lm.generate(&three).await.unwrap().completions.len(), 3);
        assert_eq!(server.hits(), 4);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_key_of_a_command_that_expired_is_fetched_once_more() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let count = format!("echo x >> '{0}'; echo marker-$(wc -l < '{0}')", log.display());
        let server = FakeServer::start(|request| match request.header("authorization") {
            Some("Bearer marker-2") => Response::json(200, &converse()),
            _ => Response::status(401, "expired"),
        });
        let server = server.await.unwrap();
        let lm = GenAi::new(Cloud::Bedrock, "m", &server.url(), KeySource::shell(&count)).unwrap();
        assert_eq!(lm.generate(&request()).await.unwrap().completions.len(), 1);
        assert_eq!(server.hits(), 2);
    }

    #[tokio::test]
    async fn names_lead_to_clouds() {
        let server = FakeServer::start(|_| Response::json(200, &converse())).await.unwrap();
        let name = format!("bedrock:amazon.nova-lite-v1:0@{}", server.url());
        let options = ConnectOptions { cache: CacheMode::Off, ..ConnectOptions::default() };
        let lm = Registry::default().connect_with(&name, options).await.unwrap();
        assert_eq!(lm.name(), name);
        // Another address gets no key of the cloud's, and this test sets none for it.
        let failed = lm.generate(&request()).await.unwrap_err();
        assert_eq!((failed.kind, server.hits()), (LmErrorKind::Auth, 0));
        assert!(failed.to_string().contains("TELEPROMPT_API_KEY"), "{failed}");
    }
}
