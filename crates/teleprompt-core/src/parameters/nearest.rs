//! Demonstrations chosen anew for each call.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::record::Record;

/// Shows, at each call, the demonstrations whose inputs are most like the call's inputs.
///
/// They come behind the fixed demonstrations, which stay the same for all calls, the most similar
/// one last and so next to the question. Equally similar ones stand in the pool's order. A
/// demonstration of the very same inputs is shown like any other, unless the context holds its
/// example out ([`Context::with_held_out`](crate::Context::with_held_out)), as compilers do on the
/// examples that demonstrations are made of: do not judge a program on the examples that its pool was
/// made of.
///
/// Source: Liu et al. 2022, arXiv 2101.06804 (KATE).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nearest {
    /// How many are shown; 0 shows none, over a program that has some.
    pub k: usize,
    /// What is chosen from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pool: Vec<Record>,
    /// What likeness is.
    #[serde(default, skip_serializing_if = "is_lexical")]
    pub by: Likeness,
}

/// What makes texts alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Likeness {
    /// Words in common, rare ones counting most: cosine of TF-IDF vectors, learnt on the pool. It
    /// calls no model.
    #[default]
    Lexical,
    /// Cosine of the vectors of an embedding model of this name, which the context must know
    /// ([`Context::with_embedder`](crate::Context::with_embedder)); a file can never bring its own.
    Embedder(Arc<str>),
}

fn is_lexical(by: &Likeness) -> bool {
    *by == Likeness::Lexical
}
