//! One JSON object.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::reader::ObjectReader;
use super::{reply, system, value};
use crate::parse::read::{Candidate, candidates, without_thinking};
use crate::parse::sections;
use crate::parse::write::compact;
use crate::{Adapter, Constraint, FieldReader, Kind, ParseError, Parsed, Record, Signature};

/// Replies that are one JSON object with the outputs in order; inputs in sections as with
/// [`ChatAdapter`](super::ChatAdapter).
///
/// Its constraint is the JSON schema of the outputs: all required, optional ones as null. A reply is
/// read tolerantly: code fences, prose and thinking around it, the notation of Python, sections in
/// place of the object, and for a signature with one output its bare value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JsonAdapter;

impl Adapter for JsonAdapter {
    fn name(&self) -> &'static str {
        "json"
    }

    fn system(&self, signature: &Signature) -> String {
        format!("{}{}", system::task(signature), system::json_form(signature))
    }

    fn user(&self, signature: &Signature, inputs: &Record) -> String {
        value::user_turn(signature, inputs)
    }

    fn assistant(&self, signature: &Signature, outputs: &Record) -> String {
        let entry = |name: &Arc<str>| Some((name.to_string(), outputs.get(name)?.clone()));
        let map: Map<_, _> = signature.outputs().iter().filter_map(|f| entry(&f.name)).collect();
        compact(&Value::Object(map))
    }

    fn constraint(&self, signature: &Signature) -> Option<Constraint> {
        Some(Constraint::new(Some(Arc::new(signature.output_schema())), None))
    }

    fn parse(&self, signature: &Signature, reply: &str) -> Result<Parsed, ParseError> {
        if let [Candidate { value: Value::Object(map), repairs }] = candidates(reply).as_slice()
            && repairs.is_empty()
            && let Some(Ok(parsed)) = reply::from_map(signature, map)
            && parsed.flags.is_empty()
        {
            return Ok(parsed);
        }
        let (answer, thought) = without_thinking(reply);
        let readings = [
            reply::from_objects(signature, answer),
            reply::foreign(reply::from_sections(signature, &sections::exact(answer))),
            reply::foreign(reply::from_sections(signature, &reply::loose(signature, answer))),
            bare_value(signature, answer),
        ];
        reply::best(signature, reply, thought, readings)
    }

    fn reader<'a>(&'a self, signature: &'a Signature) -> Option<Box<dyn FieldReader + 'a>> {
        Some(Box::new(ObjectReader::new(signature)))
    }

    fn complaint(&self, signature: &Signature, error: &ParseError) -> String {
        format!("{}\n{}", error.for_model(), system::json_form(signature))
    }
}

/// The whole reply as the only output; but an object without that output is no text.
fn bare_value(signature: &Signature, reply: &str) -> reply::Reading {
    let is_text = signature.outputs().iter().any(|f| f.ty.kind == Kind::Str);
    if is_text && reply.contains('{') {
        return None;
    }
    reply::from_whole(signature, reply)
}
