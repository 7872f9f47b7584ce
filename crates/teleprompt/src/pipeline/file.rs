//! The text of a pipeline file to its keys and values, with their places.

use std::ops::Range;

use teleprompt_core::SignatureError;
use teleprompt_core::names::suggestion;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::Mistake;

/// Deeper groups are refused: the check of the wiring walks each group's steps twice.
const MAX_NESTING: usize = 4;

/// More rounds than anyone pays for on purpose.
const MAX_TIMES: u32 = 1000;

type Read<T> = Result<T, Mistake>;

/// A text of the file.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub value: String,
    /// Its place in the file, quotes included.
    pub span: Range<usize>,
}

impl Text {
    pub fn mistake(&self, message: impl Into<String>) -> Mistake {
        Mistake::new(self.span.clone(), message)
    }

    /// A mistake inside of this text, as seen from the file. Where the file writes the text in
    /// another way, with escapes, the whole of it is marked.
    pub fn inside(&self, file: &str, mut mistake: Mistake) -> Mistake {
        let written = file.get(self.span.clone()).unwrap_or_default();
        mistake.span = match written.find(&self.value) {
            Some(at) => {
                let start = self.span.start + at;
                start + mistake.span.start..start + mistake.span.end
            }
            None => self.span.clone(),
        };
        mistake
    }

    /// [`Text::inside`] for a signature.
    pub fn signature_error(&self, file: &str, error: SignatureError) -> Mistake {
        self.inside(file, error.into())
    }
}

/// A pipeline file as it was written.
pub(super) struct PipelineFile {
    pub inputs: Option<Vec<Text>>,
    pub outputs: Option<Vec<Text>>,
    pub steps: Vec<FileStep>,
}

pub(super) struct FileStep {
    pub name: Text,
    pub when: Option<Text>,
    pub times: u32,
    pub until: Option<Text>,
    pub body: FileBody,
}

pub(super) enum FileBody {
    Predictor(FilePredictor),
    Group(Vec<FileStep>),
}

pub(super) struct FilePredictor {
    pub signature: Text,
    pub module: Option<Text>,
    pub lm: Option<Text>,
    pub instructions: Option<Text>,
    /// Input fields with the values they are read from, the first that is there.
    pub wire: Vec<(Text, Vec<Text>)>,
    /// Lists with the output fields they are made of.
    pub collect: Vec<(Text, Text)>,
}

const TOP: &[&str] = &["inputs", "outputs", "step"];
const STEP: &[&str] = &[
    "name",
    "signature",
    "module",
    "lm",
    "instructions",
    "wire",
    "collect",
    "when",
    "repeat",
    "step",
];
/// What only a step that calls an LM has.
const PREDICTOR: &[&str] = &["signature", "module", "lm", "instructions", "wire", "collect"];
const REPEAT: &[&str] = &["times", "until"];

pub(super) fn read(text: &str) -> Read<PipelineFile> {
    let root = DeTable::parse(text)
        .map_err(|e| Mistake::new(e.span().unwrap_or_default(), e.message().to_owned()))?;
    let root = root.into_inner();
    known_keys(&root, TOP, "a pipeline file")?;
    let steps = match root.get("step") {
        Some(value) => steps(value, 0)?,
        None => {
            let help = "each step is a `[[step]]` with `name` and `signature`";
            return Err(Mistake::new(0..0, "the pipeline has no steps").help(help));
        }
    };
    let texts = |key| root.get(key).map(|value| texts(value, &format!("`{key}`"))).transpose();
    Ok(PipelineFile { inputs: texts("inputs")?, outputs: texts("outputs")?, steps })
}

fn known_keys(table: &DeTable<'_>, known: &[&str], what: &str) -> Read<()> {
    match table.keys().find(|key| !known.contains(&&**key.get_ref())) {
        None => Ok(()),
        Some(key) => {
            let hint = suggestion(key.get_ref(), known.iter().copied());
            let message = format!("{what} has no key `{}`{hint}", key.get_ref());
            Err(Mistake::new(key.span(), message))
        }
    }
}

fn steps(value: &Spanned<DeValue<'_>>, nesting: usize) -> Read<Vec<FileStep>> {
    let tables = || value.get_ref().as_array()?.iter().map(table).collect::<Option<Vec<_>>>();
    let Some(tables) = tables().filter(|t| !t.is_empty()) else {
        let help = if nesting == 0 { "write `[[step]]`" } else { "write `[[step.step]]`" };
        return Err(Mistake::new(value.span(), "`step` is a list of steps").help(help));
    };
    if nesting > MAX_NESTING {
        let message = format!("groups of steps nest at most {MAX_NESTING} deep");
        return Err(Mistake::new(value.span(), message));
    }
    tables.into_iter().map(|(table, span)| step(table, span, nesting)).collect()
}

fn table<'v, 't>(value: &'v Spanned<DeValue<'t>>) -> Option<(&'v DeTable<'t>, Range<usize>)> {
    value.get_ref().as_table().map(|table| (table, value.span()))
}

fn step(table: &DeTable<'_>, span: Range<usize>, nesting: usize) -> Read<FileStep> {
    let named = |m: Mistake| match table.get("name").and_then(|n| n.get_ref().as_str()) {
        Some(name) => m.within(&format!("step `{name}`")),
        None => m,
    };
    let read = || {
        known_keys(table, STEP, "a step")?;
        let (times, until) = repeat(table)?;
        Ok((times, until, body(table, &span, nesting)?))
    };
    let Some(name) = optional(table, "name")? else {
        let help = "add `name = \"…\"`: wiring, traces and saved programs use it";
        return Err(Mistake::new(span, "this step has no name").help(help));
    };
    let (times, until, body) = read().map_err(named)?;
    Ok(FileStep { name, when: optional(table, "when").map_err(named)?, times, until, body })
}

fn body(table: &DeTable<'_>, span: &Range<usize>, nesting: usize) -> Read<FileBody> {
    let Some(inner) = table.get("step") else {
        return Ok(FileBody::Predictor(predictor(table, span)?));
    };
    if let Some(key) = table.keys().find(|key| PREDICTOR.contains(&&**key.get_ref())) {
        let message = format!("a group of steps has no `{}`", key.get_ref());
        return Err(Mistake::new(key.span(), message).help("give it to a step of the group"));
    }
    Ok(FileBody::Group(steps(inner, nesting + 1)?))
}

fn predictor(table: &DeTable<'_>, span: &Range<usize>) -> Read<FilePredictor> {
    let Some(signature) = optional(table, "signature")? else {
        let help = "add `signature = \"question -> answer\"`, or `[[step.step]]` for a group";
        return Err(Mistake::new(span.clone(), "there is no signature").help(help));
    };
    let wire = entries(table, "wire", "{ field = \"step.field\" }")?;
    let collect = entries(table, "collect", "{ list = \"field\" }")?;
    Ok(FilePredictor {
        signature,
        module: optional(table, "module")?,
        lm: optional(table, "lm")?,
        instructions: optional(table, "instructions")?,
        wire: wire
            .into_iter()
            .map(|(field, source)| {
                let what = format!("the source of `{}`", field.value);
                let sources = match source.get_ref() {
                    DeValue::Array(_) => texts(source, &what)?,
                    _ => vec![text(source, &what)?],
                };
                Ok((field, sources))
            })
            .collect::<Read<_>>()?,
        collect: collect
            .into_iter()
            .map(|(list, field)| {
                let what = format!("the field of `{}`", list.value);
                Ok((list, text(field, &what)?))
            })
            .collect::<Read<_>>()?,
    })
}

/// `repeat = 3` or `repeat = { times = 3, until = "…" }`.
fn repeat(table: &DeTable<'_>) -> Read<(u32, Option<Text>)> {
    let Some(value) = table.get("repeat") else { return Ok((1, None)) };
    let DeValue::Table(parts) = value.get_ref() else { return Ok((times(value)?, None)) };
    known_keys(parts, REPEAT, "`repeat`")?;
    let Some(count) = parts.get("times") else {
        let help = "add `times = 3`: the most rounds that it may take";
        return Err(Mistake::new(value.span(), "`repeat` has no `times`").help(help));
    };
    Ok((times(count)?, optional(parts, "until")?))
}

fn times(value: &Spanned<DeValue<'_>>) -> Read<u32> {
    let number = value.get_ref().as_integer();
    let number = number.and_then(|n| u32::from_str_radix(n.as_str(), n.radix()).ok());
    number.filter(|n| (1..=MAX_TIMES).contains(n)).ok_or_else(|| {
        let message = format!("a step is repeated a whole number of times, 1 to {MAX_TIMES}");
        Mistake::new(value.span(), message)
            .help("write `repeat = 3` or `repeat = { times = 3, until = \"done\" }`")
    })
}

type Entry<'v, 't> = (Text, &'v Spanned<DeValue<'t>>);

fn entries<'v, 't>(table: &'v DeTable<'t>, key: &str, form: &str) -> Read<Vec<Entry<'v, 't>>> {
    let Some(value) = table.get(key) else { return Ok(Vec::new()) };
    let Some(entries) = value.get_ref().as_table() else {
        return Err(Mistake::new(value.span(), format!("`{key}` has the form `{form}`")));
    };
    let name =
        |key: &Spanned<_>| Text { value: ToString::to_string(key.get_ref()), span: key.span() };
    Ok(entries.iter().map(|(key, value)| (name(key), value)).collect())
}

fn optional(table: &DeTable<'_>, key: &str) -> Read<Option<Text>> {
    table.get(key).map(|value| text(value, &format!("`{key}`"))).transpose()
}

fn text(value: &Spanned<DeValue<'_>>, what: &str) -> Read<Text> {
    match value.get_ref() {
        DeValue::String(text) => Ok(Text { value: text.to_string(), span: value.span() }),
        other => {
            let message = format!("{what} is a text, not {}", kind(other));
            Err(Mistake::new(value.span(), message).help("put it in quotes"))
        }
    }
}

fn texts(value: &Spanned<DeValue<'_>>, what: &str) -> Read<Vec<Text>> {
    match value.get_ref() {
        DeValue::Array(items) if !items.is_empty() => {
            items.iter().map(|item| text(item, &format!("each entry of {what}"))).collect()
        }
        DeValue::Array(_) => Err(Mistake::new(value.span(), format!("{what} is empty"))),
        _ => {
            let message = format!("{what} is a list of texts");
            Err(Mistake::new(value.span(), message).help("such as `[\"question\", \"context\"]`"))
        }
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
