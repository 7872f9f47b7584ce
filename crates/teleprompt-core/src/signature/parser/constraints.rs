//! The limits in parentheses after a type.

use std::sync::Arc;

use serde_json::Number;

use super::{Parsed, Parser};
use crate::signature::lexer::Token;
use crate::signature::{SignatureError, check};
use crate::types::Constraints;

impl Parser {
    /// `(0..10, in [1, 2])` and the like, each kind of limit at most once.
    pub(super) fn constraints(&mut self) -> Parsed<Constraints> {
        self.need('(')?;
        let mut all = Constraints::default();
        let mut seen: Vec<&'static str> = Vec::new();
        loop {
            let span = self.span();
            let what = self.constraint(&mut all)?;
            if seen.contains(&what) {
                let error = SignatureError::new(format!("{what} is there twice"), span);
                return Err(error.help("give each limit once"));
            }
            seen.push(what);
            if !self.eat(',') {
                self.need(')')?;
                return Ok(all);
            }
        }
    }

    /// Reads one limit and says which.
    fn constraint(&mut self, all: &mut Constraints) -> Parsed<&'static str> {
        match self.peek().clone() {
            Token::Number(_) | Token::Range => {
                (all.min, all.max) = self.range()?;
                Ok("the range")
            }
            Token::Word(w) if w == "len" => {
                self.at += 1;
                (all.min_len, all.max_len) = self.len_range()?;
                Ok("`len`")
            }
            Token::Word(w) if w == "pattern" => {
                self.at += 1;
                all.pattern = Some(self.pattern()?);
                Ok("`pattern`")
            }
            Token::Word(w) if w == "in" => {
                self.at += 1;
                all.one_of = self.values("list")?;
                Ok("`in`")
            }
            _ => {
                let help = "for example `int(0..10)`, `str(len 1..40)`, `str(pattern \"[a-z]+\")`";
                Err(self.expected("a range, `len`, `pattern` or `in`").help(help))
            }
        }
    }

    fn pattern(&mut self) -> Parsed<Arc<str>> {
        let span = self.span();
        let pattern = self.text().ok_or_else(|| self.expected("a pattern in quotes"))?;
        check::pattern(&pattern).map_err(|m| SignatureError::new(m, span))?;
        Ok(pattern)
    }

    fn len_range(&mut self) -> Parsed<(Option<usize>, Option<usize>)> {
        let span = self.span();
        let (low, high) = self.range()?;
        let size = |n: Option<Number>| match n.map(|n| n.as_u64().map(usize::try_from)) {
            None => Ok(None),
            Some(Some(Ok(n))) => Ok(Some(n)),
            Some(_) => {
                Err(SignatureError::new("a length is a whole number, 0 or more", span.clone()))
            }
        };
        Ok((size(low)?, size(high)?))
    }

    /// `0..10`, `0..`, `..10`, or one number for both ends.
    fn range(&mut self) -> Parsed<(Option<Number>, Option<Number>)> {
        let start = self.span().start;
        let low = self.number();
        if *self.peek() != Token::Range {
            return match low {
                Some(n) => Ok((Some(n.clone()), Some(n))),
                None => Err(self.expected("a range such as `0..10`")),
            };
        }
        self.at += 1;
        let end = self.span().end;
        let high = self.number();
        if low.is_none() && high.is_none() {
            return Err(self.expected("a number"));
        }
        let as_f64 = |n: &Option<Number>| n.as_ref().and_then(Number::as_f64);
        check::range(as_f64(&low), as_f64(&high))
            .map_err(|m| SignatureError::new(m, start..end))?;
        Ok((low, high))
    }

    fn number(&mut self) -> Option<Number> {
        match self.peek().clone() {
            Token::Number(n) => {
                self.at += 1;
                Some(n)
            }
            _ => None,
        }
    }
}
