//! Rust types to a signature.
//!
//! schemars names every struct and enum; a signature names recursive types only, so that a derived
//! one equals what a person would write: `{name: str, age: int}` stands where it is used.

use std::collections::HashSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::sync::Arc;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::json;

use crate::{Field, Kind, ObjectField, Signature, Type, TypeDefs};

/// The signature of a derived struct. The derive writes the call.
///
/// # Panics
/// A field has a type that no signature can say. It is a mistake in the program, which every run
/// of it would meet, so there is nothing to hand back.
#[allow(clippy::panic)]
pub fn signature<I: JsonSchema, O: JsonSchema>(name: &str, docs: &str) -> Signature {
    match build::<I, O>(docs) {
        Ok(signature) => signature,
        Err(message) => panic!("the signature `{name}`: {message}"),
    }
}

fn build<I: JsonSchema, O: JsonSchema>(docs: &str) -> Result<Signature, String> {
    // One generator for both sides: it keeps two types of one name apart.
    let mut generator = SchemaSettings::draft2020_12().for_deserialize().into_generator();
    let sides = [generator.subschema_for::<I>(), generator.subschema_for::<O>()];
    let schema = json!({ "$defs": generator.take_definitions(true) });
    let mut defs = TypeDefs::new();
    Type::from_json_schema(&schema, &mut defs)?;
    let names = Names::new(&defs);
    let [inputs, outputs] = sides.map(|side| {
        let ty = Type::from_json_schema(side.as_value(), &mut TypeDefs::new())?;
        Ok::<_, String>(names.fields(&ty, &defs))
    });
    let (inputs, outputs) = (inputs?, outputs?);
    let kept = names.reachable(inputs.iter().chain(&outputs), &defs);
    Signature::new(paragraphs(docs), inputs, outputs, kept).map_err(|e| e.to_string())
}

/// The names that recursive types keep, as the notation can say them.
struct Names(BTreeMap<Arc<str>, Arc<str>>);

impl Names {
    fn new(defs: &TypeDefs) -> Self {
        let mut out = BTreeMap::new();
        let mut taken = HashSet::new();
        for name in defs.keys().filter(|n| is_recursive(n, defs)) {
            let mut word: String =
                name.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
            while taken.contains(&word) || !is_type_name(&word) {
                word.insert(0, 'T');
            }
            taken.insert(word.clone());
            out.insert(name.clone(), Arc::from(word));
        }
        Self(out)
    }

    /// The fields of a generated struct.
    fn fields(&self, ty: &Type, defs: &TypeDefs) -> Vec<Field> {
        let ty = match &ty.kind {
            Kind::Ref(name) => defs.get(name).unwrap_or(ty),
            _ => ty,
        };
        match self.inlined(ty, defs).kind {
            Kind::Object(fields) => fields
                .into_iter()
                .map(|f| Field { name: f.name, ty: f.ty, description: f.description })
                .collect(),
            // A struct without fields.
            _ => Vec::new(),
        }
    }

    /// The type with all definitions put in place, except the recursive ones.
    fn inlined(&self, ty: &Type, defs: &TypeDefs) -> Type {
        let one = |t: &Type| Box::new(self.inlined(t, defs));
        let all = |ts: &[Type]| ts.iter().map(|t| self.inlined(t, defs)).collect();
        let kind = match &ty.kind {
            Kind::Ref(name) => match (self.0.get(name), defs.get(name)) {
                (Some(word), _) => Kind::Ref(word.clone()),
                (None, Some(target)) => return self.inlined(target, defs),
                (None, None) => Kind::Ref(name.clone()),
            },
            Kind::List(item) => Kind::List(one(item)),
            Kind::Dict(value) => Kind::Dict(one(value)),
            // What is put in place may be optional, or a union, itself.
            Kind::Optional(inner) => return self.inlined(inner, defs).optional(),
            Kind::Union(arms) => return Type::union(arms.iter().map(|t| self.inlined(t, defs))),
            Kind::Tuple(items) => Kind::Tuple(all(items)),
            Kind::Object(fields) => Kind::Object(
                fields
                    .iter()
                    .map(|f| ObjectField {
                        name: f.name.clone(),
                        ty: self.inlined(&f.ty, defs),
                        description: paragraphs(&f.description).into(),
                    })
                    .collect(),
            ),
            other => other.clone(),
        };
        Type { kind, constraints: ty.constraints.clone() }
    }

    /// The recursive definitions that the fields need, under their words.
    fn reachable<'f>(&self, fields: impl Iterator<Item = &'f Field>, defs: &TypeDefs) -> TypeDefs {
        let by_word: BTreeMap<&Arc<str>, &Arc<str>> =
            self.0.iter().map(|(name, word)| (word, name)).collect();
        let mut open: Vec<Arc<str>> = fields.flat_map(|f| f.ty.refs()).collect();
        let mut kept = TypeDefs::new();
        while let Some(word) = open.pop() {
            let Some(target) = by_word.get(&word).and_then(|name| defs.get(*name)) else {
                continue;
            };
            if let Entry::Vacant(slot) = kept.entry(word) {
                open.extend(slot.insert(self.inlined(target, defs)).refs());
            }
        }
        kept
    }
}

fn is_type_name(word: &str) -> bool {
    format!("-> x: {word} where {word} = int").parse::<Signature>().is_ok()
}

/// Whether a definition leads back to itself.
fn is_recursive(name: &Arc<str>, defs: &TypeDefs) -> bool {
    let mut open = defs.get(name).map(Type::refs).unwrap_or_default();
    let mut seen = HashSet::new();
    while let Some(next) = open.pop() {
        if next == *name {
            return true;
        }
        if seen.insert(next.clone()) {
            open.extend(defs.get(&next).map(Type::refs).unwrap_or_default());
        }
    }
    false
}

/// A doc comment as text for an LM: the lines of a paragraph are joined by a space, paragraphs
/// stand one to a line.
fn paragraphs(docs: &str) -> String {
    let mut out = String::new();
    let mut gap = "";
    for line in docs.lines().map(str::trim) {
        if line.is_empty() {
            gap = if out.is_empty() { "" } else { "\n" };
            continue;
        }
        out.push_str(gap);
        out.push_str(line);
        gap = " ";
    }
    out
}

#[cfg(test)]
mod tests {
    use super::paragraphs;

    #[test]
    fn lines_are_joined_and_paragraphs_kept() {
        let table = [
            ("", ""),
            (" One line.\n", "One line."),
            (" Two\n lines.\n", "Two lines."),
            ("\n\n First.\n\n\n Second\n  one.\n\n", "First.\nSecond one."),
        ];
        for (docs, text) in table {
            assert_eq!(paragraphs(docs), text, "{docs:?}");
        }
    }
}
