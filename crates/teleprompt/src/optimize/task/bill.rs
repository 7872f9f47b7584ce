//! What is paid for and brings no result still is in the books.

use teleprompt_core::{Meter, Usage};

use crate::optimize::study::{Event, Part, Study};

/// What a run or a question in flight used, by meters of its own. Dropped before it was settled,
/// because it failed for good or was given up, it is journaled as lost.
pub(in crate::optimize) struct Bill<'s> {
    study: &'s Study,
    meters: Vec<(Part, Meter)>,
}

impl<'s> Bill<'s> {
    /// Of what counts on these meters, none inside another.
    pub fn open(study: &'s Study, meters: impl IntoIterator<Item = (Part, Meter)>) -> Self {
        Self { study, meters: meters.into_iter().collect() }
    }

    /// The result is journaled, with what it used.
    pub fn settle(mut self) {
        self.meters.clear();
    }
}

impl Drop for Bill<'_> {
    fn drop(&mut self) {
        for (part, meter) in self.meters.drain(..) {
            let usage = meter.usage();
            if usage == Usage::default() {
                continue;
            }
            if let Err(error) = self.study.record(Event::Lost { part, usage }) {
                tracing::warn!(%error, "what a run used before it failed is not in the journal");
            }
        }
    }
}
