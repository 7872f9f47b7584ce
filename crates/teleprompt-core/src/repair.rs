//! The repairs a parser may make, each with a documented penalty.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! repairs {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $penalty:literal;)+) => {
        /// A repair that was needed to read a reply. Parsing never guesses silently.
        ///
        /// Penalties add up over a reply; among several readings of it the one with the smallest
        /// sum wins. They are ordinal: 1 to 3 changes the form only, 4 to 9 drops text around the
        /// value, 10 and more changes the value itself.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum Repair {
            $($(#[doc = $doc])+ #[serde(rename = $code)] $name,)+
        }

        impl Repair {
            /// All repairs there are.
            pub const ALL: &'static [Repair] = &[$(Repair::$name,)+];

            /// The stable name, as in `--json` output.
            pub fn code(self) -> &'static str {
                match self { $(Repair::$name => $code,)+ }
            }

            /// How much it speaks against a reading; lower is better.
            pub fn penalty(self) -> u32 {
                match self { $(Repair::$name => $penalty,)+ }
            }
        }
    };
}

repairs! {
    /// A code fence around the value was taken off. Penalty 1.
    Fence = "fence", 1;
    /// Quotes around a plain text or label were taken off. Penalty 1.
    Quotes = "quotes", 1;
    /// A thinking part such as `<think>…</think>` was dropped. Penalty 1.
    Thinking = "thinking", 1;
    /// A trailing or missing comma in JSON. Penalty 1.
    Comma = "comma", 1;
    /// A raw line break or other control character inside a JSON text. Penalty 1.
    RawControl = "raw_control", 1;
    /// Single quotes, typographic quotes or no quotes where JSON wants double ones. Penalty 2.
    JsonQuotes = "json_quotes", 2;
    /// A backslash that JSON does not know, as in LaTeX, was kept as text. Penalty 2.
    Backslash = "backslash", 2;
    /// A comment in JSON was dropped. Penalty 2.
    Comment = "comment", 2;
    /// Python's or JavaScript's words for true, false and null. Penalty 1.
    ForeignLiteral = "foreign_literal", 1;
    /// A field marker in another form than the one asked for. Penalty 2.
    LooseMarker = "loose_marker", 2;
    /// A field name in another case or spelling. Penalty 2.
    FieldName = "field_name", 2;
    /// A number or bool came as text. Penalty 2.
    ScalarFromText = "scalar_from_text", 2;
    /// A structure came as JSON inside a text. Penalty 3.
    JsonInText = "json_in_text", 3;
    /// A text came as a number, bool or structure. Penalty 3.
    TextFromScalar = "text_from_scalar", 3;
    /// An enum value in another case or with other punctuation. Penalty 2.
    EnumCase = "enum_case", 2;
    /// Text before or after the value was dropped. Penalty 4.
    Prose = "prose", 4;
    /// A unit, sign or word beside a number was dropped. Penalty 4.
    NumberUnit = "number_unit", 4;
    /// A field that the signature does not have was dropped. Penalty 4.
    ExtraField = "extra_field", 4;
    /// A single value became a list of one. Penalty 4.
    WrappedInList = "wrapped_in_list", 4;
    /// A list was read from lines, bullets or commas. Penalty 5.
    ListFromText = "list_from_text", 5;
    /// A list of one became a single value. Penalty 5.
    Unwrapped = "unwrapped", 5;
    /// The markers were missing and the whole reply became the only output. Penalty 6.
    NoMarker = "no_marker", 6;
    /// One of several values or objects was chosen. Penalty 7.
    OneOfSeveral = "one_of_several", 7;
    /// A date in another notation. Penalty 3.
    DateFormat = "date_format", 3;
    /// JSON that was cut off was closed. Penalty 10.
    Closed = "closed", 10;
    /// The nearest enum value was taken for a misspelt one. Penalty 10.
    EnumFuzzy = "enum_fuzzy", 10;
    /// A number with a fraction of zero became a whole number. Penalty 2.
    WholeNumber = "whole_number", 2;
    /// An optional output, or field of an object, that was left out became null. Penalty 3.
    MissingOptional = "missing_optional", 3;
    /// A decision found no probabilities to go by; what the LM said stands. No repair of the reply,
    /// and no penalty.
    NoEvidence = "no_evidence", 0;
}

/// A [`Repair`] and where it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flag {
    /// The field; empty where it concerns the whole reply.
    pub field: Arc<str>,
    /// What was repaired.
    pub repair: Repair,
}

impl Flag {
    /// A flag on a field.
    pub fn new(field: impl Into<Arc<str>>, repair: Repair) -> Self {
        Self { field: field.into(), repair }
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.field {
            "" => f.write_str(self.repair.code()),
            field => write!(f, "{field}: {}", self.repair.code()),
        }
    }
}
