//! One JSON object, piece by piece.

use serde_json::Value;

use crate::parse::coerce_json;
use crate::{Field, FieldPiece, FieldReader, Signature};

/// Tells the values of an object's entries as they come: the text of strings decoded, other values
/// as they stand. What breaks the rules of JSON ends the telling.
pub(in super::super) struct ObjectReader<'a> {
    signature: &'a Signature,
    state: State,
    /// The key or value that is being read, as it stands.
    raw: String,
    field: Option<&'a Field>,
    decoder: Decoder,
    /// The new text of the value, to be told at the end of the piece.
    fresh: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the object.
    Before,
    /// Before a key, or the object's end.
    BeforeKey,
    Key {
        escaped: bool,
    },
    BeforeColon,
    BeforeValue,
    Text,
    /// A value that is no string: how deep in brackets, whether in a string, behind a backslash.
    Other {
        depth: u32,
        quoted: bool,
        escaped: bool,
    },
    AfterValue,
    /// The object's end, or something that is no JSON.
    Over,
}

impl<'a> ObjectReader<'a> {
    pub fn new(signature: &'a Signature) -> Self {
        Self {
            signature,
            state: State::Before,
            raw: String::new(),
            field: None,
            decoder: Decoder::default(),
            fresh: String::new(),
        }
    }

    fn step(&mut self, c: char, pieces: &mut Vec<FieldPiece>) {
        match self.state {
            State::Key { escaped } => self.key(c, escaped),
            State::Text => self.text(c, pieces),
            State::Other { depth, quoted, escaped } => {
                self.other(c, (depth, quoted, escaped), pieces);
            }
            State::Over => {}
            _ if c.is_whitespace() => {}
            _ => self.state = self.between(c),
        }
    }

    /// What a character outside of keys and values leads to.
    fn between(&mut self, c: char) -> State {
        match (self.state, c) {
            (State::Before, '{') => State::BeforeKey,
            (State::Before, _) => State::Before,
            (State::BeforeKey, '"') => {
                self.raw = "\"".to_owned();
                State::Key { escaped: false }
            }
            (State::BeforeColon, ':') => State::BeforeValue,
            (State::BeforeValue, '"') => {
                self.raw = "\"".to_owned();
                self.decoder = Decoder::default();
                State::Text
            }
            (State::BeforeValue, c) if !"]},:".contains(c) => {
                self.raw = c.to_string();
                self.fresh.push(c);
                State::Other { depth: u32::from("[{".contains(c)), quoted: false, escaped: false }
            }
            (State::AfterValue, ',') => State::BeforeKey,
            _ => State::Over,
        }
    }

    fn key(&mut self, c: char, escaped: bool) {
        self.raw.push(c);
        self.state = State::Key { escaped: c == '\\' && !escaped };
        if c == '"' && !escaped {
            let name: String = serde_json::from_str(&self.raw).unwrap_or_default();
            self.field = self.signature.outputs().iter().find(|f| *f.name == *name);
            self.state = State::BeforeColon;
        }
    }

    fn text(&mut self, c: char, pieces: &mut Vec<FieldPiece>) {
        self.raw.push(c);
        match self.decoder.step(c) {
            Decoded::Text(c) => self.fresh.push(c),
            Decoded::Nothing => {}
            Decoded::End => {
                self.state = State::AfterValue;
                self.end(pieces);
            }
            Decoded::Wrong => self.state = State::Over,
        }
    }

    fn other(
        &mut self,
        c: char,
        (mut depth, mut quoted, escaped): (u32, bool, bool),
        pieces: &mut Vec<FieldPiece>,
    ) {
        if depth == 0 && (c == ',' || c == '}') {
            self.end(pieces);
            self.state = if c == ',' { State::BeforeKey } else { State::Over };
            return;
        }
        match c {
            '"' if !escaped => quoted = !quoted,
            '[' | '{' if !quoted => depth += 1,
            ']' | '}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        self.raw.push(c);
        self.fresh.push(c);
        let closed = depth == 0 && !quoted && (c == ']' || c == '}');
        if closed {
            self.end(pieces);
            self.state = State::AfterValue;
        } else {
            self.state = State::Other { depth, quoted, escaped: quoted && c == '\\' && !escaped };
        }
    }

    /// The value is whole.
    fn end(&mut self, pieces: &mut Vec<FieldPiece>) {
        self.tell(pieces);
        let Some(field) = self.field.take() else { return };
        let Ok(value) = serde_json::from_str::<Value>(&self.raw) else { return };
        if let Ok(read) = coerce_json(&value, &field.ty, self.signature.defs()) {
            pieces.push(FieldPiece::Done { field: field.name.clone(), value: read.value });
        }
    }

    fn tell(&mut self, pieces: &mut Vec<FieldPiece>) {
        let text = std::mem::take(&mut self.fresh);
        if let Some(field) = self.field.filter(|_| !text.is_empty()) {
            pieces.push(FieldPiece::Text { field: field.name.clone(), text });
        }
    }
}

impl FieldReader for ObjectReader<'_> {
    fn feed(&mut self, text: &str) -> Vec<FieldPiece> {
        let mut pieces = Vec::new();
        text.chars().for_each(|c| self.step(c, &mut pieces));
        self.tell(&mut pieces);
        pieces
    }

    fn finish(&mut self) -> Vec<FieldPiece> {
        Vec::new()
    }
}

/// Decodes the inside of a JSON string.
#[derive(Default)]
struct Decoder {
    escape: Escape,
    /// The first half of a surrogate pair.
    high: Option<u32>,
}

#[derive(Clone, Copy, Default)]
enum Escape {
    #[default]
    None,
    Begun,
    /// Hexadecimal digits so far: how many, and their number.
    Hex(u32, u32),
}

enum Decoded {
    Text(char),
    Nothing,
    End,
    Wrong,
}

impl Decoder {
    fn step(&mut self, c: char) -> Decoded {
        match self.escape {
            Escape::None => match c {
                '"' if self.high.is_none() => Decoded::End,
                '\\' => {
                    self.escape = Escape::Begun;
                    Decoded::Nothing
                }
                _ => self.plain(c),
            },
            Escape::Begun => {
                self.escape = Escape::None;
                match c {
                    'u' => {
                        self.escape = Escape::Hex(0, 0);
                        Decoded::Nothing
                    }
                    '"' | '\\' | '/' => self.plain(c),
                    'n' => self.plain('\n'),
                    't' => self.plain('\t'),
                    'r' => self.plain('\r'),
                    'b' => self.plain('\u{8}'),
                    'f' => self.plain('\u{c}'),
                    _ => Decoded::Wrong,
                }
            }
            Escape::Hex(digits, number) => {
                let Some(digit) = c.to_digit(16) else { return Decoded::Wrong };
                let number = number * 16 + digit;
                self.escape = Escape::Hex(digits + 1, number);
                if digits < 3 {
                    return Decoded::Nothing;
                }
                self.escape = Escape::None;
                self.unit(number)
            }
        }
    }

    fn plain(&self, c: char) -> Decoded {
        // Half a pair must be followed by the other half.
        if self.high.is_some() { Decoded::Wrong } else { Decoded::Text(c) }
    }

    /// A unit of UTF-16.
    fn unit(&mut self, unit: u32) -> Decoded {
        let decoded = match (self.high.take(), unit) {
            (None, 0xD800..=0xDBFF) => {
                self.high = Some(unit);
                return Decoded::Nothing;
            }
            (Some(high), 0xDC00..=0xDFFF) => {
                char::from_u32(0x1_0000 + ((high - 0xD800) << 10) + (unit - 0xDC00))
            }
            (None, unit) => char::from_u32(unit),
            (Some(_), _) => None,
        };
        decoded.map_or(Decoded::Wrong, Decoded::Text)
    }
}
