//! Replies to records: several readings, of which the one with the smallest penalty wins.

use serde_json::{Map, Value};

use crate::parse::read::candidates;
use crate::parse::sections::{Section, Sections, same_name};
use crate::parse::{Coerced, Cx, coerce_json, coerce_text, expected, root_errors, sections};
use crate::{Field, FieldError, Flag, ParseError, Parsed, Record, Repair, Signature, TypeDefs};

/// One reading of a reply; `None` if the reply has nothing that could be read so.
pub(super) type Reading = Option<Result<Parsed, Vec<FieldError>>>;

/// The best of several readings, the first of equals. If all fail, the errors of the first that
/// found any output.
pub(super) fn best<const N: usize>(
    signature: &Signature,
    reply: &str,
    thought: bool,
    readings: [Reading; N],
) -> Result<Parsed, ParseError> {
    let mut errors = None;
    let mut best: Option<(u32, Parsed)> = None;
    for reading in readings.into_iter().flatten() {
        match reading {
            Ok(parsed) => {
                let cost = parsed.flags.iter().map(|f| f.repair.penalty()).sum();
                if best.as_ref().is_none_or(|(lowest, _)| cost < *lowest) {
                    best = Some((cost, parsed));
                }
            }
            Err(e) => errors = errors.or(Some(e)),
        }
    }
    match best {
        Some((_, mut parsed)) => {
            if thought {
                parsed.flags.insert(0, Flag::new("", Repair::Thinking));
            }
            Ok(parsed)
        }
        None => Err(ParseError::new(errors.unwrap_or_else(|| all_missing(signature)), reply)),
    }
}

fn all_missing(signature: &Signature) -> Vec<FieldError> {
    signature.outputs().iter().map(missing).collect()
}

fn missing(field: &Field) -> FieldError {
    FieldError {
        field: field.name.to_string(),
        problem: "it is missing".into(),
        expected: expected(&field.ty),
    }
}

/// A reading of a form that was not asked for.
pub(super) fn foreign(reading: Reading) -> Reading {
    reading.map(|outcome| {
        outcome.map(|mut parsed| {
            parsed.flags.insert(0, Flag::new("", Repair::LooseMarker));
            parsed
        })
    })
}

/// The sections of a reply, with markers in any form.
pub(super) fn loose<'t>(signature: &Signature, reply: &'t str) -> Sections<'t> {
    let names: Vec<&str> = signature.outputs().iter().map(|f| &*f.name).collect();
    sections::loose(reply, &names)
}

/// Puts a record together, field by field.
struct Assembly {
    parsed: Parsed,
    errors: Vec<FieldError>,
}

impl Assembly {
    fn new(signature: &Signature) -> Self {
        let fields = Record::with_capacity(signature.outputs().len());
        Self { parsed: Parsed { fields, flags: Vec::new() }, errors: Vec::new() }
    }

    fn flag(&mut self, field: &Field, repair: Repair) {
        self.parsed.flags.push(Flag::new(field.name.clone(), repair));
    }

    fn add(&mut self, field: &Field, read: Result<Coerced, Vec<FieldError>>) {
        match read {
            Ok(Coerced { value, repairs }) => {
                repairs.into_iter().for_each(|r| self.flag(field, r));
                self.parsed.fields.insert(field.name.clone(), value);
            }
            Err(errors) => self.errors.extend(root_errors(&field.name, errors)),
        }
    }

    /// A field that is not there: null if it may be.
    fn leave_out(&mut self, field: &Field, defs: &TypeDefs) {
        if field.ty.is_nullable(defs) {
            self.flag(field, Repair::MissingOptional);
            self.parsed.fields.insert(field.name.clone(), Value::Null);
        } else {
            self.errors.push(missing(field));
        }
    }

    fn finish(self) -> Result<Parsed, Vec<FieldError>> {
        if self.errors.is_empty() { Ok(self.parsed) } else { Err(self.errors) }
    }
}

/// Reads sections. Markers of other names end a section; `completed`, which other systems ask for,
/// is no extra field.
pub(super) fn from_sections(signature: &Signature, found: &Sections<'_>) -> Reading {
    let outputs = signature.outputs();
    let is_output = |s: &&Section| outputs.iter().any(|f| same_name(&f.name, s.name));
    if !found.all.iter().any(|s| is_output(&s)) {
        return None;
    }
    let mut all = Assembly::new(signature);
    if !found.before.trim().is_empty() {
        all.parsed.flags.push(Flag::new("", Repair::Prose));
    }
    for field in outputs {
        section(&mut all, field, &found.all, signature.defs());
    }
    for extra in found.all.iter().filter(|s| !is_output(s) && s.name != "completed") {
        let flag = Flag::new(extra.name, Repair::ExtraField);
        if !all.parsed.flags.contains(&flag) {
            all.parsed.flags.push(flag);
        }
    }
    Some(all.finish())
}

fn section(all: &mut Assembly, field: &Field, found: &[Section<'_>], defs: &TypeDefs) {
    let mut own = found.iter().filter(|s| same_name(&field.name, s.name));
    let Some(first) = own.clone().find(|s| !s.body.is_empty()).or_else(|| own.next()) else {
        return all.leave_out(field, defs);
    };
    if !first.exact || first.name != &*field.name {
        all.flag(field, Repair::LooseMarker);
    }
    let other = |s: &Section| !s.body.is_empty() && s.body != first.body;
    if found.iter().any(|s| same_name(&field.name, s.name) && other(s)) {
        all.flag(field, Repair::OneOfSeveral);
    }
    all.add(field, coerce_text(first.body, &field.ty, defs));
}

/// Reads the objects in a reply that have any of the outputs.
pub(super) fn from_objects(signature: &Signature, reply: &str) -> Reading {
    let mut first_error = None;
    let mut good: Vec<Parsed> = Vec::new();
    for candidate in candidates(reply) {
        let map = match &candidate.value {
            Value::Object(map) => map,
            Value::Array(items) => match items.as_slice() {
                [Value::Object(map)] => map,
                _ => continue,
            },
            _ => continue,
        };
        match from_map(signature, map) {
            Some(Ok(mut parsed)) => {
                let unwrapped = candidate.value.is_array().then_some(Repair::Unwrapped);
                let made = candidate.repairs.iter().copied().chain(unwrapped);
                parsed.flags.splice(..0, made.map(|r| Flag::new("", r)));
                good.push(parsed);
            }
            Some(Err(e)) => first_error = first_error.or(Some(e)),
            None => {}
        }
    }
    let several = good.iter().skip(1).any(|p| Some(&p.fields) != good.first().map(|p| &p.fields));
    let cost = |p: &Parsed| p.flags.iter().map(|f| f.repair.penalty()).sum::<u32>();
    match good.into_iter().min_by_key(cost) {
        Some(mut parsed) => {
            if several {
                parsed.flags.push(Flag::new("", Repair::OneOfSeveral));
            }
            Some(Ok(parsed))
        }
        None => first_error.map(Err),
    }
}

/// Reads an object; `None` if it has none of the outputs.
pub(super) fn from_map(signature: &Signature, map: &Map<String, Value>) -> Reading {
    let outputs = signature.outputs();
    let names: Vec<&str> = outputs.iter().map(|f| &*f.name).collect();
    let mut cx = Cx::new(signature.defs());
    let found = cx.matched(map, &names);
    if found.iter().all(Option::is_none) {
        return None;
    }
    let mut all = Assembly::new(signature);
    all.parsed.flags.extend(cx.into_repairs().into_iter().map(|r| Flag::new("", r)));
    for (field, node) in outputs.iter().zip(found) {
        match node {
            Some(node) => all.add(field, coerce_json(node, &field.ty, signature.defs())),
            None => all.leave_out(field, signature.defs()),
        }
    }
    Some(all.finish())
}

/// Takes the whole reply as the only output.
pub(super) fn from_whole(signature: &Signature, reply: &str) -> Reading {
    let [field] = signature.outputs() else {
        return None;
    };
    let text = reply.trim();
    let text = text.strip_suffix("[[ ## completed ## ]]").unwrap_or(text).trim_end();
    // A reply that has markers is not without them.
    if text.is_empty() || !sections::exact(text).all.is_empty() {
        return None;
    }
    let mut all = Assembly::new(signature);
    all.flag(field, Repair::NoMarker);
    all.add(field, coerce_text(text, &field.ty, signature.defs()));
    Some(all.finish())
}
