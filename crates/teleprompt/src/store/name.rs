//! The names models go by: a known name, `hf:owner/repo/file.gguf[@revision]`, or a path.

use std::fmt;
use std::path::{Path, PathBuf};

use teleprompt_core::names::suggestion;

use super::error::StoreError;
use super::known::KnownModel;

/// A file on the Hugging Face hub.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HfFile {
    /// The user or organisation.
    pub owner: String,
    /// The repository.
    pub repo: String,
    /// The path of the file in the repository.
    pub file: String,
    /// A branch, tag or commit.
    pub revision: String,
}

impl HfFile {
    /// Reads `owner/repo/file.gguf[@revision]` (without `hf:`); the revision is `main` if not
    /// given.
    ///
    /// ```
    /// use teleprompt::store::HfFile;
    /// let file = HfFile::parse("QuantFactory/Tiny-GGUF/Tiny.Q4_1.gguf@v1.0")?;
    /// assert_eq!((file.file.as_str(), file.revision.as_str()), ("Tiny.Q4_1.gguf", "v1.0"));
    /// # Ok::<(), teleprompt::store::StoreError>(())
    /// ```
    ///
    /// # Errors
    /// [`StoreError::BadName`] if a part is missing, the file is no `.gguf`, or a part has
    /// characters the hub does not allow (`..`, spaces…).
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        let bad = |problem: &str| StoreError::BadName {
            name: format!("hf:{text}"),
            problem: problem.to_owned(),
        };
        let (path, revision) = text.split_once('@').unwrap_or((text, "main"));
        let mut parts = path.splitn(3, '/');
        let (Some(owner), Some(repo), Some(file)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(bad("a part is missing"));
        };
        if !is_gguf(Path::new(file)) {
            return Err(bad("the file does not end with .gguf"));
        }
        if !(is_part(owner) && is_part(repo)) {
            return Err(bad("the owner or the repository is no name the hub allows"));
        }
        if !file.split('/').all(is_part) {
            return Err(bad("the file has characters that are not allowed"));
        }
        if !revision.split('/').all(is_part) {
            return Err(bad("the revision is empty or has characters that are not allowed"));
        }
        let own = str::to_owned;
        Ok(Self { owner: own(owner), repo: own(repo), file: own(file), revision: own(revision) })
    }

    /// Where the file lies below the store's directory.
    pub(super) fn relative_path(&self) -> PathBuf {
        let mut path: PathBuf = ["hf", &self.owner, &self.repo].iter().collect();
        // One directory a revision: "refs/pr/1" must not look like a directory of the repository.
        path.push(self.revision.replace('/', "%2F"));
        path.extend(self.file.split('/'));
        path
    }

    /// The reverse of [`HfFile::relative_path`].
    pub(super) fn from_relative_path(path: &Path) -> Option<Self> {
        let parts: Vec<&str> = path.iter().map(|p| p.to_str()).collect::<Option<_>>()?;
        let ["hf", owner, repo, revision, file @ ..] = parts.as_slice() else { return None };
        let revision = revision.replace("%2F", "/");
        Self::parse(&format!("{owner}/{repo}/{}@{revision}", file.join("/"))).ok()
    }
}

impl fmt::Display for HfFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { owner, repo, file, revision } = self;
        write!(f, "hf:{owner}/{repo}/{file}")?;
        if revision == "main" { Ok(()) } else { write!(f, "@{revision}") }
    }
}

/// A name that was looked up.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Target {
    /// A file that the user keeps.
    Local(PathBuf),
    Stored(Stored),
}

/// A model that the store keeps.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stored {
    Known(KnownModel),
    Hub(HfFile),
}

impl Target {
    pub(super) fn parse(name: &str, known: &[KnownModel]) -> Result<Self, StoreError> {
        if let Some(model) = known.iter().find(|m| m.name == name) {
            return Ok(Self::Stored(Stored::Known(model.clone())));
        }
        if let Some(file) = name.strip_prefix("hf:") {
            return HfFile::parse(file).map(|file| Self::Stored(Stored::Hub(file)));
        }
        let path = expand_home(name);
        if is_gguf(&path) || name.contains(['/', '\\']) {
            return Ok(Self::Local(path));
        }
        let hint = suggestion(name, known.iter().map(|m| m.name.as_str()));
        Err(StoreError::UnknownModel { name: name.to_owned(), hint })
    }
}

pub(super) fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"))
}

/// Safe as one component of a path and of an address, on every platform.
fn is_part(part: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-+=,()".contains(c);
    !part.is_empty() && !part.starts_with('.') && !part.ends_with('.') && part.chars().all(allowed)
}

/// A shell does not expand the `~` in `local:~/model.gguf`.
fn expand_home(name: &str) -> PathBuf {
    match (name.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::builtin_models;

    #[test]
    fn hub_names_print_and_store_as_they_parse() {
        for name in [
            "hf:a/b/c.gguf",
            "hf:a/b/c.gguf@v1",
            "hf:a/b/sub/dir/c.GGUF@refs/pr/1",
            "hf:A-1/b_2.x/c-Q4_K_M.gguf",
        ] {
            let file = HfFile::parse(name.strip_prefix("hf:").unwrap()).unwrap();
            assert_eq!(file.to_string(), name);
            assert_eq!(HfFile::from_relative_path(&file.relative_path()), Some(file));
        }
    }

    #[test]
    fn hub_names_that_would_leave_the_store_are_refused() {
        for name in [
            "a/b",
            "a/b/c",
            "a/b/c.bin",
            "/b/c.gguf",
            "../b/c.gguf",
            "a/../c.gguf",
            "a/b/../../c.gguf",
            "a/b/.gguf",
            "a/b//c.gguf",
            "a/b/c.gguf@",
            "a/b/c.gguf@..",
            "a/b/c.gguf@x/../../y",
            "a/b/d\\c.gguf",
            "a/b/C:c.gguf",
            "a/b/c d.gguf",
            "a/b/c?.gguf",
        ] {
            assert!(HfFile::parse(name).is_err(), "{name}");
        }
    }

    #[test]
    fn unknown_names_get_a_suggestion() {
        let known = builtin_models();
        let error = Target::parse("smolm2-135m", &known).unwrap_err().to_string();
        assert!(error.contains("did you mean `smollm2-135m`?"), "{error}");
        assert!(matches!(Target::parse("x.gguf", &known), Ok(Target::Local(_))));
        assert!(matches!(Target::parse("dir/x", &known), Ok(Target::Local(_))));
        assert!(matches!(
            Target::parse("smollm2-135m", &known),
            Ok(Target::Stored(Stored::Known(_)))
        ));
    }

    #[test]
    fn home_is_expanded() {
        let home = std::env::home_dir().unwrap();
        assert_eq!(expand_home("~/m/x.gguf"), home.join("m/x.gguf"));
        assert_eq!(expand_home("m/~/x.gguf"), PathBuf::from("m/~/x.gguf"));
    }
}
