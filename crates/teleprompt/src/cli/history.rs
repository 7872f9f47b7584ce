//! `teleprompt history`, and the file in which the command keeps its last calls.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde_json::json;
use teleprompt_core::{Error, Result};

use super::app::App;
use super::args::HistoryArgs;
use super::output;
use crate::lm::{History, HistoryConfig, HistoryEntry};
use crate::{dirs, files};

/// Most bytes of a file. There are two: the one that is written, and the one before it.
const MOST_BYTES: u64 = 4 << 20;

pub(super) fn history(app: &App, args: &HistoryArgs) -> Result<()> {
    let file = HistoryFile::default();
    if args.clear {
        file.clear().map_err(|e| Error::io(&file.path, &e))?;
        app.note("all calls are forgotten");
        return Ok(());
    }
    let entries = file.last(args.n).map_err(|e| Error::io(&file.path, &e))?;
    if app.common.json {
        return output::json(&json!({ "calls": entries }));
    }
    if entries.is_empty() {
        return output::print("no calls yet; run a program, then look again");
    }
    let shown: Vec<String> = entries.iter().map(ToString::to_string).collect();
    output::print(shown.join("\n").trim_end())
}

/// A history that writes all calls of this command to the file; `None` if the user wants none.
pub(super) fn kept() -> Option<History> {
    if std::env::var("TELEPROMPT_NO_HISTORY").is_ok_and(|v| !v.is_empty() && v != "0") {
        return None;
    }
    let file = HistoryFile::default();
    // The command looks at the file, never at the memory.
    let in_memory = HistoryConfig { calls: 0, ..HistoryConfig::default() };
    Some(History::with_sink(in_memory, move |entry| {
        // A call is not to fail because it cannot be remembered.
        let _ = file.append(entry);
    }))
}

/// Calls, one JSON object a line, the latest last.
struct HistoryFile {
    path: PathBuf,
}

impl Default for HistoryFile {
    fn default() -> Self {
        Self { path: dirs::cache_root().join("history.jsonl") }
    }
}

impl HistoryFile {
    fn older(&self) -> PathBuf {
        self.path.with_extension("1.jsonl")
    }

    /// Keeps other processes out until it is dropped.
    fn lock(&self) -> io::Result<File> {
        files::create_private_dir(self.path.parent().unwrap_or(Path::new(".")))?;
        let mut options = files::private_options();
        let options = options.create(true).truncate(false).write(true);
        let file = options.open(self.path.with_extension("lock"))?;
        file.lock()?;
        Ok(file)
    }

    fn append(&self, entry: &HistoryEntry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let size = line.len() as u64;
        if size > MOST_BYTES {
            return Ok(());
        }
        let _lock = self.lock()?;
        if fs::metadata(&self.path).is_ok_and(|meta| meta.len() + size > MOST_BYTES) {
            fs::rename(&self.path, self.older())?;
        }
        let mut options = files::private_options();
        options.create(true).append(true).open(&self.path)?.write_all(&line)
    }

    fn last(&self, n: usize) -> io::Result<Vec<HistoryEntry>> {
        let mut last = VecDeque::new();
        for path in [self.older(), self.path.clone()] {
            let text = match fs::read(&path) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            // A line of another version, or half a line, is no reason to show none.
            last.extend(text.lines().filter_map(|line| serde_json::from_str(line).ok()));
            last.drain(..last.len().saturating_sub(n));
        }
        Ok(last.into())
    }

    fn clear(&self) -> io::Result<()> {
        let _lock = self.lock()?;
        for path in [self.older(), self.path.clone()] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use teleprompt_core::{Lm, LmRequest, Message};
    use teleprompt_testkit::ScriptedLm;

    use super::*;
    use crate::lm::Traced;

    /// What a call with this prompt leaves.
    async fn entry(prompt: &str) -> HistoryEntry {
        let history = History::new();
        let lm = Traced::new(ScriptedLm::new(|_| "ok")).with_history(history.clone());
        lm.generate(&LmRequest::new(vec![Message::user(prompt)])).await.unwrap();
        history.last(1).remove(0).as_ref().clone()
    }

    #[tokio::test]
    async fn the_last_calls_are_kept_and_the_files_stay_small() {
        let dir = tempfile::tempdir().unwrap();
        let file = HistoryFile { path: dir.path().join("deep").join("history.jsonl") };
        assert!(file.last(5).unwrap().is_empty());
        let mut large = entry(&"x".repeat(1 << 20)).await;
        for i in 0..20 {
            large.lm = format!("lm {i}");
            file.append(&large).unwrap();
            let size = |path: &Path| fs::metadata(path).map_or(0, |meta| meta.len());
            assert!(size(&file.path) <= MOST_BYTES && size(&file.older()) <= MOST_BYTES);
        }
        let names = |n| file.last(n).unwrap().into_iter().map(|e| e.lm).collect::<Vec<_>>();
        assert_eq!(names(5), ["lm 15", "lm 16", "lm 17", "lm 18", "lm 19"]);
        assert_eq!(names(0), [""; 0]);
        file.append(&entry(&"x".repeat(5 << 20)).await).unwrap();
        assert_eq!(names(1), ["lm 19"], "one call larger than a file is left out");
        file.clear().unwrap();
        assert!(names(5).is_empty());
        file.clear().unwrap();
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn no_other_user_can_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let file = HistoryFile { path: dir.path().join("deep").join("history.jsonl") };
        file.append(&entry("secret").await).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file.path), mode(&dir.path().join("deep"))), (0o600, 0o700));
    }

    #[tokio::test]
    async fn a_torn_line_hides_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let file = HistoryFile { path: dir.path().join("history.jsonl") };
        let call = entry("whole").await;
        file.append(&call).unwrap();
        let mut torn = File::options().append(true).open(&file.path).unwrap();
        torn.write_all(b"{\"unix_ms\": 1,\n").unwrap();
        file.append(&call).unwrap();
        assert_eq!(file.last(9).unwrap(), [call.clone(), call]);
    }

    #[tokio::test]
    async fn many_writers_lose_no_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.jsonl");
        let call = Arc::new(Mutex::new(entry("x").await));
        let writers: Vec<_> = (0..4)
            .map(|_| {
                let (file, call) = (HistoryFile { path: path.clone() }, call.clone());
                std::thread::spawn(move || {
                    for _ in 0..50 {
                        let call = call.lock().unwrap().clone();
                        file.append(&call).unwrap();
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|w| w.join().unwrap());
        assert_eq!(HistoryFile { path }.last(1000).unwrap().len(), 200);
    }
}
