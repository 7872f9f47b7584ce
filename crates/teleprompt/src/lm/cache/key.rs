//! The key of a request: a hash over all that changes the answer.

use std::cell::RefCell;
use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use serde_json::Value;
use teleprompt_core::{Constraint, LmRequest, LmSettings};

/// Raised whenever the meaning of the hashed bytes changes.
const FORMAT: u8 = 2;

/// BLAKE3 of everything that changes an answer.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Key([u8; 32]);

impl Key {
    /// The key of this request to the LM of this identity.
    ///
    /// The parts are gathered in one buffer that is kept for the next call: hashing a few long
    /// pieces is several times faster than hashing many short ones.
    pub(crate) fn of(identity: &str, request: &LmRequest) -> Self {
        thread_local! {
            static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        BUFFER.with_borrow_mut(|bytes| {
            bytes.clear();
            write_request(bytes, identity, request);
            let key = Key(*blake3::hash(bytes).as_bytes());
            // One huge prompt must not stay in memory for good.
            bytes.shrink_to(1 << 20);
            key
        })
    }

    /// 64 hexadecimal digits.
    pub(crate) fn hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }

    /// The key of these digits.
    pub(crate) fn from_hex(hex: &str) -> Option<Self> {
        blake3::Hash::from_hex(hex).ok().map(|hash| Self(*hash.as_bytes()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        state.write_u64(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
    }
}

/// Takes a key's own bits: they are a hash already.
#[derive(Default)]
pub(super) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |sum, byte| sum.rotate_left(8) ^ u64::from(*byte));
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

pub(super) type KeyMap<T> = std::collections::HashMap<Key, T, BuildHasherDefault<KeyHasher>>;

/// Every part is preceded by its length or has a fixed one, so that no two requests give the same
/// bytes.
fn write_request(bytes: &mut Vec<u8>, identity: &str, request: &LmRequest) {
    // A field that is added to `LmRequest` belongs here and in the table of the test below.
    let LmRequest {
        messages,
        settings,
        n,
        constraint,
        rollout,
        label_bias,
        tools,
        tool_choice,
        shared_prefix: _, // changes no answer
        ..
    } = request;
    bytes.push(FORMAT);
    write_text(bytes, identity);
    write_number(bytes, messages.len() as u64);
    for message in messages {
        write_text(bytes, message.role.as_str());
        match message.content.parts() {
            None => write_text(bytes, &message.content),
            Some(parts) => {
                // No text is this long.
                write_number(bytes, u64::MAX);
                write_json(bytes, parts);
            }
        }
    }
    write_settings(bytes, settings);
    write_number(bytes, u64::from(*n));
    write_number(bytes, *rollout);
    write_constraint(bytes, constraint.as_deref());
    if !tools.is_empty() {
        write_json(bytes, &(tools, tool_choice));
    }
    write_number(bytes, label_bias.as_ref().map_or(0, |all| all.len() as u64));
    for (text, bias) in label_bias.iter().flat_map(|all| all.iter()) {
        write_text(bytes, text);
        write_number(bytes, u64::from(bias.to_bits()));
    }
}

fn write_settings(bytes: &mut Vec<u8>, settings: &LmSettings) {
    let LmSettings { temperature, top_p, max_tokens, seed, stop, logprobs, reasoning, extra_body } =
        settings;
    write_option(bytes, temperature.map(|t| u64::from(t.to_bits())));
    write_option(bytes, top_p.map(|p| u64::from(p.to_bits())));
    write_option(bytes, max_tokens.map(u64::from));
    write_option(bytes, *seed);
    write_option(bytes, logprobs.map(u64::from));
    write_number(bytes, stop.len() as u64);
    stop.iter().for_each(|text| write_text(bytes, text));
    if reasoning.is_some() || extra_body.is_some() {
        write_json(bytes, &(reasoning, extra_body));
    }
}

/// For what is rare: as JSON.
fn write_json(bytes: &mut Vec<u8>, value: &(impl serde::Serialize + ?Sized)) {
    // What is hashed here has nothing that JSON cannot hold.
    let text = serde_json::to_string(value).unwrap_or_default();
    write_text(bytes, &text);
}

fn write_constraint(bytes: &mut Vec<u8>, constraint: Option<&Constraint>) {
    let Some(Constraint { json_schema, lark, .. }) = constraint else {
        bytes.push(0);
        return;
    };
    bytes.push(1);
    match json_schema {
        None => bytes.push(0),
        Some(schema) => {
            bytes.push(1);
            write_value(bytes, schema);
        }
    }
    match lark {
        None => bytes.push(0),
        Some(lark) => {
            bytes.push(1);
            write_text(bytes, lark);
        }
    }
}

/// The order of an object's members counts: it is the order in which an LM writes them.
fn write_value(bytes: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => bytes.push(b'z'),
        Value::Bool(b) => bytes.extend([b'b', u8::from(*b)]),
        Value::Number(number) => {
            bytes.push(b'n');
            write_text(bytes, &number.to_string());
        }
        Value::String(text) => {
            bytes.push(b's');
            write_text(bytes, text);
        }
        Value::Array(items) => {
            bytes.push(b'a');
            write_number(bytes, items.len() as u64);
            items.iter().for_each(|item| write_value(bytes, item));
        }
        Value::Object(members) => {
            bytes.push(b'o');
            write_number(bytes, members.len() as u64);
            for (name, member) in members {
                write_text(bytes, name);
                write_value(bytes, member);
            }
        }
    }
}

fn write_text(bytes: &mut Vec<u8>, text: &str) {
    write_number(bytes, text.len() as u64);
    bytes.extend_from_slice(text.as_bytes());
}

fn write_number(bytes: &mut Vec<u8>, number: u64) {
    bytes.extend_from_slice(&number.to_le_bytes());
}

fn write_option(bytes: &mut Vec<u8>, value: Option<u64>) {
    bytes.push(u8::from(value.is_some()));
    write_number(bytes, value.unwrap_or_default());
}

#[cfg(test)]
mod tests;
