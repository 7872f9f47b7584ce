//! The progress bar.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on stderr with the running score; nothing where that is no terminal.
pub(super) struct Progress {
    bar: ProgressBar,
    sum: f64,
    done: usize,
}

impl Progress {
    pub(super) fn new(examples: usize, show: bool) -> Self {
        let bar = if show { ProgressBar::new(examples as u64) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}");
        // Only a wrong template fails; the default style would do.
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Self { bar, sum: 0.0, done: 0 }
    }

    /// Counts an example; `failed` are those that failed so far.
    pub(super) fn add(&mut self, score: f64, failed: usize) {
        self.sum += score;
        self.done += 1;
        if self.bar.is_hidden() {
            return;
        }
        let failures = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        self.bar.set_message(format!("score {:.3}{failures}", self.sum / self.done as f64));
        self.bar.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
