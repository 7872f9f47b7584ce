//! Sections with markers.

use std::sync::Arc;

use super::reader::SectionReader;
use super::{grammar, reply, system, value};
use crate::parse::read::without_thinking;
use crate::parse::sections;
use crate::{Adapter, Constraint, FieldReader, ParseError, Parsed, Record, Signature};

/// Turns made of sections: `[[ ## name ## ]]`, and the value on the lines below.
///
/// Texts stand plainly, without quotes; other values as JSON on one line. A text that would not be
/// read back as itself (it holds a marker, is empty, or has quotes or white space at its ends) is
/// written as a JSON text, and read back without a flag.
///
/// A reply is read tolerantly: markers in other forms, thinking and prose before the first one, a
/// JSON object in place of sections, and for a signature with one output a reply without any marker.
/// Of several sections for a field the first that is not empty counts.
///
/// Its constraint is a grammar in llguidance's Lark dialect, which admits everything that
/// [`Adapter::assistant`] writes for values that fit, and hardly anything else: see the module
/// `grammar` for the exceptions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChatAdapter;

impl Adapter for ChatAdapter {
    fn name(&self) -> &'static str {
        "chat"
    }

    fn system(&self, signature: &Signature) -> String {
        format!("{}{}", system::task(signature), system::chat_form(signature))
    }

    fn user(&self, signature: &Signature, inputs: &Record) -> String {
        value::user_turn(signature, inputs)
    }

    fn assistant(&self, signature: &Signature, outputs: &Record) -> String {
        value::sections(signature.outputs(), outputs, |out, value, field| {
            value::write_output(out, value, &field.ty, signature.defs());
        })
    }

    fn constraint(&self, signature: &Signature) -> Option<Constraint> {
        Some(Constraint::new(None, Some(Arc::from(grammar::lark(signature)))))
    }

    fn parse(&self, signature: &Signature, reply: &str) -> Result<Parsed, ParseError> {
        let found = sections::exact(reply);
        if let Some(Ok(parsed)) = reply::from_sections(signature, &found)
            && parsed.flags.is_empty()
        {
            return Ok(parsed);
        }
        let (answer, thought) = without_thinking(reply);
        let readings = [
            reply::from_sections(signature, &sections::exact(answer)),
            reply::from_sections(signature, &reply::loose(signature, answer)),
            reply::foreign(reply::from_objects(signature, answer)),
            reply::from_whole(signature, answer),
        ];
        reply::best(signature, reply, thought, readings)
    }

    fn reader<'a>(&'a self, signature: &'a Signature) -> Option<Box<dyn FieldReader + 'a>> {
        Some(Box::new(SectionReader::new(signature)))
    }

    fn complaint(&self, signature: &Signature, error: &ParseError) -> String {
        format!("{}\n{}", error.for_model(), system::chat_form(signature))
    }
}
