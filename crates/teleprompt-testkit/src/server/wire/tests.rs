use serde_json::{Value, json};

use super::*;

fn full() -> Answer {
    Answer::text("Grüße, Welt")
        .with_reasoning("hm, so", Some("c2ln"))
        .with_tool_call("call_1", "add", r#"{"a":1,"b":[2]}"#)
        .with_tokens(Tokens { prompt: 20, completion: 9, cached: 5, cache_write: 3, reasoning: 4 })
}

fn whole(wire: Wire, answer: &Answer) -> Value {
    serde_json::from_str(&wire.reply(answer).body()).unwrap()
}

fn stream(wire: Wire, answer: &Answer) -> Vec<Value> {
    let body = wire.stream(answer, 3, Duration::ZERO).body().replace("\r\n", "\n");
    let data = body.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter(|d| *d != "[DONE]").map(|d| serde_json::from_str(d).unwrap()).collect()
}

/// All strings at this place in the events, one after another.
fn joined(events: &[Value], place: &str) -> String {
    events.iter().filter_map(|e| e.pointer(place)?.as_str()).collect()
}

#[test]
fn streams_say_what_whole_replies_say() {
    let (chat, answer) = (Wire::OpenAiChat, full());
    let (reply, events) = (whole(chat, &answer), stream(chat, &answer));
    let message = &reply["choices"][0]["message"];
    assert_eq!(joined(&events, "/choices/0/delta/content"), message["content"]);
    assert_eq!(joined(&events, "/choices/0/delta/reasoning_content"), message["reasoning_content"]);
    let arguments = joined(&events, "/choices/0/delta/tool_calls/0/function/arguments");
    assert_eq!(arguments, message["tool_calls"][0]["function"]["arguments"]);
    assert_eq!(events.last().unwrap()["usage"], reply["usage"]);

    let events = stream(Wire::OpenAiResponses, &answer);
    let last = &events.last().unwrap()["response"];
    assert_eq!(*last, whole(Wire::OpenAiResponses, &answer));
    let of = |kind: &str| {
        let chosen: Vec<Value> = events.iter().filter(|e| e["type"] == kind).cloned().collect();
        joined(&chosen, "/delta")
    };
    assert_eq!(of("response.output_text.delta"), last["output"][1]["content"][0]["text"]);
    assert_eq!(of("response.function_call_arguments.delta"), last["output"][2]["arguments"]);
    assert_eq!(of("response.reasoning_summary_text.delta"), "hm, so");
    let numbers: Vec<u64> = events.iter().map(|e| e["sequence_number"].as_u64().unwrap()).collect();
    assert!(numbers.iter().enumerate().all(|(i, n)| i as u64 == *n));

    let (reply, events) = (whole(Wire::Anthropic, &answer), stream(Wire::Anthropic, &answer));
    assert_eq!(joined(&events, "/delta/thinking"), reply["content"][0]["thinking"]);
    assert_eq!(joined(&events, "/delta/signature"), reply["content"][0]["signature"]);
    assert_eq!(joined(&events, "/delta/text"), reply["content"][1]["text"]);
    let input: Value = serde_json::from_str(&joined(&events, "/delta/partial_json")).unwrap();
    assert_eq!(input, reply["content"][2]["input"]);
    assert_eq!(events[events.len() - 2]["usage"], reply["usage"]);

    let (reply, events) = (whole(Wire::Gemini, &answer), stream(Wire::Gemini, &answer));
    let parts = reply["candidates"][0]["content"]["parts"].as_array().unwrap();
    let texts = joined(&events, "/candidates/0/content/parts/0/text");
    assert_eq!(texts, format!("hm, so{}", parts[1]["text"].as_str().unwrap()));
    assert_eq!(parts[1]["thoughtSignature"], "c2ln");
    assert_eq!(events.last().unwrap()["usageMetadata"], reply["usageMetadata"]);
}

#[test]
fn tokens_are_billed_in_each_way() {
    let answer = full();
    let chat = whole(Wire::OpenAiChat, &answer)["usage"].clone();
    assert_eq!((&chat["prompt_tokens"], &chat["total_tokens"]), (&json!(20), &json!(29)));
    let anthropic = whole(Wire::Anthropic, &answer)["usage"].clone();
    let input = ["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"];
    assert_eq!(input.map(|name| anthropic[name].as_u64().unwrap()), [12, 5, 3]);
    let gemini = whole(Wire::Gemini, &answer)["usageMetadata"].clone();
    let output = ["candidatesTokenCount", "thoughtsTokenCount", "totalTokenCount"];
    assert_eq!(output.map(|name| gemini[name].as_u64().unwrap()), [5, 4, 29]);
}

#[test]
fn ends_in_each_word() {
    let cases = [
        (Finish::Stop, ["stop", "completed", "end_turn", "STOP"]),
        (Finish::Length, ["length", "incomplete", "max_tokens", "MAX_TOKENS"]),
        (Finish::ContentFilter, ["content_filter", "incomplete", "refusal", "SAFETY"]),
        (Finish::Unknown("odd".into()), ["odd", "incomplete", "odd", "odd"]),
    ];
    let places =
        ["/choices/0/finish_reason", "/status", "/stop_reason", "/candidates/0/finishReason"];
    for (finish, words) in cases {
        for ((wire, place), word) in Wire::ALL.into_iter().zip(places).zip(words) {
            let reply = whole(wire, &Answer::text("x").with_finish(finish.clone()));
            assert_eq!(reply.pointer(place).unwrap(), word, "{wire:?} {finish:?}");
        }
    }
}

#[test]
fn logprobs_are_those_of_the_tokens() {
    let answer = Answer::text("ab").with_logprob("a", -0.5, &[("a", -0.5), ("c", -1.5)]);
    let answer = answer.with_logprob("b", -0.25, &[("b", -0.25)]);
    let places = [
        (Wire::OpenAiChat, "/choices/0/logprobs/content/0/top_logprobs/1/logprob"),
        (Wire::OpenAiResponses, "/output/0/content/0/logprobs/0/top_logprobs/1/logprob"),
        (Wire::Gemini, "/candidates/0/logprobsResult/topCandidates/0/candidates/1/logProbability"),
    ];
    for (wire, place) in places {
        assert_eq!(whole(wire, &answer).pointer(place), Some(&json!(-1.5)), "{wire:?}");
    }
}

/// A request that the API takes, with a change to its body.
fn request(wire: Wire, change: impl Fn(&mut Value)) -> Request {
    let messages = json!([{"role": "user", "content": "hello"}]);
    let mut body = match wire {
        Wire::OpenAiChat => {
            json!({"model": "m", "messages": messages, "n": 2, "seed": 5, "stop": "x"})
        }
        Wire::OpenAiResponses => json!({"model": "m", "input": messages, "instructions": "be"}),
        Wire::Anthropic => {
            json!({"model": "m", "max_tokens": 9, "messages": messages, "system": "be"})
        }
        Wire::Gemini => json!({"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}),
    };
    change(&mut body);
    let headers = [
        ("content-type", "application/json"),
        ("authorization", "Bearer k"),
        ("x-api-key", "k"),
        ("anthropic-version", "2023-06-01"),
        ("x-goog-api-key", "k"),
    ];
    Request {
        method: "POST".into(),
        path: wire.path("m", false),
        headers: headers.map(|(n, v)| (n.into(), v.into())).to_vec(),
        body: body.to_string().into_bytes(),
    }
}

#[test]
fn good_requests_are_read() {
    for wire in Wire::ALL {
        let parsed = wire.check(&request(wire, |_| {}), "m").unwrap();
        assert_eq!(parsed.last_user(), Some("hello"), "{wire:?}");
        assert_eq!((parsed.model.as_str(), parsed.stream), ("m", false));
    }
    let parsed = Wire::OpenAiChat.check(&request(Wire::OpenAiChat, |_| {}), "m").unwrap();
    assert_eq!((parsed.n, parsed.seed, parsed.stop), (2, Some(5), vec!["x".to_owned()]));
    let mut streaming = request(Wire::Gemini, |body| {
        body["generationConfig"] =
            json!({"responseJsonSchema": {"type": "object"}, "maxOutputTokens": 4});
    });
    streaming.path = Wire::Gemini.path("m", true);
    let parsed = Wire::Gemini.check(&streaming, "m").unwrap();
    assert_eq!((parsed.stream, parsed.max_tokens), (true, Some(4)));
    assert_eq!(parsed.schema, Some(json!({"type": "object"})));
}

#[test]
fn bad_requests_are_refused() {
    let refused = |wire: Wire, request: &Request, status: u16, words: &str| {
        let refusal = wire.check(request, "m").unwrap_err();
        let body = refusal.body();
        assert_eq!(refusal.status, status, "{wire:?}: {body}");
        assert!(body.contains(words), "{wire:?}: {body} lacks {words}");
    };
    let unknown = [
        "Unrecognized request argument supplied: foo",
        "Unknown parameter: 'foo'.",
        "foo: Extra inputs are not permitted",
        r#"Unknown name \"foo\""#,
    ];
    let roles = ["messages", "input", "messages", "contents"];
    let key = [401, 401, 401, 403];
    for (((wire, words), list), key) in Wire::ALL.into_iter().zip(unknown).zip(roles).zip(key) {
        refused(wire, &request(wire, |body| body["foo"] = json!(1)), 400, words);
        refused(wire, &request(wire, |body| body[list][0]["role"] = json!("fool")), 400, "fool");
        let missing = request(wire, |body| {
            body.as_object_mut().unwrap().remove(list);
        });
        refused(wire, &missing, 400, list);
        let part = json!([{"type": "smell", "smell": "rose"}]);
        let member = if wire == Wire::Gemini { "parts" } else { "content" };
        refused(wire, &request(wire, |body| body[list][0][member] = part.clone()), 400, "");
        let mut keyless = request(wire, |_| {});
        keyless.headers.truncate(1);
        refused(wire, &keyless, key, "");
        let mut lost = request(wire, |_| {});
        lost.path = "/v1/elsewhere".into();
        refused(wire, &lost, 404, "elsewhere");
        let other = Request {
            path: wire.path("other", false),
            ..request(wire, |body| {
                if wire != Wire::Gemini {
                    body["model"] = json!("other")
                }
            })
        };
        refused(wire, &other, 404, "other");
    }
    let endless = request(Wire::Anthropic, |body| {
        body.as_object_mut().unwrap().remove("max_tokens");
    });
    refused(Wire::Anthropic, &endless, 400, "max_tokens: Field required");
    let hot = request(Wire::Anthropic, |body| body["temperature"] = json!(1.5));
    refused(Wire::Anthropic, &hot, 400, "range: 0..1");
}

#[test]
fn errors_are_in_the_form_of_the_provider() {
    let body = |wire: Wire| -> Value {
        serde_json::from_str(&wire.error(429, "", "slow down").body()).unwrap()
    };
    assert_eq!(body(Wire::OpenAiChat)["error"]["code"], "rate_limit_exceeded");
    assert_eq!(body(Wire::Anthropic)["error"]["type"], "rate_limit_error");
    assert_eq!(body(Wire::Gemini)["error"]["status"], "RESOURCE_EXHAUSTED");
}
