//! The file of a recording.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use teleprompt_core::{
    Capabilities, Error, Lm, LmError, LmErrorKind, LmRequest, LmResponse, LmSettings, Message,
    Result,
};

use crate::files;
use crate::lm::cache::Key;

/// The format of the file.
const VERSION: u32 = 1;

/// The key of a request, whichever LM it goes to: a recording is of one LM.
pub(super) fn key(request: &LmRequest) -> Key {
    Key::of("", request)
}

/// The first line.
#[derive(Serialize, Deserialize)]
pub(super) struct Header {
    teleprompt_recording: u32,
    pub(super) lm: String,
    #[serde(default)]
    can: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    context_window: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_output: Option<u32>,
}

impl Header {
    pub(super) fn of(lm: &impl Lm) -> Self {
        let c = lm.capabilities();
        let can = [
            ("json_schema", c.json_schema),
            ("lark", c.lark),
            ("logprobs", c.logprobs),
            ("label_bias", c.label_bias),
            ("tools", c.tools),
            ("media", c.media),
        ];
        Self {
            teleprompt_recording: VERSION,
            lm: lm.name().to_owned(),
            can: can.iter().filter(|(_, yes)| *yes).map(|(name, _)| (*name).to_owned()).collect(),
            context_window: c.context_window,
            max_output: c.max_output,
        }
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        let can = |name: &str| self.can.iter().any(|c| c == name);
        let mut all = Capabilities::none()
            .with_json_schema(can("json_schema"))
            .with_lark(can("lark"))
            .with_logprobs(can("logprobs"))
            .with_label_bias(can("label_bias"))
            .with_tools(can("tools"))
            .with_media(can("media"));
        all.context_window = self.context_window;
        all.max_output = self.max_output;
        all
    }
}

/// A request as people read it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) messages: Vec<Message>,
    #[serde(default)]
    pub(super) settings: LmSettings,
    /// All else that is not as usual.
    #[serde(flatten)]
    pub(super) rest: Map<String, Value>,
}

impl Asked {
    pub(super) fn of(request: &LmRequest) -> Self {
        let mut rest = Map::new();
        let mut put = |name: &str, value: Value, usual: bool| {
            if !usual {
                rest.insert(name.into(), value);
            }
        };
        put("n", json!(request.n), request.n == 1);
        put("rollout", json!(request.rollout), request.rollout == 0);
        if let Some(constraint) = &request.constraint {
            put("json_schema", json!(constraint.json_schema), constraint.json_schema.is_none());
            put("lark", json!(constraint.lark), constraint.lark.is_none());
        }
        put("label_bias", json!(request.label_bias), request.label_bias.is_none());
        put("tools", json!(request.tools), request.tools.is_empty());
        put("tool_choice", json!(request.tool_choice), request.tool_choice.is_none());
        // Not what is in it: it may hold a secret.
        let extra = request.settings.extra_body.as_ref().map(|map| map.keys().collect::<Vec<_>>());
        put("extra_body_fields", json!(extra), extra.is_none());
        Self { messages: request.messages.clone(), settings: request.settings.clone(), rest }
    }
}

/// One call.
#[derive(Serialize, Deserialize)]
pub(super) struct Exchange {
    key: String,
    request: Asked,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    response: Option<LmResponse>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
}

/// An error, without the provider's raw answer.
#[derive(Serialize, Deserialize)]
struct Failure {
    kind: String,
    model: String,
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<f64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    no_retry: bool,
    /// Tokens of the prompt and of the window, for an overflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokens: Option<(u64, u64)>,
}

impl Exchange {
    pub(super) fn of(request: &LmRequest, outcome: Result<&LmResponse, &LmError>) -> Self {
        Self {
            key: key(request).hex(),
            request: Asked::of(request),
            response: outcome.ok().cloned(),
            error: outcome.err().map(Failure::of),
        }
    }

    pub(super) fn into_parts(self) -> (Key, Asked, Result<LmResponse, LmError>) {
        let key = Key::from_hex(&self.key).unwrap_or_default();
        let outcome = match (self.response, self.error) {
            (Some(response), _) => Ok(response),
            (None, error) => Err(error.map_or_else(Failure::missing, Failure::into_error)),
        };
        (key, self.request, outcome)
    }

    fn is_whole(&self) -> bool {
        Key::from_hex(&self.key).is_some() && (self.response.is_some() || self.error.is_some())
    }
}

impl Failure {
    fn of(error: &LmError) -> Self {
        Self {
            kind: error.kind.code().to_owned(),
            model: error.model.to_string(),
            message: error.message.clone(),
            provider: error.provider.as_deref().map(str::to_owned),
            status: error.status,
            request_id: error.request_id.clone(),
            retry_after_seconds: error.retry_after.map(|wait| wait.as_secs_f64()),
            no_retry: error.no_retry,
            tokens: match error.kind {
                LmErrorKind::ContextOverflow { needed, limit } => Some((needed, limit)),
                _ => None,
            },
        }
    }

    fn into_error(self) -> LmError {
        let kind = kind(&self.kind, self.tokens);
        let wait = self.retry_after_seconds.and_then(|s| Duration::try_from_secs_f64(s).ok());
        let mut error = LmError::new(kind, self.model, self.message)
            .with_retry_after(wait)
            .with_no_retry(self.no_retry)
            .with_request_id(self.request_id);
        error.provider = self.provider.map(Into::into);
        error.status = self.status;
        error
    }

    fn missing() -> LmError {
        LmError::new(LmErrorKind::Protocol, "replay", "the recording has no outcome of this call")
    }
}

/// The kind of this [`LmErrorKind::code`].
fn kind(code: &str, tokens: Option<(u64, u64)>) -> LmErrorKind {
    use LmErrorKind as K;
    let (needed, limit) = tokens.unwrap_or_default();
    let all = [
        K::Unreachable,
        K::Transport,
        K::Timeout,
        K::Auth,
        K::Billing,
        K::RateLimit,
        K::InvalidRequest,
        K::NotFound,
        K::ContextOverflow { needed, limit },
        K::Server,
        K::Overloaded,
        K::ContentFilter,
        K::Unsupported,
        K::Model,
        K::Budget,
        K::Cancelled,
        K::NotRecorded,
    ];
    all.into_iter().find(|kind| kind.code() == code).unwrap_or(K::Protocol)
}

/// Appends to a recording.
pub(super) struct Writer(Mutex<File>);

impl Writer {
    /// Opens the file, which is new or a recording, and puts the header into a new one.
    pub(super) fn open(path: &Path, header: &Header) -> Result<Self> {
        let failed = |e: io::Error| Error::io(path, &e);
        if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            files::create_private_dir(parent).map_err(failed)?;
        }
        let mut options = files::private_options();
        let opened = options.create(true).truncate(false).read(true).write(true).open(path);
        let mut file = opened.map_err(failed)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        // A line that was not written whole is overwritten.
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        if whole == 0 && !bytes.is_empty() {
            return Err(no_recording(path));
        }
        if whole > 0 {
            parse(path, bytes.get(..whole).unwrap_or_default())?;
        }
        file.set_len(whole as u64).and_then(|()| file.seek(SeekFrom::End(0))).map_err(failed)?;
        let writer = Self(Mutex::new(file));
        if whole == 0 {
            writer.write(header).map_err(failed)?;
        }
        Ok(writer)
    }

    /// Writes one line at once.
    pub(super) fn write(&self, line: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&text)?;
        file.flush()
    }
}

/// Reads a recording.
pub(super) fn read(path: &Path) -> Result<(Header, Vec<Exchange>)> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, &e))?;
    parse(path, &bytes)
}

fn parse(path: &Path, bytes: &[u8]) -> Result<(Header, Vec<Exchange>)> {
    let torn = !bytes.ends_with(b"\n");
    let mut lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').collect();
    let last = lines.pop().filter(|_| torn);
    let mut lines = lines.into_iter().enumerate();
    let header = lines.next().and_then(|(_, line)| serde_json::from_slice::<Header>(line).ok());
    let header = header.ok_or_else(|| no_recording(path))?;
    if header.teleprompt_recording != VERSION {
        return Err(Error::Data(format!(
            "{}: a recording of format {}, and this version reads {VERSION}; record it again",
            path.display(),
            header.teleprompt_recording
        )));
    }
    let mut exchanges = Vec::new();
    for (i, line) in lines {
        let read = serde_json::from_slice::<Exchange>(line).ok().filter(Exchange::is_whole);
        exchanges.push(read.ok_or_else(|| damaged(path, i + 1))?);
    }
    // The line after the last line end may have been written whole but for the end.
    let whole = last.and_then(|line| serde_json::from_slice::<Exchange>(line).ok());
    exchanges.extend(whole.filter(Exchange::is_whole));
    Ok((header, exchanges))
}

fn no_recording(path: &Path) -> Error {
    let path = path.display();
    Error::Data(format!("{path}: this is no recording; name a file that a Recorder wrote"))
}

fn damaged(path: &Path, line: usize) -> Error {
    let path = path.display();
    Error::Data(format!("{path}:{line}: this line is damaged; delete it, or record again"))
}
