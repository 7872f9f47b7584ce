//! A program as text, written from its own structure.

use std::fmt::Write;

use teleprompt_core::Module;

use crate::optimize::Task;

/// Every step with the signature in force, then the wiring where the program tells it.
pub(super) fn outline(task: &Task<'_>) -> String {
    let mut out = String::new();
    for (path, signature) in &task.predictors {
        let _ = writeln!(out, "{path}: {signature}");
    }
    let wiring = task.program.fingerprint();
    if !wiring.trim().is_empty() {
        let _ = writeln!(out, "wiring: {}", wiring.trim());
    }
    out.trim_end().to_owned()
}
