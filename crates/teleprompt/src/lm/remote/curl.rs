//! A request as a command line, for people who want to try it by hand.

use std::collections::BTreeMap;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use teleprompt_core::{LmError, LmRequest};

use super::super::endpoint::is_secret_query;
use super::super::key::url_encoded;
use super::Remote;

impl Remote {
    /// The request as a curl command that a POSIX shell takes, as it would be sent first. The key
    /// is left as the variable that holds it (`TELEPROMPT_API_KEY` where it comes from elsewhere),
    /// the value of a secret header or a secret parameter of the
    /// query as a variable of its name.
    ///
    /// ```
    /// use teleprompt::lm::{Endpoint, KeySource, Remote};
    /// use teleprompt::{LmRequest, Message};
    ///
    /// # fn main() -> teleprompt::Result<()> {
    /// let gate = Endpoint::new("openai-chat", "https://gate.example/v1")?;
    /// let lm = Remote::new("m", gate.with_key(KeySource::env("GATE_KEY")))?;
    /// let command = lm.curl(&LmRequest::new(vec![Message::user("It's me")]))?;
    /// assert!(command.contains(r#"-H "authorization: Bearer $GATE_KEY""#));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The protocol cannot say the request.
    pub fn curl(&self, request: &LmRequest) -> Result<String, LmError> {
        let body = self.body(request, self.manner(request), false)?;
        let mut lines = vec![format!("curl -sS {}", self.quoted_url())];
        lines.extend(self.header_lines().into_values());
        lines.push(format!("--data-raw {}", quoted(&format!("{body:#}"))));
        Ok(lines.join(" \\\n  "))
    }

    /// The URL as a word of the shell; a secret in its query is a variable.
    fn quoted_url(&self) -> String {
        // No encoded value holds this character, and no URL.
        const MARK: char = '\u{1}';
        let path = self.endpoint().wire.path(&self.model, false);
        let url = self.client.url_with(&path, |name, value| match is_secret_query(name) {
            true => format!("{MARK}{}{MARK}", variable(name)),
            false => url_encoded(value, true),
        });
        let mut parts = url.split(MARK);
        let mut word = quoted(parts.next().unwrap_or_default());
        while let (Some(name), Some(rest)) = (parts.next(), parts.next()) {
            word.push_str(&format!("\"${name}\""));
            if !rest.is_empty() {
                word.push_str(&quoted(rest));
            }
        }
        word
    }

    /// The options of the headers by name: one's own in the place of ours.
    fn header_lines(&self) -> BTreeMap<String, String> {
        let endpoint = self.endpoint();
        let mut lines = BTreeMap::new();
        let json = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in endpoint.wire.headers().into_iter().chain([json]) {
            let line = header(name.as_str(), value.to_str().unwrap_or_default());
            lines.insert(name.to_string(), line);
        }
        if !endpoint.key().is_none() {
            let (name, before) = self.client.key_header();
            let variable = endpoint.key().variable().unwrap_or("TELEPROMPT_API_KEY");
            let line = format!("-H \"{name}: {before}${variable}\"");
            lines.insert(name.to_string(), line);
        }
        for (name, value) in &endpoint.headers {
            let line = match value.to_str() {
                Ok(told) if !value.is_sensitive() => header(name.as_str(), told),
                _ => format!("-H \"{name}: ${}\"", variable(name.as_str())),
            };
            lines.insert(name.to_string(), line);
        }
        lines
    }
}

/// A variable for a secret of this name.
fn variable(name: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    name.chars().map(fits).collect()
}

fn header(name: &str, value: &str) -> String {
    format!("-H {}", quoted(&format!("{name}: {value}")))
}

/// The text as one word of a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use teleprompt_core::Message;

    use super::*;
    use crate::lm::{Endpoint, KeySource};

    #[test]
    fn the_command_holds_no_secret_and_is_quoted() {
        let endpoint = Endpoint::new("openai-chat", "https://gate.example/v1")
            .and_then(|e| e.with_key(KeySource::value("sk-marker")).with_header("x-team", "a'b"))
            .and_then(|e| e.with_header("x-api-token", "marker-2"))
            .and_then(|e| e.with_header("Content-Type", "application/json; charset=utf-8"))
            .map(|e| e.with_query("api-version", "1 2").with_query("sig", "marker-3"))
            .map(|e| e.with_query("z", "1"))
            .unwrap();
        let remote = Remote::new("m", endpoint).unwrap();
        let command = remote.curl(&LmRequest::new(vec![Message::user("It's `me` $HOME")])).unwrap();
        assert!(!command.contains("marker"), "{command}");
        let expected = [
            "curl -sS 'https://gate.example/v1/chat/completions?api-version=1%202&sig='\"$SIG\"'&z=1' \\\n",
            "-H 'content-type: application/json; charset=utf-8'",
            "-H \"authorization: Bearer $TELEPROMPT_API_KEY\"",
            r"-H 'x-team: a'\''b'",
            "-H \"x-api-token: $X_API_TOKEN\"",
            r"It'\''s `me` $HOME",
        ];
        for part in expected {
            assert!(command.contains(part), "{part} in {command}");
        }
        assert_eq!(command.matches("content-type").count(), 1, "{command}");
    }

    #[cfg(unix)]
    #[test]
    fn a_shell_reads_the_body_back() {
        let text = "a 'b' \"c\" $HOME `d` \\ !\n";
        let script = format!("printf %s {}", quoted(text));
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
    }
}
