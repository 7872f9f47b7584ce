//! The file: JSON lines, appended, tolerant of a torn last line.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use teleprompt_core::{Error, Result};

use super::Event;

/// An open journal; the file is locked against other processes while it lives.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    path: PathBuf,
    /// Set after a write failed: a half-written line is cut off before the next one.
    good_to: u64,
}

impl Journal {
    /// Opens or creates the file and reads what is in it.
    pub fn open(path: &Path) -> Result<(Self, Vec<Event>)> {
        let failed = |e: std::io::Error| Error::io(path, &e);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|e| Error::io(parent, &e))?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Study(format!(
                    "{}: the study is being run by another process; wait for it or use another name",
                    path.display()
                )));
            }
            // A file system without locks: go on without.
            Err(TryLockError::Error(_)) => {}
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        // A line is whole when its line break is there; what follows the last one was torn off.
        let good = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        let events = read_events(path, bytes.get(..good).unwrap_or(&[]))?;
        let mut journal = Self { file, path: path.to_owned(), good_to: good as u64 };
        journal.rewind().map_err(failed)?;
        Ok((journal, events))
    }

    /// Cuts off anything after the last whole line.
    fn rewind(&mut self) -> std::io::Result<()> {
        self.file.set_len(self.good_to)?;
        self.file.seek(SeekFrom::Start(self.good_to)).map(drop)
    }

    /// Writes one line.
    pub fn append(&mut self, event: &Event) -> Result<()> {
        let mut line = serde_json::to_vec(event).map_err(|e| Error::Study(e.to_string()))?;
        line.push(b'\n');
        match self.file.write_all(&line) {
            Ok(()) => {
                self.good_to += line.len() as u64;
                Ok(())
            }
            Err(e) => {
                let _ = self.rewind();
                Err(Error::io(&self.path, &e))
            }
        }
    }
}

fn read_events(path: &Path, bytes: &[u8]) -> Result<Vec<Event>> {
    let lines = bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    let read = |(i, line): (usize, &[u8])| {
        serde_json::from_slice(line).map_err(|e| {
            Error::Study(format!(
                "{}:{}: not a line of a study of this version: {e}; move the file away to start \
                 again",
                path.display(),
                i + 1
            ))
        })
    };
    lines.enumerate().map(read).collect()
}
