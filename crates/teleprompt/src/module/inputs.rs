//! Checking the inputs of a call against the signature.

use teleprompt_core::names::suggestion;
use teleprompt_core::{Error, Record, Result, Signature};

/// Every input is there or may be missing, and nothing else is.
pub(crate) fn check(path: &str, signature: &Signature, inputs: &Record) -> Result<()> {
    let wrong = |message: String| Err(Error::Input { path: path.to_owned(), message });
    let names = || signature.inputs().iter().map(|f| &*f.name);
    for field in signature.inputs() {
        match inputs.get(&field.name) {
            None if !field.ty.is_nullable(signature.defs()) => {
                let there: Vec<&str> = inputs.names().collect();
                let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
                return wrong(format!("the input `{}` is missing (given: {there})", field.name));
            }
            Some(value) if value.is_null() && !field.ty.is_nullable(signature.defs()) => {
                return wrong(format!("the input `{}` is null", field.name));
            }
            _ => {}
        }
    }
    if let Some(extra) = inputs.names().find(|n| signature.input(n).is_none()) {
        let hint = suggestion(extra, names());
        return wrong(format!("there is no input `{extra}`{hint}"));
    }
    Ok(())
}
