//! Signatures: what a step must do, as a value.
//!
//! # Notation
//! ```text
//! signature   = ["instructions"] inputs -> outputs [where NAME = type, …]
//! inputs      = field, field, …            (may be empty)
//! field       = name [: type] ["description"]        (no type: str)
//! type        = type | type                union, the first that fits wins
//!             | type?                      or nothing; also optional[type]
//!             | base (constraint, …)
//! base        = str int float bool date any
//!             | list[type] dict[str, type] tuple[type, …]
//!             | enum["a", "b"]             also literal[…]; texts, numbers, bools
//!             | {name: type "description", …}      a name that is no word in quotes
//!             | NAME                       from the where part
//! constraint  = 0..10  0..  ..10           range of a number, ends included
//!             | len 1..3                   characters, items or entries
//!             | pattern "[A-Z]+"           the whole text must match
//!             | in [1, 2, 3]               one of these values
//! ```
//! Texts are JSON strings in double or single quotes. A printed signature parses to the same value.

mod check;
mod error;
mod lexer;
mod parser;
mod text;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) use check::is_identifier;
pub(crate) use check::pattern as check_pattern;
pub use error::SignatureError;

use crate::types::{ObjectField, Type, TypeDefs, record_schema};

/// One input or output of a [`Signature`].
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name, an identifier.
    pub name: Arc<str>,
    /// Its type.
    pub ty: Type,
    /// What it means, for the LM; may be empty.
    pub description: Arc<str>,
}

impl Field {
    /// A field without description.
    pub fn new(name: impl Into<Arc<str>>, ty: Type) -> Self {
        Self { name: name.into(), ty, description: Arc::from("") }
    }

    /// The same field with a description.
    pub fn described(mut self, description: impl Into<Arc<str>>) -> Self {
        self.description = description.into();
        self
    }
}

/// Instructions, ordered input fields, ordered output fields. Cloning is cheap.
///
/// ```
/// use teleprompt_core::Signature;
/// let s: Signature = "question, context: list[str] -> answer, confidence: float(0..1)".parse()?;
/// assert_eq!(s.outputs()[1].name.as_ref(), "confidence");
/// assert_eq!(s.to_string().parse::<Signature>()?, s);
/// # Ok::<(), teleprompt_core::SignatureError>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Signature(Arc<Parts>);

#[derive(Clone, PartialEq)]
struct Parts {
    instructions: Arc<str>,
    inputs: Vec<Field>,
    outputs: Vec<Field>,
    defs: TypeDefs,
}

impl Signature {
    /// Puts a signature together.
    ///
    /// # Errors
    /// No output, a name twice, a name that is no identifier, a type name without definition, or a
    /// type that the notation cannot say, such as a range on a bool.
    pub fn new(
        instructions: impl Into<Arc<str>>,
        inputs: Vec<Field>,
        outputs: Vec<Field>,
        defs: TypeDefs,
    ) -> Result<Self, SignatureError> {
        let parts = Parts { instructions: instructions.into(), inputs, outputs, defs };
        check::signature(&parts.inputs, &parts.outputs, &parts.defs)?;
        Ok(Self(Arc::new(parts)))
    }

    /// What the step must do, for the LM; may be empty.
    pub fn instructions(&self) -> &str {
        &self.0.instructions
    }

    /// The inputs, in order.
    pub fn inputs(&self) -> &[Field] {
        &self.0.inputs
    }

    /// The outputs, in order; at least one.
    pub fn outputs(&self) -> &[Field] {
        &self.0.outputs
    }

    /// The named types it uses.
    pub fn defs(&self) -> &TypeDefs {
        &self.0.defs
    }

    /// All fields, inputs first.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.inputs().iter().chain(self.outputs())
    }

    /// The input of this name.
    pub fn input(&self, name: &str) -> Option<&Field> {
        self.inputs().iter().find(|f| &*f.name == name)
    }

    /// The output of this name.
    pub fn output(&self, name: &str) -> Option<&Field> {
        self.outputs().iter().find(|f| &*f.name == name)
    }

    /// The same fields with other instructions.
    #[must_use]
    pub fn with_instructions(&self, instructions: impl Into<Arc<str>>) -> Self {
        self.edit(|parts| parts.instructions = instructions.into())
    }

    /// With one more output before the others, as chain of thought does. A signature that has a
    /// field of this name already stays as it is.
    #[must_use]
    pub fn with_first_output(&self, field: Field) -> Self {
        if self.fields().any(|f| f.name == field.name) {
            return self.clone();
        }
        self.edit(|parts| parts.outputs.insert(0, field))
    }

    /// With another description of one field; an unknown name changes nothing.
    #[must_use]
    pub fn with_description(&self, name: &str, description: impl Into<Arc<str>>) -> Self {
        let description = description.into();
        self.edit(|parts| {
            let mut fields = parts.inputs.iter_mut().chain(&mut parts.outputs);
            if let Some(field) = fields.find(|f| &*f.name == name) {
                field.description = description;
            }
        })
    }

    /// The JSON schema of the outputs as one object.
    pub fn output_schema(&self) -> serde_json::Value {
        record_schema(&object_fields(self.outputs()), self.defs())
    }

    /// The JSON schema of the inputs as one object.
    pub fn input_schema(&self) -> serde_json::Value {
        record_schema(&object_fields(self.inputs()), self.defs())
    }

    fn edit(&self, change: impl FnOnce(&mut Parts)) -> Self {
        let mut parts = (*self.0).clone();
        change(&mut parts);
        Self(Arc::new(parts))
    }
}

fn object_fields(fields: &[Field]) -> Vec<ObjectField> {
    let object = |f: &Field| ObjectField {
        name: f.name.clone(),
        ty: f.ty.clone(),
        description: f.description.clone(),
    };
    fields.iter().map(object).collect()
}

impl FromStr for Signature {
    type Err = SignatureError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parser::signature(text)
    }
}

impl TryFrom<&str> for Signature {
    type Error = SignatureError;
    fn try_from(text: &str) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl FromStr for Type {
    type Err = SignatureError;
    /// Parses a type without `where` part.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parser::lone_type(text)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({self})")
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
