//! Whether a saved program fits the program it is loaded into.

use std::sync::Arc;

use serde_json::Value;
use teleprompt_core::names::suggestion;
use teleprompt_core::{
    Bound, Error, Field, Parameters, ProgramState, Record, Result, Signature, Type, TypeDefs,
};

use super::{SavedPredictor, SavedProgram, dspy};
use crate::parse::coerce_json;

pub(super) fn state_for(saved: &SavedProgram, bound: &Bound<'_>) -> Result<ProgramState> {
    let mut state = ProgramState::default();
    for path in saved.predictors.keys() {
        let known = bound.predictors.iter().any(|(p, _)| p == path);
        if !known && !bound.aliases.contains_key(path) {
            let hint = suggestion(path, bound.predictors.iter().map(|(p, _)| &**p));
            return Err(Error::State(format!("the program has no predictor `{path}`{hint}")));
        }
    }
    for (path, predictor) in &bound.predictors {
        let Some(entry) = saved.predictors.get(path) else {
            let there: Vec<&str> = saved.predictors.keys().map(|k| &**k).collect();
            return Err(Error::State(format!(
                "the saved program has no predictor `{path}` (it has: {})",
                there.join(", ")
            )));
        };
        let parameters = fit(path, entry, predictor.signature())?;
        state.insert(path.clone(), parameters);
    }
    Ok(state)
}

fn fit(path: &str, entry: &SavedPredictor, signature: &Signature) -> Result<Parameters> {
    let mut parameters = entry.parameters.clone();
    match &entry.signature {
        Some(saved) => same_fields(path, saved, signature)?,
        None => dspy::match_fields(path, entry, signature, &mut parameters)?,
    }
    for name in parameters.descriptions.keys() {
        if !signature.fields().any(|f| f.name == *name) {
            let hint = suggestion(name, signature.fields().map(|f| &*f.name));
            let message = format!(
                "{path}: a description is for the field `{name}`, which is not there{hint}"
            );
            return Err(Error::State(message));
        }
    }
    let fit_all = |name: &str, demos: &mut [Record]| -> Result<()> {
        for (i, demo) in demos.iter_mut().enumerate() {
            *demo = fit_demo(demo, signature)
                .map_err(|e| Error::State(format!("{path}: {name}[{i}]: {e}")))?;
        }
        Ok(())
    };
    fit_all("demos", parameters.demos.as_deref_mut().unwrap_or_default())?;
    if let Some(nearest) = &mut parameters.nearest {
        fit_all("nearest.pool", &mut Arc::make_mut(nearest).pool)?;
    }
    for (field, decision) in &parameters.decisions {
        decision.on(field, signature).map_err(|e| Error::State(format!("{path}: {e}")))?;
    }
    Ok(parameters)
}

/// Names and types have to agree; instructions and descriptions may have changed.
fn same_fields(path: &str, saved: &Signature, program: &Signature) -> Result<()> {
    let part = |fields: &[Field]| {
        let field = |f: &Field| (f.name.clone(), f.ty.clone());
        fields.iter().map(field).collect::<Vec<(Arc<str>, Type)>>()
    };
    let same = part(saved.inputs()) == part(program.inputs())
        && part(saved.outputs()) == part(program.outputs());
    if same && (saved.defs() == program.defs()) {
        return Ok(());
    }
    Err(Error::State(format!(
        "{path}: the signature is another one\n  saved:   {}\n  program: {}\n  compile the program \
         again, or use the signature it was compiled with",
        saved.with_instructions(""),
        program.with_instructions("")
    )))
}

/// A demo with exactly the fields of the signature that it has, each of its type.
pub(crate) fn fit_demo(demo: &Record, signature: &Signature) -> Result<Record, String> {
    let mut fitted = Record::new();
    for field in signature.fields() {
        let Some(value) = demo.get(&field.name) else { continue };
        fitted.insert(
            field.name.clone(),
            fit_value(value, &field.ty, signature.defs(), &field.name)?,
        );
    }
    if let Some(extra) = demo.names().find(|n| !signature.fields().any(|f| &*f.name == *n)) {
        let hint = suggestion(extra, signature.fields().map(|f| &*f.name));
        return Err(format!("there is no field `{extra}`{hint}"));
    }
    if !signature.outputs().iter().any(|f| fitted.contains(&f.name)) {
        return Err("it has none of the outputs".into());
    }
    Ok(fitted)
}

fn fit_value(value: &Value, ty: &Type, defs: &TypeDefs, name: &str) -> Result<Value, String> {
    match coerce_json(value, ty, defs) {
        Ok(coerced) => Ok(coerced.value),
        Err(errors) => {
            let first = errors
                .first()
                .map_or(String::new(), |e| format!("{} (expected {})", e.problem, e.expected));
            Err(format!("`{name}`: {first}"))
        }
    }
}
