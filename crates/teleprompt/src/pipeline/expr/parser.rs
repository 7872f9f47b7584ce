//! Tokens to conditions.

use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

use super::lexer::{Spanned, Token, tokens};
use super::{Comparison, Expr, Op, Place, WORDS};
use crate::pipeline::mistake::Mistake;

/// Nesting deeper than this is refused rather than risking the stack.
const MAX_DEPTH: usize = 64;

pub(super) fn parse(text: &str) -> Result<Expr, Mistake> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0 };
    let expr = parser.either()?;
    match parser.peek() {
        Token::End => Ok(expr),
        Token::Op(_) => {
            let help = "comparisons do not chain; join two with `and`";
            Err(parser.expected("`and` or `or`").help(help))
        }
        _ => Err(parser.expected("a comparison, `and`, `or` or the end")),
    }
}

struct Parser {
    tokens: Vec<Spanned>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.ahead(0)
    }

    fn ahead(&self, n: usize) -> &Token {
        self.tokens.get(self.at + n).map_or(&Token::End, |(token, _)| token)
    }

    fn span(&self) -> Range<usize> {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(0..0, |(_, span)| span.clone())
    }

    /// From `start` to the end of the token read last.
    fn since(&self, start: usize) -> Place {
        let last = self.tokens.get(self.at.saturating_sub(1));
        Place(start..last.map_or(start, |(_, span)| span.end))
    }

    fn eat(&mut self, token: &Token) -> bool {
        let found = self.peek() == token;
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Token::Word(w) if w == word);
        self.at += usize::from(found);
        found
    }

    fn expected(&self, what: &str) -> Mistake {
        Mistake::new(self.span(), format!("expected {what}, found {}", self.peek().describe()))
    }

    fn deeper<T>(&mut self, read: fn(&mut Self) -> Result<T, Mistake>) -> Result<T, Mistake> {
        if self.depth >= MAX_DEPTH {
            let message = format!("conditions are nested more than {MAX_DEPTH} deep");
            return Err(Mistake::new(self.span(), message));
        }
        self.depth += 1;
        let out = read(self);
        self.depth -= 1;
        out
    }

    fn either(&mut self) -> Result<Expr, Mistake> {
        let mut parts = vec![self.both()?];
        while self.word("or") {
            parts.push(self.both()?);
        }
        Ok(joined(parts, Expr::Or))
    }

    fn both(&mut self) -> Result<Expr, Mistake> {
        let mut parts = vec![self.test()?];
        while self.word("and") {
            parts.push(self.test()?);
        }
        Ok(joined(parts, Expr::And))
    }

    fn test(&mut self) -> Result<Expr, Mistake> {
        if self.word("not") {
            return Ok(Expr::Not(Box::new(self.deeper(Self::test)?)));
        }
        let start = self.span().start;
        let left = self.operand()?;
        let Some(op) = self.comparison() else { return Ok(left) };
        let right = self.operand()?;
        let place = self.since(start);
        Ok(Expr::Compare(Box::new(Comparison { left, op, right, place })))
    }

    fn comparison(&mut self) -> Option<Op> {
        if let Token::Op(op) = *self.peek() {
            self.at += 1;
            return Some(op);
        }
        if self.word("in") {
            return Some(Op::In);
        }
        let not_in = matches!((self.peek(), self.ahead(1)),
            (Token::Word(a), Token::Word(b)) if a == "not" && b == "in");
        self.at += if not_in { 2 } else { 0 };
        not_in.then_some(Op::NotIn)
    }

    fn operand(&mut self) -> Result<Expr, Mistake> {
        if self.eat(&Token::Punct('(')) {
            let inner = self.deeper(Self::either)?;
            if !self.eat(&Token::Punct(')')) {
                return Err(self.expected("`)`"));
            }
            return Ok(inner);
        }
        let start = self.span().start;
        if let Token::Word(word) = self.peek().clone()
            && !WORDS.contains(&word.as_str())
        {
            self.at += 1;
            let key = self.path(word)?;
            return Ok(Expr::Name(key, self.since(start)));
        }
        let value = self.literal("a name or a value")?;
        Ok(Expr::Literal(value, self.since(start)))
    }

    /// After the first word of a name: perhaps `.field`.
    fn path(&mut self, first: String) -> Result<Arc<str>, Mistake> {
        if !self.eat(&Token::Punct('.')) {
            return Ok(first.into());
        }
        let Token::Word(field) = self.peek().clone() else {
            return Err(self.expected("the name of a field"));
        };
        self.at += 1;
        if *self.peek() == Token::Punct('.') {
            let help = "a name is `field` or `step.field`; it does not reach into values";
            return Err(self.expected("no further `.`").help(help));
        }
        Ok(format!("{first}.{field}").into())
    }

    fn literal(&mut self, what: &str) -> Result<Value, Mistake> {
        let value = match self.peek().clone() {
            Token::Text(text) => Value::String(text),
            Token::Number(n) => Value::Number(n),
            Token::Word(word) if word == "true" => Value::Bool(true),
            Token::Word(word) if word == "false" => Value::Bool(false),
            Token::Word(word) if word == "null" => Value::Null,
            Token::Punct('[') => {
                self.at += 1;
                return self.deeper(Self::list);
            }
            _ => return Err(self.expected(what)),
        };
        self.at += 1;
        Ok(value)
    }

    /// After `[`.
    fn list(&mut self) -> Result<Value, Mistake> {
        let mut items = Vec::new();
        while !self.eat(&Token::Punct(']')) {
            items.push(self.literal("a value or `]`").map_err(|m| match self.peek() {
                Token::Word(_) => m.help("a list holds values, not names; put texts in quotes"),
                _ => m,
            })?);
            if !self.eat(&Token::Punct(',')) && *self.peek() != Token::Punct(']') {
                return Err(self.expected("`,` or `]`"));
            }
        }
        Ok(Value::Array(items))
    }
}

fn joined(mut parts: Vec<Expr>, join: fn(Vec<Expr>) -> Expr) -> Expr {
    match parts.len() {
        1 => parts.remove(0),
        _ => join(parts),
    }
}
