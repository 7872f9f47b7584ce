//! The last calls, for people to look at.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use teleprompt_core::{
    Completion, Content, FinishReason, LmError, LmRequest, LmResponse, LmSettings, Media,
    MediaSource, Message, Part, Usage,
};

/// How much a [`History`] keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryConfig {
    /// Most calls. Default: 100.
    pub calls: usize,
    /// Most bytes of texts, roughly. Default: 8 MiB.
    pub bytes: usize,
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self { calls: 100, bytes: 8 << 20 }
    }
}

/// The last calls of the LMs that write into it (see
/// [`Traced::with_history`](super::Traced::with_history)), in memory. Cloning shares it.
///
/// ```
/// use teleprompt::lm::{History, Traced};
/// use teleprompt::{Lm, LmRequest, Message};
/// use teleprompt_testkit::ScriptedLm;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let history = History::new();
/// let lm = Traced::new(ScriptedLm::new(|_| "hello")).with_history(history.clone());
/// lm.generate(&LmRequest::new(vec![Message::user("hi")])).await.unwrap();
/// let shown = history.last(1)[0].to_string();
/// assert!(shown.contains("## user\nhi\n\n## assistant\nhello"), "{shown}");
/// # }
/// ```
#[derive(Clone)]
pub struct History(Arc<Inner>);

struct Inner {
    config: HistoryConfig,
    kept: Mutex<Kept>,
    sink: Option<Box<Sink>>,
}

type Sink = dyn Fn(&HistoryEntry) + Send + Sync;

#[derive(Default)]
struct Kept {
    entries: VecDeque<Arc<HistoryEntry>>,
    bytes: usize,
}

impl Default for History {
    fn default() -> Self {
        Self::new()
    }
}

impl History {
    /// An empty history with the bounds of [`HistoryConfig::default`].
    pub fn new() -> Self {
        Self::with_config(HistoryConfig::default())
    }

    /// An empty history with these bounds.
    pub fn with_config(config: HistoryConfig) -> Self {
        Self(Arc::new(Inner { config, kept: Mutex::default(), sink: None }))
    }

    /// An empty history that also hands each call to this function as soon as it is over, on the task
    /// that made the call: it should be quick.
    pub fn with_sink(
        config: HistoryConfig,
        sink: impl Fn(&HistoryEntry) + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner { config, kept: Mutex::default(), sink: Some(Box::new(sink)) }))
    }

    /// The last `n` calls, or as many as there are, in the order in which they ended.
    pub fn last(&self, n: usize) -> Vec<Arc<HistoryEntry>> {
        let kept = self.kept();
        let skip = kept.entries.len().saturating_sub(n);
        kept.entries.iter().skip(skip).cloned().collect()
    }

    /// How many calls are kept.
    pub fn len(&self) -> usize {
        self.kept().entries.len()
    }

    /// Whether no call is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all calls.
    pub fn clear(&self) {
        *self.kept() = Kept::default();
    }

    pub(super) fn push(&self, entry: HistoryEntry) {
        if let Some(sink) = &self.0.sink {
            sink(&entry);
        }
        let HistoryConfig { calls, bytes } = self.0.config;
        let mut kept = self.kept();
        kept.bytes += entry.size();
        kept.entries.push_back(Arc::new(entry));
        while kept.entries.len() > calls || kept.bytes > bytes {
            let Some(oldest) = kept.entries.pop_front() else { break };
            kept.bytes -= oldest.size();
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History").field("calls", &self.len()).finish_non_exhaustive()
    }
}

/// One call. `Display` writes it for people, with roles as headings.
///
/// Bytes of images, sound and files are replaced by a note of their size, and log-probabilities are
/// left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HistoryEntry {
    /// When the call began, in milliseconds since 1970 UTC.
    pub unix_ms: u64,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The LM's name.
    pub lm: String,
    /// What was asked.
    pub messages: Vec<Message>,
    /// How it was to be sampled.
    #[serde(default)]
    pub settings: LmSettings,
    /// How many completions were wanted.
    pub n: u32,
    /// What was answered; empty where the call failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub completions: Vec<Completion>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<HistoryError>,
    /// What it used. A call that was answered from a cache of ours has `cache_hits` 1.
    #[serde(default)]
    pub usage: Usage,
}

/// How a call failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryError {
    /// The [code](teleprompt_core::LmErrorKind::code) of the error's kind; `cancelled` where the
    /// caller went away.
    pub kind: String,
    /// What happened.
    pub message: String,
}

impl HistoryEntry {
    /// A call that began so long ago and ends now; `None` is one whose caller went away.
    pub(super) fn of(
        lm: &str,
        took: Duration,
        request: &LmRequest,
        outcome: Option<Result<&LmResponse, &LmError>>,
    ) -> Self {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let response = outcome.and_then(Result::ok);
        let plain = |c: &Completion| Completion { logprobs: None, ..c.clone() };
        Self {
            unix_ms: ms(now.saturating_sub(took)),
            duration_ms: ms(took),
            lm: lm.to_owned(),
            messages: request.messages.iter().map(without_media).collect(),
            settings: request.settings.clone(),
            n: request.n,
            completions: response.iter().flat_map(|r| r.completions.iter().map(plain)).collect(),
            error: match outcome {
                Some(Ok(_)) => None,
                Some(Err(error)) => Some(HistoryError {
                    kind: error.kind.code().to_owned(),
                    message: error.message.clone(),
                }),
                None => Some(HistoryError {
                    kind: "cancelled".to_owned(),
                    message: "the caller went away before the end".to_owned(),
                }),
            },
            usage: response.map_or_else(Usage::one_call, |r| r.usage),
        }
    }

    /// Whether a cache of ours answered.
    pub fn cache_hit(&self) -> bool {
        self.usage.cache_hits > 0
    }

    /// Roughly the bytes that it takes.
    fn size(&self) -> usize {
        const OVERHEAD: usize = 256;
        let part = |part: &Part| match part {
            Part::Text(text) => text.len(),
            Part::ToolCall(call) => call.arguments.len(),
            Part::ToolResult(result) => result.content.len(),
            Part::Reasoning(reasoning) => {
                reasoning.text.len() + reasoning.signature.as_ref().map_or(0, String::len)
            }
            _ => OVERHEAD,
        };
        let content = |content: &Content| {
            content.len() + content.parts().iter().flat_map(|p| p.iter()).map(part).sum::<usize>()
        };
        let asked: usize = self.messages.iter().map(|m| OVERHEAD + content(&m.content)).sum();
        let thought = |c: &Completion| c.reasoning.as_ref().map_or(0, |r| r.text.len());
        let called = |c: &Completion| c.tool_calls.iter().map(|t| t.arguments.len()).sum::<usize>();
        let answered =
            self.completions.iter().map(|c| OVERHEAD + c.text.len() + thought(c) + called(c));
        OVERHEAD + asked + answered.sum::<usize>()
    }
}

fn without_media(message: &Message) -> Message {
    let Some(parts) = message.content.parts() else { return message.clone() };
    let parts: Vec<Part> = parts.iter().map(without_bytes).collect();
    Message::new(message.role, parts)
}

fn without_bytes(part: &Part) -> Part {
    let note = |media: &Media| match &media.source {
        MediaSource::Data(bytes) => Part::text(format!("[{}, {} bytes]", media.mime, bytes.len())),
        _ => part.clone(),
    };
    match part {
        Part::Image(media) | Part::Audio(media) | Part::File(media) => note(media),
        Part::ToolResult(result) => {
            let parts = result.content.parts();
            let content = match parts {
                None => result.content.clone(),
                Some(parts) => parts.iter().map(without_bytes).collect(),
            };
            Part::ToolResult(teleprompt_core::ToolResult { content, ..result.clone() })
        }
        other => other.clone(),
    }
}

impl fmt::Display for HistoryEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# {}", self.headline())?;
        for message in &self.messages {
            write!(f, "\n## {}\n", message.role.as_str())?;
            write_content(f, &message.content)?;
        }
        for completion in &self.completions {
            write!(f, "\n## assistant{}\n", ending(completion))?;
            if let Some(reasoning) = completion.reasoning.as_ref().filter(|r| !r.text.is_empty()) {
                writeln!(f, "[thought: {}]", reasoning.text.trim_end())?;
            }
            writeln!(f, "{}", completion.text.trim_end())?;
            for call in &completion.tool_calls {
                writeln!(f, "[calls {}({})]", call.name, call.arguments)?;
            }
        }
        if let Some(HistoryError { kind, message }) = &self.error {
            write!(f, "\n## error ({kind})\n{message}\n")?;
        }
        Ok(())
    }
}

impl HistoryEntry {
    fn headline(&self) -> String {
        let seconds = self.duration_ms as f64 / 1000.0;
        let mut parts = vec![utc(self.unix_ms), self.lm.clone(), format!("{seconds} s")];
        match serde_json::to_string(&self.settings) {
            Ok(settings) if settings != "{}" => parts.push(settings),
            _ => {}
        }
        let Usage { prompt_tokens, completion_tokens, .. } = self.usage;
        if prompt_tokens + completion_tokens > 0 {
            parts.push(format!("{prompt_tokens} + {completion_tokens} tokens"));
        }
        match (self.cache_hit(), self.error.is_some()) {
            (true, _) => parts.push("from the cache".to_owned()),
            (false, false) => parts.push(format!("cost {}", self.usage.cost_text())),
            (false, true) => {}
        }
        parts.join(" · ")
    }
}

fn write_content(f: &mut fmt::Formatter<'_>, content: &Content) -> fmt::Result {
    let Some(parts) = content.parts() else { return writeln!(f, "{}", content.trim_end()) };
    for part in parts {
        match part {
            Part::Text(text) => writeln!(f, "{}", text.trim_end())?,
            Part::ToolCall(call) => writeln!(f, "[calls {}({})]", call.name, call.arguments)?,
            Part::ToolResult(result) => {
                writeln!(f, "[{} answers: {}]", result.name, result.content.trim_end())?;
            }
            Part::Reasoning(reasoning) => writeln!(f, "[thought: {}]", reasoning.text.trim_end())?,
            other => writeln!(f, "[{other:?}]")?,
        }
    }
    Ok(())
}

/// How a completion ended, unless by itself.
fn ending(completion: &Completion) -> &'static str {
    match completion.finish {
        FinishReason::Length => " (cut off)",
        FinishReason::ContentFilter => " (withheld)",
        _ => "",
    }
}

/// `2026-11-24 09:30:00 UTC`.
fn utc(unix_ms: u64) -> String {
    let seconds = unix_ms / 1000;
    let (year, month, day) = civil(seconds / 86_400);
    let time = seconds % 86_400;
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// The date this many days after 1970-01-01. Years begin in March, so that the leap day is their
/// last, and are counted in cycles of 400.
fn civil(days: u64) -> (u64, u64, u64) {
    const CYCLE: u64 = 146_097;
    // Days from 0000-03-01 to 1970-01-01.
    let days = days + 719_468;
    let (cycle, day) = (days / CYCLE, days % CYCLE);
    let year = (day - day / 1_460 + day / 36_524 - day / (CYCLE - 1)) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let january = month >= 10;
    let year = cycle * 400 + year + u64::from(january);
    (year, if january { month - 9 } else { month + 3 }, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates() {
        let cases = [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399_999, "2000-02-28 23:59:59 UTC"),
            (951_782_400_000, "2000-02-29 00:00:00 UTC"),
            (1_709_251_199_000, "2024-02-29 23:59:59 UTC"),
            (1_798_761_599_000, "2026-12-31 23:59:59 UTC"),
            (4_107_542_400_000, "2100-03-01 00:00:00 UTC"),
        ];
        for (ms, text) in cases {
            assert_eq!(utc(ms), text);
        }
    }
}
