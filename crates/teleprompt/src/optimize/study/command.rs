//! How a compile was started, so that it can be started again without typing.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use teleprompt_core::{Error, Result};

const FILE: &str = "command.json";

/// What stands for a secret that was left out.
const HIDDEN: &str = "(hidden)";

/// Parts of names whose values are secrets.
const SECRET: [&str; 7] = ["key", "token", "secret", "password", "passwd", "auth", "credential"];

/// A command line, as it is kept in a study's folder. Secrets are never in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The version of teleprompt that ran it.
    pub version: String,
    /// The working directory, for paths in it.
    pub dir: PathBuf,
    /// The arguments, without the name of the binary.
    pub args: Vec<String>,
    /// Whether something secret was left out of the arguments.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
}

impl Command {
    /// Of this version, with everything that looks like a secret left out: values of `…KEY=…` and the
    /// like, and user names and passwords in addresses.
    pub fn new(dir: impl Into<PathBuf>, args: impl IntoIterator<Item = String>) -> Self {
        let mut hidden = false;
        let args = args.into_iter().map(|arg| {
            let clean = without_secrets(&arg);
            hidden |= clean != arg;
            clean
        });
        let args = args.collect();
        Self { version: env!("CARGO_PKG_VERSION").into(), dir: dir.into(), args, hidden }
    }

    /// The arguments as they could be typed into a shell.
    pub fn line(&self) -> String {
        let plain = |c: char| c.is_alphanumeric() || "-_./:@=,+%".contains(c);
        let quoted = |arg: &String| match !arg.is_empty() && arg.chars().all(plain) {
            true => arg.clone(),
            false => format!("'{}'", arg.replace('\'', r"'\''")),
        };
        self.args.iter().map(quoted).collect::<Vec<_>>().join(" ")
    }

    pub(super) fn write(&self, study: &Path) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(self).map_err(|e| Error::Study(e.to_string()))?;
        text.push(b'\n');
        crate::files::write_atomic(&study.join(FILE), &text)
    }

    /// The command of the study in this folder; none if it was started by a program of one's own.
    pub(super) fn read(study: &Path) -> Result<Option<Self>> {
        let path = study.join(FILE);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io(&path, &e)),
        };
        let command = serde_json::from_slice(&text);
        command.map(Some).map_err(|e| Error::Study(format!("{}: {e}", path.display())))
    }
}

fn without_secrets(arg: &str) -> String {
    let arg = without_user(arg);
    // `NAME=VALUE`, also several of them in the query of an address.
    let part = |part: &str| {
        let mut names = part.match_indices('=').map(|(at, _)| part.split_at(at));
        let secret = names.find(|(name, value)| is_secret(name) && value.len() > 1);
        secret.map_or_else(|| part.to_owned(), |(name, _)| format!("{name}={HIDDEN}"))
    };
    arg.split('&').map(part).collect::<Vec<_>>().join("&")
}

/// Whether the last word before the `=` names a secret: not `max_tokens`, which is a number.
fn is_secret(name: &str) -> bool {
    let word = |c: char| !(c.is_alphanumeric() || c == '_' || c == '-');
    let name = name.rsplit(word).next().unwrap_or(name).to_lowercase();
    !name.ends_with("tokens") && SECRET.iter().any(|secret| name.contains(secret))
}

/// `https://user:password@host` without the user and the password.
fn without_user(arg: &str) -> String {
    let Some((before, after)) = arg.split_once("://") else { return arg.to_owned() };
    let end = after.find(['/', '?', '#']).unwrap_or(after.len());
    let (host, path) = after.split_at(end);
    match host.rsplit_once('@') {
        Some((_, host)) => format!("{before}://{HIDDEN}@{host}{path}"),
        None => arg.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_can_be_typed_into_a_shell() {
        let args = ["compile", "q: str -> it's", "--set", "k=8", ""].map(str::to_owned);
        assert_eq!(Command::new("/", args).line(), r"compile 'q: str -> it'\''s' --set k=8 ''");
    }

    #[test]
    fn secrets_are_left_out_and_all_else_stays() {
        let cases = [
            ("API_KEY=sk-1", "API_KEY=(hidden)"),
            ("--set=openai-key=abc", "--set=openai-key=(hidden)"),
            ("openai:m@http://me:pw@host/v1", "openai:m@http://(hidden)@host/v1"),
            ("m@http://host/v1?api_key=k&x=1", "m@http://host/v1?api_key=(hidden)&x=1"),
        ];
        for (arg, clean) in cases {
            let command = Command::new("/", [arg.to_owned()]);
            assert_eq!((command.args[0].as_str(), command.hidden), (clean, true));
        }
        for arg in
            ["--set", "max_tokens=5", "k=8", "openai:m@http://host/v1", "q: str -> key", "a=b"]
        {
            let command = Command::new("/", [arg.to_owned()]);
            assert_eq!((command.args[0].as_str(), command.hidden), (arg, false));
        }
    }
}
