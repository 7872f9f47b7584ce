//! The states that DSPy saves with `module.save("x.json")` (read from version 3.3.1).
//!
//! They hold neither names nor types: per predictor the instructions, and a prefix and description
//! for each field, inputs first. Names come from the prefixes (`Search Query:` is `search_query`);
//! where inputs end and outputs begin comes from a signature, else from DSPy's default instructions,
//! else the outputs are taken to begin at `reasoning` or at the last field.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use teleprompt_core::{Error, Field, Parameters, Record, Result, Signature, Type, TypeDefs};

use super::{FORMAT, SavedPredictor, SavedProgram};

/// What DSPy saves of a field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PositionalField {
    pub name: String,
    pub description: String,
}

pub(super) fn read(mut map: Map<String, Value>) -> Result<SavedProgram, String> {
    map.remove("metadata");
    let mut predictors = BTreeMap::new();
    if map.contains_key("signature") {
        predictors.insert(Arc::from("predict"), predictor(&map)?);
    } else {
        for (name, entry) in &map {
            let Value::Object(entry) = entry else { continue };
            if !entry.contains_key("signature") {
                continue;
            }
            let parsed = predictor(entry).map_err(|e| format!("predictor `{name}`: {e}"))?;
            predictors.insert(Arc::from(path(name)), parsed);
        }
    }
    if predictors.is_empty() {
        let hint = "no `teleprompt` format number, and no predictor as DSPy saves it";
        return Err(format!("is no saved program: {hint}"));
    }
    Ok(SavedProgram { format: FORMAT, program: None, predictors, ensemble: None, compiled: None })
}

/// DSPy's path in our form: `cot.predict` is `cot`, `steps['k']` is `steps[k]`, `self` is `predict`.
fn path(name: &str) -> String {
    let name = name.strip_suffix(".predict").unwrap_or(name);
    if name == "self" {
        return "predict".into();
    }
    name.replace("['", "[").replace("']", "]")
}

fn predictor(entry: &Map<String, Value>) -> Result<SavedPredictor, String> {
    let signature = entry.get("signature").unwrap_or(&Value::Null);
    let Some(Value::Array(fields)) = signature.get("fields") else {
        return Err("`signature.fields` is missing (files of DSPy before 2.6 are not read)".into());
    };
    let text = |v: &Value, key: &str| v.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
    let positional: Vec<_> = fields
        .iter()
        .map(|f| PositionalField {
            name: name_of(&text(f, "prefix")),
            description: placeholder_free(text(f, "description")),
        })
        .collect();
    let instructions = text(signature, "instructions");
    let demos = entry.get("demos").and_then(Value::as_array);
    let demos = demos.map(|list| list.iter().enumerate().map(demo).collect::<Result<_, String>>());
    let mut parameters = Parameters {
        instructions: (!instructions.is_empty()).then(|| Arc::from(instructions.as_str())),
        demos: demos.transpose()?,
        ..Parameters::default()
    };
    let lm = entry.get("lm").unwrap_or(&Value::Null);
    // The model and its address are the loading user's choice, not the file's.
    parameters.settings.temperature =
        lm.get("temperature").and_then(Value::as_f64).map(|t| t as f32);
    parameters.settings.max_tokens =
        lm.get("max_tokens").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
    Ok(SavedPredictor { signature: None, parameters, positional })
}

fn demo((i, value): (usize, &Value)) -> Result<Record, String> {
    let Value::Object(fields) = value else { return Err(format!("demos[{i}] is no object")) };
    let mut record = Record::from(fields.clone());
    for bookkeeping in ["augmented", "dspy_uuid", "dspy_split"] {
        record.remove(bookkeeping);
    }
    Ok(record)
}

/// `Search Query:` is the prefix that DSPy makes of `search_query`; chain of thought has more text
/// after the colon.
fn name_of(prefix: &str) -> String {
    let prefix = prefix.split(':').next().unwrap_or("").trim();
    let words: Vec<String> = prefix.split_whitespace().map(str::to_lowercase).collect();
    words.join("_")
}

/// DSPy writes `${name}` where a field has no description.
fn placeholder_free(description: String) -> String {
    if description.starts_with("${") { String::new() } else { description }
}

/// Takes over descriptions by position, and the demos' fields, once names are known.
pub(super) fn match_fields(
    path: &str,
    entry: &SavedPredictor,
    signature: &Signature,
    parameters: &mut Parameters,
) -> Result<()> {
    let fields: Vec<&Field> = signature.fields().collect();
    if fields.len() != entry.positional.len() {
        let saved: Vec<&str> = entry.positional.iter().map(|f| f.name.as_str()).collect();
        return Err(Error::State(format!(
            "{path}: DSPy saved {} fields ({}), the signature has {} ({signature})",
            saved.len(),
            saved.join(", "),
            fields.len(),
        )));
    }
    for (field, saved) in fields.iter().zip(&entry.positional) {
        let elsewhere = *saved.name != *field.name && fields.iter().any(|f| *f.name == *saved.name);
        if elsewhere {
            return Err(Error::State(format!(
                "{path}: DSPy saved `{}` where the signature has `{}`; put the fields in DSPy's \
                 order",
                saved.name, field.name
            )));
        }
        if !saved.description.is_empty() {
            parameters.descriptions.insert(field.name.clone(), saved.description.as_str().into());
        }
    }
    // DSPy shows demos of a whole program to each predictor; a predictor needs only its own fields.
    for demo in parameters.demos.iter_mut().flatten() {
        let own = |n: &Arc<str>| fields.iter().any(|f| f.name == *n);
        *demo = demo.iter().filter(|(n, _)| own(n)).map(|(n, v)| (n.clone(), v.clone())).collect();
    }
    Ok(())
}

/// A signature of texts, as good as it can be known from the file.
pub(super) fn guess_signature(entry: &SavedPredictor) -> Result<Signature> {
    let names: Vec<&str> = entry.positional.iter().map(|f| f.name.as_str()).collect();
    let first_output = entry
        .parameters
        .instructions
        .as_deref()
        .and_then(|text| inputs_in_default_instructions(text, &names))
        .or_else(|| names.iter().position(|n| *n == "reasoning"))
        .unwrap_or_else(|| names.len().saturating_sub(1));
    let field = |f: &PositionalField| {
        let is_list = |d: &Record| d.get(&f.name).is_some_and(Value::is_array);
        let lists = entry.parameters.demos().iter().any(is_list);
        let ty = if lists { Type::list(Type::str()) } else { Type::str() };
        Field::new(f.name.as_str(), ty).described(f.description.as_str())
    };
    let (inputs, outputs) = entry.positional.split_at(first_output.min(names.len()));
    let signature = Signature::new(
        "",
        inputs.iter().map(field).collect(),
        outputs.iter().map(field).collect(),
        TypeDefs::new(),
    );
    signature.map_err(|e| {
        let hint = "give the signature with --signature";
        Error::State(format!("the names of the fields cannot be told from the file: {e}; {hint}"))
    })
}

/// DSPy's default instructions name the inputs, then the outputs, each in backticks.
fn inputs_in_default_instructions(text: &str, names: &[&str]) -> Option<usize> {
    let quoted: Vec<&str> = text.split('`').skip(1).step_by(2).collect();
    if quoted != names || !text.starts_with("Given the fields") {
        return None;
    }
    let before = text.split("produce the fields").next()?;
    Some(before.split('`').skip(1).step_by(2).count())
}
