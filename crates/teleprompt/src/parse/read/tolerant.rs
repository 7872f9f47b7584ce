//! A recursive-descent reader for JSON as language models write it.

use serde_json::{Map, Number, Value};

use super::string::{self, Escape, Place};
use crate::Repair;

/// Structures nested deeper are not read.
const MAX_DEPTH: usize = 96;

/// Steps allowed for a text: reading one value takes about one step a byte, and failed attempts to
/// read one between prose start again behind their first bracket.
const STEPS_PER_BYTE: usize = 8;

pub(super) struct Reader<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
    fuel: usize,
    too_deep: bool,
    repairs: Vec<Repair>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let fuel = text.len().saturating_mul(STEPS_PER_BYTE) + 1024;
        Self { text, at: 0, depth: 0, fuel, too_deep: false, repairs: Vec::new() }
    }

    /// Where reading stopped.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn has_fuel(&self) -> bool {
        self.fuel > 0
    }

    /// Where the last reading gave up, if it did because of the depth: nothing that begins before
    /// can be read either.
    pub(super) fn too_deep_at(&self) -> Option<usize> {
        self.too_deep.then_some(self.at)
    }

    pub(super) fn take_repairs(&mut self) -> Vec<Repair> {
        std::mem::take(&mut self.repairs)
    }

    /// Reads the object or list that starts here; `None` if there is none.
    pub(super) fn value_at(&mut self, start: usize) -> Option<Value> {
        self.at = start;
        self.depth = 0;
        self.too_deep = false;
        match self.peek()? {
            b'{' | b'[' => self.value(Place::Alone),
            _ => None,
        }
    }

    fn flag(&mut self, repair: Repair) {
        if !self.repairs.contains(&repair) {
            self.repairs.push(repair);
        }
    }

    fn bytes(&self) -> &'t [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or(&[])
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Moves on by so many bytes; fails when the fuel is used up.
    fn step(&mut self, n: usize) -> Option<()> {
        self.at += n;
        self.fuel = self.fuel.saturating_sub(n.max(1));
        (self.fuel > 0).then_some(())
    }

    /// Skips white space and comments.
    fn space(&mut self) -> Option<()> {
        loop {
            let bytes = self.bytes();
            let blank = bytes.len() - bytes.trim_ascii_start().len();
            self.step(blank)?;
            let bytes = self.bytes();
            let end = match bytes {
                [b'#', ..] | [b'/', b'/', ..] => bytes.iter().position(|b| *b == b'\n'),
                [b'/', b'*', ..] => find(bytes, b"*/").map(|i| i + 2),
                _ => return Some(()),
            };
            self.flag(Repair::Comment);
            self.step(end.unwrap_or(bytes.len()))?;
        }
    }

    fn value(&mut self, place: Place) -> Option<Value> {
        match self.peek()? {
            b'{' => self.nested(Self::object),
            b'[' => self.nested(Self::list),
            _ => match self.quoted(place) {
                Some(text) => text.map(Value::String),
                None => self.bare(place),
            },
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Option<Value>) -> Option<Value> {
        if self.depth == MAX_DEPTH {
            self.too_deep = true;
            return None;
        }
        self.depth += 1;
        self.step(1)?;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn object(&mut self) -> Option<Value> {
        let mut map = Map::new();
        let mut comma = true;
        loop {
            self.space()?;
            match self.peek() {
                None => return Some(self.closed(Value::Object(map))),
                Some(b'}') => {
                    self.end_of(comma && !map.is_empty())?;
                    return Some(Value::Object(map));
                }
                Some(b',') => {
                    self.comma(&mut comma)?;
                    continue;
                }
                // The brackets are crossed: this one belongs to the list around.
                Some(b']') => return Some(self.closed(Value::Object(map))),
                Some(_) if !comma => self.flag(Repair::Comma),
                Some(_) => {}
            }
            let key = self.key()?;
            self.space()?;
            match self.peek() {
                None => return Some(self.closed(Value::Object(map))),
                Some(b':' | b'=') => self.step(1)?,
                Some(_) => return None,
            }
            self.space()?;
            match self.peek() {
                None => return Some(self.closed(Value::Object(map))),
                Some(b',' | b'}') => {
                    self.flag(Repair::ForeignLiteral);
                    map.insert(key, Value::Null);
                }
                Some(_) => {
                    let value = self.value(Place::Entry)?;
                    map.insert(key, value);
                }
            }
            comma = false;
        }
    }

    fn list(&mut self) -> Option<Value> {
        let mut items = Vec::new();
        let mut comma = true;
        loop {
            self.space()?;
            match self.peek() {
                None => return Some(self.closed(Value::Array(items))),
                Some(b']') => {
                    self.end_of(comma && !items.is_empty())?;
                    return Some(Value::Array(items));
                }
                Some(b',') => {
                    self.comma(&mut comma)?;
                    continue;
                }
                Some(b'}') => return Some(self.closed(Value::Array(items))),
                Some(_) if !comma => self.flag(Repair::Comma),
                Some(_) => {}
            }
            let value = self.value(Place::Item)?;
            items.push(value);
            comma = false;
        }
    }

    /// A comma; two in a row are one too many.
    fn comma(&mut self, seen: &mut bool) -> Option<()> {
        if *seen {
            self.flag(Repair::Comma);
        }
        *seen = true;
        self.step(1)
    }

    fn end_of(&mut self, trailing_comma: bool) -> Option<()> {
        if trailing_comma {
            self.flag(Repair::Comma);
        }
        self.step(1)
    }

    fn closed(&mut self, value: Value) -> Value {
        self.flag(Repair::Closed);
        value
    }

    fn key(&mut self) -> Option<String> {
        if let Some(text) = self.quoted(Place::Key) {
            return text;
        }
        self.flag(Repair::JsonQuotes);
        let bytes = self.bytes();
        let is_end = |b: &u8| matches!(b, b':' | b'=' | b',' | b'{' | b'}' | b'\n' | b'[' | b']');
        let end = bytes.iter().position(is_end).unwrap_or(bytes.len());
        let key = self.text.get(self.at..self.at + end)?.trim();
        self.step(end)?;
        (!key.is_empty()).then(|| key.to_owned())
    }

    /// A text in quotes. The outer `None` says that there is no quote here; the inner one that the
    /// fuel is used up.
    fn quoted(&mut self, place: Place) -> Option<Option<String>> {
        let rest = self.text.get(self.at..)?;
        let open = rest.chars().next()?;
        let close: &[char] = match open {
            '"' => &['"'],
            '\'' => &['\''],
            '“' | '”' | '„' => &['”', '“'],
            '‘' | '’' => &['’'],
            '`' => &['`'],
            _ => return None,
        };
        if open != '"' {
            self.flag(Repair::JsonQuotes);
        }
        Some(self.text_until(open.len_utf8(), close, place))
    }

    fn text_until(&mut self, skip: usize, close: &[char], place: Place) -> Option<String> {
        self.step(skip)?;
        let mut out = String::new();
        loop {
            let rest = self.text.get(self.at..)?;
            let special = |c: char| c == '\\' || c < ' ' || close.contains(&c);
            let Some((run, c)) = rest.char_indices().find(|(_, c)| special(*c)) else {
                out.push_str(rest);
                self.step(rest.len())?;
                self.flag(Repair::Closed);
                return Some(out);
            };
            out.push_str(rest.get(..run)?);
            self.step(run)?;
            if c == '\\' {
                self.escaped(&mut out)?;
            } else if c < ' ' {
                self.flag(Repair::RawControl);
                out.push(c);
                self.step(1)?;
            } else {
                self.step(c.len_utf8())?;
                if string::closes(place, self.bytes()) {
                    return Some(out);
                }
                self.flag(Repair::JsonQuotes);
                out.push(c);
            }
        }
    }

    fn escaped(&mut self, out: &mut String) -> Option<()> {
        match string::escape(self.bytes()) {
            Escape::Char(c, len) => {
                out.push(c);
                self.step(len)
            }
            Escape::Text if self.bytes().len() == 1 => {
                // Cut off in the middle of an escape.
                self.step(1)
            }
            Escape::Text => {
                self.flag(Repair::Backslash);
                out.push('\\');
                self.step(1)
            }
        }
    }

    /// A number, a literal, or text without quotes.
    fn bare(&mut self, place: Place) -> Option<Value> {
        let bytes = self.bytes();
        let is_end = |b: &u8| matches!(b, b',' | b'}' | b']' | b'\n');
        let mut end = bytes.iter().position(is_end).unwrap_or(bytes.len());
        if let Some(comment) = bytes.get(..end).and_then(|b| find(b, b" //")) {
            end = comment;
        }
        let word = self.text.get(self.at..self.at + end)?.trim_end();
        if word.is_empty() || (place == Place::Item && word.starts_with(':')) {
            return None;
        }
        self.step(end)?;
        Some(self.literal(word))
    }

    fn literal(&mut self, word: &str) -> Value {
        match word {
            "true" => return Value::Bool(true),
            "false" => return Value::Bool(false),
            "null" => return Value::Null,
            _ => {}
        }
        if let Ok(number) = word.parse::<Number>() {
            return Value::Number(number);
        }
        let foreign = match word {
            "True" | "TRUE" => Some(Value::Bool(true)),
            "False" | "FALSE" => Some(Value::Bool(false)),
            "None" | "NULL" | "Null" | "nil" | "undefined" | "NaN" => Some(Value::Null),
            _ => None,
        };
        let repair = if foreign.is_some() { Repair::ForeignLiteral } else { Repair::JsonQuotes };
        self.flag(repair);
        foreign.unwrap_or_else(|| Value::String(word.to_owned()))
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|w| w == needle)
}
