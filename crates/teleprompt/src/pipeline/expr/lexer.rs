//! The text of a condition to tokens.

use std::ops::Range;

use serde_json::{Number, Value};

use super::Op;
use crate::pipeline::mistake::Mistake;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Word(String),
    Text(String),
    Number(Number),
    Op(Op),
    /// One of `(`, `)`, `[`, `]`, `,`, `.`.
    Punct(char),
    End,
}

impl Token {
    /// How an error message names it.
    pub fn describe(&self) -> String {
        match self {
            Token::Word(word) => format!("`{word}`"),
            Token::Text(_) => "a quoted text".into(),
            Token::Number(n) => format!("`{n}`"),
            Token::Op(op) => format!("`{op}`"),
            Token::Punct(c) => format!("`{c}`"),
            Token::End => "the end".into(),
        }
    }
}

pub(super) type Spanned = (Token, Range<usize>);

/// All tokens, with [`Token::End`] last.
pub(super) fn tokens(text: &str) -> Result<Vec<Spanned>, Mistake> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        let Some(first) = rest.chars().next() else { break };
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (token, len) = next(rest, first)
            .map_err(|(len, message, help)| Mistake::new(at..at + len, message).help(help))?;
        out.push((token, at..at + len));
        at += len;
    }
    out.push((Token::End, text.len()..text.len()));
    Ok(out)
}

/// A token and its length, or the length of the mistake, a message and what to do.
type Lexed = Result<(Token, usize), (usize, String, &'static str)>;

/// What other languages write, and what it is here.
const FOREIGN: &[(&str, &str)] = &[
    ("&&", "write `and`"),
    ("||", "write `or`"),
    ("!", "write `not`"),
    ("=", "to compare, write `==`"),
    ("{", "conditions have no objects; a list is `[…]`"),
];

fn next(rest: &str, first: char) -> Lexed {
    if let Some((token, len)) = operator(rest) {
        return Ok((token, len));
    }
    match first {
        '(' | ')' | '[' | ']' | ',' | '.' => Ok((Token::Punct(first), 1)),
        '"' | '\'' => quoted(rest, first),
        '-' | '0'..='9' => number(rest),
        _ if first.is_alphabetic() || first == '_' => {
            let len = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            Ok((Token::Word(rest.get(..len).unwrap_or("").to_owned()), len))
        }
        _ => Err(foreign(rest, first)),
    }
}

fn operator(rest: &str) -> Option<(Token, usize)> {
    let two = [("==", Op::Eq), ("!=", Op::Ne), ("<=", Op::Le), (">=", Op::Ge)];
    let one = [("<", Op::Lt), (">", Op::Gt)];
    let found = two.into_iter().chain(one).find(|(text, _)| rest.starts_with(text))?;
    Some((Token::Op(found.1), found.0.len()))
}

fn foreign(rest: &str, first: char) -> (usize, String, &'static str) {
    match FOREIGN.iter().find(|(text, _)| rest.starts_with(text)) {
        Some((text, help)) => (text.len(), format!("`{text}` has no meaning in a condition"), help),
        None => (first.len_utf8(), format!("`{first}` has no meaning in a condition"), ""),
    }
}

fn number(rest: &str) -> Lexed {
    let mut before = '-';
    let end = rest.find(|c: char| {
        let sign = matches!(c, '-' | '+') && matches!(before, 'e' | 'E');
        let inside = c.is_ascii_alphanumeric() || c == '.' || sign || (c == '-' && before == '-');
        before = c;
        !inside
    });
    let text = rest.get(..end.unwrap_or(rest.len())).unwrap_or("");
    match serde_json::from_str::<Number>(text) {
        Ok(n) => Ok((Token::Number(n), text.len())),
        Err(_) => Err((text.len(), format!("`{text}` is no number"), "such as `3`, `-1` or `0.5`")),
    }
}

/// A text in either kind of quotes, with JSON's escapes.
fn quoted(rest: &str, quote: char) -> Lexed {
    let mut json = String::from('"');
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, '\'')) => json.push('\''),
                Some((_, escaped)) => json.extend(['\\', escaped]),
                None => break,
            },
            _ if c == quote => {
                json.push('"');
                let unknown =
                    || (at + 1, "this text has an escape that JSON does not know".into(), "");
                return match serde_json::from_str(&json) {
                    Ok(Value::String(text)) => Ok((Token::Text(text), at + 1)),
                    _ => Err(unknown()),
                };
            }
            '"' => json.push_str("\\\""),
            c if c.is_control() => json.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => json.push(c),
        }
    }
    Err((
        rest.trim_end().len(),
        "this text is not closed".into(),
        "it ends with the quote it began with",
    ))
}
