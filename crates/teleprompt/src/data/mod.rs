//! Data: reading, marking inputs, splitting, and the seeded random numbers that splits and
//! optimizers draw.
//!
//! ```
//! use teleprompt::data::{Dataset, Format, Share, Splitter};
//! let text = "question,answer\nWhat is 2 + 2?,4\nCapital of Peru?,Lima\nWho wrote Emma?,Austen\n";
//! let data = Dataset::parse("qa.csv", text.as_bytes(), Format::Csv)?.inputs(["question"])?;
//! let split = Splitter::new(7).train(Share::Rest).val(Share::Count(0)).test(Share::Count(1));
//! assert_eq!(split.split(&data)?.train.len(), 2);
//! # Ok::<(), teleprompt::Error>(())
//! ```

mod columns;
mod read;
pub mod rng;
pub mod similar;
mod split;
pub(crate) mod tfidf;

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use teleprompt_core::{Error, Example, Record, Result};

pub use columns::Mapping;
pub use read::Format;
pub use rng::Rng;
pub use split::{Share, Split, Splitter};

/// Examples in order, with the name of where they come from. Derefs to the examples; cloning is
/// cheap.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    name: Arc<str>,
    examples: Arc<[Example]>,
}

impl Dataset {
    /// A dataset of these examples; `name` stands in messages and reports.
    pub fn new(name: impl Into<Arc<str>>, examples: impl Into<Arc<[Example]>>) -> Self {
        Self { name: name.into(), examples: examples.into() }
    }

    /// Reads a file. Its kind is told by the extension: `.jsonl` and `.ndjson` hold one JSON object
    /// a line, `.json` a list of objects, `.csv` a header and rows of text. No field is marked as
    /// an input yet: see [`Dataset::inputs`] and [`Dataset::for_signature`].
    ///
    /// The text is UTF-8, with or without byte-order mark; lines end as on any system; blank lines
    /// are skipped. The whole file is held in memory.
    ///
    /// # Errors
    /// [`Error::Io`]: the file cannot be read. [`Error::Data`]: another extension, not UTF-8, not
    /// JSON (with the line), a row that is no object, a column twice, no examples.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        read::load(path.as_ref())
    }

    /// Reads data that is in memory already; `name` stands in messages for the file.
    ///
    /// # Errors
    /// [`Error::Data`], as for [`Dataset::load`].
    pub fn parse(name: &str, bytes: &[u8], format: Format) -> Result<Self> {
        read::parse(name, bytes, format)
    }

    /// A dataset of serialisable values, such as structs. No field is marked as an input.
    ///
    /// # Errors
    /// [`Error::Input`]: a value does not serialise to named fields.
    pub fn from_typed<T: Serialize + 'static>(
        name: impl Into<Arc<str>>,
        values: impl IntoIterator<Item = T>,
    ) -> Result<Self> {
        let example = |value| Ok(Example::new(Record::from_typed(value)?, [""; 0]));
        let examples = values.into_iter().map(example).collect::<Result<Vec<_>>>()?;
        Ok(Self::new(name, examples))
    }

    /// Where the examples come from: the path as it was given, or a name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The examples in order.
    pub fn examples(&self) -> &[Example] {
        &self.examples
    }

    /// The first `n` examples, or all if there are fewer.
    #[must_use]
    pub fn take(&self, n: usize) -> Self {
        if n >= self.len() {
            return self.clone();
        }
        self.with_examples(self.iter().take(n).cloned().collect())
    }

    /// The examples at these places, in the given order. Places beyond the end are left out.
    #[must_use]
    pub fn select(&self, places: &[usize]) -> Self {
        self.with_examples(places.iter().filter_map(|&i| self.get(i)).cloned().collect())
    }

    /// The blake3 hash of all examples in order, as hex: values, names and which fields are inputs,
    /// not the dataset's name. A study refuses to go on when it changed.
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for example in self.iter() {
            // Values of these types always serialise: keys are text and numbers are finite.
            let text = serde_json::to_string(example).unwrap_or_default();
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    fn with_examples(&self, examples: Vec<Example>) -> Self {
        Self { name: self.name.clone(), examples: examples.into() }
    }

    fn error(&self, message: impl std::fmt::Display) -> Error {
        Error::Data(format!("{}: {message}", self.name))
    }
}

impl Deref for Dataset {
    type Target = [Example];
    fn deref(&self) -> &[Example] {
        &self.examples
    }
}

impl From<&Dataset> for Dataset {
    fn from(data: &Dataset) -> Self {
        data.clone()
    }
}

impl From<Vec<Example>> for Dataset {
    fn from(examples: Vec<Example>) -> Self {
        Self::new("examples", examples)
    }
}

impl From<&[Example]> for Dataset {
    fn from(examples: &[Example]) -> Self {
        Self::new("examples", examples)
    }
}

impl From<Arc<[Example]>> for Dataset {
    fn from(examples: Arc<[Example]>) -> Self {
        Self::new("examples", examples)
    }
}

impl FromIterator<Example> for Dataset {
    fn from_iter<I: IntoIterator<Item = Example>>(examples: I) -> Self {
        Self::new("examples", examples.into_iter().collect::<Vec<_>>())
    }
}
