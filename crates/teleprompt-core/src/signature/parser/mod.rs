//! Tokens to signatures and types.

mod constraints;

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

use super::check::{self, BASES, MAX_DEPTH};
use super::lexer::{Spanned, Token, tokens};
use super::{Field, Signature, SignatureError};
use crate::names::closest;
use crate::types::{Kind, ObjectField, Type, TypeDefs};

type Parsed<T> = Result<T, SignatureError>;

pub(super) fn signature(text: &str) -> Parsed<Signature> {
    let run = || {
        let mut parser = Parser::new(text)?;
        let signature = parser.signature()?;
        Ok(signature)
    };
    run().map_err(|e: SignatureError| e.of(text))
}

pub(super) fn lone_type(text: &str) -> Parsed<Type> {
    let run = || {
        let mut parser = Parser::new(text)?;
        let ty = parser.ty()?;
        parser.expect_end("a type")?;
        parser.check_refs(&TypeDefs::new())?;
        Ok(ty)
    };
    run().map_err(|e: SignatureError| e.of(text))
}

struct Parser {
    tokens: Vec<Spanned>,
    at: usize,
    depth: usize,
    /// Names of types used so far, with their places, to be checked when all are known.
    refs: Vec<(Arc<str>, Range<usize>)>,
}

impl Parser {
    fn new(text: &str) -> Parsed<Self> {
        Ok(Self { tokens: tokens(text)?, at: 0, depth: 0, refs: Vec::new() })
    }

    fn peek(&self) -> &Token {
        self.tokens.get(self.at).map_or(&Token::End, |(t, _)| t)
    }

    fn span(&self) -> Range<usize> {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(0..0, |(_, s)| s.clone())
    }

    fn advance(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn eat(&mut self, c: char) -> bool {
        let found = *self.peek() == Token::Punct(c);
        self.at += usize::from(found);
        found
    }

    fn expected(&self, what: &str) -> SignatureError {
        let message = format!("expected {what}, found {}", self.peek().describe());
        SignatureError::new(message, self.span())
    }

    fn need(&mut self, c: char) -> Parsed<()> {
        if self.eat(c) { Ok(()) } else { Err(self.expected(&format!("`{c}`"))) }
    }

    fn expect_end(&self, after: &str) -> Parsed<()> {
        match self.peek() {
            Token::End => Ok(()),
            _ => Err(self.expected(&format!("nothing more after {after}"))),
        }
    }

    fn text(&mut self) -> Option<Arc<str>> {
        match self.peek() {
            Token::Text(text) => {
                let text = Arc::from(text.as_str());
                self.at += 1;
                Some(text)
            }
            _ => None,
        }
    }

    fn signature(&mut self) -> Parsed<Signature> {
        let instructions = self.text().unwrap_or_else(|| Arc::from(""));
        let mut seen = HashSet::new();
        let inputs = match self.peek() {
            Token::Arrow => Vec::new(),
            _ => self.fields(&mut seen)?,
        };
        if *self.peek() != Token::Arrow {
            let help = "a signature is `inputs -> outputs`, such as `question -> answer: int`";
            return Err(self.expected("`->`, `,` or `:`").help(help));
        }
        self.at += 1;
        if *self.peek() == Token::End {
            return Err(self.expected("an output field").help("name at least one: `… -> answer`"));
        }
        let outputs = self.fields(&mut seen)?;
        let defs = self.definitions()?;
        self.expect_end("the outputs")?;
        self.check_refs(&defs)?;
        Signature::new(instructions, inputs, outputs, defs)
    }

    fn fields(&mut self, seen: &mut HashSet<String>) -> Parsed<Vec<Field>> {
        let mut fields = Vec::new();
        loop {
            let span = self.span();
            let Token::Word(name) = self.peek().clone() else {
                return Err(self.expected("a field name"));
            };
            self.at += 1;
            if !seen.insert(name.clone()) {
                let message = format!("the field `{name}` is there twice");
                return Err(SignatureError::new(message, span).help("give each field its own name"));
            }
            let ty = if self.eat(':') { self.ty()? } else { Type::str() };
            let description = self.text().unwrap_or_else(|| Arc::from(""));
            fields.push(Field { name: Arc::from(name), ty, description });
            if !self.eat(',') {
                return Ok(fields);
            }
        }
    }

    fn definitions(&mut self) -> Parsed<TypeDefs> {
        let mut defs = TypeDefs::new();
        let mut places = Vec::new();
        if *self.peek() != Token::Word("where".into()) {
            return Ok(defs);
        }
        loop {
            self.at += 1;
            let span = self.span();
            let Token::Word(name) = self.advance() else {
                self.at -= 1;
                return Err(self.expected("the name of a type"));
            };
            if check::is_reserved(&name) {
                let error = SignatureError::new(format!("`{name}` is a word of its own"), span);
                return Err(error.help("give the type another name, such as `Node`"));
            }
            self.need('=')?;
            let ty = self.ty()?;
            if defs.insert(Arc::from(name.as_str()), ty).is_some() {
                return Err(SignatureError::new(format!("`{name}` is defined twice"), span));
            }
            places.push((name, span));
            if *self.peek() != Token::Punct(',') {
                break;
            }
        }
        Self::check_places(&defs, places)?;
        Ok(defs)
    }

    /// Refuses definitions that say nothing, such as `A = A?`.
    fn check_places(defs: &TypeDefs, places: Vec<(String, Range<usize>)>) -> Parsed<()> {
        let Some(name) = check::only_itself(defs) else { return Ok(()) };
        let place = places.into_iter().find(|(n, _)| **n == **name);
        let span = place.map_or(0..0, |(_, span)| span);
        let error = SignatureError::new(check::only_itself_message(name), span);
        Err(error.help("put a structure around it: `Node = {next: Node?}`"))
    }

    fn check_refs(&self, defs: &TypeDefs) -> Parsed<()> {
        match self.refs.iter().find(|(name, _)| !defs.contains_key(name)) {
            Some((name, span)) => Err(no_type(name, span.clone(), defs.keys().map(|k| &**k))),
            None => Ok(()),
        }
    }

    fn ty(&mut self) -> Parsed<Type> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let message = format!("types are nested more than {MAX_DEPTH} deep");
            return Err(SignatureError::new(message, self.span()));
        }
        let first = self.postfix()?;
        let mut arms = vec![first];
        while self.eat('|') {
            arms.push(self.postfix()?);
        }
        self.depth -= 1;
        Ok(Type::union(arms))
    }

    fn postfix(&mut self) -> Parsed<Type> {
        let start = self.span().start;
        let mut ty = self.base()?;
        loop {
            if self.eat('?') {
                ty = ty.optional();
            } else if *self.peek() == Token::Punct('(') {
                let constraints = self.constraints()?;
                let end = self.tokens.get(self.at.saturating_sub(1)).map_or(start, |t| t.1.end);
                if !ty.constraints.is_empty() {
                    let message = format!(
                        "`{ty}` has constraints already: put all in one pair of parentheses"
                    );
                    return Err(SignatureError::new(message, start..end));
                }
                check::constraints(&ty.kind, &constraints)
                    .map_err(|m| SignatureError::new(m, start..end))?;
                ty.constraints = constraints;
            } else {
                return Ok(ty);
            }
        }
    }

    fn base(&mut self) -> Parsed<Type> {
        let span = self.span();
        match self.peek().clone() {
            Token::Punct('{') => self.object(),
            Token::Punct('(') => {
                self.at += 1;
                let ty = self.ty()?;
                self.need(')')?;
                Ok(ty)
            }
            Token::Word(word) => {
                self.at += 1;
                self.named(&word, span)
            }
            _ => Err(self.expected("a type").help("for example `str`, `int`, `list[str]`")),
        }
    }

    fn named(&mut self, word: &str, span: Range<usize>) -> Parsed<Type> {
        let kind = match word {
            "str" | "string" => Kind::Str,
            "int" | "integer" => Kind::Int,
            "float" | "number" => Kind::Float,
            "bool" | "boolean" => Kind::Bool,
            "date" => Kind::Date,
            "any" | "Any" => Kind::Any,
            "list" | "List" => Kind::List(Box::new(self.argument()?.unwrap_or(Kind::Any.into()))),
            "dict" | "Dict" => Kind::Dict(Box::new(self.dict_value()?)),
            "tuple" | "Tuple" => Kind::Tuple(self.arguments()?),
            "optional" | "Optional" => match self.argument()? {
                Some(inner) => return Ok(inner.optional()),
                None => return Err(self.expected("`[`").help("write `optional[int]` or `int?`")),
            },
            "enum" | "literal" | "Literal" => Kind::Enum(self.values("enum")?),
            "None" | "null" => {
                let error = SignatureError::new(format!("`{word}` is no type"), span);
                return Err(error.help("for a value that may be missing write `int?`"));
            }
            // Types of one's own take no arguments, so this is a base type misspelt.
            name if *self.peek() == Token::Punct('[') => return Err(no_type(name, span, [])),
            name => {
                self.refs.push((Arc::from(name), span));
                Kind::Ref(Arc::from(name))
            }
        };
        Ok(kind.into())
    }

    /// `[type]`, if there is one.
    fn argument(&mut self) -> Parsed<Option<Type>> {
        if !self.eat('[') {
            return Ok(None);
        }
        let ty = self.ty()?;
        self.need(']')?;
        Ok(Some(ty))
    }

    fn arguments(&mut self) -> Parsed<Vec<Type>> {
        self.need('[')?;
        let mut items = vec![self.ty()?];
        while self.eat(',') {
            items.push(self.ty()?);
        }
        self.need(']')?;
        Ok(items)
    }

    fn dict_value(&mut self) -> Parsed<Type> {
        if *self.peek() != Token::Punct('[') {
            return Ok(Kind::Any.into());
        }
        let span = self.span();
        let mut items = self.arguments()?;
        match (items.len(), items.pop(), items.pop()) {
            (1, Some(value), _) => Ok(value),
            (2, Some(value), Some(key)) if key.is_plain_str() => Ok(value),
            _ => {
                let error = SignatureError::new("a dict has text keys and one type of value", span);
                Err(error.help("write `dict[str, int]`"))
            }
        }
    }

    fn object(&mut self) -> Parsed<Type> {
        self.need('{')?;
        let mut fields: Vec<ObjectField> = Vec::new();
        while !self.eat('}') {
            let span = self.span();
            let name = match self.advance() {
                Token::Word(name) => name,
                Token::Text(name) if !name.is_empty() => name,
                _ => {
                    self.at -= 1;
                    return Err(self.expected("a field name or `}`"));
                }
            };
            if fields.iter().any(|f| *f.name == *name) {
                return Err(SignatureError::new(format!("`{name}` is there twice"), span));
            }
            let optional = self.eat('?');
            let ty = if self.eat(':') { self.ty()? } else { Type::str() };
            let ty = if optional { ty.optional() } else { ty };
            let description = self.text().unwrap_or_else(|| Arc::from(""));
            fields.push(ObjectField { name: Arc::from(name), ty, description });
            if *self.peek() != Token::Punct('}') && !self.eat(',') {
                return Err(self.expected("`,` or `}`"));
            }
        }
        Ok(Kind::Object(fields).into())
    }

    /// `["a", b, 3]`; words without quotes are texts, `true` and `false` are bools.
    fn values(&mut self, what: &str) -> Parsed<Vec<Value>> {
        self.need('[')?;
        let mut values: Vec<Value> = Vec::new();
        loop {
            let span = self.span();
            let value = match self.advance() {
                Token::Text(text) => Value::String(text),
                Token::Word(word) if word == "true" || word == "True" => Value::Bool(true),
                Token::Word(word) if word == "false" || word == "False" => Value::Bool(false),
                Token::Word(word) => Value::String(word),
                Token::Number(n) => Value::Number(n),
                _ => {
                    self.at -= 1;
                    return Err(self.expected(&format!("a value of the {what}")));
                }
            };
            if values.contains(&value) {
                return Err(SignatureError::new(format!("{value} is there twice"), span));
            }
            values.push(value);
            if !self.eat(',') {
                self.need(']')?;
                return Ok(values);
            }
        }
    }
}

fn no_type<'a>(
    name: &str,
    span: Range<usize>,
    defined: impl IntoIterator<Item = &'a str>,
) -> SignatureError {
    let help = match closest(name, BASES.iter().copied().chain(defined)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let known = BASES.join(", ");
            format!("known types: {known}; define others: `… where {name} = {{…}}`")
        }
    };
    SignatureError::new(format!("there is no type `{name}`"), span).help(help)
}
