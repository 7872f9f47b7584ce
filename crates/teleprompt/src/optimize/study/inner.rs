//! A journal with what it adds up to.

use teleprompt_core::{Error, Result};

use super::journal::Journal;
use super::known::{Known, Place};
use super::{Event, snapshot};

/// A journal and its state, always in step: one lock holds for both.
#[derive(Debug)]
pub(super) struct Inner {
    pub journal: Journal,
    pub known: Known,
    /// What of the journal is in the snapshot.
    snapshot_to: u64,
}

impl Inner {
    /// For a session that goes on.
    pub fn open(journal: Journal) -> Result<Self> {
        let mut inner = Self::read(journal)?;
        if inner.snapshot_to == 0 {
            snapshot::remove(&snapshot::path(&inner.journal));
        }
        inner.keep_snapshot();
        Ok(inner)
    }

    /// To look at: nothing is written.
    pub fn read(mut journal: Journal) -> Result<Self> {
        let (mut known, from) = snapshot::read(&mut journal).unwrap_or_default();
        journal.each(from, |event, place| {
            known.take(event, place);
            Ok(())
        })?;
        if journal.bytes() > 0 && known.identity.is_none() {
            return Err(Error::Study(format!(
                "{}: the first line does not say what the study is about",
                journal.path().display()
            )));
        }
        Ok(Self { journal, known, snapshot_to: from })
    }

    /// Appends an event, unless it was said before.
    pub fn record(&mut self, event: Event) -> Result<()> {
        let event = event.made_finite();
        if event.is_derived() && !self.known.is_news(&event) {
            return Ok(());
        }
        let place = self.journal.append(&event)?;
        let mark = event.is_mark();
        self.known.take(event, place);
        if !mark {
            return self.journal.sync_when_due();
        }
        self.keep_snapshot();
        self.journal.sync()
    }

    /// Where enough came in since the last snapshot, makes one. It only saves time, so a disk that
    /// has no room for it is no failure.
    fn keep_snapshot(&mut self) {
        if self.journal.bytes() - self.snapshot_to < snapshot::AFTER {
            return;
        }
        match snapshot::write(&mut self.journal, &self.known) {
            Ok(()) => self.snapshot_to = self.journal.bytes(),
            Err(error) => tracing::warn!(%error, "no snapshot of the study was kept"),
        }
    }

    /// The event at a place. One that cannot be read any more is as if it had never been.
    pub fn event(&mut self, place: Option<Place>) -> Option<Event> {
        match self.journal.event(place?) {
            Ok(event) => Some(event),
            Err(error) => {
                tracing::warn!(%error, "a line of the study's journal cannot be read back");
                None
            }
        }
    }
}
