//! Where Teleprompt keeps what it can fetch or compute again.

use std::ffi::OsString;
use std::path::PathBuf;

/// The directory for everything that may be deleted without loss: models, cached replies.
///
/// `TELEPROMPT_CACHE_DIR` if set, else the platform's cache directory with `teleprompt` below it:
/// `$XDG_CACHE_HOME` or `~/.cache` on Linux and other Unixes, `~/Library/Caches` on macOS,
/// `%LOCALAPPDATA%` on Windows. A process without a home uses the directory for temporary files.
pub fn cache_root() -> PathBuf {
    root_from(|name| std::env::var_os(name), std::env::home_dir())
}

/// The directory of the model store: `TELEPROMPT_MODELS_DIR` if set, else `models` below
/// [`cache_root`].
pub fn models_dir() -> PathBuf {
    models_from(|name| std::env::var_os(name), std::env::home_dir())
}

fn models_from(var: impl Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> PathBuf {
    match var("TELEPROMPT_MODELS_DIR").filter(|v| !v.is_empty()) {
        Some(dir) => PathBuf::from(dir),
        None => root_from(var, home).join("models"),
    }
}

fn root_from(var: impl Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> PathBuf {
    let set = |name: &str| var(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(root) = set("TELEPROMPT_CACHE_DIR") {
        return root;
    }
    let home = home.filter(|h| h.is_absolute());
    let base = if cfg!(windows) {
        set("LOCALAPPDATA").or_else(|| home.map(|h| h.join("AppData").join("Local")))
    } else if cfg!(target_os = "macos") {
        home.map(|h| h.join("Library").join("Caches"))
    } else {
        // The XDG rules call a relative path invalid, to be ignored.
        let xdg = set("XDG_CACHE_HOME").filter(|p| p.is_absolute());
        xdg.or_else(|| home.map(|h| h.join(".cache")))
    };
    base.unwrap_or_else(std::env::temp_dir).join("teleprompt")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn var(vars: &[(&str, &str)]) -> impl Fn(&str) -> Option<OsString> {
        move |n| vars.iter().find(|(k, _)| *k == n).map(|(_, v)| OsString::from(v))
    }

    fn root(vars: &[(&str, &str)], home: Option<&str>) -> PathBuf {
        root_from(var(vars), home.map(PathBuf::from))
    }

    #[test]
    fn own_variables_win() {
        let vars = [("TELEPROMPT_CACHE_DIR", "/own"), ("XDG_CACHE_HOME", "/xdg")];
        assert_eq!(root(&vars, Some("/home/a")), PathBuf::from("/own"));
        assert_eq!(models_from(var(&vars), None), PathBuf::from("/own/models"));
        let models = [("TELEPROMPT_MODELS_DIR", "/big"), ("TELEPROMPT_CACHE_DIR", "/own")];
        assert_eq!(models_from(var(&models), None), PathBuf::from("/big"));
    }

    #[test]
    #[cfg(all(unix, not(target_os = "macos")))]
    fn unix_order() {
        let xdg = |v| [("XDG_CACHE_HOME", v)];
        assert_eq!(root(&xdg("/xdg"), Some("/home/a")), PathBuf::from("/xdg/teleprompt"));
        let home = PathBuf::from("/home/a/.cache/teleprompt");
        assert_eq!(root(&xdg("relative"), Some("/home/a")), home);
        assert_eq!(root(&xdg(""), Some("/home/a")), home);
        assert_eq!(root(&[], None), std::env::temp_dir().join("teleprompt"));
    }
}
