//! The file: JSON lines, appended, tolerant of a torn last line.
//!
//! A line is with the operating system when [`Journal::append`] returns, so a killed process loses
//! nothing that was journaled. It is forced to the disk at the beginning and the end of a session
//! and otherwise every few seconds: a power cut loses a few seconds of results at most, and what is
//! left still is a good journal.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use teleprompt_core::{Error, Result};

use super::known::Place;
use super::{Event, FORMAT};

/// Forcing lines to the disk takes milliseconds; this often it is no noticeable part of a compile.
const SYNC_EVERY: Duration = Duration::from_secs(5);

/// Who looks whether a study is running holds the lock for a moment.
const LOCK_TRIES: u32 = 5;
const LOCK_WAIT: Duration = Duration::from_millis(20);

/// An open journal.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    path: PathBuf,
    /// The end of the last whole line. After a write failed, the next one begins there.
    good_to: u64,
    synced: Instant,
}

impl Journal {
    /// Opens or creates the file, locked against other processes while this lives, and cuts off a
    /// torn last line.
    pub fn open(path: &Path) -> Result<Self> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|e| Error::io(parent, &e))?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(path).map_err(|e| Error::io(path, &e))?;
        if !locked(&file) {
            return Err(Error::Study(format!(
                "{}: the study is being run by another process; wait for it or use another name",
                path.display()
            )));
        }
        let journal = Self::new(file, path)?;
        journal.file.set_len(journal.good_to).map_err(|e| Error::io(path, &e))?;
        Ok(journal)
    }

    /// Opens the file to read what is whole in it, also while another process writes.
    pub fn read_only(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, &e))?;
        Self::new(file, path)
    }

    fn new(mut file: File, path: &Path) -> Result<Self> {
        let good_to = end_of_lines(&mut file).map_err(|e| Error::io(path, &e))?;
        Ok(Self { file, path: path.to_owned(), good_to, synced: Instant::now() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of whole lines.
    pub fn bytes(&self) -> u64 {
        self.good_to
    }

    /// Whether a session of the study is running, in whatever process.
    pub fn is_locked(&self) -> bool {
        match self.file.try_lock_shared() {
            Ok(()) => {
                let _ = self.file.unlock();
                false
            }
            Err(TryLockError::WouldBlock) => true,
            Err(TryLockError::Error(_)) => false,
        }
    }

    /// Some bytes of it.
    pub fn slice(&mut self, from: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let read = self.file.seek(SeekFrom::Start(from));
        let read = read.and_then(|_| self.file.read_exact(&mut bytes));
        read.map_err(|e| Error::io(&self.path, &e))?;
        Ok(bytes)
    }

    /// The event at this place.
    pub fn event(&mut self, place: Place) -> Result<Event> {
        let line = self.slice(place.0, place.1 as usize)?;
        parse(&self.path, place.0, &line)
    }

    /// Gives all events from this byte on, with their places.
    pub fn each(
        &mut self,
        from: u64,
        mut take: impl FnMut(Event, Place) -> Result<()>,
    ) -> Result<()> {
        let failed = |e: std::io::Error| Error::io(&self.path, &e);
        let mut at = from;
        (&self.file).seek(SeekFrom::Start(at)).map_err(failed)?;
        let whole = (&self.file).take(self.good_to.saturating_sub(from));
        let mut lines = BufReader::with_capacity(1 << 20, whole);
        let mut line = Vec::new();
        loop {
            line.clear();
            let length = lines.read_until(b'\n', &mut line).map_err(failed)?;
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            if length == 0 {
                return Ok(());
            }
            if at == 0 {
                check_format(&self.path, text)?;
            }
            if !text.is_empty() {
                take(parse(&self.path, at, text)?, place(at, text.len())?)?;
            }
            at += length as u64;
        }
    }

    /// Writes one line.
    pub fn append(&mut self, event: &Event) -> Result<Place> {
        let mut line = serde_json::to_vec(event).map_err(|e| Error::Study(e.to_string()))?;
        let place = place(self.good_to, line.len())?;
        line.push(b'\n');
        let written = self.file.seek(SeekFrom::Start(self.good_to));
        if let Err(e) = written.and_then(|_| self.file.write_all(&line)) {
            // A half-written line is cut off; if that fails, too, the next line covers it, or the
            // next session cuts it off.
            let _ = self.file.set_len(self.good_to);
            return Err(Error::io(&self.path, &e));
        }
        self.good_to += line.len() as u64;
        Ok(place)
    }

    /// Forces all lines to the disk, if that was not done for a while.
    pub fn sync_when_due(&mut self) -> Result<()> {
        if self.synced.elapsed() < SYNC_EVERY { Ok(()) } else { self.sync() }
    }

    /// Forces all lines to the disk.
    pub fn sync(&mut self) -> Result<()> {
        self.synced = Instant::now();
        self.file.sync_data().map_err(|e| Error::io(&self.path, &e))
    }
}

fn locked(file: &File) -> bool {
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            // A file system without locks: go on without.
            Ok(()) | Err(TryLockError::Error(_)) => return true,
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_WAIT),
        }
    }
    false
}

/// A line is whole when its line break is there; what follows the last one was torn off.
fn end_of_lines(file: &mut File) -> std::io::Result<u64> {
    const BLOCK: u64 = 1 << 16;
    let mut end = file.seek(SeekFrom::End(0))?;
    while end > 0 {
        let from = end.saturating_sub(BLOCK);
        let mut block = Vec::new();
        file.seek(SeekFrom::Start(from))?;
        (&mut *file).take(end - from).read_to_end(&mut block)?;
        if let Some(at) = block.iter().rposition(|b| *b == b'\n') {
            return Ok(from + at as u64 + 1);
        }
        end = from;
    }
    Ok(0)
}

fn place(at: u64, length: usize) -> Result<Place> {
    let length = u32::try_from(length)
        .map_err(|_| Error::Study("a result of more than 4 GB cannot be journaled".into()))?;
    Ok(Place(at, length))
}

fn parse(path: &Path, at: u64, line: &[u8]) -> Result<Event> {
    serde_json::from_slice(line).map_err(|e| {
        Error::Study(format!(
            "{}: the line at byte {at} is not one of a study: {e}; the file was changed or \
             damaged: mend that line, or start again under another name",
            path.display()
        ))
    })
}

/// What the first line says of the format, before anything else of it is read.
fn check_format(path: &Path, line: &[u8]) -> Result<()> {
    let value: serde_json::Value = serde_json::from_slice(line).unwrap_or_default();
    let format = value.pointer("/identity/format").and_then(serde_json::Value::as_u64);
    let path = path.display();
    let message = match format {
        Some(n) if n == u64::from(FORMAT) => return Ok(()),
        Some(n) if n > u64::from(FORMAT) => format!(
            "{path}: written by a newer version, in format {n}; this version reads {FORMAT}: update \
             teleprompt, or use another name for the study"
        ),
        Some(n) => format!(
            "{path}: written by an older version, in format {n}; this version goes on with format \
             {FORMAT} only, as results were kept by other keys then: use another name for the study, \
             or remove it (teleprompt studies rm)"
        ),
        None => format!(
            "{path}: is no journal of a study; move the file away, or use another name for the study"
        ),
    };
    Err(Error::Study(message))
}
