//! Where files of ours lie on this machine.

use std::path::PathBuf;

/// The folder for everything that can be made or fetched again.
///
/// `TELEPROMPT_CACHE_DIR` if set; else the folder `teleprompt` in the platform's place for caches:
/// `XDG_CACHE_HOME` or `~/.cache`, on macOS `~/Library/Caches`, on Windows `%LOCALAPPDATA%`. `None`
/// where not even a home is known. It need not exist yet.
pub fn cache_dir() -> Option<PathBuf> {
    cache_dir_from(|name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from))
}

fn cache_dir_from(var: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    if let Some(dir) = var("TELEPROMPT_CACHE_DIR") {
        return Some(dir);
    }
    let base = if cfg!(windows) {
        var("LOCALAPPDATA")
    } else {
        // The XDG specification says that relative paths are to be ignored.
        let xdg = var("XDG_CACHE_HOME").filter(|dir| dir.is_absolute());
        let home = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
        xdg.or_else(|| var("HOME").map(|dir| dir.join(home)))
    };
    base.map(|dir| dir.join("teleprompt"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(all(unix, not(target_os = "macos")))]
    fn the_folder_follows_the_environment() {
        let dir = |vars: &[(&str, &str)]| {
            let find = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into());
            cache_dir_from(find).map(|dir| dir.display().to_string())
        };
        let all =
            [("TELEPROMPT_CACHE_DIR", "/own"), ("XDG_CACHE_HOME", "/xdg"), ("HOME", "/home/ann")];
        assert_eq!(dir(&all).as_deref(), Some("/own"));
        assert_eq!(dir(&all[1..]).as_deref(), Some("/xdg/teleprompt"));
        assert_eq!(dir(&all[2..]).as_deref(), Some("/home/ann/.cache/teleprompt"));
        let relative = [("XDG_CACHE_HOME", "xdg"), ("HOME", "/home/ann")];
        assert_eq!(dir(&relative).as_deref(), Some("/home/ann/.cache/teleprompt"));
        assert_eq!(dir(&[]), None);
    }
}
