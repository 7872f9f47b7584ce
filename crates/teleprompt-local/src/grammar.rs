//! Constraints: grammars compiled by llguidance, once per text.

use std::collections::BTreeMap;
use std::sync::Arc;

use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{TokEnv, TokTrie, TokenId, TokenizerEnv};
use llguidance::{Matcher, ParserFactory};
use serde_json::Value;
use teleprompt_core::{Constraint, LabelBias};

use crate::weights::Weights;

/// Compiled grammars kept; a program has one per signature and format.
const KEPT: usize = 64;

/// Gives matchers for constraints. The tokenizer tables (0.2 to 0.5 s) are built at the first.
pub(crate) struct Grammars {
    weights: Arc<Weights>,
    factory: Option<ParserFactory>,
    /// Grammar texts with fresh matchers, the latest used last.
    compiled: Vec<(String, Matcher)>,
}

impl Grammars {
    pub(crate) fn new(weights: Arc<Weights>) -> Self {
        Self { weights, factory: None, compiled: Vec::new() }
    }

    /// A matcher at its beginning. `None` if the constraint constrains nothing; an error if its
    /// grammar is broken.
    pub(crate) fn matcher(&mut self, constraint: &Constraint) -> Result<Option<Matcher>, String> {
        let Some(key) = key(constraint) else {
            return Ok(None);
        };
        let known = self.compiled.iter().position(|(text, _)| *text == key);
        let entry = match known {
            Some(index) => self.compiled.remove(index),
            None => {
                let matcher = self.compile(&key).map_err(|error| match &constraint.lark {
                    Some(_) => format!("the grammar is broken: {error}"),
                    None => format!("the JSON schema cannot be enforced: {}", schema_error(&error)),
                })?;
                (key, matcher)
            }
        };
        if self.compiled.len() >= KEPT {
            self.compiled.remove(0);
        }
        let matcher = entry.1.clone();
        self.compiled.push(entry);
        Ok(Some(matcher))
    }

    /// What is added to the score of each token that begins one of the texts; of several texts the
    /// largest. Empty before the first matcher was made: the bias is one of constrained replies.
    pub(crate) fn token_bias(&self, bias: &LabelBias) -> Vec<(TokenId, f32)> {
        let Some(factory) = &self.factory else { return Vec::new() };
        let trie = factory.tok_env().tok_trie();
        let mut tokens: BTreeMap<TokenId, f32> = BTreeMap::new();
        for (text, added) in bias {
            let beginnings = (1..=text.len()).filter_map(|end| text.as_bytes().get(..end));
            for token in beginnings.filter_map(|beginning| trie.token_id(beginning)) {
                let entry = tokens.entry(token).or_insert(*added);
                *entry = entry.max(*added);
            }
        }
        tokens.into_iter().collect()
    }

    /// Forgets compiled grammars: their lexers are shared with matchers that may have failed.
    pub(crate) fn clear(&mut self) {
        self.compiled.clear();
    }

    fn compile(&mut self, key: &str) -> Result<Matcher, String> {
        let factory = match &mut self.factory {
            Some(factory) => factory,
            empty => empty.insert(new_factory(&self.weights)?),
        };
        let grammar = TopLevelGrammar::from_lark_or_grammar_list(key).map_err(one_line)?;
        let matcher = Matcher::new(factory.create_parser(grammar));
        matcher.get_error().map_or(Ok(matcher), |error| Err(one_line(error)))
    }
}

/// The constraint as a grammar text: the Lark grammar, or one that consists of the JSON schema.
fn key(constraint: &Constraint) -> Option<String> {
    match (&constraint.lark, &constraint.json_schema) {
        (Some(lark), _) => Some(lark.to_string()),
        (None, Some(schema)) => Some(format!("start: %json {}\n", compact(schema))),
        (None, None) => None,
    }
}

/// The schema with fixed spaces, `{"a": 1, "b": 2}`, unless it says otherwise itself: small models
/// lose themselves in free whitespace, and what is fixed need not be generated token by token.
fn compact(schema: &Value) -> Value {
    let Value::Object(object) = schema else {
        return schema.clone();
    };
    let mut object = object.clone();
    object.entry("x-guidance").or_insert_with(|| {
        serde_json::json!({
            "whitespace_flexible": false,
            "item_separator": ", ",
            "key_separator": ": ",
        })
    });
    Value::Object(object)
}

/// An error of llguidance as one line for the user, without the excerpt of the grammar.
pub(crate) fn one_line(error: impl ToString) -> String {
    let excerpt = |line: &&str| {
        line.split_once('|').is_some_and(|(left, _)| left.trim().parse::<usize>().is_ok())
    };
    let text = error.to_string().replace("<non-verbose/>", "");
    let lines = text.lines().take_while(|line| !excerpt(line)).map(str::trim);
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" | ")
}

/// The part of an error that speaks of the schema, not of the grammar we put around it.
fn schema_error(error: &str) -> &str {
    error.split_once("failed to compile JSON schema: ").map_or(error, |(_, rest)| rest)
}

fn new_factory(weights: &Arc<Weights>) -> Result<ParserFactory, String> {
    let trie = LlamaSampler::llguidance_tok_env(weights.model()).tok_trie().clone();
    let tokenizer: TokEnv = Arc::new(Tokenizer::new(weights.clone(), trie));
    let mut factory = ParserFactory::new_simple(&tokenizer).map_err(one_line)?;
    factory.quiet().limits_mut().verbose_errors = false;
    Ok(factory)
}

/// llama.cpp's tokenizer for llguidance. The one that llama-cpp-2 supplies is approximate, and
/// llguidance forces no tokens then.
struct Tokenizer {
    weights: Arc<Weights>,
    trie: TokTrie,
    canonical: bool,
}

impl Tokenizer {
    fn new(weights: Arc<Weights>, trie: TokTrie) -> Self {
        let mut this = Self { weights, trie, canonical: false };
        // Some tokenizers put a space before every text: then pieces of text cannot be tokenized.
        let probe = b"label: {\"a\"";
        this.canonical = this.trie.decode(&this.tokenize_bytes(probe)) == probe;
        this
    }
}

impl TokenizerEnv for Tokenizer {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        let vocab = self.weights.model().vocab();
        self.trie.tokenize_with_greedy_fallback(bytes, |text| {
            let tokens = vocab.tokenize(text.as_bytes(), false, false);
            tokens.into_iter().map(|LlamaToken(id)| id.unsigned_abs()).collect()
        })
    }

    fn tokenize_is_canonical(&self) -> bool {
        self.canonical
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lark_is_preferred_and_schemas_get_fixed_spaces() {
        let schema = Arc::new(serde_json::json!({"type": "object"}));
        let both = Constraint::new(Some(schema.clone()), Some("start: \"a\"".into()));
        assert_eq!(key(&both).unwrap(), "start: \"a\"");
        let text = key(&Constraint::new(Some(schema), None)).unwrap();
        assert!(text.starts_with("start: %json {\"type\":\"object\""), "{text}");
        assert!(text.contains("\"key_separator\":\": \""), "{text}");
        assert_eq!(key(&Constraint::new(None, None)), None);
    }

    #[test]
    fn a_schemas_own_options_stay() {
        let own = serde_json::json!({"x-guidance": {"whitespace_flexible": true}});
        assert_eq!(compact(&own), own);
        assert_eq!(compact(&Value::Bool(true)), Value::Bool(true));
    }

    #[test]
    fn errors_are_one_line() {
        assert_eq!(one_line("bad\n  rule x\n 1 | start: x\n   | ^"), "bad | rule x");
        assert_eq!(schema_error("at 1(8): failed to compile JSON schema: no"), "no");
        assert_eq!(one_line("bad\n<non-verbose/>"), "bad");
    }
}
