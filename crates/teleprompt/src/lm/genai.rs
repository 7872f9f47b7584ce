//! Clouds with protocols of their own, through the crate `genai`: AWS Bedrock and Google Vertex AI.

mod fault;
mod reply;
mod request;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::genai::adapter::AdapterKind;
use ::genai::chat::{ChatOptions, ChatRequest, ChatStreamEvent};
use ::genai::resolver::{AuthData, Endpoint};
use ::genai::{Client, ModelIden, ServiceTarget};
use futures::stream::{self, BoxStream, StreamExt};
use teleprompt_core::{
    Capabilities, Error, Lm, LmChunk, LmError, LmErrorKind, LmHandle, LmRequest, LmResponse,
    LmStream, Result, Usage,
};
use tokio::time::timeout;

use super::endpoint::{Timeouts, check_url};
use super::http;
use super::key::{KeySource, Redactor, env};
use super::providers::{OTHER_KEY, split_addresses};
use super::registry::LmTarget;
use super::retry::{Retry, RetryConfig};
use super::several;

/// Tokens of a completion where the request sets no limit.
const DEFAULT_MAX_TOKENS: u32 = 4096;

/// A cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cloud {
    /// AWS Bedrock, its Converse API.
    Bedrock,
    /// Google Vertex AI: Gemini and Claude.
    Vertex,
}

impl Cloud {
    /// What its LMs' names begin with.
    pub const fn scheme(self) -> &'static str {
        match self {
            Cloud::Bedrock => "bedrock",
            Cloud::Vertex => "vertex",
        }
    }

    fn adapter(self) -> AdapterKind {
        match self {
            Cloud::Bedrock => AdapterKind::BedrockApi,
            Cloud::Vertex => AdapterKind::Vertex,
        }
    }

    fn key(self) -> KeySource {
        KeySource::env(match self {
            Cloud::Bedrock => "AWS_BEARER_TOKEN_BEDROCK",
            Cloud::Vertex => "VERTEX_API_KEY",
        })
    }

    /// Its address, as the environment has region and project.
    fn base_url(self) -> Result<String> {
        match self {
            Cloud::Bedrock => {
                let region = env("AWS_REGION").or_else(|| env("AWS_DEFAULT_REGION"));
                let region = region.unwrap_or_else(|| "us-east-1".to_owned());
                Ok(format!("https://bedrock-runtime.{region}.amazonaws.com"))
            }
            Cloud::Vertex => {
                let project = env("VERTEX_PROJECT_ID").or_else(|| env("GOOGLE_CLOUD_PROJECT"));
                let project = project.ok_or_else(|| {
                    Error::Config("`vertex:` needs a project; set VERTEX_PROJECT_ID".into())
                })?;
                let place = env("VERTEX_LOCATION").unwrap_or_else(|| "global".to_owned());
                let before = if place == "global" { String::new() } else { format!("{place}-") };
                Ok(format!(
                    "https://{before}aiplatform.googleapis.com/v1/projects/{project}/locations/{place}"
                ))
            }
        }
    }
}

/// A model in a cloud.
///
/// | | Bedrock | Vertex |
/// |---|---|---|
/// | key | a Bedrock API key, in `AWS_BEARER_TOKEN_BEDROCK` | an OAuth access token, in `VERTEX_API_KEY` (`gcloud auth print-access-token`; it lives for an hour) |
/// | place | `AWS_REGION`, `AWS_DEFAULT_REGION`, else `us-east-1` | `VERTEX_PROJECT_ID` (or `GOOGLE_CLOUD_PROJECT`), and `VERTEX_LOCATION`, else `global` |
/// | models | all of the Converse API | `gemini-…` and `claude-…` |
/// | JSON schemas | no | yes |
/// | tools | yes, but not a choice among them | yes |
///
/// AWS access keys and profiles (SigV4) are not supported. `n` takes a request for each completion;
/// there are no log-probabilities, no `extra_body`, no hints for caches of prompts. Without a limit
/// of tokens, 4,096 is sent. Images and files must be given as bytes at Bedrock.
///
/// ```no_run
/// use teleprompt::lm::{Cloud, GenAi, KeySource};
///
/// # fn main() -> Result<(), teleprompt::LmError> {
/// let url = "https://bedrock-runtime.eu-west-1.amazonaws.com";
/// let key = KeySource::env("AWS_BEARER_TOKEN_BEDROCK");
/// let lm = GenAi::new(Cloud::Bedrock, "amazon.nova-lite-v1:0", url, key)?;
/// # Ok(())
/// # }
/// ```
pub struct GenAi {
    name: Arc<str>,
    cloud: Cloud,
    model: Arc<str>,
    base_url: String,
    key: KeySource,
    client: Client,
}

impl GenAi {
    /// The model of this name. Nothing is sent yet.
    ///
    /// # Errors
    /// [`LmErrorKind::InvalidRequest`]: the base URL is none; [`LmErrorKind::Transport`]: the
    /// machine's certificates cannot be read.
    pub fn new(
        cloud: Cloud,
        model: impl Into<Arc<str>>,
        base_url: &str,
        key: KeySource,
    ) -> std::result::Result<Self, LmError> {
        let model = model.into();
        let name: Arc<str> = format!("{}:{model}", cloud.scheme()).into();
        Self::named(name, cloud, model, base_url, key)
    }

    fn named(
        name: Arc<str>,
        cloud: Cloud,
        model: Arc<str>,
        base_url: &str,
        key: KeySource,
    ) -> std::result::Result<Self, LmError> {
        check_url(base_url)
            .map_err(|e| LmError::new(LmErrorKind::InvalidRequest, name.clone(), e))?;
        let failed = |message| LmError::new(LmErrorKind::Transport, name.clone(), message);
        // Our own HTTP client: it trusts the system's certificates.
        let http = http::client(base_url, Timeouts::default().connect).map_err(failed)?;
        let client = Client::builder().with_reqwest(http).build();
        let client = client.map_err(|e| failed(e.to_string()))?;
        let base_url = base_url.trim_end_matches('/').to_owned();
        Ok(Self { name, cloud, model, base_url, key, client })
    }

    fn error(&self, kind: LmErrorKind, message: impl Into<String>) -> LmError {
        LmError::new(kind, self.name.clone(), message).with_provider(self.cloud.scheme())
    }

    /// Where the call goes, and what takes its key out of errors.
    async fn target(&self) -> std::result::Result<(ServiceTarget, Redactor), LmError> {
        let key = self.key.read().await.map_err(|e| self.error(LmErrorKind::Auth, e))?;
        let key = key.ok_or_else(|| {
            let message = format!("{} wants a key; {}", self.base_url, self.key.remedy());
            self.error(LmErrorKind::Auth, message)
        })?;
        let target = ServiceTarget {
            endpoint: Endpoint::from_owned(format!("{}/", self.base_url)),
            auth: AuthData::from_single(key.expose()),
            model: ModelIden::new(self.cloud.adapter(), self.model.to_string()),
        };
        Ok((target, Redactor::new([&key])))
    }

    fn said(
        &self,
        request: &LmRequest,
    ) -> std::result::Result<(ChatRequest, ChatOptions), LmError> {
        request::said(self.cloud, request).map_err(|what| {
            let message = format!("{} cannot be sent {what}", self.cloud.scheme());
            self.error(LmErrorKind::Unsupported, message)
        })
    }

    /// One request, one completion.
    async fn ask(&self, request: &LmRequest) -> std::result::Result<LmResponse, LmError> {
        let (chat, options) = self.said(request)?;
        let (target, redactor) = self.target().await?;
        let limit = Timeouts::default().total;
        let call = self.client.exec_chat(target, chat, Some(&options));
        let reply = timeout(limit, call).await.map_err(|_| self.late(limit))?;
        let reply = reply.map_err(|error| fault::explain(self, &redactor, error))?;
        reply::whole(self.cloud, reply).ok_or_else(|| {
            let what = "neither content nor a reason why it ended";
            self.error(LmErrorKind::Protocol, format!("{} answered with {what}", self.base_url))
        })
    }

    fn late(&self, limit: Duration) -> LmError {
        let message =
            format!("no whole answer from {} within {} s", self.base_url, limit.as_secs());
        self.error(LmErrorKind::Timeout, message)
    }

    async fn open(
        &self,
        request: &LmRequest,
    ) -> std::result::Result<BoxStream<'static, std::result::Result<LmChunk, LmError>>, LmError>
    where
        Self: 'static,
    {
        let (chat, options) = self.said(request)?;
        let (target, redactor) = self.target().await?;
        let limits = Timeouts::default();
        let mut options = options
            .with_stream_header_timeout(limits.first.unwrap_or(limits.total))
            .with_capture_usage(true)
            .with_capture_content(true)
            .with_capture_reasoning_content(true)
            .with_capture_tool_calls(true);
        options.stream_read_timeout = limits.stall;
        let opened = self.client.exec_chat_stream(target, chat, Some(&options)).await;
        let opened = opened.map_err(|error| fault::explain(self, &redactor, error))?;
        let (cloud, place) = (self.cloud, fault::Place::of(self));
        let chunks = opened.stream.flat_map(move |event| {
            stream::iter(match event {
                Err(error) => vec![Err(place.explain(&redactor, error))],
                Ok(ChatStreamEvent::Chunk(chunk)) => {
                    vec![Ok(LmChunk::Text { index: 0, text: chunk.content })]
                }
                Ok(ChatStreamEvent::ReasoningChunk(chunk)) => {
                    vec![Ok(LmChunk::Reasoning { index: 0, text: chunk.content })]
                }
                Ok(ChatStreamEvent::End(end)) => match reply::end(cloud, end) {
                    Some(chunks) => chunks.into_iter().map(Ok).collect(),
                    None => vec![Err(place.broken_off())],
                },
                Ok(_) => Vec::new(),
            })
        });
        Ok(chunks.boxed())
    }
}

impl Lm for GenAi {
    async fn generate(&self, request: &LmRequest) -> std::result::Result<LmResponse, LmError> {
        let singles = (0..request.n.max(1) as usize).map(|index| several::single(request, index));
        let singles: Vec<LmRequest> = singles.collect();
        let retry = RetryConfig::default();
        let mut replies = several::all(&singles, &retry, |single| self.ask(single)).await?;
        let rest = replies.split_off(1.min(replies.len()));
        let mut whole = replies.pop().unwrap_or_default();
        for reply in rest {
            whole.completions.extend(reply.completions);
            whole.usage += Usage { calls: 0, ..reply.usage };
        }
        Ok(whole)
    }

    /// Piece by piece where one completion is wanted, else all at the end.
    fn stream<'a>(&'a self, request: &'a LmRequest) -> LmStream<'a> {
        let begun = async move {
            let opened = if request.n > 1 {
                let whole = self.generate(request).await;
                whole.map(|whole| stream::iter(whole.into_chunks().into_iter().map(Ok)).boxed())
            } else {
                self.open(request).await
            };
            opened.unwrap_or_else(|error| stream::iter([Err(error)]).boxed())
        };
        stream::once(begun).flatten().boxed()
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn identity(&self) -> String {
        format!("{} {} {}", self.cloud.scheme(), self.base_url, self.model)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::none()
            .with_json_schema(self.cloud == Cloud::Vertex)
            .with_tools(true)
            .with_media(true)
            .with_max_output(DEFAULT_MAX_TOKENS)
    }
}

impl fmt::Debug for GenAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GenAi")
            .field("name", &self.name)
            .field("base_url", &self.base_url)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// `bedrock:MODEL`, `vertex:MODEL`, and either with `@URL`. Another address gets the key for
/// addresses that belong to no provider.
pub(crate) async fn connect(target: LmTarget) -> Result<LmHandle> {
    let cloud = if target.scheme == "vertex" { Cloud::Vertex } else { Cloud::Bedrock };
    let name = target.name();
    let (model, addresses) = split_addresses(&target.model);
    let (url, key) = match addresses.as_slice() {
        [] => (cloud.base_url()?, cloud.key()),
        [url] => ((*url).to_owned(), KeySource::env(OTHER_KEY)),
        _ => return Err(Error::Config(format!("`{name}` has several addresses; name one"))),
    };
    let lm = GenAi::named(name.into(), cloud, model.into(), &url, key)?;
    Ok(LmHandle::new(Retry::new(lm)))
}
