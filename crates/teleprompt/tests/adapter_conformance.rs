//! The conformance suite over both adapters, and the proof that it bites.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail loudly"
)]

use std::sync::Arc;

use teleprompt::adapter::{ChatAdapter, NAMES, by_name};
use teleprompt::{
    Adapter, FieldPiece, FieldReader, Message, ParseError, Parsed, Prompt, Record, Signature,
};
use teleprompt_testkit::adapter_suite::check;

#[test]
fn all_adapters_conform() {
    for name in NAMES {
        let adapter = by_name(name).unwrap();
        assert_eq!(adapter.name(), *name);
        check(&*adapter).unwrap_or_else(|e| panic!("{name}:\n{e}"));
    }
}

/// The chat adapter with one thing broken.
struct Broken(&'static str);

impl Adapter for Broken {
    fn name(&self) -> &'static str {
        if self.0 == "name" { "two words" } else { "broken" }
    }

    fn system(&self, signature: &Signature) -> String {
        match self.0 {
            "system" => "Do it.".into(),
            _ => ChatAdapter.system(signature),
        }
    }

    fn user(&self, signature: &Signature, inputs: &Record) -> String {
        match self.0 {
            "user" => String::new(),
            "injection" => inputs
                .iter()
                .map(|(n, v)| format!("{n}\n{}", v.as_str().unwrap_or("null")))
                .collect(),
            _ => ChatAdapter.user(signature, inputs),
        }
    }

    fn assistant(&self, signature: &Signature, outputs: &Record) -> String {
        let written = ChatAdapter.assistant(signature, outputs);
        match self.0 {
            "assistant" => written.replace("[[ ##", "[[##"),
            _ => written,
        }
    }

    fn parse(&self, signature: &Signature, reply: &str) -> Result<Parsed, ParseError> {
        let read = ChatAdapter.parse(signature, reply);
        match (self.0, read) {
            ("trim", Ok(mut parsed)) => {
                let trimmed = |v: &serde_json::Value| v.as_str().map(|s| s.trim().to_owned());
                let fields = parsed.fields.iter();
                let fields =
                    fields.map(|(n, v)| (n.clone(), trimmed(v).map_or(v.clone(), Into::into)));
                parsed.fields = fields.collect();
                Ok(parsed)
            }
            ("reply", Err(e)) => Err(ParseError::new(e.fields, "")),
            ("lenient", Err(_)) => Ok(Parsed::default()),
            (_, read) => read,
        }
    }

    fn complaint(&self, signature: &Signature, error: &ParseError) -> String {
        match self.0 {
            "complaint" => "Try again.".into(),
            _ => ChatAdapter.complaint(signature, error),
        }
    }

    fn reader<'a>(&'a self, signature: &'a Signature) -> Option<Box<dyn FieldReader + 'a>> {
        let reader = ChatAdapter.reader(signature)?;
        Some(match self.0 {
            "reader" => Box::new(Forgetful(reader)),
            _ => reader,
        })
    }

    fn demo(&self, signature: &Signature, demo: &Record) -> [Message; 2] {
        let mut turns = ChatAdapter.demo(signature, demo);
        if self.0 == "demo" {
            turns.swap(0, 1);
        }
        turns
    }

    fn prompt(&self, signature: &Signature, demos: &[Record]) -> Prompt {
        match self.0 {
            "demos" => Prompt::new(vec![Message::system(self.system(signature))], None),
            _ => ChatAdapter.prompt(signature, demos),
        }
    }
}

/// Tells nothing of what was held back.
struct Forgetful<'a>(Box<dyn FieldReader + 'a>);

impl FieldReader for Forgetful<'_> {
    fn feed(&mut self, text: &str) -> Vec<FieldPiece> {
        self.0.feed(text)
    }
    fn finish(&mut self) -> Vec<FieldPiece> {
        Vec::new()
    }
}

#[test]
fn the_suite_bites() {
    check(&Broken("nothing")).unwrap();
    let broken = [
        "name",
        "system",
        "user",
        "injection",
        "assistant",
        "trim",
        "reply",
        "lenient",
        "complaint",
        "demo",
        "demos",
        "reader",
    ];
    for what in broken {
        assert!(check(&Broken(what)).is_err(), "a broken {what} passes");
    }
}

#[test]
fn unknown_names_are_told() {
    let error = |name: &str| by_name(name).err().unwrap().to_string();
    assert_eq!(error("chta"), "there is no adapter `chta`; did you mean `chat`?");
    assert_eq!(error("xml"), "there is no adapter `xml`; there is: chat, json");
    let _: Arc<dyn Adapter> = by_name("json").unwrap();
}
