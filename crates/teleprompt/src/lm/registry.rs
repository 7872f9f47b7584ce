//! From names to LMs.

mod options;

pub use options::{CacheMode, ConnectOptions, ProviderLimits};

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures::future::BoxFuture;
use teleprompt_core::{
    EmbedderHandle, Error, Lm, LmError, LmErrorKind, LmHandle, LmRequest, LmResponse, Result, names,
};

use super::config::Config;
use super::embed::{EmbedConfig, RemoteEmbedder};
use super::key::env;
use super::price::PriceTable;
use super::providers::{self, Provider, ProviderInfo};
use super::remote::Remote;
use super::stack::{Stack, StackOptions};
use options::cache_config;

/// The LM that is used where no one names another: a small one that runs in the process.
pub const DEFAULT_LM: &str = "local:smollm2-135m";

/// What a scheme's factory has to connect to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LmTarget {
    /// What stands before the first colon of the name.
    pub scheme: String,
    /// What stands behind it.
    pub model: String,
    /// The options of the call.
    pub options: ConnectOptions,
}

impl LmTarget {
    /// The whole name.
    pub fn name(&self) -> String {
        format!("{}:{}", self.scheme, self.model)
    }
}

type Factory = dyn Fn(LmTarget) -> BoxFuture<'static, Result<LmHandle>> + Send + Sync;

/// What a scheme stands for.
#[derive(Clone)]
enum Scheme {
    Factory(Arc<Factory>),
    Provider(Arc<Provider>),
}

/// The schemes that names may begin with.
///
/// [`Registry::default`] knows
/// - `local:NAME`, `local:PATH.gguf`: the embedded engine (feature `local`),
/// - `openai:MODEL`, `anthropic:MODEL`, `ollama:MODEL`…: the built-in providers; see
///   [`Registry::providers`] for where they are and where their keys come from,
/// - `bedrock:MODEL`, `vertex:MODEL`: AWS Bedrock and Google Vertex AI (feature `genai`),
/// - `SCHEME:MODEL@URL`: a server at another address that speaks the scheme's protocol. It never gets
///   the provider's own key, but `TELEPROMPT_API_KEY` if that is set,
/// - `SCHEME:MODEL@URL1,URL2`: several servers of one model, as [`Balanced`](super::Balanced),
/// - `A | B`: two of these names, the second for when the first fails, as
///   [`Fallback`](super::Fallback).
///
/// [`Registry::with_config`] adds the providers and prices of configuration files. Around the LMs
/// stand the layers of [`Stack`]; those of a factory get no retry, rate limit and time-out.
///
/// ```
/// use teleprompt::lm::{CacheMode, ConnectOptions, Registry};
/// use teleprompt::{Lm, LmHandle};
/// use teleprompt_testkit::ScriptedLm;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> teleprompt::Result<()> {
/// let registry = Registry::default().with_scheme("echo", |target| async move {
///     let lm = ScriptedLm::new(|request| request.messages[0].content.to_string());
///     Ok(LmHandle::new(lm.with_name(target.name())))
/// });
/// let options = ConnectOptions { cache: CacheMode::Memory, ..ConnectOptions::default() };
/// let lm = registry.connect_with("echo:loud", options).await?;
/// assert_eq!(lm.describe(), "trace → cache(memory) → price(unknown) → echo:loud");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Registry {
    schemes: BTreeMap<String, Scheme>,
    prices: Arc<PriceTable>,
}

impl Registry {
    /// A registry that knows no scheme.
    pub fn empty() -> Self {
        Self { schemes: BTreeMap::new(), prices: Arc::new(PriceTable::builtin().clone()) }
    }

    /// With one more scheme, or another meaning of one. The factory gives the bare LM, with those of
    /// retry, rate limit and time-out that it needs; trace, cache and price are added.
    #[must_use]
    pub fn with_scheme<F>(
        mut self,
        scheme: &str,
        factory: impl Fn(LmTarget) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<LmHandle>> + Send + 'static,
    {
        let factory: Arc<Factory> = Arc::new(move |target| Box::pin(factory(target)));
        self.schemes.insert(scheme.to_owned(), Scheme::Factory(factory));
        self
    }

    /// With the providers and prices that a configuration defines.
    #[must_use]
    pub fn with_config(mut self, config: &Config) -> Self {
        if !config.prices().is_empty() {
            self.prices = Arc::new((*self.prices).clone().with(config.prices().clone()));
        }
        for (scheme, provider) in config.providers() {
            self.schemes.insert(scheme.clone(), Scheme::Provider(provider.clone()));
        }
        self
    }

    /// The providers, sorted by scheme. Schemes with a factory are not among them.
    pub fn providers(&self) -> Vec<ProviderInfo> {
        let providers = self.schemes.values().filter_map(|scheme| match scheme {
            Scheme::Provider(provider) => Some(provider.info()),
            Scheme::Factory(_) => None,
        });
        providers.collect()
    }

    /// The bare LMs behind a name, one for each address; none where the scheme is no provider's.
    /// Nothing is sent.
    ///
    /// # Errors
    /// As [`Registry::connect_with`].
    pub fn remotes(&self, name: &str) -> Result<Vec<Remote>> {
        let mut all = Vec::new();
        for name in links(name) {
            let (scheme, model) = self.split(name)?;
            match self.schemes.get(scheme) {
                None => return Err(self.unknown(name, scheme)),
                Some(Scheme::Factory(_)) => {}
                Some(Scheme::Provider(provider)) => all.extend(remotes(provider, model)?),
            }
        }
        Ok(all)
    }

    /// The stack that [`Registry::connect_with`] would build, in words. Nothing is sent or loaded.
    ///
    /// # Errors
    /// [`Error::Config`]: as there.
    pub fn describe(&self, name: &str, options: &ConnectOptions) -> Result<String> {
        let stack = self.stack(options)?;
        let mut built = Vec::new();
        for name in links(name) {
            let (scheme, model) = self.split(name)?;
            built.push(match self.schemes.get(scheme) {
                None => return Err(self.unknown(name, scheme)),
                Some(Scheme::Provider(provider)) => servers(&stack, options, provider, model)?,
                Some(Scheme::Factory(_)) => {
                    stack.in_process(LmHandle::new(Unloaded(name.to_owned())))
                }
            });
        }
        Ok(stack.around(built.remove(0), built).describe())
    }

    /// The LM of this name with default options.
    ///
    /// # Errors
    /// As [`Registry::connect_with`].
    pub async fn connect(&self, name: &str) -> Result<LmHandle> {
        self.connect_with(name, ConnectOptions::default()).await
    }

    /// The LM of this name, with the layers of [`Stack`] around it.
    ///
    /// # Errors
    /// [`Error::Config`]: the name has no known scheme, or no model, or needs a feature that is not
    /// built in. Else what the scheme's factory says.
    pub async fn connect_with(&self, name: &str, options: ConnectOptions) -> Result<LmHandle> {
        let stack = self.stack(&options)?;
        let mut names = links(name);
        let first = self.link(names.next().unwrap_or_default(), &options, &stack).await?;
        let mut others = Vec::new();
        for name in names {
            others.push(self.link(name, &options, &stack).await?);
        }
        Ok(stack.around(first, others))
    }

    fn stack(&self, options: &ConnectOptions) -> Result<Stack> {
        Ok(Stack::new(StackOptions {
            history: options.history.clone(),
            cache: cache_config(options)?,
            fallback: options.fallback,
            // A provider's client has time limits of its own, those of its endpoint.
            timeout: None,
            prices: Some(self.prices.clone()),
            ..StackOptions::default()
        }))
    }

    /// One LM of a chain, with the layers that it has of its own.
    async fn link(&self, name: &str, options: &ConnectOptions, stack: &Stack) -> Result<LmHandle> {
        let (scheme, model) = self.split(name)?;
        match self.schemes.get(scheme).ok_or_else(|| self.unknown(name, scheme))? {
            Scheme::Provider(provider) => servers(stack, options, provider, model),
            Scheme::Factory(factory) => {
                let (scheme, model) = (scheme.to_owned(), model.to_owned());
                let target = LmTarget { scheme, model, options: options.clone() };
                Ok(stack.in_process(factory(target).await?))
            }
        }
    }

    /// The embedding model of this name, such as `openai:text-embedding-3-small` or
    /// `ollama:nomic-embed-text@http://HOST:PORT/v1`, with the defaults of [`EmbedConfig`].
    ///
    /// # Errors
    /// [`Error::Config`]: the name has no known scheme, no model, more than one address, or a scheme
    /// that is no provider's; [`Error::Lm`]: the provider's protocol has no embeddings.
    pub async fn connect_embedder(&self, name: &str) -> Result<EmbedderHandle> {
        let (scheme, model) = self.split(name)?;
        let provider = match self.schemes.get(scheme) {
            None => return Err(self.unknown(name, scheme)),
            Some(Scheme::Factory(_)) => {
                return Err(Error::Config(format!(
                    "`{name}`: `{scheme}:` has no embedding models; name a provider's, such as \
                     openai:text-embedding-3-small or ollama:nomic-embed-text"
                )));
            }
            Some(Scheme::Provider(provider)) => provider,
        };
        let resolved = provider.resolve(model, &env)?;
        let [endpoint] = resolved.endpoints.as_slice() else {
            return Err(Error::Config(format!(
                "`{name}` has several addresses; an embedding model takes one"
            )));
        };
        let (model, config) = (resolved.model.into(), EmbedConfig::default());
        Ok(EmbedderHandle::new(RemoteEmbedder::named(name, model, endpoint.clone(), config)?))
    }

    fn split<'n>(&self, name: &'n str) -> Result<(&'n str, &'n str)> {
        match name.split_once(':') {
            Some((scheme, model)) if !model.trim().is_empty() => Ok((scheme, model)),
            Some((scheme, _)) if self.schemes.contains_key(scheme) => {
                Err(Error::Config(format!("`{name}` names no model; write {scheme}:MODEL")))
            }
            _ => Err(self.unknown(name, name.split(':').next().unwrap_or_default())),
        }
    }

    fn unknown(&self, name: &str, scheme: &str) -> Error {
        let known: Vec<&str> = self.schemes.keys().map(String::as_str).collect();
        let near = names::closest(scheme, self.schemes.keys().map(String::as_str));
        let hint = near.map_or_else(String::new, |near| format!("did you mean `{near}:`? "));
        Error::Config(format!(
            "`{name}` is no LM name: {hint}write SCHEME:MODEL, such as {DEFAULT_LM}, openai:MODEL \
             or vllm:MODEL@http://localhost:8080/v1; schemes are {}",
            known.join(", ")
        ))
    }
}

impl Default for Registry {
    fn default() -> Self {
        let mut registry = Self::empty()
            .with_scheme("local", local)
            .with_scheme("bedrock", cloud)
            .with_scheme("vertex", cloud);
        for (scheme, provider) in providers::built_in() {
            registry.schemes.insert(scheme.clone(), Scheme::Provider(provider.clone()));
        }
        registry
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.schemes.keys()).finish()
    }
}

/// The LM of this name, from the default [`Registry`] with default options.
///
/// ```no_run
/// # async fn example() -> teleprompt::Result<()> {
/// let lm = teleprompt::lm::connect("openai:llama3@http://localhost:11434/v1").await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`Registry::connect_with`].
pub async fn connect(name: &str) -> Result<LmHandle> {
    Registry::default().connect(name).await
}

/// The names of a chain.
fn links(name: &str) -> impl Iterator<Item = &str> {
    name.split('|').map(str::trim)
}

fn servers(
    stack: &Stack,
    options: &ConnectOptions,
    provider: &Provider,
    model: &str,
) -> Result<LmHandle> {
    let limits = options.limits.or(provider.spec.limits());
    let stack = stack.with_limits(&limits);
    let remotes = remotes(provider, model)?.into_iter();
    stack.servers(remotes.map(|lm| LmHandle::new(lm.with_retry(stack.retry_rules()))))
}

/// Stands in a description for an LM that is not loaded.
struct Unloaded(String);

impl Lm for Unloaded {
    async fn generate(&self, _: &LmRequest) -> Result<LmResponse, LmError> {
        Err(LmError::new(LmErrorKind::Unsupported, self.name(), "it is not loaded"))
    }
    fn name(&self) -> &str {
        &self.0
    }
}

/// The LMs of a provider's name, one for each address.
fn remotes(provider: &Provider, model: &str) -> Result<Vec<Remote>> {
    let resolved = provider.resolve(model, &env)?;
    let remote = |endpoint: super::Endpoint| {
        let mut name = format!("{}:{}", provider.scheme, resolved.model);
        if resolved.addressed {
            name.push_str(&format!("@{}", endpoint.base_url()));
        }
        Remote::named(name, resolved.model, endpoint).map_err(Error::from)
    };
    resolved.endpoints.into_iter().map(remote).collect()
}

#[cfg(feature = "local")]
use super::local::connect as local;

#[cfg(not(feature = "local"))]
async fn local(target: LmTarget) -> Result<LmHandle> {
    Err(Error::Config(format!(
        "`{}` needs the embedded engine, which this build lacks: build with the feature `local` \
         (cargo add teleprompt --features local), use the command `teleprompt`, which has it, or \
         name a server (openai:MODEL@http://HOST:PORT/v1)",
        target.name()
    )))
}

#[cfg(feature = "genai")]
use super::genai::connect as cloud;

#[cfg(not(feature = "genai"))]
async fn cloud(target: LmTarget) -> Result<LmHandle> {
    Err(Error::Config(format!(
        "`{}` needs the feature `genai`, which this build lacks: build with it \
         (cargo add teleprompt --features genai), or name a provider that needs none",
        target.name()
    )))
}
