//! Bars on stderr for long work.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::optimize::study::{Run, Split};
use crate::optimize::{Progress, RowProgress, Silent};

/// Draws a bar for each evaluation of a compile; where stderr is no terminal, prints a line when one
/// is done.
pub(super) struct Bars {
    quiet: bool,
}

impl Bars {
    pub fn new(quiet: bool) -> Self {
        Self { quiet }
    }
}

impl Progress for Bars {
    fn note(&self, line: &str) {
        if !self.quiet {
            eprintln!("{line}");
        }
    }

    fn evaluation(&self, candidate: &str, split: Split, total: usize) -> Box<dyn RowProgress> {
        if self.quiet {
            return Box::new(Silent);
        }
        let bar = ProgressBar::new(total as u64);
        if let Ok(style) =
            ProgressStyle::with_template("  {prefix} {bar:24} {pos}/{len}  {msg}  {eta} left")
        {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(250));
        bar.set_prefix(format!("{candidate:<16} on {split}"));
        let label = format!("{candidate:<16} on {split}");
        Box::new(Bar { bar, label, sum: 0.0, done: 0, failed: 0, total })
    }
}

struct Bar {
    bar: ProgressBar,
    label: String,
    sum: f64,
    done: usize,
    failed: usize,
    total: usize,
}

impl Bar {
    fn score(&self) -> String {
        let failed =
            if self.failed > 0 { format!(", {} failed", self.failed) } else { String::new() };
        format!("{:.1}%{failed}", 100.0 * self.sum / self.done.max(1) as f64)
    }
}

impl RowProgress for Bar {
    fn row(&mut self, row: &Run) {
        self.done += 1;
        self.sum += row.score;
        self.failed += usize::from(row.error.is_some());
        self.bar.set_message(self.score());
        self.bar.inc(1);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        if self.done == self.total {
            eprintln!("  {}: {} of {}", self.label, self.score(), self.total);
        }
    }
}
