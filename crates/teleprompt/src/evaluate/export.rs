//! Evaluations as JSON and CSV.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use teleprompt_core::{Error, Record, Result};

use super::result::{Evaluation, Row};

/// Where the value of a column comes from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    Example(String),
    Prediction(String),
    Score,
    Feedback,
    Error,
}

/// A column of the exported table.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) source: Source,
}

impl Evaluation {
    /// The rows as a list of JSON objects: the fields of the example, those of the prediction, the
    /// score under the metric's name, `feedback` and `error` where there is any. Names that example
    /// and prediction share, or that these columns take, get the prefix `example_` or `pred_`, for
    /// all rows alike.
    pub fn to_json(&self) -> Value {
        let columns = self.columns();
        let object = |row: &Row| {
            let cell = |c: &Column| Some((c.name.clone(), self.value(row, &c.source)?));
            Value::Object(columns.iter().filter_map(cell).collect::<Map<_, _>>())
        };
        Value::Array(self.rows.iter().map(object).collect())
    }

    /// The rows as CSV with a header of all columns that any row has, named as in
    /// [`Evaluation::to_json`]. Text stands as it is, missing values are empty, all others are JSON.
    ///
    /// # Errors
    /// [`Error::Other`]: the table could not be put together.
    pub fn to_csv(&self) -> Result<String> {
        let columns = self.columns();
        let failed = |e: String| Error::Other(format!("the table could not be written: {e}"));
        let mut writer = csv::Writer::from_writer(Vec::new());
        let header = columns.iter().map(|c| &c.name);
        writer.write_record(header).map_err(|e| failed(e.to_string()))?;
        for row in &self.rows {
            let cells = columns.iter().map(|c| plain(self.value(row, &c.source)));
            writer.write_record(cells).map_err(|e| failed(e.to_string()))?;
        }
        let bytes = writer.into_inner().map_err(|e| failed(e.to_string()))?;
        String::from_utf8(bytes).map_err(|e| failed(e.to_string()))
    }

    /// Writes the rows to a `.json`, `.jsonl` or `.csv` file. A file that is there is replaced only
    /// when all is written.
    ///
    /// # Errors
    /// [`Error::Config`]: another extension. [`Error::Io`]: the file cannot be written, for example
    /// because the disk is full.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let text = match extension.to_ascii_lowercase().as_str() {
            "json" => format!("{}\n", self.to_json()),
            "jsonl" => self.json_lines(),
            "csv" => self.to_csv()?,
            _ => {
                return Err(Error::Config(format!(
                    "{}: results go to a file that ends in .json, .jsonl or .csv",
                    path.display()
                )));
            }
        };
        replace(path, text.as_bytes()).map_err(|e| Error::io(path, &e))
    }

    fn json_lines(&self) -> String {
        let rows = self.to_json();
        let rows = rows.as_array().map_or(&[][..], Vec::as_slice);
        rows.iter().map(|row| format!("{row}\n")).collect()
    }

    /// All columns that any row has.
    pub(super) fn columns(&self) -> Vec<Column> {
        let examples =
            names(self.rows.iter().filter_map(|r| Some(&self.data.get(r.index)?.fields)));
        let predictions =
            names(self.rows.iter().filter_map(|r| Some(&r.prediction.as_ref()?.output)));
        let mut own = vec![(self.metric.clone(), Source::Score)];
        if self.rows.iter().any(|r| r.feedback.is_some()) {
            own.push(("feedback".into(), Source::Feedback));
        }
        if self.failed > 0 {
            own.push(("error".into(), Source::Error));
        }
        let mut taken: Vec<String> = own.iter().map(|(name, _)| name.clone()).collect();
        let mut columns = Vec::new();
        let mut add =
            |prefix: &str, here: &[String], there: &[String], source: fn(String) -> Source| {
                for field in here {
                    let mut name = field.clone();
                    while taken.contains(&name) || there.contains(&name) {
                        name.insert_str(0, prefix);
                    }
                    taken.push(name.clone());
                    columns.push(Column { name, source: source(field.clone()) });
                }
            };
        add("example_", &examples, &predictions, Source::Example);
        add("pred_", &predictions, &examples, Source::Prediction);
        columns.extend(own.into_iter().map(|(name, source)| Column { name, source }));
        columns
    }

    /// The value of a cell, if the row has one.
    pub(super) fn value(&self, row: &Row, source: &Source) -> Option<Value> {
        match source {
            Source::Example(field) => self.data.get(row.index)?.fields.get(field).cloned(),
            Source::Prediction(field) => row.prediction.as_ref()?.output.get(field).cloned(),
            Source::Score => Some(row.score.into()),
            Source::Feedback => row.feedback.clone().map(Value::from),
            Source::Error => row.error.as_ref().map(|e| e.to_string().into()),
        }
    }
}

fn names<'a>(records: impl Iterator<Item = &'a Record>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for name in records.flat_map(Record::names) {
        if !all.iter().any(|known| known == name) {
            all.push(name.to_owned());
        }
    }
    all
}

pub(super) fn plain(value: Option<Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
    }
}

/// Writes beside the file and renames, so that a full disk never costs what was there. What is no
/// ordinary file, such as a pipe, is written to directly.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if std::fs::metadata(path).is_ok_and(|m| !m.is_file()) {
        return std::fs::OpenOptions::new().write(true).open(path)?.write_all(bytes);
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.part", std::process::id()));
    let beside = PathBuf::from(beside);
    let written = std::fs::File::create(&beside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        // The error to report is the first one; the part may not even be there.
        let _ = std::fs::remove_file(&beside);
    }
    written
}
