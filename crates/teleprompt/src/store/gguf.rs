//! Reads the head of a GGUF file: enough to say what model it is and whether it is all there.
//!
//! Source of the format: the GGUF specification in the ggml repository (`docs/gguf.md`), versions
//! 2 and 3, little-endian. Nothing in a file is trusted: lengths are checked against what is left
//! of the file before they are used, and nothing is allocated that is larger than 64 kB.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use serde::Serialize;
use thiserror::Error as ThisError;

mod types;
use types::{ValueType, tensor_bytes};

/// What the head of a GGUF file says.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GgufInfo {
    /// The version of the format, 2 or 3.
    pub version: u32,
    /// `general.name`: the model's name as its maker wrote it.
    pub name: Option<String>,
    /// `general.architecture`, such as `llama`.
    pub architecture: Option<String>,
    /// `general.license`.
    pub licence: Option<String>,
    /// The longest context the model was trained for, in tokens.
    pub context_length: Option<u64>,
    /// How many weights all tensors have together.
    pub parameters: u64,
    /// How many tensors there are.
    pub tensors: u64,
    /// The size in bytes that the file must have at least.
    pub needed_bytes: u64,
}

/// Why a file cannot be used as a GGUF model. The texts go after the file's path and a colon.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum GgufError {
    /// The first four bytes are not `GGUF`.
    #[error("not a GGUF file (it begins with {found}); give the path of a .gguf model file")]
    NotGguf {
        /// The first bytes, made printable.
        found: String,
    },
    /// Written for a machine with the other byte order.
    #[error("a big-endian GGUF file; get the little-endian file of the model")]
    BigEndian,
    /// A version this reader does not know.
    #[error("GGUF version {0} is not supported (2 and 3 are); get a current file of the model")]
    Version(u32),
    /// The file ends too early.
    #[error("truncated: has {has} bytes, needs {}{needs}; download it again", if *.exact { "" } else { "more than " })]
    Truncated {
        /// The file's size in bytes.
        has: u64,
        /// The size in bytes it should have, or a lower bound of it.
        needs: u64,
        /// Whether `needs` is the whole size and no lower bound.
        exact: bool,
    },
    /// The contents contradict themselves.
    #[error("damaged: {what} at byte {at}; download it again")]
    Damaged {
        /// What is wrong.
        what: String,
        /// Where, as an offset from the start of the file.
        at: u64,
    },
    /// The operating system could not read it.
    #[error("cannot be read ({0}); check the path")]
    Io(#[from] std::io::Error),
}

/// Reads the head of the file at `path` and checks that the file is as long as its head says.
///
/// Reads some megabytes at most (the vocabulary is in the head), never the weights.
///
/// ```
/// use teleprompt::store::gguf::{GgufError, check_file};
/// let path = std::env::temp_dir().join("teleprompt-doc-no-model.gguf");
/// std::fs::write(&path, "<html>")?;
/// assert!(matches!(check_file(&path), Err(GgufError::NotGguf { .. })));
/// # std::fs::remove_file(path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// Every [`GgufError`].
pub fn check_file(path: &Path) -> Result<GgufInfo, GgufError> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    check(BufReader::with_capacity(1 << 16, file), size)
}

/// As [`check_file`] for any source of `size` bytes.
///
/// # Errors
/// Every [`GgufError`].
pub fn check(source: impl Read + Seek, size: u64) -> Result<GgufInfo, GgufError> {
    let mut head = Head { source, at: 0, size };
    let (version, tensors, pairs) = head.preamble()?;
    let mut meta = Meta { alignment: DEFAULT_ALIGNMENT, ..Meta::default() };
    for _ in 0..pairs {
        head.pair(&mut meta)?;
    }
    let mut weights = Weights::default();
    for _ in 0..tensors {
        head.tensor(&mut weights)?;
    }
    let start = head.at.div_ceil(meta.alignment).saturating_mul(meta.alignment);
    let needed_bytes = start.saturating_add(weights.end);
    if size < needed_bytes {
        return Err(GgufError::Truncated { has: size, needs: needed_bytes, exact: true });
    }
    Ok(GgufInfo {
        version,
        context_length: meta.context_length(),
        name: meta.name,
        architecture: meta.architecture,
        licence: meta.licence,
        parameters: weights.elements,
        tensors,
        needed_bytes,
    })
}

const DEFAULT_ALIGNMENT: u64 = 32;
/// More than any real file has; a larger count is damage.
const MAX_COUNT: u64 = 1 << 24;
const MAX_KEY: u64 = u16::MAX as u64;
/// Arrays in arrays are allowed by the format and used by no model; four levels are plenty.
const MAX_DEPTH: u32 = 4;
const MAX_DIMENSIONS: u32 = 4;
/// Keys ending in `.context_length` that are kept until the architecture is known.
const MAX_LENGTH_KEYS: usize = 16;

#[derive(Default)]
struct Meta {
    alignment: u64,
    name: Option<String>,
    architecture: Option<String>,
    licence: Option<String>,
    lengths: Vec<(String, u64)>,
}

impl Meta {
    fn context_length(&self) -> Option<u64> {
        let key = format!("{}.context_length", self.architecture.as_deref()?);
        self.lengths.iter().find(|(k, _)| *k == key).map(|(_, n)| *n)
    }
}

#[derive(Default)]
struct Weights {
    /// End of the last tensor, counted from the start of the tensor data.
    end: u64,
    elements: u64,
}

struct Head<R> {
    source: R,
    at: u64,
    size: u64,
}

impl<R: Read + Seek> Head<R> {
    fn preamble(&mut self) -> Result<(u32, u64, u64), GgufError> {
        let mut magic = Vec::new();
        self.source.by_ref().take(4).read_to_end(&mut magic)?;
        self.at = magic.len() as u64;
        if magic != b"GGUF" {
            return Err(GgufError::NotGguf { found: printable(&magic) });
        }
        match self.u32()? {
            version @ (2 | 3) => {
                let tensors = self.count("tensors")?;
                Ok((version, tensors, self.count("metadata entries")?))
            }
            swapped if matches!(swapped.swap_bytes(), 1..=3) => Err(GgufError::BigEndian),
            other => Err(GgufError::Version(other)),
        }
    }

    fn count(&mut self, of: &str) -> Result<u64, GgufError> {
        match self.u64()? {
            n if n <= MAX_COUNT => Ok(n),
            n => Err(self.damaged(format!("{n} {of}"))),
        }
    }

    fn pair(&mut self, meta: &mut Meta) -> Result<(), GgufError> {
        let key = self.text(MAX_KEY, "a key")?;
        let kind = self.value_type()?;
        match (key.as_str(), kind) {
            ("general.name", ValueType::Text) => meta.name = self.short_text()?,
            ("general.architecture", ValueType::Text) => meta.architecture = self.short_text()?,
            ("general.license", ValueType::Text) => meta.licence = self.short_text()?,
            ("general.alignment", ValueType::Fixed(4)) => match self.u32()? {
                n if n.is_power_of_two() => meta.alignment = n.into(),
                n => return Err(self.damaged(format!("an alignment of {n}"))),
            },
            (k, ValueType::Fixed(width @ (4 | 8))) if k.ends_with(".context_length") => {
                let length = if width == 4 { self.u32()?.into() } else { self.u64()? };
                if meta.lengths.len() < MAX_LENGTH_KEYS {
                    meta.lengths.push((key, length));
                }
            }
            (_, kind) => self.skip_value(kind, MAX_DEPTH)?,
        }
        Ok(())
    }

    fn tensor(&mut self, weights: &mut Weights) -> Result<(), GgufError> {
        self.text(MAX_KEY, "a tensor's name")?;
        let dimensions = self.u32()?;
        if dimensions > MAX_DIMENSIONS {
            return Err(self.damaged(format!("a tensor of {dimensions} dimensions")));
        }
        let mut elements = 1u64;
        for _ in 0..dimensions {
            let next = self.u64()?;
            elements = elements
                .checked_mul(next)
                .ok_or_else(|| self.damaged("a tensor of more than 2^64 elements".into()))?;
        }
        let kind = self.u32()?;
        let offset = self.u64()?;
        // A type newer than this table still has a place: its start bounds the file from below.
        let bytes = tensor_bytes(kind, elements).unwrap_or(0);
        let end = offset
            .checked_add(bytes)
            .ok_or_else(|| self.damaged("a tensor that ends past 2^64 bytes".into()))?;
        weights.end = weights.end.max(end);
        weights.elements = weights.elements.saturating_add(elements);
        Ok(())
    }

    fn skip_value(&mut self, kind: ValueType, depth: u32) -> Result<(), GgufError> {
        match kind {
            ValueType::Fixed(width) => self.skip(width),
            ValueType::Text => {
                let length = self.u64()?;
                self.skip(length)
            }
            ValueType::Array if depth == 0 => Err(self.damaged("arrays nested too deep".into())),
            ValueType::Array => {
                let element = self.value_type()?;
                let count = self.u64()?;
                if let ValueType::Fixed(width) = element {
                    return self.skip(count.saturating_mul(width));
                }
                // Every element takes at least 8 bytes, so the end of the file ends the loop.
                (0..count).try_for_each(|_| self.skip_value(element, depth - 1))
            }
        }
    }

    fn value_type(&mut self) -> Result<ValueType, GgufError> {
        let code = self.u32()?;
        ValueType::from_code(code).ok_or_else(|| self.damaged(format!("a value of type {code}")))
    }

    /// A text of some length that is kept; one longer than a key may be is skipped.
    fn short_text(&mut self) -> Result<Option<String>, GgufError> {
        let length = self.u64()?;
        if length > MAX_KEY {
            self.skip(length)?;
            return Ok(None);
        }
        let bytes = self.bytes(length)?;
        let text = String::from_utf8_lossy(&bytes);
        Ok(Some(text.chars().filter(|c| !c.is_control()).collect()))
    }

    fn text(&mut self, longest: u64, what: &str) -> Result<String, GgufError> {
        let length = self.u64()?;
        if length > longest {
            return Err(self.damaged(format!("{what} of {length} bytes")));
        }
        let bytes = self.bytes(length)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn bytes(&mut self, length: u64) -> Result<Vec<u8>, GgufError> {
        self.reserve(length)?;
        let mut bytes = Vec::new();
        self.source.by_ref().take(length).read_to_end(&mut bytes)?;
        if bytes.len() as u64 == length { Ok(bytes) } else { Err(self.cut()) }
    }

    fn skip(&mut self, length: u64) -> Result<(), GgufError> {
        self.reserve(length)?;
        // Seeking throws the buffer away, reading on does not: most values are a few bytes.
        if length <= 4096 {
            std::io::copy(&mut self.source.by_ref().take(length), &mut std::io::sink())?;
        } else {
            self.source.seek(SeekFrom::Start(self.at))?;
        }
        Ok(())
    }

    /// Moves on by `length` bytes if the file has as many.
    fn reserve(&mut self, length: u64) -> Result<(), GgufError> {
        match self.at.checked_add(length) {
            Some(end) if end <= self.size => {
                self.at = end;
                Ok(())
            }
            Some(end) => Err(GgufError::Truncated { has: self.size, needs: end, exact: false }),
            None => Err(self.damaged(format!("a length of {length} bytes"))),
        }
    }

    fn u32(&mut self) -> Result<u32, GgufError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, GgufError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        self.reserve(N as u64)?;
        let mut bytes = [0; N];
        match self.source.read_exact(&mut bytes) {
            Ok(()) => Ok(bytes),
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Err(self.cut()),
            Err(e) => Err(e.into()),
        }
    }

    /// The file became shorter while it was read.
    fn cut(&self) -> GgufError {
        GgufError::Truncated { has: self.size, needs: self.at, exact: false }
    }

    fn damaged(&self, what: String) -> GgufError {
        GgufError::Damaged { what, at: self.at }
    }
}

fn printable(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        "nothing: it is empty".into()
    } else {
        format!("\"{}\"", bytes.escape_ascii())
    }
}

#[cfg(test)]
mod tests;
