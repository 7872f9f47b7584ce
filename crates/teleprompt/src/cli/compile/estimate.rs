//! What a compile may take, and whether it may.

use std::io::{IsTerminal, stderr, stdin};

use teleprompt_core::{Error, Limits, Money, Result};

use crate::cli::app::App;
use crate::cli::output::counted;
use crate::cli::usage;
use crate::optimize::Estimate;

/// Tells what a compile may take. Where that is money, somebody has to agree: at the terminal, by
/// --yes, or by a limit.
pub(super) fn consent(app: &App, estimate: &Estimate, limits: &Limits, yes: bool) -> Result<()> {
    app.note(&estimate.to_string());
    if let Some(text) = limits_text(limits) {
        app.note(&format!("limits       {text}"));
    }
    for over in estimate.over(limits) {
        app.note(&format!("             {over}: the search may end early, with its best so far"));
    }
    let cost = estimate.cost.filter(|cost| *cost > Money::ZERO);
    let Some(cost) = cost.filter(|_| !yes && limits.cost.is_none()) else { return Ok(()) };
    if !(stdin().is_terminal() && stderr().is_terminal()) {
        return Err(usage(format!(
            "this compile may cost about {cost}, and there is no terminal to ask at: give --yes, or a \
             limit by --max-cost DOLLARS"
        )));
    }
    eprint!("this may cost about {cost}; go on? [y/N] ");
    let mut answer = String::new();
    stdin().read_line(&mut answer).map_err(|e| Error::io("stdin", &e))?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Error::Other("not started; nothing was spent".into())),
    }
}

fn limits_text(limits: &Limits) -> Option<String> {
    let parts = [
        limits.calls.map(|n| counted(n, "LM call")),
        limits.tokens.map(|n| counted(n, "token")),
        limits.cost.map(|cost| cost.to_string()),
        limits.time.map(|time| format!("{} s", time.as_secs())),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("at most {}", parts.join(", ")))
}
