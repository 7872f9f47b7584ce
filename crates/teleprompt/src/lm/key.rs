//! Where the key of a provider comes from, and how it is kept out of what people read.

use std::fmt;
use std::process::Stdio;
use std::sync::Arc;

use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use tokio::process::Command;
use tokio::sync::OnceCell;

/// Where a key comes from. It is read when the first call is made and never printed.
///
/// ```
/// use teleprompt::lm::KeySource;
///
/// assert_eq!(KeySource::env("GATE_KEY").to_string(), "GATE_KEY");
/// let given = KeySource::value("sk-secret");
/// assert!(!format!("{given} {given:?}").contains("sk-secret"));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KeySource(Source);

#[derive(Clone, Default)]
enum Source {
    #[default]
    None,
    /// There is one, but it is not sent; what to do about it.
    Withheld(Arc<str>),
    Env(Arc<str>),
    Value(Secret),
    Command(Arc<KeyCommand>),
}

/// A program that prints a key.
struct KeyCommand {
    argv: Vec<String>,
    key: OnceCell<Secret>,
}

impl KeySource {
    /// No key is sent.
    pub fn none() -> Self {
        Self::default()
    }

    /// No key is sent, and this is what one does about it.
    pub(crate) fn withheld(remedy: impl Into<Arc<str>>) -> Self {
        Self(Source::Withheld(remedy.into()))
    }

    /// The environment variable of this name. If it is not set or empty, no key is sent.
    pub fn env(variable: impl Into<Arc<str>>) -> Self {
        Self(Source::Env(variable.into()))
    }

    /// This key.
    pub fn value(key: impl Into<String>) -> Self {
        Self(Source::Value(Secret(key.into().into())))
    }

    /// What this program prints, without white space around it. It is run once, when the first call
    /// is made, and asked again only after a failure; clones share the result. Its standard error
    /// goes to ours.
    pub fn command(argv: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let argv = argv.into_iter().map(Into::into).collect();
        Self(Source::Command(Arc::new(KeyCommand { argv, key: OnceCell::new() })))
    }

    /// What this line prints in the system's shell; else as [`KeySource::command`].
    pub fn shell(line: &str) -> Self {
        let shell = if cfg!(windows) { ["cmd", "/C"] } else { ["sh", "-c"] };
        Self::command(shell.into_iter().chain([line]))
    }

    /// The environment variable, where it is one.
    pub fn variable(&self) -> Option<&str> {
        match &self.0 {
            Source::Env(variable) => Some(variable),
            _ => None,
        }
    }

    /// Whether the environment variable is set; `None` where it is none.
    pub fn is_set(&self) -> Option<bool> {
        self.variable().map(|variable| env(variable).is_some())
    }

    /// Whether no key is sent at all.
    pub fn is_none(&self) -> bool {
        matches!(self.0, Source::None | Source::Withheld(_))
    }

    /// The key. `Err` says in words why a command gave none.
    pub(crate) async fn read(&self) -> Result<Option<Secret>, String> {
        match &self.0 {
            Source::None | Source::Withheld(_) => Ok(None),
            Source::Env(variable) => Ok(env(variable).map(|key| Secret(key.into()))),
            Source::Value(key) => Ok(Some(key.clone())),
            Source::Command(command) => {
                command.key.get_or_try_init(|| command.run()).await.cloned().map(Some)
            }
        }
    }

    /// What a person does where the server wants a key and got none.
    pub(crate) fn remedy(&self) -> String {
        match &self.0 {
            Source::None => "give the provider a key (key_env) in your configuration".into(),
            Source::Withheld(remedy) => remedy.to_string(),
            Source::Env(variable) => format!("set {variable}"),
            Source::Value(_) | Source::Command(_) => format!("check {self}"),
        }
    }
}

/// The variable, the words `the key that was given`, `the key command` or `no key`.
impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::None | Source::Withheld(_) => f.write_str("no key"),
            Source::Env(variable) => f.write_str(variable),
            Source::Value(_) => f.write_str("the key that was given"),
            Source::Command(_) => f.write_str("the key command"),
        }
    }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySource({self})")
    }
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Withheld(a), Self::Withheld(b)) => a == b,
            (Self::Env(a), Self::Env(b)) => a == b,
            (Self::Value(a), Self::Value(b)) => a.0 == b.0,
            (Self::Command(a), Self::Command(b)) => a.argv == b.argv,
            _ => false,
        }
    }
}

impl Eq for Source {}

impl KeyCommand {
    async fn run(&self) -> Result<Secret, String> {
        let Some((program, args)) = self.argv.split_first() else {
            return Err("the key command is empty; write it as `key_command = \"…\"`".into());
        };
        let output = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|e| format!("the key command `{program}` does not start: {e}"))?;
        if !output.status.success() {
            return Err(format!("the key command failed ({}); run it by hand", output.status));
        }
        match String::from_utf8(output.stdout).map(|key| key.trim().to_owned()) {
            Ok(key) if !key.is_empty() => Ok(Secret(key.into())),
            _ => Err("the key command printed no key; run it by hand".into()),
        }
    }
}

/// The variable's value, trimmed; an empty one counts as not set.
pub(crate) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().map(|v| v.trim().to_owned()).filter(|v| !v.is_empty())
}

/// A text that nobody may read by accident.
#[derive(Clone)]
pub(crate) struct Secret(Arc<str>);

impl Secret {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text itself, for the header that carries it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// The forms in which a server may repeat it: as it is, URL-encoded, and in base64 at any place
    /// inside a longer text.
    fn forms(&self) -> Vec<String> {
        let text = self.expose();
        if text.len() < SECRET_LENGTH {
            return Vec::new();
        }
        let mut forms = vec![text.to_owned(), url_encoded(text, true), url_encoded(text, false)];
        for offset in 0..3 {
            forms.push(inside_base64(text, offset, &STANDARD));
            forms.push(inside_base64(text, offset, &URL_SAFE));
        }
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        forms.dedup();
        forms
    }
}

/// Shorter texts, such as the `none` that local servers get, are no secrets; taking them out would
/// spoil messages.
const SECRET_LENGTH: usize = 6;

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[key]")
    }
}

pub(crate) fn url_encoded(text: &str, upper: bool) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(byte.into());
            }
            _ if upper => out.push_str(&format!("%{byte:02X}")),
            _ => out.push_str(&format!("%{byte:02x}")),
        }
        out
    })
}

/// The base64 characters that the text alone decides if `offset` bytes, modulo 3, stand before it.
fn inside_base64(text: &str, offset: usize, engine: &impl base64::Engine) -> String {
    let mut bytes = vec![0; offset];
    bytes.extend_from_slice(text.as_bytes());
    let whole = engine.encode(&bytes);
    // Characters hold 6 bits: those with a bit of the bytes before or behind are left out.
    let from = (offset * 8).div_ceil(6);
    let to = bytes.len() * 8 / 6;
    whole.get(from..to).unwrap_or_default().to_owned()
}

/// Takes secrets out of texts.
#[derive(Clone, Default)]
pub(crate) struct Redactor(Vec<String>);

impl Redactor {
    pub(crate) fn new<'s>(secrets: impl IntoIterator<Item = &'s Secret>) -> Self {
        Self(secrets.into_iter().flat_map(Secret::forms).collect())
    }

    /// The text with `[key]` in the place of each secret.
    pub(crate) fn clean(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, form| {
            if text.contains(form.as_str()) { text.replace(form.as_str(), "[key]") } else { text }
        })
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} forms)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    const KEY: &str = "sk-marker+/4711=é";

    #[test]
    fn a_key_is_taken_out_in_every_form() {
        let redactor = Redactor::new([&Secret::new(KEY)]);
        for before in ["", "a", "ab", "Bearer ", "user:"] {
            let text = format!("{before}{KEY} tail");
            for form in [
                text.clone(),
                STANDARD.encode(&text),
                URL_SAFE.encode(&text),
                url_encoded(&text, true),
                url_encoded(&text, false),
            ] {
                let cleaned = redactor.clean(&form);
                assert!(cleaned.contains("[key]"), "{form} → {cleaned}");
                assert!(!cleaned.contains("marker"), "{cleaned}");
            }
        }
        assert_eq!(redactor.clean("nothing here"), "nothing here");
    }

    #[test]
    fn short_texts_are_no_secrets() {
        let redactor = Redactor::new([&Secret::new("none")]);
        assert_eq!(redactor.clean("none found"), "none found");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_command_runs_once_and_is_trimmed() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let source = KeySource::shell(&format!("echo x >> '{}'; echo ' k-123 '", log.display()));
        for source in [source.clone(), source] {
            assert_eq!(source.read().await.unwrap().unwrap().expose(), "k-123");
        }
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "x\n");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_command_that_gives_no_key_says_so() {
        let cases = [
            (KeySource::shell("exit 3"), "failed"),
            (KeySource::shell("true"), "printed no key"),
            (KeySource::command(["/no/such/program"]), "does not start"),
            (KeySource::command(Vec::<String>::new()), "empty"),
        ];
        for (source, said) in cases {
            let message = source.read().await.unwrap_err();
            assert!(message.contains(said), "{message}");
        }
    }
}
