//! What arrives at the server of what a request says.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use teleprompt::lm::{DialectOptions, Endpoint};
use teleprompt::{
    Constraint, Lm, LmErrorKind, LmRequest, Media, Message, Part, Reasoning, ReasoningEffort, Tool,
    ToolCall, ToolChoice, ToolResult,
};
use teleprompt_testkit::server::ParsedRequest;
use teleprompt_testkit::{Answer, FakeServer, Request, Wire};

use super::body;
use super::support::{
    Checked, MODEL, Subject, ask, choices, holds, name, on_every_wire, same, told,
};

/// What arrived: in words of no provider, as JSON, and as it was sent.
struct Arrived {
    parsed: ParsedRequest,
    body: Value,
    sent: Request,
}

async fn sent(subject: &Subject, request: &LmRequest) -> Result<Arrived, String> {
    sent_to(subject, request, |endpoint| endpoint).await
}

async fn sent_to(
    subject: &Subject,
    request: &LmRequest,
    edit: impl FnOnce(Endpoint) -> Endpoint,
) -> Result<Arrived, String> {
    let server = subject.server(|parsed| choices(parsed, "ok")).await;
    let lm = subject.lm_at(edit(subject.endpoint(&server)));
    told("generate", lm.generate(request).await)?;
    let sent = server.requests().remove(0);
    let parsed = subject.wire.check(&sent, MODEL);
    let parsed = parsed.map_err(|refusal| format!("it was refused: {}", refusal.body()))?;
    Ok(Arrived { parsed, body: sent.json(), sent })
}

pub async fn roles(subject: &Subject) -> Checked {
    let request = LmRequest::new(vec![
        Message::system("Sei kurz."),
        Message::user("Grüße 👋"),
        Message::assistant("Hallo"),
        Message::user("weiter"),
    ]);
    let parsed = sent(subject, &request).await?.parsed;
    let got: Vec<_> = parsed.messages.iter().map(|m| (m.role.as_str(), m.text.as_str())).collect();
    let want =
        [("system", "Sei kurz."), ("user", "Grüße 👋"), ("assistant", "Hallo"), ("user", "weiter")];
    same("messages", got.as_slice(), &want)
}

type AsPart = fn(Media) -> Part;

/// What each wire takes: bytes, addresses, ids.
fn takes(wire: Wire, kind: &str) -> [bool; 3] {
    match (wire, kind) {
        (Wire::OpenAiChat, "image") => [true, true, false],
        (Wire::OpenAiChat | Wire::OpenAiResponses, "audio") => [true, false, false],
        (Wire::OpenAiChat, "file") => [true, false, true],
        (Wire::Anthropic, "audio") => [false; 3],
        _ => [true; 3],
    }
}

pub async fn media(subject: &Subject) -> Checked {
    let kinds: [(&str, &str, AsPart); 3] = [
        ("image", "image/png", Part::Image),
        ("audio", "audio/wav", Part::Audio),
        ("file", "application/pdf", Part::File),
    ];
    for (kind, mime, part) in kinds {
        let sources = [
            (Media::data(vec![1_u8, 2, 3, 250], mime).named("a name"), "AQID+g=="),
            (Media::url("https://e.org/it", mime), "https://e.org/it"),
            (Media::id("file-7", mime), "file-7"),
        ];
        for ((media, needle), taken) in sources.into_iter().zip(takes(subject.wire, kind)) {
            let what = format!("{kind} {media:?}");
            let content = [Part::text("see "), part(media), Part::text("?")];
            let request = LmRequest::new(vec![Message::user(content)]);
            if taken {
                let arrived = sent(subject, &request).await.map_err(|e| format!("{what}: {e}"))?;
                let message = &arrived.parsed.messages[0];
                same(&what, message.parts.as_slice(), &["text", kind, "text"].map(String::from))?;
                same(&what, message.text.as_str(), "see ?")?;
                holds(&what, arrived.body.to_string().contains(needle))?;
            } else {
                not_sent(subject, &request).await.map_err(|e| format!("{what}: {e}"))?;
            }
        }
    }
    Ok(())
}

/// Refused before anything is sent, whole and streamed.
async fn not_sent(subject: &Subject, request: &LmRequest) -> Checked {
    let server = subject.server(|parsed| choices(parsed, "ok")).await;
    let lm = subject.lm(&server);
    let streamed = super::support::stream(&lm, request).await?.end;
    for result in [lm.generate(request).await, streamed] {
        let kind = result.map_err(|error| error.kind);
        same("kind", &kind.err(), &Some(LmErrorKind::Unsupported))?;
    }
    same("requests", &server.hits(), &0)
}

fn weather() -> Tool {
    let schema = json!({"type": "object", "properties": {"at": {"type": "string"}}});
    Tool::new("weather", "Of a place.", schema)
}

pub async fn tools(subject: &Subject) -> Checked {
    let mut request = ask("hi");
    request.tools = Arc::from([weather(), Tool::new("now", "", json!({"type": "object"}))]);
    let arrived = sent(subject, &request).await?;
    same("tools", arrived.parsed.tools.as_slice(), &["weather", "now"].map(String::from))?;
    let Tool { name, description, parameters } = weather();
    let want = (name.to_string(), description.to_string(), (*parameters).clone());
    same("tool", &body::tool(subject.wire, &arrived.body), &want)?;
    let choices = [
        (ToolChoice::Auto, "auto"),
        (ToolChoice::None, "none"),
        (ToolChoice::Required, "required"),
        (ToolChoice::Named("now".into()), "now"),
    ];
    for (choice, word) in choices {
        request.tool_choice = Some(choice);
        let arrived = sent(subject, &request).await?;
        same("tool_choice", body::choice(subject.wire, &arrived.body).as_str(), word)?;
    }
    Ok(())
}

pub async fn tool_talk(subject: &Subject) -> Checked {
    let call = |id, at| Part::ToolCall(ToolCall::new(id, "weather", format!(r#"{{"at":"{at}"}}"#)));
    let result = |id: &str, content: &str| ToolResult {
        id: id.into(),
        name: "weather".into(),
        content: content.into(),
        is_error: id == "c2",
    };
    let mut request = LmRequest::new(vec![
        Message::user("Wetter?"),
        Message::assistant([Part::text("Moment"), call("c1", "Köln"), call("c2", "Bonn")]),
        Message::tool([result("c1", "sonnig"), result("c2", "unbekannt")]),
    ]);
    request.tools = Arc::from([weather()]);
    let arrived = sent(subject, &request).await?;
    let want = [("c1", "Köln"), ("c2", "Bonn")]
        .map(|(id, at)| (id.to_owned(), "weather".to_owned(), json!({"at": at})));
    same("calls", body::calls(subject.wire, &arrived.body).as_slice(), &want)?;
    let results = body::results(subject.wire, &arrived.body);
    let answered: Vec<bool> = [("c1", "sonnig"), ("c2", "unbekannt")]
        .iter()
        .zip(&results)
        .map(|((id, text), (got, answer))| got == id && answer.contains(text))
        .collect();
    holds(&format!("the tools' answers are {results:?}"), answered == [true, true])?;
    let said = arrived.parsed.messages.iter().any(|m| m.role == "assistant" && m.text == "Moment");
    holds("the text beside the calls came", said)
}

pub async fn settings(subject: &Subject) -> Checked {
    let wire = subject.wire;
    let schema = json!({
        "type": "object", "properties": {"a": {"type": "string"}},
        "required": ["a"], "additionalProperties": false,
    });
    let mut request = ask("hi");
    request.n = 2;
    request.settings.temperature = Some(0.7);
    request.settings.top_p = Some(0.9);
    request.settings.max_tokens = Some(77);
    request.settings.seed = Some(11);
    request.settings.stop = vec!["END".into(), "\n\n".into()];
    request.settings.logprobs = Some(3);
    request.constraint = Some(Arc::new(Constraint::new(Some(Arc::new(schema.clone())), None)));
    let got = sent(subject, &request).await?.parsed;
    let native_n = matches!(wire, Wire::OpenAiChat | Wire::Gemini);
    same("temperature", &got.temperature, &Some(0.7))?;
    same("top_p", &got.top_p, &Some(0.9))?;
    same("max_tokens", &got.max_tokens, &Some(77))?;
    same("n", &got.n, &if native_n { 2 } else { 1 })?;
    same("seed", &got.seed, &native_n.then_some(11))?;
    let stop = if wire == Wire::OpenAiResponses { &[][..] } else { &request.settings.stop };
    same("stop", got.stop.as_slice(), stop)?;
    same("logprobs", &got.top_logprobs, &(wire != Wire::Anthropic).then_some(3))?;
    same("schema", &got.schema, &Some(schema))
}

/// Mistral's server knows the seed under another name, which OpenAI's refuses.
pub async fn other_name_of_the_seed(subject: &Subject) -> Checked {
    let mut request = ask("hi");
    request.settings.seed = Some(11);
    let server = FakeServer::start(|_| Wire::OpenAiChat.reply(&Answer::text("ok"))).await.unwrap();
    let dialect = DialectOptions { random_seed: Some(true), ..DialectOptions::default() };
    let lm = subject.lm_at(subject.endpoint(&server).with_dialect(dialect));
    told("generate", lm.generate(&request).await)?;
    let body = server.requests().remove(0).json();
    same("seed", &(body.get("seed"), &body["random_seed"]), &(None, &json!(11)))
}

pub async fn effort(subject: &Subject) -> Checked {
    for (effort, word) in [(ReasoningEffort::Low, "low"), (ReasoningEffort::High, "high")] {
        let mut request = ask("hi");
        request.settings.reasoning = Some(effort);
        let got = sent(subject, &request).await?.parsed.effort.unwrap_or_default();
        same("effort", got.to_lowercase().as_str(), word)?;
    }
    Ok(())
}

/// What the LM thought, with its seal, comes back to the server with the next turn.
pub async fn thoughts_go_back(subject: &Subject) -> Checked {
    let server = subject
        .server(|parsed| choices(parsed, "ja").with_reasoning("Hm, so.", Some("c2VhbA==")))
        .await;
    let lm = subject.lm(&server);
    let reply = told("first turn", lm.generate(&ask("hi")).await)?;
    let completion = &reply.completions[0];
    let thought = completion.reasoning.clone().ok_or("no reasoning came")?;
    let Reasoning { text, signature } = &thought;
    same("thought", text.as_str(), "Hm, so.")?;
    // Chat completions have no seal; the thought itself goes back.
    let sealed = (subject.wire != Wire::OpenAiChat).then(|| "c2VhbA==".to_owned());
    same("seal", signature, &sealed)?;
    let turn = [Part::Reasoning(thought.clone()), Part::text(completion.text.clone())];
    let request =
        LmRequest::new(vec![Message::user("hi"), Message::assistant(turn), Message::user("und?")]);
    let body = sent(subject, &request).await?.body.to_string();
    let needle = if sealed.is_some() { "c2VhbA==" } else { "Hm, so." };
    holds("the thought went back", body.contains(needle))
}

pub async fn cache_hint(subject: &Subject) -> Checked {
    let mut request =
        LmRequest::new(vec![Message::system("A long instruction."), Message::user("hi")]);
    request.shared_prefix = 1;
    let hints = async |yes| {
        let dialect = DialectOptions { prompt_cache: Some(yes), ..DialectOptions::default() };
        let arrived = sent_to(subject, &request, |endpoint| endpoint.with_dialect(dialect)).await?;
        Ok::<_, String>(arrived.parsed.cache_hints)
    };
    // Gemini caches what prompts share without being told.
    same("hints", &hints(true).await?, &usize::from(subject.wire != Wire::Gemini))?;
    same("hints where there is no cache", &hints(false).await?, &0)
}

pub async fn own_fields_and_headers(subject: &Subject) -> Checked {
    // The field that holds the setting, and one that the server knows and we do not set.
    let (ours, theirs) = match subject.wire {
        Wire::OpenAiChat => ("/max_tokens", json!({"max_tokens": 5, "verbosity": "low"})),
        Wire::OpenAiResponses => {
            ("/max_output_tokens", json!({"max_output_tokens": 5, "truncation": "auto"}))
        }
        Wire::Anthropic => ("/max_tokens", json!({"max_tokens": 5, "top_k": 4})),
        Wire::Gemini => (
            "/generationConfig/maxOutputTokens",
            json!({"generationConfig": {"maxOutputTokens": 5, "topK": 4}}),
        ),
    };
    let fields: Map<String, Value> = theirs.as_object().cloned().unwrap_or_default();
    let mut request = ask("hi");
    request.settings.max_tokens = Some(9);
    request.settings.temperature = Some(0.5);
    let of_endpoint = |endpoint: Endpoint| {
        let endpoint = endpoint.with_extra_body(fields.clone()).with_query("api", "2 &");
        endpoint.with_header("x-team", "search").unwrap()
    };
    let server = subject.server(|parsed| choices(parsed, "ok")).await;
    let lm = subject.lm_at(of_endpoint(subject.endpoint(&server)));
    // The query makes it another path than the one that the server knows.
    drop(lm.generate(&request).await);
    let arrived = server.requests().remove(0);
    same("header", &arrived.header("x-team"), &Some("search"))?;
    holds("the query is there", arrived.path.ends_with("api=2%20%26"))?;
    same("field of the endpoint", &arrived.json().pointer(ours), &Some(&json!(5)))?;
    request.settings.extra_body = Some(Arc::new(fields));
    let arrived = sent(subject, &request).await?;
    same("field of the request", &arrived.body.pointer(ours), &Some(&json!(5)))?;
    for (path, value) in leaves(&theirs, "") {
        same(&path, &arrived.body.pointer(&path), &Some(&value))?;
    }
    same("what stands beside", &arrived.parsed.temperature, &Some(0.5))
}

fn leaves(value: &Value, at: &str) -> Vec<(String, Value)> {
    match value {
        Value::Object(members) => {
            members.iter().flat_map(|(key, inner)| leaves(inner, &format!("{at}/{key}"))).collect()
        }
        leaf => vec![(at.to_owned(), leaf.clone())],
    }
}

pub async fn key(subject: &Subject) -> Checked {
    let sent = sent(subject, &ask("hi")).await?.sent;
    let (header, value) = match name(subject.wire) {
        "anthropic" => ("x-api-key", "key-of-the-test"),
        "gemini" => ("x-goog-api-key", "key-of-the-test"),
        _ => ("authorization", "Bearer key-of-the-test"),
    };
    same("key", &sent.header(header), &Some(value))?;
    let again = sent.headers.iter().filter(|(_, v)| v.contains("key-of-the-test")).count();
    same("headers with the key", &again, &1)?;
    holds("no key in the path or the body", {
        let body = String::from_utf8_lossy(&sent.body);
        !sent.path.contains("key-of") && !body.contains("key-of")
    })
}

#[tokio::test]
async fn turns_arrive_with_their_roles() {
    on_every_wire(roles).await;
}

#[tokio::test]
async fn media_arrive_or_are_refused_before_anything_is_sent() {
    on_every_wire(media).await;
}

#[tokio::test]
async fn tools_and_their_choice_arrive() {
    on_every_wire(tools).await;
}

#[tokio::test]
async fn calls_and_answers_of_tools_arrive_intact() {
    on_every_wire(tool_talk).await;
}

#[tokio::test]
async fn settings_arrive_where_the_wire_has_them() {
    on_every_wire(settings).await;
    on_every_wire(effort).await;
    other_name_of_the_seed(&Subject::of(Wire::OpenAiChat)).await.unwrap();
}

#[tokio::test]
async fn thoughts_and_their_seals_go_back() {
    on_every_wire(thoughts_go_back).await;
}

#[tokio::test]
async fn hints_for_the_prompt_cache_are_sent_where_the_server_has_one() {
    on_every_wire(cache_hint).await;
}

#[tokio::test]
async fn own_fields_headers_and_the_key_arrive() {
    on_every_wire(own_fields_and_headers).await;
    on_every_wire(key).await;
}
