//! Metrics: by name, as closures, and as programs.
//!
//! | name | score |
//! |---|---|
//! | `exact_match` | the answer is the label ([`exact_match`]) |
//! | `f1` | overlap in words ([`f1`]) |
//! | `contains` | the label stands in the answer ([`contains`]) |
//! | `number_equality` | the same number ([`number_equality`]) |
//! | `passage_match` | a retrieved passage holds the answer ([`passage_match`]) |
//! | `json_equality` | the same JSON value ([`json_equality`]) |
//!
//! A label may be a list of answers, of which any is right. Any closure
//! `|example: &Example, prediction: &Prediction| …` that gives a bool, a number or a
//! [`Score`] is a metric too, [`named`] gives it a name, and [`Judge`] makes one from a program.

mod fields;
mod json;
mod judge;
mod named;
mod normalize;
mod number;
mod passage;
mod text;

use teleprompt_core::{Error, Result, Signature, names};
pub use teleprompt_core::{Metric, MetricHandle, Score};

use crate::data::Dataset;

pub use json::json_equality;
pub use judge::Judge;
pub use named::named;
pub use normalize::normalize;
pub(crate) use normalize::{plain_number, same};
pub use number::number_equality;
pub use passage::passage_match;
pub use text::{contains, exact_match, f1};

/// The metrics that have a name.
pub const NAMES: [&str; 6] =
    ["exact_match", "f1", "contains", "number_equality", "passage_match", "json_equality"];

/// The metric of a text `NAME:FIELD`, such as `exact_match:answer`. `passage_match:ANSWER` looks in
/// the output `context`, `passage_match:ANSWER,PASSAGES` in another one.
///
/// # Errors
/// [`Error::Config`]: no such metric, or no field.
pub fn by_name(spec: &str) -> Result<MetricHandle> {
    let spec = Spec::parse(spec)?;
    match spec.field {
        Some(field) => Ok(spec.build(field)),
        None => Err(Error::Config(format!(
            "the metric `{0}` needs the field it compares: `{0}:FIELD`",
            spec.name
        ))),
    }
}

/// Like [`by_name`], for a program of this signature: the field is checked, and may be left out
/// where the signature has one output, or one besides `reasoning`. For `passage_match` the passages
/// must be an output and the answer can be any label.
///
/// # Errors
/// [`Error::Config`]: no such metric, no such output, or several outputs to choose from.
pub fn by_name_for(spec: &str, signature: &Signature) -> Result<MetricHandle> {
    let spec = Spec::parse(spec)?;
    let field = spec.field_for(signature)?;
    Ok(spec.build(field))
}

/// Like [`by_name_for`], and the data must have the label in at least one example.
///
/// # Errors
/// [`Error::Config`]: those of [`by_name_for`], or no such column.
pub fn by_name_on(spec: &str, signature: &Signature, data: &Dataset) -> Result<MetricHandle> {
    let spec = Spec::parse(spec)?;
    let field = spec.field_for(signature)?;
    if data.iter().all(|e| !e.fields.contains(field)) {
        let columns = data.columns();
        return Err(Error::Config(format!(
            "the metric `{}` compares `{field}`, which is no column of {}{}",
            spec.name,
            data.name(),
            names::suggestion(field, columns.iter().map(|c| &**c))
        )));
    }
    Ok(spec.build(field))
}

/// A metric's name and its fields.
struct Spec<'a> {
    name: &'a str,
    field: Option<&'a str>,
    passages: &'a str,
}

impl<'a> Spec<'a> {
    fn parse(text: &'a str) -> Result<Self> {
        let (name, field) = match text.split_once(':') {
            Some((name, field)) => (name.trim(), Some(field.trim()).filter(|f| !f.is_empty())),
            None => (text.trim(), None),
        };
        if !NAMES.contains(&name) {
            let near = names::suggestion(name, NAMES);
            return Err(Error::Config(format!("there is no metric `{name}`{near}")));
        }
        let (field, passages) = match field.and_then(|f| f.split_once(',')) {
            Some((answer, passages)) if name == "passage_match" => {
                (Some(answer.trim()), passages.trim())
            }
            _ => (field, "context"),
        };
        Ok(Self { name, field, passages })
    }

    fn field_for(&self, signature: &'a Signature) -> Result<&'a str> {
        let has = |name: &str| signature.output(name).is_some();
        let unknown = |name: &str| {
            let outputs = signature.outputs().iter().map(|f| &*f.name);
            Error::Config(format!(
                "the metric `{}` compares `{name}`, which is no output of the program{}",
                self.name,
                names::suggestion(name, outputs)
            ))
        };
        let by_passage = self.name == "passage_match";
        if by_passage && !has(self.passages) {
            return Err(unknown(self.passages));
        }
        match self.field {
            Some(field) if by_passage || has(field) => Ok(field),
            Some(field) => Err(unknown(field)),
            None => self.only_output(signature),
        }
    }

    fn only_output(&self, signature: &'a Signature) -> Result<&'a str> {
        let aside = |name: &str| {
            name == "reasoning" || (self.name == "passage_match" && name == self.passages)
        };
        let all: Vec<&str> = signature.outputs().iter().map(|f| &*f.name).collect();
        let judged: Vec<&str> = all.iter().copied().filter(|name| !aside(name)).collect();
        match (all.as_slice(), judged.as_slice()) {
            ([only], _) if self.name != "passage_match" => Ok(only),
            (_, [only]) => Ok(only),
            _ => Err(Error::Config(format!(
                "the metric `{0}` must say which field it compares: `{0}:FIELD`; the outputs are: \
                 {1}",
                self.name,
                all.join(", ")
            ))),
        }
    }

    fn build(&self, field: &str) -> MetricHandle {
        match self.name {
            "f1" => f1(field),
            "contains" => contains(field),
            "number_equality" => number_equality(field),
            "passage_match" => passage_match(field, self.passages),
            "json_equality" => json_equality(field),
            _ => exact_match(field),
        }
    }
}
