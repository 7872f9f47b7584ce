//! Replies of language models to typed values, with every repair on record.
//!
//! Reading has two stages. The first ([`read`]) knows no types: it finds everything in a text that
//! could be JSON, in fences, between prose, with the wrong quotes or cut off. The second knows the
//! [`Type`]: it makes each candidate a value of that type. Whatever had to be bent on the way is a
//! [`Repair`] with a penalty; the reading with the smallest sum wins, the first of equals.
//!
//! What would change the meaning is no repair but an error: `8/10` is neither 1 nor 8, `5 to 10` is
//! not 510, `5 million` is not 5, `not spam` is not `spam`, and limits of a type are never bent.
//!
//! ```
//! use teleprompt::parse::{coerce_text, root_errors};
//! use teleprompt::{Repair, Type, TypeDefs};
//! let (ty, defs) = ("list[int]".parse::<Type>()?, TypeDefs::new());
//! let read = coerce_text("Sure! ```json\n[1, 2, 3,]\n```", &ty, &defs).unwrap();
//! assert_eq!(read.value, serde_json::json!([1, 2, 3]));
//! assert_eq!(read.repairs, [Repair::Comma, Repair::Fence, Repair::Prose]);
//! let wrong = coerce_text("[1, \"8/10\"]", &ty, &defs).map_err(|e| root_errors("scores", e));
//! assert_eq!(wrong.unwrap_err()[0].field, "scores[1]");
//! # Ok::<(), teleprompt::SignatureError>(())
//! ```

mod coerce;
pub mod read;
pub mod sections;
mod words;
pub(crate) mod write;

use serde_json::Value;

use crate::{FieldError, Repair, Type, TypeDefs};

pub(crate) use coerce::Cx;
use coerce::prefixed;
pub(crate) use words::{expected, list_of};

/// A value that fits its type, and what it took to get there.
#[derive(Clone, Debug, PartialEq)]
pub struct Coerced {
    /// The value.
    pub value: Value,
    /// The repairs, each kind once; empty when the text was as asked for.
    pub repairs: Vec<Repair>,
}

impl Coerced {
    /// The sum of the penalties; 0 for a clean reading.
    pub fn penalty(&self) -> u32 {
        penalty(&self.repairs)
    }
}

pub(crate) fn penalty(repairs: &[Repair]) -> u32 {
    repairs.iter().map(|r| r.penalty()).sum()
}

/// Makes the text of one field a value of its type.
///
/// Text for `str` is taken as it stands, less white space at its ends and one pair of quotes around
/// it; for other types see the files of `parse/coerce`.
///
/// # Errors
/// What does not fit, with paths relative to the value (`[1].age`); see [`root_errors`].
pub fn coerce_text(text: &str, ty: &Type, defs: &TypeDefs) -> Result<Coerced, Vec<FieldError>> {
    let mut cx = Cx::new(defs);
    let value = cx.text(text.trim(), ty)?;
    Ok(Coerced { value, repairs: cx.into_repairs() })
}

/// Makes a JSON value a value of this type: for replies in JSON, and to check program inputs and
/// demonstrations (those are right as they are if there is no repair).
///
/// ```
/// use teleprompt::parse::coerce_json;
/// use teleprompt::{Repair, Type, TypeDefs};
/// let ty: Type = "{name: str, age: int}".parse()?;
/// let read = coerce_json(&serde_json::json!({"Name": "Ann", "age": "41"}), &ty, &TypeDefs::new());
/// let read = read.unwrap();
/// assert_eq!(read.value, serde_json::json!({"name": "Ann", "age": 41}));
/// assert_eq!(read.repairs, [Repair::FieldName, Repair::ScalarFromText]);
/// # Ok::<(), teleprompt::SignatureError>(())
/// ```
///
/// # Errors
/// What does not fit, with paths relative to the value (`[1].age`); see [`root_errors`].
pub fn coerce_json(value: &Value, ty: &Type, defs: &TypeDefs) -> Result<Coerced, Vec<FieldError>> {
    let mut cx = Cx::new(defs);
    let value = cx.json(value, ty)?;
    Ok(Coerced { value, repairs: cx.into_repairs() })
}

/// The errors of a value as those of the field that holds it: `[1].age` becomes `people[1].age`.
pub fn root_errors(field: &str, errors: Vec<FieldError>) -> Vec<FieldError> {
    prefixed(field, errors)
}
