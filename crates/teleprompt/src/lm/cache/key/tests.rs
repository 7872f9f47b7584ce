use std::collections::HashMap;
use std::sync::Arc;

use serde_json::json;
use teleprompt_core::{
    Media, Message, Part, Reasoning, ReasoningEffort, Role, Tool, ToolCall, ToolChoice,
};

use super::*;

fn base() -> LmRequest {
    LmRequest::new(vec![Message::system("Be brief."), Message::user("Hello")])
}

fn constrained(schema: Option<Value>, lark: Option<&str>) -> Option<Arc<Constraint>> {
    Some(Arc::new(Constraint::new(schema.map(Arc::new), lark.map(Arc::from))))
}

fn tool(name: &str) -> Tool {
    Tool::new(name, "", json!({"type": "object"}))
}

fn image(media: Media) -> Message {
    Message::user([Part::text("Hello"), Part::Image(media)])
}

fn extra(body: &Value) -> Option<Arc<serde_json::Map<String, Value>>> {
    Some(Arc::new(body.as_object().unwrap().clone()))
}

type Change = fn(&mut LmRequest);

/// Changes of what few requests have.
const RICH: &[(&str, Change)] = &[
    ("tool", |r| r.tools = [tool("add")].into()),
    ("another tool", |r| r.tools = [tool("sub")].into()),
    ("two tools", |r| r.tools = [tool("add"), tool("sub")].into()),
    ("a tool that must be used", |r| {
        r.tools = [tool("add")].into();
        r.tool_choice = Some(ToolChoice::Required);
    }),
    ("this tool must be used", |r| {
        r.tools = [tool("add")].into();
        r.tool_choice = Some(ToolChoice::Named("add".into()));
    }),
    ("image", |r| r.messages[1] = image(Media::data(*b"a", "image/png"))),
    ("another image", |r| r.messages[1] = image(Media::data(*b"b", "image/png"))),
    ("image of another kind", |r| r.messages[1] = image(Media::data(*b"a", "image/jpeg"))),
    ("image elsewhere", |r| r.messages[1] = image(Media::url("a", "image/png"))),
    ("image kept there", |r| r.messages[1] = image(Media::id("a", "image/png"))),
    ("sound", |r| {
        let sound = Part::Audio(Media::data(*b"a", "image/png"));
        r.messages[1] = Message::user([Part::text("Hello"), sound]);
    }),
    ("parts in another order", |r| {
        let image = Part::Image(Media::data(*b"a", "image/png"));
        r.messages[1] = Message::user([image, Part::text("Hello")]);
    }),
    ("the JSON of parts as text", |r| {
        let image = Part::Image(Media::data(*b"a", "image/png"));
        let json = serde_json::to_string(&[Part::text("Hello"), image]).unwrap();
        r.messages[1] = Message::user(json);
    }),
    ("tool call", |r| {
        r.messages[1] = Message::assistant([Part::ToolCall(ToolCall::new("1", "add", ""))]);
    }),
    ("seal of a thought", |r| {
        let signature = Some("seal".to_owned());
        let thought = Part::Reasoning(Reasoning { text: String::new(), signature });
        r.messages[1] = Message::assistant([thought]);
    }),
    ("little thought", |r| r.settings.reasoning = Some(ReasoningEffort::Low)),
    ("much thought", |r| r.settings.reasoning = Some(ReasoningEffort::High)),
    ("measured thought", |r| r.settings.reasoning = Some(ReasoningEffort::Tokens(1))),
    ("extra body", |r| r.settings.extra_body = extra(&json!({"a": 1}))),
    ("another extra body", |r| r.settings.extra_body = extra(&json!({"a": 2}))),
    ("empty extra body", |r| r.settings.extra_body = extra(&json!({}))),
];

#[test]
fn whatever_changes_the_answer_changes_the_key() {
    let changes: &[(&str, Change)] = &[
        ("nothing", |_| {}),
        ("content", |r| r.messages[1] = Message::user("Hello!")),
        ("role", |r| r.messages[1].role = Role::Assistant),
        ("order", |r| r.messages.reverse()),
        ("one message more", |r| r.messages.push(Message::user(""))),
        ("cut elsewhere", |r| {
            r.messages = vec![Message::system("Be brief.H"), Message::user("ello")];
        }),
        ("temperature 0", |r| r.settings.temperature = Some(0.0)),
        ("temperature", |r| r.settings.temperature = Some(0.7)),
        ("top_p", |r| r.settings.top_p = Some(0.7)),
        ("max_tokens", |r| r.settings.max_tokens = Some(7)),
        ("seed", |r| r.settings.seed = Some(7)),
        ("logprobs 0", |r| r.settings.logprobs = Some(0)),
        ("logprobs", |r| r.settings.logprobs = Some(7)),
        ("stop", |r| r.settings.stop = vec!["ab".into()]),
        ("two stops", |r| r.settings.stop = vec!["a".into(), "b".into()]),
        ("n", |r| r.n = 2),
        ("rollout", |r| r.rollout = 7),
        ("label bias", |r| r.label_bias = Some(Arc::new([("a".into(), 0.5)].into()))),
        ("another bias", |r| r.label_bias = Some(Arc::new([("a".into(), 0.25)].into()))),
        ("no constraint at all", |r| r.constraint = constrained(None, None)),
        ("schema", |r| r.constraint = constrained(Some(json!({"a": 1, "b": [true]})), None)),
        ("order in the schema", |r| {
            r.constraint = constrained(Some(json!({"b": [true], "a": 1})), None);
        }),
        ("null schema", |r| r.constraint = constrained(Some(Value::Null), None)),
        ("grammar", |r| r.constraint = constrained(None, Some("start: \"a\""))),
    ];
    let mut seen = HashMap::new();
    for (what, change) in changes.iter().chain(RICH) {
        let mut request = base();
        change(&mut request);
        if let Some(other) = seen.insert(Key::of("lm", &request).hex(), *what) {
            panic!("`{what}` has the key of `{other}`");
        }
    }
    assert!(!seen.contains_key(&Key::of("other lm", &base()).hex()), "identity");
}

#[test]
fn what_changes_no_answer_changes_no_key() {
    let mut hinted = base();
    hinted.shared_prefix = 1;
    assert_eq!(Key::of("lm", &hinted), Key::of("lm", &base()));
}

#[test]
fn keys_are_read_as_they_are_written() {
    let key = Key::of("lm", &base());
    assert_eq!(Key::from_hex(&key.hex()), Some(key));
    assert_eq!(Key::from_hex("12"), None);
}

#[test]
fn equal_requests_have_equal_keys_in_all_versions() {
    assert_eq!(Key::of("lm", &base()), Key::of("lm", &base().clone()));
    // If this fails, entries on users' disks are lost: raise FORMAT and say so.
    let key = Key::of("lm", &base()).hex();
    assert_eq!(key, "87f8477c9d2c7b38e4891ccfe1a54ddffe0928308d8aea02f46134b214a50a94");
}
