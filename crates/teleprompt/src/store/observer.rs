//! Who watches a pull.

use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Is told how a pull goes.
///
/// Called from the task that pulls, one call at a time for one pull; do not block in it.
pub trait PullObserver: Send + Sync {
    /// One line for the user: what is pulled before it starts, and each source that failed.
    fn note(&self, line: &str);

    /// How many bytes have come, and how many there will be, if that is known. After the last byte
    /// it is called once with `done` equal to the total.
    fn progress(&self, done: u64, total: Option<u64>);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl PullObserver for Silent {
    fn note(&self, _line: &str) {}

    fn progress(&self, _done: u64, _total: Option<u64>) {}
}

/// Prints notes and a progress bar on stderr.
///
/// Not on a terminal there is no bar, only the notes; quiet, there is neither.
#[derive(Debug, Default)]
pub struct TerminalObserver {
    quiet: bool,
    bar: Mutex<Option<ProgressBar>>,
}

impl TerminalObserver {
    /// For stderr; `quiet` prints nothing at all.
    pub fn new(quiet: bool) -> Self {
        Self { quiet, bar: Mutex::new(None) }
    }

    fn with_bar(&self, act: impl FnOnce(&mut Option<ProgressBar>)) {
        act(&mut self.bar.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl PullObserver for TerminalObserver {
    fn note(&self, line: &str) {
        if self.quiet {
            return;
        }
        self.with_bar(|bar| {
            // The line must not be torn by the bar, and a bar belongs to one source only.
            if let Some(bar) = bar.take() {
                bar.finish_and_clear();
            }
            eprintln!("{line}");
        });
    }

    fn progress(&self, done: u64, total: Option<u64>) {
        if self.quiet {
            return;
        }
        self.with_bar(|bar| {
            let shown = bar.get_or_insert_with(|| new_bar(done, total));
            shown.set_position(done);
            if total == Some(done) {
                shown.finish_and_clear();
                *bar = None;
            }
        });
    }
}

impl Drop for TerminalObserver {
    fn drop(&mut self) {
        self.with_bar(|bar| {
            if let Some(bar) = bar.take() {
                bar.finish_and_clear();
            }
        });
    }
}

fn new_bar(done: u64, total: Option<u64>) -> ProgressBar {
    // indicatif hides a bar on stderr by itself when stderr is no terminal.
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    let template = match total {
        Some(_) => "{bar:30} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}",
        None => "{spinner} {decimal_bytes} {decimal_bytes_per_sec}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    // The speed counts what is fetched now, not what a resumed download had before.
    bar.set_position(done);
    bar.reset_eta();
    bar
}

/// A size for people: `98.4 MB`.
pub(super) fn size_text(bytes: u64) -> String {
    indicatif::DecimalBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    impl TerminalObserver {
        fn has_bar(&self) -> bool {
            self.bar.lock().unwrap().is_some()
        }
    }

    #[test]
    fn a_bar_lives_from_the_first_byte_to_the_last_or_to_a_note() {
        let observer = TerminalObserver::new(false);
        observer.progress(1, Some(2));
        assert!(observer.has_bar());
        observer.progress(2, Some(2));
        assert!(!observer.has_bar());
        observer.progress(1, None);
        assert!(observer.has_bar());
        observer.note("a source failed");
        assert!(!observer.has_bar());
    }

    #[test]
    fn quiet_shows_nothing() {
        let observer = TerminalObserver::new(true);
        observer.progress(1, Some(2));
        assert!(!observer.has_bar());
    }

    #[test]
    fn sizes_are_decimal() {
        assert_eq!(size_text(98_362_432), "98.36 MB");
        assert_eq!(size_text(7), "7 B");
    }
}
