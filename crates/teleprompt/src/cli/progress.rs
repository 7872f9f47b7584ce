//! Bars on stderr for long work.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::output::counted;
use crate::optimize::study::{By, Run, Split};
use crate::optimize::{Progress, RowProgress, Silent};

/// Draws a bar for each evaluation of a compile, and a line that counts what goes on between them:
/// runs of the teacher, questions to the LM that writes. Where stderr is no terminal, prints a line
/// when one is done.
pub(super) struct Bars {
    quiet: bool,
    between: Mutex<Between>,
}

impl Bars {
    pub fn new(quiet: bool) -> Self {
        Self { quiet, between: Mutex::default() }
    }

    fn count(&self, add: impl FnOnce(&mut Between)) {
        if self.quiet {
            return;
        }
        let mut between = self.between.lock().unwrap_or_else(PoisonError::into_inner);
        add(&mut between);
        let text = between.text();
        between.bar.get_or_insert_with(spinner).set_message(text);
    }

    /// What went on between is over.
    fn close(&self) {
        let between =
            std::mem::take(&mut *self.between.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(bar) = &between.bar {
            bar.finish_and_clear();
            eprintln!("  {}", between.text());
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.close();
    }
}

/// What was done since the last evaluation.
#[derive(Default)]
struct Between {
    bar: Option<ProgressBar>,
    runs: usize,
    sum: f64,
    failed: usize,
    questions: usize,
    what: String,
}

impl Between {
    fn text(&self) -> String {
        let mut parts = Vec::new();
        if self.runs > 0 {
            let mean = 100.0 * self.sum / self.runs as f64;
            let failed =
                if self.failed > 0 { format!(", {} failed", self.failed) } else { String::new() };
            let runs = counted(self.runs as u64, "run");
            parts.push(format!("teacher: {runs}, {mean:.1}%{failed}"));
        }
        if self.questions > 0 {
            let questions = counted(self.questions as u64, "question");
            parts.push(format!("{questions}, the last: {}", self.what));
        }
        parts.join("; ")
    }
}

fn spinner() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("  {spinner} {msg}  {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

impl Progress for Bars {
    fn note(&self, line: &str) {
        self.close();
        if !self.quiet {
            eprintln!("{line}");
        }
    }

    fn ran(&self, by: By, _: Split, run: &Run) {
        if by == By::Teacher {
            self.count(|between| {
                between.runs += 1;
                between.sum += run.score;
                between.failed += usize::from(run.failed());
            });
        }
    }

    fn question(&self, what: &str) {
        self.count(|between| {
            between.questions += 1;
            what.clone_into(&mut between.what);
        });
    }

    fn evaluation(&self, candidate: &str, split: Split, total: usize) -> Box<dyn RowProgress> {
        self.close();
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
