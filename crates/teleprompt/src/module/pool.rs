//! The demonstrations nearest to a call.

use std::sync::Arc;

use teleprompt_core::{
    Context, Embedder, EmbedderHandle, Likeness, LmError, LmErrorKind, Nearest, Need, Price,
    Record, Result, Signature, Usage,
};
use tokio::sync::Mutex;

use super::calling::within;
use super::held_out::tells;
use crate::data::tfidf::{TfIdf, highest};
use crate::parse::write::compact;

/// Unit vectors of the pool's texts.
type Vectors = Arc<Vec<Vec<f32>>>;

/// A pool of demonstrations with what is needed to find the nearest ones.
pub(super) struct Pool {
    pub of: Arc<Nearest>,
    texts: Vec<String>,
    index: Index,
}

enum Index {
    Lexical(TfIdf),
    /// By the identity of the embedding model, made at the first call; the lock is held meanwhile, so
    /// that calls at the same time do not pay for the same vectors.
    Vectors(Arc<str>, Mutex<Option<(String, Vectors)>>),
}

impl Pool {
    pub fn new(of: Arc<Nearest>, signature: &Signature) -> Self {
        let texts: Vec<String> = of.pool.iter().map(|demo| text(signature, demo)).collect();
        let index = match &of.by {
            Likeness::Embedder(name) => Index::Vectors(name.clone(), Mutex::default()),
            _ => Index::Lexical(TfIdf::new(&texts)),
        };
        Self { of, texts, index }
    }

    /// The places of the demonstrations to show for these inputs, the most similar one last.
    pub async fn nearest(
        &self,
        cx: &Context,
        signature: &Signature,
        inputs: &Record,
        usage: &mut Usage,
    ) -> Result<Vec<usize>> {
        if self.of.k == 0 || self.texts.is_empty() {
            return Ok(Vec::new());
        }
        let query = text(signature, inputs);
        let likeness = match &self.index {
            Index::Lexical(index) => index.cosines(&query),
            Index::Vectors(name, known) => {
                let embedder = cx.embedder(name)?;
                let vectors = self.vectors(cx, embedder, known, usage).await?;
                let query = embed(cx, embedder, &[query], usage).await?;
                let query = query.first().map(Vec::as_slice).unwrap_or_default();
                vectors.iter().map(|v| dot(v, query)).collect()
            }
        };
        let mut places = match cx.held_out() {
            None => highest(&likeness, self.of.k),
            Some(example) => {
                let demos = self.of.pool.iter();
                let hidden: Vec<bool> =
                    demos.map(|demo| tells(demo, signature, example, inputs)).collect();
                let more = hidden.iter().filter(|hidden| **hidden).count();
                let mut places = highest(&likeness, self.of.k + more);
                places.retain(|place| hidden.get(*place) == Some(&false));
                places.truncate(self.of.k);
                places
            }
        };
        let of = |place: &usize| likeness.get(*place).copied().unwrap_or(0.0);
        places.sort_by(|a, b| of(a).total_cmp(&of(b)).then(a.cmp(b)));
        Ok(places)
    }

    async fn vectors(
        &self,
        cx: &Context,
        embedder: &EmbedderHandle,
        known: &Mutex<Option<(String, Vectors)>>,
        usage: &mut Usage,
    ) -> Result<Vectors> {
        let identity = embedder.identity();
        let mut known = known.lock().await;
        if let Some((_, vectors)) = known.as_ref().filter(|(by, _)| *by == identity) {
            return Ok(vectors.clone());
        }
        let vectors = Arc::new(embed(cx, embedder, &self.texts, usage).await?);
        *known = Some((identity, vectors.clone()));
        Ok(vectors)
    }
}

/// What likeness looks at: the inputs of the signature that a record has, one below the other.
fn text(signature: &Signature, record: &Record) -> String {
    let written = |value: &serde_json::Value| match value.as_str() {
        Some(text) => text.to_owned(),
        None => compact(value),
    };
    let values = signature.inputs().iter().filter_map(|f| record.get(&f.name));
    values.map(written).collect::<Vec<_>>().join("\n")
}

/// The unit vectors of these texts, within the budget.
async fn embed(
    cx: &Context,
    embedder: &EmbedderHandle,
    texts: &[String],
    usage: &mut Usage,
) -> Result<Vec<Vec<f32>>> {
    // An embedding model tells no price: what it costs is booked when it is known.
    let need = Need {
        prompt_tokens: Some(texts.iter().map(|t| t.len() as u64 + 16).sum()),
        completion_tokens: Some(0),
        price: Some(Price::FREE),
    };
    let found = within(cx, &need, |e| &e.usage, embedder.embed(texts)).await?;
    *usage += found.usage;
    if found.vectors.len() != texts.len() {
        let (wanted, got) = (texts.len(), found.vectors.len());
        let message = format!("it gave {got} vectors for {wanted} texts; this is an error in it");
        return Err(LmError::new(LmErrorKind::Protocol, embedder.name(), message).into());
    }
    Ok(found.vectors.into_iter().map(unit).collect())
}

fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let norm = dot(&vector, &vector).sqrt().max(f64::MIN_POSITIVE);
    vector.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
    vector
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
}
