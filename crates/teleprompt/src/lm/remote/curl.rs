//! A request as a command line, for people who want to try it by hand.

use teleprompt_core::{LmError, LmRequest};

use super::Remote;

impl Remote {
    /// The request as a curl command that a POSIX shell takes, as it would be sent first. The key
    /// is left as the variable that holds it (`TELEPROMPT_API_KEY` where it comes from elsewhere),
    /// the value of a secret header as a variable named like the header.
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
        let endpoint = self.endpoint();
        let body = self.body(request, self.manner(request), false)?;
        let url = self.client.url(&endpoint.wire.path(&self.model, false));
        let mut lines = vec![format!("curl -sS {}", quoted(&url))];
        lines.push("-H 'content-type: application/json'".into());
        for (name, value) in endpoint.wire.headers() {
            lines.push(header(name.as_str(), value.to_str().unwrap_or_default()));
        }
        if !endpoint.key().is_none() {
            let (name, before) = self.client.key_header();
            let variable = endpoint.key().variable().unwrap_or("TELEPROMPT_API_KEY");
            lines.push(format!("-H \"{name}: {before}${variable}\""));
        }
        for (name, value) in &endpoint.headers {
            let (name, secret) = (name.as_str(), value.is_sensitive());
            lines.push(match value.to_str() {
                Ok(value) if !secret => header(name, value),
                _ => format!("-H \"{name}: ${}\"", name.to_uppercase().replace('-', "_")),
            });
        }
        lines.push(format!("--data-raw {}", quoted(&format!("{body:#}"))));
        Ok(lines.join(" \\\n  "))
    }
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
            .map(|e| e.with_query("api-version", "1 2"))
            .unwrap();
        let remote = Remote::new("m", endpoint).unwrap();
        let command = remote.curl(&LmRequest::new(vec![Message::user("It's `me` $HOME")])).unwrap();
        assert!(!command.contains("marker"), "{command}");
        let expected = [
            "curl -sS 'https://gate.example/v1/chat/completions?api-version=1%202' \\\n",
            "-H \"authorization: Bearer $TELEPROMPT_API_KEY\"",
            r"-H 'x-team: a'\''b'",
            "-H \"x-api-token: $X_API_TOKEN\"",
            r"It'\''s `me` $HOME",
        ];
        for part in expected {
            assert!(command.contains(part), "{part} in {command}");
        }
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
