//! What tells a program from another one.

use serde_json::{Value, json};
use teleprompt_core::{Module, Program, bind};

/// What a program is, for studies and metrics: predictors with signatures and parameters, and the wiring.
pub(crate) fn program_identity(program: &Program) -> Value {
    let bound = bind(program);
    let predictors: serde_json::Map<String, Value> = bound
        .predictors
        .iter()
        .map(|(path, p)| {
            let parameters = bound.parameters.get(path).unwrap_or(p.parameters());
            let what = json!({"signature": p.signature(), "parameters": **parameters});
            (path.to_string(), what)
        })
        .collect();
    json!({"predictors": predictors, "wiring": program.fingerprint()})
}
