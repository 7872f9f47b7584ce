//! Readers that tell the fields of a reply while it comes in. They know the form that was asked for
//! and nothing else: what is repaired is repaired when the reply is whole.

mod object;
mod sections;

pub(super) use object::ObjectReader;
pub(super) use sections::SectionReader;
