//! What is in the store.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::gguf::{self, GgufInfo};
use super::name::{HfFile, is_gguf};

/// One line of `teleprompt models list`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ModelInfo {
    /// The name to write in `local:NAME`.
    pub name: String,
    /// What it is, in a few words.
    pub title: Option<String>,
    /// Where its file is, or would be.
    pub path: PathBuf,
    /// Whether the file is there.
    pub present: bool,
    /// Its size in bytes, if known.
    pub size: Option<u64>,
    /// Its licence, if known.
    pub licence: Option<String>,
    /// What the head of the file says, if it is there and can be read.
    pub gguf: Option<GgufInfo>,
}

/// The files pulled from the hub, sorted by name.
pub(super) fn pulled_from_hub(dir: &Path) -> std::io::Result<Vec<ModelInfo>> {
    let mut files = Vec::new();
    collect(&dir.join("hf"), &mut files)?;
    let mut models: Vec<ModelInfo> = files.iter().filter_map(|f| hub_model(dir, f)).collect();
    models.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(models)
}

fn hub_model(dir: &Path, path: &Path) -> Option<ModelInfo> {
    let file = HfFile::from_relative_path(path.strip_prefix(dir).ok()?)?;
    let gguf = gguf::check_file(path).ok();
    Some(ModelInfo {
        name: file.to_string(),
        title: gguf.as_ref().and_then(|g| g.name.clone()),
        path: path.to_owned(),
        present: true,
        size: path.metadata().ok().map(|m| m.len()),
        licence: gguf.as_ref().and_then(|g| g.licence.clone()),
        gguf,
    })
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else if is_gguf(&entry.path()) {
            files.push(entry.path());
        }
    }
    Ok(())
}
