//! Embedding models behind a server.

mod form;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Map, Value};
use teleprompt_core::{Embedder, Embeddings, LmError, LmErrorKind, Usage};

use super::client::Client;
use super::endpoint::Endpoint;
use super::retry::RetryConfig;
use form::Form;

/// How texts are sent to an embedding model.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbedConfig {
    /// Most texts in a request. Default: 128. Gemini takes no more than 100 whatever this says.
    pub batch: usize,
    /// Most bytes of text in a request; a longer text goes alone. Default: 256 KiB, about 64,000
    /// tokens of English.
    pub batch_bytes: usize,
    /// Most requests in flight for one call. Default: 4.
    pub concurrency: usize,
    /// Length of the vectors, for models that can shorten them. A server that gives another length
    /// fails the call. Default: the model's own.
    pub dimensions: Option<u32>,
    /// Whether vectors are asked for in base64, which has half the bytes of JSON numbers; OpenAI,
    /// vLLM and llama.cpp's server know it. Default: `false`. Gemini ignores it.
    pub base64: bool,
    /// Fields that are merged over ours into the body (at Gemini: into each text's request), such as
    /// `input_type` or `taskType`. Default: none.
    pub extra_body: Map<String, Value>,
    /// How requests are repeated that failed in passing. Each request has its own count.
    pub retry: RetryConfig,
}

impl Default for EmbedConfig {
    fn default() -> Self {
        Self {
            batch: 128,
            batch_bytes: 256 * 1024,
            concurrency: 4,
            dimensions: None,
            base64: false,
            extra_body: Map::new(),
            retry: RetryConfig::default(),
        }
    }
}

/// An embedding model behind a server that speaks OpenAI's `/embeddings` (OpenAI, vLLM, Ollama,
/// llama.cpp's server, LM Studio, Mistral…) or Gemini's `batchEmbedContents`.
///
/// Texts are sent in batches, some at once; vectors come back in the order of the texts. A reply
/// with too few vectors, or with vectors of several lengths or with numbers that are not finite,
/// fails the call. Dropping a call closes its connections.
///
/// ```no_run
/// use teleprompt::Embedder;
/// use teleprompt::lm::{Endpoint, RemoteEmbedder};
///
/// # async fn example() -> teleprompt::Result<()> {
/// let server = Endpoint::new("openai-chat", "http://localhost:11434/v1")?;
/// let embedder = RemoteEmbedder::new("nomic-embed-text", server)?;
/// let found = embedder.embed(&["a text".to_owned(), "another".to_owned()]).await?;
/// assert_eq!(found.vectors.len(), 2);
/// # Ok(())
/// # }
/// ```
pub struct RemoteEmbedder {
    client: Client,
    model: Arc<str>,
    form: Form,
    config: EmbedConfig,
}

impl RemoteEmbedder {
    /// The model of this name on the server, with the defaults of [`EmbedConfig`]. Nothing is sent
    /// yet.
    ///
    /// # Errors
    /// [`LmErrorKind::Unsupported`]: the endpoint's protocol has no embeddings (`anthropic`);
    /// [`LmErrorKind::Transport`]: the machine's certificates cannot be read.
    pub fn new(model: impl Into<Arc<str>>, endpoint: Endpoint) -> Result<Self, LmError> {
        Self::with_config(model, endpoint, EmbedConfig::default())
    }

    /// As [`RemoteEmbedder::new`], with other settings.
    ///
    /// # Errors
    /// As [`RemoteEmbedder::new`].
    pub fn with_config(
        model: impl Into<Arc<str>>,
        endpoint: Endpoint,
        config: EmbedConfig,
    ) -> Result<Self, LmError> {
        let model = model.into();
        let name = format!("{}:{model}", endpoint.provider());
        Self::named(&name, model, endpoint, config)
    }

    /// As [`RemoteEmbedder::with_config`], under this name.
    pub(crate) fn named(
        name: &str,
        model: Arc<str>,
        endpoint: Endpoint,
        config: EmbedConfig,
    ) -> Result<Self, LmError> {
        let form = Form::of(endpoint.wire()).ok_or_else(|| {
            let message = format!(
                "the protocol {} has no embeddings; name a server that speaks OpenAI's or Gemini's",
                endpoint.wire()
            );
            LmError::new(LmErrorKind::Unsupported, name, message)
        })?;
        Ok(Self { client: Client::new(name, endpoint)?, model, form, config })
    }

    /// One request. The vectors of its texts are checked but for their common length.
    async fn ask(&self, texts: &[String]) -> Result<Embeddings, LmError> {
        let path = self.form.path(&self.model);
        let body = self.form.body(&self.model, texts, &self.config);
        let attempt = || async {
            let answer = self.client.post_json(&path, &body).await?;
            let headers = answer.headers().clone();
            let reply = answer.json().await?;
            if reply.get("error").is_some_and(|error| !error.is_null()) {
                return Err(self.client.refusal(200, &headers, &reply.to_string()));
            }
            let found = self.form.read(&reply).and_then(|found| self.checked(found, texts.len()));
            found.map_err(|fault| self.client.error(LmErrorKind::Protocol, fault))
        };
        self.config.retry.run(attempt).await
    }

    fn checked(&self, found: Embeddings, wanted: usize) -> Result<Embeddings, String> {
        let place = self.client.endpoint().base_url();
        if found.vectors.len() != wanted {
            let got = found.vectors.len();
            return Err(format!("{place} answered with {got} vectors for {wanted} texts"));
        }
        if found.vectors.iter().flatten().any(|number| !number.is_finite()) {
            return Err(format!(
                "{place} answered with a vector that has a number that is not finite; the model \
                 may be broken, or may not be one for embeddings"
            ));
        }
        Ok(found)
    }

    /// All vectors must have one length, and the one that was asked for.
    fn check_lengths(&self, vectors: &[Vec<f32>]) -> Result<(), LmError> {
        let asked = self.config.dimensions.map(|d| d as usize);
        let Some(length) = asked.or(vectors.first().map(Vec::len)) else { return Ok(()) };
        let Some(other) =
            vectors.iter().map(Vec::len).find(|other| *other != length || *other == 0)
        else {
            return Ok(());
        };
        let place = self.client.endpoint().base_url();
        Err(match asked {
            Some(asked) => self.client.error(
                LmErrorKind::Unsupported,
                format!(
                    "{place} gave vectors of length {other} where {asked} was asked for; leave \
                         `dimensions` out"
                ),
            ),
            None => self.client.error(
                LmErrorKind::Protocol,
                format!("{place} answered with vectors of the lengths {length} and {other}"),
            ),
        })
    }
}

impl Embedder for RemoteEmbedder {
    async fn embed(&self, texts: &[String]) -> Result<Embeddings, LmError> {
        let batch = self.config.batch.min(self.form.most_texts());
        let mut requests = Vec::new();
        for range in batches(texts, batch, self.config.batch_bytes) {
            requests.extend(texts.get(range).map(|texts| self.ask(texts)));
        }
        let answers: Vec<Embeddings> =
            stream::iter(requests).buffered(self.config.concurrency.max(1)).try_collect().await?;
        let (mut vectors, mut usage) = (Vec::with_capacity(texts.len()), Usage::default());
        for answer in answers {
            vectors.extend(answer.vectors);
            usage += answer.usage;
        }
        self.check_lengths(&vectors)?;
        Ok(Embeddings::new(vectors, usage))
    }

    fn name(&self) -> &str {
        self.client.name()
    }

    fn identity(&self) -> String {
        let (config, endpoint) = (&self.config, self.client.endpoint().identity());
        let length = config.dimensions.map_or_else(String::new, |d| format!(" {d}"));
        let extra = match config.extra_body.is_empty() {
            true => String::new(),
            false => format!(" {}", Value::from(config.extra_body.clone())),
        };
        format!("embed {endpoint} {}{length}{extra}", self.model)
    }
}

impl fmt::Debug for RemoteEmbedder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteEmbedder")
            .field("model", &self.model)
            .field("client", &self.client)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// The texts cut into runs of at most so many texts and bytes, at least one text each.
fn batches(texts: &[String], most: usize, most_bytes: usize) -> Vec<Range<usize>> {
    let (mut batches, mut begin, mut bytes) = (Vec::new(), 0, 0);
    for (index, text) in texts.iter().enumerate() {
        let full = index - begin >= most.max(1) || bytes + text.len() > most_bytes;
        if full && index > begin {
            batches.push(begin..index);
            (begin, bytes) = (index, 0);
        }
        bytes += text.len();
    }
    if begin < texts.len() {
        batches.push(begin..texts.len());
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_bounded_and_whole() {
        let texts = |lengths: &[usize]| lengths.iter().map(|n| "x".repeat(*n)).collect::<Vec<_>>();
        let cut = |lengths: &[usize], most| batches(&texts(lengths), most, 10);
        assert!(cut(&[], 3).is_empty());
        assert_eq!(cut(&[1, 1, 1, 1], 3), [0..3, 3..4]);
        assert_eq!(cut(&[5, 5, 1], 3), [0..2, 2..3]);
        assert_eq!(cut(&[50, 1, 50], 3), [0..1, 1..2, 2..3]);
        assert_eq!(cut(&[0, 0], 0), [0..1, 1..2]);
    }
}
