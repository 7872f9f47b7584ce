//! What both derives do with attributes and with several errors at once.

use syn::{Attribute, Error, Meta, Token, punctuated::Punctuated};

/// The attributes of this name.
pub fn named<'a>(attrs: &'a [Attribute], name: &str) -> impl Iterator<Item = &'a Attribute> {
    attrs.iter().filter(move |a| a.path().is_ident(name))
}

/// The items in the parentheses of an attribute.
pub fn items(attr: &Attribute) -> Result<Vec<Meta>, Error> {
    let list = attr.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)?;
    Ok(list.into_iter().collect())
}

/// Errors to be shown together.
#[derive(Default)]
pub struct Errors(Option<Error>);

impl Errors {
    /// Adds one.
    pub fn push(&mut self, error: Error) {
        match &mut self.0 {
            Some(all) => all.combine(error),
            None => self.0 = Some(error),
        }
    }

    /// Takes the value, or notes why there is none.
    pub fn take<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        result.map_err(|e| self.push(e)).ok()
    }

    /// The errors, if there were any.
    pub fn finish(self) -> Result<(), Error> {
        self.0.map_or(Ok(()), Err)
    }
}
