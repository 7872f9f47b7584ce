//! Which columns are the fields of a signature.

use std::sync::Arc;

use serde_json::Value;
use teleprompt_core::{Error, Example, Field, Kind, Record, Result, Signature, names};

use super::Dataset;

/// Pairs of a signature's field and the column that holds it.
pub type Mapping = [(String, String)];

/// As many column names as an error lists.
const LISTED: usize = 20;

impl Dataset {
    /// All column names, in the order in which they appear first.
    pub fn columns(&self) -> Vec<Arc<str>> {
        let mut columns: Vec<Arc<str>> = Vec::new();
        for (name, _) in self.iter().flat_map(|e| e.fields.iter()) {
            if !columns.contains(name) {
                columns.push(name.clone());
            }
        }
        columns
    }

    /// Marks the fields that a program gets; all others are labels.
    ///
    /// # Errors
    /// [`Error::Data`]: there is no such column.
    pub fn inputs<N: AsRef<str>>(&self, inputs: impl IntoIterator<Item = N>) -> Result<Self> {
        let columns = self.columns();
        let inputs: Vec<N> = inputs.into_iter().collect();
        let names = inputs.iter().map(|n| self.known(n.as_ref(), &columns, "marked as an input"));
        let names: Arc<[Arc<str>]> = names.collect::<Result<_>>()?;
        let mark = |e: &Example| Example { fields: e.fields.clone(), input_names: names.clone() };
        Ok(self.with_examples(self.iter().map(mark).collect()))
    }

    /// Gives columns the names of fields: each pair is a field and the column that holds it. A
    /// column that already has the name of the field is replaced.
    ///
    /// # Errors
    /// [`Error::Data`]: there is no such column.
    pub fn map_columns(&self, mapping: &Mapping) -> Result<Self> {
        self.mapped(mapping, |_| false)
    }

    /// The dataset as a program of this signature takes it: columns mapped to fields, and the
    /// signature's inputs marked as such. Optional inputs may be missing; other columns stay as
    /// labels.
    ///
    /// Text in a column of a number, bool, list, tuple, dict or object field is read as JSON where
    /// it is that (CSV holds nothing but text), and empty text in such an optional field becomes
    /// `null`; text that does not fit is left for the program to judge.
    ///
    /// # Errors
    /// [`Error::Data`]: a column is missing, everywhere or in one example. [`Error::Config`]: the
    /// mapping names a field that the signature does not have.
    pub fn for_signature(&self, signature: &Signature, mapping: &Mapping) -> Result<Self> {
        for (field, _) in mapping {
            if signature.fields().all(|f| *f.name != **field) {
                let fields = signature.fields().map(|f| &*f.name);
                return Err(Error::Config(format!(
                    "the mapping names `{field}`, which is no field of the signature{}",
                    names::suggestion(field, fields)
                )));
            }
        }
        let is_field = |name: &str| signature.fields().any(|f| *f.name == *name);
        let mut data = self.mapped(mapping, is_field)?;
        data.check_inputs(signature)?;
        let inputs: Arc<[Arc<str>]> = signature.inputs().iter().map(|f| f.name.clone()).collect();
        let typed = |e: &Example| Example {
            fields: typed_fields(&e.fields, signature),
            input_names: inputs.clone(),
        };
        data.examples = data.iter().map(typed).collect();
        Ok(data)
    }

    /// Renames columns; a source column stays as well where `keep` says so.
    fn mapped(&self, mapping: &Mapping, keep: impl Fn(&str) -> bool) -> Result<Self> {
        if mapping.is_empty() {
            return Ok(self.clone());
        }
        let columns = self.columns();
        for (field, column) in mapping {
            self.known(column, &columns, &format!("mapped to `{field}`"))?;
        }
        let target = |name: &str| mapping.iter().any(|(field, _)| field == name);
        let source = |name: &str| mapping.iter().any(|(_, column)| column == name);
        let rename = |e: &Example| {
            let stays = |name: &str| !target(name) && (!source(name) || keep(name));
            let kept = e.fields.iter().filter(|(n, _)| stays(n));
            let kept = kept.map(|(n, v)| (n.clone(), v.clone()));
            let moved = mapping.iter().filter_map(|(field, column)| {
                Some((Arc::from(field.as_str()), e.fields.get(column)?.clone()))
            });
            Example { fields: moved.chain(kept).collect(), input_names: e.input_names.clone() }
        };
        Ok(self.with_examples(self.iter().map(rename).collect()))
    }

    fn known(&self, name: &str, columns: &[Arc<str>], role: &str) -> Result<Arc<str>> {
        let found = columns.iter().find(|c| ***c == *name);
        found.cloned().ok_or_else(|| self.missing(name, columns, role))
    }

    fn check_inputs(&self, signature: &Signature) -> Result<()> {
        let required = signature.inputs().iter().filter(|f| !f.ty.is_nullable(signature.defs()));
        for field in required {
            let Some(at) = self.iter().position(|e| !e.fields.contains(&field.name)) else {
                continue;
            };
            let columns = self.columns();
            if !columns.contains(&field.name) {
                return Err(self.missing(&field.name, &columns, "an input of the program"));
            }
            return Err(self.error(format!(
                "example {} has no `{}`, an input of the program; fill it in or leave the example \
                 out",
                at + 1,
                field.name
            )));
        }
        Ok(())
    }

    fn missing(&self, name: &str, columns: &[Arc<str>], role: &str) -> Error {
        let names = || columns.iter().map(|c| &**c);
        let near = names::closest(name, names())
            .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        let listed: Vec<&str> = names().take(LISTED).collect();
        let more = if columns.len() > LISTED { ", …" } else { "" };
        let hint = match columns {
            [only] if only.contains([';', '\t']) => {
                "; columns must be separated by commas".to_owned()
            }
            _ => format!("; rename it, or map a column: {name}=COLUMN"),
        };
        self.error(format!(
            "there is no column `{name}`, {role}{near} (columns: {}{more}){hint}",
            listed.join(", ")
        ))
    }
}

fn typed_fields(fields: &Record, signature: &Signature) -> Record {
    let field = |name: &str| signature.fields().find(|f| *f.name == *name);
    let typed = |(name, value): (&Arc<str>, &Value)| {
        let value = match (field(name), value) {
            (Some(field), Value::String(text)) => typed_text(field, text),
            _ => value.clone(),
        };
        (name.clone(), value)
    };
    fields.iter().map(typed).collect()
}

fn typed_text(field: &Field, text: &str) -> Value {
    let (kind, optional) = match &field.ty.kind {
        Kind::Optional(inner) => (&inner.kind, true),
        kind => (kind, false),
    };
    let fits: fn(&Value) -> bool = match kind {
        Kind::Int => |v| v.is_i64() || v.is_u64(),
        Kind::Float => Value::is_number,
        Kind::Bool => Value::is_boolean,
        Kind::List(_) | Kind::Tuple(_) => Value::is_array,
        Kind::Dict(_) | Kind::Object(_) => Value::is_object,
        _ => return text.into(),
    };
    if optional && text.trim().is_empty() {
        return Value::Null;
    }
    let text_json = if *kind == Kind::Bool { text.to_ascii_lowercase() } else { text.to_owned() };
    serde_json::from_str(&text_json).ok().filter(fits).unwrap_or_else(|| text.into())
}
