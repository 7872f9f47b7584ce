//! A model file: checked, hashed, loaded.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::OnceLock;

use llama_cpp_2::gguf::GgufContext;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use teleprompt_core::{LmError, LmErrorKind};

/// The environment variable that lets llama.cpp write its log to standard error.
const LOG_VARIABLE: &str = "TELEPROMPT_ENGINE_LOG";

/// Beginnings of the names of architectures that llama.cpp loads but that cannot continue a text.
const ENCODERS: [&str; 9] = [
    "bert",
    "nomic-bert",
    "neo-bert",
    "jina-bert",
    "modern-bert",
    "t5",
    "clip",
    "gemma-embedding",
    "wavtokenizer",
];

/// A loaded model.
pub(crate) struct Weights {
    model: LlamaModel,
    backend: &'static LlamaBackend,
    hash: blake3::Hash,
}

impl Weights {
    /// Loads a model file. Errors name the file and a remedy; `name` is the LM's.
    pub(crate) fn load(name: &str, path: &Path) -> Result<Self, LmError> {
        let error = |kind, text: String| LmError::new(kind, name, text);
        let wrong = |text: String| error(LmErrorKind::Model, text);
        let hash = examine(path).map_err(wrong)?;
        let backend = backend().map_err(wrong)?;
        let architecture = architecture(path).ok_or_else(|| wrong(damaged(path, "its header")))?;
        if ENCODERS.iter().any(|prefix| architecture.starts_with(prefix)) {
            let text = format!(
                "{} is of the architecture `{architecture}`, which encodes text but cannot \
                 continue it; give a generative model",
                path.display()
            );
            return Err(error(LmErrorKind::Unsupported, text));
        }
        let model = LlamaModel::load_from_file(backend, path, &LlamaModelParams::default());
        let model = model.map_err(|_| {
            let rest = "the rest of it";
            wrong(format!(
                "{}; if it is whole, this version does not know its architecture `{architecture}`",
                damaged(path, rest)
            ))
        })?;
        if model.n_vocab() <= 0 || model.meta_val_str("tokenizer.ggml.model").is_err() {
            return Err(wrong(format!("{} has no tokenizer; give a whole model", path.display())));
        }
        Ok(Self { model, backend, hash })
    }

    pub(crate) fn model(&self) -> &LlamaModel {
        &self.model
    }

    pub(crate) fn backend(&self) -> &'static LlamaBackend {
        self.backend
    }

    /// The hash of the file, in hexadecimal.
    pub(crate) fn hash(&self) -> String {
        self.hash.to_hex().to_string()
    }

    pub(crate) fn trained_window(&self) -> u32 {
        self.model.n_ctx_train()
    }

    /// Whether a sequence can be cut back to a prefix.
    pub(crate) fn cuttable(&self) -> bool {
        !self.model.is_recurrent() && !self.model.is_hybrid()
    }
}

/// Checks that the file can be read and looks like a model; hashes it.
fn examine(path: &Path) -> Result<blake3::Hash, String> {
    let shown = path.display();
    let unreadable = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => {
            format!("there is no file {shown}; pull the model or give another path")
        }
        _ => format!("{shown} could not be read: {e}"),
    };
    if path.is_dir() {
        return Err(format!("{shown} is a folder; give the path of a GGUF file"));
    }
    if path.to_str().is_none() {
        return Err(format!("the path {shown} is not valid Unicode; move the file"));
    }
    let mut file = File::open(path).map_err(unreadable)?;
    let mut magic = Vec::with_capacity(4);
    (&mut file).take(4).read_to_end(&mut magic).map_err(unreadable)?;
    if magic != b"GGUF" {
        return Err(format!("{shown} is no GGUF file; give a model in GGUF format"));
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(&magic);
    hasher.update_reader(file).map_err(unreadable)?;
    Ok(hasher.finalize())
}

fn damaged(path: &Path, what: &str) -> String {
    let size = path.metadata().map_or(0, |m| m.len());
    let shown = path.display();
    format!(
        "{shown} is cut off or damaged ({size} bytes; {what} cannot be loaded): delete it and pull \
         it again"
    )
}

/// The architecture's name; `None` if the file's header is damaged.
fn architecture(path: &Path) -> Option<String> {
    let header = GgufContext::from_file(path)?;
    let key = header.find_key("general.architecture");
    let is_text = key >= 0 && header.kv_type(key) == llama_cpp_sys_2::GGUF_TYPE_STRING;
    Some(if is_text { header.val_str(key).unwrap_or("?").to_owned() } else { "?".to_owned() })
}

/// llama.cpp itself, started once per process.
fn backend() -> Result<&'static LlamaBackend, String> {
    static BACKEND: OnceLock<Result<LlamaBackend, String>> = OnceLock::new();
    let started = BACKEND.get_or_init(|| {
        let mut backend = LlamaBackend::init().map_err(|e| {
            format!("llama.cpp could not be started ({e}); another part of this program uses it")
        })?;
        if std::env::var_os(LOG_VARIABLE).is_none() {
            backend.void_logs();
        }
        Ok(backend)
    });
    started.as_ref().map_err(Clone::clone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(path: &Path) -> String {
        let error = Weights::load("local:x", path).err().unwrap();
        assert_eq!(error.kind, LmErrorKind::Model);
        error.message
    }

    #[test]
    fn what_is_no_model_is_refused_with_a_remedy() {
        let folder = tempfile::tempdir().unwrap();
        assert!(message(folder.path()).contains("is a folder"));
        let file = folder.path().join("x.gguf");
        assert!(message(&file).contains("pull the model"));
        for content in [&b""[..], b"GG", b"<html>not found</html>"] {
            std::fs::write(&file, content).unwrap();
            assert!(message(&file).contains("is no GGUF file"));
        }
        for content in [&b"GGUF"[..], b"GGUF\x03\0\0\0\xff\xff\xff\xff\xff\xff\xff\x7f"] {
            std::fs::write(&file, content).unwrap();
            assert!(message(&file).contains("delete it and pull it again"));
        }
    }
}
