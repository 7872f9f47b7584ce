//! Signatures printed in their notation.

use std::fmt::{self, Display, Formatter};

use serde_json::Value;

use super::{Field, Signature};

impl Display for Signature {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.instructions().is_empty() {
            write!(f, "{} ", Value::from(self.instructions()))?;
        }
        fields(f, self.inputs())?;
        f.write_str(if self.inputs().is_empty() { "-> " } else { " -> " })?;
        fields(f, self.outputs())?;
        for (i, (name, ty)) in self.defs().iter().enumerate() {
            write!(f, "{} {name} = {ty}", if i == 0 { " where" } else { "," })?;
        }
        Ok(())
    }
}

fn fields(f: &mut Formatter<'_>, fields: &[Field]) -> fmt::Result {
    for (i, field) in fields.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        write!(f, "{field}")?;
    }
    Ok(())
}

impl Display for Field {
    /// The field as it stands in a signature; the type `str` goes without saying.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if !self.ty.is_plain_str() {
            write!(f, ": {}", self.ty)?;
        }
        if !self.description.is_empty() {
            write!(f, " {}", Value::from(&*self.description))?;
        }
        Ok(())
    }
}
