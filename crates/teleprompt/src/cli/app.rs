//! What all commands share: the program, the LM, the context.

use std::path::Path;
use std::sync::Arc;

use teleprompt_core::{
    Cancel, Context, Error, LmHandle, LmSettings, Parameters, Program, ProgramState, Result,
    Signature,
};

use super::args::{Common, ModuleKind};
use super::offline::Offline;
use super::{OWN, history, usage};
use crate::adapter;
use crate::lm::{Config, ConnectOptions, DEFAULT_LM, Registry};
use crate::module::{ChainOfThought, Predict, Tuned};
use crate::pipeline::Pipeline;
use crate::saved::{SavedProgram, Source};

/// The flags, read.
pub(super) struct App {
    pub common: Common,
    /// The whole command line without the binary, where it is text.
    pub args: Option<Vec<String>>,
    pub own: Option<Program>,
    instructions: Option<Arc<str>>,
    signature: Option<Signature>,
}

/// A program with what is needed to save it again.
#[derive(Clone)]
pub(super) struct Loaded {
    pub program: Program,
    pub source: Option<Source>,
    /// LMs that a pipeline file names for its steps.
    pub lms: Vec<String>,
    /// How many run and vote at each call; 1 for all but a saved ensemble.
    pub members: usize,
}

impl App {
    pub fn new(common: Common, own: Option<Program>) -> Result<Self> {
        if let Some(t) = common.temperature
            && (!t.is_finite() || t < 0.0)
        {
            return Err(usage(format!("--temperature {t}: it must be 0 or more")));
        }
        if common.max_tokens == Some(0) || common.concurrency == Some(0) {
            return Err(usage("--max-tokens and --concurrency must be at least 1"));
        }
        let instructions = common.instructions.as_deref().map(text_or_file).transpose()?;
        let signature = common.signature.as_deref().map(str::parse).transpose()?;
        let instructions = instructions.map(Arc::from);
        Ok(Self { common, args: None, own, instructions, signature })
    }

    /// Started by these arguments.
    pub fn with_args(self, args: Option<Vec<String>>) -> Self {
        Self { args, ..self }
    }

    /// A note for people, on stderr.
    pub fn note(&self, line: &str) {
        if !self.common.quiet {
            eprintln!("{line}");
        }
    }

    pub fn seed(&self) -> u64 {
        self.common.seed.unwrap_or(0)
    }

    pub fn concurrency(&self, lm: &str) -> usize {
        // The embedded engine takes one request at a time, in order of arrival.
        self.common.concurrency.unwrap_or(if lm.starts_with("local:") { 1 } else { 8 })
    }

    /// The program that PROGRAM means.
    pub fn program(&self, text: &str) -> Result<Loaded> {
        let loaded = match (&self.own, Path::new(text).extension().and_then(|e| e.to_str())) {
            (Some(own), _) if text == OWN => self.own_program(own)?,
            _ if text.contains("->") || text.contains('→') => self.signature_program(text)?,
            (_, Some("json")) => self.saved_program(text)?,
            (_, Some("toml")) => from_pipeline(text)?,
            _ => {
                return Err(usage(format!(
                    "`{text}` is no program: give a signature such as 'question -> answer', a saved \
                     program (.json) or a pipeline file (.toml)"
                )));
            }
        };
        self.instruct(loaded)
    }

    fn own_program(&self, own: &Program) -> Result<Loaded> {
        let (program, members) = match &self.common.state {
            Some(file) => {
                let tuned = Tuned::load(own.clone(), file)?;
                let members = tuned.solution().members().len();
                (Program::new(tuned), members)
            }
            None => (own.clone(), 1),
        };
        Ok(Loaded { program, source: None, lms: Vec::new(), members })
    }

    fn signature_program(&self, text: &str) -> Result<Loaded> {
        let kind = self.common.module.unwrap_or(ModuleKind::Predict);
        Ok(Loaded {
            program: single(text.parse()?, kind)?,
            source: Some(Source::Module(kind_name(kind).into())),
            lms: Vec::new(),
            members: 1,
        })
    }

    fn saved_program(&self, path: &str) -> Result<Loaded> {
        let mut saved = SavedProgram::read(Path::new(path))?;
        if let Some(kind) = self.common.module
            && !matches!(saved.program, Some(Source::Pipeline(_)))
        {
            saved.program = Some(Source::Module(kind_name(kind).into()));
        }
        let program = saved.program(self.signature.as_ref()).map_err(|e| match e {
            Error::State(message) => Error::State(format!("{path}: {message}")),
            other => other,
        })?;
        let source = saved.program.clone().or_else(|| Some(Source::Module("predict".into())));
        let members = 1 + saved.ensemble.as_ref().map_or(0, |e| e.others.len());
        Ok(Loaded { program, source, lms: Vec::new(), members })
    }

    /// Lays the instructions of the command line over every predictor that the program has one of.
    fn instruct(&self, loaded: Loaded) -> Result<Loaded> {
        let Some(text) = &self.instructions else { return Ok(loaded) };
        let bound = loaded.program.bound();
        let [(path, _)] = bound.predictors.as_slice() else {
            return Err(usage(format!(
                "--instructions is for programs of one predictor; this one has {}",
                bound.predictors.len()
            )));
        };
        let mut state = ProgramState::default();
        let instructions = Some(text.clone());
        state.insert(path.clone(), Parameters { instructions, ..Parameters::default() });
        Ok(Loaded { program: Program::new(Tuned::new(loaded.program.clone(), state)), ..loaded })
    }

    /// The LM's name: the flag, else TELEPROMPT_LM, else the configuration, else the embedded one.
    pub fn lm_name(&self) -> Result<(String, String)> {
        if let Some(lm) = &self.common.lm {
            return Ok((lm.clone(), "--lm".into()));
        }
        if let Some(lm) = std::env::var("TELEPROMPT_LM").ok().filter(|v| !v.is_empty()) {
            return Ok((lm, "TELEPROMPT_LM".into()));
        }
        if let Some((lm, file)) = Config::load()?.lm()? {
            return Ok((lm.to_owned(), file.display().to_string()));
        }
        Ok((DEFAULT_LM.into(), "the default".into()))
    }

    /// The schemes that names may have here: the built-in ones and those of the configuration.
    pub fn registry(&self) -> Result<Registry> {
        Ok(Registry::default().with_config(&Config::load()?))
    }

    pub fn connect_options(&self) -> ConnectOptions {
        let history = history::kept();
        ConnectOptions { quiet: self.common.quiet, history, ..ConnectOptions::default() }
    }

    pub async fn connect(&self, name: &str) -> Result<LmHandle> {
        self.registry()?.connect_with(name, self.connect_options()).await
    }

    /// The context without an LM, for commands that call none.
    pub fn offline_context(&self) -> Result<Context> {
        let adapter = adapter::by_name(self.common.adapter.as_deref().unwrap_or("chat"))?;
        let settings = LmSettings {
            temperature: self.common.temperature,
            max_tokens: self.common.max_tokens,
            seed: None,
            ..LmSettings::default()
        };
        let cx = Context::new(LmHandle::new(Offline::default()), adapter).with_settings(&settings);
        Ok(cx.with_seed(self.seed()))
    }

    /// The context for a program; says which LM it uses.
    pub async fn context(&self, loaded: &Loaded, cancel: Cancel) -> Result<(Context, String)> {
        let (name, why) = self.lm_name()?;
        let cx = self.offline_context()?;
        self.note(&format!("LM: {name} (from {why})"));
        let mut cx = cx.with_lm(self.connect(&name).await?).with_cancel(cancel);
        for other in loaded.lms.iter().chain(&self.common.also_lm) {
            cx = cx.with_named_lm(other.as_str(), self.connect(other).await?);
        }
        Ok((cx, name))
    }
}

fn kind_name(kind: ModuleKind) -> &'static str {
    match kind {
        ModuleKind::Predict => "predict",
        ModuleKind::Cot => "cot",
    }
}

impl Loaded {
    /// What a call costs where several vote.
    pub fn voters(&self) -> Option<String> {
        voters(self.members)
    }
}

/// What a call costs where `n` members vote; none of one.
pub(super) fn voters(n: usize) -> Option<String> {
    (n > 1).then(|| format!("{n} members vote: every call runs the program {n} times"))
}

/// One module over a signature.
pub(super) fn single(signature: Signature, kind: ModuleKind) -> Result<Program> {
    Ok(match kind {
        ModuleKind::Predict => Program::new(Predict::of(signature)?),
        ModuleKind::Cot => Program::new(ChainOfThought::of(signature)?),
    })
}

fn from_pipeline(path: &str) -> Result<Loaded> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, &e))?;
    let pipeline = Pipeline::parse(&text).map_err(|e| match e {
        Error::Config(message) => Error::Config(format!("{path}: {message}")),
        other => other,
    })?;
    let lms = pipeline.lm_names();
    let source = Some(Source::Pipeline(text));
    Ok(Loaded { program: Program::new(pipeline), source, lms, members: 1 })
}

fn text_or_file(text: &str) -> Result<String> {
    match text.strip_prefix('@') {
        Some(path) => Ok(std::fs::read_to_string(path)
            .map_err(|e| Error::io(path, &e))?
            .trim_end()
            .to_owned()),
        None => Ok(text.to_owned()),
    }
}
