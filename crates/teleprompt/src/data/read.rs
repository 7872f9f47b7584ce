//! Reading JSONL, JSON and CSV.

use std::ffi::OsStr;
use std::path::Path;

use serde_json::Value;
use teleprompt_core::{Error, Example, Record, Result, names};

use super::Dataset;

/// A form of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    JsonLines,
    /// A list of JSON objects.
    Json,
    /// A header and rows, separated by commas; all values are text.
    Csv,
}

impl Format {
    /// The format that an extension stands for: `jsonl`, `ndjson`, `json` or `csv`, in any case.
    pub fn of(path: &Path) -> Option<Self> {
        let extension = path.extension().and_then(OsStr::to_str)?.to_ascii_lowercase();
        match extension.as_str() {
            "jsonl" | "ndjson" => Some(Format::JsonLines),
            "json" => Some(Format::Json),
            "csv" => Some(Format::Csv),
            _ => None,
        }
    }
}

pub(super) fn load(path: &Path) -> Result<Dataset> {
    let name = path.display().to_string();
    let format = Format::of(path).ok_or_else(|| {
        Error::Data(format!(
            "{name}: data must be a file that ends in .jsonl, .ndjson, .json or .csv"
        ))
    })?;
    let bytes = std::fs::read(path).map_err(|e| unreadable(path, &e))?;
    parse(&name, &bytes, format)
}

pub(super) fn parse(name: &str, bytes: &[u8], format: Format) -> Result<Dataset> {
    let text = utf8(bytes).map_err(|what| Error::Data(format!("{name}{what}")))?;
    let rows = match format {
        Format::JsonLines => json_lines(text),
        Format::Json => json(text),
        Format::Csv => csv(text),
    };
    let rows = rows.map_err(|what| Error::Data(format!("{name}{what}")))?;
    if rows.is_empty() {
        return Err(Error::Data(format!("{name}: there are no examples in it")));
    }
    let examples = rows.into_iter().map(|fields| Example::new(fields, [""; 0]));
    Ok(Dataset::new(name, examples.collect::<Vec<_>>()))
}

/// Says which file of the folder may have been meant.
fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    if error.kind() != std::io::ErrorKind::NotFound {
        return Error::io(path, error);
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let there: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let wanted = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let hint = names::closest(wanted, there.iter().map(String::as_str))
        .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    Error::Io { path: path.display().to_string(), message: format!("there is no such file{hint}") }
}

/// Errors of this module begin with what follows the file name: `:LINE: …` or `: …`.
type Rows = Result<Vec<Record>, String>;

fn utf8(bytes: &[u8]) -> Result<&str, String> {
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err(": the text is UTF-16; save it as UTF-8".into());
    }
    let bytes = bytes.strip_prefix(&[0xEF, 0xBB, 0xBF]).unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|e| {
        let before = bytes.get(..e.valid_up_to()).unwrap_or_default();
        let line = 1 + before.iter().filter(|&&b| b == b'\n').count();
        format!(":{line}: the text is not UTF-8; save the file as UTF-8")
    })
}

fn json_lines(text: &str) -> Rows {
    let lines = text.split('\n').map(str::trim).enumerate().filter(|(_, line)| !line.is_empty());
    lines.map(|(i, line)| json_line(line).map_err(|what| format!(":{}: {what}", i + 1))).collect()
}

fn json_line(line: &str) -> Result<Record, String> {
    match serde_json::from_str(line) {
        Ok(Value::Object(map)) => Ok(map.into()),
        Ok(other) => Err(format!(
            "expected one object with named fields a line, found {}{}",
            kind(&other),
            if other.is_array() { "; a file that is one list must end in .json" } else { "" }
        )),
        Err(e) => Err(format!("not JSON: {} at column {}", message(&e), e.column())),
    }
}

fn json(text: &str) -> Rows {
    let rows = match serde_json::from_str(text) {
        Ok(Value::Array(rows)) => rows,
        Ok(other) => {
            let found = kind(&other);
            return Err(format!(": expected a list of objects, found {found}"));
        }
        Err(e) => return Err(not_json(text, &e)),
    };
    let row = |(i, row)| match row {
        Value::Object(map) => Ok(map.into()),
        other => Err(format!(
            ": example {} must be an object with named fields, found {}",
            i + 1,
            kind(&other)
        )),
    };
    rows.into_iter().enumerate().map(row).collect()
}

fn not_json(text: &str, error: &serde_json::Error) -> String {
    let mut lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
    let by_line = lines.next().is_some_and(|first| json_line(first).is_ok());
    let hint = if by_line { "; a file with one object a line must end in .jsonl" } else { "" };
    if text.trim().is_empty() {
        return ": there are no examples in it".into();
    }
    format!(":{}: not JSON: {} at column {}{hint}", error.line(), message(error), error.column())
}

/// What serde_json says, without its own place.
fn message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what).to_owned()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a bool",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn csv(text: &str) -> Rows {
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::Headers).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|e| csv_error(&e))?.clone();
    let columns: Vec<String> = header.iter().enumerate().map(column_name).collect();
    for (i, name) in columns.iter().enumerate() {
        if columns.iter().take(i).any(|other| other == name) {
            return Err(format!(":1: the column `{name}` stands twice; rename one"));
        }
    }
    let row = |row: csv::Result<csv::StringRecord>| {
        let row = row.map_err(|e| csv_error(&e))?;
        Ok(columns.iter().map(String::as_str).zip(row.iter()).collect())
    };
    reader.records().map(row).collect()
}

/// Tables with an unnamed index column are common, so such a column gets a name.
fn column_name((i, name): (usize, &str)) -> String {
    if name.is_empty() { format!("column_{}", i + 1) } else { name.to_owned() }
}

fn csv_error(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            format!(
                ":{line}: the row has {len} fields and the header {expected_len}; put fields \
                 that hold commas or line ends in double quotes"
            )
        }
        _ => format!(": not CSV: {error}"),
    }
}
