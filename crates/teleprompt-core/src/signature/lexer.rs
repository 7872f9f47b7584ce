//! Signature text to tokens.

use std::ops::Range;

use serde_json::{Number, Value};

use super::SignatureError;

/// A token of the notation.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Word(String),
    Text(String),
    Number(Number),
    Arrow,
    Range,
    Punct(char),
    End,
}

impl Token {
    /// How an error message names it.
    pub fn describe(&self) -> String {
        match self {
            Token::Word(w) => format!("`{w}`"),
            Token::Text(_) => "a quoted text".into(),
            Token::Number(n) => format!("`{n}`"),
            Token::Arrow => "`->`".into(),
            Token::Range => "`..`".into(),
            Token::Punct(c) => format!("`{c}`"),
            Token::End => "the end".into(),
        }
    }
}

pub(super) type Spanned = (Token, Range<usize>);

/// All tokens, with [`Token::End`] last.
pub(super) fn tokens(text: &str) -> Result<Vec<Spanned>, SignatureError> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        let Some(first) = rest.chars().next() else { break };
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (token, len) = next(rest, first).map_err(|(message, len)| {
            SignatureError::new(message, at..at + len.max(first.len_utf8()))
        })?;
        out.push((token, at..at + len));
        at += len;
    }
    out.push((Token::End, text.len()..text.len()));
    Ok(out)
}

type Lexed = Result<(Token, usize), (String, usize)>;

fn next(rest: &str, first: char) -> Lexed {
    if rest.starts_with("->") {
        return Ok((Token::Arrow, 2));
    }
    if rest.starts_with('→') {
        return Ok((Token::Arrow, '→'.len_utf8()));
    }
    if rest.starts_with("..") {
        // Rust's `..=` says the same: the ends are included.
        return Ok((Token::Range, if rest.starts_with("..=") { 3 } else { 2 }));
    }
    match first {
        ',' | ':' | '?' | '|' | '(' | ')' | '[' | ']' | '{' | '}' | '=' => {
            Ok((Token::Punct(first), 1))
        }
        '"' | '\'' => quoted(rest, first),
        '-' | '0'..='9' => number(rest),
        _ if first.is_alphabetic() || first == '_' => {
            let len = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            Ok((Token::Word(rest.get(..len).unwrap_or("").to_owned()), len))
        }
        _ => Err((format!("`{first}` has no meaning in a signature"), first.len_utf8())),
    }
}

fn number(rest: &str) -> Lexed {
    let bytes = rest.as_bytes();
    let mut len = 1;
    while let Some(b) = bytes.get(len) {
        let dot_of_range = *b == b'.' && bytes.get(len + 1) == Some(&b'.');
        let exponent_sign =
            matches!(b, b'-' | b'+') && matches!(bytes.get(len - 1), Some(b'e' | b'E'));
        if dot_of_range || !(b.is_ascii_alphanumeric() || *b == b'.' || exponent_sign) {
            break;
        }
        len += 1;
    }
    let text = rest.get(..len).unwrap_or("");
    match serde_json::from_str::<Number>(text) {
        Ok(n) => Ok((Token::Number(n), len)),
        Err(_) => Err((format!("`{text}` is no number"), len)),
    }
}

/// A text in either kind of quotes, with JSON's escapes.
fn quoted(rest: &str, quote: char) -> Lexed {
    let mut json = String::from('"');
    let mut chars = rest.char_indices().skip(1);
    while let Some((i, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, '\'')) => json.push('\''),
                Some((_, escaped)) => json.extend(['\\', escaped]),
                None => break,
            },
            '"' if quote == '\'' => json.push_str("\\\""),
            _ if c == quote => {
                json.push('"');
                let len = i + c.len_utf8();
                return match serde_json::from_str::<Value>(&json) {
                    Ok(Value::String(text)) => Ok((Token::Text(text), len)),
                    _ => Err(("this text has an escape that JSON does not know".into(), len)),
                };
            }
            // A line break inside the quotes is taken as it stands.
            c if c.is_control() => json.push_str(&format!("\\u{:04x}", c as u32)),
            c => json.push(c),
        }
    }
    Err(("this text is not closed".into(), rest.trim_end().len()))
}
